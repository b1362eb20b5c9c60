//! Channels and selects under seeded schedules, with cancels, time limits and drops at random (DESIGN §4).
//!
//! How many schedules is said by `GRAPESHOT_SEEDS`. For about ten minutes of them:
//!
//! ```text
//! GRAPESHOT_SEEDS=150000 cargo test --release -p grapeshot-core --test channel_races
//! ```

mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{self, Overflow, Prefer, Receiver, RecvError, RecvTimeoutError, Sender, TryRecvError};
use grapeshot_core::select::after;
use grapeshot_core::{JoinHandle, WaitQueue, random_u64, select, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn random(below: u64) -> u64 {
    random_u64() % below
}

fn some_time() -> Duration {
    Duration::from_millis(random(4) * 500)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Given to a send that has not said what became of it, or was cut off.
    Undecided,
    Sent,
    GivenBack,
}

/// What became of one item.
struct Entry {
    fate: Cell<Fate>,
    received: Cell<u32>,
    dropped: Cell<u32>,
}

/// What became of every item.
#[derive(Clone, Default)]
struct Ledger(Rc<RefCell<Vec<Rc<Entry>>>>);

/// An item that notes when it is dropped.
struct Item {
    channel: usize,
    sender: usize,
    number: u32,
    entry: Rc<Entry>,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.entry.dropped.set(self.entry.dropped.get() + 1);
    }
}

impl Ledger {
    fn item(&self, channel: usize, sender: usize, number: u32) -> Item {
        let entry = Rc::new(Entry { fate: Cell::new(Fate::Undecided), received: Cell::new(0), dropped: Cell::new(0) });
        self.0.borrow_mut().push(entry.clone());
        Item { channel, sender, number, entry }
    }
}

/// The last number that was received of each sender; numbers must rise.
#[derive(Default)]
struct Order(RefCell<HashMap<(usize, usize), u32>>);

impl Order {
    fn check(&self, item: &Item) {
        let before = self.0.borrow_mut().insert((item.channel, item.sender), item.number);
        assert!(before.is_none_or(|before| before < item.number), "an item overtook another of its sender");
    }
}

/// One channel of a run, and who is inside a send or a receive that only an event can end.
struct Line {
    index: usize,
    sender: Sender<Item>,
    receiver: Receiver<Item>,
    is_queue: bool,
    loses: bool,
    order: Order,
    sending: Cell<u32>,
    receiving: Cell<u32>,
}

impl Line {
    fn new(index: usize) -> Line {
        let (kind, size) = (random(7), 1 + random(3) as usize);
        let (sender, receiver) = match kind {
            0 => channel::rendezvous(),
            1 => channel::rendezvous_with(Prefer::Sender),
            2 => channel::rendezvous_with(Prefer::Receiver),
            3 => channel::bounded(size),
            4 => channel::unbounded(),
            5 => channel::bounded_with(size, Overflow::Refuse),
            _ => channel::bounded_with(size, Overflow::DropOldest),
        };
        let (is_queue, loses) = (kind > 2, kind == 6);
        let (sending, receiving) = (Cell::new(0), Cell::new(0));
        Line { index, sender, receiver, is_queue, loses, order: Order::default(), sending, receiving }
    }

    /// Nobody waits for what is there.
    fn check_at_rest(&self) {
        let (sending, receiving, len) = (self.sending.get(), self.receiving.get(), self.sender.len());
        assert!(receiving == 0 || len == 0, "{receiving} wait to receive and {len} items are there");
        assert!(receiving == 0 || sending == 0, "{receiving} wait to receive and {sending} to send");
        let room = self.sender.capacity().is_none_or(|capacity| len < capacity);
        assert!(sending == 0 || !room, "{sending} wait to send and there is room");
    }

    fn note_received(&self, own: &Order, item: &Item) {
        item.entry.received.set(item.entry.received.get() + 1);
        own.check(item);
        // What has been handed to two receivers may be noted by them in either order.
        if self.is_queue {
            self.order.check(item);
        }
    }
}

/// Counts a coroutine while it is inside a call, also when the call unwinds.
struct Inside<'a>(&'a Cell<u32>);

