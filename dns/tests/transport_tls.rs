//! DNS over TLS (RFC 7858), against a private server with certificates of its own.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::rc::Rc;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_dns::NameServer;
use grapeshot_dns::transport::{ExchangeError, Notes, StreamOptions, Tls, Transport};
use grapeshot_net::TcpListener;
use grapeshot_tls::SelfSigned;

use self::support::*;

const NAME: &str = "dns.example.org";

/// A server that shows a certificate for `NAME`, and a transport that trusts it.
fn pair(script: impl Fn(&Asked) -> Vec<Act> + 'static) -> (Tls, PrivateServer) {
    let own = SelfSigned::new([NAME]).unwrap();
    let server = PrivateServer::start_tls(own.server_config().unwrap(), script);
    (Tls::new(own.client_config().unwrap(), StreamOptions::default()), server)
}

fn known_as(server: &PrivateServer, name: &str) -> NameServer {
    NameServer::over_tls(server.address, name)
}

fn numbered(asked: &Asked) -> Act {
    Act::Send(asked.address([192, 0, 2, asked.number as u8]))
}

#[test]
fn a_reply_comes_back_over_one_connection() {
    test::run(|| {
        let (tls, server) = pair(|asked| vec![numbered(asked)]);
        let mut notes = Notes::default();
        for number in 0..3 {
            let query = query("example.com.");
            let reply = tls.exchange_noting(&known_as(&server, NAME), &query, now() + SECOND, &mut notes).unwrap();
            assert_eq!(addresses(&reply), [format!("192.0.2.{number}")]);
            assert_eq!(notes.reused, number > 0);
        }
        assert_eq!((server.accepted(), tls.stats().opened, tls.name()), (1, 1, "TLS"));
        assert!(server.asked().iter().all(|asked| asked.via == Via::Tls));
    });
}

/// RFC 8310, section 8.1: the name that the server is known by must be in its certificate.
#[test]
fn rfc8310_8_1_a_certificate_for_another_name_is_refused() {
    test::run(|| {
        let (tls, server) = pair(|asked| vec![numbered(asked)]);
        let other = known_as(&server, "other.example.org");
        let error = tls.exchange(&other, &query("example.com."), now() + SECOND).unwrap_err();
        let ExchangeError::Untrusted { name, .. } = &error else { panic!("{error}") };
        assert_eq!(name, "other.example.org");
        assert!(server.asked().is_empty());
    });
}

/// RFC 8310, section 5: the strict profile does not fall back to a server that nobody vouches for.
#[test]
fn rfc8310_5_a_server_that_nobody_vouches_for_is_not_asked() {
    test::run(|| {
        let (_, server) = pair(|asked| vec![numbered(asked)]);
        let trusting_others = SelfSigned::new([NAME]).unwrap().client_config().unwrap();
        let tls = Tls::new(trusting_others, StreamOptions::default());
        let error = tls.exchange(&known_as(&server, NAME), &query("example.com."), now() + SECOND).unwrap_err();
        assert!(matches!(error, ExchangeError::Untrusted { .. }), "{error}");
        assert!(server.asked().is_empty());
    });
}

#[test]
fn a_server_without_a_name_is_not_asked() {
    test::run(|| {
        let (tls, server) = pair(|asked| vec![numbered(asked)]);
        let error = tls.exchange(&server.name_server(), &query("example.com."), now() + SECOND).unwrap_err();
        assert!(matches!(error, ExchangeError::NoTlsName), "{error}");
        assert_eq!(server.accepted(), 0);
    });
}

/// RFC 7858, section 3.1: what speaks plain DNS at the port is not spoken to.
#[test]
fn rfc7858_3_1_a_server_that_does_not_speak_tls_is_refused() {
    test::run(|| {
        let (tls, _) = pair(|_| Vec::new());
        let plain = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = NameServer::over_tls(plain.local_addr().unwrap(), NAME);
        spawn(move || {
            let (stream, _) = plain.accept().unwrap();
            std::io::Write::write_all(&mut &stream, b"\x00\x20not a handshake but some other talk").unwrap();
            sleep(SECOND);
        });
        let error = tls.exchange(&server, &query("example.com."), now() + SECOND).unwrap_err();
        assert!(matches!(error, ExchangeError::Untrusted { .. }), "{error}");
    });
}

#[test]
fn a_handshake_that_stalls_ends_at_the_deadline() {
    test::run(|| {
        let (tls, _) = pair(|_| Vec::new());
        // It takes connections in, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = NameServer::over_tls(silent.local_addr().unwrap(), NAME);
        let began = now();
        let error = tls.exchange(&server, &query("example.com."), began + 3 * SECOND).unwrap_err();
        assert!(matches!(error, ExchangeError::TimedOut), "{error}");
        assert_eq!(now() - began, 3 * SECOND);
    });
}

/// RFC 7858, section 3.3: queries are pipelined, and replies may come in any order.
#[test]
fn rfc7858_3_3_queries_do_not_wait_for_each_other() {
    test::run(|| {
        let (tls, server) = pair(|asked| vec![Act::after(SECOND * (5 - asked.number as u32), numbered(asked))]);
        let (tls, server) = (Rc::new(tls), Rc::new(server));
        let began = now();
        let asking: Vec<_> = (0..5)
            .map(|_| {
                let (tls, server) = (tls.clone(), server.clone());
                spawn(move || {
                    let deadline = now() + 10 * SECOND;
                    addresses(&tls.exchange(&known_as(&server, NAME), &query("example.com."), deadline).unwrap())
                })
            })
            .collect();
        let mut answers: Vec<_> = asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect();
        answers.sort();
        assert_eq!(answers, (0..5).map(|number| format!("192.0.2.{number}")).collect::<Vec<_>>());
        assert_eq!((now() - began, server.accepted()), (5 * SECOND, 1));
    });
}

/// RFC 7858, section 3.4: either side may close an idle connection, and the client opens another.
#[test]
fn rfc7858_3_4_a_connection_that_was_closed_is_opened_again() {
    test::run(|| {
        let (tls, server) = pair(|asked| match asked.number {
            0 => vec![numbered(asked), Act::Close],
            _ => vec![numbered(asked)],
        });
        let ask = || tls.exchange(&known_as(&server, NAME), &query("example.com."), now() + SECOND).unwrap();
        ask();
        sleep(SECOND);
        ask();
        assert_eq!(server.accepted(), 2);
        sleep(10 * SECOND);
        assert_eq!(server.open_connections(), 0, "the client closes it when it has been idle");
    });
}

/// RFC 8467, section 4.1: all queries are of one length, whatever their names.
#[test]
fn rfc8467_4_1_the_length_of_a_query_does_not_give_its_name_away() {
    test::run(|| {
        let (tls, server) = pair(|asked| vec![numbered(asked)]);
        for name in ["a.", "example.com.", "a-name-that-is-rather-longer-than-others.example.com."] {
            let mut notes = Notes::default();
            tls.exchange_noting(&known_as(&server, NAME), &query(name), now() + SECOND, &mut notes).unwrap();
            assert_eq!(notes.sent, 2 + 128);
        }
    });
}
