use std::sync::Arc;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A breaker that opens for exactly its time: up to a tenth more is within a tenth of it.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new(change: impl FnOnce(&mut BreakerOptions)) -> Bench {
        let mut options = BreakerOptions { failures_in_a_row: 3, ..BreakerOptions::default() };
        change(&mut options);
        Bench { breaker: Breaker::new(options), now: Instant::now() }
    }

    fn call(&self, verdict: Verdict) -> bool {
        let Some(pass) = self.breaker.try_pass(self.now) else { return false };
        self.breaker.settle(pass, verdict, self.now, || true);
        true
    }

    fn fail(&self, times: usize) {
        (0..times).for_each(|_| assert!(self.call(Verdict::Failure)));
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn state(&self) -> BreakerState {
        self.breaker.state(self.now)
    }

    fn open_for(&self) -> Duration {
        match self.state() {
            BreakerState::Open { until } => until - self.now,
            state => panic!("not open but {state:?}"),
        }
    }
}

#[test]
fn opens_after_failures_in_a_row_and_not_before() {
    let bench = Bench::new(|_| {});
    bench.fail(2);
    assert!(bench.call(Verdict::Success));
    bench.fail(2);
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.fail(1);
    assert!((SECOND..=SECOND * 11 / 10).contains(&bench.open_for()));
    assert!(!bench.call(Verdict::Success));
}

#[test]
fn what_tells_nothing_interrupts_no_row() {
    let bench = Bench::new(|_| {});
    bench.fail(2);
    assert!(bench.call(Verdict::Nothing));
    bench.fail(1);
    assert!(matches!(bench.state(), BreakerState::Open { .. }));
}

#[test]
fn opens_when_too_few_of_the_calls_in_the_window_succeed() {
    let bench = Bench::new(|options| options.failures_in_a_row = 0);
    (0..9).for_each(|_| assert!(bench.call(Verdict::Success)));
    bench.fail(10);
    assert_eq!(bench.state(), BreakerState::Closed, "nineteen calls are too few to tell");
    bench.fail(1);
    assert!(matches!(bench.state(), BreakerState::Open { .. }), "9 of 20 are fewer than half");
}

