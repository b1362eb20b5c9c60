//! One log entry for each response (HTTP-10).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, Write};

use grapeshot_core::test::{self, Test};
use grapeshot_core::{sleep, spawn};
use grapeshot_http::{IntoResponse, LogEntry, Request, Response, Server, StatusCode};

use support::{Notes, SECOND, Site, get, post, show};

/// A site that notes `format` of every entry.
fn logging<R: IntoResponse>(
    format: impl Fn(&LogEntry<'_>) -> String + 'static,
    handler: impl Fn(&mut Request<'_>) -> R + 'static,
) -> (Site, Notes) {
    let notes = Notes::default();
    let seen = notes.clone();
    let server = Server::bind("127.0.0.1:0").unwrap().log(move |entry| seen.add(format(entry)));
    (Site::of(server, handler), notes)
}

fn short(entry: &LogEntry<'_>) -> String {
    let request = entry.request.map_or("none".to_owned(), |line| format!("{} {}", line.method, line.target));
    format!("{request} {} {} {:?}", entry.status.as_u16(), entry.body_bytes, entry.problem)
}

/// HTTP-10: protocol, peer, request line, code, bytes sent, seconds to four decimals.
#[test]
fn an_entry_prints_as_a_line() {
    test::run(|| {
        let (site, log) = logging(|entry| entry.to_string(), show);
        let mut client = site.connect();
        let own = client.stream.local_addr().unwrap();
        client.ask(get("/a?b"));
        client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        client.ask("nonsense\r\n\r\n");
        let lines = log.take();
        let (first, seconds) = lines[0].rsplit_once(' ').unwrap();
        assert_eq!(first, format!("{own} \"GET /a?b HTTP/1.1\" 200 9"));
        assert_eq!(seconds.split_once('.').unwrap().1.len(), 4, "{seconds}");
        assert!(lines[1].starts_with(&format!("{own} \"GET / HTTP/1.0\" 200 8 ")), "{}", lines[1]);
        assert!(lines[2].starts_with(&format!("{own} - 400 ")), "{}", lines[2]);
        assert!(lines[2].contains(" (request head, byte 8: "), "{}", lines[2]);
    });
}

#[test]
fn every_response_has_its_entry() {
    test::run(|| {
        let (site, log) = logging(short, |request: &mut Request<'_>| match request.path() {
            "/bytes" => Ok(Response::bytes(vec![0; 100_000])),
            "/reader" => Ok(Response::reader(&b"reader"[..], None)),
            "/stream" => {
                let (_, mut writer) = request.stream(Response::new(StatusCode::CREATED))?;
                writer.write_all(b"stream")?;
                writer.finish()
            }
            "/none" => Ok(Response::new(StatusCode::NO_CONTENT)),
            _ => show(request),
        });
        let mut client = site.connect();
        for path in ["/bytes", "/reader", "/stream", "/none"] {
            client.ask(get(path));
        }
        client.ask(post("/", "body"));
        for path in ["/bytes", "/reader", "/stream"] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.reply_to_head();
        }
        let expected = [
            "GET /bytes 200 100000 None",
            "GET /reader 200 6 None",
            "GET /stream 201 6 None",
            "GET /none 204 0 None",
            "POST / 200 13 None",
            // Bytes that were not sent are not counted.
            "HEAD /bytes 200 0 None",
            "HEAD /reader 200 0 None",
            "HEAD /stream 201 0 None",
        ];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn a_refusal_has_its_entry_with_the_reason() {
    test::run(|| {
        let (site, log) = logging(short, show);
        site.exchange("GET / HTTP/1.1\r\n\r\n");
        site.exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx");
        let mut slow = site.connect();
        slow.send("GET");
        slow.rest();
        let body = |text: &str| format!("{text}\n").len();
        let missing = "an HTTP/1.1 request must have a Host header (RFC 9112 section 3.2)";
        let chunk = "body, byte 0: not a chunk size (RFC 9112 section 7.1)";
        let late = "request head: not complete within 10s";
        let expected = [
            format!("none 400 {} Some({missing:?})", body(&format!("400 Bad Request: {missing}"))),
            format!("POST / 400 {} Some({chunk:?})", body(&format!("400 Bad Request: {chunk}"))),
            format!("none 408 {} Some({late:?})", body(&format!("408 Request Timeout: {late}"))),
        ];
        assert_eq!(log.take(), expected);
    });
}

/// The bytes are those that were handed to the connection, and the reason says why there are no more.
#[test]
fn a_response_that_breaks_off_has_its_entry() {
    test::run(|| {
        let (site, log) = logging(short, |request: &mut Request<'_>| match request.path() {
            "/short" => Ok(Response::reader(&b"four"[..], Some(5))),
            _ => {
                let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
                writer.write_all(b"begun")?;
                writer.flush()?;
                Err(io::Error::other("ouch"))
            }
        });
        site.exchange(get("/short"));
        site.exchange(get("/stream"));
        let expected = [
            "GET /short 500 55 Some(\"response body: it ended after 4 of 5 bytes\")",
            "GET /stream 200 5 Some(\"ouch\")",
        ];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn a_panic_has_its_entry() {
    Test::new().allow_crashes().run(|| {
        let (site, log) = logging(short, |_: &mut Request<'_>| -> Response { panic!("ouch") });
        site.exchange(get("/"));
        let text = "500 Internal Server Error: the server failed to answer\n";
        assert_eq!(log.take(), [format!("GET / 500 {} Some(\"the handler panicked\")", text.len())]);
    });
}

/// A handler's own words stay on their line.
#[test]
fn a_failure_of_the_handler_is_in_its_entry() {
    test::run(|| {
        let (site, log) = logging(
            |entry| entry.to_string(),
            |_: &mut Request<'_>| -> io::Result<Response> { Err(io::Error::other("the disk\nis on fire")) },
        );
        assert_eq!(site.connect().ask(get("/")).status, 500);
        let line = log.take().concat();
        assert!(line.ends_with(" (the disk\\nis on fire)"), "{line}");
    });
}

/// Entries are made in the order of the responses, and only when they are over.
#[test]
fn entries_come_in_the_order_of_the_responses() {
    test::run(|| {
        let (site, log) = logging(short, |request: &mut Request<'_>| {
            sleep(request.path()[1..].parse().unwrap_or(0) * SECOND);
        });
        let mut slow = site.connect();
        let waiting = spawn(move || slow.ask(get("/5")).status);
        let mut quick = site.connect();
        quick.send(get("/0") + &get("/1"));
        waiting.join().unwrap();
        assert_eq!(log.take(), ["GET /0 204 0 None", "GET /1 204 0 None", "GET /5 204 0 None"]);
    });
}
