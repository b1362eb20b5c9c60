//! The limits of requests and responses hold over TLS as they do without.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_http::{Request, Response, StatusCode};

use support::tls::SecureSite;
use support::{Notes, SECOND, show};

const ENDLESS: usize = 1 << 30;

#[test]
fn a_slow_head_is_408() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        let began = now();
        client.send("GET / HTTP/1.1\r\n");
        assert_eq!(client.reply().status, 408);
        assert_eq!((now() - began).as_secs(), 10);
        client.assert_closed();
    });
}

#[test]
fn a_slow_body_is_408() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        let began = now();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        assert_eq!(client.reply().status, 408);
        assert_eq!((now() - began).as_secs(), 5);
        client.assert_closed();
    });
}

#[test]
fn a_body_over_the_limit_is_413() {
    test::run(|| {
        let site = SecureSite::with(|limits| limits.body_bytes = 100, show);
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n");
        assert_eq!(client.reply().status, 413);
        // More of it comes, and the answer arrives all the same.
        client.send(vec![b'x'; 101]);
        client.assert_closed();
    });
}

/// Streams without end, and notes why it had to stop.
fn endless(notes: &Notes) -> impl Fn(&mut Request<'_>) -> io::Result<Response> + 'static {
    let notes = notes.clone();
    move |request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
        let block = vec![b'x'; 40 << 10];
        for _ in 0..ENDLESS / block.len() {
            writer.write_all(&block).inspect_err(|error| notes.add(format!("{:?}: {error}", error.kind())))?;
        }
        writer.finish()
    }
}

/// The time counts from when the peer takes nothing more; what TLS itself holds does not begin it again.
#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    test::run(|| {
        let notes = Notes::default();
        let site = SecureSite::with(|limits| limits.response_grace = 300 * SECOND, endless(&notes));
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        sleep(29 * SECOND);
        assert_eq!(notes.take(), [""; 0]);
        sleep(2 * SECOND);
        assert_eq!(notes.take(), [format!("{:?}: the peer took nothing for 30s", ErrorKind::TimedOut)]);
        let (_, end) = client.rest_and_end();
        assert!(end.is_err(), "the response looks whole");
    });
}

/// A peer that takes a little, always just in time, is let go once its rate is too low; one that is only slow is not.
#[test]
fn a_peer_that_takes_a_response_too_slowly_is_let_go() {
    test::run(|| {
        let notes = Notes::default();
        let change = |limits: &mut grapeshot_http::Limits| {
            limits.response_bytes_per_second = 100_000;
            limits.response_grace = 5 * SECOND;
            // What is shown is not that one write has a limit.
            limits.write_timeout = Duration::MAX;
        };
        let site = SecureSite::with(change, endless(&notes));
        for (a_second, is_let_go) in [(20_000, true), (4 << 20, false)] {
            let mut client = site.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut taken = vec![0; a_second];
            for _ in 0..40 {
                sleep(SECOND);
                let _ = (&mut client.stream.inner()).read(&mut taken).unwrap();
            }
            let cut = notes.take();
            assert_eq!(!cut.is_empty(), is_let_go, "{a_second} bytes a second: {cut:?}");
            assert!(cut.iter().all(|cut| cut.contains("slower than the 100000 bytes a second")), "{cut:?}");
        }
    });
}
