//! Limits on one operation, which return an error, and on a piece of work, which unwind (DESIGN §5).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use grapeshot_core::{OperationTimedOut, now, sleep, spawn, stats, test, with_timeout};
use grapeshot_net::{SocketAddr, TcpListener, TcpStream, WaitLimit};

use self::support::*;

#[test]
fn a_read_that_takes_too_long_times_out_and_the_stream_works_on() {
    test::run(|| {
        let (mut near, mut far) = pair();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        let error = near.read(&mut [0; 8]).unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert!(is::<OperationTimedOut>(&error));
        assert_eq!(error.to_string(), "read timed out");
        far.write_all(b"late").unwrap();
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 4);
        assert_eq!(exchange_after_timeout(&near, far), b"x");
    });
}

/// The other direction has not suffered either.
fn exchange_after_timeout(near: &TcpStream, far: TcpStream) -> Vec<u8> {
    echo(far);
    exchange(near, b"x").unwrap()
}

/// A peer that never reads costs one coroutine and its limit.
#[test]
fn a_write_to_a_peer_that_never_reads_times_out_and_the_stream_works_on() {
    test::run(|| {
        let (near, far) = pair();
        near.set_write_timeout(Some(5 * SECOND)).unwrap();
        let (started, mut sent) = (now(), 0);
        let error = loop {
            match (&near).write(&[7; 65536]) {
                Ok(written) => sent += written,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert_eq!(error.to_string(), "write timed out");
        // What was taken arrives, and then there is room again.
        let reader = spawn(move || {
            let mut buf = vec![0; sent + 1];
            (&far).read_exact(&mut buf).unwrap();
            buf.iter().all(|&byte| byte == 7)
        });
        (&near).write_all(&[7]).unwrap();
        assert!(reader.join().unwrap());
    });
}

/// A peer that sends a byte a second costs the limit of each read, and no more.
#[test]
fn the_limit_is_on_each_read_alone() {
    test::run(|| {
        let (mut near, mut far) = pair();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        spawn(move || {
            for _ in 0..20 {
                sleep(4 * SECOND);
                far.write_all(b"x").unwrap();
            }
        });
        let mut buf = [0; 20];
        near.read_exact(&mut buf).unwrap();
    });
}

#[test]
fn a_limit_given_with_the_call_goes_before_the_streams_own() {
    test::run(|| {
        let (near, _far) = pair();
        near.set_read_timeout(Some(SECOND)).unwrap();
        let started = now();
        near.read_within(&mut [0; 8], WaitLimit::After(5 * SECOND)).unwrap_err();
        assert_eq!(now() - started, 5 * SECOND);
        near.read_within(&mut [0; 8], WaitLimit::At(started + 7 * SECOND)).unwrap_err();
        assert_eq!(now() - started, 7 * SECOND);
        // A point in time that has passed: what is there is taken, and no more.
        near.read_within(&mut [0; 8], WaitLimit::At(started)).unwrap_err();
        assert_eq!(now() - started, 7 * SECOND);
    });
}

#[test]
fn what_has_arrived_is_read_whatever_the_limit() {
    test::run(|| {
        let (near, mut far) = pair();
        far.write_all(b"x").unwrap();
        assert_eq!(near.read_within(&mut [0; 8], WaitLimit::After(Duration::from_nanos(1))).unwrap(), 1);
        assert_eq!(near.write_within(b"y", WaitLimit::At(now())).unwrap(), 1);
    });
}

/// As in std.
#[test]
fn a_limit_of_zero_is_refused_and_none_takes_it_away() {
    test::run(|| {
        let (listener, address) = listen();
        let (near, _far) = pair();
        for refused in [
            near.set_read_timeout(Some(Duration::ZERO)),
            near.set_write_timeout(Some(Duration::ZERO)),
            listener.set_accept_timeout(Some(Duration::ZERO)),
            listener.set_backoff(Some(Duration::ZERO)),
            TcpStream::connect_timeout(&address, Duration::ZERO).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (None, None));
        near.set_read_timeout(Some(SECOND)).unwrap();
        near.set_write_timeout(Some(2 * SECOND)).unwrap();
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (Some(SECOND), Some(2 * SECOND)));
        near.set_read_timeout(None).unwrap();
        assert_eq!(near.read_timeout().unwrap(), None);
        near.set_read_timeout(Some(Duration::MAX)).unwrap();
    });
}

#[test]
fn accept_has_a_limit_too() {
    test::run(|| {
        let (listener, address) = listen();
        listener.set_accept_timeout(Some(300 * SECOND)).unwrap();
        let started = now();
        let error = listener.accept().unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 300 * SECOND));
        assert_eq!(error.to_string(), "accept timed out");
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        let clone = listener.try_clone().unwrap();
        assert_eq!(clone.accept_timeout(), Some(300 * SECOND));
    });
}

/// A listener whose queue is full, so that the system leaves the next connection attempt without an answer.
fn unresponsive() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, SECOND) {
        waiting.push(stream);
    }
    (listener, address, waiting)
}

#[test]
fn connecting_to_a_peer_that_does_not_answer_times_out() {
    test::run(|| {
        let (_listener, address, waiting) = unresponsive();
        let (started, before) = (now(), stats());
        let error = TcpStream::connect_timeout(&address, 5 * SECOND).unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert_eq!(error.to_string(), "connect timed out");
        assert_eq!(stats().registrations, before.registrations);
        drop(waiting);
    });
}

/// DESIGN §5: cancelling a connect abandons it.
#[test]
fn connecting_is_cut_off_by_a_limit_on_the_work() {
    test::run(|| {
        let (_listener, address, waiting) = unresponsive();
        let before = stats();
        with_timeout(5 * SECOND, || TcpStream::connect(address)).unwrap_err();
        assert_eq!((stats().registrations, stats().timers), (before.registrations, before.timers));
        drop(waiting);
    });
}

/// DESIGN §5: a limit on the work unwinds, so code that retries every error is cut off all the same.
#[test]
fn a_limit_on_the_work_ends_a_loop_that_retries_every_error() {
    test::run(|| {
        let (listener, _) = listen();
        listener.set_accept_timeout(Some(SECOND)).unwrap();
        let started = now();
        let cut_off = with_timeout(5 * SECOND, || {
            loop {
                if listener.accept().is_ok() {
                    break;
                }
            }
        });
        cut_off.unwrap_err();
        assert_eq!(now() - started, 5 * SECOND);
    });
}

#[test]
fn a_limit_on_the_work_covers_all_its_operations() {
    test::run(|| {
        let (near, mut far) = pair();
        spawn(move || {
            for _ in 0..20 {
                sleep(SECOND);
                far.write_all(b"x").unwrap();
            }
        });
        let received = Cell::new(0);
        let cut_off: Result<(), _> = with_timeout(Duration::from_millis(5500), || {
            loop {
                received.set(received.get() + (&near).read(&mut [0; 8]).unwrap());
            }
        });
        cut_off.unwrap_err();
        assert_eq!(received.get(), 5);
    });
}

#[test]
fn timers_of_operations_that_ended_in_time_are_gone() {
    test::run(|| {
        let near = TcpStream::connect(echo_server()).unwrap();
        near.set_read_timeout(Some(3600 * SECOND)).unwrap();
        for _ in 0..100 {
            exchange(&near, b"x").unwrap();
            assert_eq!(stats().timers, 0);
        }
    });
}
