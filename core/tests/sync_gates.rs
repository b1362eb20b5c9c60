//! News, latches, counts, barriers, and values made once.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{Barrier, Notify, NotifyError, Once, OnceEvent, WaitError, WaitGroup};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinError, JoinHandle, now, scope, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Spawns a coroutine that logs its name and what it was woken with.
fn listener(notify: &Rc<Notify<u32>>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (notify, log) = (notify.clone(), log.clone());
    spawn(move || match notify.wait() {
        Ok(value) => log.add(format!("{name} {value}")),
        Err(error) => log.add(format!("{name} {error}")),
    })
}

fn notify_and_log() -> (Rc<Notify<u32>>, Log) {
    (Rc::new(Notify::new()), Log::new())
}

/// `SYN-5`: `wake_one`, `wake_n` and `wake_all` say whom they reached, and `len` who is left.
#[test]
fn news_goes_to_those_who_have_waited_longest() {
    test::run(|| {
        let (notify, log) = notify_and_log();
        let _listeners = ["a", "b", "c", "d", "e"].map(|name| listener(&notify, &log, name));
        yield_now();
        assert_eq!(notify.len(), 5);
        assert!(notify.wake_one(1));
        assert_eq!((notify.wake_n(0, 2), notify.wake_n(2, 3), notify.len()), (0, 2, 2));
        assert_eq!((notify.wake_all(4), notify.wake_n(9, 5), notify.is_empty()), (2, 0, true));
        yield_now();
        assert_eq!(log.take(), ["a 1", "b 3", "c 3", "d 4", "e 4"]);
        assert_eq!(format!("{notify:?}"), "Notify(0 waiting)");
    });
}

/// `SYN-5`: no memory, a wake with nobody waiting is lost.
#[test]
fn news_that_nobody_waits_for_is_lost() {
    test::run(|| {
        let (notify, _) = notify_and_log();
        assert!(!notify.wake_one(1));
        assert_eq!(notify.wake_all(2), 0);
        assert!(matches!(notify.wait_until(now() + SECOND), Err(NotifyError::TimedOut)));
        assert!(with_timeout(SECOND, || notify.wait()).is_err());
        assert_eq!((notify.len(), stats().timers), (0, 0));
    });
}

/// `SYN-5`: `raise_all(exc)`.
#[test]
fn an_error_ends_every_wait() {
    test::run(|| {
        let (notify, log) = notify_and_log();
        let _listeners = ["a", "b"].map(|name| listener(&notify, &log, name));
        yield_now();
        assert_eq!(notify.raise_all(io::Error::other("the line is cut")), 2);
        yield_now();
        let said = |name| format!("{name} the wait was ended by an error: the line is cut");
        assert_eq!(log.take(), [said("a"), said("b")]);
        assert_eq!(notify.raise_all(io::Error::other("again")), 0);
    });
}

#[test]
fn a_raised_error_can_be_looked_into() {
    test::run(|| {
        let (notify, _) = notify_and_log();
        let listener = spawn({
            let notify = notify.clone();
            move || notify.wait().unwrap_err()
        });
        yield_now();
        notify.raise_all(WaitError::TimedOut);
        let error = listener.join().unwrap();
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<WaitError>(), Some(&WaitError::TimedOut));
    });
}

/// `SYN-5`, DESIGN §4, cancelled and then woken: of six waiters five are cancelled, and the sixth is told.
#[test]
fn news_passes_over_listeners_that_have_been_cancelled() {
    test::run(|| {
        let (notify, log) = notify_and_log();
        let listeners = ["a", "b", "c", "d", "e"].map(|name| listener(&notify, &log, name));
        let last = listener(&notify, &log, "last");
        yield_now();
        listeners.iter().for_each(|listener| listener.cancel());
        assert_eq!(notify.wake_all(7), 1);
        last.join().unwrap();
        assert_eq!(log.take(), ["last 7"]);
    });
}