impl<'a> Inside<'a> {
    fn of(count: &'a Cell<u32>) -> Inside<'a> {
        count.set(count.get() + 1);
        Inside(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn send_at_random(lines: &[Line; 2], ledger: &Ledger, me: usize, number: u32) {
    let line = &lines[random(2) as usize];
    let other = &lines[1 - line.index];
    let item = ledger.item(line.index, me, number);
    let entry = item.entry.clone();
    let sent = match random(6) {
        0 | 1 => {
            let _inside = Inside::of(&line.sending);
            line.sender.send(item).is_ok()
        }
        2 => line.sender.send_timeout(item, some_time()).is_ok(),
        3 => line.sender.try_send(item).is_ok(),
        4 => {
            let own = Order::default();
            select! {
                sent = line.sender.sending(item) => sent.is_ok(),
                received = other.receiver => {
                    received.iter().for_each(|item| other.note_received(&own, item));
                    return;
                }
                () = after(some_time()) => return,
            }
        }
        _ => {
            let second = ledger.item(other.index, me, number);
            let second_entry = second.entry.clone();
            let (_inside, _inside_too) = (Inside::of(&line.sending), Inside::of(&other.sending));
            select! {
                sent = line.sender.sending(item) => sent.is_ok(),
                sent = other.sender.sending(second) => {
                    second_entry.fate.set(if sent.is_ok() { Fate::Sent } else { Fate::GivenBack });
                    return;
                }
            }
        }
    };
    entry.fate.set(if sent { Fate::Sent } else { Fate::GivenBack });
}

fn receive_at_random(lines: &[Line; 2], own: &Order) {
    let line = &lines[random(2) as usize];
    let other = &lines[1 - line.index];
    let (from, item) = match random(6) {
        0 | 1 => {
            let _inside = Inside::of(&line.receiving);
            (line, line.receiver.recv().map_err(|error| assert_eq!(error, RecvError::Disconnected)).ok())
        }
        2 => (
            line,
            line.receiver.recv_timeout(some_time()).map_err(|error| assert_ne!(error, RecvTimeoutError::Refused)).ok(),
        ),
        3 => (line, line.receiver.try_recv().map_err(|error| assert_eq!(error, TryRecvError::Empty)).ok()),
        4 => select! {
            item = line.receiver => (line, item.ok()),
            item = other.receiver => (other, item.ok()),
            () = after(some_time()) => (line, None),
        },
        _ => {
            let (_inside, _inside_too) = (Inside::of(&line.receiving), Inside::of(&other.receiving));
            select! {
                item = line.receiver => (line, item.ok()),
                item = other.receiver => (other, item.ok()),
            }
        }
    };
    if let Some(item) = item {
        from.note_received(own, &item);
    }
}

fn spawn_all(lines: &Rc<[Line; 2]>, ledger: &Ledger) -> Vec<JoinHandle<()>> {
    let sender = |me| {
        let (lines, ledger) = (lines.clone(), ledger.clone());
        spawn(move || {
            for number in 0..1 + random(4) as u32 {
                send_at_random(&lines, &ledger, me, number);
                if random(3) == 0 {
                    yield_now();
                }
            }
        })
    };
    let receiver = |_| {
        let lines = lines.clone();
        spawn(move || {
            let own = Order::default();
            for _ in 0..1 + random(4) {
                if random(4) == 0 {
                    let _ = with_timeout(some_time(), || receive_at_random(&lines, &own));
                } else {
                    receive_at_random(&lines, &own);
                }
            }
        })
    };
    let (senders, receivers) = (1 + random(5) as usize, 1 + random(5));
    (0..senders).map(sender).chain((0..receivers).map(receiver)).collect()
}

/// DESIGN §4, SYL-3: "cancelled, then woken" and "woken, then cancelled" lose neither a wake nor an item.
#[test]
fn on_every_schedule_each_item_is_received_once_or_handed_back_and_nobody_waits_for_what_is_there() {
    support::on_every_schedule(|| {
        let lines = Rc::new([Line::new(0), Line::new(1)]);
        let ledger = Ledger::default();
        let coroutines = spawn_all(&lines, &ledger);
        for _ in 0..random(6) {
            coroutines[random(coroutines.len() as u64) as usize].cancel();
            match random(3) {
                0 => {}
                1 => yield_now(),
                _ => sleep(some_time()),
            }
        }
        // The clock jumps only when nothing can run: whoever waits now would wait for ever.
        sleep(DAY);
        for line in &*lines {
            line.check_at_rest();
            line.sender.close();
        }
        coroutines.into_iter().for_each(|coroutine| drop(coroutine.join()));
        for line in &*lines {
            let own = Order::default();
            line.receiver.try_iter().for_each(|item| line.note_received(&own, &item));
            assert_eq!((line.sending.get(), line.receiving.get()), (0, 0));
        }
        let loses = lines.iter().any(|line| line.loses);
        drop(lines);
        for entry in &*ledger.0.borrow() {
            assert_eq!(entry.dropped.get(), 1, "an item was leaked or dropped twice");
            match (entry.fate.get(), entry.received.get()) {
                (Fate::Sent, 1) | (Fate::Undecided | Fate::GivenBack, 0) => {}
                (Fate::Sent, 0) if loses => {}
                (fate, received) => panic!("{fate:?}, and received {received} times"),
            }
        }
    });
}

/// The ends are dropped as their owners end, and nobody holds a spare one.
#[test]
fn on_every_schedule_dropping_the_ends_ends_every_wait() {
    support::on_every_schedule(|| {
        let Line { sender, receiver, .. } = Line::new(0);
        let ledger = Ledger::default();
        let receivers = (0..1 + random(3)).map(|_| {
            let receiver = receiver.clone();
            let most = random(8) as usize;
            spawn(move || receiver.iter().take(most).count())
        });
        let receivers: Vec<_> = receivers.collect();
        drop(receiver);
        let senders = (0..1 + random(3) as usize).map(|me| {
            let (sender, ledger) = (sender.clone(), ledger.clone());
            spawn(move || {
                for number in 0..random(8) as u32 {
                    let item = ledger.item(0, me, number);
                    if sender.send(item).is_err() {
                        return;
                    }
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        drop(sender);
        yield_now();
        if random(2) == 0 {
            senders[0].cancel();
            receivers[0].cancel();
        }
        // A wait that did not end would be reported as a deadlock.
        senders.into_iter().for_each(|sender| drop(sender.join()));
        receivers.into_iter().for_each(|receiver| drop(receiver.join()));
        assert!(ledger.0.borrow().iter().all(|entry| entry.dropped.get() == 1));
    });
}

/// DESIGN §4: a wake offered to an arm that lost is refused there, and reaches the next who waits.
#[test]
fn on_every_schedule_a_select_that_ends_otherwise_takes_no_wake_with_it() {
    support::on_every_schedule(|| {
        let queue = Rc::new(WaitQueue::new());
        let permits = Rc::new(Cell::new(0));
        let waiting = Rc::new(Cell::new(0));
        let (sender, receiver) = channel::bounded(1);
        let takers: Vec<_> = (0..6)
            .map(|_| {
                let (queue, permits, waiting, receiver) =
                    (queue.clone(), permits.clone(), waiting.clone(), receiver.clone());
                spawn(move || {
                    while permits.get() == 0 {
                        let limit = (random(2) == 0).then(|| after(some_time() + SECOND));
                        let _inside = Inside::of(&waiting);
                        select! {
                            () = queue => {},
                            _ = receiver => return,
                            () = limit => return,
                        }
                    }
                    permits.set(permits.get() - 1);
                })
            })
            .collect();
        for _ in 0..4 {
            match random(4) {
                0 => takers[random(6) as usize].cancel(),
                1 => drop(sender.try_send(())),
                2 => {
                    permits.set(permits.get() + 1);
                    queue.wake_one();
                }
                _ => sleep(some_time()),
            }
        }
        // The clock jumps only when nothing can run.
        sleep(DAY);
        assert!(permits.get() == 0 || waiting.get() == 0, "a permit is there and somebody waits for one");
        sender.close();
        takers.into_iter().for_each(|taker| drop(taker.join()));
        assert!(queue.is_empty());
    });
}
