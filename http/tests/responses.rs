//! What goes out for what a handler returns or streams (REQUIREMENTS 2.2, HTTP-7).

mod support;

use std::io::{self, Read, Write};
use std::time::SystemTime;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{sleep, yield_now};
use grapeshot_http::{Request, Response, Server, StatusCode};

use support::{Notes, Reply, SECOND, Site, echo, get, post};

/// The reply to a GET, on a connection that is used once more to show that its framing was right.
fn served<R: grapeshot_http::IntoResponse>(handler: impl Fn(&mut Request<'_>) -> R + 'static) -> Reply {
    test::run(move || {
        let site = Site::new(handler);
        let mut client = site.connect();
        let reply = client.ask(get("/"));
        if !reply.closes() {
            assert_eq!(client.ask(get("/")).status, reply.status);
        }
        reply
    })
}

/// A reader that gives `len` bytes and then, if told so, fails.
struct Source {
    len: usize,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    End,
    Fail,
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (self.len, self.then) {
            (0, Then::End) => Ok(0),
            (0, Then::Fail) => Err(io::Error::other("the disk is on fire")),
            _ => {
                let len = buf.len().min(self.len);
                buf[..len].fill(b'x');
                self.len -= len;
                Ok(len)
            }
        }
    }
}

#[test]
fn text_and_html_say_their_type() {
    let text = served(|_| "text");
    assert_eq!((text.header("content-type"), text.text()), (Some("text/plain; charset=utf-8"), "text"));
    let owned = served(|_| "owned".to_owned());
    assert_eq!((owned.header("content-length"), owned.text()), (Some("5"), "owned"));
    let html = served(|_| Response::html("<p>"));
    assert_eq!((html.header("content-type"), html.text()), (Some("text/html; charset=utf-8"), "<p>"));
    let bytes = served(|_| Response::bytes("raw"));
    assert_eq!((bytes.header("content-type"), bytes.text()), (None, "raw"));
}

