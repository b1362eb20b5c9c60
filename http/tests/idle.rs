//! Connections between two requests: coroutines without a stack (DESIGN §3, POL-5).

mod support;

use std::time::Duration;

use grapeshot_core::{CoroutineInfo, State, coroutines, now, sleep, stats, test};
use grapeshot_http::Server;

use support::{Client, SECOND, Site, get, post, show};

/// The coroutines that are connections.
fn connections() -> Vec<CoroutineInfo> {
    coroutines().into_iter().filter(|info| info.name.as_ref().is_some_and(|name| name.starts_with("http "))).collect()
}

fn waits_for_the_next_request(info: &CoroutineInfo) -> bool {
    info.reason.is_some_and(|reason| reason.to_string().starts_with("the next request on descriptor "))
}

/// The test's body and the accept loop.
const OWN_STACKS: usize = 2;

/// How many connections keep their stack for a moment: see `Server::linger`.
const MOST_LINGERING: usize = 32;

#[test]
fn an_idle_connection_gives_its_stack_back() {
    test::run(|| {
        let site = Site::new(show);
        let mut clients: Vec<Client> = (0..50).map(|_| site.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).status, 200);
        }
        assert_eq!(stats().stacks, OWN_STACKS + MOST_LINGERING);
        sleep(SECOND);
        assert_eq!(stats().stacks, OWN_STACKS);
        assert_eq!(connections().len(), 50);
        for info in connections() {
            assert_eq!(info.state, State::Hibernating);
            assert!(waits_for_the_next_request(&info), "{info}");
        }
    });
}

#[test]
fn a_connection_that_never_asked_gives_its_stack_back() {
    test::run(|| {
        let site = Site::new(show);
        let _silent: Vec<Client> = (0..10).map(|_| site.connect()).collect();
        sleep(SECOND);
        assert_eq!((stats().stacks, connections().len()), (OWN_STACKS, 10));
    });
}

/// It stays the coroutine it was, with its number, name and place of birth.
#[test]
fn a_connection_that_wakes_is_the_one_that_fell_asleep() {
    test::run(|| {
        let site = Site::new(show);
        let mut clients: Vec<Client> = (0..10).map(|_| site.connect()).collect();
        sleep(SECOND);
        let identities = || connections().into_iter().map(|info| (info.id, info.name)).collect::<Vec<_>>();
        let before = identities();
        for round in 0..5 {
            for client in &mut clients {
                assert_eq!(client.ask(post("/", "body")).text(), "POST / [body]", "round {round}");
            }
            sleep(SECOND);
            assert_eq!(stats().stacks, OWN_STACKS);
            assert_eq!(identities(), before);
        }
    });
}

/// Stacks come from the pool and go back there: a thousand sleepers need no more than those awake at a time.
#[test]
fn connections_that_wake_share_a_few_stacks() {
    test::run(|| {
        let site = Site::with(|limits| limits.idle_timeout = 3600 * SECOND, show);
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.extend((0..10).map(|_| site.connect()));
            sleep(SECOND);
        }
        let pooled = stats().pooled_stacks;
        assert!(pooled <= 10, "{pooled} stacks for 10 connections at a time");
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).status, 200);
            sleep(SECOND / 2);
        }
        assert_eq!(stats().pooled_stacks, pooled);
    });
}

#[test]
fn a_connection_keeps_its_stack_while_requests_follow_each_other() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        for _ in 0..10 {
            assert_eq!(client.ask(get("/")).status, 200);
            sleep(Duration::from_millis(150));
            assert_eq!(connections()[0].state, State::Parked);
            assert!(waits_for_the_next_request(&connections()[0]));
        }
        sleep(Duration::from_millis(100));
        assert_eq!(connections()[0].state, State::Hibernating);
    });
}

#[test]
fn the_linger_can_be_set() {
    test::run(|| {
        for (linger, state) in [(Duration::ZERO, State::Hibernating), (5 * SECOND, State::Parked)] {
            let site = Site::of(Server::bind("127.0.0.1:0").unwrap().linger(linger), show);
            let mut client = site.connect();
            assert_eq!(client.ask(get("/")).status, 200);
            sleep(SECOND);
            assert_eq!(connections()[0].state, state);
            assert_eq!(client.ask(get("/")).status, 200);
            let began = now();
            client.assert_closed();
            assert_eq!((now() - began).as_secs(), 60);
        }
    });
}

/// A head of which something has come is waited for on a stack, since its bytes have to be kept.
#[test]
fn a_connection_with_half_a_head_does_not_sleep() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        client.send("GET / HT");
        sleep(SECOND);
        let info = &connections()[0];
        assert_eq!(info.state, State::Parked);
        assert!(info.reason.is_some_and(|reason| reason.to_string().starts_with("the rest of a request head")));
        assert_eq!(client.ask("TP/1.1\r\nHost: a\r\n\r\n").status, 200);
    });
}

/// A byte that wakes a connection and is no request puts it back where the head's limit counts.
#[test]
fn a_connection_woken_by_half_a_head_has_the_heads_limit() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        sleep(30 * SECOND);
        let began = now();
        assert_eq!(client.ask("G").status, 408);
        assert_eq!((now() - began).as_secs(), 10);
    });
}

#[test]
fn a_sleeping_connection_notices_that_its_peer_has_gone() {
    test::run(|| {
        let site = Site::new(show);
        let clients: Vec<Client> = (0..10).map(|_| site.connect()).collect();
        sleep(SECOND);
        assert_eq!(connections().len(), 10);
        drop(clients);
        sleep(SECOND);
        assert_eq!(connections().len(), 0);
        assert_eq!(stats().stacks, OWN_STACKS);
    });
}
