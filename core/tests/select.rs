//! Waiting for whichever of several events comes first.

mod support;

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{self, RecvError, SendError};
use grapeshot_core::select::{Arm, IntoArm, Selectable, after, at, select_any, select_in_order, try_select_any};
use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    Direction, JoinError, Reason, Source, WaitQueue, current, now, select, sleep, spawn, stats, with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// A connected pair of which the first end can be waited on.
#[expect(clippy::unwrap_used, reason = "a part of tests")]
fn source_and_peer() -> (Source<UnixStream>, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Source::new(ours), peer)
}

#[test]
fn the_event_that_comes_first_is_taken() {
    test::run(|| {
        let (sender, numbers) = channel::bounded(1);
        let (_words_sender, words) = channel::bounded::<&str>(1);
        spawn(move || {
            sleep(SECOND);
            sender.send(1).unwrap();
        });
        let began = now();
        select! {
            number = numbers => assert_eq!(number, Ok(1)),
            word = words => panic!("nobody sent {word:?}"),
            () = after(SECOND * 2) => panic!("it is late"),
        }
        assert_eq!(now() - began, SECOND);
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_timer_ends_a_select_when_nothing_else_does() {
    test::run(|| {
        let (_sender, receiver) = channel::bounded::<()>(1);
        let began = now();
        let which = select! {
            _ = receiver => "item",
            () = at(began + SECOND * 3) => "late",
            () = after(SECOND * 2) => "soon",
        };
        assert_eq!((which, now() - began), ("soon", SECOND * 2));
        assert_eq!(stats().timers, 0);
        select! {
            _ = receiver => unreachable!(),
            () = after(Duration::ZERO) => {}
        }
        assert_eq!(now() - began, SECOND * 2);
    });
}

#[test]
fn a_send_is_an_event_too_and_what_was_not_sent_comes_back() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(1);
        let sent = select! { sent = sender.sending(1) => sent };
        assert_eq!(sent, Ok(()));

        let mut sending = sender.sending(2);
        assert_eq!(select_any(&mut [&mut sending, &mut after(SECOND)]), 1);
        assert_eq!(sending.into_item(), Some(2));

        drop(receiver);
        let sent = select! { sent = sender.sending(3) => sent };
        assert_eq!(sent, Err(SendError::Disconnected(3)));
    });
}

/// SYL-3, over a select at either end or at both.
#[test]
fn a_rendezvous_meets_in_a_select() {
    test::run(|| {
        let (sender, receiver) = channel::rendezvous();
        let sending = spawn(move || {
            sender.send(1).unwrap();
            select! { sent = sender.sending(2) => sent.unwrap(), }
            select! { sent = sender.sending(3) => sent.unwrap(), }
            select! { sent = sender.sending(4) => sent, }
        });
        let next = || select! { item = receiver => item, };
        assert_eq!([next(), receiver.recv(), next()], [Ok(1), Ok(2), Ok(3)]);
        yield_now();
        receiver.close();
        assert_eq!(sending.join().unwrap(), Err(SendError::Disconnected(4)));
        assert_eq!(next(), Err(RecvError::Disconnected));
    });
}

#[test]
fn joins_are_events_and_give_the_result() {
    test::run(|| {
        let slow = spawn(|| sleep(SECOND * 2));
        let quick = spawn(|| {
            sleep(SECOND);
            "done"
        });
        select! {
            _ = slow => panic!("the slow one came first"),
            result = quick => assert_eq!(result.unwrap(), "done"),
        }
        let child = slow.coroutine();
        select! { ended = child => ended.unwrap(), }
        slow.join().unwrap();
    });
}

#[test]
fn a_join_that_would_never_end_is_an_error() {
    test::run(|| {
        let itself = current();
        select! { ended = itself => assert!(matches!(ended, Err(JoinError::WouldDeadlock { .. }))), }
    });
}

