//! The letter box that can be told to end.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{RecvTimeoutError, SendError, TrySendError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::work::{Mailbox, Recv};
use grapeshot_core::{JoinHandle, now, random_u64, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn receiver(mailbox: &Mailbox<u32>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (mailbox, log) = (mailbox.clone(), log.clone());
    spawn(move || log.add(format!("{name} {:?}", mailbox.recv())))
}

fn sender(mailbox: &Mailbox<u32>, log: &Log, message: u32) -> JoinHandle<()> {
    let (mailbox, log) = (mailbox.clone(), log.clone());
    spawn(move || log.add(format!("{message} {:?}", mailbox.send(message))))
}

/// BEA-2.
#[test]
fn sending_does_not_wait_and_messages_come_in_order() {
    test::run(|| {
        let mailbox = Mailbox::new();
        (0..1000).for_each(|number| mailbox.send(number).unwrap());
        assert_eq!(mailbox.len(), 1000);
        assert_eq!([mailbox.recv(), mailbox.recv()], [Recv::Message(0), Recv::Message(1)]);
    });
}

/// BEA-2: earlier messages are processed first.
#[test]
fn what_was_sent_before_the_stop_is_received_before_the_exit() {
    test::run(|| {
        let mailbox = Mailbox::new();
        mailbox.send(1).unwrap();
        mailbox.send(2).unwrap();
        mailbox.stop();
        assert_eq!(mailbox.send(3), Err(SendError::Disconnected(3)));
        assert_eq!(mailbox.try_send(3), Err(TrySendError::Disconnected(3)));
        assert_eq!(mailbox.iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!([mailbox.recv(), mailbox.recv()], [Recv::Exit, Recv::Exit]);
        assert_eq!(mailbox.try_recv(), Some(Recv::Exit));
        assert!(mailbox.is_stopped() && mailbox.is_empty());
    });
}

/// BEA-2.
#[test]
fn every_receiver_that_waits_gets_the_exit() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::new(), Log::new());
        let receivers = ["a", "b"].map(|name| receiver(&mailbox, &log, name));
        yield_now();
        mailbox.stop();
        receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
        assert_eq!(log.take(), ["a Exit", "b Exit"]);
    });
}

#[test]
fn a_message_given_before_the_stop_is_not_replaced_by_the_exit() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::new(), Log::new());
        let receiver = receiver(&mailbox, &log, "a");
        yield_now();
        mailbox.send(1).unwrap();
        mailbox.stop();
        receiver.join().unwrap();
        assert_eq!(log.take(), ["a Message(1)"]);
    });
}

/// BEA-2.
#[test]
fn a_receive_has_a_time_limit_if_wanted() {
    test::run(|| {
        let mailbox = Mailbox::<u32>::new();
        let began = now();
        assert_eq!(mailbox.recv_timeout(SECOND), Err(RecvTimeoutError::Timeout));
        assert_eq!((now() - began, stats().timers), (SECOND, 0));
        mailbox.send(1).unwrap();
        assert_eq!(mailbox.recv_timeout(SECOND), Ok(Recv::Message(1)));
        mailbox.stop();
        assert_eq!(mailbox.recv_timeout(SECOND), Ok(Recv::Exit));
        assert_eq!(mailbox.try_recv(), Some(Recv::Exit));
    });
}

/// BEA-2: a bounded queue brings flow control.
#[test]
fn who_sends_to_a_full_bounded_mailbox_waits_for_room_in_turn() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        mailbox.send(0).unwrap();
        assert_eq!(mailbox.try_send(9), Err(TrySendError::Full(9)));
        let senders = [1, 2].map(|message| sender(&mailbox, &log, message));
        yield_now();
        assert_eq!(mailbox.recv(), Recv::Message(0));
        // The room belongs to the first who waits, even before its turn.
        assert_eq!(mailbox.try_send(9), Err(TrySendError::Full(9)));
        yield_now();
        assert_eq!(log.take(), ["1 Ok(())"]);
        assert_eq!([mailbox.recv(), mailbox.recv()], [Recv::Message(1), Recv::Message(2)]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn the_stop_gives_messages_back_that_wait_for_room() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        mailbox.send(0).unwrap();
        let sender = sender(&mailbox, &log, 1);
        yield_now();
        mailbox.stop();
        sender.join().unwrap();
        assert_eq!(log.take(), ["1 Err(Disconnected(..))"]);
        assert_eq!([mailbox.recv(), mailbox.recv()], [Recv::Message(0), Recv::Exit]);
    });
}

