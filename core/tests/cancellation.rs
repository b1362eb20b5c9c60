//! How cancellation travels: level-triggered, by unwinding, held back by shields, and losing no wake.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    JoinError, Panic, Reason, Runtime, State, UnparkError, Unparked, Unparker, WaitQueue, Withdrawal, current,
    is_cancellation, now, park, random_u64, scope, shield, sleep, spawn, stats, with_timeout, yield_now, yield_slice,
};

use self::support::{Bell, Note, in_child, run_alone};

const SIGABRT: i32 = 6;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// DESIGN §5
#[test]
fn a_cancellation_runs_destructors_from_the_inside_out() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                let _outer = Note(log.clone(), "outer");
                let _inner = Note(log.clone(), "inner");
                sleep(HOUR);
                log.add("not reached");
            }
        });
        yield_now();
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["inner", "outer"]);
    });
}

/// DESIGN §5
#[test]
fn a_cancellation_that_is_caught_comes_again_at_every_wait() {
    test::run(|| {
        let waits: [fn(); 6] = [
            || sleep(HOUR),
            yield_now,
            yield_slice,
            || assert_eq!(Bell::new().wait(), Unparked::Refused),
            || scope(|_| ()),
            || drop(spawn(|| ()).join()),
        ];
        let handle = spawn(move || {
            current().cancel();
            waits.iter().filter(|wait| panic::catch_unwind(**wait).is_err()).count()
        });
        assert_eq!(handle.join().unwrap(), waits.len());
    });
}

/// DESIGN §5
#[test]
fn a_loop_that_catches_every_unwinding_does_not_hold_the_thread() {
    test::run(|| {
        let stop = Rc::new(Cell::new(false));
        let stubborn = spawn({
            let stop = stop.clone();
            move || {
                let mut caught = 0;
                while !stop.get() {
                    caught += usize::from(panic::catch_unwind(|| sleep(HOUR)).is_err());
                }
                caught
            }
        });
        yield_now();
        stubborn.cancel();
        // Timers and the poller get their turn as well.
        for _ in 0..10 {
            sleep(Duration::ZERO);
        }
        stop.set(true);
        assert!(stubborn.join().unwrap() >= 10);
    });
}

/// DESIGN §5: no message, no panic hook.
#[test]
fn a_cancellation_is_no_panic_to_be_reported() {
    test::run(|| {
        let reported = Rc::new(Cell::new(0));
        let notified = reported.clone();
        grapeshot_core::set_panic_notifier(move |_, _| notified.set(notified.get() + 1));
        let sleeper = spawn(|| {
            let payload = panic::catch_unwind(|| sleep(HOUR)).unwrap_err();
            assert!(is_cancellation(&*payload));
            panic::resume_unwind(payload);
        });
        yield_now();
        sleeper.cancel();
        drop(sleeper);
        yield_now();
        assert_eq!(reported.get(), 0);
        assert!(!is_cancellation(&"a panic"));
    });
}

/// A payload kept from a limit that is over names no limit that comes later.
#[test]
fn an_old_cancellation_raised_again_is_not_taken_for_a_limit_of_now() {
    test::run(|| {
        let old = Rc::new(RefCell::new(None));
        let kept = old.clone();
        let _ = with_timeout(Duration::ZERO, || {
            *kept.borrow_mut() = panic::catch_unwind(|| sleep(HOUR)).err();
        });
        let payload = old.take().unwrap();
        let handle = spawn(move || {
            let result = with_timeout(HOUR, move || panic::resume_unwind(payload));
            unreachable!("{result:?} although an hour has not passed");
        });
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    });
}

/// DESIGN §5
#[test]
fn a_shield_holds_a_cancellation_back_until_it_ends() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                let shielded = shield(None, || {
                    sleep(SECOND);
                    log.add("cleaned up");
                    7
                });
                log.add(format!("{shielded:?}"));
                yield_now();
                log.add("not reached");
            }
        });
        yield_now();
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["cleaned up", "Ok(7)"]);
    });
}