#[test]
fn a_handler_may_return_a_result() {
    let failed = served(|_| -> Result<&'static str, StatusCode> { Err(StatusCode::IM_A_TEAPOT) });
    assert_eq!((failed.status, failed.text()), (418, "I'm a teapot\n"));
    assert_eq!(served(|_| ()).status, 204);
}

#[test]
fn a_handlers_io_error_is_500_and_not_told_to_the_peer() {
    let reply = served(|_| -> io::Result<Response> { Err(io::Error::other("password is swordfish")) });
    assert_eq!((reply.status, reply.text()), (500, "Internal Server Error\n"));
}

#[test]
fn a_response_of_the_http_crate_is_sent() {
    let reply = served(|_| http::Response::builder().status(203).header("x-a", "b").body(b"c".to_vec()).unwrap());
    assert_eq!((reply.status, reply.header("x-a"), reply.text()), (203, Some("b"), "c"));
}

#[test]
fn large_bodies_are_sent_whole() {
    for len in [16 << 10, (16 << 10) + 1, 32 << 10, 3 << 20] {
        let reply = served(move |_| Response::bytes(vec![b'y'; len]));
        assert_eq!(reply.body.len(), len);
        assert!(reply.body.iter().all(|&byte| byte == b'y'));
    }
}

/// HTTP-7: a handler's header is added to the reply.
#[test]
fn headers_are_sent_as_given() {
    let reply = served(|_| Response::text("").header("X-Kind", "a").header("content-type", "b/c").header("x-none", ""));
    assert_eq!(reply.header("x-kind"), Some("a"));
    assert_eq!(reply.header("content-type"), Some("b/c"));
    assert!(reply.head.contains("\r\nx-none: \r\n"));
}

/// HTTP-7: Server and Date are added.
#[test]
fn server_and_date_are_added_unless_given() {
    let reply = served(|_| "");
    assert_eq!(reply.header("server"), Some("grapeshot"));
    assert!(httpdate::parse_http_date(reply.header("date").unwrap()).is_ok());
    let reply = served(|_| Response::text("").header("server", "mine").header("date", "today"));
    assert_eq!((reply.header("server"), reply.header("date")), (Some("mine"), Some("today")));
}

#[test]
fn the_servers_name_can_be_changed_and_left_out() {
    for (name, sent) in [(Some("other"), Some("other")), (None, None)] {
        test::run(move || {
            let site = Site::of(Server::bind("127.0.0.1:0").unwrap().name(name), |_| "");
            assert_eq!(site.connect().ask(get("/")).header("server"), sent);
        });
    }
}

/// RFC 9110 section 6.6.1: the date is that of the response's making, second by second.
#[test]
fn the_date_keeps_up_with_the_clock() {
    Test::new().real_time().run(|| {
        let site = Site::new(|_| "");
        let mut client = site.connect();
        for _ in 0..2 {
            let before = SystemTime::now();
            let reply = client.ask(get("/"));
            let after = SystemTime::now();
            let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
            assert!(before < date + SECOND && date <= after, "{before:?}, {date:?}, {after:?}");
            let into_second = after.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
            sleep(SECOND - std::time::Duration::from_nanos(into_second.into()));
        }
    });
}

/// SYL-10: a bad header value is 500, and nothing of it reaches the peer.
#[test]
fn a_header_that_cannot_be_sent_is_500() {
    Test::new().allow_crashes().run(|| {
        let site = Site::new(|_| Response::text("body").header("x-a", "b\r\nx-evil: c"));
        let reply = site.connect().ask(get("/"));
        assert_eq!(reply.status, 500);
        assert!(!reply.head.contains("evil"));
    });
}

/// SYL-10: a bad status is 500. An interim one would have the client wait for another response.
#[test]
fn an_interim_status_is_no_answer() {
    for status in [StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS, StatusCode::PROCESSING] {
        let reply = served(move |_| Response::new(status));
        assert_eq!(reply.status, 500, "{status}");
        let reply = served(move |request| -> io::Result<Response> {
            let refused = request.stream(Response::new(status)).map(|_| ()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            Ok(Response::text(refused.to_string()))
        });
        assert!(reply.text().contains(status.as_str()), "{}", reply.text());
    }
}

/// SYL-10: a content-length that is not the body's is 500.
#[test]
fn a_length_that_is_not_the_bodys_is_500() {
    let reply = served(|_| Response::text("four").header("content-length", "5"));
    assert_eq!((reply.status, reply.closes()), (500, true));
    let reply = served(|_| Response::text("four").header("content-length", "4"));
    assert_eq!((reply.status, reply.text()), (200, "four"));
}

#[test]
fn a_handler_can_end_the_connection() {
    test::run(|| {
        let site = Site::new(|_| Response::text("bye").header("connection", "close"));
        let mut client = site.connect();
        let reply = client.ask(get("/"));
        assert!(reply.closes());
        client.assert_closed();
    });
}

#[test]
fn a_handler_cannot_frame_for_itself() {
    let reply = served(|_| Response::text("body").header("transfer-encoding", "chunked"));
    assert_eq!((reply.header("transfer-encoding"), reply.text()), (None, "body"));
}

#[test]
fn a_reader_of_known_length_is_sent_with_it() {
    for len in [0, 1, 100_000] {
        let reply = served(move |_| Response::reader(Source { len, then: Then::End }, Some(len as u64)));
        assert_eq!(reply.header("content-length"), Some(len.to_string().as_str()));
        assert_eq!(reply.body.len(), len);
    }
}

/// HTTP-7: 1.1 without content-length is chunked.
#[test]
fn a_reader_of_unknown_length_is_sent_in_chunks() {
    for len in [0, 1, 100_000] {
        let reply = served(move |_| Response::reader(Source { len, then: Then::End }, None));
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        assert_eq!(reply.body.len(), len);
    }
}

/// SYL-10: never more than content-length.
#[test]
fn a_reader_longer_than_its_length_is_cut_off() {
    let reply = served(|_| Response::reader(Source { len: 10, then: Then::End }, Some(4)));
    assert_eq!(reply.text(), "xxxx");
}

/// SYL-10: the connection is closed when the body is shorter than its content-length.
#[test]
fn a_reader_shorter_than_its_length_breaks_the_connection_off() {
    for then in [Then::End, Then::Fail] {
        test::run(move || {
            let site = Site::new(move |_| Response::reader(Source { len: 100_000, then }, Some(100_001)));
            let answer = site.exchange(get("/"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("content-length: 100001"));
            assert!(body.len() < 100_001);
        });
    }
}

#[test]
fn a_reader_that_fails_in_chunks_leaves_out_the_last_chunk() {
    test::run(|| {
        let site = Site::new(|_| Response::reader(Source { len: 100_000, then: Then::Fail }, None));
        let answer = site.exchange(get("/"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("\r\n0\r\n"));
    });
}

/// What we accept for now: to HTTP/1.0 only a reset could say that the body is not whole, and we send an end.
#[test]
fn a_1_0_client_cannot_tell_that_a_body_of_unknown_length_broke_off() {
    test::run(|| {
        let site = Site::new(|_| Response::reader(Source { len: 100_000, then: Then::Fail }, None));
        let mut client = site.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let (answer, end) = client.rest_and_end();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        end.unwrap();
    });
}

/// As long as nothing is out, there is a better way to say so than to hang up.
#[test]
fn a_reader_that_fails_at_once_is_500() {
    test::run(|| {
        let site = Site::new(|_| Response::reader(Source { len: 10, then: Then::Fail }, None));
        let mut client = site.connect();
        let reply = client.ask(get("/"));
        assert_eq!((reply.status, reply.closes()), (500, true));
        client.assert_closed();
    });
}

#[test]
fn a_reader_may_wait() {
    struct Slow(u8);
    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            sleep(SECOND);
            self.0 -= 1;
            buf[0] = b'0' + self.0;
            Ok(usize::from(self.0 > 0))
        }
    }
    assert_eq!(served(|_| Response::reader(Slow(4), None)).text(), "321");
}

/// HTTP-7: `push` and `done`.
#[test]
fn a_response_is_streamed_as_it_is_written() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::CREATED).header("x-a", "b"))?;
        for word in ["one ", "two ", "three"] {
            writer.write_all(word.as_bytes())?;
            yield_now();
        }
        writer.finish()
    });
    assert_eq!((reply.status, reply.header("x-a"), reply.text()), (201, Some("b"), "one two three"));
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
}

