//! The races of a wait: woken, cancelled, timed out, armed and withdrawn, in every order.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    JoinError, Reason, State, UnparkError, Unparked, Unparker, Withdrawal, current, now, park, scope, shield, sleep,
    spawn, stats, yield_now,
};

use self::support::{Bell, Note};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

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

/// What a hook that waits is refused with.
fn refusal_of(hook: impl FnOnce(Unparker) + 'static) -> String {
    let handle = spawn(move || {
        let _ = park(Reason::Other("nothing"), None, hook, || Withdrawal::Withdrawn);
    });
    match handle.join() {
        Err(JoinError::Panicked(panic)) => panic.message().to_owned(),
        other => format!("{other:?}"),
    }
}

/// A coroutine queued twice would end twice, and its scope would return while a child still lives.
#[test]
fn a_hook_that_arms_a_wait_must_not_wait_itself() {
    test::run(|| {
        let refused = "a wait inside the hook that arms another: the hook of park must not wait";
        assert_eq!(refusal_of(|_| yield_now()), refused);
        assert_eq!(refusal_of(|_| sleep(SECOND)), refused);
        assert_eq!(refusal_of(|_| scope(|_| ())), refused);
        assert_eq!(refusal_of(|_| spawn(|| ()).join().unwrap()), refused);
        assert_eq!(
            refusal_of(|unparker| {
                unparker.unpark().unwrap();
                yield_now();
            }),
            refused
        );
        yield_now();
    });
}

#[test]
fn a_hook_that_catches_its_own_cancellation_does_not_queue_its_coroutine_twice() {
    test::run(|| {
        let handle = spawn(|| {
            let hook = |_: Unparker| {
                current().cancel();
                for _ in 0..3 {
                    assert!(panic::catch_unwind(yield_now).is_err());
                }
            };
            let _ = park(Reason::Other("nothing"), None, hook, || Withdrawal::Withdrawn);
        });
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_scope_outwaits_a_child_whose_hook_waits() {
    test::run(|| {
        let ended = panic::catch_unwind(|| {
            let shot = Cell::new(0);
            scope(|scope| {
                let shot = &shot;
                scope.spawn(move || {
                    let _ = shield(None, || sleep(SECOND));
                    shot.set(shot.get() + 1);
                });
                scope.spawn(|| {
                    let hook = |unparker: Unparker| {
                        unparker.unpark().unwrap();
                        yield_now();
                    };
                    let _ = park(Reason::Other("nothing"), None, hook, || Withdrawal::Withdrawn);
                });
            });
        });
        assert!(ended.is_err());
        assert_eq!(stats().coroutines, 1);
    });
}
