//! Unix datagram sockets.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::process;
use std::rc::Rc;

use grapeshot_core::{ClosedError, OperationTimedOut, now, sleep, spawn, stats, test, with_timeout};
use grapeshot_net::{UnixDatagram, unix};

use self::support::*;

fn abstract_name(name: &str) -> unix::SocketAddr {
    unix::SocketAddr::from_abstract_name(format!("grapeshot-{}-{name}", process::id())).unwrap()
}

fn bound(name: &str) -> (UnixDatagram, unix::SocketAddr) {
    let address = abstract_name(name);
    (UnixDatagram::bind_addr(&address).unwrap(), address)
}

/// SOK-6, over Unix sockets.
#[test]
fn a_datagram_arrives_with_the_address_it_came_from() {
    test::run(|| {
        let ((near, near_address), (far, far_address)) = (bound("near"), bound("far"));
        let receiver = spawn(move || {
            let mut buf = [0; 64];
            let (len, from) = far.recv_from(&mut buf).unwrap();
            (buf[..len].to_vec(), from)
        });
        sleep(SECOND);
        assert_eq!(near.send_to_addr(b"grapeshot", &far_address).unwrap(), 9);
        let (datagram, from) = receiver.join().unwrap();
        assert_eq!(datagram, b"grapeshot");
        assert_eq!(from.as_abstract_name(), near_address.as_abstract_name());
    });
}

/// SOK-13, a path.
#[test]
fn a_path_is_an_address_to_send_to() {
    test::run(|| {
        let path = std::env::temp_dir().join(format!("grapeshot-{}-datagram", process::id()));
        let far = UnixDatagram::bind(&path).unwrap();
        let near = UnixDatagram::unbound().unwrap();
        near.send_to(b"to", &path).unwrap();
        near.connect(&path).unwrap();
        near.send(b"connected").unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut buf = [0; 64];
        let (len, from) = far.recv_from(&mut buf).unwrap();
        assert!(len == 2 && from.is_unnamed());
        assert_eq!(far.peek(&mut buf).unwrap(), 9);
        assert_eq!(far.recv(&mut buf).unwrap(), 9);
    });
}

/// Sends until the receiver's queue is full; answers how many that were.
fn fill(send: impl Fn() -> std::io::Result<usize>) -> usize {
    let mut sent = 0;
    while send().is_ok() {
        sent += 1;
    }
    sent
}

#[test]
fn a_connected_sender_waits_for_room_and_is_woken_by_it() {
    test::run(|| {
        let (far, address) = bound("connected");
        let near = Rc::new(UnixDatagram::unbound().unwrap());
        near.connect_addr(&address).unwrap();
        near.set_write_timeout(Some(SECOND)).unwrap();
        let sent = fill(|| near.send(&[7; 100]));
        assert!(sent > 0);
        near.set_write_timeout(None).unwrap();
        for _ in 0..3 {
            let sender = spawn({
                let near = near.clone();
                move || near.send(b"more").unwrap()
            });
            sleep(10 * SECOND);
            assert!(!sender.is_finished());
            // The kernel says that there is room when half of the queue is free.
            for _ in 0..=sent / 2 {
                far.recv(&mut [0; 200]).unwrap();
            }
            assert_eq!(sender.join().unwrap(), 4);
            near.set_write_timeout(Some(SECOND)).unwrap();
            fill(|| near.send(&[7; 100]));
            near.set_write_timeout(None).unwrap();
        }
    });
}

/// The kernel gives no sign of it: the sender has to try again.
#[test]
fn a_sender_to_an_address_waits_for_room() {
    test::run(|| {
        let (far, address) = bound("unconnected");
        let near = UnixDatagram::unbound().unwrap();
        near.set_write_timeout(Some(SECOND)).unwrap();
        let started = now();
        let sent = fill(|| near.send_to_addr(&[7; 100], &address));
        assert!(sent > 0 && now() - started == SECOND);
        near.set_write_timeout(None).unwrap();
        let sender = spawn(move || near.send_to_addr(b"more", &address).unwrap());
        sleep(10 * SECOND);
        assert!(!sender.is_finished());
        far.recv(&mut [0; 200]).unwrap();
        assert_eq!(sender.join().unwrap(), 4);
        for _ in 1..sent {
            assert_eq!(far.recv(&mut [0; 200]).unwrap(), 100);
        }
        assert_eq!(far.recv(&mut [0; 200]).unwrap(), 4);
    });
}

#[test]
fn a_sender_to_an_address_is_cut_off_and_sees_a_close() {
    test::run(|| {
        let (_far, address) = bound("cut");
        let near = Rc::new(UnixDatagram::unbound().unwrap());
        near.set_write_timeout(Some(SECOND)).unwrap();
        fill(|| near.send_to_addr(&[7; 100], &address));
        near.set_write_timeout(None).unwrap();
        with_timeout(5 * SECOND, || near.send_to_addr(b"x", &address)).unwrap_err();
        let sender = spawn({
            let near = near.clone();
            move || near.send_to_addr(b"x", &address)
        });
        sleep(SECOND);
        near.close();
        assert!(is::<ClosedError>(&sender.join().unwrap().unwrap_err()));
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn receiving_has_a_limit_and_ends_with_a_shutdown() {
    test::run(|| {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        assert!(is::<OperationTimedOut>(&near.recv(&mut [0; 8]).unwrap_err()));
        assert_eq!(now() - started, 5 * SECOND);
        near.set_read_timeout(None).unwrap();
        let near = Rc::new(near);
        let receiver = spawn({
            let near = near.clone();
            move || near.recv(&mut [0; 8]).unwrap()
        });
        sleep(SECOND);
        near.shutdown(Shutdown::Both).unwrap();
        assert_eq!(receiver.join().unwrap(), 0);
        assert_eq!(far.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// DESIGN §4: "interrupted, then woken" loses nothing here: the datagram stays in the socket.
#[test]
fn a_receiver_that_is_cut_off_leaves_the_datagram_to_the_next() {
    test::run(|| {
        let (near, far) = UnixDatagram::pair().unwrap();
        let far = Rc::new(far);
        let first = spawn({
            let far = far.clone();
            move || far.recv(&mut [0; 8]).unwrap()
        });
        sleep(SECOND);
        first.cancel();
        near.send(b"next").unwrap();
        first.join().unwrap_err();
        assert_eq!(far.recv(&mut [0; 8]).unwrap(), 4);
    });
}