#[test]
fn several_selects_and_joins_may_wait_for_one_coroutine() {
    test::run(|| {
        let slow = Rc::new(spawn(|| sleep(SECOND)));
        let waiters = [false, true, false, true].map(|plainly| {
            let coroutine = slow.coroutine();
            spawn(move || match plainly {
                true => coroutine.wait_finished().unwrap(),
                false => select! {
                    ended = coroutine => ended.unwrap(),
                    () = after(SECOND * 2) => panic!("nobody told"),
                },
            })
        });
        let early = slow.coroutine();
        select! {
            _ = early => panic!("too early"),
            () = after(SECOND / 2) => {},
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn a_oneshot_can_be_waited_for_again_after_another_arm_was_taken() {
    test::run(|| {
        let (sender, mut answer) = channel::oneshot();
        select! {
            _ = answer => panic!("there is no answer"),
            () = after(SECOND) => {},
        }
        spawn(move || sender.send(1).unwrap());
        select! {
            answer = answer => assert_eq!(answer, Ok(1)),
            () = after(SECOND) => panic!("the answer is late"),
        }
    });
}

#[test]
fn readiness_of_a_descriptor_is_an_event() {
    Test::new().real_time().run(|| {
        let (source, peer) = source_and_peer();
        let (sender, receiver) = channel::bounded(1);
        let next = || {
            select! {
                ready = source.ready(Direction::Read, "read") => ready.map(|()| "readable"),
                _ = receiver => Ok("item"),
            }
        };
        spawn(move || sender.send(()).unwrap());
        assert_eq!(next().unwrap(), "item");
        let writing = spawn(move || {
            rustix::io::write(&peer, b"x").unwrap();
            peer
        });
        // A second sender is not there, so the channel is ready with its error: it does not take part.
        let ready = select! { ready = source.ready(Direction::Read, "read") => ready };
        ready.unwrap();
        select! { ready = source.ready(Direction::Write, "write") => ready.unwrap() };
        drop(writing.join());
        source.close();
        let closed = select! { ready = source.ready(Direction::Read, "read") => ready };
        assert_eq!(closed.unwrap_err().to_string(), "read: closed by this program");
    });
}

/// POL-1: one waiter per descriptor and direction; the second is told who the first is, and the first is not harmed.
#[test]
fn a_second_waiter_on_a_descriptor_is_refused_in_a_select_as_elsewhere() {
    Test::new().real_time().run(|| {
        let (source, peer) = source_and_peer();
        let source = Rc::new(source);
        let first = spawn({
            let source = source.clone();
            move || {
                select! {
                    ready = source.ready(Direction::Read, "read") => ready,
                    () = after(SECOND * 60) => panic!("nobody told"),
                }
            }
        });
        yield_now();
        let refused = select! { ready = source.ready(Direction::Read, "peek") => ready }.unwrap_err();
        assert!(refused.to_string().starts_with("peek: coroutine 2"), "{refused}");
        rustix::io::write(&peer, b"x").unwrap();
        first.join().unwrap().unwrap();
    });
}

#[test]
fn an_arm_on_a_descriptor_that_lost_leaves_its_place() {
    Test::new().real_time().run(|| {
        let (source, peer) = source_and_peer();
        select! {
            _ = source.ready(Direction::Read, "read") => panic!("nothing was written"),
            () = after(Duration::from_millis(1)) => {}
        }
        let source = Rc::new(source);
        let plain = spawn({
            let source = source.clone();
            move || source.wait_ready(Direction::Read, "read", grapeshot_core::WaitLimit::Never)
        });
        yield_now();
        rustix::io::write(&peer, b"x").unwrap();
        plain.join().unwrap().unwrap();
    });
}

#[test]
fn a_wait_queue_can_be_an_arm_and_a_losing_one_gives_its_place_up() {
    test::run(|| {
        let queue = Rc::new(WaitQueue::new());
        let waiting = spawn({
            let queue = queue.clone();
            move || {
                select! {
                    () = queue => panic!("nobody woke it"),
                    () = after(SECOND) => {}
                }
                assert!(queue.is_empty());
                select! { () = queue => "woken" }
            }
        });
        sleep(SECOND * 2);
        assert_eq!(queue.len(), 1);
        assert!(queue.wake_one());
        assert_eq!(waiting.join().unwrap(), "woken");
    });
}

/// DESIGN §4: both wakes come before the select runs; the second is refused and reaches the next.
#[test]
fn a_wake_that_comes_after_another_arm_has_won_goes_to_the_next_waiter() {
    test::run(|| {
        let (first, second) = (Rc::new(WaitQueue::new()), Rc::new(WaitQueue::new()));
        let selecting = spawn({
            let (first, second) = (first.clone(), second.clone());
            move || {
                select! {
                    () = first => "first",
                    () = second => "second",
                }
            }
        });
        yield_now();
        let next = spawn({
            let second = second.clone();
            move || second.wait(Reason::Other("the second event"))
        });
        yield_now();
        assert!(first.wake_one());
        assert!(second.wake_one());
        assert_eq!(selecting.join().unwrap(), "first");
        assert!(next.join().unwrap());
        assert!(!second.wake_one());
    });
}

/// The wake found nobody who could accept it, and the state it tells of may have changed for the one who selects.
#[test]
fn a_wake_that_comes_while_another_arm_was_woken_for_nothing_is_not_lost() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(1);
        let queue = Rc::new(WaitQueue::new());
        let selecting = spawn({
            let (queue, receiver) = (queue.clone(), receiver.clone());
            move || {
                select! {
                    _ = receiver => "item",
                    () = queue => "turn",
                }
            }
        });
        yield_now();
        sender.send(1).unwrap();
        assert!(!queue.wake_one());
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(selecting.join().unwrap(), "turn");
    });
}

/// DESIGN §4, "cancelled, then woken" and "woken, then cancelled".
#[test]
fn a_cancelled_select_takes_nothing_and_a_woken_one_keeps_what_it_was_given() {
    test::run(|| {
        for (sender, receiver) in [channel::bounded(1), channel::rendezvous()] {
            let selecting = || {
                let receiver = receiver.clone();
                spawn(move || {
                    select! {
                        item = receiver => item.unwrap(),
                        () = after(SECOND * 60) => panic!("nothing came"),
                    }
                })
            };
            let (cancelled, next) = (selecting(), selecting());
            yield_now();
            cancelled.cancel();
            sender.send("item").unwrap();
            next.cancel();
            assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
            assert_eq!(next.join().unwrap(), "item");
            assert_eq!(stats().timers, 0);
        }
    });
}

#[test]
fn when_somebody_else_was_faster_a_woken_select_waits_on() {
    test::run(|| {
        let (sender, receiver) = channel::bounded(1);
        let selecting = spawn({
            let receiver = receiver.clone();
            move || select! { item = receiver => item }
        });
        yield_now();
        sender.send(1).unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
        sleep(SECOND);
        assert!(!selecting.is_finished());
        sender.send(2).unwrap();
        assert_eq!(selecting.join().unwrap(), Ok(2));
    });
}

#[test]
fn losing_arms_leave_nothing_behind() {
    test::run(|| {
        let (sender, receiver) = channel::rendezvous::<u32>();
        let (full, _held) = channel::bounded(1);
        full.send(0).unwrap();
        let (queue, slow) = (WaitQueue::new(), spawn(|| sleep(SECOND * 9)));
        let (other_sender, other) = channel::rendezvous::<u32>();
        for _ in 0..3 {
            select! {
                _ = receiver => panic!(),
                _ = other_sender.sending(1) => panic!(),
                _ = full.sending(1) => panic!(),
                () = queue => panic!(),
                _ = slow => panic!(),
                () = after(SECOND) => {}
                () = after(SECOND * 2) => panic!(),
            }
        }
        assert!(
            with_timeout(SECOND, || select! { _ = receiver => panic!(), _ = other_sender.sending(1) => panic!() })
                .is_err()
        );
        assert!(sender.try_send(1).is_err(), "the receiver's request is still there");
        assert!(other.try_recv().is_err(), "the sender's offer is still there");
        assert!(queue.is_empty());
        assert_eq!(stats().timers, 1, "the sleep of the slow one");
        slow.join().unwrap();
    });
}

#[test]
fn ready_arms_are_chosen_evenly() {
    test::run(|| {
        let channels = [(); 4].map(|()| channel::unbounded());
        for (sender, _) in &channels {
            (0..4000).for_each(|_| sender.send(()).unwrap());
        }
        let mut taken = [0; 4];
        for _ in 0..4000 {
            let mut arms = channels.each_ref().map(|(_, receiver)| receiver.into_arm());
            let mut arms = arms.each_mut().map(|arm| arm as &mut dyn Selectable);
            taken[select_any(&mut arms)] += 1;
        }
        assert!(taken.iter().all(|&times| (900..1100).contains(&times)), "{taken:?}");
    });
}

#[test]
fn a_biased_select_takes_the_first_that_is_ready() {
    test::run(|| {
        let (sender, receiver) = channel::unbounded();
        for _ in 0..100 {
            sender.send(1).unwrap();
            select! {
                biased;
                () = after(SECOND) => panic!("it is not ready"),
                item = receiver => assert_eq!(item, Ok(1)),
                () = after(Duration::ZERO) => panic!("it comes later"),
            }
        }
        assert_eq!(select_in_order(&mut [&mut after(Duration::ZERO), &mut after(Duration::ZERO)]), 0);
    });
}

#[test]
fn with_a_default_a_select_does_not_wait() {
    let (sender, receiver) = channel::unbounded();
    let look = || {
        select! {
            item = receiver => item.ok(),
            default => None,
        }
    };
    assert_eq!(look(), None);
    sender.send(1).unwrap();
    assert_eq!(look(), Some(1));
    assert_eq!(try_select_any(&mut [&mut receiver.into_arm()]), None);
}

#[test]
fn an_arm_that_is_left_out_is_never_ready() {
    test::run(|| {
        let limit = None::<grapeshot_core::select::Timer>;
        select! {
            () = limit => panic!("there is no limit"),
            () = after(SECOND) => {}
        }
    });
}

#[test]
fn a_dynamic_set_of_arms_gives_the_index() {
    test::run(|| {
        let channels: Vec<_> = (0..40).map(|_| channel::bounded(1)).collect();
        let last = channels[37].0.clone();
        spawn(move || {
            sleep(SECOND);
            last.send("here").unwrap();
        });
        let mut arms: Vec<_> = channels.iter().map(|(_, receiver)| receiver.into_arm()).collect();
        let mut dynamic: Vec<_> = arms.iter_mut().map(|arm| arm as &mut dyn Selectable).collect();
        let chosen = select_any(&mut dynamic);
        assert_eq!((chosen, arms.swap_remove(chosen).into_output()), (37, Ok("here")));
    });
}

#[test]
fn expressions_may_leave_the_loop_around_the_select() {
    fn sum(receiver: &channel::Receiver<i32>) -> Result<i32, RecvError> {
        let mut sum = 0;
        loop {
            select! {
                item = receiver => {
                    let item = item?;
                    if item == 0 {
                        continue;
                    }
                    sum += item;
                }
                () = after(SECOND) => break Ok(sum),
            }
        }
    }
    test::run(|| {
        let (sender, receiver) = channel::unbounded();
        [1, 0, 2].into_iter().for_each(|item| sender.send(item).unwrap());
        assert_eq!(sum(&receiver), Ok(3));
        drop(sender);
        assert_eq!(sum(&receiver), Err(RecvError::Disconnected));
    });
}

#[test]
#[should_panic(expected = "there are no arms")]
fn a_select_without_arms_is_refused() {
    test::run(|| select_any(&mut []));
}

/// A coroutine that unwinds does not wait (DESIGN §5).
#[test]
fn while_a_coroutine_unwinds_a_select_gives_an_error_instead_of_waiting() {
    struct AskInDrop(Rc<Cell<Option<Result<u32, RecvError>>>>);
    impl Drop for AskInDrop {
        fn drop(&mut self) {
            let (_sender, receiver) = channel::bounded(1);
            self.0.set(Some(select! {
                item = receiver => item,
                () = after(SECOND) => panic!("it waited"),
            }));
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

/// Where no arm has an error to give, going on is impossible.
#[test]
fn while_a_coroutine_unwinds_a_select_over_times_alone_aborts_with_a_sentence() {
    struct WaitInDrop;
    impl Drop for WaitInDrop {
        fn drop(&mut self) {
            select! { () = after(SECOND) => {} }
        }
    }
    if support::in_child() {
        test::run(|| {
            let unwinding = spawn(|| {
                let _waiting = WaitInDrop;
                sleep(SECOND);
            });
            yield_now();
            unwinding.cancel();
            drop(unwinding.join());
        });
        return;
    }
    let ended = support::run_alone("while_a_coroutine_unwinds_a_select_over_times_alone_aborts_with_a_sentence");
    assert_eq!(ended.signal(), Some(6), "{ended:?}");
    assert!(ended.stderr.contains("select in a coroutine that unwinds"), "{ended:?}");
}
