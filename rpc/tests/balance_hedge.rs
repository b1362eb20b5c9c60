//! Hedged calls over stub callers, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{now, scope, sleep, spawn, test, with_timeout};
use grapeshot_rpc::balance::{Balancer, BalancerOptions, Endpoint, HedgeCounts, HedgeDelay, HedgeOptions, Policy};
use grapeshot_rpc::retry::BudgetOptions;
use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, Failure, OpenCall, Repeat, Request};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What the two endpoints do with their next calls: one of them after a delay, in turn.
#[derive(Clone, Default)]
struct Script {
    steps: Rc<RefCell<Vec<(Duration, Then)>>>,
    priority_of_second: Rc<Cell<u16>>,
    begun: Rc<Cell<usize>>,
    cut_off: Rc<Cell<usize>>,
    limits: Rc<RefCell<Vec<Option<Duration>>>>,
}

#[derive(Clone, Copy)]
enum Then {
    Answer,
    Fail,
    NotSent,
    Lost,
}

impl Script {
    fn of(steps: &[(u32, Then)]) -> Script {
        let script = Script::default();
        *script.steps.borrow_mut() = steps.iter().rev().map(|(millis, then)| (MILLISECOND * *millis, *then)).collect();
        script
    }

    fn balancer(&self, delay: HedgeDelay, percent: u32) -> Balancer<Stub> {
        let mut options = BalancerOptions::default();
        options.policy = Policy::RoundRobin;
        let budget = BudgetOptions { percent, minimum_per_second: 0, ..BudgetOptions::default() };
        options.hedge = Some(HedgeOptions { delay, budget });
        let script = self.clone();
        let second = Endpoint { priority: self.priority_of_second.get(), ..Endpoint::new("b") };
        Balancer::with_options(vec![Endpoint::new("a"), second], options, move |endpoint| Stub {
            address: endpoint.address.clone(),
            script: script.clone(),
        })
    }
}

struct Stub {
    address: String,
    script: Script,
}

struct CutOff<'a>(&'a Cell<usize>, bool);

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + usize::from(!self.1));
    }
}

impl Caller for Stub {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        let script = &self.script;
        script.begun.set(script.begun.get() + 1);
        script.limits.borrow_mut().push(request.options.timeout);
        let (delay, then) = script.steps.borrow_mut().pop().unwrap_or((MILLISECOND, Then::Answer));
        let mut cut_off = CutOff(&script.cut_off, false);
        if let Some(limit) = request.options.timeout.filter(|limit| *limit < delay) {
            sleep(limit);
            cut_off.1 = true;
            return Err(CallError::TimedOut { limit, sent: true });
        }
        sleep(delay);
        cut_off.1 = true;
        let cause = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
        match then {
            Then::Answer => Ok(Encoded::of(&self.address).unwrap()),
            Then::Fail => Err(CallError::Failed(Failure::new(7, "as told"))),
            Then::NotSent => Err(CallError::NotSent { cause }),
            Then::Lost => Err(CallError::OutcomeUnknown { cause }),
        }
    }

    fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
        Ok(())
    }

    fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        Err(CallError::Refused { reason: "no streams here".to_owned() })
    }
}

/// Second attempts made and won.
fn hedges(balancer: &Balancer<Stub>) -> (u64, u64) {
    let HedgeCounts { made, won } = balancer.hedges();
    (made, won)
}

fn call(balancer: &Balancer<Stub>, repeat: Repeat) -> Result<String, CallError> {
    let options = CallOptions { repeat, ..CallOptions::default() };
    let request = Request { method: "name", params: &[0x90], options: &options };
    balancer.exchange(&request).map(|answer| answer.decode().unwrap())
}

/// A balancer that hedges after 100 ms, and has budget for some.
fn hedging(script: &Script) -> Balancer<Stub> {
    let first = Script::of(&[]);
    let balancer = script.balancer(HedgeDelay::Fixed(100 * MILLISECOND), 100);
    // Earns the budget; the steps come after it.
    let steps = script.steps.replace(first.steps.take());
    (0..4).for_each(|_| drop(call(&balancer, Repeat::Idempotent).unwrap()));
    *script.steps.borrow_mut() = steps;
    script.begun.set(0);
    balancer
}

