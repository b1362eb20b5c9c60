//! The end of a server: what runs is finished, what comes is refused in words, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod peer;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{unbounded, watch};
use grapeshot_core::{now, random_u64, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_net::memory;
use grapeshot_rpc::{
    CallError, CallerExt, Client, CloseReason, Connection, Context, Extensions, Failure, Limits, Outcome, Router,
    Server, Value,
};

use self::peer::Peer;

const SECOND: Duration = Duration::from_secs(1);

/// Only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn sleeper() -> Router {
    Router::new().method("sleep", |(seconds,): (u64,)| {
        sleep(Duration::from_secs(seconds));
        Ok(seconds)
    })
}

#[test]
fn calls_that_run_are_finished_and_later_ones_refused() {
    test::run(|| {
        let (mut peer, server) = Peer::of(sleeper(), Limits::default());
        peer.request(1, "sleep", vec![3.into()]);
        sleep(SECOND);
        let began = now();
        let finishing = spawn({
            let server = server.clone();
            move || server.finish(None)
        });
        sleep(SECOND);
        peer.request(2, "sleep", vec![3.into()]);
        assert_eq!(peer.failure(2).0, Failure::UNAVAILABLE);
        assert_eq!(peer.result(1), Value::from(3));
        finishing.join().unwrap();
        assert_eq!(peer.next(), None);
        // A plain peer is given a little longer.
        assert!(now() - began < 3 * SECOND);
        assert!(matches!(server.wait_closed(), CloseReason::Closed));
    });
}

#[test]
fn a_peer_that_knows_what_draining_means_makes_no_more_calls_and_leaves() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(sleeper()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let running = spawn({
            let near = near.clone();
            move || near.call::<u64>("sleep", &(2,))
        });
        sleep(SECOND);
        let began = now();
        let finishing = spawn({
            let far = far.clone();
            move || far.finish(None)
        });
        sleep(SECOND / 2);
        assert!(near.is_closed(), "for new calls");
        let error = near.call::<u64>("sleep", &(1,)).unwrap_err();
        assert!(matches!(error, CallError::Refused { .. }), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotRun);
        assert_eq!(running.join().unwrap().unwrap(), 2);
        finishing.join().unwrap();
        assert!(matches!(near.wait_closed(), CloseReason::Drained));
        assert!(matches!(far.wait_closed(), CloseReason::PeerEnded));
        assert_eq!(now() - began, SECOND);
    });
}

#[test]
fn whoever_waits_for_the_end_is_not_woken_by_calls() {
    test::run(|| {
        let (near, far) = memory::pair();
        let far = Connection::over(far).service(sleeper()).accept().unwrap();
        let near = Connection::over(near).open().unwrap();
        let waiting = spawn({
            let far = far.clone();
            move || far.wait_closed()
        });
        sleep(SECOND);
        let since = waiting.coroutine().info().since;
        assert_eq!(near.call::<u64>("sleep", &(1,)).unwrap(), 1);
        sleep(SECOND);
        assert_eq!(waiting.coroutine().info().since, since);
        near.close();
        assert!(matches!(waiting.join().unwrap(), CloseReason::PeerEnded));
    });
}

#[test]
fn calls_that_do_not_end_in_time_are_cut_off() {
    test::run(|| {
        let (mut peer, server) = Peer::of(sleeper(), Limits::default());
        peer.request(1, "sleep", vec![50.into()]);
        sleep(SECOND);
        server.finish(now().checked_add(2 * SECOND));
        assert_eq!(peer.next(), None);
    });
}

/// A server on a port of the system's choice, and what ends it.
fn serve(server: Server) -> (String, grapeshot_rpc::ServerHandle) {
    let (address, handle) = (server.local_addr().unwrap().to_string(), server.handle());
    spawn(move || server.serve());
    (address, handle)
}

