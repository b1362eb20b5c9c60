//! Selects over what everyone may hear, what is shared whole, and results to be.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{self, Deque, Fifo};
use grapeshot_core::select::{IntoArm, after};
use grapeshot_core::test::{self, Log};
use grapeshot_core::work::{FutureError, FutureResult, Gateway, Mailbox, Recv, future_result};
use grapeshot_core::{random_u64, select, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Each arm completes when its event comes, and gives what the plain wait would give.
#[test]
fn every_arm_completes_when_its_event_comes() {
    test::run(|| {
        let (sender, heard) = channel::broadcast(4);
        let (setting, watched) = channel::watch(1);
        let (fifo, mailbox, gateway) = (Rc::new(Fifo::new()), Mailbox::new(), Gateway::new());
        let subscription = gateway.subscribe("x");
        let (completer, result): (_, FutureResult<u32, String>) = future_result();
        let (pushed, letters, log) = (fifo.clone(), mailbox.clone(), Log::new());
        let events = spawn(move || {
            sleep(SECOND);
            sender.send(1).unwrap();
            sleep(SECOND);
            setting.set(2);
            sleep(SECOND);
            pushed.push(3);
            sleep(SECOND);
            letters.send(4).unwrap();
            sleep(SECOND);
            gateway.publish("x", 5);
            sleep(SECOND);
            completer.set(6);
            sleep(SECOND);
            letters.stop();
            // The arms of these would complete for ever, once their senders are gone.
            sleep(SECOND);
            drop((sender, setting, gateway));
        });
        let (mut is_set, mut has_exited) = (false, false);
        while !has_exited {
            let not_yet_set = (!is_set).then(|| result.into_arm());
            select! {
                message = heard => log.add(format!("{message:?}")),
                changed = watched => log.add(format!("{changed:?} {}", watched.get())),
                item = fifo => log.add(format!("{item:?}")),
                message = mailbox => {
                    has_exited = message == Recv::Exit;
                    log.add(format!("{message:?}"));
                },
                message = subscription => log.add(format!("{message:?}")),
                value = not_yet_set => {
                    is_set = true;
                    log.add(format!("{value:?}"));
                },
                () = after(100 * SECOND) => panic!("it is late"),
            }
        }
        events.join().unwrap();
        assert_eq!(log.take(), ["Ok(1)", "Ok(()) 2", "Ok(3)", "Message(4)", "Ok(x: 5)", "Ok(6)", "Exit"]);
        assert_eq!((stats().timers, fifo.waiting()), (0, 0));
    });
}

#[test]
fn an_item_passes_over_an_arm_that_has_lost() {
    test::run(|| {
        let (fifo, mailbox) = (Rc::new(Fifo::new()), Mailbox::new());
        let selecting = spawn({
            let (fifo, mailbox) = (fifo.clone(), mailbox.clone());
            move || {
                select! {
                    item = fifo => item.unwrap(),
                    message = mailbox => message.message().unwrap(),
                }
            }
        });
        let popping = spawn({
            let fifo = fifo.clone();
            move || fifo.pop().unwrap()
        });
        yield_now();
        mailbox.send(1).unwrap();
        // The select has been woken by the mailbox and has not had its turn.
        fifo.push(2);
        mailbox.send(3).unwrap();
        assert_eq!((selecting.join().unwrap(), popping.join().unwrap()), (1, 2));
        assert_eq!(mailbox.recv(), Recv::Message(3));
    });
}

#[test]
fn an_arm_takes_from_either_end_of_a_deque() {
    test::run(|| {
        let deque = Rc::new(Deque::new());
        let waiting = spawn({
            let deque = deque.clone();
            move || {
                select! {
                    item = deque.popping() => item.unwrap(),
                    () = after(Duration::from_secs(1)) => 0,
                }
            }
        });
        yield_now();
        (1..=4).for_each(|item| deque.append(item));
        assert_eq!(waiting.join().unwrap(), 1, "who waits is given what comes");
        let right = select! { item = deque.popping() => item.unwrap() };
        let left = select! { item = deque.popping_left() => item.unwrap() };
        assert_eq!((left, right, deque.len()), (2, 4, 1));
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct SelectInDrop(FutureResult<u32, String>, Log);
    impl Drop for SelectInDrop {
        fn drop(&mut self) {
            let result = &self.0;
            select! {
                value = result => {
                    assert_eq!(value, Err(FutureError::Refused));
                    self.1.add("refused");
                },
            }
        }
    }
    test::run(|| {
        let (_completer, result) = future_result();
        let log = Log::new();
        let selecting = SelectInDrop(result, log.clone());
        let ended = with_timeout(SECOND, move || {
            let _selecting = selecting;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(log.take(), ["refused"]);
    });
}

/// No item is lost and none comes twice, whichever arm wins and whoever is cancelled.
#[test]
fn on_every_schedule_each_item_comes_out_of_one_arm() {
    support::on_every_schedule(|| {
        let (fifo, mailbox) = (Rc::new(Fifo::new()), Mailbox::bounded(2));
        let taken = Rc::new(RefCell::new(Vec::new()));
        let takers: Vec<_> = (0..5)
            .map(|_| {
                let (fifo, mailbox, taken) = (fifo.clone(), mailbox.clone(), taken.clone());
                spawn(move || {
                    loop {
                        select! {
                            item = fifo => taken.borrow_mut().push(item.unwrap()),
                            message = mailbox => match message {
                                Recv::Message(item) => taken.borrow_mut().push(item),
                                Recv::Exit => return,
                            },
                            () = after(SECOND) => {}
                        }
                        sleep(SECOND / 4 * (random_u64() % 3) as u32);
                    }
                })
            })
            .collect();
        for number in 0..30 {
            if random_u64().is_multiple_of(2) {
                fifo.push(number);
            } else {
                mailbox.send(number).unwrap();
            }
            match random_u64() % 4 {
                0 => yield_now(),
                1 => sleep(SECOND / 2),
                // One taker is left.
                2 => takers[random_u64() as usize % 4].cancel(),
                _ => {}
            }
        }
        mailbox.stop();
        takers.into_iter().for_each(|taker| drop(taker.join()));
        assert_eq!((fifo.waiting(), stats().timers), (0, 0));
        let mut all = taken.take();
        all.extend(std::iter::from_fn(|| fifo.try_pop()));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..30));
    });
}
