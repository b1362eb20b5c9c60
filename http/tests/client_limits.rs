//! The client's limits, each at its edge: none is passed by, and what passes it is named.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod client_support;

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, test};
use grapeshot_http::client::{Client, ClientError, ClientLimits, MalformedResponse, Origin, Phase, Transport};
use grapeshot_http::proto::BodyError;

use client_support::{Peer, SECOND, URL, cause, client_with};

/// What a client with one changed limit makes of a server.
fn head_error(change: impl FnOnce(&mut ClientLimits), play: impl Fn(&mut Peer) + 'static) -> ClientError {
    client_with(change, play).get(URL).unwrap_err()
}

fn ten_headers(peer: &mut Peer) {
    peer.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "A: b\r\n".repeat(9)));
}

#[test]
fn a_head_has_as_many_bytes_and_lines_as_its_limits() {
    test::run(|| {
        let size = 17 + 19 + 9 * 6 + 2;
        client_with(|limits| (limits.head_bytes, limits.header_count) = (size, 10), ten_headers).get(URL).unwrap();
        let error = head_error(|limits| limits.head_bytes = size - 1, ten_headers);
        assert!(
            matches!(error, ClientError::Malformed(MalformedResponse::HeadTooLarge { limit }) if limit == size - 1)
        );
        let error = head_error(|limits| limits.header_count = 9, ten_headers);
        assert!(matches!(error, ClientError::Malformed(MalformedResponse::TooManyHeaders { limit: 9 })));
    });
}

/// A server that sends without end and without a line's end is cut off by the limit, not by memory.
#[test]
fn a_head_without_an_end_is_refused_at_its_limit() {
    test::run(|| {
        for start in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nA: "] {
            let endless = move |peer: &mut Peer| {
                peer.answer(start);
                let block = [b'x'; 1000];
                while std::io::Write::write_all(&mut peer.stream, &block).is_ok() {}
            };
            let error = head_error(|_| {}, endless);
            assert!(
                matches!(error, ClientError::Malformed(MalformedResponse::HeadTooLarge { limit: 65_536 })),
                "{error:?}"
            );
        }
    });
}

#[test]
fn interim_answers_are_counted() {
    test::run(|| {
        let play = |peer: &mut Peer| {
            peer.answer("HTTP/1.1 103 x\r\n\r\n".repeat(3) + "HTTP/1.1 204 x\r\n\r\n");
        };
        client_with(|limits| limits.interim_answers = 3, play).get(URL).unwrap();
        let error = head_error(|limits| limits.interim_answers = 2, play);
        assert!(matches!(error, ClientError::TooManyInterimAnswers { limit: 2 }));
    });
}

#[test]
fn a_body_is_as_long_as_its_limit_in_every_framing() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nround",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrou\r\n2\r\nnd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nround",
    ] {
        test::run(move || {
            let ask = |limit| {
                let client = client_with(|limits| limits.body_bytes = limit, move |peer| drop(peer.answer(text)));
                client.get(URL).map_err(std::io::Error::from).and_then(|mut response| response.read_text())
            };
            assert_eq!(ask(Some(5)).unwrap(), "round");
            assert_eq!(ask(None).unwrap(), "round");
            let error = ask(Some(4)).unwrap_err();
            assert!(matches!(cause(&error), ClientError::Body(BodyError::BodyTooLarge { limit: 4 })), "{text:?}");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        });
    }
}

#[test]
fn trailers_have_a_limit() {
    test::run(|| {
        let play = |peer: &mut Peer| {
            peer.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: bbbbbbbb\r\n\r\n");
        };
        let ask = |bytes| client_with(|limits| limits.trailer_bytes = bytes, play).get(URL).unwrap().read_all();
        ask(15).unwrap();
        let error = ask(14).unwrap_err();
        assert!(matches!(cause(&error), ClientError::Body(BodyError::TrailersTooLarge { limit: 14 })));
    });
}

#[track_caller]
fn assert_timed_out(error: &ClientError, phase: Phase, limit: Duration) {
    assert!(matches!(error, ClientError::TimedOut { phase: p, limit: l } if (*p, *l) == (phase, limit)), "{error:?}");
}

#[test]
fn a_connection_that_does_not_come_about_ends_at_its_limit() {
    test::run(|| {
        let never = |_: &Origin| {
            sleep(1000 * SECOND);
            Err::<Rc<dyn Transport>, _>(ClientError::NoTls)
        };
        let client = Client::builder().connector(never).build();
        let began = now();
        assert_timed_out(&client.get(URL).unwrap_err(), Phase::Connect, 20 * SECOND);
        assert_eq!(now() - began, 20 * SECOND);
    });
}

