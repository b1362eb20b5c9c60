//! What is bounded: calls in flight, what waits, what is written, calls a second, and how long silence may last.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::{
    CallError, CallOptions, CallerExt, CloseReason, Connection, Extensions, Failure, Limits, Outcome, Router, Value,
};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// Counts how many calls run at a time.
#[derive(Clone, Default)]
struct Gauge {
    now: Rc<Cell<usize>>,
    most: Rc<Cell<usize>>,
}

impl Gauge {
    fn service(&self) -> Router {
        let gauge = self.clone();
        Router::new().method("echo", |(value,): (Value,)| Ok(value)).method("sleep", move |(millis,): (u64,)| {
            gauge.now.set(gauge.now.get() + 1);
            gauge.most.set(gauge.most.get().max(gauge.now.get()));
            sleep(Duration::from_millis(millis));
            gauge.now.set(gauge.now.get() - 1);
            Ok(())
        })
    }
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn no_more_calls_run_than_the_limit_and_none_is_lost() {
    test::run(|| {
        let gauge = Gauge::default();
        let (mut peer, _server) = Peer::of(gauge.service(), limits(|limits| limits.in_flight = 3));
        for id in 0..10 {
            peer.request(id, "sleep", vec![1000.into()]);
        }
        let began = now();
        for id in 0..10 {
            peer.result(id);
        }
        assert_eq!(gauge.most.get(), 3);
        assert_eq!(now() - began, 4 * SECOND);
    });
}

#[test]
fn a_caller_waits_until_the_peer_has_room() {
    test::run(|| {
        let (near, far) = memory::pair();
        let gauge = Gauge::default();
        let few = limits(|limits| limits.in_flight = 2);
        let _far = Connection::over(far).service(gauge.service()).limits(few).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let near = near.clone();
                spawn(move || near.call::<()>("sleep", &(1000,)).unwrap())
            })
            .collect();
        sleep(Duration::from_millis(500));
        // The hello said how many the other side takes.
        assert_eq!(near.calls_in_flight(), 2);
        calls.into_iter().for_each(|call| call.join().unwrap());
        assert_eq!(gauge.most.get(), 2);
    });
}