#[test]
fn a_drained_server_loses_no_call() {
    test::Test::new().real_time().run(|| {
        for extensions in [Extensions::Agree, Extensions::Off] {
            let (ran, progress) = watch(0);
            let ran = Rc::new(ran);
            let counted = ran.clone();
            let service = Router::new().method("work", move |()| {
                // Calls of different length, so that the end finds each caller somewhere else.
                (0..random_u64() % 8).for_each(|_| yield_now());
                counted.modify(|ran| *ran += 1);
                Ok(())
            });
            let (address, handle) = serve(Server::bind("127.0.0.1:0").unwrap().service(service));
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let client = Client::builder().extensions(extensions).connect(&address).unwrap();
                    spawn(move || {
                        let mut answered = 0;
                        loop {
                            match client.call::<()>("work", &()) {
                                Ok(()) => answered += 1,
                                Err(error) => break (answered, error),
                            }
                        }
                    })
                })
                .collect();
            progress.wait_for(|ran| *ran >= 100).unwrap();
            handle.drain();
            handle.wait();
            let mut answered = 0;
            for caller in callers {
                let (count, error) = caller.join().unwrap();
                answered += count;
                assert_eq!(error.outcome(), Outcome::NotRun, "{error:?}");
            }
            assert_eq!(answered, ran.get());
        }
    });
}

#[test]
fn a_drained_server_is_gone() {
    test::Test::new().real_time().run(|| {
        let (address, handle) = serve(Server::bind("127.0.0.1:0").unwrap().service(sleeper()));
        let client = Client::connect(&address).unwrap();
        assert_eq!(client.call::<u64>("sleep", &(0,)).unwrap(), 0);
        handle.drain();
        handle.wait();
        assert!(client.is_closed());
        let error = Client::connect(&address).unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
    });
}

#[test]
fn a_server_greets_its_clients_and_makes_a_service_for_each() {
    test::Test::new().real_time().run(|| {
        let log = test::Log::new();
        let heard = log.clone();
        let server = Server::bind("127.0.0.1:0")
            .unwrap()
            .service_with(|peer| {
                let port = peer.address.unwrap().port();
                Router::new().method("port", move |()| Ok(port))
            })
            .on_connect(|connection| connection.notify("welcome", &("stranger",)).unwrap());
        let (address, handle) = serve(server);
        let service = Router::new().notification("welcome", move |(name,): (String,)| heard.add(name));
        let client = Client::builder().service(service).connect(&address).unwrap();
        let own: u16 = client.call("port", &()).unwrap();
        assert_ne!(own.to_string(), address.rsplit(':').next().unwrap());
        assert_eq!(log.take(), ["stranger"]);
        handle.drain();
        handle.wait();
    });
}

#[test]
fn an_authorisation_sees_caller_and_method() {
    test::Test::new().real_time().run(|| {
        let log = test::Log::new();
        let seen = log.clone();
        let server = Server::bind("127.0.0.1:0")
            .unwrap()
            .service(sleeper().method("secret", |()| Ok(42)))
            .authorize(|context: &Context, method| match method {
                "secret" => Err(Failure::new(Failure::FORBIDDEN, format!("not for {}", context.peer()))),
                _ => Ok(()),
            })
            .log(move |entry| seen.add(format!("{} {:?}", entry.method, entry.failure.map(|failure| failure.code))));
        let (address, handle) = serve(server);
        let client = Client::connect(&address).unwrap();
        let error = client.call::<i64>("secret", &()).unwrap_err();
        assert_eq!((error.failure().unwrap().code, error.outcome()), (Failure::FORBIDDEN, Outcome::NotRun));
        client.call::<u64>("sleep", &(0,)).unwrap();
        assert_eq!(log.take(), ["secret Some(-32005)", "sleep None"]);
        handle.drain();
        handle.wait();
    });
}

#[test]
fn a_unix_socket_goes_with_its_server_and_says_who_calls() {
    test::Test::new().real_time().run(|| {
        let folder = grapeshot_harness::TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let service = Router::new().method_with_context("pid", |context: &Context, ()| {
            Ok(context.peer().credentials.and_then(|credentials| credentials.pid))
        });
        let server = Server::bind_unix(&path).unwrap().service(service);
        let handle = server.handle();
        spawn(move || server.serve());
        let client = Client::connect_unix(&path).unwrap();
        assert_eq!(client.call::<Option<u32>>("pid", &()).unwrap(), Some(std::process::id()));
        handle.drain();
        handle.wait();
        assert!(!path.exists());
    });
}

/// As SIGKILL does.
fn abandon_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[test]
fn the_socket_file_of_a_killed_server_is_taken_over() {
    test::Test::new().real_time().run(|| {
        let folder = grapeshot_harness::TempDir::new().unwrap();
        let path = folder.path().join("socket");
        abandon_socket(&path);
        let server = Server::bind_unix(&path).unwrap().service(sleeper());
        let handle = server.handle();
        spawn(move || server.serve());
        assert_eq!(Client::connect_unix(&path).unwrap().call::<u64>("sleep", &(0,)).unwrap(), 0);
        handle.drain();
        handle.wait();
        assert!(!path.exists());
    });
}