#[test]
fn a_shield_may_have_a_limit_of_its_own() {
    test::run(|| {
        let handle = spawn(|| {
            let began = now();
            let shielded = shield(SECOND, || sleep(HOUR));
            assert_eq!(shielded.unwrap_err().limit(), Some(SECOND));
            assert_eq!(now() - began, SECOND);
            assert_eq!(shield(SECOND, || 7), Ok(7));
            yield_now();
            unreachable!("it was cancelled");
        });
        yield_now();
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn limits_inside_a_shield_work_and_those_outside_wait() {
    test::run(|| {
        let began = now();
        let outer = with_timeout(SECOND, || {
            shield(None, || {
                assert!(with_timeout(2 * SECOND, || sleep(HOUR)).is_err());
                assert_eq!(now() - began, 2 * SECOND);
                // A shield in a shield hides the limit in between.
                assert!(with_timeout(SECOND, || shield(None, || sleep(2 * SECOND)).unwrap()).is_ok());
            })
            .unwrap();
            sleep(HOUR);
        });
        assert!(outer.is_err());
        assert_eq!(now() - began, 4 * SECOND);
    });
}

/// `SCH-13`: any frame may suspend, C's as well; only unwinding stops there.
extern "C" fn called_from_c() {
    sleep(HOUR);
}

extern "C" fn called_from_c_with_a_shield() {
    shield(None, || sleep(HOUR)).unwrap();
}

/// `SCH-13`
#[test]
fn a_callback_from_c_may_wait() {
    test::run(|| {
        let began = now();
        called_from_c();
        assert_eq!(now() - began, HOUR);
    });
}

/// DESIGN §5
#[test]
fn a_cancellation_beneath_a_frame_of_c_aborts() {
    if in_child() {
        test::run(|| {
            let _ = with_timeout(SECOND, || called_from_c());
        });
        unreachable!("the process should have aborted");
    }
    let ended = run_alone("a_cancellation_beneath_a_frame_of_c_aborts");
    assert_eq!(ended.signal(), Some(SIGABRT), "{ended:?}");
    assert!(ended.stderr.contains("panic in a function that cannot unwind"), "{ended:?}");
    let sentence = "cancelled beneath a function that cannot unwind: callbacks from C that wait belong under a shield";
    assert!(ended.stderr.contains(sentence), "{ended:?}");
}

extern "C" fn panics_in_c() {
    panic!("powder wet");
}

/// The panic itself would otherwise be lost: nobody is left to report it.
#[test]
fn a_panic_beneath_a_frame_of_c_aborts_and_is_reported_first() {
    if in_child() {
        test::run(|| panics_in_c());
        unreachable!("the process should have aborted");
    }
    let ended = run_alone("a_panic_beneath_a_frame_of_c_aborts_and_is_reported_first");
    assert_eq!(ended.signal(), Some(SIGABRT), "{ended:?}");
    assert!(ended.stderr.contains("coroutine 1 (main) panicked: powder wet, at core/tests/"), "{ended:?}");
    assert!(ended.stderr.contains("panic in a function that cannot unwind"), "{ended:?}");
}

/// DESIGN §5
#[test]
fn a_shield_makes_a_callback_from_c_safe() {
    test::run(|| {
        let began = now();
        let cut = with_timeout(SECOND, || {
            called_from_c_with_a_shield();
            yield_now();
        });
        assert!(cut.is_err());
        assert_eq!(now() - began, HOUR);
    });
}

/// DESIGN §5
#[test]
fn a_panic_in_a_destructor_that_unwinds_aborts_and_is_reported_first() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    if in_child() {
        test::run(|| {
            let _panics = Panics;
            panic!("first");
        });
        unreachable!("the process should have aborted");
    }
    let ended = run_alone("a_panic_in_a_destructor_that_unwinds_aborts_and_is_reported_first");
    assert_eq!(ended.signal(), Some(SIGABRT), "{ended:?}");
    assert!(ended.stderr.contains("coroutine 1 (main) panicked: second, at core/tests/"), "{ended:?}");
    assert!(ended.stderr.contains("panic in a destructor during cleanup"), "{ended:?}");
}

/// DESIGN §4: woken, then cancelled. The wake counts.
#[test]
fn a_park_that_is_woken_and_then_cancelled_was_woken() {
    test::run(|| {
        let (bell, log) = (Bell::new(), Log::new());
        let handle = spawn({
            let (bell, log) = (bell.clone(), log.clone());
            move || {
                log.add(format!("{:?}", bell.wait()));
                yield_now();
            }
        });
        yield_now();
        assert_eq!(bell.unparker().unpark(), Ok(()));
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["Woken"]);
        assert!(!bell.was_withdrawn());
    });
}

/// DESIGN §4: cancelled, then woken. The waker hears of it, and can wake another.
#[test]
fn a_park_that_is_cancelled_refuses_a_later_wake() {
    test::run(|| {
        let bell = Bell::new();
        let handle = spawn({
            let bell = bell.clone();
            move || bell.wait()
        });
        yield_now();
        handle.cancel();
        assert_eq!(bell.unparker().unpark(), Err(UnparkError::WaitOver));
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert!(bell.was_withdrawn());
        assert_eq!(bell.unparker().unpark(), Err(UnparkError::Dead));
    });
}

/// DESIGN §4, `THR-4`: to schedule a coroutine that is dead, runs or is scheduled already is an error.
#[test]
fn a_late_unpark_does_not_end_the_next_wait() {
    test::run(|| {
        let (first, second) = (Bell::new(), Bell::new());
        let handle = spawn({
            let (first, second) = (first.clone(), second.clone());
            move || {
                let _ = first.wait();
                assert_eq!(first.unparker().unpark(), Err(UnparkError::WaitOver));
                second.wait()
            }
        });
        yield_now();
        let unparker = first.unparker();
        assert_eq!(unparker.unpark(), Ok(()));
        assert_eq!(unparker.unpark(), Err(UnparkError::WaitOver));
        yield_now();
        assert_eq!(unparker.unpark(), Err(UnparkError::WaitOver));
        assert_eq!(handle.coroutine().info().state, State::Parked);
        assert_eq!(second.unparker().unpark(), Ok(()));
        assert_eq!(handle.join().unwrap(), Unparked::Woken);
        assert_eq!(unparker.unpark(), Err(UnparkError::Dead));
    });
}

#[test]
fn a_park_ends_at_its_deadline() {
    test::run(|| {
        let began = now();
        let withdrawn = Cell::new(0);
        let withdraw = || {
            withdrawn.set(withdrawn.get() + 1);
            Withdrawal::Withdrawn
        };
        let ended = park(Reason::Other("nothing"), Some(began + SECOND), |_| (), withdraw);
        assert_eq!((ended, withdrawn.get()), (Unparked::TimedOut, 1));
        assert_eq!(now() - began, SECOND);
        let ended = park(Reason::Other("nothing"), Some(began), |_| (), || Withdrawal::Withdrawn);
        assert_eq!(ended, Unparked::TimedOut);
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_wait_may_be_ended_while_it_is_armed() {
    test::run(|| {
        let arm = |unparker: Unparker| unparker.unpark().unwrap();
        let withdraw = || unreachable!("it was woken");
        assert_eq!(park(Reason::Other("nothing"), None, arm, withdraw), Unparked::Woken);
        assert_eq!(park(Reason::Other("nothing"), Some(now() + SECOND), arm, withdraw), Unparked::Woken);
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_coroutine_cancelled_while_its_wait_is_armed_withdraws_it() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                let withdraw = || {
                    log.add("withdrawn");
                    Withdrawal::Withdrawn
                };
                park(Reason::Other("nothing"), None, |_| current().cancel(), withdraw)
            }
        });
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["withdrawn"]);
    });
}

