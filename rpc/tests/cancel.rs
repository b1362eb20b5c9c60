//! A caller that goes away: the method that runs for it is unwound, and nothing else is disturbed.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test, with_timeout};
use grapeshot_net::memory;
use grapeshot_rpc::{CallOptions, CallerExt, Connection, Failure, Limits, Router, Value};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

struct Note(test::Log);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.add("over");
    }
}

fn sleeper(log: &test::Log) -> Router {
    let log = log.clone();
    Router::new().method("nop", |()| Ok(())).method("sleep", move |(seconds,): (u64,)| {
        let _note = Note(log.clone());
        sleep(Duration::from_secs(seconds));
        Ok(seconds)
    })
}

fn pair(log: &test::Log) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let far = Connection::over(far).service(sleeper(log)).accept().unwrap();
    (Connection::over(near).open().unwrap(), far)
}

#[test]
fn a_limit_around_the_call_unwinds_caller_and_method() {
    test::run(|| {
        let log = test::Log::new();
        let (client, server) = pair(&log);
        let began = now();
        assert!(with_timeout(SECOND, || client.call::<u64>("sleep", &(50,))).is_err());
        assert!(server.wait_idle(None));
        assert_eq!(log.take(), ["over"]);
        assert!(now() - began < 2 * SECOND);
        assert_eq!(client.calls_in_flight(), 0);
        client.call::<()>("nop", &()).unwrap();
    });
}

#[test]
fn a_cancelled_coroutine_takes_its_call_along() {
    test::run(|| {
        let log = test::Log::new();
        let (client, server) = pair(&log);
        let began = now();
        let calling = client.clone();
        // Its own limit is far away, so that only the cancellation can be what ends the method.
        let options = CallOptions { timeout: Some(100 * SECOND), ..CallOptions::default() };
        let call = spawn(move || calling.call_with::<u64>(&options, "sleep", &(50,)));
        sleep(SECOND);
        assert_eq!(server.calls_running(), 1);
        call.cancel();
        assert!(server.wait_idle(None));
        assert_eq!(now() - began, SECOND);
        assert_eq!(log.take(), ["over"]);
    });
}

#[test]
fn a_cancelled_call_leaves_the_others_alone() {
    test::run(|| {
        let log = test::Log::new();
        let (client, _server) = pair(&log);
        let other = spawn({
            let client = client.clone();
            move || client.call::<u64>("sleep", &(5,))
        });
        assert!(with_timeout(SECOND, || client.call::<u64>("sleep", &(50,))).is_err());
        assert_eq!(other.join().unwrap().unwrap(), 5);
    });
}

#[test]
fn a_connection_that_ends_unwinds_what_runs_for_its_peer() {
    test::run(|| {
        let log = test::Log::new();
        let (mut peer, server) = Peer::of(sleeper(&log), Limits::default());
        peer.request(1, "sleep", vec![50.into()]);
        sleep(SECOND);
        let began = now();
        drop(peer);
        server.wait_closed();
        assert_eq!(log.take(), ["over"]);
        assert_eq!(now(), began);
    });
}

#[test]
fn a_cancelled_call_is_not_answered() {
    test::run(|| {
        let log = test::Log::new();
        let (mut peer, server) = Peer::of(sleeper(&log), Limits::default());
        peer.request(1, "sleep", vec![50.into()]);
        sleep(SECOND);
        peer.send(vec![3.into(), 1.into()]);
        // One that is not in flight, which is no mistake: its answer may have been on its way.
        peer.send(vec![3.into(), 9.into()]);
        peer.request(2, "nop", vec![]);
        assert_eq!(peer.result(2), Value::Nil);
        assert!(server.wait_idle(None));
        assert_eq!(log.take(), ["over"]);
        peer.request(3, "nop", vec![]);
        assert_eq!(peer.result(3), Value::Nil);
    });
}

#[test]
fn a_call_that_waits_for_its_turn_is_cancelled_before_it_runs() {
    test::run(|| {
        let log = test::Log::new();
        let mut limits = Limits::default();
        limits.in_flight = 1;
        let (mut peer, _server) = Peer::of(sleeper(&log), limits);
        peer.request(1, "sleep", vec![5.into()]);
        peer.request(2, "sleep", vec![5.into()]);
        peer.send(vec![3.into(), 2.into()]);
        peer.request(3, "nop", vec![]);
        assert_eq!(peer.result(1), Value::from(5));
        assert_eq!(peer.result(3), Value::Nil);
        assert_eq!(log.take(), ["over"]);
    });
}

#[test]
fn a_method_that_cancels_itself_is_answered_and_missed_by_nobody() {
    test::run(|| {
        let service = Router::new().method("nop", |()| Ok(())).method("leave", |()| {
            grapeshot_core::current().cancel();
            sleep(SECOND);
            Ok(())
        });
        let mut limits = Limits::default();
        limits.in_flight = 1;
        let (mut peer, _server) = Peer::of(service, limits);
        peer.request(1, "leave", vec![]);
        peer.request(2, "nop", vec![]);
        assert_eq!(peer.failure(1).0, Failure::CANCELLED);
        assert_eq!(peer.result(2), Value::Nil);
    });
}

#[test]
fn a_method_that_never_ends_and_has_no_limit_ends_with_its_caller() {
    test::run(|| {
        let (near, far) = memory::pair();
        let mut for_ever = Limits::default();
        for_ever.method_timeout = None;
        for_ever.longest_method = None;
        for_ever.call_timeout = None;
        let service = Router::new().method("never", |()| {
            sleep(Duration::MAX);
            Ok(())
        });
        let far = Connection::over(far).service(service).limits(for_ever.clone()).accept().unwrap();
        let near = Connection::over(near).limits(for_ever).open().unwrap();
        let call = spawn({
            let near = near.clone();
            move || near.call::<()>("never", &())
        });
        sleep(Duration::from_secs(100_000));
        assert_eq!((near.calls_in_flight(), far.calls_running()), (1, 1), "nobody has set a limit");
        call.cancel();
        let _ = call.join();
        sleep(Duration::from_secs(1));
        assert_eq!((near.calls_in_flight(), far.calls_running()), (0, 0));
        assert!(!near.is_closed());
    });
}
