//! `http_echo` as whoever operates it sees it: how it ends on a signal, and what it does without descriptors.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod served;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use grapeshot_harness::{End, Signal};

use served::{PATIENCE, Served, ask, pattern, read_until};

/// SIGINT drains: the upload goes on to its end, nobody new is let in, and the status is 0.
#[test]
fn an_interrupt_lets_an_upload_finish() {
    let mut served = Served::start();
    let mut stream = served.connect();
    let head = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // The handler runs.
    assert_eq!(read_until(&stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    let body = pattern(100_000);
    stream.write_all(&body[..10_000]).unwrap();
    served.running.signal(Signal::INT).unwrap();
    while TcpStream::connect(served.address).is_ok() {}
    stream.write_all(&body[10_000..]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "the response is whole");
    assert!(answer.len() > body.len());
    served.assert_ends_well();
}

/// The second SIGINT does not wait for anybody.
#[test]
fn a_second_interrupt_ends_the_server_at_once() {
    let mut served = Served::start();
    let mut stream = served.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n").unwrap();
    read_until(&stream, "\r\n\r\n");
    served.running.signal(Signal::INT).unwrap();
    while TcpStream::connect(served.address).is_ok() {}
    served.running.signal(Signal::INT).unwrap();
    // Well before the ten seconds that the request could have.
    let status = served.running.wait_exit(Duration::from_secs(9)).unwrap();
    assert!(!status.success());
    drop(stream);
}

/// At descriptor exhaustion the server says so, keeps serving the connections it has, and recovers.
#[test]
fn a_server_without_descriptors_serves_those_it_has_and_recovers() {
    let served = Served::with_descriptors(40);
    let mut clients: Vec<_> = (0..60).map(|_| served.connect()).collect();
    let line = served.running.wait_line("accept on", PATIENCE).unwrap();
    assert!(line.contains("Too many open files"), "{line}");
    assert!(line.contains("connections wait, and are tried again every 250ms"), "{line}");
    for _ in 0..3 {
        assert!(ask(&clients[0]).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    // Those at the end of the queue come in when those before them go.
    clients.drain(..40);
    for client in &clients {
        assert!(ask(client).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    // It has said so once, and not for every attempt.
    assert_eq!(served.running.stderr().text().matches("accept on").count(), 1);
}

/// What is stopped by the harness is stopped by SIGTERM, which drains as well.
#[test]
fn a_term_signal_ends_the_server_with_0() {
    let mut served = Served::start();
    let idle = served.connect();
    ask(&idle);
    let end = served.running.stop(PATIENCE).unwrap();
    assert!(matches!(end, End::Exited(status) if status.success()), "{end}");
}
