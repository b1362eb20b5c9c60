//! How connections begin where TLS is spoken: the first byte, the handshake and its limit.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{Read, Write};

use grapeshot_core::{State, coroutines, now, sleep, spawn, stats, test};
use grapeshot_http::{Limits, Request, Response, Server};
use grapeshot_net::TcpStream;
use grapeshot_tls::SelfSigned;

use support::tls::SecureSite;
use support::{Client, SECOND, get, post, show};

/// The first bytes of a client hello.
const HELLO_BEGINS: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

fn either(server: Server, own: &SelfSigned) -> Server {
    server.tls_and_plain(own.server_config().unwrap())
}

fn tell(request: &mut Request<'_>) -> &'static str {
    if request.is_tls() { "https" } else { "http" }
}

/// SYL-11: HTTP and HTTPS on one port.
#[test]
fn the_first_byte_tells_https_from_http() {
    test::run(|| {
        let site = SecureSite::of(either, tell);
        let (mut plain, mut secure) = (site.site.connect(), site.connect());
        for _ in 0..3 {
            assert_eq!(plain.ask(get("/")).text(), "http");
            assert_eq!(secure.ask(get("/")).text(), "https");
        }
    });
}

/// SYL-11: the byte may be late, and in TLS the rest of the handshake with it.
#[test]
fn the_first_byte_is_waited_for_without_a_stack() {
    test::run(|| {
        let site = SecureSite::of(either, tell);
        let mut silent: Vec<Client> = (0..10).map(|_| site.site.connect()).collect();
        let secure = site.fresh();
        sleep(30 * SECOND);
        // The test's body and the accept loop have one each.
        assert_eq!(stats().stacks, 2);
        assert_eq!(silent[0].ask(get("/")).text(), "http");
        let mut secure = Client::over(secure.stream);
        assert_eq!(secure.ask(get("/")).text(), "https");
        let began = now();
        silent[1].assert_closed();
        assert_eq!((now() - began).as_secs(), 30, "what is silent is closed after its idle time");
    });
}

/// RFC 6176: SSL 2.0 is not spoken, and not taken for plain text either.
#[test]
fn rfc_6176_a_hello_of_ssl_2_is_refused() {
    test::run(|| {
        let site = SecureSite::of(either, tell);
        let mut client = site.site.connect();
        client.send([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]);
        let mut answer = Vec::new();
        let _ = client.stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        let failures = site.failures.take();
        assert!(failures[0].contains("SSL 2.0"), "{failures:?}");
    });
}

#[test]
fn plain_http_where_tls_is_a_must_is_told_so() {
    test::run(|| {
        let site = SecureSite::new(show);
        for request in [get("/"), post("/", "body"), "GET".to_owned(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()] {
            let mut client = site.site.connect();
            client.send(&request);
            let reply = client.reply();
            assert_eq!((reply.status, reply.closes()), (400, true), "{request:?}");
            assert!(reply.text().contains("only with TLS (https)"), "{}", reply.text());
            client.assert_closed();
        }
        assert_eq!(site.failures.take(), [""; 0], "it is no handshake that fails");
    });
}

#[test]
fn what_is_neither_is_closed() {
    test::run(|| {
        let site = SecureSite::new(show);
        for garbage in [&[0; 64][..], &[22, 9, 9, 9, 9, 9, 9], b"\r\n\r\n"] {
            let mut client = site.site.connect();
            client.send(garbage);
            let mut answer = Vec::new();
            let _ = client.stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        }
        assert_eq!(site.failures.take().len(), 3);
        assert_eq!(site.connect().ask(get("/")).status, 200);
    });
}

/// Ten seconds from the first byte on, whatever comes meanwhile; and as long for the first byte.
#[test]
fn a_handshake_that_stalls_is_ended() {
    test::run(|| {
        let site = SecureSite::new(show);
        let began = now();
        let (mut silent, mut stalled, mut trickling) = (site.site.connect(), site.site.connect(), site.site.connect());
        stalled.send(HELLO_BEGINS);
        let writing = trickling.stream.try_clone().unwrap();
        spawn(move || {
            for byte in HELLO_BEGINS.iter().chain(&[0; 100]) {
                if (&writing).write_all(&[*byte]).is_err() {
                    return;
                }
                sleep(SECOND);
            }
        });
        silent.assert_closed();
        assert_eq!((now() - began).as_secs(), 10);
        for client in [&mut stalled, &mut trickling] {
            let _ = client.stream.read_to_end(&mut Vec::new());
            assert_eq!((now() - began).as_secs(), 10);
        }
        let failures = site.failures.take();
        assert_eq!(failures.len(), 2, "{failures:?}");
        assert!(failures.iter().all(|failure| failure.contains("was not done within 10s")), "{failures:?}");
    });
}

#[test]
fn the_shorter_limit_on_handshakes_holds() {
    test::run(|| {
        for (http, tls, least) in [(3, 10, 3), (10, 4, 4)] {
            let mut limits = Limits::default();
            limits.handshake_timeout = http * SECOND;
            let configure = |server: Server, own: &SelfSigned| {
                let given = grapeshot_tls::Limits { handshake: tls * SECOND, ..grapeshot_tls::Limits::default() };
                server.limits(limits).tls(own.server_config().unwrap().with_limits(given))
            };
            let site = SecureSite::of(configure, show);
            let began = now();
            let mut stalled = site.site.connect();
            stalled.send(HELLO_BEGINS);
            let _ = stalled.stream.read_to_end(&mut Vec::new());
            assert_eq!((now() - began).as_secs(), least);
        }
    });
}

/// Slow clients wait by themselves: a hundred stalled handshakes delay nobody's by a virtual moment.
#[test]
fn stalled_handshakes_hold_up_nobody() {
    test::run(|| {
        let site = SecureSite::new(show);
        let stalled: Vec<Client> = (0..100)
            .map(|_| {
                let mut client = site.site.connect();
                client.send(HELLO_BEGINS);
                client
            })
            .collect();
        let began = now();
        for _ in 0..20 {
            assert_eq!(site.connect().ask(get("/")).status, 200);
        }
        assert!(now() - began < SECOND, "took {:?}", now() - began);
        drop(stalled);
    });
}

#[test]
fn a_handshake_counts_as_a_connection() {
    test::run(|| {
        let change = |limits: &mut Limits| (limits.connections, limits.handshake_timeout) = (2, 5 * SECOND);
        let site = SecureSite::with(change, show);
        let stalled: Vec<Client> = (0..2)
            .map(|_| {
                let mut client = site.site.connect();
                client.send(HELLO_BEGINS);
                client
            })
            .collect();
        let began = now();
        assert_eq!(site.connect().ask(get("/")).status, 200);
        assert_eq!((now() - began).as_secs(), 5, "it came in when the others had gone");
        drop(stalled);
    });
}

/// A client that goes away in the middle costs nothing further.
#[test]
fn a_client_that_leaves_in_its_handshake_leaves_nothing() {
    test::run(|| {
        let site = SecureSite::new(show);
        sleep(SECOND);
        let before = stats();
        for bytes in [HELLO_BEGINS, &HELLO_BEGINS[..1], b""] {
            let mut stream = TcpStream::connect(site.site.address).unwrap();
            stream.write_all(bytes).unwrap();
            sleep(SECOND);
            drop(stream);
            sleep(SECOND);
        }
        let after = stats();
        assert_eq!(
            (after.coroutines, after.registrations, after.timers),
            (before.coroutines, before.registrations, before.timers)
        );
    });
}

/// A drained server waits for no handshake of which nothing has come, and lets one that has begun come to its end.
#[test]
fn a_drain_closes_connections_that_have_not_begun() {
    test::run(|| {
        let site = SecureSite::new(|_: &mut Request<'_>| Response::text("late"));
        let mut silent: Vec<Client> = (0..3).map(|_| site.site.connect()).collect();
        sleep(SECOND);
        let waiting = coroutines().into_iter().filter(|info| info.state == State::Hibernating).count();
        assert_eq!(waiting, 3);
        let began = now();
        site.handle().drain();
        site.serving().join().unwrap().unwrap();
        assert!(now() - began < SECOND);
        silent.iter_mut().for_each(Client::assert_closed);
    });
}
