//! Many connections in one call (SOK-10).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use grapeshot_core::{now, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_net::{SocketAddr, TcpStream};

use self::support::*;

fn connect(count: usize, address: SocketAddr) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// SOK-10: until no more can be had, or `max`.
#[test]
fn as_many_as_wait_are_accepted_up_to_the_number_asked_for() {
    test::run(|| {
        let (listener, address) = listen();
        let clients = connect(10, address);
        let counts = [4, 4, 4].map(|max| listener.accept_many(max).unwrap().len());
        assert_eq!(counts, [4, 4, 2]);
        assert!(listener.accept_many(0).unwrap().is_empty());
        drop(clients);
    });
}

/// SOK-10: it waits for the first.
#[test]
fn it_waits_for_the_first_and_takes_those_that_came_with_it() {
    test::run(|| {
        let (listener, address) = listen();
        let later = spawn(move || {
            sleep(SECOND);
            connect(3, address)
        });
        let started = now();
        let accepted = listener.accept_many(100).unwrap();
        assert_eq!((accepted.len(), now() - started), (3, SECOND));
        for (client, (stream, from)) in later.join().unwrap().iter().zip(accepted) {
            assert_eq!(client.local_addr().unwrap(), from);
            echo(stream);
            assert_eq!(exchange(client, b"x").unwrap(), b"x");
        }
    });
}

/// SOK-10: not charged to selfishness, however many it gives.
#[test]
fn a_batch_is_one_operation_in_the_budget() {
    test::run(|| {
        let (listener, address) = listen();
        let clients = connect(50, address);
        let turns = Rc::new(Cell::new(0));
        let other = spawn({
            let turns = turns.clone();
            move || {
                loop {
                    turns.set(turns.get() + 1);
                    yield_now();
                }
            }
        });
        yield_now();
        let before = turns.get();
        assert_eq!(listener.accept_many(50).unwrap().len(), 50);
        assert!(turns.get() - before <= 1, "{}", turns.get() - before);
        other.cancel();
        drop(clients);
    });
}

#[test]
fn its_limit_is_that_of_accept() {
    test::run(|| {
        let (listener, address) = listen();
        listener.set_accept_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        assert_eq!(listener.accept_many(8).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(now() - started, 5 * SECOND);
        with_timeout(SECOND, || listener.accept_many(8)).unwrap_err();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut stream, _) = listener.accept_many(8).unwrap().pop().unwrap();
        stream.write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
    });
}
