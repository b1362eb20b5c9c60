//! Datagrams over UDP.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{ClosedError, Direction, Exit, OperationTimedOut, Runtime, SimultaneousError};
use grapeshot_core::{now, random_u64, sleep, spawn, stats, with_timeout};
use grapeshot_net::{Ipv4Addr, NotNumeric, SocketAddr, UdpSocket, WaitLimit};

use self::support::*;

/// A socket on a port of the system's choice, and its address.
fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Two sockets, each connected to the other.
fn connected() -> (UdpSocket, UdpSocket) {
    let ((near, near_address), (far, far_address)) = (bind(), bind());
    near.connect(far_address).unwrap();
    far.connect(near_address).unwrap();
    (near, far)
}

/// SOK-6: one datagram, with who sent it.
#[test]
fn a_datagram_arrives_whole_with_the_address_it_came_from() {
    test::run(|| {
        let ((near, near_address), (far, far_address)) = (bind(), bind());
        let receiver = spawn(move || {
            let mut buf = [0; 64];
            let (len, from) = far.recv_from(&mut buf).unwrap();
            (buf[..len].to_vec(), from)
        });
        sleep(SECOND);
        assert_eq!(near.send_to(b"grapeshot", far_address).unwrap(), 9);
        assert_eq!(receiver.join().unwrap(), (b"grapeshot".to_vec(), near_address));
    });
}

/// SOK-6: it may be short, and is never glued to the next one.
#[test]
fn datagrams_keep_their_bounds() {
    test::run(|| {
        let (near, far) = connected();
        for datagram in [&b"one"[..], b"", b"three"] {
            assert_eq!(near.send(datagram).unwrap(), datagram.len());
        }
        let mut buf = [0; 64];
        let lengths = [(); 3].map(|()| far.recv(&mut buf).unwrap());
        assert_eq!(lengths, [3, 0, 5]);
    });
}

/// As in std and in recvfrom(2).
#[test]
fn what_does_not_fit_the_buffer_is_lost() {
    test::run(|| {
        let (near, far) = connected();
        near.send(b"grapeshot").unwrap();
        near.send(b"x").unwrap();
        let mut buf = [0; 5];
        assert_eq!((far.recv(&mut buf).unwrap(), &buf), (5, b"grape"));
        assert_eq!(far.recv(&mut buf).unwrap(), 1);
    });
}

/// SOK-6, connected.
#[test]
fn a_connected_socket_hears_its_peer_only() {
    test::run(|| {
        let (near, far) = connected();
        let (stranger, _) = bind();
        stranger.send_to(b"stranger", near.local_addr().unwrap()).unwrap();
        far.send(b"peer").unwrap();
        let mut buf = [0; 64];
        assert_eq!(near.recv_from(&mut buf).unwrap(), (4, far.local_addr().unwrap()));
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        let shown = format!("{near:?}");
        assert!(shown.contains("UdpSocket") && shown.contains(&far.local_addr().unwrap().to_string()), "{shown}");
    });
}

/// The system tells the sender of an earlier datagram.
#[test]
fn a_closed_port_is_an_error_of_the_connected_sender() {
    test::run(|| {
        let (near, far) = connected();
        drop(far);
        near.send(b"x").unwrap();
        let error = near.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        near.send(b"x").unwrap();
    });
}

#[test]
fn peeking_takes_nothing() {
    test::run(|| {
        let (near, far) = connected();
        near.send(b"twice").unwrap();
        let (mut buf, from) = ([0; 8], near.local_addr().unwrap());
        assert_eq!(far.peek(&mut buf).unwrap(), 5);
        assert_eq!(far.peek_from(&mut buf).unwrap(), (5, from));
        assert_eq!(far.recv_from(&mut buf).unwrap(), (5, from));
        assert_eq!(&buf[..5], b"twice");
    });
}

