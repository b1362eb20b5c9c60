//! Request bodies: both framings, 100-continue, and what is left unread (REQUIREMENTS 2.2, HTTP-6).

mod support;

use std::io::{self, BufRead, BufReader, Read, Write};

use grapeshot_core::{sleep, spawn, test};
use grapeshot_http::{Request, Response, StatusCode};

use support::{Notes, SECOND, Site, echo, get, post, post_chunks, show};

/// HTTP-6.
#[test]
fn a_body_of_known_length_is_read() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask(post("/", "")).text(), "POST / []");
        assert_eq!(client.ask(post("/", "body")).text(), "POST / [body]");
        assert_eq!(client.ask(get("/")).text(), "GET / []");
        let long = "long ".repeat(100_000);
        assert_eq!(client.ask(post("/", &long)).text(), format!("POST / [{long}]"));
    });
}

/// HTTP-6, and "chunk extensions/trailers break" of the bug list.
#[test]
fn a_chunked_body_is_read() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        assert_eq!(client.ask(post_chunks("/", &[])).text(), "POST / []");
        assert_eq!(client.ask(post_chunks("/", &["bo", "d", "y"])).text(), "POST / [body]");
        let long = "long ".repeat(50_000);
        assert_eq!(client.ask(post_chunks("/", &[&long, &long])).text(), format!("POST / [{long}{long}]"));
        let odd = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   0004 ;name=\"value\"\r\nbody\r\n00;last\r\nDigest: x\r\n\r\n";
        assert_eq!(client.ask(odd).text(), "POST / [body]");
        assert_eq!(client.ask(get("/")).text(), "GET / []");
    });
}

/// HTTP-6: a chunked body that arrives byte by byte, its trailers across the head's buffer and the next.
#[test]
fn a_chunked_body_may_arrive_in_any_two_pieces() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4;x=y\r\nbody\r\n3\r\n...\r\n0\r\nDigest: x\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    for at in 1..request.len() {
        test::run(move || {
            let site = Site::new(show);
            let mut client = site.connect();
            client.send(&request[..at]);
            sleep(SECOND);
            client.send(&request[at..]);
            assert_eq!(client.reply().text(), "POST / [body...]", "split at {at}");
            assert_eq!(client.reply().text(), "GET /next []", "split at {at}");
        });
    }
}

/// HTTP-6: `read`, `readline`.
#[test]
fn a_body_is_read_as_any_reader_is() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| -> io::Result<String> {
            assert_eq!(request.body().remaining(), Some(14));
            let mut lines = BufReader::with_capacity(4, request.body());
            let mut first = String::new();
            lines.read_line(&mut first)?;
            let rest: Vec<_> = lines.lines().map(Result::unwrap).collect();
            assert!(request.body().is_finished());
            assert_eq!(request.body().read(&mut [0; 10])?, 0);
            Ok(format!("{first:?} {rest:?}"))
        });
        assert_eq!(site.connect().ask(post("/", "one\ntwo\nthree\n")).text(), "\"one\\n\" [\"two\", \"three\"]");
    });
}

#[test]
fn a_handler_may_read_in_small_pieces_and_wait_between() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| -> io::Result<String> {
            let mut text = String::new();
            let mut byte = [0];
            while request.body().read(&mut byte)? == 1 {
                text.push(char::from(byte[0]));
                sleep(SECOND);
            }
            Ok(text)
        });
        let mut client = site.connect();
        assert_eq!(client.ask(post("/", "body")).text(), "body");
        assert_eq!(client.ask(post_chunks("/", &["bo", "dy"])).text(), "body");
    });
}

#[test]
fn a_body_that_is_not_utf_8_is_no_text() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            request.body().read_text().map_err(|error| {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                StatusCode::UNPROCESSABLE_ENTITY
            })
        });
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n");
        client.send([0xff, 0xfe]);
        // It is the handler's business, so the connection goes on.
        let reply = client.reply();
        assert_eq!((reply.status, reply.closes()), (422, false));
        assert_eq!(client.ask(post("/", "text")).text(), "text");
    });
}

