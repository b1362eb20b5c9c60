//! The channel on which every receiver sees every message.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{BroadcastReceiver, BroadcastRecvError, BroadcastSender, Unheard, broadcast};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinHandle, random_u64, sleep, spawn, with_timeout, yield_now};

use BroadcastRecvError::{Closed, Empty, Lagged, Refused, TimedOut};

const SECOND: Duration = Duration::from_secs(1);

fn listener(receiver: BroadcastReceiver<u32>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let log = log.clone();
    spawn(move || {
        let message = receiver.recv();
        log.add(format!("{name} {message:?}"));
    })
}

#[test]
fn every_receiver_sees_every_message_in_order() {
    test::run(|| {
        let (sender, first) = broadcast(4);
        let second = sender.subscribe();
        assert_eq!(sender.send(1), Ok(2));
        assert_eq!(sender.send(2), Ok(2));
        for receiver in [first, second] {
            assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
            assert_eq!(receiver.try_recv(), Err(Empty));
        }
        assert!(sender.is_empty());
    });
}

#[test]
fn a_slow_receiver_is_told_how_many_it_missed_and_goes_on_with_the_oldest_kept() {
    test::run(|| {
        let (sender, slow) = broadcast(2);
        let quick = sender.subscribe();
        for number in 0..5 {
            sender.send(number).unwrap();
            assert_eq!(quick.recv(), Ok(number));
        }
        assert_eq!((sender.len(), slow.len(), quick.len()), (2, 2, 0));
        assert_eq!([slow.recv(), slow.recv(), slow.recv()], [Err(Lagged(3)), Ok(3), Ok(4)]);
        assert_eq!(slow.try_recv(), Err(Empty));
    });
}

#[test]
fn a_message_is_gone_when_the_last_receiver_has_seen_it_or_left() {
    test::run(|| {
        let (sender, first) = broadcast(8);
        let second = sender.subscribe();
        let message = Rc::new(());
        sender.send(message.clone()).unwrap();
        sender.send(message.clone()).unwrap();
        drop(first.recv().unwrap());
        drop(second);
        assert_eq!((Rc::strong_count(&message), sender.len()), (2, 1));
        drop(first);
        assert_eq!((Rc::strong_count(&message), sender.len()), (1, 0));
    });
}

#[test]
fn a_receiver_made_later_sees_only_what_is_sent_later() {
    test::run(|| {
        let (sender, first) = broadcast(4);
        sender.send(1).unwrap();
        let (second, third) = (sender.subscribe(), first.resubscribe());
        sender.send(2).unwrap();
        assert_eq!([second.recv(), third.recv(), first.recv(), first.recv()], [Ok(2), Ok(2), Ok(1), Ok(2)]);
    });
}

#[test]
fn a_message_that_nobody_will_receive_is_given_back() {
    let (sender, receiver) = broadcast(1);
    drop(receiver);
    assert_eq!(sender.send(7), Err(Unheard(7)));
    let receiver = sender.subscribe();
    assert_eq!(sender.send(8), Ok(1));
    sender.close();
    assert_eq!(sender.send(9), Err(Unheard(9)));
    assert_eq!([receiver.try_recv(), receiver.try_recv()], [Ok(8), Err(Closed)]);
    assert_eq!(Unheard(9).to_string(), "sending to nobody: the channel has no receiver, or was closed");
}

#[test]
fn the_end_of_the_last_sender_ends_the_waits() {
    test::run(|| {
        let (sender, receiver) = broadcast(4);
        let log = Log::new();
        let listeners = [listener(receiver.resubscribe(), &log, "a"), listener(receiver, &log, "b")];
        yield_now();
        let other = sender.clone();
        drop(sender);
        yield_now();
        assert_eq!(log.take(), [""; 0]);
        drop(other);
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        assert_eq!(log.take(), ["a Err(Closed)", "b Err(Closed)"]);
    });
}

#[test]
fn a_receive_has_a_time_limit_if_wanted() {
    test::run(|| {
        let (_sender, receiver) = broadcast::<u32>(4);
        assert_eq!(receiver.recv_timeout(SECOND), Err(TimedOut));
        assert_eq!(grapeshot_core::stats().timers, 0);
    });
}

