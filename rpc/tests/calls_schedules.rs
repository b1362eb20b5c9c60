//! Calls of all kinds at once, in both directions, under random schedules and on connections that delay, cut up and break:
//! what a call says of its outcome is true, and nothing hangs.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::AddAssign;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{random_u64, sleep, spawn, test, with_timeout};
use grapeshot_net::memory::{self, Faults};
use grapeshot_rpc::{CallError, CallerExt, Connection, Context, Extensions, Failure, Limits, Outcome, Router};

/// How often each call has run, by its number, and how the calls ended.
#[derive(Clone, Default)]
struct Runs(Rc<RefCell<HashMap<u64, usize>>>, Rc<RefCell<Ends>>);

/// How many calls ended in which way.
#[derive(Clone, Debug, Default)]
struct Ends {
    answered: usize,
    not_run: usize,
    unknown: usize,
    cut_off: usize,
}

impl AddAssign for Ends {
    fn add_assign(&mut self, other: Ends) {
        self.answered += other.answered;
        self.not_run += other.not_run;
        self.unknown += other.unknown;
        self.cut_off += other.cut_off;
    }
}

impl Runs {
    fn note(&self, number: u64) {
        *self.0.borrow_mut().entry(number).or_default() += 1;
    }

    fn of(&self, number: u64) -> usize {
        self.0.borrow().get(&number).copied().unwrap_or(0)
    }
}

fn service(runs: &Runs) -> Router {
    let (quick, slow, back, told) = (runs.clone(), runs.clone(), runs.clone(), runs.clone());
    Router::new()
        .method("quick", move |(number,): (u64,)| {
            quick.note(number);
            Ok(number)
        })
        .method("slow", move |(number,): (u64,)| {
            slow.note(number);
            sleep(Duration::from_millis(random_u64() % 40));
            Ok(number)
        })
        .method_with_context("back", move |context: &Context, (number,): (u64,)| {
            back.note(number);
            let caller = context.caller().unwrap();
            // Whether the call back succeeds is its own matter.
            let _ = caller.call::<u64>("quick", &(number + 1,));
            Ok(number)
        })
        .notification("told", move |(number,): (u64,)| told.note(number))
}

/// One call, and what is known of it afterwards.
fn call(side: &Connection, runs: &Runs, number: u64) {
    let method = ["quick", "slow", "back", "told"][random_u64() as usize % 4];
    if method == "told" {
        let _ = side.notify("told", &(number,));
        return;
    }
    let called = if random_u64().is_multiple_of(3) {
        with_timeout(Duration::from_millis(random_u64() % 30), || side.call::<u64>(method, &(number,)))
    } else {
        Ok(side.call::<u64>(method, &(number,)))
    };
    match called {
        Ok(Ok(answer)) => {
            runs.1.borrow_mut().answered += 1;
            assert_eq!(answer, number);
            assert_eq!(runs.of(number), 1, "{method}");
        }
        Ok(Err(error)) => {
            assert!(!matches!(error, CallError::Malformed { .. }), "{error:?}");
            match error.outcome() {
                Outcome::NotRun => {
                    runs.1.borrow_mut().not_run += 1;
                    // Nor will it.
                    sleep(Duration::from_secs(1));
                    assert_eq!(runs.of(number), 0, "{method}: {error:?}");
                }
                Outcome::Ran => assert_eq!(runs.of(number), 1, "{method}: {error:?}"),
                Outcome::Unknown => {
                    runs.1.borrow_mut().unknown += 1;
                    assert!(runs.of(number) <= 1, "{method}: {error:?}");
                }
            }
            assert_ne!(error.failure().map(|failure| failure.code), Some(Failure::INVALID_REQUEST));
        }
        Err(_) => {
            runs.1.borrow_mut().cut_off += 1;
            assert!(runs.of(number) <= 1);
        }
    }
}

/// A connection on which both sides call each other at random, and which breaks at `position` if there is one.
fn storm(seed: u64, in_flight: usize, extensions: Extensions, position: Option<u64>) -> Ends {
    test::Test::new().seed(seed).run(move || {
        let faults = || Faults::new().seed(seed).short_reads(50).short_writes(70);
        let to_far = position.map_or_else(faults, |position| faults().reset_at(position));
        let (near, far) = memory::Builder::new().capacity(256).to_far(to_far).to_near(faults()).pair();
        let mut limits = Limits::default();
        limits.in_flight = in_flight;
        limits.waiting_bytes = 600;
        limits.unsent_bytes = 300;
        let runs = Runs::default();
        let far = Connection::over(far).service(service(&runs)).limits(limits.clone()).accept().unwrap();
        let opened = Connection::over(near).service(service(&runs)).limits(limits).extensions(extensions).open();
        let Ok(near) = opened else { return Ends::default() };
        let callers: Vec<_> = (0..24)
            .map(|caller| {
                let side = if caller % 2 == 0 { near.clone() } else { far.clone() };
                let runs = runs.clone();
                spawn(move || {
                    for round in 0..20 {
                        call(&side, &runs, caller * 1000 + round * 10);
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        if position.is_none() {
            assert_eq!(near.calls_in_flight() + far.calls_in_flight(), 0);
            assert!(near.wait_idle(None) && far.wait_idle(None));
            assert!(!near.is_closed() && !far.is_closed(), "{near:?} {far:?}");
        }
        near.close();
        far.wait_closed();
        runs.1.take()
    })
}

#[test]
fn every_call_ends_and_its_outcome_is_true() {
    let mut ends = Ends::default();
    for seed in 1..=12 {
        ends += storm(seed, 4, Extensions::Agree, None);
        ends += storm(seed, 4, Extensions::Off, None);
    }
    assert!(ends.answered > 1000 && ends.not_run > 100 && ends.cut_off > 100, "{ends:?}");
}

#[test]
fn with_room_for_one_call_at_a_time_nothing_hangs() {
    let mut ends = Ends::default();
    for seed in 1..=12 {
        ends += storm(seed, 1, Extensions::Agree, None);
        ends += storm(seed, 1, Extensions::Off, None);
    }
    assert!(ends.answered > 100 && ends.not_run > 100, "{ends:?}");
}

#[test]
fn a_connection_that_breaks_anywhere_leaves_no_call_without_an_end() {
    let mut ends = Ends::default();
    for seed in 1..=40 {
        ends += storm(seed, 4, Extensions::Agree, Some(seed * 97));
    }
    assert!(ends.answered > 100 && ends.not_run > 1000 && ends.unknown > 40, "{ends:?}");
}
