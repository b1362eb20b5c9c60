//! Limits of calls through what stands before connections: those that never pass, and those of callers that have computed.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{now, read_clock, scope, sleep, sleep_until, test};
use grapeshot_rpc::balance::{
    Balancer, BalancerOptions, BreakerOptions, Endpoint, EndpointSource, Found, HedgeDelay, HedgeOptions, Standing,
};
use grapeshot_rpc::reconnect::{ReconnectOptions, Reconnecting, WhenDown};
use grapeshot_rpc::replies::BEGIN;
use grapeshot_rpc::retry::{Backoff, BudgetOptions, RetryOptions, Retrying};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Connected, Encoded, Failure, OpenCall, Repeat, Request, StreamError, Value,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::MAX;

type Seen = (Instant, Option<Duration>);

/// Stands in for connections, which it counts as one, and for a source of endpoints.
#[derive(Clone, Default)]
struct Stub {
    /// How long a call takes, and finding it, connecting to it, or its giving out an id.
    takes: Rc<Cell<Duration>>,
    refusals: Rc<Cell<usize>>,
    /// When calls came, and what time they had.
    seen: Rc<RefCell<Vec<Seen>>>,
}

impl Stub {
    fn that_takes(takes: Duration) -> Stub {
        let stub = Stub::default();
        stub.takes.set(takes);
        stub
    }

    fn that_refuses(calls: usize) -> Stub {
        let stub = Stub::that_takes(MILLISECOND);
        stub.refusals.set(calls);
        stub
    }

    fn balancer(&self, change: impl FnOnce(&mut BalancerOptions)) -> Balancer<Stub> {
        let mut options = BalancerOptions::default();
        change(&mut options);
        let stub = self.clone();
        Balancer::with_options(self.clone(), options, move |_| stub.clone())
    }

    fn reconnecting(&self) -> Reconnecting<impl Fn() -> io::Result<Stub> + use<>> {
        let stub = self.clone();
        let connect = move || {
            sleep(stub.takes.get());
            Ok(stub.clone())
        };
        Reconnecting::with_options(
            connect,
            ReconnectOptions {
                dial_timeout: NEVER,
                when_down: WhenDown::WaitAtMost(NEVER),
                steady: NEVER,
                ..ReconnectOptions::default()
            },
        )
    }

    fn limits(&self) -> Vec<Option<Duration>> {
        self.seen.borrow().iter().map(|(_, limit)| *limit).collect()
    }
}

impl Caller for Stub {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        sleep(self.takes.get());
        if request.method == BEGIN {
            return Ok(Encoded::of(&Value::Binary(vec![7; 16])).unwrap());
        }
        self.seen.borrow_mut().push((Instant::now(), request.options.timeout));
        let Some(left) = self.refusals.get().checked_sub(1) else { return Ok(Encoded::nil()) };
        self.refusals.set(left);
        Err(CallError::NotSent { cause: Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)) })
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.exchange(request).map(drop)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let (limit, began) = (request.options.timeout.unwrap(), now());
        self.exchange(request)?;
        Ok(Box::new(Silence { limit, began }))
    }
}

/// A call that is not answered.
struct Silence {
    limit: Duration,
    began: Instant,
}

impl OpenCall for Silence {
    fn send_item(&self, _: &[u8]) -> Result<(), StreamError> {
        Ok(())
    }

    fn end_items(&self, _: Option<&Failure>) {}

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(None)
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        sleep_until(self.began + self.limit);
        Err(CallError::TimedOut { limit: self.limit, sent: true })
    }
}

impl Connected for Stub {
    fn is_closed(&self) -> bool {
        false
    }

    fn close(&self) {}
}

impl EndpointSource for Stub {
    fn find(&self) -> io::Result<Found> {
        sleep(self.takes.get());
        Ok(Found { endpoints: vec![Endpoint::new("a"), Endpoint::new("b")], good_for: None })
    }
}

fn call(caller: &impl Caller, timeout: Option<Duration>, repeat: Repeat) -> Result<(), CallError> {
    let options = CallOptions { timeout, repeat, ..CallOptions::default() };
    caller.exchange(&Request { method: "nop", params: &[0x90], options: &options }).map(drop)
}