/// A byte now and then does not prolong it.
#[test]
fn a_head_that_does_not_come_ends_at_its_limit() {
    test::run(|| {
        for start in ["", "HTTP/1.1 200 OK\r\nA: b\r\n"] {
            let slow = move |peer: &mut Peer| {
                peer.answer(start);
                for _ in 0..100 {
                    sleep(SECOND);
                    if !start.is_empty() {
                        peer.send("x");
                    }
                }
            };
            let began = now();
            assert_timed_out(&head_error(|_| {}, slow), Phase::Head, 60 * SECOND);
            assert_eq!(now() - began, 60 * SECOND, "{start:?}");
        }
    });
}

#[test]
fn a_body_that_stops_ends_at_its_limit() {
    test::run(|| {
        let stops = |peer: &mut Peer| {
            peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
            peer.send(vec![b'x'; 1_000_000]);
            sleep(1000 * SECOND);
        };
        let mut response = client_with(|_| {}, stops).get(URL).unwrap();
        let began = now();
        let error = response.read_all().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_timed_out(cause(&error), Phase::Body, 30 * SECOND);
        assert_eq!(now() - began, 30 * SECOND);
    });
}

/// A byte a second is more than nothing, and still too little.
#[test]
fn a_body_that_trickles_is_cut_off() {
    test::run(|| {
        let trickles = |peer: &mut Peer| {
            peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            for _ in 0..1000 {
                sleep(SECOND);
                peer.send("x");
            }
        };
        let mut response = client_with(|_| {}, trickles).get(URL).unwrap();
        let error = response.read_all().unwrap_err();
        assert!(matches!(cause(&error), ClientError::TooSlow { received: 25..=31, rate: 240 }), "{error:?}");
        let patient = |limits: &mut ClientLimits| limits.body_bytes_per_second = 1;
        assert_eq!(client_with(patient, trickles).get(URL).unwrap().read_all().unwrap().len(), 1000);
    });
}

/// Time that the caller takes between two reads is not the server's.
#[test]
fn a_caller_may_take_its_time() {
    test::run(|| {
        let play = |peer: &mut Peer| {
            peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nround");
            sleep(250 * SECOND);
            peer.send("shots");
        };
        let mut response = client_with(|_| {}, play).get(URL).unwrap();
        let mut five = [0; 5];
        std::io::Read::read_exact(&mut response, &mut five).unwrap();
        sleep(240 * SECOND);
        assert_eq!(response.read_text().unwrap(), "shots");
    });
}

#[test]
fn a_server_that_takes_nothing_ends_the_request_at_its_limit() {
    test::run(|| {
        let deaf = |_: &mut Peer| sleep(1000 * SECOND);
        let client = client_with(|_| {}, deaf);
        let began = now();
        let error = client.request(grapeshot_http::Method::PUT, URL).body(vec![0; 10 << 20]).send().unwrap_err();
        assert_timed_out(&error, Phase::Send, 30 * SECOND);
        assert_eq!(now() - began, 30 * SECOND);
    });
}

/// The limit on the whole holds in every phase, whatever the phase's own limit is.
#[test]
fn the_whole_has_a_limit_in_every_phase() {
    test::run(|| {
        let whole = |limits: &mut ClientLimits| limits.whole_timeout = Some(7 * SECOND);
        let silent = |peer: &mut Peer| drop((peer.head(), sleep(1000 * SECOND)));
        let began = now();
        assert_timed_out(&head_error(whole, silent), Phase::Whole, 7 * SECOND);
        assert_eq!(now() - began, 7 * SECOND);

        let stops = |peer: &mut Peer| {
            sleep(4 * SECOND);
            peer.answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nround");
            sleep(1000 * SECOND);
        };
        let began = now();
        let mut response = client_with(whole, stops).get(URL).unwrap();
        assert_timed_out(cause(&response.read_all().unwrap_err()), Phase::Whole, 7 * SECOND);
        assert_eq!(now() - began, 7 * SECOND);

        let mut limits = ClientLimits::default();
        whole(&mut limits);
        let never = |_: &Origin| {
            sleep(1000 * SECOND);
            Err::<Rc<dyn Transport>, _>(ClientError::NoTls)
        };
        let error = Client::builder().limits(limits).connector(never).build().get(URL).unwrap_err();
        assert_timed_out(&error, Phase::Whole, 7 * SECOND);
    });
}