#[test]
fn a_slow_call_is_made_again_elsewhere_and_the_loser_is_cancelled() {
    test::run(|| {
        let script = Script::of(&[(10_000, Then::Answer), (50, Then::Answer)]);
        let balancer = hedging(&script);
        let began = now();
        assert_eq!(call(&balancer, Repeat::Idempotent).unwrap(), "b");
        assert_eq!(now() - began, 150 * MILLISECOND);
        assert_eq!((script.begun.get(), script.cut_off.get(), hedges(&balancer)), (2, 1, (1, 1)));
        assert!(balancer.endpoints().iter().all(|state| state.in_flight == 0 && state.failures == 0));
    });
}

#[test]
fn the_first_answer_counts_whichever_attempt_it_comes_from() {
    test::run(|| {
        let script = Script::of(&[(200, Then::Answer), (10_000, Then::Answer)]);
        let balancer = hedging(&script);
        assert_eq!(call(&balancer, Repeat::Idempotent).unwrap(), "a");
        assert_eq!((script.begun.get(), script.cut_off.get(), hedges(&balancer)), (2, 1, (1, 0)));
    });
}

#[test]
fn a_quick_call_is_made_once() {
    test::run(|| {
        let script = Script::of(&[(99, Then::Answer)]);
        let balancer = hedging(&script);
        assert_eq!(call(&balancer, Repeat::Idempotent).unwrap(), "a");
        assert_eq!((script.begun.get(), hedges(&balancer)), (1, (0, 0)));
    });
}

#[test]
fn only_what_may_run_twice_is_hedged() {
    for repeat in [Repeat::Never, Repeat::Sequenced] {
        test::run(move || {
            let script = Script::of(&[(10_000, Then::Answer)]);
            let balancer = hedging(&script);
            assert_eq!(call(&balancer, repeat).unwrap(), "a");
            assert_eq!(script.begun.get(), 1, "{repeat:?}");
        });
    }
}

#[test]
fn a_backup_gets_no_second_attempts() {
    test::run(|| {
        let script = Script::of(&[(10_000, Then::Answer)]);
        script.priority_of_second.set(1);
        let balancer = hedging(&script);
        assert_eq!(call(&balancer, Repeat::Idempotent).unwrap(), "a");
        assert_eq!((script.begun.get(), hedges(&balancer)), (1, (0, 0)));
    });
}

#[test]
fn a_failure_of_the_method_is_an_answer() {
    test::run(|| {
        let script = Script::of(&[(10_000, Then::Answer), (50, Then::Fail)]);
        let balancer = hedging(&script);
        assert!(matches!(call(&balancer, Repeat::Idempotent), Err(CallError::Failed(_))));
        assert_eq!(script.cut_off.get(), 1);
    });
}

#[test]
fn a_second_attempt_that_gets_nowhere_does_not_end_the_first() {
    test::run(|| {
        let script = Script::of(&[(1000, Then::Answer), (50, Then::NotSent)]);
        let balancer = hedging(&script);
        assert_eq!(call(&balancer, Repeat::Idempotent).unwrap(), "a");
    });
}

#[test]
fn of_two_failures_the_one_that_may_have_run_counts() {
    for steps in [[(500, Then::Lost), (50, Then::NotSent)], [(500, Then::NotSent), (50, Then::Lost)]] {
        test::run(move || {
            let script = Script::of(&steps);
            let balancer = hedging(&script);
            assert!(matches!(call(&balancer, Repeat::Idempotent), Err(CallError::OutcomeUnknown { .. })));
        });
    }
}

#[test]
fn a_call_that_fails_before_the_delay_is_not_hedged() {
    test::run(|| {
        let script = Script::of(&[(50, Then::NotSent)]);
        let balancer = hedging(&script);
        assert!(matches!(call(&balancer, Repeat::Idempotent), Err(CallError::NotSent { .. })));
        assert_eq!(script.begun.get(), 1);
    });
}

