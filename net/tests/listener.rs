//! Listening and accepting.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use grapeshot_core::{ClosedError, Runtime, SimultaneousError, sleep, spawn, stats, test, with_timeout};
use grapeshot_net::{TcpListener, TcpStream};

use self::support::*;

/// SOK-10.
#[test]
fn accept_gives_the_connection_and_the_address_it_came_from() {
    test::run(|| {
        let (listener, address) = listen();
        let client = spawn(move || {
            sleep(SECOND);
            let stream = TcpStream::connect(address).unwrap();
            stream.local_addr().unwrap()
        });
        let (stream, from) = listener.accept().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), from);
        assert_eq!(client.join().unwrap(), from);
    });
}

/// SOK-8: the address can be had again at once, although connections to it linger.
#[test]
fn an_address_is_bound_again_right_after_its_listener_has_gone() {
    test::run(|| {
        let (listener, address) = listen();
        let mut client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        // Who closes first lingers, so it is the server's end.
        drop(server);
        drop(listener);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        drop(client);
        let again = TcpListener::bind(address).unwrap();
        assert_eq!(again.local_addr().unwrap(), address);
    });
}

/// SOK-8.
#[test]
fn an_address_in_use_is_refused() {
    test::run(|| {
        let (_listener, address) = listen();
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

/// SOK-8.
#[test]
fn binding_to_any_address_listens_on_loopback_too() {
    test::run(|| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    });
}

#[test]
fn bind_takes_the_first_address_that_can_be_had() {
    test::run(|| {
        let (_taken, taken) = listen();
        let free = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(&[taken, free][..]).unwrap();
        assert_ne!(listener.local_addr().unwrap(), taken);
    });
}

/// SOK-9.
#[test]
fn hundreds_of_connections_wait_to_be_accepted() {
    test::run(|| {
        let (listener, address) = listen();
        let system: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(128);
        let clients: Vec<_> = (0..system.min(300)).map(|_| TcpStream::connect(address).unwrap()).collect();
        for client in &clients {
            let (stream, from) = listener.accept().unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            drop(stream);
        }
    });
}

#[test]
fn accepted_connections_are_non_blocking_and_work() {
    test::run(|| {
        let (listener, address) = listen();
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert!(socket2::SockRef::from(&server).nonblocking().unwrap());
        assert!(rustix::io::fcntl_getfd(&server).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        echo(server);
        assert_eq!(exchange(&client, b"x").unwrap(), b"x");
    });
}

/// SOK-10, accept_many.
#[test]
fn all_connections_that_wait_are_had_in_one_call() {
    test::run(|| {
        let (listener, address) = listen();
        let later = spawn(move || {
            sleep(SECOND);
            (0..5).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>()
        });
        assert!(listener.accept_many(0).unwrap().is_empty());
        let accepted = listener.accept_many(100).unwrap();
        let clients = later.join().unwrap();
        let from: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        assert_eq!(accepted.iter().map(|accepted| accepted.1).collect::<Vec<_>>(), from);
        // And it waits again, for one that comes later.
        let another = spawn(move || {
            sleep(SECOND);
            TcpStream::connect(address).unwrap()
        });
        assert_eq!(listener.accept_many(100).unwrap().len(), 1);
        another.join().unwrap();
    });
}

/// SOK-10, accept_many.
#[test]
fn connections_beyond_what_was_asked_for_are_had_in_the_next_call() {
    test::run(|| {
        let (listener, address) = listen();
        let _clients: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
        // It counts as one operation, so the budget of 4 is not used up.
        let counts: Vec<_> = [2, 2, 2].map(|max| listener.accept_many(max).unwrap().len()).into();
        assert_eq!(counts, [2, 2, 1]);
        with_timeout(SECOND, || listener.accept_many(2)).unwrap_err();
    });
}

/// SOK-12, as in std.
#[test]
fn a_listeners_settings_are_those_of_what_it_accepts() {
    test::run(|| {
        let (listener, address) = listen();
        listener.set_ttl(41).unwrap();
        assert_eq!(listener.ttl().unwrap(), 41);
        let _client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(server.ttl().unwrap(), 41);
    });
}

/// POL-4, SOK-11.
#[test]
fn closing_ends_a_blocked_accept_and_turns_clients_away() {
    test::run(|| {
        let (listener, address) = listen();
        let listener = Rc::new(listener);
        let acceptor = spawn({
            let listener = listener.clone();
            move || listener.accept()
        });
        sleep(SECOND);
        assert!(listener.close());
        assert!(!listener.close());
        let error = acceptor.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        assert!(is::<ClosedError>(&error));
        assert!(is::<ClosedError>(&listener.accept().unwrap_err()));
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn incoming_ends_when_the_listener_is_closed() {
    test::run(|| {
        let (listener, address) = listen();
        let listener = Rc::new(listener);
        let server = spawn({
            let listener = listener.clone();
            move || {
                let mut incoming = listener.incoming();
                let count = incoming.by_ref().map(Result::unwrap).count();
                (count, incoming.next().is_none())
            }
        });
        let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        sleep(SECOND);
        listener.close();
        assert_eq!(server.join().unwrap(), (2, true));
    });
}

/// POL-1.
#[test]
fn two_cannot_accept_on_one_handle_but_on_a_clone_each() {
    test::run(|| {
        let (listener, address) = listen();
        let listener = Rc::new(listener);
        let clone = listener.try_clone().unwrap();
        let first = spawn({
            let listener = listener.clone();
            move || listener.accept().map(drop)
        });
        sleep(SECOND);
        assert!(is::<SimultaneousError>(&listener.accept().unwrap_err()));
        let second = spawn(move || clone.accept().map(drop));
        sleep(SECOND);
        let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
    });
}

/// POL-3: the ancestor's repeated `with_timeout(1, accept)`.
#[test]
fn accept_works_again_and_again_after_it_was_cut_off() {
    test::run(|| {
        let (listener, address) = listen();
        for _ in 0..5 {
            with_timeout(SECOND, || listener.accept()).unwrap_err();
        }
        assert_eq!(stats().timers, 0);
        let _client = TcpStream::connect(address).unwrap();
        with_timeout(SECOND, || listener.accept()).unwrap().unwrap();
    });
}

#[test]
fn a_listener_goes_to_std_and_back() {
    test::run(|| {
        let (listener, address) = listen();
        with_timeout(SECOND, || listener.accept()).unwrap_err();
        let number = listener.as_raw_fd();
        let listener = listener.into_std();
        assert_eq!((stats().registrations, listener.as_raw_fd()), (0, number));
        let listener = TcpListener::from_std(listener).unwrap();
        assert!(listener.take_error().unwrap().is_none());
        assert!(format!("{listener:?}").contains(&address.to_string()));
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
    });
}

/// SCH-7: a listener outlives the runtime that waited on it.
#[test]
fn a_listener_serves_the_next_runtime_of_its_thread() {
    let (listener, address) = listen();
    let listener = std::sync::Arc::new(listener);
    for _ in 0..2 {
        let listener = listener.clone();
        let exit = Runtime::new().signals(false).run(move || {
            let server = spawn(move || listener.accept().unwrap().1);
            grapeshot_core::yield_slice();
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(server.join().unwrap(), client.local_addr().unwrap());
        });
        assert!(matches!(exit, Ok(grapeshot_core::Exit::Returned(()))), "{exit:?}");
    }
}

/// POL-7.
#[test]
fn a_thousand_connections_leave_nothing_registered() {
    test::run(|| {
        let address = echo_server();
        for _ in 0..1000 {
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(exchange(&client, b"x").unwrap(), b"x");
            drop(client);
            // The listener, and an echo that has not yet seen its peer go.
            assert!(stats().registrations <= 3, "{:?}", stats());
        }
        sleep(SECOND);
        assert_eq!(stats().registrations, 1);
    });
}
