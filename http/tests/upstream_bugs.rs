//! The bug list of the ancestor's server (REQUIREMENTS 2.2), one test each: none of them is here.
//!
//! What bytes alone can show stands in `proto/tests/upstream_bugs.rs` as well; here a client sees it.

mod support;

use std::net::Shutdown;

use grapeshot_core::{now, sleep, test};
use grapeshot_http::{Request, Response, StatusCode};

use support::{SECOND, Site, get, post, show};

/// "Empty chunked body emits two terminators (`0\r\n\r\n0\r\n\r\n`, reproduced)."
#[test]
fn an_empty_chunked_body_has_one_terminator() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/reader" => Ok(Response::reader(&b""[..], None)),
            _ => request.stream(Response::new(StatusCode::OK)).and_then(|(_, writer)| writer.finish()),
        });
        for path in ["/reader", "/stream"] {
            let mut client = site.connect();
            client.send(get(path));
            client.stream.shutdown(Shutdown::Write).unwrap();
            let answer = client.rest();
            assert!(answer.contains("\r\ntransfer-encoding: chunked\r\n"));
            assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, "0\r\n\r\n");
        }
    });
}

/// "304/204 carry an HTML body."
#[test]
fn a_304_and_a_204_have_no_body() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            Response::html("<p>nothing").status(request.path()[1..].parse().unwrap())
        });
        let mut client = site.connect();
        client.send(get("/304") + &get("/204") + &get("/200"));
        for status in [304, 204] {
            let reply = client.reply_to_head();
            assert_eq!(reply.status, status);
            assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), (None, None));
        }
        assert_eq!(client.reply().text(), "<p>nothing");
    });
}

/// "HEAD gets a body."
#[test]
fn an_answer_to_head_has_no_body() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/missing" => Err(StatusCode::NOT_FOUND),
            _ => Ok("found"),
        });
        let mut client = site.connect();
        for (path, status) in [("/", 200), ("/missing", 404)] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
            assert_eq!(client.reply_to_head().status, status);
            assert_eq!(client.ask(get(path)).status, status);
        }
    });
}

/// "An unread request body hangs the connection."
#[test]
fn an_unread_body_does_not_hang_the_connection() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| "not read");
        let mut client = site.connect();
        let began = now();
        assert_eq!(client.ask(post("/", "body")).text(), "not read");
        assert_eq!(client.ask(get("/")).text(), "not read");
        assert!(now() - began < SECOND);
    });
}

/// "No size limits on head, headers or body"; every one of them is in `limits.rs`.
#[test]
fn sizes_are_limited() {
    test::run(|| {
        let site = Site::new(show);
        let requests = [
            (format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
            (format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "X: y\r\n".repeat(200)), 431),
            (get(&format!("/{}", "x".repeat(10_000))), 414),
            (post("/", &"x".repeat(3_000_000)), 413),
        ];
        for (request, status) in requests {
            let mut client = site.connect();
            client.send_what_goes(request);
            assert_eq!(client.reply().status, status);
        }
    });
}

/// "Chunk extensions/trailers break."
#[test]
fn chunk_extensions_and_trailers_do_not_break() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let request = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5;name=\"value\"\r\nhello\r\n0;last\r\nDigest: x\r\nServer-Timing: y\r\n\r\n";
        assert_eq!(client.ask(request).text(), "POST / [hello]");
        assert_eq!(client.ask(get("/")).text(), "GET / []");
    });
}

/// "No 100-continue."
#[test]
fn a_client_that_waits_for_continue_is_answered() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let head = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(client.ask(head).status, 100);
        assert_eq!(client.ask("body").text(), "POST / [body]");
    });
}

/// "No 408."
#[test]
fn a_slow_request_is_408() {
    test::run(|| {
        let site = Site::new(show);
        for start in ["GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo"] {
            assert_eq!(site.connect().ask(start).status, 408);
        }
    });
}

/// "TLS handshake runs inside `accept()` so one slow client stalls all accepts": nothing a client does here can.
#[test]
fn a_client_that_says_nothing_stalls_no_accept() {
    test::run(|| {
        let site = Site::new(show);
        let mut silent: Vec<_> = (0..20).map(|_| site.connect()).collect();
        // The start of a handshake, of which no more will come.
        silent.iter_mut().for_each(|client| client.send([0x16]));
        let began = now();
        assert_eq!(site.connect().ask(get("/")).status, 200);
        assert!(now() - began < SECOND);
        sleep(SECOND);
    });
}

/// "No request-smuggling defence (TE+CL)"; the table of vectors is in `framing.rs`.
#[test]
fn both_lengths_are_refused() {
    test::run(|| {
        let site = Site::new(show);
        let answer = site.exchange(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()
                + &get("/hidden"),
        );
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(!answer.contains("/hidden"));
    });
}
