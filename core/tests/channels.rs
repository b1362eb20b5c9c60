//! Channels between the coroutines of one thread.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{self, Overflow, Prefer, RecvError, RecvTimeoutError, Sender};
use grapeshot_core::channel::{SendError, SendTimeoutError, TryRecvError, TrySendError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinError, now, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Runs `f` when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn items_come_out_in_the_order_they_went_in() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(3);
        let producer = spawn(move || (0..100).for_each(|number| sender.send(number).unwrap()));
        assert!(receiver.iter().eq(0..100));
        producer.join().unwrap();
    });
}

#[test]
fn a_send_to_a_full_channel_waits_for_room() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(2);
        let log = Log::new();
        let producer = spawn({
            let log = log.clone();
            move || {
                for number in 0..3 {
                    sender.send(number).unwrap();
                    log.add(format!("sent {number}"));
                }
            }
        });
        yield_now();
        assert_eq!(log.take(), ["sent 0", "sent 1"]);
        assert_eq!((receiver.len(), receiver.capacity()), (2, Some(2)));
        assert_eq!(receiver.recv(), Ok(0));
        yield_now();
        assert_eq!(log.take(), ["sent 2"]);
        producer.join().unwrap();
    });
}

#[test]
fn a_send_to_an_unbounded_channel_never_waits() {
    test::run(|| {
        let (sender, receiver) = channel::unbounded();
        (0..1000).for_each(|number| sender.send(number).unwrap());
        assert_eq!((sender.len(), sender.capacity()), (1000, None));
        assert!(receiver.try_iter().eq(0..1000));
    });
}

#[test]
fn what_does_not_wait_works_outside_a_coroutine() {
    let (sender, receiver) = channel::bounded(1);
    sender.send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
#[should_panic(expected = "not inside a coroutine")]
fn a_wait_outside_a_coroutine_is_refused_with_a_sentence() {
    let (_sender, receiver) = channel::bounded::<()>(1);
    let _ = receiver.recv();
}

#[test]
fn when_the_last_sender_is_gone_receivers_drain_and_then_hear_of_it() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(4);
        let second = sender.clone();
        sender.send("a").unwrap();
        drop(sender);
        assert!(!receiver.is_closed());
        second.send("b").unwrap();
        drop(second);
        assert_eq!([receiver.recv(), receiver.recv()], [Ok("a"), Ok("b")]);
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    });
}

#[test]
fn a_receiver_that_waits_hears_that_the_last_sender_is_gone() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded::<()>(1), channel::unbounded(), channel::rendezvous()] {
            let receivers = [receiver.clone(), receiver].map(|receiver| spawn(move || receiver.recv()));
            yield_now();
            drop(sender);
            assert!(receivers.into_iter().all(|receiver| receiver.join().unwrap() == Err(RecvError::Disconnected)));
        }
    });
}

#[test]
fn when_the_last_receiver_is_gone_senders_get_their_items_back() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            // A rendezvous has no room for the first.
            let _ = sender.try_send("first");
            let waiting = spawn({
                let sender = sender.clone();
                move || sender.send("second")
            });
            yield_now();
            drop(receiver);
            assert_eq!(waiting.join().unwrap(), Err(SendError::Disconnected("second")));
            assert_eq!(sender.send("third"), Err(SendError::Disconnected("third")));
            assert_eq!(sender.try_send("fourth"), Err(TrySendError::Disconnected("fourth")));
        }
    });
}

/// An item that holds the channel it is in does not keep it alive, and may look at it while it is dropped.
#[test]
fn items_that_nobody_will_receive_are_dropped_with_the_last_receiver() {
    test::run(|| {
        let (sender, receiver) = channel::unbounded();
        let dropped = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let (sender, dropped) = (sender.clone(), dropped.clone());
            sender
                .clone()
                .send(Box::new(OnDrop(move || {
                    assert!(sender.is_closed() && sender.is_empty());
                    dropped.set(dropped.get() + 1);
                })) as Box<dyn std::any::Any>)
                .unwrap();
        }
        drop(receiver);
        assert_eq!((dropped.get(), sender.sender_count()), (3, 1));
    });
}