#[test]
fn a_call_that_finds_no_room_in_its_time_was_not_sent() {
    test::run(|| {
        let (near, far) = memory::pair();
        let few = limits(|limits| limits.calls = 1);
        let _far = Connection::over(far).service(Gauge::default().service()).accept().unwrap();
        let near = Connection::over(near).limits(few).open().unwrap();
        let first = spawn({
            let near = near.clone();
            move || near.call::<()>("sleep", &(5000,))
        });
        sleep(SECOND);
        let options = CallOptions { timeout: Some(SECOND), ..CallOptions::default() };
        let error = near.call_with::<()>(&options, "sleep", &(1,)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { sent: false, .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotRun);
        first.join().unwrap().unwrap();
    });
}

#[test]
fn requests_beyond_the_limit_on_what_waits_stay_in_the_transport() {
    test::run(|| {
        let (near, far) = memory::Builder::new().capacity(1024).pair();
        let gauge = Gauge::default();
        let little = limits(|limits| {
            limits.in_flight = 1;
            limits.waiting_bytes = 2000;
        });
        let _server = Connection::over(far).service(gauge.service()).limits(little).accept().unwrap();
        let mut peer = Peer::over(near);
        let count = 200;
        let written = Rc::new(Cell::new(0));
        let writer = spawn({
            let written = written.clone();
            move || {
                for id in 0..count {
                    peer.request(id, "sleep", vec![1000.into()]);
                    written.set(written.get() + 1);
                }
                peer
            }
        });
        sleep(Duration::from_millis(500));
        assert!(written.get() < count, "all {count} requests were taken although none had ended");
        let mut peer = writer.join().unwrap();
        for id in 0..count {
            peer.result(id);
        }
    });
}

#[test]
fn a_peer_that_does_not_read_holds_back_methods_and_then_loses_the_connection() {
    test::run(|| {
        let (near, far) = memory::Builder::new().capacity(1024).pair();
        let small = limits(|limits| {
            limits.unsent_bytes = 4096;
            limits.write_timeout = 5 * SECOND;
        });
        let served = Rc::new(Cell::new(0));
        let counted = served.clone();
        let service = Router::new().method("large", move |()| {
            counted.set(counted.get() + 1);
            Ok("x".repeat(1000))
        });
        let server = Connection::over(far).service(service).limits(small).accept().unwrap();
        let began = now();
        let mut peer = Peer::over(near);
        let writer = spawn(move || {
            let mut bytes = Vec::new();
            for id in 0_u32..100_000 {
                bytes.clear();
                let request = Value::Array(vec![0.into(), id.into(), "large".into(), Value::Array(vec![])]);
                rmpv::encode::write_value(&mut bytes, &request).unwrap();
                if peer.stream().write_all(&bytes).is_err() {
                    return id;
                }
            }
            peer.send_bytes(&[]);
            unreachable!("all requests were taken although no answer was read");
        });
        assert!(matches!(server.wait_closed(), CloseReason::NotRead { .. }));
        assert!(now() - began < 8 * SECOND);
        assert!(writer.join().unwrap() < 10_000);
        // 256 calls may run at a time, and a few fit in what waits to be written.
        assert!(served.get() < 300, "{} calls ran", served.get());
    });
}

#[test]
fn calls_whose_answers_nobody_reads_are_not_started() {
    const ANSWER: usize = 64 << 10;
    const CALLS: u32 = 100;
    test::run(|| {
        let ran = Rc::new(Cell::new(0));
        let counted = ran.clone();
        let service = Router::new().method("much", move |()| {
            counted.set(counted.get() + 1);
            Ok("x".repeat(ANSWER))
        });
        let limits = limits(|limits| {
            limits.unsent_bytes = ANSWER;
            limits.answer_bytes = 3 * ANSWER;
        });
        let (mut peer, _server) = Peer::of(service, limits);
        for id in 0..CALLS {
            peer.request(id, "much", vec![]);
        }
        sleep(SECOND);
        // One is under way, one or two wait to be written, and four with their workers.
        assert!((4..=8).contains(&ran.get()), "{}", ran.get());
        for _ in 0..CALLS {
            assert_eq!(peer.next().unwrap()[3].as_str().unwrap().len(), ANSWER);
        }
        assert_eq!(ran.get(), CALLS);
    });
}

#[test]
fn a_request_larger_than_the_peer_takes_is_not_sent() {
    test::run(|| {
        let (near, far) = memory::pair();
        let small = limits(|limits| limits.frame_bytes = 1000);
        let _far = Connection::over(far).service(Gauge::default().service()).limits(small).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let error = near.call::<Value>("echo", &("x".repeat(1000),)).unwrap_err();
        assert!(matches!(error, CallError::TooLarge { limit: 1000, sent: false, .. }), "{error:?}");
        assert_eq!(near.call::<String>("echo", &("small",)).unwrap(), "small");
        assert_eq!(near.calls_in_flight(), 0);
    });
}

#[test]
fn an_answer_larger_than_the_caller_takes_is_a_failure() {
    test::run(|| {
        let (near, far) = memory::pair();
        let service = Router::new().method("large", |()| Ok("x".repeat(2000)));
        let _far = Connection::over(far).service(service).accept().unwrap();
        let near = Connection::over(near).limits(limits(|limits| limits.frame_bytes = 1000)).open().unwrap();
        let error = near.call::<String>("large", &()).unwrap_err();
        assert_eq!(error.failure().unwrap().code, Failure::TOO_LARGE);
    });
}

#[test]
fn calls_a_second_are_limited() {
    test::run(|| {
        let limits = limits(|limits| limits.calls_per_second = Some(10));
        let (mut peer, _server) = Peer::of(Gauge::default().service(), limits);
        for id in 0..30 {
            peer.request(id, "echo", vec![Value::Nil]);
        }
        let answers: Vec<_> = (0..30).map(|_| peer.next().unwrap()).collect();
        let refused = answers.iter().filter(|answer| !answer[2].is_nil()).count();
        assert_eq!(refused, 10, "twice the rate at once");
        sleep(SECOND);
        peer.request(99, "echo", vec![Value::Nil]);
        peer.result(99);
    });
}

#[test]
fn a_silent_peer_is_asked_for_a_sign_of_life() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        sleep(Duration::from_secs(1000));
        // Both were asked and have answered.
        assert!(!near.is_closed() && !far.is_closed());
    });
}

