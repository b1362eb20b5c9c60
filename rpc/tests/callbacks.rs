//! Calls in both directions on one connection, also where each side has room for one call alone.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::{CallError, CallerExt, Connection, Context, Failure, Limits, Router};

const SECOND: Duration = Duration::from_secs(1);

/// Asks its caller back before it answers.
fn asking() -> Router {
    Router::new().method("name", |()| Ok("somebody".to_owned())).method_with_context(
        "greet",
        |context: &Context, ()| {
            let caller = context.caller().unwrap();
            // So that the calls of both sides are under way at the same time.
            sleep(SECOND);
            let name: String = caller.call("name", &()).map_err(|error| match error {
                CallError::Failed(failure) => failure,
                other => Failure::new(1, other.to_string()),
            })?;
            Ok(format!("hello {name}"))
        },
    )
}

fn pair(limits: &Limits) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(asking()).limits(limits.clone()).accept().unwrap();
    let near = Connection::over(near).service(asking()).limits(limits.clone()).open().unwrap();
    (near, far)
}

#[test]
fn a_method_calls_its_caller() {
    test::run(|| {
        let (near, far) = pair(&Limits::default());
        assert_eq!(near.call::<String>("greet", &()).unwrap(), "hello somebody");
        assert_eq!(far.call::<String>("greet", &()).unwrap(), "hello somebody");
    });
}

#[test]
fn both_sides_call_back_at_once() {
    test::run(|| {
        let (near, far) = pair(&Limits::default());
        let began = now();
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let side = if number % 2 == 0 { near.clone() } else { far.clone() };
                spawn(move || side.call::<String>("greet", &()).unwrap())
            })
            .collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), "hello somebody");
        }
        assert_eq!(now() - began, SECOND);
    });
}

#[test]
fn with_room_for_one_call_a_callback_is_refused_and_not_waited_for_for_ever() {
    test::run(|| {
        let mut limits = Limits::default();
        limits.in_flight = 1;
        let (near, far) = pair(&limits);
        let began = now();
        let calls = [near.clone(), far.clone()].map(|side| spawn(move || side.call::<String>("greet", &())));
        for call in calls {
            let error = call.join().unwrap().unwrap_err();
            assert!(error.to_string().contains("may be waiting") || error.to_string().contains("may wait"), "{error}");
        }
        assert!(now() - began < 2 * SECOND);
        // From one side alone a call and its callback find room.
        assert_eq!(near.call::<String>("greet", &()).unwrap(), "hello somebody");
    });
}

#[test]
fn a_request_that_waits_is_refused_when_the_one_before_begins_to_wait_for_its_sender() {
    test::run(|| {
        let mut limits = Limits::default();
        limits.in_flight = 1;
        let (near, far) = memory::pair();
        let _far = Connection::over(far).service(asking()).limits(limits).accept().unwrap();
        // This side says nothing of limits, so its second call is sent while the first one runs.
        let near = Connection::over(near).service(asking()).extensions(grapeshot_rpc::Extensions::Off).open().unwrap();
        let first = spawn({
            let near = near.clone();
            move || near.call::<String>("greet", &())
        });
        let second = spawn(move || near.call::<String>("name", &()));
        assert_eq!(first.join().unwrap().unwrap(), "hello somebody");
        assert_eq!(second.join().unwrap().unwrap_err().failure().unwrap().code, Failure::BUSY);
    });
}

#[test]
fn a_caller_that_is_kept_fails_when_its_connection_is_over() {
    test::run(|| {
        let kept = Rc::new(RefCell::new(None));
        let keeping = kept.clone();
        let service = Router::new().method_with_context("join", move |context: &Context, ()| {
            keeping.replace(context.caller().cloned());
            Ok(())
        });
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service).accept().unwrap();
        let near = Connection::over(near).service(asking()).open().unwrap();
        near.call::<()>("join", &()).unwrap();
        let caller = kept.take().unwrap();
        assert_eq!(caller.call::<String>("name", &()).unwrap(), "somebody");
        drop(near);
        far.wait_closed();
        assert!(matches!(caller.call::<String>("name", &()), Err(CallError::NotSent { .. })));
        drop(far);
        assert!(matches!(caller.call::<String>("name", &()), Err(CallError::NotSent { .. })));
    });
}