/// HTTP-7: a flush sends what there is, as one chunk.
#[test]
fn a_flush_sends_what_there_is() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            writer.write_all(b"tick ")?;
            writer.write_all(b"tack")?;
            writer.flush()?;
            sleep(10 * SECOND);
            writer.write_all(b"tock")?;
            writer.finish()
        });
        let mut client = site.connect();
        client.send(get("/"));
        let before = grapeshot_core::now();
        assert_eq!(client.reply_to_head().status, 200);
        assert_eq!(client.chunk(), b"tick tack");
        assert!(grapeshot_core::now() - before < 10 * SECOND);
        assert_eq!((client.chunk(), client.chunk()), (b"tock".to_vec(), Vec::new()));
    });
}

#[test]
fn a_flush_of_nothing_ends_nothing() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
        writer.flush()?;
        writer.write_all(b"")?;
        writer.flush()?;
        writer.write_all(b"body")?;
        writer.finish()
    });
    assert_eq!(reply.text(), "body");
}

#[test]
fn a_stream_of_declared_length_is_sent_with_it() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::OK).header("content-length", "8"))?;
        writer.write_all(b"four")?;
        writer.write_all(b"more")?;
        writer.finish()
    });
    assert_eq!((reply.header("content-length"), reply.text()), (Some("8"), "fourmore"));
    assert_eq!(reply.header("transfer-encoding"), None);
}

/// SYL-10: never more than content-length.
#[test]
fn a_stream_longer_than_its_length_is_refused() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::OK).header("content-length", "4"))?;
        writer.write_all(b"four")?;
        assert_eq!(writer.write_all(b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        writer.finish()
    });
    assert_eq!(reply.text(), "four");
}

