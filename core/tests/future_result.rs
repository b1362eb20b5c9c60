//! The result that is not there yet.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::work::{Completer, FutureError, FutureResult, Progress, future_result};
use grapeshot_core::{JoinHandle, now, random_u64, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn pair() -> (Completer<u32, String>, FutureResult<u32, String>) {
    future_result()
}

fn getter(result: &FutureResult<u32, String>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (result, log) = (result.clone(), log.clone());
    spawn(move || log.add(format!("{name} {:?}", result.get())))
}

/// BEA-4.
#[test]
fn whoever_asks_waits_for_the_result_and_may_ask_again() {
    test::run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let _getters = ["a", "b"].map(|name| getter(&result, &log, name));
        yield_now();
        assert_eq!(result.try_get(), Err(FutureError::Pending));
        completer.set(1);
        assert_eq!([result.get(), result.try_get()], [Ok(1), Ok(1)]);
        yield_now();
        assert_eq!(log.take(), ["a Ok(1)", "b Ok(1)"]);
    });
}

/// BEA-4: the error is raised again at `get`.
#[test]
fn an_error_comes_out_where_the_result_is_asked_for() {
    test::run(|| {
        let (completer, result) = pair();
        completer.set_error("no paper".to_owned());
        let error = result.get().unwrap_err();
        assert_eq!(error, FutureError::Failed("no paper".to_owned()));
        assert_eq!(error.to_string(), "the work failed: no paper");
    });
}

/// BEA-4.
#[test]
fn an_error_of_any_type_may_be_set() {
    test::run(|| {
        let (completer, result): (Completer<u32>, FutureResult<u32>) = future_result();
        completer.set_error(Rc::new("x".parse::<u32>().unwrap_err()));
        let Err(FutureError::Failed(error)) = result.get() else { panic!("it has failed") };
        let error: &dyn Error = &*error;
        assert!(error.is::<std::num::ParseIntError>());
    });
}

/// BEA-4.
#[test]
fn waiting_for_a_result_has_a_time_limit_if_wanted() {
    test::run(|| {
        let (completer, result) = pair();
        let began = now();
        assert_eq!(result.get_timeout(SECOND), Err(FutureError::TimedOut));
        assert_eq!((now() - began, stats().timers), (SECOND, 0));
        completer.set(1);
        assert_eq!(result.get_timeout(SECOND), Ok(1));
    });
}

#[test]
fn a_worker_that_ends_without_a_result_abandons_it() {
    test::run(|| {
        let (completer, result) = pair();
        let worker = spawn(move || {
            let _completer = completer;
            sleep(SECOND);
        });
        let waiting = spawn(move || result.get());
        yield_now();
        worker.cancel();
        assert_eq!(waiting.join().unwrap(), Err(FutureError::Abandoned));
    });
}

/// BEA-4: the worker skips what nobody wants.
#[test]
fn a_worker_skips_work_that_was_cancelled() {
    test::run(|| {
        let (completer, result) = pair();
        assert!(result.cancel());
        assert!(completer.is_cancelled());
        completer.complete_with(|_| panic!("nobody wants this"));
        assert_eq!(result.get(), Err(FutureError::Cancelled));
        assert!(!result.cancel());
    });
}

/// BEA-4.
#[test]
fn a_worker_may_wait_for_the_cancel_while_others_do_the_work() {
    test::run(|| {
        let (completer, result) = pair();
        let worker = spawn(move || completer.wait_cancelled());
        yield_now();
        assert!(!worker.is_finished());
        result.cancel();
        assert!(worker.join().unwrap());
        assert_eq!(result.try_get(), Err(FutureError::Cancelled));
    });
}

/// BEA-4.
#[test]
fn a_worker_that_set_its_result_in_spite_of_the_cancel_has_set_it() {
    test::run(|| {
        let (completer, result) = pair();
        let worker = spawn(move || {
            completer.complete_with(|completer| {
                sleep(SECOND);
                Ok(u32::from(completer.is_cancelled()))
            });
        });
        yield_now();
        assert!(result.cancel());
        worker.join().unwrap();
        assert_eq!(result.get(), Ok(1));
    });
}

/// BEA-4.
#[test]
fn progress_is_seen_before_the_result() {
    test::run(|| {
        let (completer, result) = pair();
        assert_eq!(result.progress(), Progress { done: 0, total: None });
        completer.set_progress(Progress { done: 2, total: Some(5) });
        assert_eq!(result.progress(), Progress { done: 2, total: Some(5) });
        assert!(!result.is_done());
    });
}

