//! Which calls are made again, how often, for how long, and under which numbers.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{now, scope, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::replies::BEGIN;
use grapeshot_rpc::retry::{Backoff, BudgetOptions, RetryBudget, RetryOptions, Retrying};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Encoded, Failure, OpenCall, Outcome, Repeat, Request, Sequence, StreamError, Value,
};

const SECOND: Duration = Duration::from_secs(1);

/// What the next attempt meets.
#[derive(Clone)]
enum Step {
    Answer(u64),
    Fail(CallError),
    /// No answer until the attempt's own limit.
    Silence,
    /// An answer after a while.
    Late(Duration),
}

/// A server that does as it is told; without a word it answers 0.
#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<Step>>,
    seen: RefCell<Vec<Seen>>,
    /// What it says to whoever asks for a client id.
    begins: RefCell<VecDeque<CallError>>,
    begun: Cell<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    at: Instant,
    timeout: Option<Duration>,
    sequence: Option<Sequence>,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Script {
        Script { steps: RefCell::new(steps.into_iter().collect()), ..Script::default() }
    }

    fn attempts(&self) -> usize {
        self.seen.borrow().len()
    }

    fn sequences(&self) -> Vec<Sequence> {
        self.seen.borrow().iter().filter_map(|seen| seen.sequence).collect()
    }

    fn begin(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        assert_eq!(request.options.sequence.map(|sequence| sequence.number), Some(0), "it shows that sequences travel");
        sleep(SECOND / 100);
        if let Some(error) = self.begins.borrow_mut().pop_front() {
            return Err(error);
        }
        self.begun.set(self.begun.get() + 1);
        Ok(Encoded::of(&Value::Binary(vec![self.begun.get(); 16])).unwrap())
    }

    fn next(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        let options = request.options;
        self.seen.borrow_mut().push(Seen { at: now(), timeout: options.timeout, sequence: options.sequence });
        let step = self.steps.borrow_mut().pop_front().unwrap_or(Step::Answer(0));
        match step {
            Step::Answer(number) => Ok(Encoded::of(&number).unwrap()),
            Step::Fail(error) => Err(error),
            Step::Silence => {
                let limit = options.timeout.unwrap();
                sleep(limit);
                Err(CallError::TimedOut { limit, sent: true })
            }
            Step::Late(after) => {
                sleep(after);
                Ok(Encoded::nil())
            }
        }
    }
}

impl Caller for Script {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        if request.method == BEGIN { self.begin(request) } else { self.next(request) }
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.next(request).map(drop)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        self.next(request).map(|_| Box::new(Lost) as Box<dyn OpenCall>)
    }
}

/// A call with streams whose connection is lost as soon as it is used.
struct Lost;

impl OpenCall for Lost {
    fn send_item(&self, _item: &[u8]) -> Result<(), StreamError> {
        Err(StreamError::Lost(reset()))
    }

    fn end_items(&self, _failure: Option<&Failure>) {}

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Err(StreamError::Lost(reset()))
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        Err(unknown())
    }
}

fn reset() -> Arc<io::Error> {
    Arc::new(io::ErrorKind::ConnectionReset.into())
}

fn unknown() -> CallError {
    CallError::OutcomeUnknown { cause: reset() }
}

fn not_sent() -> CallError {
    CallError::NotSent { cause: Arc::new(io::ErrorKind::ConnectionRefused.into()) }
}

fn failed(code: i64) -> CallError {
    CallError::Failed(Failure::new(code, "it says so"))
}

fn call(caller: &impl Caller, options: &CallOptions) -> Result<u64, CallError> {
    let request = Request { method: "bump", params: &[0x90], options };
    caller.exchange(&request).map(|answer| answer.decode().unwrap_or(0))
}

fn repeat(repeat: Repeat) -> CallOptions {
    CallOptions { repeat, ..CallOptions::default() }
}

fn six_attempts() -> RetryOptions {
    RetryOptions { attempts: 6, ..RetryOptions::default() }
}

