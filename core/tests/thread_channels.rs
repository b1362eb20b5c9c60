//! Channels between threads, and the coroutines and threads at their ends.

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use grapeshot_core::select::{IntoArm as _, after, select_any};
use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    JoinError, Reason, ThreadReceiver, ThreadSender, WorkerPool, channel, coroutines, now, offload, random_u64, select,
    sleep, spawn, thread_channel, with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// BEA-7: a queue that another thread fills wakes the loop.
#[test]
fn an_item_from_another_thread_wakes_a_parked_coroutine() {
    Test::new().real_time().run(|| {
        let (sender, receiver) = thread_channel(1);
        let (ready, is_ready) = thread_channel(1);
        let elsewhere = thread::spawn(move || {
            is_ready.recv().unwrap();
            sender.send("wake up").unwrap();
        });
        let waiting = spawn(move || receiver.recv().unwrap());
        yield_now();
        ready.send(()).unwrap();
        assert_eq!(waiting.join().unwrap(), "wake up");
        offload(move || elsewhere.join().unwrap());
    });
}

#[test]
fn items_keep_their_order_over_a_small_channel_in_both_directions() {
    test::run(|| {
        let (to, from_here) = thread_channel(3);
        let (back, answers) = thread_channel(2);
        let echo = thread::spawn(move || from_here.iter().for_each(|item: u32| back.send(item).unwrap()));
        let sending = spawn(move || (0..2000).for_each(|item| to.send(item).unwrap()));
        assert!(answers.iter().eq(0..2000));
        sending.join().unwrap();
        offload(move || echo.join().unwrap());
    });
}

#[test]
fn two_runtimes_talk() {
    test::run(|| {
        let (ping, pinged) = thread_channel(1);
        let (pong, ponged) = thread_channel(1);
        let other = thread::spawn(move || {
            test::run(move || pinged.iter().for_each(|number: u32| pong.send(number + 1).unwrap()));
        });
        let mut number = 0;
        while number < 500 {
            ping.send(number).unwrap();
            number = ponged.recv().unwrap();
        }
        drop(ping);
        offload(move || other.join().unwrap());
    });
}

#[test]
fn two_threads_without_runtimes_talk() {
    let (sender, receiver) = thread_channel(2);
    let sending = thread::spawn(move || (0..500).for_each(|item| sender.send(item).unwrap()));
    assert!(receiver.iter().eq(0..500));
    sending.join().unwrap();
}

#[test]
fn two_coroutines_of_one_runtime_talk() {
    test::run(|| {
        let (sender, receiver) = thread_channel(2);
        let sending = spawn(move || (0..500).for_each(|item| sender.send(item).unwrap()));
        assert!(receiver.iter().eq(0..500));
        sending.join().unwrap();
    });
}

#[test]
fn a_waiting_end_says_what_it_waits_for() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        let waiting = spawn(move || receiver.recv());
        yield_now();
        let info = coroutines().into_iter().find(|info| info.id == waiting.coroutine().id()).unwrap();
        assert_eq!(info.reason, Some(Reason::Other("an item of a channel between threads")));
        sender.send(()).unwrap();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn without_senders_receivers_take_what_is_left_and_are_told() {
    test::run(|| {
        let (sender, receiver) = thread_channel(4);
        sender.send(1).unwrap();
        drop(sender.clone());
        assert_eq!(receiver.recv(), Ok(1));
        let waiting = spawn({
            let receiver = receiver.clone();
            move || receiver.recv()
        });
        yield_now();
        drop(sender);
        assert_eq!(waiting.join().unwrap(), Err(RecvError::Disconnected));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receiver.recv_timeout(SECOND), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn without_receivers_senders_get_their_items_back() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        sender.send("in the channel").unwrap();
        let waiting = spawn({
            let sender = sender.clone();
            move || sender.send("waiting")
        });
        yield_now();
        drop(receiver);
        assert_eq!(waiting.join().unwrap(), Err(SendError::Disconnected("waiting")));
        assert_eq!(sender.try_send("late"), Err(TrySendError::Disconnected("late")));
        assert_eq!(sender.send_timeout("late", SECOND), Err(SendTimeoutError::Disconnected("late")));
    });
}

#[test]
fn a_closed_channel_gives_what_is_in_it_and_takes_nothing() {
    test::run(|| {
        let (sender, receiver) = thread_channel(2);
        sender.send(1).unwrap();
        receiver.close();
        assert_eq!(sender.send(2), Err(SendError::Disconnected(2)));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Disconnected)));
    });
}

#[test]
fn attempts_do_not_wait_and_limits_are_kept() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let began = now();
        assert_eq!(receiver.recv_timeout(SECOND), Err(RecvTimeoutError::Timeout));
        sender.try_send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(sender.send_timeout(2, SECOND), Err(SendTimeoutError::Timeout(2)));
        assert_eq!(now() - began, SECOND * 2);
        assert_eq!((sender.len(), receiver.capacity(), receiver.is_empty()), (1, 1, false));
        assert_eq!(receiver.recv(), Ok(1));
    });
}