/// The state is put right, whatever the arming had done.
#[test]
fn a_wait_whose_arming_panics_leaves_the_coroutine_able_to_wait() {
    test::run(|| {
        let armed: [fn(Unparker); 2] = [
            |_| panic!("cannot arm"),
            |unparker| {
                unparker.unpark().unwrap();
                panic!("cannot arm");
            },
        ];
        for arm in armed {
            let deadline = Some(now() + SECOND);
            let wait = || park(Reason::Other("nothing"), deadline, arm, || Withdrawal::Withdrawn);
            assert!(panic::catch_unwind(AssertUnwindSafe(wait)).is_err());
            assert_eq!(current().info().state, State::Running);
            assert_eq!((stats().timers, stats().runnable), (0, 0));
            let began = now();
            sleep(SECOND);
            assert_eq!(now() - began, SECOND);
        }
    });
}

#[test]
fn a_wait_whose_withdrawal_panics_leaves_the_coroutine_able_to_wait() {
    test::run(|| {
        let wait = || {
            let deadline = Some(now() + SECOND);
            park(Reason::Other("nothing"), deadline, |_| (), || panic!("cannot withdraw"))
        };
        assert!(panic::catch_unwind(wait).is_err());
        let began = now();
        sleep(SECOND);
        assert_eq!((now() - began, stats().timers), (SECOND, 0));
    });
}