#[test]
fn receiving_has_a_limit_and_the_socket_works_on() {
    test::run(|| {
        let (near, far) = connected();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        for (error, text) in [
            (near.recv(&mut [0; 8]).unwrap_err(), "recv timed out"),
            (near.recv_from(&mut [0; 8]).unwrap_err(), "recv_from timed out"),
            (near.peek(&mut [0; 8]).unwrap_err(), "peek timed out"),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, text));
            assert!(is::<OperationTimedOut>(&error));
        }
        assert_eq!(now() - started, 15 * SECOND);
        far.send(b"late").unwrap();
        assert_eq!(near.recv(&mut [0; 8]).unwrap(), 4);
        assert_eq!(near.try_clone().unwrap().read_timeout().unwrap(), Some(5 * SECOND));
        assert_eq!(near.set_write_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// DESIGN §4: "interrupted, then woken" loses nothing here: the datagram stays in the socket.
#[test]
fn a_receiver_that_is_cut_off_leaves_the_datagram_to_the_next() {
    test::run(|| {
        let (near, far) = connected();
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
        with_timeout(SECOND, || far.recv(&mut [0; 8])).unwrap_err();
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_second_receiver_is_refused_and_closing_ends_the_first() {
    test::run(|| {
        let (near, _far) = connected();
        let near = Rc::new(near);
        let first = spawn({
            let near = near.clone();
            move || near.recv(&mut [0; 8])
        });
        sleep(SECOND);
        assert!(is::<SimultaneousError>(&near.recv_from(&mut [0; 8]).unwrap_err()));
        // Sending goes on all the same.
        near.send(b"x").unwrap();
        assert!(near.close());
        assert!(!near.close());
        assert!(is::<ClosedError>(&first.join().unwrap().unwrap_err()));
        assert!(is::<ClosedError>(&near.send(b"x").unwrap_err()));
        assert_eq!(stats().registrations, 0);
    });
}

#[test]
fn names_are_refused() {
    test::run(|| {
        let (near, _) = bind();
        for error in [
            UdpSocket::bind("localhost:0").unwrap_err(),
            near.connect("localhost:53").unwrap_err(),
            near.send_to(b"x", ("localhost", 53)).unwrap_err(),
        ] {
            assert!(is::<NotNumeric>(&error), "{error}");
        }
        let none: &[SocketAddr] = &[];
        assert_eq!(near.send_to(b"x", none).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_datagram_that_is_too_long_is_refused_by_the_system() {
    test::run(|| {
        let (near, _far) = connected();
        let error = near.send(&vec![0; 70_000]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MSGSIZE.raw_os_error()));
    });
}

#[test]
fn settings_are_those_of_the_socket() {
    test::run(|| {
        let (near, _) = bind();
        near.set_ttl(41).unwrap();
        near.set_broadcast(true).unwrap();
        near.set_multicast_ttl_v4(3).unwrap();
        near.set_multicast_loop_v4(false).unwrap();
        assert_eq!((near.ttl().unwrap(), near.broadcast().unwrap()), (41, true));
        assert_eq!((near.multicast_ttl_v4().unwrap(), near.multicast_loop_v4().unwrap()), (3, false));
        assert!(near.take_error().unwrap().is_none());
        let std = near.into_std();
        assert_eq!(std.ttl().unwrap(), 41);
        UdpSocket::from_std(std).unwrap();
    });
}

#[test]
fn members_of_a_group_hear_what_is_sent_to_it() {
    test::run(|| {
        let group = Ipv4Addr::new(239, 255, 71, 83);
        let member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        // A machine may have no interface for groups but the loopback, and that may not take part.
        if member.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_err() {
            return;
        }
        let (near, _) = bind();
        socket2::SockRef::from(&near).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        near.send_to(b"all", (group, member.local_addr().unwrap().port())).unwrap();
        let mut buf = [0; 8];
        assert_eq!(member.recv_from(&mut buf).unwrap(), (3, near.local_addr().unwrap()));
        member.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    });
}

#[test]
fn readiness_can_be_waited_for_without_receiving() {
    test::run(|| {
        let (near, far) = connected();
        far.source().wait_ready(Direction::Write, "writable", WaitLimit::Never).unwrap();
        let error = far.source().wait_ready(Direction::Read, "readable", WaitLimit::After(SECOND)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        near.send(b"x").unwrap();
        far.source().wait_ready(Direction::Read, "readable", WaitLimit::Never).unwrap();
        assert_eq!(far.recv(&mut [0; 8]).unwrap(), 1);
    });
}

/// DESIGN §2: a socket is `Send`, and registers under the runtime that uses it.
#[test]
fn a_socket_goes_to_a_runtime_on_another_thread() {
    let first = Runtime::new().signals(false).run(|| {
        let (near, far) = connected();
        // Registers here.
        far.set_read_timeout(Some(SECOND)).unwrap();
        far.recv(&mut [0; 8]).unwrap_err();
        far.set_read_timeout(None).unwrap();
        assert_eq!(stats().registrations, 1);
        (near, far)
    });
    let Exit::Returned((near, far)) = first.unwrap() else { panic!("the first runtime failed") };
    let (sender, received) = mpsc::channel();
    let other = thread::spawn(move || {
        test::run(move || {
            let receiver = spawn(move || far.recv(&mut [0; 8]).unwrap());
            sleep(SECOND);
            near.send(b"there").unwrap();
            sender.send(receiver.join().unwrap()).unwrap();
        });
    });
    assert_eq!(received.recv().unwrap(), 5);
    other.join().unwrap();
}

/// The same call outside a coroutine waits as std's does.
#[test]
fn a_plain_thread_may_use_a_socket() {
    let (near, far) = connected();
    let receiver = thread::spawn(move || far.recv(&mut [0; 8]).unwrap());
    near.send(b"plain").unwrap();
    assert_eq!(receiver.join().unwrap(), 5);
}

/// Under every schedule each datagram arrives once, however often its receiver was cut off.
#[test]
fn no_datagram_is_lost_to_cancelled_receivers_under_many_schedules() {
    for seed in 0..50 {
        Test::new().seed(seed).run(|| {
            let (near, far) = connected();
            let sender = spawn(move || {
                for number in 0..30_u8 {
                    near.send(&[number]).unwrap();
                    sleep(SECOND * (random_u64() % 3) as u32);
                }
            });
            let mut seen = Vec::new();
            while seen.len() < 30 {
                let mut buf = [0; 8];
                match with_timeout(SECOND * (random_u64() % 3) as u32, || far.recv(&mut buf)) {
                    Ok(len) => seen.extend_from_slice(&buf[..len.unwrap()]),
                    Err(_) => sleep(SECOND * (random_u64() % 2) as u32),
                }
            }
            assert_eq!(seen, (0..30).collect::<Vec<u8>>());
            sender.join().unwrap();
        });
    }
}