#[test]
fn limits_are_kept_on_a_plain_thread() {
    let (sender, receiver) = thread_channel(1);
    let limit = Duration::from_millis(5);
    let began = Instant::now();
    assert_eq!(receiver.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
    sender.send(1).unwrap();
    assert_eq!(sender.send_timeout(2, limit), Err(SendTimeoutError::Timeout(2)));
    assert!(began.elapsed() >= limit * 2);
    assert_eq!(receiver.recv(), Ok(1));
}

/// DESIGN §4, cancelled and then woken: the item goes to the next.
#[test]
fn an_item_passes_over_receivers_that_have_been_cancelled() {
    test::run(|| {
        let (sender, receiver) = thread_channel(4);
        let waiting: Vec<_> = (0..5).map(|_| receiving(&receiver)).collect();
        let last = receiving(&receiver);
        yield_now();
        waiting.iter().for_each(|waiting| waiting.cancel());
        sender.send(7).unwrap();
        assert_eq!(last.join().unwrap(), Ok(7));
        assert!(waiting.into_iter().all(|waiting| matches!(waiting.join(), Err(JoinError::Cancelled))));
    });
}

/// DESIGN §4, woken and then cancelled: who was woken takes the item.
#[test]
fn a_receiver_woken_and_then_cancelled_takes_the_item() {
    test::run(|| {
        let (sender, receiver) = thread_channel(4);
        let (first, second) = (receiving(&receiver), receiving(&receiver));
        yield_now();
        sender.send(7).unwrap();
        first.cancel();
        assert_eq!(first.join().unwrap(), Ok(7));
        drop(sender);
        assert_eq!(second.join().unwrap(), Err(RecvError::Disconnected));
    });
}

/// DESIGN §4: the wake is on its way from another thread when its receiver is cancelled.
#[test]
fn a_wake_from_another_thread_that_comes_too_late_goes_to_the_next() {
    test::run(|| {
        let (sender, receiver) = thread_channel(4);
        let (first, second) = (receiving(&receiver), receiving(&receiver));
        yield_now();
        // The loop does not look at its inbox before this coroutine waits.
        thread::spawn(move || sender.send(7).unwrap()).join().unwrap();
        first.cancel();
        assert!(matches!(first.join(), Err(JoinError::Cancelled)));
        assert_eq!(second.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_sender_that_is_cut_off_has_sent_nothing() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        sender.send(1).unwrap();
        assert!(with_timeout(SECOND, || sender.send(2)).is_err());
        assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
        sender.send(3).unwrap();
        assert_eq!(receiver.recv(), Ok(3));
    });
}

/// BEA-7: one wait covers a queue that other threads fill and whatever else there is to wait for.
#[test]
fn a_select_covers_a_channel_between_threads_and_other_events() {
    Test::new().real_time().run(|| {
        let (sender, receiver) = thread_channel(1);
        let (_silent, never) = channel::bounded::<()>(1);
        let (ready, is_ready) = thread_channel(1);
        let elsewhere = thread::spawn(move || {
            is_ready.recv().unwrap();
            sender.send("from afar").unwrap();
        });
        let selecting = spawn(move || {
            select! {
                item = &receiver => item,
                _ = &never => Err(RecvError::Disconnected),
            }
        });
        yield_now();
        ready.send(()).unwrap();
        assert_eq!(selecting.join().unwrap(), Ok("from afar"));
        offload(move || elsewhere.join().unwrap());
    });
}

#[test]
fn a_losing_arm_leaves_no_place_and_passes_its_wake_on() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        let (other, others) = channel::bounded(1);
        let selecting = spawn({
            let receiver = receiver.clone();
            move || {
                select! {
                    item = &receiver => item,
                    item = &others => item,
                }
            }
        });
        let waiting = receiving(&receiver);
        yield_now();
        other.send(1).unwrap();
        // The wake for this item is the losing arm's, which passes it on.
        thread::spawn(move || sender.send(2).unwrap()).join().unwrap();
        assert_eq!(selecting.join().unwrap(), Ok(1));
        assert_eq!(waiting.join().unwrap(), Ok(2));
    });
}

#[test]
fn an_arm_sends_when_another_thread_has_made_room() {
    Test::new().real_time().run(|| {
        let (sender, receiver) = thread_channel(1);
        sender.send(1).unwrap();
        let (_silent, never) = channel::bounded::<()>(1);
        let (ready, is_ready) = thread_channel::<()>(1);
        let elsewhere = thread::spawn(move || {
            is_ready.recv().unwrap();
            (receiver.recv(), receiver.recv())
        });
        let selecting = spawn(move || {
            select! {
                sent = sender.sending(2) => sent,
                _ = &never => Err(SendError::Refused(0)),
            }
        });
        yield_now();
        ready.send(()).unwrap();
        assert_eq!(selecting.join().unwrap(), Ok(()));
        assert_eq!(offload(move || elsewhere.join().unwrap()), (Ok(1), Ok(2)));
    });
}