/// That a path is taken, for this reason, and what is there stays.
#[track_caller]
fn assert_taken(path: &Path, reason: &str) {
    let error = Server::bind_unix(path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    let text = error.to_string();
    assert!(text.contains(reason) && text.matches(path.to_str().unwrap()).count() == 1, "{text}");
    assert!(fs::symlink_metadata(path).is_ok());
}

#[test]
fn a_socket_that_somebody_has_is_not_taken_over() {
    test::Test::new().real_time().run(|| {
        let folder = grapeshot_harness::TempDir::new().unwrap();
        let (streams, datagrams) = (folder.path().join("streams"), folder.path().join("datagrams"));
        let listener = UnixListener::bind(&streams).unwrap();
        listener.set_nonblocking(true).unwrap();
        let _socket = UnixDatagram::bind(&datagrams).unwrap();
        assert_taken(&streams, "another process listens there; end it");
        assert_taken(&datagrams, "another process listens there; end it");
        // Nobody called to find out.
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn what_is_no_socket_is_not_taken_over() {
    test::Test::new().real_time().run(|| {
        let folder = grapeshot_harness::TempDir::new().unwrap();
        let at = |name| folder.path().join(name);
        fs::write(at("file"), "precious").unwrap();
        fs::create_dir(at("folder")).unwrap();
        abandon_socket(&at("socket"));
        symlink(at("socket"), at("link")).unwrap();
        symlink(at("nowhere"), at("lost")).unwrap();
        for name in ["file", "folder", "link", "lost"] {
            assert_taken(&at(name), "what is there is no socket; remove it");
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"precious");
    });
}

#[test]
fn a_server_leaves_the_socket_file_of_its_successor() {
    test::Test::new().real_time().run(|| {
        let folder = grapeshot_harness::TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let first = Server::bind_unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Server::bind_unix(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    });
}

#[test]
fn calls_travel_over_tls() {
    test::Test::new().real_time().run(|| {
        let own = grapeshot_tls::SelfSigned::new(["localhost"]).unwrap();
        let (seen, ends) = unbounded();
        let server = Server::bind_tls("127.0.0.1:0", &own.server_config().unwrap()).unwrap();
        let server = server.service(sleeper()).log_ends(move |_, reason| seen.send(reason.to_string()).unwrap());
        let (address, handle) = serve(server);
        let port = address.rsplit(':').next().unwrap();
        let client = Client::connect_tls(&format!("localhost:{port}"), &own.client_config().unwrap()).unwrap();
        assert_eq!(client.call::<u64>("sleep", &(0,)).unwrap(), 0);
        // Plain bytes are no TLS, and harm nobody.
        let plain = Client::builder().extensions(Extensions::Off).connect(&address).unwrap();
        assert!(plain.call::<u64>("sleep", &(0,)).is_err());
        assert_eq!(client.call::<u64>("sleep", &(0,)).unwrap(), 0);
        drop((client, plain));
        let next = || with_timeout(PATIENCE, || ends.recv().unwrap()).unwrap();
        let (first, second) = (next(), next());
        assert!(first.contains("TLS"), "{first}");
        // Not one that somebody may have forced.
        assert_eq!(second, "the peer ended the connection");
        handle.drain();
        handle.wait();
        assert!(with_timeout(PATIENCE, || ends.recv()).unwrap().is_err(), "there were two connections");
    });
}

#[test]
fn a_server_can_say_why_each_connection_ended() {
    test::Test::new().real_time().run(|| {
        let log = test::Log::new();
        let seen = log.clone();
        let server = Server::bind("127.0.0.1:0").unwrap().service(sleeper()).log_ends(move |peer, reason| {
            assert!(peer.address.is_some());
            seen.add(reason.to_string());
        });
        let (address, handle) = serve(server);
        drop(Client::connect(&address).unwrap());
        let mut plain = grapeshot_net::TcpStream::connect(address.parse::<std::net::SocketAddr>().unwrap()).unwrap();
        std::io::Write::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(std::io::Read::read(&mut plain, &mut [0; 16]).unwrap(), 0);
        drop(plain);
        handle.drain();
        handle.wait();
        let mut ends = log.take();
        ends.sort();
        assert_eq!(
            ends[0],
            "the peer broke the protocol after 0 bytes: a message is an array, and this is none (byte 0 of the message)"
        );
        assert_eq!(ends[1..], ["the peer ended the connection"]);
    });
}