#[test]
fn a_services_own_error_is_an_answer_and_no_failed_call() {
    test::run(|| {
        let steps =
            [failed(42), failed(Failure::INTERNAL), failed(Failure::INVALID_PARAMS), failed(Failure::FORBIDDEN)];
        let caller = Retrying::new(Script::of(steps.map(Step::Fail)));
        let failed = [0, 1, 2, 3].map(|_| {
            call(&caller, &CallOptions::default()).unwrap_err();
            caller.counts().failed
        });
        assert_eq!(failed, [0, 0, 0, 1], "only the last is turned away without an answer of the method's");
    });
}

#[test]
fn a_call_that_was_not_sent_is_made_again() {
    test::run(|| {
        let busy = failed(Failure::BUSY);
        let caller = Retrying::new(Script::of([Step::Fail(not_sent()), Step::Fail(busy), Step::Answer(7)]));
        assert_eq!(call(&caller, &CallOptions::default()).unwrap(), 7);
        assert_eq!(caller.counts().repeats, 2);
    });
}

#[test]
fn a_call_that_may_have_run_is_made_once() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(unknown())]));
        let error = call(&caller, &CallOptions::default()).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(caller.inner().attempts(), 1);
    });
}

#[test]
fn an_idempotent_call_that_may_have_run_is_made_again() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(unknown()), Step::Answer(3)]));
        assert_eq!(call(&caller, &repeat(Repeat::Idempotent)).unwrap(), 3);
    });
}

#[test]
fn the_answer_of_the_service_is_final_even_if_it_is_a_failure() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(failed(42))]));
        let error = call(&caller, &repeat(Repeat::Idempotent)).unwrap_err();
        assert_eq!(error.failure().map(|failure| failure.code), Some(42));
        assert_eq!(caller.inner().attempts(), 1);
    });
}

#[test]
fn one_attempt_in_doubt_counts_for_more_than_later_ones_that_did_not_run() {
    test::run(|| {
        let steps = [Step::Fail(unknown())].into_iter().chain((0..5).map(|_| Step::Fail(not_sent())));
        let caller = Retrying::new(Script::of(steps)).options(six_attempts());
        let error = call(&caller, &repeat(Repeat::Idempotent)).unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(caller.inner().attempts(), 6);
    });
}

#[test]
fn the_attempts_are_bounded_and_the_waits_between_them_grow() {
    test::run(|| {
        let caller = Retrying::new(Script::of((0..20).map(|_| Step::Fail(not_sent()))));
        let backoff = Backoff { first: SECOND, most: SECOND * 4 };
        let caller = caller.options(RetryOptions { backoff, ..six_attempts() });
        let error = call(&caller, &CallOptions::default()).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun);
        let seen = caller.inner().seen.borrow();
        let waits: Vec<Duration> = seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert_eq!(waits.len(), 5);
        let bounds = [1, 2, 4, 4, 4].map(|seconds| SECOND * seconds);
        assert!(waits.iter().zip(bounds).all(|(wait, bound)| *wait <= bound), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait > SECOND), "{waits:?}");
        assert_eq!(caller.counts().failed, 1);
    });
}

#[test]
fn a_call_ends_at_its_own_limit_whatever_its_attempts_may_take() {
    test::run(|| {
        let caller = Retrying::new(Script::of((0..9).map(|_| Step::Silence)));
        let backoff = Backoff { first: Duration::ZERO, most: Duration::ZERO };
        let attempt_timeout = Some(SECOND * 2);
        let caller = caller.options(RetryOptions { backoff, attempt_timeout, ..RetryOptions::default() });
        let began = now();
        let options = CallOptions { timeout: Some(SECOND * 5), ..repeat(Repeat::Idempotent) };
        let error = call(&caller, &options).unwrap_err();
        assert_eq!(now() - began, SECOND * 5);
        assert!(matches!(error, CallError::TimedOut { limit, sent: true } if limit == SECOND * 5), "{error}");
        let timeouts: Vec<_> = caller.inner().seen.borrow().iter().filter_map(|seen| seen.timeout).collect();
        assert_eq!(timeouts, [SECOND * 2, SECOND * 2, SECOND]);
    });
}