/// "Cancelled, then woken": the message stays for its receiver's next receive.
#[test]
fn a_receive_cancelled_before_the_message_leaves_it_in_place() {
    test::run(|| {
        let (sender, receiver) = broadcast(4);
        let receiver = Rc::new(receiver);
        let first = spawn({
            let receiver = receiver.clone();
            move || receiver.recv()
        });
        let second = spawn({
            let receiver = receiver.clone();
            move || receiver.recv()
        });
        yield_now();
        first.cancel();
        sender.send(1).unwrap();
        assert_eq!(second.join().unwrap(), Ok(1));
        assert!(first.join().is_err());
    });
}

/// "Woken, then cancelled".
#[test]
fn a_receive_cancelled_after_the_message_has_it() {
    test::run(|| {
        let (sender, receiver) = broadcast(4);
        let log = Log::new();
        let listener = listener(receiver, &log, "a");
        yield_now();
        sender.send(1).unwrap();
        listener.cancel();
        yield_now();
        assert_eq!(log.take(), ["a Ok(1)"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct RecvInDrop(BroadcastReceiver<u32>, Rc<Cell<Option<Result<u32, BroadcastRecvError>>>>);
    impl Drop for RecvInDrop {
        fn drop(&mut self) {
            self.1.set(Some(self.0.recv()));
        }
    }
    test::run(|| {
        let (_sender, receiver) = broadcast(4);
        let seen = Rc::new(Cell::new(None));
        let receiving = RecvInDrop(receiver, seen.clone());
        assert!(
            with_timeout(SECOND, move || {
                let _receiving = receiving;
                sleep(2 * SECOND);
            })
            .is_err()
        );
        assert_eq!(seen.get(), Some(Err(Refused)));
    });
}

#[test]
fn a_destructor_of_a_message_may_send() {
    struct SendInDrop(Option<BroadcastSender<Rc<SendInDrop>>>);
    impl Drop for SendInDrop {
        fn drop(&mut self) {
            if let Some(sender) = &self.0 {
                let _ = sender.send(Rc::new(SendInDrop(None)));
            }
        }
    }
    test::run(|| {
        let (sender, receiver) = broadcast(1);
        sender.send(Rc::new(SendInDrop(Some(sender.clone())))).unwrap();
        // The first is overwritten, and what its destructor sends overwrites the second.
        sender.send(Rc::new(SendInDrop(None))).unwrap();
        assert!(matches!(receiver.recv(), Err(Lagged(2))));
        sender.send(Rc::new(SendInDrop(Some(sender.clone())))).unwrap();
        drop(receiver);
        assert_eq!(sender.len(), 0);
    });
}

#[test]
#[should_panic = "keeps at least one message"]
fn a_channel_that_keeps_nothing_is_refused() {
    broadcast::<u32>(0);
}

/// What a receiver got and what it was told it missed add up to all that was sent, in order, whoever is cancelled.
#[test]
fn on_every_schedule_what_was_received_and_missed_adds_up() {
    support::on_every_schedule(|| {
        let (sender, receiver) = broadcast(3);
        let receivers: Vec<_> = (0..5).map(|_| Rc::new(receiver.resubscribe())).collect();
        drop(receiver);
        let next: Vec<_> = receivers.iter().map(|_| Rc::new(Cell::new(0))).collect();
        let listen = |index: usize| {
            let (receiver, next) = (receivers[index].clone(), next[index].clone());
            spawn(move || {
                loop {
                    match with_timeout(SECOND, || receiver.recv()) {
                        Err(_) => {}
                        Ok(Ok(number)) => assert_eq!(next.replace(number + 1), number),
                        Ok(Err(Lagged(missed))) => next.set(next.get() + missed),
                        Ok(Err(end)) => return assert_eq!(end, Closed),
                    }
                    sleep(SECOND / 4 * (random_u64() % 3) as u32);
                }
            })
        };
        let mut listeners: Vec<_> = (0..5).map(listen).collect();
        for number in 0..30_u64 {
            sender.send(number).unwrap();
            match random_u64() % 4 {
                0 => yield_now(),
                1 => sleep(SECOND / 2),
                2 => {
                    // The next listener goes on where this one was cut off.
                    let index = random_u64() as usize % 5;
                    listeners[index].cancel();
                    let ended = std::mem::replace(&mut listeners[index], spawn(|| ()));
                    let _ = ended.join();
                    listeners[index] = listen(index);
                }
                _ => {}
            }
            assert!(sender.len() <= 3);
        }
        drop(sender);
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        assert!(next.iter().all(|next| next.get() == 30));
    });
}