/// `SYN-5`, DESIGN §4, woken and then cancelled: each keeps what it was told.
#[test]
fn a_listener_that_is_cancelled_after_it_was_woken_keeps_its_news() {
    test::run(|| {
        let (notify, log) = notify_and_log();
        let listeners = ["a", "b"].map(|name| listener(&notify, &log, name));
        let last = listener(&notify, &log, "last");
        yield_now();
        assert_eq!(notify.wake_n(2, 7), 2);
        listeners.iter().for_each(|listener| listener.cancel());
        yield_now();
        assert_eq!((log.take(), notify.len()), (vec!["a 7".to_owned(), "b 7".to_owned()], 1));
        last.cancel();
    });
}

struct WaitsWhenCloned {
    notify: Rc<Notify<WaitsWhenCloned>>,
}

impl Clone for WaitsWhenCloned {
    fn clone(&self) -> WaitsWhenCloned {
        assert!(self.notify.wait_until(now() + SECOND).is_err());
        WaitsWhenCloned { notify: self.notify.clone() }
    }
}

#[test]
fn a_value_may_wait_for_the_same_news_while_it_is_cloned() {
    test::run(|| {
        let notify = Rc::new(Notify::new());
        let listener = spawn({
            let notify = notify.clone();
            move || drop(notify.wait())
        });
        yield_now();
        assert_eq!(notify.wake_all(WaitsWhenCloned { notify: notify.clone() }), 1);
        listener.join().unwrap();
    });
}

/// `SYN-3`: `acquire` adds, `release` subtracts, both never block; at exactly 0 all are woken.
#[test]
fn those_who_wait_for_a_count_of_zero_are_woken_by_the_last_that_is_done() {
    test::run(|| {
        let (group, log) = (Rc::new(WaitGroup::new()), Log::new());
        group.wait();
        group.add(3);
        let _waiters = ["a", "b"].map(|name| {
            let (group, log) = (group.clone(), log.clone());
            spawn(move || {
                group.wait();
                log.add(name);
            })
        });
        yield_now();
        group.done(2);
        sleep(SECOND);
        assert_eq!((log.take().len(), group.waiters(), group.count()), (0, 2, 1));
        group.done(1);
        group.add(1);
        yield_now();
        assert_eq!(log.take(), ["a", "b"], "it was zero, whatever it is now");
        assert_eq!(group.wait_until(now() + SECOND), Err(WaitError::TimedOut));
    });
}

/// `SYN-3`, DESIGN §4, both orders.
#[test]
fn cancelled_waiters_for_zero_take_nobodys_wake() {
    test::run(|| {
        let (group, log) = (Rc::new(WaitGroup::new()), Log::new());
        group.add(1);
        let waiters = ["cancelled", "woken", "other"].map(|name| {
            let (group, log) = (group.clone(), log.clone());
            spawn(move || {
                group.wait();
                log.add(name);
                yield_now();
            })
        });
        yield_now();
        waiters[0].cancel();
        group.done(1);
        waiters[1].cancel();
        let ended = waiters.map(|waiter| waiter.join().is_ok());
        assert_eq!((log.take(), ended), (vec!["woken".to_owned(), "other".to_owned()], [false, false, true]));
    });
}

/// `SYN-3`: a member that is cancelled or panics is done as well.
#[test]
fn a_member_is_done_whatever_becomes_of_it() {
    test::run(|| {
        let group = Rc::new(WaitGroup::new());
        let members = [true, false].map(|panics| {
            let member = group.enter();
            spawn(move || {
                let _member = member;
                sleep(SECOND);
                assert!(!panics, "as it should");
                sleep(SECOND);
            })
        });
        assert_eq!(group.count(), 2);
        sleep(SECOND / 2);
        members[1].cancel();
        group.wait();
        assert!(members.map(JoinHandle::join).iter().all(Result::is_err));
    });
}

#[test]
#[should_panic(expected = "WaitGroup::done: 2 are done, and only 1 were added")]
fn more_that_are_done_than_were_added_are_refused() {
    let group = WaitGroup::new();
    group.add(1);
    group.done(2);
}

