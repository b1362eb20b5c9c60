//! `http_echo` and raw bytes, by socat and netcat.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod served;

use std::path::PathBuf;

use grapeshot_harness::{Program, require, require_from};

use served::{PATIENCE, Served};

/// socat between its stdin and the server; it waits for an answer after the end of its input.
fn socat(path: PathBuf, served: &Served) -> Program {
    Program::new(path).args(["-t", "60", "-", &format!("TCP:{}", served.address)])
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let Some(path) = require("socat") else { return };
    let served = Served::start();
    let request = "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello";
    let output = socat(path, &served).input(request).output(PATIENCE).unwrap();
    assert_eq!(body_of(&output.assert_success().stdout.text()), "hello");
    served.interrupt();
}

#[test]
fn netcat_gets_its_answer() {
    let Some(path) = require_from("nc", "netcat-openbsd") else { return };
    let served = Served::start();
    let (host, port) = (served.address.ip().to_string(), served.address.port().to_string());
    let request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(3);
    let output = Program::new(path).args(["-N", &host, &port]).input(request).output(PATIENCE).unwrap();
    assert_eq!(output.assert_success().stdout.text().matches("HTTP/1.1 200 OK\r\n").count(), 3);
    served.interrupt();
}

#[test]
fn a_request_typed_letter_by_letter_is_answered() {
    let Some(path) = require("socat") else { return };
    let served = Served::start();
    let mut typing = socat(path, &served).open_input().start().unwrap();
    let request = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for byte in request.bytes() {
        typing.send(&[byte]).unwrap();
    }
    typing.wait_line("HTTP/1.1 200 OK", PATIENCE).unwrap();
    typing.wait_line("hello", PATIENCE).unwrap();
    typing.end_input();
    assert!(typing.wait_exit(PATIENCE).unwrap().success());
    served.interrupt();
}

/// HTTP-1: the peer is told what, where and why; and a bad peer does not fill the server's stderr.
#[test]
fn bytes_that_are_no_request_are_refused_with_the_reason() {
    let Some(path) = require("socat") else { return };
    let served = Served::start();
    let table = [
        ("\u{16}\u{3}\u{1}\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "request head, byte 0"),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "must have a Host header"),
        ("GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n", "only HTTP/1.0 and HTTP/1.1"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!",
            "HTTP/1.1 400 Bad Request\r\n",
            "no CR LF where a chunk's line or data ends",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
            "HTTP/1.1 400 Bad Request\r\n",
            "the stream ended within the request body, after 5 bytes",
        ),
    ];
    for (request, status, reason) in table {
        let output = socat(path.clone(), &served).input(request).output(PATIENCE).unwrap();
        let answer = output.assert_success().stdout.text().into_owned();
        assert!(answer.starts_with(status) && answer.contains(reason), "{request:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    // That the server has said nothing is part of its good end.
    served.interrupt();
}

/// A client that goes in the middle of a stream is none of the operator's business either.
#[test]
fn a_client_that_goes_in_the_middle_is_not_reported() {
    let Some(path) = require("socat") else { return };
    let served = Served::start();
    let mut client = socat(path.clone(), &served).open_input().start().unwrap();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n").unwrap();
    client.wait_line("100 Continue", PATIENCE).unwrap();
    client.kill();
    let output = socat(path, &served).input("GET / HTTP/1.0\r\n\r\n").output(PATIENCE).unwrap();
    assert!(output.assert_success().stdout.text().starts_with("HTTP/1.1 200 OK\r\n"));
    served.interrupt();
}