/// BEA-4: also when attached late.
#[test]
fn callbacks_run_once_in_order_and_at_once_when_attached_late() {
    test::run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let note = |name: &'static str| {
            let log = log.clone();
            move |outcome: &Result<u32, FutureError<String>>| log.add(format!("{name} {outcome:?}"))
        };
        result.on_done(note("a"));
        result.on_done(note("b"));
        assert_eq!(log.take(), [""; 0]);
        completer.set(1);
        assert_eq!(log.take(), ["a Ok(1)", "b Ok(1)"]);
        result.on_done(note("late"));
        assert_eq!(log.take(), ["late Ok(1)"]);
    });
}

/// BEA-4.
#[test]
fn a_callback_may_use_the_result_and_attach_another() {
    test::run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let (again, seen) = (result.clone(), log.clone());
        result.on_done(move |_| {
            let inner = seen.clone();
            again.on_done(move |_| inner.add("inner"));
            seen.add(format!("{:?}", again.try_get()));
        });
        completer.set(1);
        assert_eq!(log.take(), ["inner", "Ok(1)"]);
    });
}

/// BEA-4: neither the setter nor another callback suffers.
#[test]
fn a_callback_that_panics_is_reported_and_harms_nobody() {
    Test::new().allow_crashes().run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let seen = log.clone();
        grapeshot_core::set_panic_notifier(move |_, panic| seen.add(panic.message()));
        let seen = log.clone();
        result.on_done(|_| panic!("a bad callback"));
        result.on_done(move |_| seen.add("the next"));
        completer.set(1);
        assert_eq!(log.take(), ["a bad callback", "the next"]);
        assert_eq!(result.get(), Ok(1));
    });
}

#[test]
fn a_cancel_that_a_callback_meets_reaches_the_one_who_sets() {
    test::run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let seen = log.clone();
        result.on_done(|_| sleep(SECOND));
        result.on_done(move |_| seen.add("the next"));
        let worker = spawn(move || completer.set(1));
        yield_now();
        worker.cancel();
        assert!(worker.join().is_err());
        assert_eq!(log.take(), ["the next"]);
    });
}

/// "Cancelled, then woken", and "woken, then cancelled".
#[test]
fn whoever_is_cancelled_the_others_get_the_result() {
    test::run(|| {
        let ((completer, result), log) = (pair(), Log::new());
        let [before, after, never] = ["before", "after", "never"].map(|name| getter(&result, &log, name));
        yield_now();
        before.cancel();
        completer.set(1);
        after.cancel();
        never.join().unwrap();
        assert!(before.join().is_err());
        assert_eq!(log.take(), ["after Ok(1)", "never Ok(1)"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct GetInDrop(FutureResult<u32, String>, Rc<RefCell<Option<FutureError<String>>>>);
    impl Drop for GetInDrop {
        fn drop(&mut self) {
            self.1.replace(self.0.get().err());
        }
    }
    test::run(|| {
        let (_completer, result) = pair();
        let seen = Rc::new(RefCell::new(None));
        let getting = GetInDrop(result, seen.clone());
        let ended = with_timeout(SECOND, move || {
            let _getting = getting;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(seen.take(), Some(FutureError::Refused));
    });
}

/// BEA-4: every outcome reaches everyone, and every callback runs once, whoever is cancelled.
#[test]
fn on_every_schedule_nobody_waits_for_a_worker_that_is_gone() {
    support::on_every_schedule(|| {
        let (completer, result) = pair();
        let calls = Rc::new(Cell::new(0));
        let worker = spawn(move || {
            sleep(SECOND * (random_u64() % 3) as u32);
            match random_u64() % 3 {
                0 => completer.set(1),
                1 => completer.set_error("no".to_owned()),
                _ => {}
            }
        });
        let getters: Vec<_> = (0..6)
            .map(|_| {
                let (result, calls) = (result.clone(), calls.clone());
                spawn(move || {
                    sleep(SECOND * (random_u64() % 3) as u32);
                    result.on_done(move |_| calls.set(calls.get() + 1));
                    result.get_timeout(SECOND * (random_u64() % 4) as u32)
                })
            })
            .collect();
        sleep(SECOND * (random_u64() % 3) as u32);
        getters[random_u64() as usize % 6].cancel();
        match random_u64() % 3 {
            0 => worker.cancel(),
            1 => drop(result.cancel()),
            _ => {}
        }
        let outcome = result.get();
        let attached = getters.into_iter().filter_map(|getter| getter.join().ok()).map(|got| {
            assert!(got == outcome || got == Err(FutureError::TimedOut));
        });
        assert!(attached.count() <= calls.get());
    });
}
