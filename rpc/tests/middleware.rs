//! Middleware around callers and services, alone and over connections.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod service_direct;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test, with_timeout};
use grapeshot_net::{UnixStream, memory};
use grapeshot_rpc::auth::{AuthKey, Keys};
use grapeshot_rpc::middleware::{
    Authorize, CallKind, CallerWith, Ending, Logging, MAX_METHODS, MAX_NAME_BYTES, MethodLimit, MethodLimits, Metrics,
    Reply, ServiceWith, Who,
};
use grapeshot_rpc::proto::MetaValue;
use grapeshot_rpc::stream::{CalleeStreaming, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, CallerExt, Connection, Context, Encoded, Failure, Outcome, Request, Router, Service,
};

use service_direct::Direct;

const SECOND: Duration = Duration::from_secs(1);

/// Adds, fails, sleeps, panics and sends items.
fn everything() -> Router {
    Router::new()
        .method("add", |(a, b): (i64, i64)| Ok(a + b))
        .method("fail", |()| Err::<(), _>(Failure::new(7, "so\nit is")))
        .method("sleep", |(seconds,): (u64,)| {
            sleep(SECOND * u32::try_from(seconds).unwrap());
            Ok(())
        })
        .notification("note", |(_,): (String,)| ())
        .callee_stream("upto", |_: &Context, (n,): (u64,), numbers: Sink<u64>| {
            (0..n).try_for_each(|number| numbers.send(&number)).map(|()| n).map_err(Failure::from)
        })
}

fn pair(service: impl Service + 'static) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(service).accept().unwrap();
    (Connection::over(near).open().unwrap(), far)
}

fn code(result: Result<(), CallError>) -> i64 {
    result.unwrap_err().failure().unwrap().code
}

/// Lines of a log, with what the peer's address is left out.
fn lines() -> (Rc<RefCell<Vec<String>>>, Logging) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let kept = lines.clone();
    (lines, Logging::new(move |call| kept.borrow_mut().push(call.to_string())))
}

