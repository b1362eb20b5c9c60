//! What logs and errors tell a person: how long a call took, why it ended, who was there, and what has certainly not happened.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{coroutines, sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::auth::AuthKey;
use grapeshot_rpc::middleware::{CallerWith, Logging, Metrics, ServiceWith};
use grapeshot_rpc::stream::{CalleeStreaming, Sink};
use grapeshot_rpc::{
    CallOptions, CallerExt, Client, CloseReason, Connection, Context, Extensions, Failure, Limits, Router, Server,
    Service,
};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// How long `spin` holds the thread, without waiting for anything.
const SPIN: Duration = Duration::from_millis(5);

fn service() -> Router {
    Router::new()
        .method("spin", |()| {
            let began = Instant::now();
            while began.elapsed() < SPIN {}
            Ok(())
        })
        .method("sleep", |(seconds,): (u32,)| {
            sleep(SECOND * seconds);
            Ok(())
        })
        .callee_stream("count", |_: &Context, (): (), numbers: Sink<u32>| {
            numbers.send(&0).map_err(Failure::from)?;
            sleep(50 * SECOND);
            Ok(())
        })
}

/// What was noted, in a list that the test has as well.
type Notes<T> = Rc<RefCell<Vec<T>>>;

/// A connection whose callee notes of each call the failure's code and how long it took.
fn logged(
    service: impl Service + 'static,
    limits: Limits,
) -> (memory::MemoryStream, Connection, Notes<(Option<i64>, Duration)>) {
    let (near, far) = memory::pair();
    let notes = Notes::default();
    let noted = notes.clone();
    let far = Connection::over(far).service(service).limits(limits).log(move |entry| {
        noted.borrow_mut().push((entry.failure.map(|failure| failure.code), entry.took));
    });
    (near, far.accept().unwrap(), notes)
}

#[test]
fn a_method_that_holds_the_thread_took_as_long_as_it_did() {
    test::Test::new().real_time().run(|| {
        let (times, metrics) = (Notes::default(), Metrics::new());
        let noting = || {
            let times = times.clone();
            Logging::new(move |call| times.borrow_mut().push(call.took))
        };
        let (near, _far, entries) = logged(service().with(noting()).with(metrics.clone()), Limits::default());
        let near = Connection::over(near).open().unwrap().with(noting());
        near.call::<()>("spin", &()).unwrap();
        let (entry, calls) = (entries.borrow()[0].1, times.borrow());
        assert!(entry >= SPIN, "{entry:?}");
        assert_eq!(calls.len(), 2);
        assert!(calls.iter().all(|took| *took >= SPIN), "{calls:?}");
        let counted = metrics.method("spin").unwrap().latency.sum();
        assert!(counted >= SPIN, "{counted:?}");
    });
}

#[test]
fn under_the_clock_of_a_test_a_call_takes_what_that_clock_says() {
    test::run(|| {
        let (near, _far, entries) = logged(service(), Limits::default());
        let near = Connection::over(near).open().unwrap();
        near.call::<()>("sleep", &(3,)).unwrap();
        near.call::<()>("spin", &()).unwrap();
        assert_eq!(entries.take(), [(None, 3 * SECOND), (None, Duration::ZERO)]);
    });
}

#[test]
fn a_call_that_its_caller_cancelled_is_logged_as_cancelled() {
    test::run(|| {
        let (near, far, entries) = logged(service(), Limits::default());
        let mut peer = Peer::over(near);
        peer.request(1, "sleep", vec![50.into()]);
        sleep(SECOND);
        peer.send(vec![3.into(), 1.into()]);
        assert!(far.wait_idle(None));
        assert_eq!(entries.take(), [(Some(Failure::CANCELLED), SECOND)]);
        peer.request(2, "sleep", vec![50.into()]);
        sleep(2 * SECOND);
        drop(peer);
        far.wait_closed();
        assert_eq!(
            entries.take(),
            [(Some(Failure::CANCELLED), 2 * SECOND)],
            "its caller has gone, with the connection"
        );
    });
}

#[test]
fn a_call_that_ends_with_its_connection_is_logged_as_well() {
    test::run(|| {
        let (near, far, entries) = logged(service(), Limits::default());
        let near = Connection::over(near).open().unwrap();
        let call = spawn(move || near.call::<()>("sleep", &(50,)));
        sleep(SECOND);
        far.close();
        far.wait_closed();
        assert!(call.join().unwrap().is_err());
        assert_eq!(entries.take(), [(Some(Failure::CANCELLED), SECOND)]);
    });
}

