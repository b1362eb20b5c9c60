//! Calls between two ends of a pair in memory: answers in any order, both directions, and what a call that fails says.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::{
    CallError, CallOptions, CallerExt, CloseReason, Connection, Extensions, Failure, Limits, Outcome, Router, Value,
};

fn service() -> Router {
    Router::new()
        .method("echo", |(value,): (Value,)| Ok(value))
        .method("add", |(a, b): (i64, i64)| Ok(a + b))
        .method("fail", |(text,): (String,)| Err::<(), _>(Failure::new(7, text).with_data(Value::from(12))))
        .method("sleep", |(seconds,): (u64,)| {
            sleep(Duration::from_secs(seconds));
            Ok(seconds)
        })
}

fn pair() -> (Connection, Connection) {
    pair_with(Limits::default(), service())
}

fn pair_with(limits: Limits, service: Router) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(service).limits(limits).accept().unwrap();
    (Connection::over(near).open().unwrap(), far)
}

#[test]
fn an_answer_comes_back_to_its_call() {
    test::run(|| {
        let (client, _server) = pair();
        assert_eq!(client.call::<i64>("add", &(40, 2)).unwrap(), 42);
        assert_eq!(client.call::<String>("echo", &("text",)).unwrap(), "text");
        assert_eq!(client.call::<Value>("echo", &(Value::Nil,)).unwrap(), Value::Nil);
    });
}

#[test]
fn answers_come_in_any_order() {
    test::run(|| {
        let (client, _server) = pair();
        let began = now();
        let log = test::Log::new();
        let calls: Vec<_> = [3_u64, 1, 2]
            .map(|seconds| {
                let (client, log) = (client.clone(), log.clone());
                spawn(move || {
                    assert_eq!(client.call::<u64>("sleep", &(seconds,)).unwrap(), seconds);
                    log.add(seconds.to_string());
                })
            })
            .into();
        calls.into_iter().for_each(|call| call.join().unwrap());
        assert_eq!(log.take(), ["1", "2", "3"]);
        assert_eq!(now() - began, Duration::from_secs(3));
    });
}

#[test]
fn a_failure_brings_its_code_text_and_data() {
    test::run(|| {
        let (client, _server) = pair();
        let error = client.call::<()>("fail", &("no luck",)).unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.code, failure.message.as_str(), &failure.data), (7, "no luck", &Value::from(12)));
        assert_eq!(error.outcome(), Outcome::Ran);
    });
}

#[test]
fn a_method_that_is_not_there_did_not_run() {
    test::run(|| {
        let (client, _server) = pair();
        let error = client.call::<()>("nothing", &()).unwrap_err();
        assert_eq!(error.failure().unwrap().code, Failure::METHOD_NOT_FOUND);
        assert_eq!(error.outcome(), Outcome::NotRun);
    });
}

#[test]
fn a_side_without_a_service_says_so() {
    test::run(|| {
        let (client, server) = pair();
        let error = server.call::<()>("nothing", &()).unwrap_err();
        assert_eq!(error.failure().unwrap().code, Failure::METHOD_NOT_FOUND);
        drop(client);
    });
}

#[test]
fn a_panic_is_an_internal_failure_and_the_connection_goes_on() {
    test::Test::new().allow_crashes().run(|| {
        let broken = service().method("broken", |()| -> Result<(), Failure> { panic!("a fault") });
        let (client, _server) = pair_with(Limits::default(), broken);
        let error = client.call::<()>("broken", &()).unwrap_err();
        assert_eq!(error.failure().unwrap().code, Failure::INTERNAL);
        assert_eq!(client.call::<i64>("add", &(1, 1)).unwrap(), 2);
    });
}