#[test]
fn a_body_is_echoed_while_it_comes_in() {
    test::run(|| {
        let site = Site::with(|limits| limits.body_bytes = 8 << 20, echo);
        let mut client = site.connect();
        let body: String = (0..1 << 20).map(|n: u32| char::from(b'a' + (n % 23) as u8)).collect();
        let (request, chunked) = (post("/", &body), post_chunks("/", &[&body, &body[7..]]));
        let reading = client.stream.try_clone().unwrap();
        let writer = spawn(move || {
            (&reading).write_all(request.as_bytes()).unwrap();
            (&reading).write_all(chunked.as_bytes()).unwrap();
        });
        assert!(client.reply().text() == body);
        assert!(client.reply().text() == body.clone() + &body[7..]);
        writer.join().unwrap();
    });
}

#[test]
fn what_is_echoed_can_be_flushed_as_it_comes() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (body, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            let mut block = [0; 100];
            loop {
                let len = body.read(&mut block)?;
                if len == 0 {
                    return writer.finish();
                }
                writer.write_all(&block[..len])?;
                writer.flush()?;
            }
        });
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for word in ["one", "two", "three"] {
            client.send(format!("{:x}\r\n{word}\r\n", word.len()));
            if word == "one" {
                assert_eq!(client.reply_to_head().status, 200);
            }
            assert_eq!(client.chunk(), word.as_bytes());
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.chunk(), b"");
        assert_eq!(client.ask(post("/", "next")).text(), "next");
    });
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

/// RFC 9110 section 10.1.1: 100 goes out when the handler reads, and the final response after it.
#[test]
fn a_client_that_waits_is_asked_for_its_body_when_the_handler_reads_it() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            sleep(SECOND);
            seen.add("reads");
            show(request)
        });
        let mut client = site.connect();
        for _ in 0..2 {
            let interim = client.ask(EXPECTING);
            assert_eq!((interim.status, interim.head.as_str()), (100, "HTTP/1.1 100 Continue\r\n\r\n"));
            assert_eq!(notes.take(), ["reads"]);
            assert_eq!(client.ask("body").text(), "POST / [body]");
        }
    });
}

#[test]
fn a_client_that_waits_is_asked_before_a_stream_begins() {
    test::run(|| {
        let site = Site::new(echo);
        let mut client = site.connect();
        assert_eq!(client.ask(EXPECTING).status, 100);
        assert_eq!(client.ask("body").text(), "body");
        let chunked = EXPECTING.replace("Content-Length: 4", "Transfer-Encoding: chunked");
        assert_eq!(client.ask(chunked).status, 100);
        assert_eq!(client.ask("4\r\nbody\r\n0\r\n\r\n").text(), "body");
    });
}

/// RFC 9110 section 10.1.1: a final status instead of 100, and the connection ends, since the body may come or not.
#[test]
fn a_client_that_waits_is_not_asked_when_nobody_reads() {
    test::run(|| {
        let site = Site::new(|_: &mut Request<'_>| StatusCode::FORBIDDEN);
        let mut client = site.connect();
        let reply = client.ask(EXPECTING);
        assert_eq!((reply.status, reply.closes()), (403, true));
        client.assert_closed();
    });
}

/// RFC 9110 section 10.1.1: a server MAY omit 100 when the content is there already.
#[test]
fn a_client_that_does_not_wait_after_all_is_not_asked() {
    test::run(|| {
        for handler in [show, echo] {
            let site = Site::new(handler);
            let mut client = site.connect();
            let reply = client.ask(EXPECTING.to_owned() + "body");
            assert_eq!(reply.status, 200);
            assert!(reply.text().contains("body"));
            assert_eq!(client.ask(get("/")).status, 200);
        }
    });
}

/// RFC 9110 section 10.1.1: the responses before the interim one have to be out first.
#[test]
fn an_interim_response_comes_in_its_turn() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        client.send(get("/first") + EXPECTING);
        assert_eq!(client.reply().text(), "GET /first []");
        assert_eq!(client.reply().status, 100);
        assert_eq!(client.ask("body").text(), "POST / [body]");
    });
}