#[test]
fn lets_one_probe_pass_at_a_time_and_closes_after_as_many_as_asked() {
    let mut bench = Bench::new(|options| options.probes = 2);
    bench.fail(3);
    bench.wait(2 * SECOND);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    let probe = bench.breaker.try_pass(bench.now).unwrap();
    assert!(!bench.breaker.may_pass(bench.now));
    assert_eq!(bench.breaker.try_pass(bench.now), None);
    bench.breaker.settle(probe, Verdict::Success, bench.now, || true);
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    assert!(bench.call(Verdict::Success));
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn a_probe_that_tells_nothing_makes_room_for_the_next() {
    let mut bench = Bench::new(|_| {});
    bench.fail(3);
    bench.wait(2 * SECOND);
    assert!(bench.call(Verdict::Nothing));
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    assert!(bench.call(Verdict::Success));
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn a_probe_that_takes_long_makes_room_for_another_and_still_counts() {
    let mut bench = Bench::new(|_| {});
    bench.fail(3);
    bench.wait(2 * SECOND);
    let slow = bench.breaker.try_pass(bench.now).unwrap();
    bench.wait(SECOND * 9 / 10);
    assert!(!bench.breaker.may_pass(bench.now));
    bench.wait(SECOND / 10);
    let second = bench.breaker.try_pass(bench.now).unwrap();
    assert!(!bench.breaker.may_pass(bench.now));
    bench.breaker.settle(slow, Verdict::Success, bench.now, || true);
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.breaker.settle(second, Verdict::Failure, bench.now, || true);
    assert_eq!(bench.breaker.failures_in_a_row(), 0, "it belongs to a state that is over");
}

#[test]
fn failures_are_recent_for_as_long_as_the_first_opening() {
    let mut bench = Bench::new(|_| {});
    bench.fail(2);
    assert_eq!(bench.breaker.recent_failures(bench.now), 2);
    bench.wait(SECOND);
    assert_eq!((bench.breaker.recent_failures(bench.now), bench.breaker.failures_in_a_row()), (0, 2));
    bench.fail(1);
    assert_eq!(bench.breaker.recent_failures(bench.now), 0, "it is open, and nobody asks");
}

#[test]
fn each_opening_in_a_row_lasts_twice_as_long_within_the_limit() {
    let mut bench = Bench::new(|options| options.max_open_time = 5 * SECOND);
    bench.fail(3);
    for seconds in [1, 2, 4, 5, 5] {
        let time = SECOND * seconds;
        assert!((time..=time * 11 / 10).contains(&bench.open_for()), "{seconds}: {:?}", bench.open_for());
        bench.wait(bench.open_for());
        bench.fail(1);
    }
}

#[test]
fn an_opening_soon_after_a_return_lasts_longer_and_one_long_after_does_not() {
    let mut bench = Bench::new(|_| {});
    bench.fail(3);
    bench.wait(2 * SECOND);
    assert!(bench.call(Verdict::Success));
    bench.wait(SECOND);
    bench.fail(3);
    assert!(bench.open_for() >= 2 * SECOND);
    bench.wait(3 * SECOND);
    assert!(bench.call(Verdict::Success));
    bench.wait(60 * SECOND);
    bench.fail(3);
    assert!(bench.open_for() < 2 * SECOND);
}

#[test]
fn a_call_counts_only_in_the_state_that_let_it_pass() {
    let mut bench = Bench::new(|_| {});
    let slow = [(); 2].map(|()| bench.breaker.try_pass(bench.now).unwrap());
    bench.fail(3);
    bench.wait(2 * SECOND);
    bench.breaker.settle(slow[0], Verdict::Failure, bench.now, || true);
    assert_eq!(bench.state(), BreakerState::HalfOpen, "a late failure does not prolong the opening");
    let probe = bench.breaker.try_pass(bench.now).unwrap();
    bench.breaker.settle(slow[1], Verdict::Success, bench.now, || true);
    assert_eq!(bench.state(), BreakerState::HalfOpen, "a late success does not end it");
    bench.breaker.settle(probe, Verdict::Success, bench.now, || true);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn an_opening_that_is_forbidden_is_asked_for_again_at_the_next_failure() {
    let bench = Bench::new(|_| {});
    for _ in 0..4 {
        let pass = bench.breaker.try_pass(bench.now).unwrap();
        bench.breaker.settle(pass, Verdict::Failure, bench.now, || false);
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.fail(1);
    assert!(matches!(bench.state(), BreakerState::Open { .. }));
}

#[test]
fn errors_are_judged_as_the_table_says() {
    let failed = |code| CallError::Failed(Failure::new(code, ""));
    let cause = || Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let table = [
        (failed(7), Verdict::Success),
        (failed(Failure::METHOD_NOT_FOUND), Verdict::Success),
        (failed(Failure::INVALID_PARAMS), Verdict::Success),
        (failed(Failure::FORBIDDEN), Verdict::Success),
        (failed(Failure::UNAVAILABLE), Verdict::Failure),
        (failed(Failure::INTERNAL), Verdict::Failure),
        (failed(Failure::DEADLINE), Verdict::Failure),
        (failed(Failure::BUSY), Verdict::Nothing),
        (failed(Failure::CANCELLED), Verdict::Nothing),
        (CallError::NotSent { cause: cause() }, Verdict::Failure),
        (CallError::OutcomeUnknown { cause: cause() }, Verdict::Failure),
        (CallError::TimedOut { limit: SECOND, sent: true }, Verdict::Failure),
        (CallError::Malformed { reason: String::new() }, Verdict::Failure),
        (CallError::Refused { reason: String::new() }, Verdict::Nothing),
        (CallError::TooLarge { bytes: 2, limit: 1, sent: false }, Verdict::Nothing),
    ];
    for (error, verdict) in table {
        assert_eq!(Verdict::of(&error), verdict, "{error}");
    }
}
