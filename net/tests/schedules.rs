//! Many connections under many schedules, with limits and cancellations falling wherever chance puts them.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{random_u64, sleep, spawn, stats, with_timeout};
use grapeshot_net::{SocketAddr, TcpStream, WaitLimit};

use self::support::*;

/// A number below `bound`, from the test's seed.
fn random(bound: u64) -> u64 {
    random_u64() % bound
}

fn pause(milliseconds: u64) {
    sleep(Duration::from_millis(random(milliseconds)));
}

/// Answers each connection after a while, a few bytes at a time, and gives up on some in the middle.
fn moody_server() -> SocketAddr {
    let (listener, address) = listen();
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            spawn(move || {
                let mut buf = [0; 16];
                while let Ok(read @ 1..) = stream.read(&mut buf) {
                    pause(20);
                    if random(50) == 0 || stream.write_all(&buf[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Talks to the server until it is cut off; what comes back must be what was sent, as far as it comes.
fn client(address: SocketAddr) {
    let stream = TcpStream::connect(address).unwrap();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let message = [round; 24];
        if (&stream).write_all(&message).is_err() {
            return;
        }
        sent.extend_from_slice(&message);
        let mut buf = [0; 64];
        let limit = Duration::from_millis(1 + random(40));
        let read = if random(2) == 0 {
            stream.read_within(&mut buf, WaitLimit::After(limit)).ok()
        } else {
            with_timeout(limit, || (&stream).read(&mut buf).ok()).ok().flatten()
        };
        received.extend_from_slice(&buf[..read.unwrap_or(0)]);
        assert!(sent.starts_with(&received));
    }
}

#[test]
fn every_byte_is_whole_and_nothing_is_left_whatever_the_order() {
    for seed in 0..12 {
        Test::new().seed(seed).run(|| {
            let address = moody_server();
            let clients: Vec<_> = (0..30).map(|_| spawn(move || client(address))).collect();
            let doomed: Vec<_> = clients.iter().map(|client| client.coroutine()).filter(|_| random(3) == 0).collect();
            for coroutine in doomed {
                pause(30);
                coroutine.cancel();
            }
            for client in clients {
                // A cancelled one has no result; a panic of any other is the test's.
                if let Err(grapeshot_core::JoinError::Panicked(panic)) = client.join() {
                    panic!("{panic}");
                }
            }
            sleep(10 * SECOND);
            // The listener: every other connection has seen its end.
            assert_eq!((stats().registrations, stats().timers), (1, 0));
        });
    }
}

/// POL-4: whoever closes, and whenever, everyone who waits is told.
#[test]
fn closing_at_any_time_ends_everyone_who_waits() {
    for seed in 0..40 {
        Test::new().seed(seed).run(|| {
            let (near, _far) = pair();
            let near = Rc::new(near);
            let reader = spawn({
                let near = near.clone();
                move || (&*near).read_exact(&mut [0; 8])
            });
            let writer = spawn({
                let near = near.clone();
                move || (&*near).write_all(&vec![0; 16 * MIB])
            });
            let closer = spawn(move || {
                pause(3);
                near.close()
            });
            assert!(closer.join().unwrap());
            assert!(is::<grapeshot_core::ClosedError>(&reader.join().unwrap().unwrap_err()));
            assert!(is::<grapeshot_core::ClosedError>(&writer.join().unwrap().unwrap_err()));
        });
    }
}
