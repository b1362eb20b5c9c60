//! How a server ends: idle connections at once, requests under way in their time (REQUIREMENTS 2.2, HTTP-2: `shutdown`).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::thread;

use grapeshot_core::{Exit, JoinError, Runtime, now, set_exit, sleep, spawn, stats, test, with_timeout};
use grapeshot_http::{Request, Response, Server, StatusCode};
use grapeshot_net::TcpStream;

use support::{Client, Notes, SECOND, Site, get, post, show};

/// Answers after so many seconds as the path says.
fn slow(request: &mut Request<'_>) -> io::Result<Response> {
    sleep(request.path()[1..].parse().unwrap_or(0) * SECOND);
    show(request)
}

/// HTTP-2.
#[test]
fn a_drained_server_returns_and_listens_no_more() {
    test::run(|| {
        let site = Site::new(show);
        assert_eq!(site.connect().ask(get("/")).status, 200);
        site.handle.drain();
        site.serving.join().unwrap().unwrap();
        let refused = TcpStream::connect(site.address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_request_under_way_is_finished_and_told_that_the_connection_closes() {
    test::run(|| {
        let site = Site::new(slow);
        let mut client = site.connect();
        client.send(get("/5") + &get("/0"));
        sleep(SECOND);
        site.handle.drain();
        let began = now();
        let reply = client.reply();
        assert_eq!((reply.text(), reply.closes()), ("GET /5 []", true));
        client.assert_closed();
        assert_eq!((now() - began).as_secs(), 4);
        site.serving.join().unwrap().unwrap();
    });
}

#[test]
fn a_request_that_is_still_arriving_is_finished() {
    test::run(|| {
        let site = Site::new(show);
        let (mut in_head, mut in_body) = (site.connect(), site.connect());
        let request = post("/", "body");
        in_head.send(&request[..20]);
        in_body.send(&request[..request.len() - 2]);
        sleep(SECOND);
        site.handle.drain();
        sleep(SECOND);
        in_head.send(&request[20..]);
        in_body.send(&request[request.len() - 2..]);
        for client in [&mut in_head, &mut in_body] {
            let reply = client.reply();
            assert_eq!((reply.text(), reply.closes()), ("POST / [body]", true));
            client.assert_closed();
        }
    });
}

/// One between two requests, one asleep, one that never asked.
#[test]
fn idle_connections_are_closed_at_once() {
    test::run(|| {
        let site = Site::new(show);
        let mut asleep = site.connect();
        assert_eq!(asleep.ask(get("/")).status, 200);
        let mut silent = site.connect();
        sleep(SECOND);
        let mut lingering = site.connect();
        assert_eq!(lingering.ask(get("/")).status, 200);
        site.handle.drain();
        let began = now();
        for client in [&mut asleep, &mut silent, &mut lingering] {
            client.assert_closed();
        }
        site.serving.join().unwrap().unwrap();
        assert!(now() - began < SECOND);
    });
}

/// What has been sent before the drain is not thrown away with the connection.
#[test]
fn a_request_that_was_sent_before_the_drain_is_answered() {
    test::run(|| {
        let site = Site::new(show);
        let mut used = site.connect();
        assert_eq!(used.ask(get("/")).status, 200);
        let mut fresh = site.connect();
        fresh.send(get("/"));
        used.send(get("/"));
        // The server sees the requests and the wish to end in the same pass.
        site.handle.drain();
        let mut silent = site.connect();
        for client in [&mut fresh, &mut used] {
            let reply = client.reply();
            assert_eq!((reply.status, reply.closes()), (200, true));
            client.assert_closed();
        }
        silent.assert_closed();
    });
}

#[test]
fn what_is_left_at_the_deadline_is_cancelled() {
    struct Told(Notes);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.add("cleaned up");
        }
    }
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::with(
            |limits| limits.drain_timeout = 3 * SECOND,
            move |request: &mut Request<'_>| {
                let _told = Told(seen.clone());
                slow(request)
            },
        );
        let mut client = site.connect();
        client.send(get("/3600"));
        sleep(SECOND);
        site.handle.drain();
        let began = now();
        client.assert_closed();
        assert_eq!((now() - began).as_secs(), 3);
        site.serving.join().unwrap().unwrap();
        assert_eq!(notes.take(), ["cleaned up"]);
    });
}

#[test]
fn a_drain_without_time_cancels_at_once() {
    test::run(|| {
        let site = Site::with(|limits| limits.drain_timeout = std::time::Duration::ZERO, slow);
        let mut client = site.connect();
        client.send(get("/3600"));
        sleep(SECOND);
        site.handle.drain();
        let began = now();
        client.assert_closed();
        assert!(now() - began < SECOND);
    });
}

#[test]
fn whoever_waits_for_the_end_is_told() {
    test::run(|| {
        let site = Site::new(slow);
        let mut client = site.connect();
        client.send(get("/5"));
        sleep(SECOND);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let handle = site.handle.clone();
                spawn(move || handle.wait())
            })
            .collect();
        sleep(SECOND);
        site.handle.drain();
        // Asking twice changes nothing.
        site.handle.drain();
        sleep(SECOND);
        assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
        waiting.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(client.reply().status, 200);
        assert!(site.serving.is_finished() || with_timeout(SECOND, || site.serving.join()).is_ok());
        site.handle.wait();
    });
}