#[test]
fn a_call_that_never_times_out_has_that_limit_wherever_it_comes_to() {
    fn check<C: Caller>(make: impl FnOnce(&Stub) -> C + 'static) {
        test::run(|| {
            let stub = Stub::that_takes(SECOND);
            let caller = make(&stub);
            call(&caller, Some(NEVER), Repeat::Idempotent).unwrap();
            call(&caller, Some(NEVER), Repeat::Sequenced).unwrap();
            // Another limit there, or none, would be the connection's own.
            assert_eq!(stub.limits(), [Some(NEVER); 2]);
        });
    }
    check(|stub| stub.balancer(|_| {}));
    check(Stub::reconnecting);
    check(|stub| Retrying::new(stub.clone()));
    check(|stub| Retrying::across(stub.balancer(|_| {})));
}

#[test]
fn a_second_attempt_that_never_comes_is_not_made_and_one_of_a_call_without_end_has_none_either() {
    fn balancer(stub: &Stub, delay: Duration) -> Balancer<Stub> {
        let budget = BudgetOptions { minimum_per_second: 1, window: NEVER, ..BudgetOptions::default() };
        stub.balancer(|options| {
            options.find_timeout = NEVER;
            options.hedge = Some(HedgeOptions { delay: HedgeDelay::Fixed(delay), budget });
        })
    }
    test::run(|| {
        let stub = Stub::that_takes(30 * SECOND);
        let patient = balancer(&stub, NEVER);
        call(&patient, Some(100 * SECOND), Repeat::Idempotent).unwrap();
        assert_eq!(patient.hedges().made, 0);
        let hasty = balancer(&stub, SECOND);
        call(&hasty, Some(NEVER), Repeat::Idempotent).unwrap();
        assert_eq!(hasty.hedges().made, 1);
        assert_eq!(stub.limits(), [Some(70 * SECOND), Some(NEVER)]);
    });
}

#[test]
fn endpoints_may_be_looked_for_without_end() {
    test::run(|| {
        let stub = Stub::that_takes(30 * SECOND);
        let balancer = stub.balancer(|options| options.find_timeout = NEVER);
        call(&balancer, None, Repeat::Never).unwrap();
        assert_eq!(stub.limits(), [None]);
    });
}

#[test]
fn an_endpoint_may_be_left_out_for_good() {
    let openings: [fn(&mut BreakerOptions); 3] = [
        |breaker| (breaker.open_time, breaker.max_open_time) = (NEVER, NEVER),
        |breaker| (breaker.open_time, breaker.window) = (Duration::from_secs(u64::MAX / 4), NEVER),
        |breaker| (breaker.max_open_time, breaker.window) = (NEVER, NEVER),
    ];
    for (opening, lasts) in openings.into_iter().zip([true, false, false]) {
        test::run(move || {
            let stub = Stub::that_refuses(4);
            let balancer = stub.balancer(|options| {
                options.ejected_percent = 100;
                options.breaker.failures_in_a_row = 0;
                options.breaker.window_calls = 2;
                opening(&mut options.breaker);
            });
            (0..4).for_each(|_| drop(call(&balancer, None, Repeat::Never).unwrap_err()));
            let is_ejected = || {
                let states = balancer.endpoints();
                states.iter().all(|state| matches!(state.standing, Standing::Ejected { .. }))
            };
            assert!(is_ejected());
            sleep(86_400 * 365 * SECOND);
            assert_eq!(is_ejected(), lasts);
            assert_eq!(call(&balancer, None, Repeat::Never).is_err(), lasts);
        });
    }
}

#[test]
fn attempts_under_a_number_may_take_without_end() {
    test::run(|| {
        let stub = Stub::that_takes(30 * SECOND);
        let options = RetryOptions { timeout: None, attempt_timeout: Some(NEVER), ..RetryOptions::default() };
        let retrying = Retrying::new(stub.clone()).options(options);
        scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| call(&retrying, None, Repeat::Sequenced).unwrap());
            }
        });
        assert_eq!(stub.limits(), [Some(NEVER); 2]);
    });
}

