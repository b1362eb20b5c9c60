//! Time limits: a caller's limit travels, becomes a limit of the method, and unwinds it.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::time::{Duration, Instant};

use grapeshot_core::{current_deadline, now, read_clock, sleep, test, with_timeout};
use grapeshot_net::memory;
use grapeshot_rpc::{
    CallError, CallOptions, CallerExt, Connection, Context, Extensions, Failure, Limits, Router, Value,
};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// Says in the log when a method is over, however it ends.
struct Note(test::Log);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.add("over");
    }
}

fn sleeper(log: &test::Log) -> Router {
    let log = log.clone();
    Router::new()
        .method("left", |()| Ok(current_deadline().map(|deadline| (deadline - now()).as_millis() as u64)))
        .method("sleep", move |(seconds,): (u64,)| {
            let _note = Note(log.clone());
            sleep(Duration::from_secs(seconds));
            Ok(())
        })
}

fn pair(service: Router, extensions: Extensions) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(service).accept().unwrap();
    (Connection::over(near).extensions(extensions).open().unwrap(), far)
}

fn within(limit: Duration) -> CallOptions {
    CallOptions { timeout: Some(limit), ..CallOptions::default() }
}

#[test]
fn the_method_has_what_is_left_to_its_caller() {
    test::run(|| {
        let (client, _server) = pair(sleeper(&test::Log::new()), Extensions::Agree);
        let left: Option<u64> = client.call_with(&within(5 * SECOND), "left", &()).unwrap();
        assert_eq!(left, Some(5000));
        // Of the limit of the call and the one around it the nearer counts.
        let left = with_timeout(3 * SECOND, || client.call_with::<Option<u64>>(&within(5 * SECOND), "left", &()));
        assert_eq!(left.unwrap().unwrap(), Some(3000));
    });
}

#[test]
fn a_method_whose_caller_no_longer_waits_is_unwound() {
    test::run(|| {
        let log = test::Log::new();
        let (client, server) = pair(sleeper(&log), Extensions::Agree);
        let began = now();
        let error = client.call_with::<()>(&within(SECOND), "sleep", &(60,)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit, sent: true } if limit == SECOND), "{error:?}");
        assert!(server.wait_idle(None));
        assert_eq!(log.take(), ["over"]);
        assert!(now() - began < 2 * SECOND);
    });
}

#[test]
fn a_late_answer_is_dropped_and_the_connection_goes_on() {
    test::run(|| {
        let log = test::Log::new();
        let (client, server) = pair(sleeper(&log), Extensions::Off);
        assert!(client.call_with::<()>(&within(SECOND), "sleep", &(5,)).is_err());
        // The peer was not told, so the method runs on and answers.
        assert!(server.wait_idle(None));
        assert_eq!(client.call::<Option<u64>>("left", &()).unwrap(), Some(60_000));
        assert_eq!(log.take(), ["over"]);
    });
}

#[test]
fn the_context_says_when_the_caller_stops_waiting() {
    test::run(|| {
        let service = Router::new().method_with_context("left", |context: &Context, ()| {
            Ok(context.deadline().map(|deadline| (deadline - now()).as_secs()))
        });
        let (client, _server) = pair(service, Extensions::Agree);
        assert_eq!(client.call_with::<Option<u64>>(&within(7 * SECOND), "left", &()).unwrap(), Some(7));
    });
}

#[test]
fn a_limit_travels_through_a_chain_of_calls() {
    test::run(|| {
        let (second, _third) = pair(sleeper(&test::Log::new()), Extensions::Agree);
        let relay = Router::new().method("left", move |()| {
            second.call::<Option<u64>>("left", &()).map_err(|error| Failure::new(1, error.to_string()))
        });
        let (first, _second) = pair(relay, Extensions::Agree);
        assert_eq!(first.call_with::<Option<u64>>(&within(4 * SECOND), "left", &()).unwrap(), Some(4000));
    });
}

#[test]
fn a_method_of_a_caller_that_says_nothing_has_a_limit_too() {
    test::run(|| {
        let mut limits = Limits::default();
        limits.method_timeout = Some(2 * SECOND);
        let (mut peer, _server) = Peer::of(sleeper(&test::Log::new()), limits);
        peer.request(1, "sleep", vec![60.into()]);
        assert_eq!(peer.failure(1).0, Failure::DEADLINE);
    });
}

/// The clock of a runtime stands still while a coroutine computes.
#[test]
fn the_time_of_a_call_begins_when_it_is_made_however_long_its_caller_has_computed() {
    fn compute(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {}
    }
    test::Test::new().real_time().run(|| {
        let service = Router::new()
            .method("left", |()| Ok(current_deadline().map(|deadline| (deadline - read_clock()).as_millis() as u64)));
        let (client, _server) = pair(service, Extensions::Agree);
        client.call::<Option<u64>>("left", &()).unwrap();
        compute(2 * SECOND);
        let left: Option<u64> = client.call_with(&within(2 * SECOND), "left", &()).unwrap();
        assert!(left.is_some_and(|left| left <= 2000), "{left:?}");
        let left = with_timeout(60 * SECOND, || {
            compute(SECOND);
            client.call_with::<Option<u64>>(&within(3600 * SECOND), "left", &()).unwrap()
        });
        assert!(left.unwrap().is_some_and(|left| left <= 59_000), "{left:?}");
    });
}

#[test]
fn a_caller_cannot_have_a_method_run_for_longer_than_it_may() {
    test::run(|| {
        let (near, far) = memory::pair();
        let mut limits = Limits::default();
        limits.longest_method = Some(2 * SECOND);
        let _far = Connection::over(far).service(sleeper(&test::Log::new())).limits(limits).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        assert_eq!(near.call_with::<Option<u64>>(&within(SECOND), "left", &()).unwrap(), Some(1000));
        assert_eq!(near.call_with::<Option<u64>>(&within(1000 * SECOND), "left", &()).unwrap(), Some(2000));
        let began = now();
        let error = near.call_with::<()>(&within(1000 * SECOND), "sleep", &(60,)).unwrap_err();
        assert!(matches!(&error, CallError::Failed(failure) if failure.code == Failure::DEADLINE), "{error:?}");
        assert_eq!(now() - began, 2 * SECOND);
    });
}

#[test]
fn a_call_whose_limit_has_passed_on_its_way_does_not_run() {
    test::run(|| {
        let log = test::Log::new();
        let mut limits = Limits::default();
        limits.in_flight = 1;
        let (mut peer, _server) = Peer::of(sleeper(&log), limits);
        peer.send(vec![
            0.into(),
            0.into(),
            "$/hello".into(),
            Value::Array(vec![Value::Map(vec![
                ("version".into(), 1.into()),
                ("extensions".into(), Value::Array(vec!["meta".into()])),
            ])]),
        ]);
        peer.result(0);
        peer.request(1, "sleep", vec![5.into()]);
        let one_second = Value::Map(vec![(0.into(), 1_000_000.into())]);
        peer.send(vec![0.into(), 2.into(), "sleep".into(), Value::Array(vec![5.into()]), one_second]);
        peer.result(1);
        assert_eq!(peer.failure(2).0, Failure::DEADLINE);
        assert_eq!(log.take(), ["over"]);
    });
}