#[test]
fn a_drain_asked_for_before_the_start_holds() {
    test::run(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        server.handle().drain();
        server.serve(show).unwrap();
    });
}

#[test]
fn a_server_that_never_served_is_over_when_it_is_dropped() {
    test::run(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let handle = server.handle();
        let waiter = spawn(move || handle.wait());
        sleep(SECOND);
        drop(server);
        waiter.join().unwrap();
    });
}

/// A server at its limit of connections waits for one to end rather than for a peer, and drains all the same.
#[test]
fn a_full_server_drains() {
    test::run(|| {
        let site = Site::with(|limits| limits.connections = 1, slow);
        let mut client = site.connect();
        client.send(get("/2"));
        sleep(SECOND);
        site.handle.drain();
        assert!(client.reply().closes());
        site.serving.join().unwrap().unwrap();
    });
}

/// `Shutdown` of HTTP-2: cancelling the coroutine that serves is another way to say it.
#[test]
fn a_cancelled_server_drains_first() {
    test::run(|| {
        let site = Site::new(slow);
        let mut client = site.connect();
        let mut idle = site.connect();
        assert_eq!(idle.ask(get("/0")).status, 200);
        client.send(get("/5"));
        sleep(SECOND);
        site.serving.cancel();
        idle.assert_closed();
        let reply = client.reply();
        assert_eq!((reply.text(), reply.closes()), ("GET /5 []", true));
        assert!(matches!(site.serving.join(), Err(JoinError::Cancelled)));
        site.handle.wait();
    });
}

#[test]
fn a_limit_around_a_server_drains_it() {
    test::run(|| {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = spawn(move || Client::connect(address).ask(get("/8")).closes());
        let ended = with_timeout(5 * SECOND, || server.serve(slow));
        assert!(ended.is_err());
        assert!(client.join().unwrap());
    });
}

/// Leaving `run`, by a signal for one, lets requests finish; what they wait for still comes.
#[test]
fn leaving_run_drains() {
    let (answer, exit) = leave_run(|| set_exit(3));
    assert!(matches!(exit, Exit::Requested(3)));
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nfinished"), "{answer}");
}

/// Runs a server whose handler calls `leave` in the middle of its request; returns what its client got.
fn leave_run(leave: fn()) -> (String, Exit<io::Result<()>>) {
    let (tell, told) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect::<std::net::SocketAddr>(told.recv().unwrap()).unwrap();
        stream.write_all(get("/").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let exit = Runtime::new().signals(false).run(move || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        tell.send(server.local_addr().unwrap()).unwrap();
        server.serve(move |_: &mut Request<'_>| {
            leave();
            sleep(SECOND / 20);
            "finished"
        })
    });
    (client.join().unwrap(), exit.unwrap())
}

/// The same when `main` itself returns, and the server is a coroutine nobody waits for.
#[test]
fn the_end_of_main_drains() {
    let outcome = Rc::new(Cell::new(false));
    let seen = outcome.clone();
    test::run(move || {
        let site = Site::new(move |request: &mut Request<'_>| {
            let answered = slow(request);
            seen.set(true);
            answered
        });
        let mut client = site.connect();
        client.send(get("/5"));
        sleep(SECOND);
    });
    assert!(outcome.get(), "the request was not finished");
}

#[test]
fn an_upgraded_connection_has_until_the_deadline() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |_: &mut Request<'_>| {
            let seen = seen.clone();
            Response::upgrade("raw", move |mut upgraded| {
                let mut said = String::new();
                upgraded.stream.read_to_string(&mut said).unwrap();
                seen.add(said);
            })
        });
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n";
        let (mut quick, mut slow) = (site.connect(), site.connect());
        assert_eq!((quick.ask(upgrade).status, slow.ask(upgrade).status), (101, 101));
        site.handle.drain();
        sleep(5 * SECOND);
        quick.send("goodbye");
        drop(quick);
        slow.assert_closed();
        site.serving.join().unwrap().unwrap();
        assert_eq!(notes.take(), ["goodbye"]);
    });
}

#[test]
fn nothing_is_left_of_a_drained_server() {
    test::run(|| {
        let before = stats();
        let site = Site::new(slow);
        let mut clients: Vec<Client> = (0..100).map(|_| site.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(get(&format!("/{}", n % 3)));
        }
        sleep(SECOND / 2);
        site.handle.drain();
        site.serving.join().unwrap().unwrap();
        let statuses: Vec<_> = clients.iter_mut().map(|client| client.reply().status).collect();
        assert_eq!(statuses, vec![StatusCode::OK.as_u16(); 100]);
        drop(clients);
        let after = stats();
        assert_eq!((after.coroutines, after.registrations), (before.coroutines, before.registrations));
        assert_eq!((after.timers, after.stacks), (before.timers, before.stacks));
    });
}