#[test]
fn a_coroutine_that_serves_a_call_is_named_by_the_method_and_the_peer() {
    test::run(|| {
        let (near, far) = memory::pair();
        let _far = Connection::over(far).service(service()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let names = || -> Vec<String> { coroutines().into_iter().filter_map(|coroutine| coroutine.name).collect() };
        let sleeping = "rpc call sleep from an unknown peer";
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let near = near.clone();
                spawn(move || near.call::<()>("sleep", &(1,)))
            })
            .collect();
        sleep(SECOND / 2);
        assert_eq!(names().iter().filter(|name| *name == sleeping).count(), 3, "{:?}", names());
        calls.into_iter().for_each(|call| call.join().unwrap().unwrap());
        // A worker that stays is named anew, and not by all that a peer makes up.
        let long = format!("\n{}", "é".repeat(1000));
        let _ = near.call::<()>(&long, &());
        let shown = format!("rpc call \\n{} from an unknown peer", "é".repeat(63));
        assert!(names().contains(&shown), "{:?}", names());
    });
}

#[test]
fn a_log_that_panics_does_not_end_the_process() {
    test::Test::new().allow_crashes().run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(service()).log(|_| panic!("on purpose")).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let call = spawn(move || near.call::<()>("sleep", &(50,)));
        sleep(SECOND);
        far.close();
        far.wait_closed();
        assert!(call.join().unwrap().is_err());
    });
}

#[test]
fn a_call_whose_stream_was_dropped_is_logged_as_cancelled() {
    test::run(|| {
        let (near, far, entries) = logged(service(), Limits::default());
        let near = Connection::over(near).open().unwrap();
        let numbers = CalleeStreaming::<u32, ()>::open(&near, "count", &(), &CallOptions::default()).unwrap();
        assert_eq!(numbers.recv().unwrap(), Some(0));
        drop(numbers);
        assert!(far.wait_idle(None));
        assert_eq!(entries.take(), [(Some(Failure::CANCELLED), Duration::ZERO)]);
    });
}

#[test]
fn a_call_whose_time_was_up_is_logged_as_late() {
    test::run(|| {
        for extensions in [Extensions::Agree, Extensions::Off] {
            let mut limits = Limits::default();
            limits.method_timeout = Some(2 * SECOND);
            let (near, far, entries) = logged(service(), limits);
            let near = Connection::over(near).extensions(extensions).open().unwrap();
            let options = CallOptions { timeout: Some(2 * SECOND), ..CallOptions::default() };
            assert!(near.call_with::<()>(&options, "sleep", &(50,)).is_err());
            assert!(far.wait_idle(None));
            assert_eq!(entries.take(), [(Some(Failure::DEADLINE), 2 * SECOND)], "{extensions:?}");
        }
    });
}

/// Connects with a key to a server that asks for `ours`; with which key the server says it was, and why it ended.
fn end_of(key: &AuthKey) -> (Option<String>, CloseReason) {
    let ends = Notes::default();
    let noted = ends.clone();
    let ours = AuthKey::new(b"sixteen bytes it").unwrap().named("ours");
    let server = Server::bind("127.0.0.1:0")
        .unwrap()
        .require_key(ours)
        .service(service())
        .log_ends(move |peer, reason| noted.borrow_mut().push((peer.key.clone(), reason.clone())));
    let (address, handle) = (server.local_addr().unwrap().to_string(), server.handle());
    spawn(move || server.serve());
    drop(Client::builder().key(key.clone()).connect(&address));
    handle.drain();
    handle.wait();
    ends.take().remove(0)
}

#[test]
fn the_end_of_a_connection_tells_the_key_that_its_peer_had_proven() {
    test::Test::new().real_time().run(|| {
        let (key, reason) = end_of(&AuthKey::new(b"sixteen bytes it").unwrap());
        assert_eq!(key.as_deref(), Some("ours"), "{reason}");
    });
}

#[test]
fn a_wrong_proof_is_told_from_one_that_did_not_come() {
    test::Test::new().real_time().run(|| {
        let (key, reason) = end_of(&AuthKey::new(b"sixteen others, ").unwrap());
        assert_eq!(key, None);
        assert!(matches!(reason, CloseReason::ProofFailed { .. }) && reason.is_peers_fault(), "{reason}");
        let text = reason.to_string();
        assert!(text.contains("wrong") && !text.contains("within"), "{text}");
    });
}

/// What opening a connection fails with when its peer answers the first message with these bytes, and ends.
fn failure_to_open(answer: &[u8], key: Option<AuthKey>) -> String {
    let (near, far) = memory::pair();
    let opening = spawn(move || match key {
        Some(key) => Client::builder().extensions(Extensions::Off).key(key).over(near),
        None => Client::over(near),
    });
    let mut peer = Peer::over(far);
    peer.next().unwrap();
    peer.send_bytes(answer);
    drop(peer);
    opening.join().unwrap().unwrap_err().to_string()
}

#[test]
fn opening_a_connection_says_nothing_of_a_call_when_it_fails() {
    test::run(|| {
        for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
            let text = failure_to_open(answer, None);
            assert!(text.contains("before both sides had agreed how to talk: the peer"), "{text}");
            assert!(!text.contains("call"), "{text}");
            let text = failure_to_open(answer, Some(AuthKey::new(b"sixteen bytes it").unwrap()));
            assert!(text.contains("the authentication was cut short: the peer"), "{text}");
            assert!(!text.contains("call"), "{text}");
        }
    });
}
