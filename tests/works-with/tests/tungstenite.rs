//! tungstenite: WebSocket client and server over our sockets.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::memory::{Builder, Faults};
use grapeshot_net::{BufStream, SocketAddr, TcpListener, TcpStream, WriteMode};
use tungstenite::{Error, Message, WebSocket};

/// Answers every text and binary message with itself, after a while.
fn echo<S: std::io::Read + std::io::Write>(mut socket: WebSocket<S>) {
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                sleep(Duration::from_millis(10));
                socket.send(message).unwrap();
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn start_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            spawn(move || echo(tungstenite::accept(stream).unwrap()));
        }
    });
    address
}

/// Talks, and says goodbye properly.
fn talk<S: std::io::Read + std::io::Write>(mut socket: WebSocket<S>, number: usize) {
    for round in 0..5 {
        let text = Message::text(format!("client {number}, round {round}"));
        let bytes = Message::binary(vec![number as u8; 10_000 * round]);
        for message in [text, bytes] {
            socket.send(message.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), message);
        }
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

/// DESIGN §6.
#[test]
fn fifty_clients_talk_to_one_thread() {
    test::run(|| {
        let address = start_server();
        let clients: Vec<_> = (0..50)
            .map(|number| {
                spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    let (socket, response) = tungstenite::client("ws://localhost/socket", stream).unwrap();
                    assert_eq!(response.status(), 101);
                    talk(socket, number);
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// Through the buffered stream and over a bad line as well.
#[test]
fn frames_are_whole_however_the_stream_cuts_them() {
    test::run(|| {
        let cut = || Faults::new().short_reads(900).short_writes(1100).delays(Duration::ZERO..Duration::from_millis(3));
        let (near, far) = Builder::new().to_far(cut()).to_near(cut()).pair();
        let server = spawn(move || echo(tungstenite::accept(far).unwrap()));
        let near = BufStream::with_mode(near, WriteMode::UntilFlush { limit: 1 << 20 });
        let (socket, _) = tungstenite::client("ws://localhost/", near).unwrap();
        talk(socket, 1);
        server.join().unwrap();
    });
}