/// `SYN-7`: once fired, `wait()` returns what is stored at once.
#[test]
fn nobody_comes_too_late_for_an_event() {
    test::run(|| {
        let event = Rc::new(OnceEvent::new());
        let early = spawn({
            let event = event.clone();
            move || *event.wait()
        });
        yield_now();
        assert!(!event.has_fired() && event.value().is_none());
        assert_eq!((event.waiters(), event.wait_until(now() + SECOND)), (1, Err(WaitError::TimedOut)));
        assert_eq!(event.fire(7), Ok(()));
        assert_eq!(event.fire(8), Err(8));
        assert_eq!((*event.wait(), event.wait_until(now()), event.value()), (7, Ok(&7), Some(&7)));
        assert_eq!(early.join().unwrap(), 7);
        assert_eq!(Rc::into_inner(event).unwrap().into_inner(), Some(7));
    });
}

/// `SYN-7`, DESIGN §4, both orders.
#[test]
fn an_event_reaches_all_but_those_cancelled_before_it() {
    test::run(|| {
        let (event, log) = (Rc::new(OnceEvent::new()), Log::new());
        let waiters = ["before", "after", "never"].map(|name| {
            let (event, log) = (event.clone(), log.clone());
            spawn(move || {
                log.add(format!("{name} {}", event.wait()));
            })
        });
        yield_now();
        waiters[0].cancel();
        event.fire(1).unwrap();
        waiters[1].cancel();
        yield_now();
        assert_eq!(log.take(), ["after 1", "never 1"]);
        assert_eq!(event.waiters(), 0);
    });
}

#[test]
fn a_barrier_opens_when_all_have_come_and_closes_again() {
    test::run(|| {
        let barrier = Barrier::new(3);
        scope(|scope| {
            let began = now();
            let comers = [1, 2, 3].map(|seconds| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut led = 0;
                    for round in 1..=2 {
                        sleep(SECOND * seconds);
                        led += u32::from(barrier.wait().is_leader());
                        assert_eq!(now() - began, SECOND * 3 * round);
                    }
                    led
                })
            });
            assert_eq!(comers.map(|comer| comer.join().unwrap()), [0, 0, 2], "the last to come leads");
        });
        assert!(Barrier::new(0).wait().is_leader() && Barrier::new(1).wait().is_leader());
    });
}

/// DESIGN §4, cancelled and then woken: what is still in line, but has been cancelled, has not come.
#[test]
fn a_barrier_does_not_count_one_that_was_cancelled() {
    test::run(|| {
        let (barrier, log) = (Rc::new(Barrier::new(2)), Log::new());
        let comer = |name| {
            let (barrier, log) = (barrier.clone(), log.clone());
            spawn(move || {
                let leads = barrier.wait().is_leader();
                log.add(format!("{name} {leads}"));
                yield_now();
            })
        };
        let cancelled = comer("cancelled");
        yield_now();
        let second = comer("second");
        cancelled.cancel();
        sleep(SECOND);
        assert_eq!((log.take().len(), barrier.waiters()), (0, 1));
        let third = comer("third");
        third.join().unwrap();
        second.join().unwrap();
        assert_eq!(log.take(), ["third true", "second false"]);
    });
}

/// DESIGN §4, woken and then cancelled: it came, and so the others go on.
#[test]
fn a_barrier_has_opened_for_one_that_is_cancelled_afterwards() {
    test::run(|| {
        let barrier = Rc::new(Barrier::new(2));
        let first = spawn({
            let barrier = barrier.clone();
            move || {
                barrier.wait();
                sleep(SECOND);
            }
        });
        yield_now();
        assert!(barrier.wait().is_leader());
        first.cancel();
        assert!(matches!(first.join(), Err(JoinError::Cancelled)));
        assert_eq!(barrier.waiters(), 0);
    });
}

#[test]
fn a_value_is_made_once_while_others_wait_for_it() {
    test::run(|| {
        let (once, made) = (Once::new(), Cell::new(0));
        assert!(once.get().is_none());
        let began = now();
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let value = once.get_or_init(|| {
                        sleep(SECOND);
                        made.set(made.get() + 1);
                        "made"
                    });
                    assert_eq!((*value, now() - began), ("made", SECOND));
                });
            }
        });
        assert_eq!((made.get(), once.get().copied(), once.into_inner()), (1, Some("made"), Some("made")));
    });
}

