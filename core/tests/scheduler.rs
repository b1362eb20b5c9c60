//! The order in which coroutines run, and how a run begins and ends.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, Direction, Exit, NotInRuntime, Runtime, Source, Stats, UnparkError, WaitLimit, WaitQueue, coroutines,
    current_deadline, in_coroutine, now, set_exit, shield, sleep, sleep_until, spawn, stats, with_timeout, yield_now,
    yield_slice,
};

use self::support::Bell;

/// `SCH-1`: first in, first out, no priorities.
#[test]
fn coroutines_run_in_the_order_in_which_they_became_runnable() {
    test::run(|| {
        let log = Log::new();
        let first_turns = ["a", "b", "c"].map(|name| {
            let log = log.clone();
            spawn(move || {
                log.add(name);
                yield_now();
                log.add(name);
            })
        });
        let _ = first_turns.map(|handle| handle.join().unwrap());
        assert_eq!(log.take(), ["a", "b", "c", "a", "b", "c"]);
    });
}

/// `SCH-1`
#[test]
fn coroutines_run_in_the_order_of_their_wakes_and_not_of_their_waits() {
    test::run(|| {
        let log = Log::new();
        let bells = [Bell::new(), Bell::new(), Bell::new()];
        for (bell, name) in bells.iter().cloned().zip(["a", "b", "c"]) {
            let log = log.clone();
            spawn(move || {
                let _ = bell.wait();
                log.add(name);
            });
        }
        yield_now();
        for index in [2, 0, 1] {
            bells[index].unparker().unpark().unwrap();
        }
        yield_now();
        assert_eq!(log.take(), ["c", "a", "b"]);
    });
}

/// `SCH-2`
#[test]
fn a_coroutine_woken_during_a_drain_runs_in_the_same_drain() {
    test::run(|| {
        let pass_of_wake = Rc::new(Cell::new(0));
        let bell = Bell::new();
        let sleeper = spawn({
            let (bell, pass_of_wake) = (bell.clone(), pass_of_wake.clone());
            move || {
                let _ = bell.wait();
                pass_of_wake.set(stats().passes);
            }
        });
        yield_slice();
        let pass = stats().passes;
        bell.unparker().unpark().unwrap();
        sleeper.join().unwrap();
        assert_eq!(pass_of_wake.get(), pass);
        assert_eq!(stats().passes, pass);
    });
}

/// Runs `event` beside two coroutines that keep each other runnable until it has happened.
fn happens_beside_busy_coroutines(event: impl FnOnce() + 'static) {
    let happened = Rc::new(Cell::new(false));
    let busy = [(); 2].map(|()| {
        let happened = happened.clone();
        spawn(move || {
            while !happened.get() {
                yield_now();
            }
        })
    });
    event();
    happened.set(true);
    let _ = busy.map(|handle| handle.join().unwrap());
}

/// `SCH-2`: the drain is bounded, where the ancestor's was not.
#[test]
fn coroutines_that_wake_each_other_for_ever_do_not_starve_timers() {
    test::run(|| happens_beside_busy_coroutines(|| sleep(Duration::ZERO)));
}

/// `SCH-2`
#[test]
fn coroutines_that_wake_each_other_for_ever_do_not_starve_timers_of_a_real_clock() {
    Test::new().real_time().run(|| happens_beside_busy_coroutines(|| sleep(Duration::from_millis(1))));
}

/// `SCH-2`
#[test]
fn coroutines_that_wake_each_other_for_ever_do_not_starve_descriptors() {
    test::run(|| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let source = Source::new(ours);
        happens_beside_busy_coroutines(move || {
            spawn(move || theirs.write_all(b"!").unwrap());
            let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
            let length = source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, read).unwrap();
            assert_eq!(length, 1);
        });
    });
}

/// `SCH-2`
#[test]
fn a_drain_of_a_coroutine_that_only_yields_comes_to_an_end() {
    test::run(|| {
        let pass = stats().passes;
        let mut turns = 0;
        while stats().passes == pass {
            yield_now();
            turns += 1;
            assert!(turns < 10_000, "the drain has no bound");
        }
        assert!(turns > 10, "a yield is to be cheaper than a pass of the loop");
    });
}

