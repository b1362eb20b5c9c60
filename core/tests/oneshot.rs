//! The channel for one item.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{self, RecvError, TryRecvError};
use grapeshot_core::test;
use grapeshot_core::{JoinError, now, random_u64, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_item_waits_for_the_receiver_or_the_receiver_for_the_item() {
    test::run(|| {
        let (sender, receiver) = channel::oneshot();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));

        let (sender, receiver) = channel::oneshot();
        spawn(move || {
            sleep(SECOND);
            sender.send(2).unwrap();
        });
        assert_eq!(receiver.recv(), Ok(2));
    });
}

#[test]
fn a_try_recv_says_whether_there_is_something_to_wait_for() {
    let (sender, mut receiver) = channel::oneshot();
    assert!(!receiver.is_closed());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send(1).unwrap();
    assert!(receiver.is_closed());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn a_receiver_hears_that_the_sender_was_dropped() {
    test::run(|| {
        let (sender, receiver) = channel::oneshot::<()>();
        let receiving = spawn(move || receiver.recv());
        yield_now();
        drop(sender);
        assert_eq!(receiving.join().unwrap(), Err(RecvError::Disconnected));
    });
}

#[test]
fn a_sender_gets_its_item_back_when_the_receiver_is_gone() {
    test::run(|| {
        let (sender, receiver) = channel::oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send("item"), Err("item"));
    });
}

#[test]
fn a_sender_can_wait_for_the_receiver_to_go() {
    test::run(|| {
        let (mut sender, receiver) = channel::oneshot::<()>();
        let watching = spawn(move || {
            sender.closed();
            // The second time there is nothing to wait for.
            sender.closed();
            now()
        });
        let began = now();
        sleep(SECOND);
        drop(receiver);
        assert_eq!(watching.join().unwrap() - began, SECOND);
    });
}

#[test]
fn a_sender_that_gives_up_waiting_for_the_receiver_to_go_can_still_send() {
    test::run(|| {
        let (mut sender, receiver) = channel::oneshot();
        assert!(with_timeout(SECOND, || sender.closed()).is_err());
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
    });
}

/// DESIGN §4, "cancelled, then woken": there is no next waiter, so the item goes back.
#[test]
fn an_item_sent_to_a_receiver_that_has_been_cancelled_comes_back() {
    test::run(|| {
        let (sender, receiver) = channel::oneshot();
        let receiving = spawn(move || receiver.recv());
        yield_now();
        receiving.cancel();
        assert_eq!(sender.send("item"), Err("item"));
        assert!(matches!(receiving.join(), Err(JoinError::Cancelled)));
    });
}

/// DESIGN §4, "woken, then cancelled": the one who was given it keeps it.
#[test]
fn a_receiver_that_was_woken_and_is_then_cancelled_has_its_item() {
    test::run(|| {
        let (sender, receiver) = channel::oneshot();
        let receiving = spawn(move || receiver.recv());
        yield_now();
        sender.send("item").unwrap();
        receiving.cancel();
        assert_eq!(receiving.join().unwrap(), Ok("item"));
    });
}

#[test]
fn an_item_that_nobody_took_is_dropped_with_the_receiver() {
    let (sender, receiver) = channel::oneshot();
    let item = Rc::new(());
    sender.send(item.clone()).unwrap();
    assert_eq!(Rc::strong_count(&item), 2);
    drop(receiver);
    assert_eq!(Rc::strong_count(&item), 1);
}

/// A coroutine that unwinds does not wait (DESIGN §5).
#[test]
fn while_a_coroutine_unwinds_a_receive_fails_instead_of_waiting() {
    struct AskInDrop(Rc<Cell<Option<Result<u32, RecvError>>>>);
    impl Drop for AskInDrop {
        fn drop(&mut self) {
            let (mut sender, receiver) = channel::oneshot();
            sender.closed();
            self.0.set(Some(receiver.recv()));
            assert_eq!(sender.send(1), Err(1));
        }
    }
    test::run(|| {
        let seen = Rc::new(Cell::new(None));
        let asking = AskInDrop(seen.clone());
        let unwinding = spawn(move || {
            let _asking = asking;
            sleep(SECOND);
        });
        yield_now();
        unwinding.cancel();
        assert!(unwinding.join().is_err());
        assert_eq!(seen.get(), Some(Err(RecvError::Refused)));
    });
}

/// DESIGN §4: whatever is cancelled when, an item that was sent has been received, or its receiver has been dropped.
#[test]
fn on_every_schedule_a_call_is_answered_or_the_answer_comes_back() {
    support::on_every_schedule(|| {
        let calls: Vec<_> = (0..6)
            .map(|number| {
                let (sender, receiver) = channel::oneshot();
                let received = Rc::new(Cell::new(false));
                let asking = spawn({
                    let received = received.clone();
                    move || {
                        assert_eq!(receiver.recv(), Ok(number));
                        received.set(true);
                    }
                });
                let answering = spawn(move || {
                    sleep(SECOND * (random_u64() % 2) as u32);
                    sender.send(number).is_ok()
                });
                (asking, answering, received)
            })
            .collect();
        sleep(SECOND * (random_u64() % 2) as u32);
        calls[random_u64() as usize % 6].0.cancel();
        calls[random_u64() as usize % 6].0.cancel();
        for (asking, answering, received) in calls {
            let cancelled = asking.join().is_err();
            let sent = answering.join().unwrap();
            assert_eq!(received.get(), !cancelled);
            assert!(sent || cancelled, "an answer came back and its asker was there");
        }
    });
}