#[test]
fn closing_lets_receivers_drain_and_senders_fail() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(1);
        sender.send(1).unwrap();
        let waiting = spawn({
            let sender = sender.clone();
            move || sender.send(2)
        });
        yield_now();
        assert!(receiver.close());
        assert!(!sender.close());
        assert_eq!(waiting.join().unwrap(), Err(SendError::Disconnected(2)));
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Err(RecvError::Disconnected)]);
    });
}

#[test]
fn a_limit_on_a_receive_or_a_send_ends_it_with_an_error() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let began = now();
            assert_eq!(receiver.recv_timeout(SECOND), Err(RecvTimeoutError::Timeout));
            let _ = sender.try_send(1);
            assert_eq!(sender.send_timeout(2, SECOND), Err(SendTimeoutError::Timeout(2)));
            assert_eq!(now() - began, SECOND * 2);
            receiver.try_iter().for_each(|item| assert_eq!(item, 1));
            assert_eq!(stats().timers, 0);
        }
    });
}

#[test]
fn a_limit_beyond_the_end_of_time_is_none() {
    test::run(|| {
        let (sender, receiver) = channel::rendezvous();
        let sending = spawn(move || sender.send_timeout(1, Duration::MAX));
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
        assert_eq!(sending.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_full_channel_refuses_if_it_was_made_to() {
    test::run(|| {
        let (sender, receiver) = channel::bounded_with(1, Overflow::Refuse);
        sender.send(1).unwrap();
        assert_eq!(sender.send(2), Err(SendError::Full(2)));
        assert_eq!(sender.send_timeout(3, SECOND), Err(SendTimeoutError::Full(3)));
        assert_eq!(receiver.recv(), Ok(1));
        sender.send(4).unwrap();
    });
}

#[test]
fn a_full_channel_drops_the_oldest_or_the_newest_if_it_was_made_to() {
    test::run(|| {
        for (overflow, kept) in [(Overflow::DropOldest, [3, 4]), (Overflow::DropNewest, [1, 2])] {
            let (sender, receiver) = channel::bounded_with(2, overflow);
            (1..=4).for_each(|number| sender.send(number).unwrap());
            assert!(receiver.try_iter().eq(kept));
        }
    });
}

/// No borrow is alive while an item is dropped.
#[test]
fn an_item_that_overflows_may_use_the_channel_while_it_is_dropped() {
    test::run(|| {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let (sender, receiver) = channel::bounded_with(1, overflow);
            let seen = Rc::new(RefCell::new(Vec::new()));
            for _ in 0..2 {
                let (weak, seen) = (receiver.clone(), seen.clone());
                let item: Box<dyn std::any::Any> = Box::new(OnDrop(move || seen.borrow_mut().push(weak.len())));
                sender.send(item).unwrap();
            }
            assert_eq!(*seen.borrow(), [1]);
            drop(receiver.recv());
        }
    });
}

#[test]
#[should_panic(expected = "holds at least one item")]
fn a_channel_that_overflows_and_holds_nothing_is_refused() {
    let _ = channel::bounded_with::<()>(0, Overflow::DropOldest);
}

/// SYL-3: a send into a rendezvous waits until somebody has taken the item.
#[test]
fn a_send_into_a_rendezvous_waits_for_a_receiver() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(0);
        assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
        let sending = spawn(move || sender.send(1));
        sleep(SECOND);
        assert!(!sending.is_finished());
        assert_eq!((receiver.len(), receiver.capacity()), (0, Some(0)));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(sending.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_try_send_into_a_rendezvous_finds_the_receiver_that_waits() {
    test::run(|| {
        let (sender, receiver) = channel::rendezvous();
        let receiving = spawn({
            let receiver = receiver.clone();
            move || receiver.recv()
        });
        yield_now();
        sender.try_send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        // It has been given to the one who waited, whoever asks first.
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiving.join().unwrap(), Ok(1));
    });
}

/// SYL-3: the preference says who runs first after the two have met.
#[test]
fn a_rendezvous_lets_the_side_it_prefers_run_first() {
    let order = |prefer, receiver_first: bool| {
        test::run(move || {
            let log = Log::new();
            let (sender, receiver) = channel::rendezvous_with(prefer);
            let send = |sender: Sender<()>, log: Log| {
                spawn(move || {
                    sender.send(()).unwrap();
                    log.add("sender");
                })
            };
            let sending = (!receiver_first).then(|| send(sender.clone(), log.clone()));
            let receiving = spawn({
                let log = log.clone();
                move || {
                    receiver.recv().unwrap();
                    log.add("receiver");
                }
            });
            let sending = sending.unwrap_or_else(|| send(sender, log.clone()));
            sending.join().unwrap();
            receiving.join().unwrap();
            log.take()
        })
    };
    for receiver_first in [false, true] {
        assert_eq!(order(Prefer::Sender, receiver_first), ["sender", "receiver"]);
        assert_eq!(order(Prefer::Receiver, receiver_first), ["receiver", "sender"]);
    }
    assert_eq!(order(Prefer::Neither, false), ["receiver", "sender"]);
    assert_eq!(order(Prefer::Neither, true), ["sender", "receiver"]);
}

/// Giving way must not lose what the receiver holds.
#[test]
fn a_receiver_that_gives_way_and_is_cancelled_keeps_its_item() {
    test::run(|| {
        let (sender, receiver) = channel::rendezvous_with(Prefer::Sender);
        let (kept, sees) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let sending = spawn({
            let sees = sees.clone();
            move || {
                sender.send(7).unwrap();
                let receiving: Option<grapeshot_core::JoinHandle<()>> = sees.take();
                receiving.unwrap().cancel();
            }
        });
        yield_now();
        let receiving = spawn({
            let kept = kept.clone();
            move || {
                kept.set(receiver.recv().unwrap());
                sleep(SECOND);
                unreachable!("it has been cancelled");
            }
        });
        sees.set(Some(receiving));
        sending.join().unwrap();
        sleep(SECOND);
        assert_eq!(kept.get(), 7);
    });
}

/// DESIGN §4, "cancelled, then woken": the wake goes to the next waiter.
#[test]
fn an_item_passes_over_receivers_that_have_been_cancelled() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let receivers = [(); 3].map(|()| {
                let receiver = receiver.clone();
                spawn(move || receiver.recv())
            });
            yield_now();
            receivers[0].cancel();
            receivers[1].cancel();
            sender.send("item").unwrap();
            let [first, second, third] = receivers;
            assert_eq!(third.join().unwrap(), Ok("item"));
            assert!(matches!(first.join(), Err(JoinError::Cancelled)));
            assert!(matches!(second.join(), Err(JoinError::Cancelled)));
        }
    });
}