#[test]
fn a_wait_that_would_outlast_the_call_is_not_begun() {
    test::run(|| {
        let caller = Retrying::new(Script::of((0..200).map(|_| Step::Fail(not_sent()))));
        let backoff = Backoff { first: SECOND * 3600, most: SECOND * 3600 };
        let caller = caller.options(RetryOptions { backoff, ..RetryOptions::default() });
        let began = now();
        let error = call(&caller, &CallOptions { timeout: Some(SECOND), ..CallOptions::default() }).unwrap_err();
        assert!(matches!(error, CallError::NotSent { .. }), "{error}");
        assert!(now() - began < SECOND);
        let error = with_timeout(SECOND, || call(&caller, &CallOptions::default())).unwrap().unwrap_err();
        assert!(matches!(error, CallError::NotSent { .. }), "{error}");
    });
}

#[test]
fn an_outage_is_not_multiplied() {
    test::run(|| {
        let caller = Retrying::new(Script::of((0..10_000).map(|_| Step::Fail(not_sent()))));
        let options =
            RetryOptions { backoff: Backoff { first: Duration::ZERO, most: Duration::ZERO }, ..six_attempts() };
        let caller = caller.options(options);
        for _ in 0..1000 {
            call(&caller, &CallOptions::default()).unwrap_err();
        }
        // What is free in ten seconds, and nothing for calls that nobody answers.
        assert_eq!(caller.inner().attempts(), 1000 + 100);
        assert_eq!(caller.counts().out_of_budget, 980);
    });
}

#[test]
fn calls_that_are_answered_pay_for_repeats() {
    test::run(|| {
        let budget = RetryBudget::new(BudgetOptions { minimum_per_second: 0, ..BudgetOptions::default() });
        let caller = Retrying::new(Script::default()).budget(budget);
        for _ in 0..10 {
            call(&caller, &CallOptions::default()).unwrap();
        }
        caller.inner().steps.borrow_mut().extend((0..100).map(|_| Step::Fail(not_sent())));
        call(&caller, &CallOptions::default()).unwrap_err();
        assert_eq!(caller.counts().repeats, 2);
    });
}

#[test]
fn all_attempts_of_a_call_have_one_number_and_each_call_has_its_own() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(unknown()), Step::Fail(not_sent()), Step::Answer(1)]));
        call(&caller, &repeat(Repeat::Sequenced)).unwrap();
        call(&caller, &repeat(Repeat::Sequenced)).unwrap();
        let of = |number| Sequence { client: [1; 16], number, lowest: number };
        assert_eq!(caller.inner().sequences(), [of(1), of(1), of(1), of(2)]);
    });
}

#[test]
fn calls_at_the_same_time_ask_for_one_id_and_tell_the_lowest_number_in_use() {
    test::run(|| {
        let script = Script::of([Step::Late(SECOND), Step::Late(SECOND * 3), Step::Late(SECOND)]);
        let caller = Retrying::new(script);
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| call(&caller, &repeat(Repeat::Sequenced)).unwrap());
            }
        });
        call(&caller, &repeat(Repeat::Sequenced)).unwrap();
        assert_eq!(caller.inner().begun.get(), 1);
        let numbers: Vec<_> =
            caller.inner().sequences().iter().map(|sequence| (sequence.number, sequence.lowest)).collect();
        assert_eq!(numbers, [(1, 1), (2, 1), (3, 1), (4, 4)]);
    });
}

#[test]
fn whoever_is_cancelled_gives_its_number_back() {
    test::run(|| {
        let caller = Rc::new(Retrying::new(Script::of([Step::Late(SECOND * 10)])));
        let first = spawn({
            let caller = caller.clone();
            move || call(&*caller, &repeat(Repeat::Sequenced))
        });
        sleep(SECOND);
        first.cancel();
        yield_now();
        call(&*caller, &repeat(Repeat::Sequenced)).unwrap();
        assert_eq!(caller.inner().sequences().last().map(|sequence| sequence.lowest), Some(2));
    });
}

#[test]
fn without_numbers_on_the_other_side_a_sequenced_call_is_made_once() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(unknown())]));
        caller.inner().begins.borrow_mut().push_back(failed(Failure::METHOD_NOT_FOUND));
        let error = call(&caller, &repeat(Repeat::Sequenced)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        call(&caller, &repeat(Repeat::Sequenced)).unwrap();
        let seen = caller.inner().seen.borrow().clone();
        assert!(seen.iter().all(|seen| seen.sequence.is_none()), "{seen:?}");
        assert_eq!(seen.len(), 2);
    });
}