#[test]
fn the_limit_around_the_call_reaches_both_attempts_and_cuts_both_off() {
    test::run(|| {
        let script = Script::of(&[(10_000, Then::Answer), (10_000, Then::Answer)]);
        let balancer = hedging(&script);
        script.limits.borrow_mut().clear();
        let began = now();
        assert!(with_timeout(SECOND, || call(&balancer, Repeat::Idempotent)).is_err());
        assert_eq!(now() - began, SECOND);
        assert_eq!(*script.limits.borrow(), [Some(SECOND), Some(900 * MILLISECOND)]);
        assert!(balancer.endpoints().iter().all(|state| state.in_flight == 0));
    });
}

#[test]
fn both_attempts_end_at_the_limit_of_the_call() {
    test::run(|| {
        let script = Script::of(&[(10_000, Then::Answer), (10_000, Then::Answer)]);
        let balancer = hedging(&script);
        let options = CallOptions { repeat: Repeat::Idempotent, timeout: Some(SECOND), ..CallOptions::default() };
        let began = now();
        let failed = balancer.exchange(&Request { method: "name", params: &[0x90], options: &options });
        assert!(matches!(failed, Err(CallError::TimedOut { sent: true, .. })));
        assert_eq!((now() - began, script.begun.get()), (SECOND, 2));
    });
}

#[test]
fn second_attempts_stay_within_the_budget() {
    test::run(|| {
        let script = Script::default();
        let balancer = script.balancer(HedgeDelay::Fixed(100 * MILLISECOND), 5);
        scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| call(&balancer, Repeat::Idempotent).unwrap());
            }
        });
        *script.steps.borrow_mut() = vec![(SECOND, Then::Answer); 200];
        scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| call(&balancer, Repeat::Idempotent).unwrap());
            }
        });
        assert_eq!(balancer.hedges().made, 5);
    });
}

#[test]
fn the_observed_delay_is_where_most_calls_have_ended() {
    test::run(|| {
        let script = Script::default();
        let balancer = script.balancer(HedgeDelay::Percentile(95), 100);
        *script.steps.borrow_mut() = vec![(40 * MILLISECOND, Then::Answer); 19];
        (0..19).for_each(|_| drop(call(&balancer, Repeat::Idempotent).unwrap()));
        *script.steps.borrow_mut() = vec![(SECOND, Then::Answer)];
        call(&balancer, Repeat::Idempotent).unwrap();
        assert_eq!(hedges(&balancer), (0, 0), "nineteen calls are too few to tell");
        *script.steps.borrow_mut() = vec![(10 * MILLISECOND, Then::Answer), (SECOND, Then::Answer)];
        let began = now();
        call(&balancer, Repeat::Idempotent).unwrap();
        assert_eq!(hedges(&balancer), (1, 1));
        let took = now() - began;
        assert!((50 * MILLISECOND..=60 * MILLISECOND).contains(&took), "{took:?}");
    });
}

#[test]
fn on_every_schedule_a_hedged_call_ends_once_and_leaves_nothing_behind() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(100, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        test::Test::new().seed(seed).run(|| {
            let random = |below: u64| grapeshot_core::random_u64() % below;
            let script = Script::default();
            let balancer = Rc::new(script.balancer(HedgeDelay::Fixed(100 * MILLISECOND), 100));
            let thens = [Then::Answer, Then::Answer, Then::Fail, Then::NotSent, Then::Lost];
            let steps = (0..200).map(|_| (MILLISECOND * random(300) as u32, thens[random(5) as usize]));
            *script.steps.borrow_mut() = steps.collect();
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let balancer = balancer.clone();
                    spawn(move || {
                        for _ in 0..10 {
                            let limit = MILLISECOND * random(400) as u32;
                            let _ = with_timeout(limit, || call(&balancer, Repeat::Idempotent));
                        }
                    })
                })
                .collect();
            sleep(MILLISECOND * random(1000) as u32);
            callers.iter().take(3).for_each(|caller| caller.cancel());
            callers.into_iter().for_each(|caller| drop(caller.join()));
            assert!(balancer.endpoints().iter().all(|state| state.in_flight == 0));
            let HedgeCounts { made, won } = balancer.hedges();
            assert!(won <= made && script.begun.get() as u64 >= made, "{made} made, {won} won");
        });
    }
}