/// DESIGN §4, "woken, then cancelled": the one who was given it keeps it.
#[test]
fn a_receiver_that_was_woken_and_is_then_cancelled_has_its_item() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let receiving = spawn(move || receiver.recv());
            yield_now();
            sender.send("item").unwrap();
            receiving.cancel();
            assert_eq!(receiving.join().unwrap(), Ok("item"));
        }
    });
}

/// DESIGN §4, both races at the other end: room passes over a cancelled sender, whose item is not sent.
#[test]
fn room_passes_over_senders_that_have_been_cancelled() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let _ = sender.try_send(0);
            let senders = [1, 2, 3].map(|number| {
                let sender = sender.clone();
                spawn(move || sender.send(number))
            });
            yield_now();
            senders[0].cancel();
            drop(sender);
            // What was cancelled in the middle of its wait has not sent.
            let received: Vec<_> = receiver.iter().filter(|&number| number != 0).collect();
            assert_eq!(received, [2, 3]);
        }
    });
}

#[test]
fn a_sender_that_was_woken_and_is_then_cancelled_has_sent() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let _ = sender.try_send(0);
            let sending = spawn(move || sender.send(1));
            yield_now();
            let first = receiver.recv().unwrap();
            sending.cancel();
            assert_eq!(sending.join().unwrap(), Ok(()));
            assert_eq!([Some(first), receiver.try_recv().ok()].into_iter().flatten().last(), Some(1));
        }
    });
}