#[test]
fn a_peer_that_gives_no_sign_of_life_is_given_up() {
    test::run(|| {
        let (near, far) = memory::pair();
        let near = spawn(move || Connection::over(near).open().unwrap());
        let mut peer = Peer::over(far);
        let hello = peer.next().unwrap();
        let all = Value::Map(vec![
            ("version".into(), 1.into()),
            ("extensions".into(), Value::Array(vec!["ping".into(), "cancel".into()])),
        ]);
        peer.send(vec![1.into(), hello[1].clone(), Value::Nil, all]);
        let near = near.join().unwrap();
        let call = spawn({
            let near = near.clone();
            let options = CallOptions { timeout: Some(Duration::from_secs(1000)), ..CallOptions::default() };
            move || near.call_with::<()>(&options, "nothing", &())
        });
        let began = now();
        assert!(matches!(near.wait_closed(), CloseReason::Silent { .. }));
        assert_eq!(now() - began, 60 * SECOND);
        assert!(matches!(call.join().unwrap(), Err(CallError::OutcomeUnknown { .. })));
    });
}

#[test]
fn a_plain_peer_may_be_silent() {
    test::run(|| {
        let (near, far) = memory::pair();
        let near = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        sleep(Duration::from_secs(10_000));
        assert!(!near.is_closed());
        drop(far);
    });
}

#[test]
fn a_server_ends_a_connection_on_which_nothing_happens() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(Gauge::default().service()).close_when_idle().accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let began = now();
        sleep(300 * SECOND);
        near.call::<()>("sleep", &(1000,)).unwrap();
        // Signs of life are no calls.
        assert!(matches!(far.wait_closed(), CloseReason::Idle { .. }));
        let took = now() - began;
        assert!(took >= 900 * SECOND && took < 940 * SECOND, "{took:?}");
    });
}

#[test]
fn large_requests_that_run_hold_back_further_ones() {
    test::run(|| {
        let service = Router::new().method("hold", |(bytes,): (String,)| {
            sleep(SECOND);
            Ok(bytes.len())
        });
        let few = limits(|limits| {
            limits.frame_bytes = 100_000;
            limits.waiting_bytes = 50_000;
        });
        let (near, far) = memory::pair();
        let server = Connection::over(far).service(service).limits(few).accept().unwrap();
        let near = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let near = near.clone();
                spawn(move || near.call::<usize>("hold", &("x".repeat(60_000),)).unwrap())
            })
            .collect();
        sleep(SECOND / 2);
        // What is held is at most the longest request, what may wait, and the one that made it too much.
        assert_eq!(server.calls_running(), 3);
        for call in calls {
            assert_eq!(call.join().unwrap(), 60_000);
        }
    });
}

#[test]
fn a_server_that_tells_its_client_something_is_not_idle() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).close_when_idle().accept().unwrap();
        let near = Connection::over(near).service(Gauge::default().service()).open().unwrap();
        for _ in 0..5 {
            sleep(400 * SECOND);
            far.notify("echo", &(1,)).unwrap();
        }
        assert!(!far.is_closed());
        sleep(700 * SECOND);
        assert!(far.is_closed());
        drop(near);
    });
}