/// "Cancelled, then woken", for receivers and for senders.
#[test]
fn a_wake_after_a_cancel_goes_to_the_next() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        let [first, second] = ["a", "b"].map(|name| receiver(&mailbox, &log, name));
        yield_now();
        first.cancel();
        mailbox.send(1).unwrap();
        second.join().unwrap();
        mailbox.send(2).unwrap();
        let [third, fourth] = [3, 4].map(|message| sender(&mailbox, &log, message));
        yield_now();
        third.cancel();
        assert_eq!(mailbox.recv(), Recv::Message(2));
        fourth.join().unwrap();
        assert_eq!(log.take(), ["b Message(1)", "4 Ok(())"]);
        assert_eq!(mailbox.recv(), Recv::Message(4));
    });
}

/// "Woken, then cancelled", for receivers and for senders.
#[test]
fn a_cancel_after_the_wake_changes_nothing_for_the_one_woken() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        let first = receiver(&mailbox, &log, "a");
        yield_now();
        mailbox.send(1).unwrap();
        first.cancel();
        yield_now();
        mailbox.send(2).unwrap();
        let second = sender(&mailbox, &log, 3);
        yield_now();
        assert_eq!(mailbox.recv(), Recv::Message(2));
        second.cancel();
        yield_now();
        assert_eq!(log.take(), ["a Message(1)", "3 Ok(())"]);
        assert_eq!(mailbox.recv(), Recv::Message(3));
    });
}

/// A woken sender whose message is taken out of hand leaves its room to the next.
#[test]
fn nobody_waits_to_send_while_a_receiver_waits() {
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        mailbox.send(0).unwrap();
        let _first = sender(&mailbox, &log, 1);
        yield_now();
        assert_eq!(mailbox.recv(), Recv::Message(0));
        // The room is reserved for the first; the second comes, and so does a receiver for what the first will send.
        let _second = sender(&mailbox, &log, 2);
        let received = with_timeout(SECOND, || [mailbox.recv(), mailbox.recv()]);
        assert_eq!(received, Ok([Recv::Message(1), Recv::Message(2)]));
    });
}

#[test]
fn a_coroutine_that_unwinds_gets_the_exit_and_its_message_back() {
    struct UseInDrop(Mailbox<u32>, Log);
    impl Drop for UseInDrop {
        fn drop(&mut self) {
            self.1.add(format!("{:?}", self.0.recv()));
            self.1.add(format!("{:?}", self.0.recv_timeout(SECOND)));
            self.1.add(format!("{:?} {:?}", self.0.send(1), self.0.send(2)));
        }
    }
    test::run(|| {
        let (mailbox, log) = (Mailbox::bounded(1), Log::new());
        let using = UseInDrop(mailbox, log.clone());
        let ended = with_timeout(SECOND, move || {
            let _using = using;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(log.take(), ["Exit", "Err(Refused)", "Ok(()) Err(Refused(..))"]);
    });
}

/// BEA-2: each message that was taken in is received once, the bound is kept, and nobody is left waiting.
#[test]
fn on_every_schedule_each_message_taken_in_is_received_once() {
    support::on_every_schedule(|| {
        let mailbox = Mailbox::bounded(2);
        let (sent, received) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let (mailbox, received) = (mailbox.clone(), received.clone());
                spawn(move || {
                    loop {
                        match mailbox.recv_timeout(SECOND) {
                            Ok(Recv::Message(message)) => received.borrow_mut().push(message),
                            Ok(Recv::Exit) => return,
                            Err(_) => {}
                        }
                        sleep(SECOND / 4 * (random_u64() % 3) as u32);
                    }
                })
            })
            .collect();
        let senders: Vec<_> = (0..5)
            .map(|sender| {
                let (mailbox, sent) = (mailbox.clone(), sent.clone());
                spawn(move || {
                    for number in 0..8 {
                        match with_timeout(SECOND, || mailbox.send((sender, number))) {
                            Ok(Ok(())) => sent.set(sent.get() + 1),
                            Ok(Err(_)) => return,
                            Err(_) => {}
                        }
                        assert!(mailbox.len() <= 2);
                    }
                })
            })
            .collect();
        for _ in 0..4 {
            sleep(SECOND / 3 * (random_u64() % 4) as u32);
            senders[random_u64() as usize % 5].cancel();
            // The last receiver is left.
            receivers[random_u64() as usize % 3].cancel();
        }
        if random_u64().is_multiple_of(2) {
            mailbox.stop();
        }
        senders.into_iter().for_each(|sender| drop(sender.join()));
        mailbox.stop();
        receivers.into_iter().for_each(|receiver| drop(receiver.join()));
        let mut received = received.take();
        received.sort_unstable();
        let count = received.len();
        received.dedup();
        assert_eq!((received.len(), count, mailbox.len()), (sent.get(), sent.get(), 0));
    });
}