#[test]
fn an_id_that_cannot_be_had_leaves_the_call_not_run() {
    test::run(|| {
        let caller = Retrying::new(Script::default());
        let caller = caller.options(six_attempts());
        caller.inner().begins.borrow_mut().extend((0..6).map(|_| unknown()));
        let error = call(&caller, &repeat(Repeat::Sequenced)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
        assert_eq!(caller.inner().attempts(), 0);
    });
}

#[test]
fn when_asking_for_an_id_takes_all_the_time_the_call_is_not_made() {
    test::run(|| {
        let caller = Retrying::new(Script::default());
        let options = CallOptions { timeout: Some(SECOND / 100), ..repeat(Repeat::Sequenced) };
        let error = call(&caller, &options).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit, sent: false } if limit == SECOND / 100), "{error}");
        assert_eq!(caller.inner().attempts(), 0);
    });
}

#[test]
fn an_id_that_the_server_does_not_know_is_replaced_if_nothing_has_run() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(failed(Failure::UNKNOWN_CLIENT)), Step::Answer(5)]));
        let began = now();
        assert_eq!(call(&caller, &repeat(Repeat::Sequenced)).unwrap(), 5);
        assert_eq!(now() - began, SECOND / 50, "two ids are asked for, and nothing else is waited for");
        let sequences = caller.inner().sequences();
        assert_eq!(sequences[0].client, [1; 16]);
        assert_eq!(sequences[1], Sequence { client: [2; 16], number: 1, lowest: 1 });
    });
}

#[test]
fn a_call_that_may_have_run_is_never_made_under_another_id() {
    test::run(|| {
        let steps = [Step::Fail(unknown()), Step::Fail(failed(Failure::UNKNOWN_CLIENT)), Step::Answer(5)];
        let caller = Retrying::new(Script::of(steps));
        let error = call(&caller, &repeat(Repeat::Sequenced)).unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(caller.inner().attempts(), 2);
        call(&caller, &repeat(Repeat::Sequenced)).unwrap();
        assert_eq!(caller.inner().sequences()[2].client, [2; 16], "the next call asks for another id");
    });
}

#[test]
fn before_several_servers_nothing_has_a_number_and_nothing_in_doubt_is_repeated() {
    test::run(|| {
        let caller = Retrying::across(Script::of([Step::Fail(not_sent()), Step::Fail(unknown())]));
        let error = call(&caller, &repeat(Repeat::Sequenced)).unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(caller.inner().begun.get(), 0);
        assert_eq!(caller.inner().attempts(), 2);
    });
}

#[test]
fn beneath_a_balancer_what_did_not_run_is_left_to_it_and_what_is_in_doubt_is_not() {
    test::run(|| {
        let steps = [Step::Fail(not_sent()), Step::Fail(unknown()), Step::Fail(not_sent()), Step::Answer(4)];
        let caller = Retrying::beneath(Script::of(steps));
        let error = call(&caller, &repeat(Repeat::Sequenced)).unwrap_err();
        assert_eq!((error.outcome(), caller.inner().attempts()), (Outcome::NotRun, 1));
        assert_eq!(call(&caller, &repeat(Repeat::Sequenced)).unwrap(), 4);
        let numbers: Vec<u64> = caller.inner().sequences().iter().map(|sequence| sequence.number).collect();
        assert_eq!(numbers, [1, 2, 2, 2]);
    });
}

#[test]
fn a_call_with_streams_is_repeated_until_it_is_open_and_no_longer() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(not_sent()), Step::Answer(0)]));
        let options = repeat(Repeat::Sequenced);
        let open = caller.open(&Request { method: "feed", params: &[0x90], options: &options }).unwrap();
        assert!(open.send_item(&[1]).is_err());
        assert_eq!(open.finish().unwrap_err().outcome(), Outcome::Unknown);
        assert_eq!(caller.inner().attempts(), 2);
        assert!(caller.inner().sequences().is_empty());
    });
}

#[test]
fn a_notification_that_was_not_sent_is_sent_again() {
    test::run(|| {
        let caller = Retrying::new(Script::of([Step::Fail(not_sent()), Step::Answer(0)]));
        let options = CallOptions::default();
        caller.tell(&Request { method: "bump", params: &[0x90], options: &options }).unwrap();
        assert_eq!(caller.inner().attempts(), 2);
    });
}