#[test]
fn a_sending_arm_that_loses_gives_its_item_back_and_passes_the_room_on() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        sender.send(1).unwrap();
        let (other, others) = channel::bounded(1);
        let selecting = spawn({
            let sender = sender.clone();
            move || {
                let mut sending = sender.sending(2);
                let mut waiting = (&others).into_arm();
                assert_eq!(select_any(&mut [&mut sending, &mut waiting]), 1);
                sending.into_item()
            }
        });
        let behind = spawn(move || sender.send(3));
        yield_now();
        other.send(()).unwrap();
        // The wake for this room is the losing arm's, which passes it on.
        let (first, receiver) = thread::spawn(move || (receiver.recv(), receiver)).join().unwrap();
        assert_eq!(first, Ok(1));
        assert_eq!(selecting.join().unwrap(), Some(2));
        behind.join().unwrap().unwrap();
        assert_eq!(receiver.recv(), Ok(3));
    });
}

#[test]
fn a_sending_arm_says_that_nobody_receives() {
    test::run(|| {
        let (sender, receiver) = thread_channel(1);
        drop(receiver);
        let sent = select! { sent = sender.sending(1) => sent };
        assert_eq!(sent, Err(SendError::Disconnected(1)));
    });
}

#[test]
fn a_select_covers_the_end_of_work_on_another_thread() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let (release, released) = thread_channel::<()>(1);
        let handle = pool.apply_async(move || released.recv()).unwrap();
        let first = select! {
            _ = &handle => "ended",
            _ = after(Duration::ZERO) => "not yet",
        };
        assert_eq!(first, "not yet");
        release.send(()).unwrap();
        let second = select! { ended = &handle => ended.unwrap() };
        assert_eq!(second, Ok(()));
    });
}

struct UsesInDrop(Log, ThreadSender<u8>, ThreadReceiver<u8>);

impl Drop for UsesInDrop {
    fn drop(&mut self) {
        let UsesInDrop(log, sender, receiver) = self;
        log.add(format!("{:?}", receiver.recv()));
        log.add(format!("{:?} {:?}", sender.send(1), sender.send(2)));
        log.add(format!("{:?}", receiver.recv()));
    }
}

#[test]
fn a_coroutine_that_unwinds_is_refused_instead_of_waiting() {
    test::run(|| {
        let log = Log::new();
        let (sender, receiver) = thread_channel(1);
        let uses = UsesInDrop(log.clone(), sender, receiver);
        let cancelled = spawn(move || {
            let _uses = uses;
            sleep(SECOND);
        });
        yield_now();
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert_eq!(log.take(), ["Err(Refused)", "Ok(()) Err(Refused(..))", "Ok(1)"]);
    });
}

#[test]
#[should_panic(expected = "room for at least one item")]
fn a_channel_without_room_is_refused() {
    thread_channel::<u8>(0);
}

/// A receiver of an ended runtime is passed over.
#[test]
fn a_runtime_that_ends_while_it_waits_takes_no_item_with_it() {
    let (sender, receiver) = thread_channel(1);
    test::run({
        let receiver = receiver.clone();
        move || {
            spawn(move || receiver.recv());
            yield_now();
        }
    });
    sender.send(7).unwrap();
    assert_eq!(receiver.recv(), Ok(7));
}

fn receiving(receiver: &ThreadReceiver<i32>) -> grapeshot_core::JoinHandle<Result<i32, RecvError>> {
    let receiver = receiver.clone();
    spawn(move || receiver.recv())
}

/// DESIGN §4: every item is received once or given back, whoever is cancelled, on every schedule.
#[test]
fn on_every_schedule_items_are_neither_lost_nor_doubled() {
    support::on_every_schedule(|| {
        let (sender, receiver) = thread_channel(2);
        let (sent, received) = (Rc::new(RefCell::new(BTreeSet::new())), Rc::new(RefCell::new(Vec::new())));
        let elsewhere = {
            let sender = sender.clone();
            thread::spawn(move || (100..120).for_each(|item| sender.send(item).unwrap()))
        };
        let senders: Vec<_> = (0..4)
            .map(|index| {
                let (sender, sent) = (sender.clone(), sent.clone());
                spawn(move || {
                    for item in index * 10..index * 10 + 5 {
                        sender.send(item).unwrap();
                        sent.borrow_mut().insert(item);
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let (receiver, received) = (receiver.clone(), received.clone());
                spawn(move || {
                    while let Ok(item) = receiver.recv() {
                        received.borrow_mut().push(item);
                    }
                })
            })
            .collect();
        drop(sender);
        (0..random_u64() % 6).for_each(|_| yield_now());
        senders[random_u64() as usize % 4].cancel();
        receivers[random_u64() as usize % 4].cancel();
        receivers[random_u64() as usize % 4].cancel();
        senders.into_iter().for_each(|sender| drop(sender.join()));
        receivers.into_iter().for_each(|receiver| drop(receiver.join()));
        offload(move || elsewhere.join().unwrap());
        let received = received.take();
        let unique: BTreeSet<i32> = received.iter().copied().collect();
        assert_eq!(unique.len(), received.len());
        assert!((100..120).chain(sent.take()).all(|item| unique.contains(&item)));
    });
}