/// "An unread request body hangs the connection" is on the bug list.
#[test]
fn a_short_body_nobody_reads_is_thrown_away() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| request.path().to_owned());
        let mut client = site.connect();
        for len in [1, 8 << 10, 64 << 10] {
            let body = "x".repeat(len);
            let reply = client.ask(post("/length", &body));
            assert_eq!((reply.text(), reply.closes()), ("/length", false));
            assert_eq!(client.ask(post_chunks("/chunks", &[&body])).text(), "/chunks");
            assert_eq!(client.ask(get("/next")).text(), "/next");
        }
    });
}

#[test]
fn the_rest_of_a_body_is_thrown_away() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let mut start = [0; 3];
            request.body().read_exact(&mut start)?;
            io::Result::Ok(String::from_utf8(start.to_vec()).unwrap())
        });
        let mut client = site.connect();
        let body = "abc".repeat(10_000);
        assert_eq!(client.ask(post("/", &body)).text(), "abc");
        assert_eq!(client.ask(post_chunks("/", &[&body, "def"])).text(), "abc");
        assert_eq!(client.ask(post("/", "abc")).text(), "abc");
    });
}

/// The answer does not wait for the body, and the body does not destroy the answer on its way.
#[test]
fn a_long_body_nobody_reads_ends_the_connection() {
    test::run(|| {
        for request in [post("/", &"x".repeat(200_000)), post_chunks("/", &[&"x".repeat(200_000)])] {
            let site = Site::new(|_: &mut Request<'_>| "not interested");
            let mut client = site.connect();
            client.send(request);
            let (answer, end) = client.rest_and_end();
            assert!(answer.ends_with("\r\n\r\nnot interested"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1);
            end.unwrap();
        }
    });
}

/// The same when the response is streamed and finished before the body is read.
#[test]
fn a_long_body_a_stream_did_not_read_ends_the_connection_gently() {
    test::run(|| {
        for connection in ["keep-alive", "close"] {
            let site = Site::new(|request: &mut Request<'_>| {
                let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
                writer.write_all(b"done")?;
                writer.finish()
            });
            let mut client = site.connect();
            let head =
                format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nContent-Length: 200000\r\n\r\n");
            client.send(head);
            client.send("x".repeat(200_000));
            let (answer, end) = client.rest_and_end();
            assert!(answer.contains("\r\n\r\n4\r\ndone\r\n0\r\n\r\n"), "{answer}");
            end.unwrap();
        }
    });
}

#[test]
fn a_body_that_ends_early_is_an_error_for_the_handler_and_400_for_the_peer() {
    test::run(|| {
        let truncated = [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfour",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfour",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
        ];
        for request in truncated {
            let site = Site::new(|request: &mut Request<'_>| {
                let error = request.body().read_text().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                // It stays that way.
                assert_eq!(request.body().read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
                "what a handler says does not count then"
            });
            let mut client = site.connect();
            client.send(request);
            client.stream.shutdown(std::net::Shutdown::Write).unwrap();
            let reply = client.reply();
            assert_eq!((reply.status, reply.closes()), (400, true), "{request}");
            let text = reply.text();
            assert!(text.starts_with("400 Bad Request: the stream ended within the request body, after "), "{text}");
            client.assert_closed();
        }
    });
}

/// A stream of which nothing is out yet can still be taken back.
#[test]
fn a_bad_body_is_400_although_a_stream_has_begun() {
    test::run(|| {
        let site = Site::new(echo);
        let mut client = site.connect();
        let reply = client.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbodyx");
        assert_eq!((reply.status, reply.closes()), (400, true));
        assert_eq!(
            reply.text(),
            "400 Bad Request: body, byte 7: no CR LF where a chunk's line or data ends (RFC 9112 section 7.1)\n"
        );
        client.assert_closed();
    });
}

/// Once a part of the stream is out, the peer can only be told by the end of the connection.
#[test]
fn a_bad_body_breaks_a_stream_off_that_is_under_way() {
    test::run(|| {
        let site = Site::new(echo);
        let mut client = site.connect();
        let start = "x".repeat(100_000);
        let answer = {
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{start}?",
                start.len()
            ));
            client.rest()
        };
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(!answer.contains("\r\n0\r\n"));
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    });
}