/// Sends the bytes of a request one by one in pauses, until they are all sent or the connection is over; says how long
/// that took, and why it is over, if it is.
fn trickle(pause: Duration, limits: Limits) -> (Duration, Option<CloseReason>) {
    let (mut peer, server) = Peer::of(Gauge::default().service(), limits);
    let mut bytes = vec![0x94, 0x00, 0x01, 0xa4, b'e', b'c', b'h', b'o', 0x91, 0xd9, 100];
    bytes.extend([b'x'; 100]);
    let began = now();
    for byte in bytes {
        if peer.stream().write_all(&[byte]).is_err() || server.is_closed() {
            return (now() - began, Some(server.wait_closed()));
        }
        sleep(pause);
    }
    assert_eq!(peer.result(1), "x".repeat(100).into());
    (now() - began, None)
}

#[test]
fn a_message_that_has_begun_has_to_come() {
    test::run(|| {
        let (took, reason) = trickle(SECOND, Limits::default());
        assert!(matches!(reason, Some(CloseReason::TooSlow { bytes: 31, .. })), "{reason:?}");
        assert!(took < 32 * SECOND, "{took:?}");
        assert!(reason.unwrap().to_string().contains("31 bytes of a message came within 30."));
        assert!(trickle(SECOND / 5, Limits::default()).1.is_none());
        // One byte a second is enough where it is said to be.
        assert!(trickle(SECOND, limits(|limits| limits.message_bytes_per_second = 1)).1.is_none());
        assert!(trickle(SECOND, limits(|limits| limits.message_grace = Duration::MAX)).1.is_none());
    });
}

#[test]
fn the_time_in_which_a_message_waits_for_others_is_not_its_own() {
    test::run(|| {
        let little = limits(|limits| {
            limits.in_flight = 1;
            limits.waiting_bytes = 0;
        });
        let (mut peer, _server) = Peer::of(Gauge::default().service(), little);
        // The third has begun in the same bytes as those before it, of which one holds the reader up for 40 s.
        for id in 0..2 {
            peer.request(id, "sleep", vec![40_000.into()]);
        }
        peer.send_bytes(&[0x94, 0x00, 0x02, 0xa4]);
        peer.result(0);
        sleep(10 * SECOND);
        peer.send_bytes(b"echo\x91\x05");
        peer.result(1);
        assert_eq!(peer.result(2), 5.into());
    });
}

#[test]
fn signs_of_life_without_end_do_not_keep_an_idle_connection() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(Gauge::default().service()).close_when_idle().accept().unwrap();
        let began = now();
        let pings = spawn(move || {
            while (&near).write_all(&[0x92, 0x09, 0x01]).is_ok() {
                sleep(SECOND);
            }
        });
        assert!(matches!(far.wait_closed(), CloseReason::Idle { .. }));
        assert!(now() - began < 603 * SECOND);
        pings.join().unwrap();
    });
}

#[test]
fn a_peer_that_runs_no_calls_is_asked_for_none() {
    test::run(|| {
        let (near, far) = memory::pair();
        let none = limits(|limits| limits.in_flight = 0);
        let far = Connection::over(far).service(Gauge::default().service()).limits(none).accept().unwrap();
        let near = Connection::over(near).service(Gauge::default().service()).open().unwrap();
        let began = now();
        for error in [near.call::<()>("sleep", &(1,)).unwrap_err(), near.notify("sleep", &(1,)).unwrap_err()] {
            assert!(matches!(&error, CallError::Refused { reason } if reason.contains("runs no calls")), "{error:?}");
            assert_eq!(error.outcome(), Outcome::NotRun);
        }
        assert_eq!(now(), began);
        // It calls as well as any other.
        far.call::<()>("sleep", &(1,)).unwrap();
    });
}

#[test]
fn a_plain_caller_is_told_that_no_calls_are_run() {
    test::run(|| {
        let (mut peer, _server) = Peer::of(Gauge::default().service(), limits(|limits| limits.in_flight = 0));
        peer.request(1, "sleep", vec![1.into()]);
        assert_eq!(peer.failure(1).0, Failure::UNAVAILABLE);
    });
}