/// SYL-10: closed if less.
#[test]
fn a_stream_shorter_than_its_length_is_broken_off() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK).header("content-length", "5"))?;
            writer.write_all(b"four")?;
            writer.flush()?;
            writer.finish()
        });
        let answer = site.exchange(get("/"));
        assert!(answer.ends_with("\r\n\r\nfour"), "{answer}");
    });
}

/// The peer must be able to tell: in chunks by the missing last one, with a length by the missing bytes.
#[test]
fn a_writer_dropped_before_its_end_breaks_the_connection_off() {
    for length in [None, Some("100")] {
        test::run(move || {
            let site = Site::new(move |request: &mut Request<'_>| {
                let response = Response::new(StatusCode::OK);
                let response = length.into_iter().fold(response, |r, length| r.header("content-length", length));
                let (_, mut writer) = request.stream(response)?;
                writer.write_all(b"begun")?;
                writer.flush()?;
                drop(writer);
                io::Result::Ok("this is not sent")
            });
            let answer = site.exchange(get("/") + &get("/"));
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("begun"));
            assert!(!answer.contains("this is not sent") && !answer.contains("\r\n0\r\n"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        });
    }
}

/// As long as nothing is out, another answer can take its place.
#[test]
fn a_handler_that_fails_before_anything_is_out_still_answers() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
        writer.write_all(b"begun")?;
        Err::<Response, _>(io::Error::other("changed its mind"))
    });
    assert_eq!((reply.status, reply.text()), (500, "Internal Server Error\n"));
}

#[test]
fn a_stream_in_answer_to_head_sends_no_body() {
    test::run(|| {
        let site = Site::new(echo);
        let mut client = site.connect();
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.reply_to_head().status, 200);
        assert_eq!(client.ask(post("/", "next")).text(), "next");
    });
}

#[test]
fn a_response_with_a_body_cannot_be_streamed() {
    let reply = served(|request| -> io::Result<Response> {
        let refused = request.stream(Response::text("body")).map(|_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        Ok(Response::text(refused.to_string()))
    });
    assert_eq!(reply.text(), "Request::stream: the response has a body of its own");
}

/// An empty text is no body, and says the type of what is streamed.
#[test]
fn a_response_with_an_empty_body_can_be_streamed() {
    let reply = served(|request| {
        let (_, mut writer) = request.stream(Response::html(""))?;
        writer.write_all(b"<p>")?;
        writer.finish()
    });
    assert_eq!((reply.header("content-type"), reply.text()), (Some("text/html; charset=utf-8"), "<p>"));
}

#[test]
fn one_request_has_one_response() {
    let reply = served(|request| -> io::Result<Response> {
        let (_, writer) = request.stream(Response::new(StatusCode::OK))?;
        let sent = writer.finish()?;
        let refused = request.stream(Response::new(StatusCode::OK)).map(|_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "Request::stream: a response has been begun already");
        Ok(sent)
    });
    assert_eq!((reply.status, reply.text()), (200, ""));
}

#[test]
fn large_writes_go_out_whole() {
    for (framing, value) in [("x-none", "1"), ("content-length", "3000007")] {
        let reply = served(move |request| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK).header(framing, value))?;
            writer.write_all(b"abc")?;
            writer.write_all(&vec![b'z'; 3_000_000])?;
            writer.write_all(b"defg")?;
            writer.finish()
        });
        assert_eq!(reply.body.len(), 3_000_007);
        assert!(reply.body.starts_with(b"abcz") && reply.body.ends_with(b"zdefg"));
    }
}

/// SYL-10: headers wait for the first bytes of the body, so that small responses are one write.
#[test]
fn a_stream_begins_with_its_first_bytes() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        let site = Site::new(move |request: &mut Request<'_>| {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
            sleep(SECOND);
            seen.add("body");
            writer.write_all(b"body")?;
            writer.finish()
        });
        let mut client = site.connect();
        client.send(get("/"));
        client.reply_to_head();
        assert_eq!(notes.take(), ["body"]);
        assert_eq!(client.chunk(), b"body");
    });
}
