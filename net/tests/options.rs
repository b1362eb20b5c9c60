//! Socket options, and the ways to listen.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::{
    Ipv4Addr, Ipv6Addr, Keepalive, ListenOptions, SocketOptions, TcpListener, TcpStream, UdpSocket, UnixDatagram,
    UnixStream,
};
use socket2::SockRef;

use self::support::*;

/// SOK-12, SOK-14: the options have names and types.
#[test]
fn buffers_are_sized_on_every_socket() {
    fn check(socket: &impl SocketOptions) {
        socket.set_recv_buffer_size(40_000).unwrap();
        socket.set_send_buffer_size(50_000).unwrap();
        // Linux doubles what it is told.
        assert!(socket.recv_buffer_size().unwrap() >= 40_000);
        assert!(socket.send_buffer_size().unwrap() >= 50_000);
    }
    test::run(|| {
        let (near, _far) = pair();
        check(&near);
        check(&listen().0);
        check(&UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        check(&UnixStream::pair().unwrap().0);
        check(&UnixDatagram::pair().unwrap().0);
    });
}

/// SOK-8, SOK-14.
#[test]
fn a_listener_reuses_its_address_and_says_that_it_listens() {
    test::run(|| {
        let (listener, address) = listen();
        assert!(listener.reuse_address().unwrap() && listener.is_listener().unwrap());
        assert!(!listener.reuse_port().unwrap());
        let near = TcpStream::connect(address).unwrap();
        assert!(!near.is_listener().unwrap());
    });
}

/// SOK-12: whatever has no name here is to be had through socket2.
#[test]
fn socket2_takes_our_sockets_as_they_are() {
    test::run(|| {
        let (near, _far) = pair();
        SockRef::from(&near).set_tcp_cork(true).unwrap();
        assert!(SockRef::from(&near).tcp_cork().unwrap());
        let (listener, _) = listen();
        assert!(SockRef::from(&listener).is_listener().unwrap());
    });
}

#[test]
fn keepalive_is_off_until_it_is_set_and_rounds_up() {
    test::run(|| {
        let (near, _far) = pair();
        assert_eq!(near.keepalive().unwrap(), None);
        near.set_keepalive(Some(Keepalive::default())).unwrap();
        assert_eq!(near.keepalive().unwrap(), Some(Keepalive::default()));
        let odd = Keepalive { idle: Duration::from_millis(1500), interval: Duration::from_nanos(1), retries: 3 };
        near.set_keepalive(Some(odd)).unwrap();
        let rounded = Keepalive { idle: 2 * SECOND, interval: SECOND, retries: 3 };
        assert_eq!(near.keepalive().unwrap(), Some(rounded));
        assert_eq!(rounded.gives_up_after(), 5 * SECOND);
        near.set_keepalive(None).unwrap();
        assert_eq!(near.keepalive().unwrap(), None);
        let zero = Keepalive { idle: Duration::ZERO, ..Keepalive::default() };
        assert_eq!(near.set_keepalive(Some(zero)).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_linger_of_zero_resets_the_connection() {
    test::run(|| {
        let (near, mut far) = pair();
        assert_eq!(near.linger().unwrap(), None);
        near.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(near.linger().unwrap(), Some(Duration::ZERO));
        drop(near);
        assert_eq!(far.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn the_timeout_for_acknowledgements_and_their_haste_are_settings() {
    test::run(|| {
        let (near, _far) = pair();
        near.set_user_timeout(Some(90 * SECOND)).unwrap();
        assert_eq!(near.user_timeout().unwrap(), Some(90 * SECOND));
        near.set_quickack(false).unwrap();
        assert!(!near.quickack().unwrap());
        near.set_quickack(true).unwrap();
        assert!(near.quickack().unwrap());
    });
}

/// DESIGN §2: more cores are one runtime a thread, with listeners that share a port.
#[test]
fn listeners_share_a_port_only_if_all_of_them_say_so() {
    test::run(|| {
        let first = TcpListener::bind_shared((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = first.local_addr().unwrap();
        assert!(first.reuse_port().unwrap());
        assert_eq!(TcpListener::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        let second = TcpListener::bind_shared(address).unwrap();
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut accepted = [0, 0];
        for (listener, count) in [&first, &second].into_iter().zip(&mut accepted) {
            listener.set_accept_timeout(Some(SECOND)).unwrap();
            while let Ok(connections) = listener.accept_many(1000) {
                *count += connections.len();
            }
        }
        assert_eq!(accepted[0] + accepted[1], clients.len());
        assert!(accepted[0] > 0 && accepted[1] > 0, "{accepted:?}");
    });
}

#[test]
fn one_socket_listens_to_both_families() {
    test::run(|| {
        let listener = TcpListener::bind_dual_stack(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = spawn(move || listener.accept().unwrap().1);
        let near = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let seen = server.join().unwrap();
        // On a machine without IPv6 it is an IPv4 listener.
        assert_eq!(seen.ip().to_canonical(), near.local_addr().unwrap().ip());
    });
}

#[test]
fn an_ipv6_listener_can_be_kept_to_ipv6() {
    test::run(|| {
        // A machine may have no IPv6.
        let Ok(listener) = ListenOptions::new().only_v6(true).bind((Ipv6Addr::UNSPECIFIED, 0)) else { return };
        let port = listener.local_addr().unwrap().port();
        assert!(SockRef::from(&listener).only_v6().unwrap());
        assert_eq!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    });
}

/// SOK-9: the backlog is the caller's.
#[test]
fn a_listener_holds_back_as_many_connections_as_it_was_told() {
    test::run(|| {
        let listener = ListenOptions::new().backlog(1).bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, SECOND) {
            waiting.push(stream);
        }
        assert!(waiting.len() <= 3, "{}", waiting.len());
        sleep(SECOND);
        let (accepted, _) = listener.accept().unwrap();
        (&accepted).write_all(b"x").unwrap();
    });
}