#[test]
fn a_request_sees_what_the_notification_before_it_did() {
    test::run(|| {
        let count = Rc::new(Cell::new(0));
        let (bumped, read) = (count.clone(), count.clone());
        let service = Router::new()
            .notification("bump", move |(by,): (i64,)| {
                sleep(Duration::from_secs(1));
                bumped.set(bumped.get() + by);
            })
            .method("count", move |()| Ok(read.get()));
        let (client, _server) = pair_with(Limits::default(), service);
        client.notify("bump", &(2,)).unwrap();
        client.notify("bump", &(3,)).unwrap();
        assert_eq!(client.call::<i64>("count", &()).unwrap(), 5);
    });
}

#[test]
fn what_was_told_is_written_before_the_connection_is_dropped() {
    test::run(|| {
        let log = test::Log::new();
        let heard = log.clone();
        let service = Router::new().notification("tell", move |(word,): (String,)| {
            sleep(Duration::from_secs(3));
            heard.add(word);
        });
        let (client, server) = pair_with(Limits::default(), service);
        client.notify("tell", &("last word",)).unwrap();
        drop(client);
        assert!(matches!(server.wait_closed(), CloseReason::PeerEnded));
        assert_eq!(log.take(), ["last word"]);
    });
}

#[test]
fn calls_of_a_lost_connection_say_whether_they_may_have_run() {
    test::run(|| {
        let (client, server) = pair();
        let call = spawn({
            let client = client.clone();
            move || client.call::<u64>("sleep", &(5,))
        });
        sleep(Duration::from_secs(1));
        server.close();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error:?}");
        let error = client.call::<i64>("add", &(1, 1)).unwrap_err();
        assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotRun);
    });
}

#[test]
fn a_call_whose_bytes_nobody_was_given_is_not_sent() {
    test::run(|| {
        // The peer reads nothing, so the first call fills the pipe and the second never leaves.
        let (near, far) = memory::Builder::new().capacity(64).pair();
        let mut limits = Limits::default();
        limits.write_timeout = Duration::from_secs(3);
        let client = Connection::over(near).limits(limits).extensions(Extensions::Off).open().unwrap();
        let calls = [100, 200].map(|length| {
            let client = client.clone();
            let call = spawn(move || client.call::<Value>("echo", &("x".repeat(length),)));
            sleep(Duration::from_millis(100));
            call
        });
        let [first, second] = calls.map(|call| call.join().unwrap().unwrap_err());
        assert!(matches!(first, CallError::OutcomeUnknown { .. }), "{first:?}");
        assert!(matches!(second, CallError::NotSent { .. }), "{second:?}");
        assert!(matches!(client.wait_closed(), CloseReason::NotRead { .. }));
        drop(far);
    });
}

#[test]
fn options_go_with_a_call() {
    test::run(|| {
        let (client, _server) = pair();
        let options = CallOptions { timeout: Some(Duration::from_secs(1)), ..CallOptions::default() };
        let error = client.call_with::<u64>(&options, "sleep", &(5,)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { sent: true, limit } if limit == Duration::from_secs(1)));
    });
}

#[test]
fn an_answer_that_came_before_the_end_counts_although_writing_has_failed() {
    test::run(|| {
        // What the peer says takes a second to arrive, and by then its end has been noticed by the writer.
        let late = memory::Faults::new().delays(Duration::from_secs(1)..Duration::from_secs(2));
        let (near, mut far) = memory::Builder::new().capacity(64).to_near(late).pair();
        let client = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        let calls = [10, 200].map(|length| {
            let client = client.clone();
            let call = spawn(move || client.call::<Value>("echo", &("x".repeat(length),)));
            sleep(Duration::from_millis(100));
            call
        });
        // [1, 0, nil, true]: the answer to the first call. The second is on its way.
        far.write_all(&[0x94, 0x01, 0x00, 0xc0, 0xc3]).unwrap();
        drop(far);
        let [first, second] = calls.map(|call| call.join().unwrap());
        assert_eq!(first.unwrap(), Value::from(true));
        assert!(matches!(second, Err(CallError::OutcomeUnknown { .. })), "{second:?}");
    });
}