/// `SCH-3`
#[test]
fn yield_slice_goes_through_the_poller_and_yield_now_does_not() {
    test::run(|| {
        yield_slice();
        let pass = stats().passes;
        yield_now();
        assert_eq!(stats().passes, pass);
        yield_slice();
        assert_eq!(stats().passes, pass + 1);
    });
}

/// `SCH-3`
#[test]
fn yield_slice_lets_a_reader_have_what_has_arrived() {
    test::run(|| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let log = Log::new();
        let reader = spawn({
            let (log, source) = (log.clone(), Source::new(ours));
            move || {
                let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
                source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, read).unwrap();
                log.add("read");
            }
        });
        // The reader finds nothing, registers, and hears from the poller that the stream can be written to.
        yield_slice();
        yield_slice();
        theirs.write_all(b"!").unwrap();
        yield_slice();
        log.add("slice");
        reader.join().unwrap();
        assert_eq!(log.take(), ["read", "slice"]);
    });
}

/// `SCH-5`
#[test]
fn timers_of_equal_deadlines_fire_in_the_order_in_which_they_were_set() {
    test::run(|| {
        let log = Log::new();
        let deadline = now() + Duration::from_secs(1);
        for name in ["a", "b", "c", "d"] {
            let log = log.clone();
            spawn(move || {
                sleep_until(deadline);
                log.add(name);
            });
        }
        sleep_until(deadline + Duration::from_nanos(1));
        assert_eq!(log.take(), ["a", "b", "c", "d"]);
    });
}

/// `SCH-5`
#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    test::run(|| {
        let log = Log::new();
        for (seconds, name) in [(3, "three"), (1, "one"), (2, "two")] {
            let log = log.clone();
            spawn(move || {
                sleep(Duration::from_secs(seconds));
                log.add(name);
            });
        }
        sleep(Duration::from_secs(4));
        assert_eq!(log.take(), ["one", "two", "three"]);
    });
}

/// `SCH-6`
#[test]
fn set_exit_gives_those_already_runnable_their_turn_and_ends_the_run_with_its_code() {
    let log = Log::new();
    let exit = Runtime::new().signals(false).run({
        let log = log.clone();
        move || {
            for name in ["a", "b"] {
                let log = log.clone();
                spawn(move || log.add(name));
            }
            set_exit(7);
            let _ = Bell::new().wait();
        }
    });
    assert!(matches!(exit, Ok(Exit::Requested(7))), "{exit:?}");
    assert_eq!(log.take(), ["a", "b"]);
}

/// `SCH-6`
#[test]
fn of_several_exit_codes_the_last_counts() {
    let exit = Runtime::new().signals(false).run(|| {
        set_exit(1);
        set_exit(2);
    });
    assert!(matches!(exit, Ok(Exit::Requested(2))), "{exit:?}");
}

/// `SCH-6`
#[test]
fn a_coroutine_other_than_main_may_end_the_run() {
    let exit = Runtime::new().signals(false).run(|| {
        spawn(|| set_exit(3));
        let _ = Bell::new().wait();
    });
    assert!(matches!(exit, Ok(Exit::Requested(3))), "{exit:?}");
}

/// `SCH-7`
#[test]
fn the_loop_can_be_run_again_after_it_ended() {
    for round in 0..4 {
        let exit = Runtime::new().signals(false).run(move || spawn(move || round).join().unwrap()).unwrap();
        assert!(matches!(exit, Exit::Returned(value) if value == round));
    }
}

/// `SCH-7`
#[test]
fn a_thread_has_one_runtime_at_a_time() {
    let inner = Runtime::new().signals(false).run(|| Runtime::new().signals(false).run(|| ()).unwrap_err()).unwrap();
    let Exit::Returned(error) = inner else { panic!("{inner:?}") };
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(error.to_string(), "this thread already has a runtime");
}