#[test]
fn waits_between_attempts_may_have_no_bound() {
    test::run(|| {
        let backoff = Backoff { first: NEVER, most: NEVER };
        let stub = Stub::that_refuses(1);
        let options = RetryOptions { backoff, timeout: None, ..RetryOptions::default() };
        let retrying = Retrying::new(stub.clone()).options(options);
        let began = now();
        call(&retrying, None, Repeat::Never).unwrap();
        assert!(now() - began > SECOND);
    });
}

#[test]
fn what_was_opened_after_a_wait_tells_of_its_own_limit() {
    fn check<C: Caller>(stub: Stub, own: Duration, told: Duration, make: impl FnOnce(&Stub) -> C + 'static) {
        test::run(move || {
            let (caller, began) = (make(&stub), now());
            let options = CallOptions { timeout: Some(own), ..CallOptions::default() };
            let call = caller.open(&Request { method: "nop", params: &[0x90], options: &options }).unwrap();
            let part = stub.limits().last().copied().flatten();
            assert!(part.is_some_and(|part| part < own), "{part:?}");
            let error = call.finish().unwrap_err();
            assert!(matches!(error, CallError::TimedOut { limit, sent: true } if limit == told), "{error}");
            assert_eq!(now() - began == own, told == own);
        });
    }
    let (stub, limit) = (|| Stub::that_takes(SECOND), 5 * SECOND);
    check(stub(), limit, limit, |stub| stub.balancer(|_| {}));
    check(stub(), limit, limit, Stub::reconnecting);
    check(Stub::that_refuses(1), limit, limit, |stub| Retrying::across(stub.clone()));
    check(stub(), limit, limit, |stub| Retrying::across(stub.balancer(|_| {})));
    // A shorter limit that passes before is what has passed.
    check(stub(), limit, 2 * SECOND, |stub| {
        let attempt_timeout = Some(2 * SECOND);
        Retrying::across(stub.clone()).options(RetryOptions { attempt_timeout, ..RetryOptions::default() })
    });
}

/// The clock of a runtime stands still while a coroutine computes.
#[test]
fn the_time_of_a_call_begins_when_it_is_made_however_long_its_caller_has_computed() {
    const LIMIT: Duration = Duration::from_secs(60);
    fn check<C: Caller>(stub: Stub, make: impl FnOnce(&Stub) -> C + 'static) {
        test::Test::new().real_time().run(move || {
            let caller = make(&stub);
            let pass = now();
            while read_clock() - pass < 50 * MILLISECOND {}
            let began = Instant::now();
            call(&caller, Some(LIMIT), Repeat::Sequenced).unwrap();
            let (came, limit) = *stub.seen.borrow().last().unwrap();
            // It had to wait, so something is gone of its time, but nothing of what was before it.
            assert!(limit.is_some_and(|limit| limit < LIMIT && limit >= LIMIT - (came - began)), "{limit:?}");
        });
    }
    let stub = || Stub::that_takes(MILLISECOND);
    check(stub(), |stub| stub.balancer(|_| {}));
    check(stub(), Stub::reconnecting);
    check(stub(), |stub| Retrying::new(stub.clone()));
    check(Stub::that_refuses(1), |stub| Retrying::across(stub.clone()));
}

#[test]
fn a_second_attempt_is_not_made_for_what_its_caller_has_computed_before() {
    test::Test::new().real_time().run(|| {
        let stub = Stub::that_takes(MILLISECOND);
        let balancer = stub.balancer(|options| {
            options.hedge = Some(HedgeOptions { delay: HedgeDelay::Fixed(SECOND), ..HedgeOptions::default() });
        });
        call(&balancer, None, Repeat::Idempotent).unwrap();
        let pass = now();
        while read_clock() - pass < SECOND {}
        call(&balancer, None, Repeat::Idempotent).unwrap();
        assert_eq!(balancer.hedges().made, 0);
        let latencies: Vec<_> = balancer.endpoints().iter().filter_map(|state| state.latency).collect();
        assert!(latencies.iter().all(|latency| *latency < SECOND), "{latencies:?}");
    });
}