/// What the kernel still works on must stay where it is until the completion comes (DESIGN §4).
#[test]
fn a_requested_withdrawal_stays_parked_until_its_completion() {
    test::run(|| {
        let log = Log::new();
        let completion = Rc::new(RefCell::new(None::<Unparker>));
        let handle = spawn({
            let (log, completion) = (log.clone(), completion.clone());
            move || {
                let _note = Note(log.clone(), "unwound");
                let withdraw = || {
                    log.add("requested");
                    Withdrawal::Requested
                };
                park(
                    Reason::Other("a completion"),
                    None,
                    |unparker| *completion.borrow_mut() = Some(unparker),
                    withdraw,
                )
            }
        });
        yield_now();
        handle.cancel();
        sleep(HOUR);
        assert_eq!(log.take(), ["requested"]);
        // Deaf to further cancellation.
        handle.cancel();
        yield_now();
        assert!(log.take().is_empty());
        assert_eq!(handle.coroutine().info().state, State::Parked);
        completion.take().unwrap().unpark().unwrap();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["unwound"]);
    });
}

#[test]
fn a_requested_withdrawal_at_a_deadline_ends_with_the_completion_as_timed_out() {
    test::run(|| {
        let completion = Rc::new(RefCell::new(None::<Unparker>));
        let armed = completion.clone();
        spawn(move || {
            sleep(HOUR);
            completion.take().unwrap().unpark().unwrap();
        });
        let began = now();
        let arm = |unparker| *armed.borrow_mut() = Some(unparker);
        let ended = park(Reason::Other("a completion"), Some(began + SECOND), arm, || Withdrawal::Requested);
        assert_eq!((ended, now() - began), (Unparked::TimedOut, HOUR));
    });
}

/// DESIGN §4
#[test]
fn a_sleep_that_ended_and_is_then_cancelled_has_ended() {
    test::run(|| {
        let log = Log::new();
        let canceller = Rc::new(RefCell::new(None::<grapeshot_core::Coroutine>));
        // Its timer is the first, so it runs between the end of the other's sleep and the other's turn.
        spawn({
            let canceller = canceller.clone();
            move || {
                sleep(SECOND);
                canceller.take().unwrap().cancel();
            }
        });
        let sleeper = spawn({
            let log = log.clone();
            move || {
                sleep(SECOND);
                log.add("slept");
                sleep(SECOND);
            }
        });
        *canceller.borrow_mut() = Some(sleeper.coroutine());
        assert!(matches!(sleeper.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["slept"]);
        assert_eq!(stats().timers, 0);
    });
}

/// DESIGN §4
#[test]
fn a_joiner_cancelled_after_the_end_of_the_joined_has_its_result() {
    test::run(|| {
        let bell = Bell::new();
        let joined = spawn({
            let bell = bell.clone();
            move || {
                let _ = bell.wait();
                7
            }
        });
        let log = Log::new();
        let joiner = spawn({
            let log = log.clone();
            move || {
                log.add(format!("{:?}", joined.join().unwrap()));
                yield_now();
                log.add("not reached");
            }
        });
        yield_now();
        bell.unparker().unpark().unwrap();
        // The joined one ends, and its joiner is runnable behind this coroutine.
        let watcher = spawn({
            let joiner = joiner.coroutine();
            move || {
                if joiner.info().state == State::Ready {
                    joiner.cancel();
                }
            }
        });
        watcher.join().unwrap();
        assert!(matches!(joiner.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["7"]);
    });
}

/// DESIGN §4
#[test]
fn a_joiner_that_is_cancelled_leaves_the_joined_alone() {
    test::run(|| {
        let joined = spawn(|| {
            sleep(SECOND);
            7
        });
        let joiner = spawn({
            let joined = joined.coroutine();
            move || joined.wait_finished()
        });
        let other = spawn({
            let joined = joined.coroutine();
            move || joined.wait_finished()
        });
        yield_now();
        joiner.cancel();
        assert!(matches!(joiner.join(), Err(JoinError::Cancelled)));
        other.join().unwrap().unwrap();
        assert_eq!(joined.join().unwrap(), 7);
    });
}

#[test]
fn waiters_for_an_end_are_woken_in_the_order_they_came_whoever_gave_up() {
    test::run(|| {
        let joined = spawn(|| sleep(SECOND));
        let log = Log::new();
        let waiter = |name: &'static str| {
            let (joined, log) = (joined.coroutine(), log.clone());
            spawn(move || {
                joined.wait_finished().unwrap();
                log.add(name);
            })
        };
        let (first, _second) = (waiter("first"), waiter("second"));
        yield_now();
        first.cancel();
        yield_now();
        let _third = waiter("third");
        yield_now();
        joined.join().unwrap();
        assert_eq!(log.take(), ["second", "third"]);
    });
}

/// A coroutine behind the poller is runnable: its wait is over, and the next one is cut.
#[test]
fn a_coroutine_cancelled_while_it_is_behind_the_poller_is_unwound_there() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                let _note = Note(log.clone(), "unwound");
                yield_slice();
                log.add("not reached");
            }
        });
        yield_now();
        assert_eq!(handle.coroutine().info().state, State::Ready);
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["unwound"]);
    });
}