#[test]
fn the_next_in_line_makes_the_value_when_one_fails_panics_or_is_cancelled() {
    test::run(|| {
        let (once, log) = (Rc::new(Once::new()), Log::new());
        let maker = |name: &'static str, make: fn() -> Result<u32, &'static str>| {
            let (once, log) = (once.clone(), log.clone());
            spawn(move || {
                let made = once.get_or_try_init(|| {
                    log.add(name);
                    make()
                });
                made.copied()
            })
        };
        let fails = maker("fails", || Err("as it should"));
        let panics = maker("panics", || {
            yield_now();
            panic!("as it should")
        });
        let cancelled = maker("cancelled", || {
            sleep(SECOND * 9);
            Ok(1)
        });
        let gone = maker("gone", || Ok(2));
        let makes = maker("makes", || {
            yield_now();
            Ok(3)
        });
        let finds = maker("finds", || Ok(4));
        sleep(SECOND);
        gone.cancel();
        cancelled.cancel();
        assert_eq!(fails.join().unwrap(), Err("as it should"));
        assert!(matches!(panics.join(), Err(JoinError::Panicked(_))));
        assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
        assert_eq!((makes.join().unwrap(), finds.join().unwrap()), (Ok(3), Ok(3)));
        assert_eq!(log.take(), ["fails", "panics", "cancelled", "makes"]);
        assert!(gone.is_finished());
    });
}

/// DESIGN §4, woken and then cancelled: who was to make the value next lets the one after it.
#[test]
fn one_that_is_cancelled_when_it_was_to_make_the_value_lets_the_next() {
    test::run(|| {
        let once = Rc::new(Once::new());
        let maker = |value| {
            let once = once.clone();
            spawn(move || {
                *once.get_or_init(|| {
                    sleep(SECOND);
                    value
                })
            })
        };
        let makers = [1, 2, 3].map(maker);
        sleep(SECOND / 2);
        makers[0].cancel();
        yield_now();
        makers[1].cancel();
        let [first, second, third] = makers;
        assert!(first.join().is_err() && second.join().is_err());
        assert_eq!(third.join().unwrap(), 3);
    });
}

/// `SYN-8`: what could only hang is a panic that says who would wait for whom.
#[test]
fn an_initialiser_that_asks_for_its_own_value_panics() {
    test::run(|| {
        let once = Rc::new(Once::new());
        let asks = spawn({
            let once = once.clone();
            move || *once.get_or_init(|| *once.get_or_init(|| 1))
        });
        let Err(JoinError::Panicked(panic)) = asks.join() else { panic!("it did not panic") };
        let said = panic.to_string();
        assert!(said.contains("coroutine 2 spawned at") && said.contains("makes the value already"), "{said}");
        assert_eq!(*once.get_or_init(|| 2), 2);
    });
}

/// DESIGN §5: a call without an error to return cannot but end the process.
#[test]
fn waits_in_a_coroutine_that_unwinds_abort_with_a_sentence_or_fail() {
    struct CallsWhenDropped(fn());
    impl Drop for CallsWhenDropped {
        fn drop(&mut self) {
            self.0();
        }
    }
    fn unwind_into(call: fn()) {
        test::run(move || {
            let cancelled = spawn(move || {
                let _calls = CallsWhenDropped(call);
                sleep(SECOND);
            });
            yield_now();
            cancelled.cancel();
            drop(cancelled.join());
        });
    }
    const NAME: &str = "waits_in_a_coroutine_that_unwinds_abort_with_a_sentence_or_fail";
    if !support::in_child() {
        let ended = support::run_alone(NAME);
        assert!(ended.stderr.contains("Barrier::wait: called while the coroutine unwinds"), "{ended:?}");
        return;
    }
    unwind_into(|| assert!(matches!(Notify::<()>::new().wait(), Err(NotifyError::Refused))));
    unwind_into(|| assert_eq!(OnceEvent::<()>::new().wait_until(now()), Err(WaitError::Refused)));
    unwind_into(|| {
        Barrier::new(2).wait();
    });
}
