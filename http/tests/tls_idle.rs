//! Connections of HTTPS between two requests: no stack, no buffers, and an end that they are told of.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{Read, Write};

use grapeshot_core::{CoroutineInfo, State, coroutines, now, sleep, spawn, stats, test};
use grapeshot_http::{Request, Response};

use support::tls::{SecureSite, TlsClient};
use support::{SECOND, get, post, show};

/// The test's body and the accept loop.
const OWN_STACKS: usize = 2;

fn connections() -> Vec<CoroutineInfo> {
    coroutines().into_iter().filter(|info| info.name.as_ref().is_some_and(|name| name.starts_with("http "))).collect()
}

#[test]
fn a_thousand_idle_connections_hold_no_stack() {
    test::run(|| {
        let site = SecureSite::with(|limits| limits.idle_timeout = 3600 * SECOND, show);
        let config = site.own.client_config().unwrap();
        let mut clients: Vec<TlsClient> = (0..1000).map(|_| site.connect_with(&config)).collect();
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).status, 200);
        }
        sleep(SECOND);
        assert_eq!(stats().stacks, OWN_STACKS);
        let connections = connections();
        assert_eq!(connections.len(), 1000);
        for info in connections {
            assert_eq!(info.state, State::Hibernating);
            assert!(
                info.reason.is_some_and(|reason| reason.to_string().starts_with("the next request on descriptor "))
            );
        }
        for client in clients.iter_mut().step_by(10) {
            assert_eq!(client.ask(post("/", "awake")).text(), "POST / [awake]");
        }
    });
}

#[test]
fn a_connection_whose_handshake_was_all_gives_its_stack_back() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut clients: Vec<TlsClient> = (0..10).map(|_| site.connect()).collect();
        sleep(SECOND);
        assert_eq!((stats().stacks, connections().len()), (OWN_STACKS, 10));
        assert_eq!(clients[0].ask(get("/")).status, 200);
    });
}

#[test]
fn an_idle_connection_is_closed_at_its_time_with_close_notify() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).status, 200);
        let began = now();
        client.assert_closed();
        assert_eq!((now() - began).as_secs(), 60);
    });
}

/// A record need not come at once. What has come of it is kept, on a stack, as long as the rest of a head would be.
#[test]
fn half_a_record_has_the_limit_of_half_a_head() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).status, 200);
        sleep(30 * SECOND);
        let began = now();
        // The header of a record of application data, and one byte of it.
        client.stream.inner().write_all_now(&[23, 3, 3, 0, 60, 1]);
        let waiting = connections();
        sleep(SECOND);
        assert_eq!(waiting.len(), 1);
        assert_eq!(connections()[0].state, State::Parked);
        let _ = client.stream.inner().read_all_now();
        assert_eq!((now() - began).as_secs(), 10);
    });
}

/// Bytes past TLS.
trait Raw {
    fn write_all_now(&self, bytes: &[u8]);
    fn read_all_now(&self) -> Vec<u8>;
}

impl Raw for grapeshot_net::TcpStream {
    fn write_all_now(&self, bytes: &[u8]) {
        let mut stream = self;
        stream.write_all(bytes).unwrap();
    }

    fn read_all_now(&self) -> Vec<u8> {
        let (mut stream, mut all) = (self, Vec::new());
        let _ = stream.read_to_end(&mut all);
        all
    }
}

/// What is no request does not put off the end of the wait for one.
#[test]
fn changes_of_keys_do_not_keep_a_connection_open() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).status, 200);
        let began = now();
        for _ in 0..2 {
            sleep(25 * SECOND);
            client.stream.refresh_traffic_keys().unwrap();
        }
        sleep(SECOND);
        assert_eq!(connections()[0].state, State::Hibernating);
        client.assert_closed();
        assert_eq!((now() - began).as_secs(), 60);
    });
}

#[test]
fn a_request_after_a_change_of_keys_is_answered() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut client = site.connect();
        for _ in 0..3 {
            client.stream.refresh_traffic_keys().unwrap();
            assert_eq!(client.ask(post("/", "body")).text(), "POST / [body]");
            sleep(SECOND);
        }
    });
}

/// Both those that hold a stack for a moment and those that do not.
#[test]
fn a_drain_closes_idle_connections_with_close_notify() {
    test::run(|| {
        let site = SecureSite::new(show);
        let mut sleeping = site.connect();
        assert_eq!(sleeping.ask(get("/")).status, 200);
        sleep(SECOND);
        let mut lingering = site.connect();
        assert_eq!(lingering.ask(get("/")).status, 200);
        let states: Vec<State> = connections().iter().map(|info| info.state).collect();
        assert!(states.contains(&State::Hibernating) && states.contains(&State::Parked), "{states:?}");
        let began = now();
        site.handle().drain();
        sleeping.assert_closed();
        lingering.assert_closed();
        site.serving().join().unwrap().unwrap();
        assert!(now() - began < SECOND);
    });
}

#[test]
fn a_drain_lets_a_request_come_to_its_end() {
    test::run(|| {
        let site = SecureSite::new(|_: &mut Request<'_>| {
            sleep(5 * SECOND);
            Response::text("done")
        });
        let mut client = site.connect();
        client.send(get("/"));
        sleep(SECOND);
        site.handle().drain();
        let reply = client.reply();
        assert_eq!((reply.text(), reply.closes()), ("done", true));
        client.assert_closed();
        site.serving().join().unwrap().unwrap();
    });
}

#[test]
fn nothing_is_left_of_a_drained_server() {
    test::run(|| {
        let before = stats();
        let site = SecureSite::new(show);
        let clients: Vec<TlsClient> = (0..20).map(|_| site.connect()).collect();
        let asking: Vec<_> = clients.into_iter().map(|mut client| spawn(move || client.ask(get("/")).status)).collect();
        for asking in asking {
            assert_eq!(asking.join().unwrap(), 200);
        }
        site.handle().drain();
        site.serving().join().unwrap().unwrap();
        let after = stats();
        assert_eq!((after.coroutines, after.registrations), (before.coroutines, before.registrations));
        assert_eq!((after.timers, after.stacks), (before.timers, before.stacks));
    });
}
