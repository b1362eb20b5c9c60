//! Peers that reset, vanish, or stop in the middle: one coroutine and its limit, and nothing for the others.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, Read, Write};
use std::net::Shutdown;

use grapeshot_core::{sleep, stats, test, with_timeout};
use grapeshot_http::{Request, Response, StatusCode};
use socket2::SockRef;

use support::{Client, Notes, SECOND, Site, echo, get, show};

/// Closes the connection with a reset instead of an end.
fn reset(client: Client) {
    SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// Sends `start` and ends the connection in two ways; nothing may remain, and the next peer is served.
#[track_caller]
fn assert_survives<R: grapeshot_http::IntoResponse>(
    start: &'static str,
    handler: impl Fn(&mut Request<'_>) -> R + Clone + 'static,
) {
    for end in [drop::<Client>, reset] {
        let handler = handler.clone();
        test::run(move || {
            let site = Site::new(handler);
            sleep(SECOND);
            let before = stats();
            let mut client = site.connect();
            client.send(start);
            sleep(SECOND);
            end(client);
            sleep(SECOND);
            let after = stats();
            assert_eq!(after.coroutines, before.coroutines);
            assert_eq!(after.registrations, before.registrations);
            assert_eq!(site.connect().ask(get("/next")).status, 200);
        });
    }
}

#[test]
fn a_peer_that_goes_before_its_request_is_forgotten() {
    assert_survives("", show);
}

#[test]
fn a_peer_that_goes_in_a_head_is_forgotten() {
    assert_survives("GET / HTTP/1.1\r\nHo", show);
}

#[test]
fn a_peer_that_goes_in_a_body_is_forgotten() {
    for handler in [show, echo] {
        assert_survives("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfour", handler);
        assert_survives("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfour", handler);
    }
}

#[test]
fn a_peer_that_goes_in_a_body_nobody_reads_is_forgotten() {
    assert_survives("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfour", |_| "answer");
}

#[test]
fn a_peer_that_goes_in_a_response_is_forgotten() {
    assert_survives("GET / HTTP/1.1\r\nHost: a\r\n\r\n", |request| match request.path() {
        "/next" => Response::text("next"),
        _ => Response::reader(io::repeat(b'x'), None),
    });
    assert_survives("GET / HTTP/1.1\r\nHost: a\r\n\r\n", |request| match request.path() {
        "/next" => Response::text("next"),
        _ => Response::bytes(vec![b'x'; 16 << 20]),
    });
}

#[test]
fn a_peer_that_goes_between_two_requests_is_forgotten() {
    assert_survives("GET / HTTP/1.1\r\nHost: a\r\n\r\n", show);
}

/// The handler is not told that the peer has gone, unless it reads or writes; its answer goes nowhere.
#[test]
fn a_handler_whose_peer_has_gone_runs_to_its_end() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |_: &mut Request<'_>| {
            sleep(10 * SECOND);
            seen.add("done");
        });
        let mut client = site.connect();
        client.send(get("/"));
        sleep(SECOND);
        reset(client);
        sleep(10 * SECOND);
        assert_eq!(notes.take(), ["done"]);
    });
}

#[test]
fn a_handler_that_streams_learns_that_its_peer_has_gone() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            let ended = loop {
                sleep(SECOND);
                if let Err(error) = writer.write_all(b"tick").and_then(|()| writer.flush()) {
                    break error;
                }
            };
            seen.add(format!("{:?}", ended.kind()));
            Err::<Response, _>(ended)
        });
        let mut client = site.connect();
        client.send(get("/"));
        assert_eq!(client.reply_to_head().status, 200);
        reset(client);
        sleep(3 * SECOND);
        let kind = notes.take().concat();
        assert!(["BrokenPipe", "ConnectionReset"].contains(&kind.as_str()), "{kind}");
    });
}

#[test]
fn a_handler_that_reads_learns_that_its_peer_has_gone() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            let error = request.body().read_all().unwrap_err();
            seen.add(format!("{:?}", error.kind()));
        });
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfour");
        sleep(SECOND);
        reset(client);
        sleep(SECOND);
        assert_eq!(notes.take(), ["ConnectionReset"]);
    });
}

