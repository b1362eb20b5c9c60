//! How cancellation travels: level-triggered, by unwinding, held back by shields, and losing no wake.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{self};
use std::process::{ExitCode, Termination};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    JoinError, Panic, Reason, Runtime, State, Unparked, WaitQueue, current, is_cancellation, now, random_u64, scope,
    shield, sleep, spawn, stats, with_timeout, yield_now, yield_slice,
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

/// A runtime is over when `main` has ended, and a program whose work was cut off has not succeeded.
#[test]
fn main_may_be_cancelled_like_any_other() {
    let exit = Runtime::new().signals(false).run(|| {
        current().cancel();
        sleep(HOUR);
    });
    assert!(matches!(exit, Ok(grapeshot_core::Exit::Cancelled)), "{exit:?}");
    assert_eq!(exit.unwrap().report(), ExitCode::FAILURE);
}