#[test]
fn what_was_put_around_last_is_asked_first_and_sees_the_answer_last() {
    test::run(|| {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let step = |name: &'static str| {
            let steps = steps.clone();
            move |what: &str| steps.borrow_mut().push(format!("{name} {what}"))
        };
        let (inner, outer) = (step("inner"), step("outer"));
        let (near_inner, near_outer) = (step("near inner"), step("near outer"));
        let service = everything()
            .around(move |call, next| {
                inner(call.method);
                next.call(call).inspect(|_| inner("answers"))
            })
            .around(move |call, next| {
                outer(call.method);
                next.call(call).inspect(|_| outer("answers"))
            });
        let caller = Direct::to(service)
            .around(move |request, next| next.call(request).inspect(|_| near_inner("replies")))
            .around(move |request, next| next.call(request).inspect(|_| near_outer("replies")));
        assert_eq!(caller.call::<i64>("add", &(1, 2)).unwrap(), 3);
        let seen = steps.take();
        let expected =
            ["outer add", "inner add", "inner answers", "outer answers", "near inner replies", "near outer replies"];
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_middleware_may_answer_itself_and_the_service_does_not_run() {
    test::run(|| {
        let calls = Rc::new(Cell::new(0));
        let counted = calls.clone();
        let service = Router::new().method("one", move |()| {
            counted.set(counted.get() + 1);
            Ok(1)
        });
        let caller = Direct::to(service).around(|_, next| match next.kind() {
            CallKind::Exchange => Ok(Reply::Answer(Encoded::of(&2).unwrap())),
            CallKind::Tell => Ok(Reply::Told),
            CallKind::Open => Ok(Reply::Told),
        });
        assert_eq!(caller.call::<i64>("one", &()).unwrap(), 2);
        caller.notify("one", &()).unwrap();
        let wrong = CalleeStreaming::<u64, u64>::open(&caller, "one", &(), &CallOptions::default()).unwrap_err();
        assert!(
            matches!(&wrong, CallError::Malformed { reason } if reason.contains("Open") && reason.contains("Tell"))
        );
        assert_eq!(calls.get(), 0);
    });
}

#[test]
fn metadata_that_a_middleware_adds_arrives_with_every_kind_of_call() {
    test::run(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let kept = seen.clone();
        let service = everything().around(move |call, next| {
            kept.borrow_mut().push(format!("{} {:?}", call.method, call.context.metadata().text("who")));
            next.call(call)
        });
        let (near, _far) = pair(service);
        let near = near.around(|request, next| {
            let mut options = request.options.clone();
            options.metadata.set("who", MetaValue::Text("ann".into()));
            next.call(&Request { options: &options, ..*request })
        });
        near.notify("note", &("hello",)).unwrap();
        near.call::<i64>("add", &(1, 2)).unwrap();
        CalleeStreaming::<u64, u64>::open(&near, "upto", &(3,), &CallOptions::default()).unwrap().finish().unwrap();
        assert_eq!(seen.take(), ["note Some(\"ann\")", "add Some(\"ann\")", "upto Some(\"ann\")"]);
    });
}

#[test]
fn the_methods_of_a_service_are_listed_through_its_middleware() {
    test::run(|| {
        let (near, _far) = pair(everything().with(Metrics::new()).around(|call, next| next.call(call)));
        assert_eq!(near.methods().unwrap().len(), everything().methods().len());
    });
}

#[test]
fn a_log_has_one_line_for_each_call_however_it_ends() {
    test::run(|| {
        let (callee_lines, callee_log) = lines();
        let (caller_lines, caller_log) = lines();
        let (near, _far) = pair(everything().with(callee_log));
        let near = near.with(caller_log);
        near.call::<i64>("add", &(1, 2)).unwrap();
        near.call::<()>("fail", &()).unwrap_err();
        near.call::<()>("add", &("x",)).unwrap_err();
        let options = CallOptions { timeout: Some(SECOND), ..CallOptions::default() };
        near.call_with::<()>(&options, "sleep", &(5,)).unwrap_err();
        with_timeout(SECOND, || near.call::<()>("sleep", &(5,))).unwrap_err();
        near.notify("note", &("x",)).unwrap();
        near.call::<()>("sleep", &(0,)).unwrap();
        let callee: Vec<_> = callee_lines.take().iter().map(|line| without_peer(line)).collect();
        assert_eq!(callee.len(), 7, "{callee:#?}");
        assert_eq!(callee[0], "\"add\" 0ns ok");
        assert_eq!(callee[1], "\"fail\" 0ns failed: so\\nit is (code 7)");
        assert!(callee[2].starts_with("\"add\" 0ns refused: "), "{callee:#?}");
        assert_eq!(callee[3..5], ["\"sleep\" 1s cut off"; 2]);
        assert_eq!(callee[5..], ["\"note\" 0ns ok", "\"sleep\" 0ns ok"]);
        let caller = caller_lines.take();
        assert_eq!(caller[3], "\"sleep\" 1s failed: no answer within 1s; the call may have run");
        assert_eq!(caller[4], "\"sleep\" 1s cut off");
        assert_eq!(caller.len(), 7, "{caller:#?}");
    });
}

fn without_peer(line: &str) -> String {
    line.split_once(" called ").unwrap().1.to_owned()
}

#[test]
fn a_call_with_streams_is_logged_when_it_is_over_and_as_cut_off_when_dropped() {
    test::run(|| {
        let (seen, log) = lines();
        let near = Direct::to(everything()).with(log);
        let open = || CalleeStreaming::<u64, u64>::open(&near, "upto", &(3,), &CallOptions::default()).unwrap();
        let call = open();
        assert_eq!(call.items().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(seen.borrow().is_empty());
        assert_eq!(call.finish().unwrap(), 3);
        drop(open());
        assert_eq!(seen.take(), ["\"upto\" 0ns ok", "\"upto\" 0ns cut off"]);
    });
}

#[test]
fn metrics_count_by_method_and_ending_on_both_sides() {
    test::run(|| {
        let (callee, caller) = (Metrics::new(), Metrics::new());
        let (near, _far) = pair(everything().with(callee.clone()));
        let near = near.with(caller.clone());
        for _ in 0..3 {
            near.call::<i64>("add", &(1, 2)).unwrap();
        }
        near.call::<()>("add", &()).unwrap_err();
        near.call::<()>("fail", &()).unwrap_err();
        near.call::<()>("sleep", &(2,)).unwrap();
        let sleeping = spawn({
            let near = Rc::new(near);
            move || with_timeout(SECOND, || near.call::<()>("sleep", &(5,))).unwrap_err()
        });
        sleep(SECOND / 2);
        assert_eq!((callee.under_way(), caller.under_way()), (1, 1));
        sleeping.join().unwrap();
        for metrics in [callee, caller] {
            sleep(SECOND);
            assert_eq!(metrics.under_way(), 0);
            let add = metrics.method("add").unwrap();
            assert_eq!((add.succeeded, add.refused, add.failed, add.cut_off), (3, 1, 0, 0));
            assert_eq!((add.params_bytes, add.answer_bytes), (10, 3));
            let fail = metrics.method("fail").unwrap();
            assert_eq!((fail.calls(), fail.failed), (1, 1));
            let sleep = metrics.method("sleep").unwrap();
            assert_eq!((sleep.succeeded, sleep.cut_off, sleep.latency.longest()), (1, 1, 2 * SECOND));
            let text = metrics.to_string();
            assert!(text.contains("rpc_calls_total{method=\"add\",ending=\"refused\"} 1\n"), "{text}");
            assert!(text.contains("rpc_call_seconds{method=\"sleep\",quantile=\"1\"} 2\n"), "{text}");
            assert!(text.contains("rpc_call_seconds_sum{method=\"sleep\"} 3\n"), "{text}");
        }
    });
}

#[test]
fn names_that_a_peer_makes_up_crowd_out_no_method() {
    test::run(|| {
        let metrics = Metrics::new();
        let service = everything().with(metrics.clone());
        let call = |method: &str| service.call(method, &[0x90], &Context::detached());
        for number in 0..2 * MAX_METHODS {
            call(&format!("made up {number}")).unwrap_err();
        }
        call("fail").unwrap_err();
        let names: Vec<_> = metrics.methods().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["fail"]);
        assert_eq!(metrics.others().refused, 2 * MAX_METHODS as u64);
    });
}

#[test]
fn metrics_keep_a_bounded_number_of_methods_and_escape_their_names() {
    test::run(|| {
        let metrics = Metrics::new();
        let service = Router::new().fallback(|_, _, _| Ok(Encoded::nil())).with(metrics.clone());
        let call = |method: &str| service.call(method, &[0x90], &Context::detached()).unwrap();
        call("a \"quoted\\\nname");
        call(&"n".repeat(MAX_NAME_BYTES + 1));
        for number in 0..2 * MAX_METHODS {
            call(&format!("method {number}"));
        }
        assert_eq!(metrics.methods().len(), MAX_METHODS);
        assert_eq!(metrics.others().succeeded as usize, 1 + 2 * MAX_METHODS - (MAX_METHODS - 1));
        let text = metrics.to_string();
        assert!(text.contains(r#"rpc_calls_total{method="a \"quoted\\\nname",ending="ok"} 1"#), "{text}");
    });
}

#[test]
fn what_no_rule_allows_is_forbidden_and_does_not_run() {
    test::run(|| {
        let ran = Rc::new(Cell::new(0));
        let counted = ran.clone();
        let service = everything()
            .around(move |call, next| {
                counted.set(counted.get() + 1);
                next.call(call)
            })
            .with(Authorize::new().allow("add", Who::Anyone).allow("sle*", Who::AnyKey));
        let (near, _far) = pair(service);
        near.call::<i64>("add", &(1, 2)).unwrap();
        for method in ["fail", "sleep", "sle", "no such method", "ad", "addition"] {
            let error = near.call::<()>(method, &()).unwrap_err();
            assert_eq!(error.failure().unwrap().code, Failure::FORBIDDEN, "{method}");
            assert_eq!(error.outcome(), Outcome::NotRun);
        }
        near.notify("note", &("x",)).unwrap();
        near.call::<i64>("add", &(1, 2)).unwrap();
        assert_eq!(ran.get(), 2);
    });
}

#[test]
fn rights_go_by_the_key_that_a_client_has_proven_to_know() {
    let key = |name: &str| AuthKey::new(name.repeat(16).as_bytes()).unwrap().named(name);
    test::run(move || {
        let may = || Authorize::new().allow("add", Who::Key("ann".into())).allow("fail", Who::AnyKey);
        for (name, answer) in [("ann", None), ("bob", Some(Failure::FORBIDDEN))] {
            let (near, far) = memory::pair();
            let setup = Connection::over(far).service(everything().with(may()));
            let _far = setup.require_key(Keys::new([key("ann"), key("bob")]).unwrap()).accept().unwrap();
            let near = Connection::over(near).key(key(name)).open().unwrap();
            let failure = near.call::<i64>("add", &(1, 2)).err().map(|error| error.failure().unwrap().code);
            assert_eq!(failure, answer, "{name}");
            assert_eq!(code(near.call("fail", &())), 7);
            near.close();
        }
    });
}

#[test]
fn rights_go_by_the_user_of_the_process_at_the_other_end_of_a_unix_socket() {
    test::Test::new().real_time().run(|| {
        let own = |near: &UnixStream| near.peer_cred().unwrap().uid;
        let (near, far) = UnixStream::pair().unwrap();
        let uid = own(&near);
        let may = Authorize::new().allow("add", Who::User(uid)).allow("sleep", Who::User(uid + 1)).allow(
            "fail",
            Who::matching(move |peer, method| {
                method == "fail" && peer.credentials.is_some_and(|credentials| credentials.uid == uid)
            }),
        );
        let _far = Connection::over(far).service(everything().with(may)).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        near.call::<i64>("add", &(1, 2)).unwrap();
        assert_eq!(code(near.call("fail", &())), 7);
        assert_eq!(code(near.call("sleep", &(0,))), Failure::FORBIDDEN);
    });
}

#[test]
fn a_rate_limit_refuses_with_busy_until_there_is_room_again() {
    test::run(|| {
        let limits = MethodLimits::new().method("add", MethodLimit::new().per_second(2));
        let (near, _far) = pair(everything().with(limits));
        let call = || near.call::<i64>("add", &(1, 2));
        call().unwrap();
        call().unwrap();
        let error = call().unwrap_err();
        assert_eq!((error.failure().unwrap().code, error.outcome()), (Failure::BUSY, Outcome::NotRun));
        assert!(error.to_string().contains("500ms"), "{error}");
        // Others are not limited.
        near.call::<()>("sleep", &(0,)).unwrap();
        sleep(SECOND / 2);
        call().unwrap();
        call().unwrap_err();
    });
}

#[test]
fn a_limit_of_calls_in_flight_holds_over_all_connections_and_ends_with_the_calls() {
    test::run(|| {
        let limits = MethodLimits::new().method("sleep", MethodLimit::new().in_flight(2));
        let service = Rc::new(everything().with(limits));
        let pairs: Vec<_> = (0..3).map(|_| pair(service.clone())).collect();
        let calls: Vec<_> = pairs
            .iter()
            .map(|(near, _)| {
                let near = near.clone();
                spawn(move || near.call::<()>("sleep", &(3,)))
            })
            .collect();
        let results: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].failure().unwrap().code, Failure::BUSY);
        // A call that was cut off has given its place back as well.
        for _ in 0..3 {
            with_timeout(SECOND, || pairs[0].0.call::<()>("sleep", &(3,))).unwrap_err();
        }
        pairs[2].0.call::<()>("sleep", &(0,)).unwrap();
    });
}

#[test]
fn params_above_a_limit_are_refused_before_the_method_runs() {
    test::run(|| {
        let metrics = Metrics::new();
        let limits = MethodLimits::new().others(MethodLimit::new().params_bytes(8)).method("fail", MethodLimit::new());
        let (near, _far) = pair(everything().with(metrics.clone()).with(limits));
        near.call::<i64>("add", &(1, 2)).unwrap();
        let error = near.call::<i64>("add", &(1, i64::MAX)).unwrap_err();
        assert_eq!((error.failure().unwrap().code, error.outcome()), (Failure::INVALID_PARAMS, Outcome::NotRun));
        assert!(error.to_string().contains("11 bytes, and 8 are the limit"), "{error}");
        assert_eq!(metrics.method("add").unwrap().calls(), 1);
    });
}

#[test]
fn a_time_limit_unwinds_the_method_and_says_so() {
    test::run(|| {
        let metrics = Metrics::new();
        let limits = MethodLimits::new().method("sleep", MethodLimit::new().timeout(SECOND));
        let (near, _far) = pair(everything().with(metrics.clone()).with(limits));
        near.call::<()>("sleep", &(0,)).unwrap();
        let error = near.call::<()>("sleep", &(5,)).unwrap_err();
        assert_eq!((error.failure().unwrap().code, error.outcome()), (Failure::DEADLINE, Outcome::Unknown));
        let sleep = metrics.method("sleep").unwrap();
        assert_eq!((sleep.cut_off, sleep.latency.longest()), (1, SECOND));
    });
}

#[test]
fn a_panic_is_logged_as_cut_off() {
    test::Test::new().allow_crashes().run(|| {
        let (seen, log) = lines();
        let service = Router::new().method("panic", |()| -> Result<(), Failure> { panic!("on purpose") });
        let (near, _far) = pair(service.with(log));
        assert_eq!(code(near.call("panic", &())), Failure::INTERNAL);
        assert_eq!(without_peer(&seen.borrow()[0]), "\"panic\" 0ns cut off");
    });
}

#[test]
fn an_ending_is_told_in_a_word_and_in_a_line() {
    let failure = Failure::new(3, "two\nlines");
    assert_eq!(Ending::Failed(&failure).to_string(), "failed: two\\nlines (code 3)");
    let refused = CallError::Refused { reason: "closed".into() };
    assert!(Ending::NoResult(&refused).is_refusal());
    assert_eq!(Ending::NoResult(&refused).word(), "refused");
    assert_eq!((Ending::CutOff.word(), Ending::CutOff.code()), ("cut off", None));
}