/// RFC 9112 section 8: a head that ends early is an error, and a peer that still listens is told so.
#[test]
fn half_a_head_and_a_half_close_is_400() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHo");
        client.stream.shutdown(Shutdown::Write).unwrap();
        let reply = client.reply();
        assert_eq!((reply.status, reply.closes()), (400, true));
        assert_eq!(reply.text(), "400 Bad Request: the stream ended within the request head, after 18 bytes\n");
        client.assert_closed();
    });
}

#[test]
fn a_peer_that_says_nothing_and_half_closes_is_told_nothing() {
    test::run(|| {
        for start in ["", "\r\n"] {
            let site = Site::new(show);
            let mut client = site.connect();
            client.send(start);
            client.stream.shutdown(Shutdown::Write).unwrap();
            client.assert_closed();
        }
    });
}

/// A refused peer that goes on sending for ever is listened to for a second, and no longer.
#[test]
fn a_refused_peer_does_not_keep_its_connection() {
    test::run(|| {
        let site = Site::new(show);
        let before = stats().coroutines;
        let mut client = site.connect();
        client.send("nonsense\r\n\r\n");
        assert_eq!(client.reply().status, 400);
        let (mut sent, block) = (0, [b'x'; 1024]);
        while client.stream.write(&block).is_ok() {
            sent += 1;
            sleep(SECOND / 10);
        }
        assert!(sent < 15, "{sent} blocks");
        assert_eq!(stats().coroutines, before);
    });
}

#[test]
fn a_refused_peer_that_floods_is_cut_off() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        client.send("nonsense\r\n\r\n");
        // More than the system buffers between two ends.
        let sent = client.stream.write_all(&vec![b'x'; 64 << 20]);
        assert!(sent.is_err());
    });
}

#[test]
fn a_thousand_peers_that_stop_in_the_middle_leave_nothing() {
    test::run(|| {
        let site = Site::new(show);
        sleep(SECOND);
        let before = stats();
        let clients: Vec<Client> = (0..1000)
            .map(|n| {
                let mut client = site.connect();
                client.send(&get("/")[..n % 30]);
                client
            })
            .collect();
        sleep(SECOND);
        assert_eq!(site.connect().ask(get("/")).status, 200);
        drop(clients);
        sleep(SECOND);
        let after = stats();
        assert_eq!((after.coroutines, after.stacks), (before.coroutines, before.stacks));
        assert_eq!(after.registrations, before.registrations);
        assert_eq!(after.timers, before.timers);
    });
}

/// A client may reset what it has not read; the server only sees that nobody wants the rest.
#[test]
fn a_response_cut_off_by_the_peer_ends_its_connection_only() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| Response::bytes(vec![b'x'; 8 << 20]));
        let (mut rude, mut patient) = (site.connect(), site.connect());
        rude.send(get("/"));
        patient.send(get("/"));
        rude.stream.read_exact(&mut [0; 1000]).unwrap();
        drop(rude);
        assert_eq!(patient.reply().body.len(), 8 << 20);
    });
}

/// A part of a failed write may be out, and nothing can follow it in good order, whatever the handler does.
#[test]
fn a_write_that_failed_is_the_last() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            let (block, mut failed) = (vec![b'x'; 1 << 20], false);
            while !failed {
                failed = writer.write_all(&block).is_err();
            }
            let again = writer.write_all(b"after the failure").and_then(|()| writer.flush());
            assert_eq!(again.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            writer.finish()
        });
        let mut client = site.connect();
        client.send(get("/"));
        // Longer than the limit on a write.
        sleep(40 * SECOND);
        let (answer, _) = client.rest_and_end();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(!answer.contains("after the failure") && !answer.contains("\r\n0\r\n"));
    });
}

/// The same when it was the handler's own limit that cut the write off.
#[test]
fn a_write_that_was_cut_off_is_the_last() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            let block = vec![b'x'; 64 << 20];
            assert!(with_timeout(SECOND, || writer.write_all(&block)).is_err());
            assert!(writer.write_all(b"after the limit").and_then(|()| writer.flush()).is_err());
            writer.finish()
        });
        let mut client = site.connect();
        client.send(get("/"));
        sleep(2 * SECOND);
        let (answer, _) = client.rest_and_end();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(!answer.contains("after the limit") && !answer.contains("\r\n0\r\n"));
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    });
}
