//! Connections that leave HTTP (HTTP-9, RFC 9110 section 7.8).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{Read, Write};

use grapeshot_core::test::{self, Test};
use grapeshot_core::{sleep, stats};
use grapeshot_http::{Request, Response, Upgraded};

use support::{Notes, SECOND, Site, get};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";

/// Sends everything back in capitals.
fn shout(upgraded: Upgraded) {
    let Upgraded { mut stream, buffered } = upgraded;
    stream.write_all(&buffered.to_ascii_uppercase()).unwrap();
    let mut block = [0; 100];
    loop {
        match stream.read(&mut block).unwrap() {
            0 => return,
            len => stream.write_all(&block[..len].to_ascii_uppercase()).unwrap(),
        }
    }
}

fn site() -> Site {
    Site::new(|request: &mut Request<'_>| match request.offers_upgrade() {
        true => Response::upgrade("shout", shout),
        false => Response::text("plain"),
    })
}

/// HTTP-9.
#[test]
fn a_connection_leaves_http_without_being_closed() {
    test::run(|| {
        let mut client = site().connect();
        assert_eq!(client.ask(get("/")).text(), "plain");
        let reply = client.ask(UPGRADE);
        assert_eq!(reply.status, 101);
        assert_eq!((reply.header("upgrade"), reply.header("connection")), (Some("shout"), Some("upgrade")));
        assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), (None, None));
        let mut answer = [0; 5];
        for word in ["hello", "there"] {
            client.send(word);
            client.stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, *word.to_uppercase().as_bytes());
        }
    });
}

/// What the peer has sent of the new protocol already is not lost.
#[test]
fn bytes_behind_the_request_belong_to_the_new_protocol() {
    test::run(|| {
        let mut client = site().connect();
        client.send(UPGRADE.to_owned() + "eager ");
        assert_eq!(client.reply().status, 101);
        client.send("and more");
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "EAGER AND MORE");
    });
}

/// The limits of HTTP do not hold any more: nothing is asked for by a deadline, nothing has to be taken by one.
#[test]
fn the_new_protocol_has_its_own_limits() {
    test::run(|| {
        let mut client = site().connect();
        assert_eq!(client.ask(UPGRADE).status, 101);
        sleep(600 * SECOND);
        client.send("late");
        let mut answer = [0; 4];
        client.stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"LATE");
    });
}

/// RFC 9110 section 7.8: a server MUST NOT switch to a protocol that was not offered.
#[test]
fn an_upgrade_nobody_offered_is_500() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| Response::upgrade("shout", shout));
        for request in [
            get("/"),
            "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: shout\r\n\r\n".to_owned(),
            "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n".to_owned(),
        ] {
            let reply = site.connect().ask(request);
            assert_eq!((reply.status, reply.closes()), (500, true));
        }
    });
}

/// RFC 9110 section 7.8: the new protocol begins when the request is over, its body included.
#[test]
fn the_body_of_the_request_is_no_part_of_the_new_protocol() {
    test::run(|| {
        let site = site();
        let head = UPGRADE.trim_end().to_owned();
        let with_length = format!("{head}\r\nContent-Length: 4\r\n\r\nbody");
        let with_chunks = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
        for request in [with_length, with_chunks] {
            for at in [request.len(), request.len() - 2] {
                let mut client = site.connect();
                client.send(&request[..at]);
                sleep(SECOND);
                client.send(format!("{}new", &request[at..]));
                assert_eq!(client.reply().status, 101);
                client.stream.shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!(client.rest(), "NEW");
            }
        }
    });
}

/// RFC 9110 section 7.8: 100 MUST come before 101 when both are asked for.
#[test]
fn an_interim_response_comes_before_the_switch() {
    test::run(|| {
        let mut client = site().connect();
        let request = UPGRADE.trim_end().to_owned() + "\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(client.ask(request).status, 100);
        assert_eq!(client.ask("bodynew").status, 101);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "NEW");
    });
}

#[test]
fn a_body_too_long_to_be_thrown_away_prevents_the_switch() {
    test::run(|| {
        let request = UPGRADE.trim_end().to_owned() + "\r\nContent-Length: 200000\r\n\r\n" + &"x".repeat(200_000);
        let mut client = site().connect();
        client.send(request);
        let reply = client.reply();
        assert_eq!((reply.status, reply.closes()), (413, true));
    });
}

#[test]
fn a_panic_after_the_switch_ends_its_connection_and_is_reported() {
    Test::new().allow_crashes().run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        grapeshot_core::set_panic_notifier(move |_, panic| seen.add(panic.message()));
        let site = Site::new(|_: &mut Request<'_>| Response::upgrade("shout", |_| panic!("shouted too loud")));
        let mut client = site.connect();
        assert_eq!(client.ask(UPGRADE).status, 101);
        client.assert_closed();
        assert_eq!(notes.take(), ["shouted too loud"]);
        assert_eq!(site.connect().ask(UPGRADE).status, 101);
    });
}

#[test]
fn nothing_is_left_of_a_connection_that_has_left() {
    test::run(|| {
        let site = site();
        sleep(SECOND);
        let before = stats();
        for _ in 0..20 {
            let mut client = site.connect();
            assert_eq!(client.ask(UPGRADE).status, 101);
        }
        sleep(SECOND);
        let after = stats();
        assert_eq!((after.coroutines, after.registrations), (before.coroutines, before.registrations));
    });
}