/// A frame that ends takes its own limit along, whichever was noticed.
#[test]
fn limits_that_pass_while_their_coroutine_unwinds_do_not_outlive_their_work() {
    struct Spins;
    impl Drop for Spins {
        fn drop(&mut self) {
            // The inner limit passes as well before it is left.
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_micros(100) {}
        }
    }
    Test::new().real_time().run(|| {
        let outer = with_timeout(Duration::from_micros(50), || {
            with_timeout(Duration::from_micros(100), || {
                let _spins = Spins;
                sleep(HOUR);
            })
        });
        assert!(outer.is_err());
        yield_slice();
        sleep(Duration::ZERO);
        assert_eq!(stats().timers, 0);
    });
}

/// `THR-10`: `thread::panicking` tells whether the coroutine that runs unwinds, never whether another does.
#[test]
fn no_coroutine_ever_runs_while_another_unwinds() {
    struct Looks;
    impl Drop for Looks {
        fn drop(&mut self) {
            assert!(thread::panicking());
            yield_now();
            sleep(SECOND);
        }
    }
    support::on_every_schedule(|| {
        let handles: Vec<_> = (0..10)
            .map(|index| {
                spawn(move || {
                    let _looks = (index % 2 == 0).then_some(Looks);
                    for _ in 0..10 {
                        assert!(!thread::panicking());
                        yield_now();
                    }
                    if index % 2 == 0 {
                        sleep(HOUR);
                    }
                })
            })
            .collect();
        for _ in 0..random_u64() % 10 {
            yield_now();
        }
        handles.iter().step_by(2).for_each(|handle| handle.cancel());
        handles.into_iter().for_each(|handle| drop(handle.join()));
    });
}

/// DESIGN §4: as many wakes arrive as were given, whoever is cancelled in between.
#[test]
fn on_every_schedule_no_wake_is_lost_between_waits_and_cancellations() {
    support::on_every_schedule(|| {
        let queue = Rc::new(WaitQueue::new());
        let got = Rc::new(Cell::new(0));
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let (queue, got) = (queue.clone(), got.clone());
                spawn(move || {
                    if queue.wait(Reason::Other("a wake")) {
                        got.set(got.get() + 1);
                    }
                    yield_now();
                })
            })
            .collect();
        let waker = spawn({
            let queue = queue.clone();
            move || {
                let mut given = 0;
                for _ in 0..5 {
                    given += usize::from(queue.wake_one());
                    if random_u64().is_multiple_of(2) {
                        yield_now();
                    }
                }
                given
            }
        });
        for _ in 0..10 {
            let chosen = random_u64() as usize % waiters.len();
            waiters[chosen].cancel();
            if random_u64().is_multiple_of(2) {
                yield_now();
            }
        }
        let given: usize = waker.join().unwrap();
        waiters.iter().for_each(|waiter| waiter.cancel());
        waiters.into_iter().for_each(|waiter| drop(waiter.join()));
        assert_eq!(got.get(), given);
        assert!(queue.is_empty());
    });
}

/// A panic while a wait is withdrawn, a payload passed on, or a runtime inside: none of it makes a cancellation stick.
#[test]
fn a_caught_panic_and_a_caught_cancellation_are_told_apart() {
    test::run(|| {
        let handle = spawn(|| {
            let payload = panic::catch_unwind(|| panic!("powder wet")).unwrap_err();
            assert!(!is_cancellation(&*payload));
            assert_eq!(Panic::from_payload(payload).message(), "powder wet");
            sleep(HOUR);
        });
        yield_now();
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    });
}

/// A runtime is over when `main` has ended, however the rest was cancelled.
#[test]
fn main_may_be_cancelled_like_any_other() {
    let exit = Runtime::new().signals(false).run(|| {
        current().cancel();
        sleep(HOUR);
    });
    assert!(matches!(exit, Ok(grapeshot_core::Exit::Requested(0))), "{exit:?}");
}