#[test]
fn a_cancelled_wait_leaves_no_place_behind() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            assert!(with_timeout(SECOND, || receiver.recv()).is_err());
            let _ = sender.try_send(1);
            assert!(with_timeout(SECOND, || sender.send(2)).is_err());
            assert!(receiver.try_iter().all(|item| item == 1));
            assert_eq!(sender.try_send(3).is_ok(), sender.capacity() == Some(1));
        }
    });
}

#[test]
fn a_cancelled_coroutine_is_caught_by_a_send_that_need_not_wait() {
    test::run(|| {
        let (sender, receiver) = channel::unbounded();
        let endless = spawn(move || {
            loop {
                sender.send(()).unwrap();
                if sender.len() == 3 {
                    grapeshot_core::current().cancel();
                }
            }
        });
        assert!(matches!(endless.join(), Err(JoinError::Cancelled)));
        assert_eq!(receiver.len(), 3);
    });
}

/// A coroutine that unwinds does not wait (DESIGN §5): what its destructors ask for gives an error.
#[test]
fn while_a_coroutine_unwinds_a_channel_gives_errors_instead_of_waiting() {
    test::run(|| {
        let seen = Rc::new(Cell::new(false));
        let unwinding = spawn({
            let seen = seen.clone();
            move || {
                let _on_drop = OnDrop(move || {
                    for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
                        assert_eq!(receiver.recv(), Err(RecvError::Refused));
                        assert_eq!(receiver.recv_timeout(SECOND), Err(RecvTimeoutError::Refused));
                        let fits = sender.try_send(1).is_ok();
                        assert_eq!(sender.send(2), Err(SendError::Refused(2)));
                        assert_eq!(sender.send_timeout(3, SECOND), Err(SendTimeoutError::Refused(3)));
                        // What needs no wait is done.
                        assert_eq!(receiver.recv().is_ok(), fits);
                    }
                    seen.set(true);
                });
                sleep(SECOND * 1000);
            }
        });
        yield_now();
        unwinding.cancel();
        assert!(unwinding.join().is_err());
        assert!(seen.get());
    });
}

#[test]
fn errors_say_what_happened_and_give_the_item_back() {
    struct Plain;
    let error = SendError::Disconnected(Plain);
    assert_eq!(error.to_string(), "send: the channel is closed or has no receiver left");
    assert_eq!(format!("{error:?}"), "Disconnected(..)");
    let Plain = error.into_inner();
    assert_eq!(TrySendError::Full(1).to_string(), "send: the channel is full");
    assert_eq!(SendTimeoutError::Timeout(1).into_inner(), 1);
    assert_eq!(RecvTimeoutError::Timeout.to_string(), "recv timed out: the channel stayed empty");
    let (sender, receiver) = channel::bounded::<Plain>(2);
    assert_eq!(format!("{sender:?}"), "Sender { len: 0, capacity: Some(2), closed: false }");
    assert!(receiver.same_channel(&receiver.clone()) && sender.same_channel(&sender.clone()));
}

#[test]
fn many_senders_and_receivers_share_a_channel() {
    support::on_every_schedule(|| {
        let (sender, receiver) = channel::bounded(2);
        let senders = [0, 100, 200].map(|base| {
            let sender = sender.clone();
            spawn(move || (base..base + 10).for_each(|number| sender.send(number).unwrap()))
        });
        drop(sender);
        let receivers = [(); 2].map(|()| {
            let receiver = receiver.clone();
            spawn(move || receiver.into_iter().sum::<i32>())
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let sum: i32 = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
        assert_eq!(sum, 45 * 3 + 3000);
    });
}