#[test]
fn each_thread_may_have_a_runtime_of_its_own() {
    test::run(|| {
        let other = thread::spawn(|| test::run(|| spawn(current_id).join().unwrap()));
        assert_eq!(other.join().unwrap(), 2);
        assert_eq!(current_id(), 1);
    });
}

fn current_id() -> u64 {
    grapeshot_core::current().id().as_u64()
}

/// What a function that cannot work here panics with.
fn refusal<T>(call: impl FnOnce() -> T) -> String {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it was not refused"),
        Err(payload) => *payload.downcast().unwrap(),
    }
}

/// `SCH-8`
#[test]
fn what_needs_a_coroutine_says_so_by_name_outside_one() {
    let queue = WaitQueue::new();
    let reason = "not inside a coroutine: is the code running under grapeshot::run?";
    assert_eq!(refusal(|| spawn(|| ())), format!("spawn: {reason}"));
    assert_eq!(
        refusal(|| queue.wait(grapeshot_core::Reason::Sleeping)),
        format!("WaitQueue::wait, which must wait for the end of a sleep: {reason}")
    );
    assert_eq!(refusal(|| grapeshot_core::current()), format!("current: {reason}"));
    assert_eq!(refusal(|| shield(None, || ())), format!("shield: {reason}"));
    assert_eq!(refusal(|| grapeshot_core::scope(|_| ())), format!("scope: {reason}"));
    // `TMO-8`: no signal stands in for the loop.
    assert_eq!(refusal(|| with_timeout(Duration::ZERO, || ())), format!("with_timeout: {reason}"));
}

/// `SCH-8`
#[test]
fn a_builder_reports_a_missing_runtime_as_an_error() {
    let error = Builder::new().spawn(|| ()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.get_ref().unwrap().is::<NotInRuntime>());
}

/// `SCH-8`, `TMO-8`: `sleep` outside the loop is that of std, as in the ancestor.
#[test]
fn what_makes_sense_on_a_plain_thread_works_outside_a_runtime() {
    sleep(Duration::ZERO);
    sleep_until(Instant::now());
    yield_now();
    yield_slice();
    set_exit(1);
    assert!(!in_coroutine());
    assert_eq!(stats(), Stats::default());
    assert_eq!(current_deadline(), None);
    assert!(coroutines().is_empty());
    assert!(now() <= Instant::now());
}

/// `SCH-8`
#[test]
fn an_unpark_after_the_run_reaches_nobody_and_says_so() {
    let bell = Bell::new();
    let kept = bell.clone();
    test::run(move || {
        spawn(move || bell.wait());
        yield_now();
    });
    assert_eq!(kept.unparker().unpark(), Err(UnparkError::NotInRuntime));
}

/// The runtime's thread-local variable is gone before this one is.
#[test]
fn a_destructor_of_a_thread_local_may_ask_for_the_runtime() {
    struct Asks;
    impl Drop for Asks {
        fn drop(&mut self) {
            assert_eq!(stats(), Stats::default());
        }
    }
    thread_local!(static ASKS: Asks = const { Asks });
    thread::spawn(|| {
        ASKS.with(|_| ());
        stats();
    })
    .join()
    .unwrap();
}

/// `SCH-10`
#[test]
fn the_cached_clock_stands_still_within_a_pass() {
    Test::new().real_time().run(|| {
        yield_slice();
        let cached = now();
        let exact = Instant::now();
        while Instant::now() == exact {}
        assert_eq!(now(), cached);
        yield_slice();
        assert!(now() > cached);
    });
}

/// `SCH-1`: whatever the order, everyone gets as many turns as asked for.
#[test]
fn on_every_schedule_each_coroutine_gets_all_its_turns() {
    support::on_every_schedule(|| {
        let turns = Rc::new(Cell::new(0));
        let handles: Vec<_> = (0..8)
            .map(|own: u32| {
                let turns = turns.clone();
                spawn(move || {
                    for _ in 0..own {
                        turns.set(turns.get() + 1);
                        yield_now();
                    }
                    own
                })
            })
            .collect();
        let returned: u32 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
        assert_eq!(turns.get(), returned);
        assert_eq!(returned, 28);
    });
}
