//! Accepting TLS connections, and TLS and plain text on one port.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use common::{NAME, client, client_config, server_config};
use grapeshot_core::{WaitLimit, scope, spawn, stats, test};
use grapeshot_net::{TcpListener, TcpStream};
use grapeshot_tls::{Limits, Protocol, Sniffed, TlsAcceptor, TlsError, TlsListener};

fn listen() -> (TlsListener, SocketAddr) {
    let listener = TlsListener::bind("127.0.0.1:0", server_config()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn an_acceptor_waits_for_no_client() {
    test::run(|| {
        let (listener, address) = listen();
        let silent = TcpStream::connect(address).unwrap();
        let other = client(TcpStream::connect(address).unwrap());
        let asking = spawn(move || (&other).write_all(b"hello").unwrap());
        let (first, _) = listener.accept().unwrap();
        let (second, _) = listener.accept().unwrap();
        let mut received = String::new();
        (&second).read_to_string(&mut received).unwrap();
        assert_eq!(received, "hello");
        assert!(!first.is_established());
        asking.join().unwrap();
        drop(silent);
    });
}

#[test]
fn a_thousand_handshakes_go_on_beside_clients_that_stall() {
    const STALLED: usize = 200;
    const SERVED: usize = 1000;
    test::Test::new().real_time().run(|| {
        // Longer than a slow machine needs for all of them: those that stall are not to be given up before the end.
        let limits = Limits { handshake: Duration::from_secs(600), ..Limits::default() };
        let listener = Rc::new(TlsListener::bind("127.0.0.1:0", server_config().with_limits(limits)).unwrap());
        let address = listener.local_addr().unwrap();
        let server = spawn({
            let listener = listener.clone();
            move || {
                let mut connections = Vec::new();
                while let Ok((stream, _)) = listener.accept() {
                    connections.push(spawn(move || {
                        let mut byte = [0];
                        if (&stream).read_exact(&mut byte).is_ok() {
                            (&stream).write_all(&byte).unwrap();
                        }
                    }));
                }
                connections.into_iter().for_each(|connection| connection.join().unwrap());
            }
        });
        let stalled: Vec<_> = (0..STALLED)
            .map(|number| {
                let mut stream = TcpStream::connect(address).unwrap();
                // Some have said a part of a hello.
                stream.write_all(&[22, 3, 1, 2, 0][..number % 6]).unwrap();
                stream
            })
            .collect();
        let clients = 8;
        scope(|scope| {
            for _ in 0..clients {
                scope.spawn(move || {
                    for _ in 0..SERVED / clients {
                        let stream = client(TcpStream::connect(address).unwrap());
                        (&stream).write_all(b"x").unwrap();
                        (&stream).read_exact(&mut [0; 1]).unwrap();
                    }
                });
            }
        });
        assert!(stats().coroutines >= STALLED, "those that stall are still waited for");
        drop(stalled);
        listener.close();
        server.join().unwrap();
    });
}

#[test]
fn an_error_names_the_address_of_the_client() {
    test::run(|| {
        let (listener, address) = listen();
        let mut near = TcpStream::connect(address).unwrap();
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let error = listener.accept().unwrap().0.handshake().unwrap_err();
        let client = near.local_addr().unwrap();
        assert_eq!(error.to_string(), format!("client {client} does not speak TLS: it speaks plain HTTP"));
    });
}

#[test]
fn closing_a_listener_ends_its_accept() {
    test::run(|| {
        let (listener, _) = listen();
        let listener = Rc::new(listener);
        let accepting = spawn({
            let listener = listener.clone();
            move || listener.accept().map(drop)
        });
        grapeshot_core::yield_now();
        assert!(listener.close());
        assert!(accepting.join().unwrap().is_err());
    });
}

/// What the sniffer makes of a client that begins with these bytes, and what the client hears of it.
fn sniffed(first: &'static [u8], acceptor: TlsAcceptor) -> (std::io::Result<Sniffed>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.write_all(first).unwrap();
    (acceptor.sniff(listener.accept().unwrap().0), near)
}

#[test]
fn tls_and_plain_text_share_a_port() {
    test::run(|| {
        let acceptor = TlsAcceptor::new(server_config());
        let (plain, _near) = sniffed(b"GET / HTTP/1.1\r\n", acceptor.clone());
        let Ok(Sniffed::Plain(mut plain)) = plain else { panic!("{plain:?}") };
        let mut request = [0; 5];
        plain.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"GET /", "nothing was taken off the stream");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = client(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let asking = spawn(move || (&near).write_all(b"hello").unwrap());
        let Ok(Sniffed::Tls(stream)) = acceptor.sniff(listener.accept().unwrap().0) else { panic!("not TLS") };
        let mut received = String::new();
        (&stream).read_to_string(&mut received).unwrap();
        assert_eq!((received.as_str(), stream.server_name().as_deref()), ("hello", Some(NAME)));
        asking.join().unwrap();
    });
}

#[test]
fn rfc6176_a_hello_of_ssl_2_is_refused_with_an_alert() {
    test::run(|| {
        let (refused, mut near) = sniffed(&[0x80, 0x2e, 1, 0, 2], TlsAcceptor::new(server_config()));
        let error = refused.unwrap_err();
        let Some(TlsError::NotTls { protocol: Protocol::Ssl2, .. }) = TlsError::of(&error) else { panic!("{error}") };
        let mut told = [0; 7];
        near.read_exact(&mut told).unwrap();
        assert_eq!(told, [21, 3, 0, 0, 2, 2, 70]);
    });
}

#[test]
fn a_client_that_says_nothing_is_given_up() {
    test::run(|| {
        let limits = Limits { handshake: Duration::from_secs(7), ..Limits::default() };
        let began = grapeshot_core::now();
        let (error, _near) = sniffed(b"", TlsAcceptor::new(server_config().with_limits(limits)));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeTimedOut { .. })), "{error}");
        assert_eq!(grapeshot_core::now() - began, Duration::from_secs(7));
    });
}

#[test]
fn a_client_that_leaves_without_a_word_counts_as_plain() {
    test::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let stream = listener.accept().unwrap().0;
        let Ok(Sniffed::Plain(mut stream)) = TlsAcceptor::new(server_config()).sniff(stream) else { panic!("TLS") };
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    });
}

#[test]
fn a_connection_may_be_waited_for_by_its_stream_alone() {
    test::run(|| {
        let (listener, address) = listen();
        let peer = spawn(move || {
            let stream = grapeshot_tls::TlsStream::client(TcpStream::connect(address).unwrap(), &client_config(), NAME);
            let stream = stream.unwrap();
            stream.handshake().unwrap();
            grapeshot_core::sleep(Duration::from_secs(60));
            (&stream).write_all(b"x").unwrap();
            stream
        });
        let (stream, _) = listener.accept().unwrap();
        stream.handshake().unwrap();
        assert!(!stream.has_buffered());
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let source = stream.inner().source();
        source.wait_ready(grapeshot_core::Direction::Read, "the next request", WaitLimit::Never).unwrap();
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 1);
        drop(peer.join().unwrap());
    });
}
