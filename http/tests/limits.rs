//! Every limit of `Limits` reached: what the peer is told, and that it costs one coroutine and its time (HTTP-3).

mod support;

use std::io::{self, Read, Write};
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, stats, test, with_timeout};
use grapeshot_http::{Limits, Request, Response, StatusCode};
use socket2::SockRef;

use support::{Client, SECOND, Site, echo, get, post, post_chunks, show};

/// Asserts a refusal: its status, its text, and the end of the connection with nothing read after it.
#[track_caller]
fn assert_refused(change: impl FnOnce(&mut Limits) + 'static, request: impl AsRef<[u8]>, status: u16, text: &str) {
    let (request, text) = (request.as_ref().to_vec(), text.to_owned());
    test::run(move || {
        let site = Site::with(change, show);
        let mut client = site.connect();
        client.send(request);
        let reply = client.reply();
        assert_eq!((reply.status, reply.text(), reply.closes()), (status, text.as_str(), true));
        client.assert_closed();
        assert_eq!(site.connect().ask(get("/")).status, 200);
    });
}

fn with_header(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\n{line}\r\n\r\n")
}

/// "No size limits on head, headers or body" is on the bug list; SYL-10 closed without a reply.
#[test]
fn a_head_has_a_limit() {
    let exact = with_header(&format!("X: {}", "x".repeat(100)));
    let len = exact.len();
    test::run(move || {
        let site = Site::with(move |limits| limits.head_bytes = len, show);
        assert_eq!(site.connect().ask(exact).status, 200);
    });
    let text = "431 Request Header Fields Too Large: the request head is longer than 200 bytes\n";
    let long = with_header(&format!("X: {}", "x".repeat(300)));
    assert_refused(|limits| limits.head_bytes = 200, &long, 431, text);
    // Whole or not.
    assert_refused(|limits| limits.head_bytes = 200, &long[..200], 431, text);
    let text = "431 Request Header Fields Too Large: the request head is longer than 16384 bytes\n";
    assert_refused(|_| {}, with_header(&format!("X: {}", "x".repeat(16 << 10))), 431, text);
}

#[test]
fn the_largest_head_there_may_be_is_read() {
    test::run(|| {
        let site = Site::with(|limits| limits.head_bytes = usize::MAX, show);
        let mut client = site.connect();
        let long = with_header(&format!("X: {}", "x".repeat((1 << 20) - 100)));
        assert_eq!(client.ask(&long).status, 200);
        let reply = client.ask(with_header(&format!("X: {}", "x".repeat(1 << 20))));
        let text = "431 Request Header Fields Too Large: the request head is longer than 1048576 bytes\n";
        assert_eq!((reply.status, reply.text()), (431, text));
    });
}

#[test]
fn headers_are_counted() {
    let text = "431 Request Header Fields Too Large: the request head has more than 3 headers\n";
    assert_refused(|limits| limits.header_count = 3, with_header("A: 1\r\nB: 2\r\nC: 3"), 431, text);
    test::run(|| {
        let site = Site::with(|limits| limits.header_count = 3, show);
        assert_eq!(site.connect().ask(with_header("A: 1\r\nB: 2")).status, 200);
    });
    let text = "431 Request Header Fields Too Large: the request head has more than 100 headers\n";
    assert_refused(|_| {}, with_header("A: 1\r\n".repeat(100).trim_end()), 431, text);
}

#[test]
fn a_target_has_a_limit() {
    let text = "414 URI Too Long: request line: the target is longer than 10 bytes\n";
    assert_refused(|limits| limits.uri_bytes = 10, get("/0123456789"), 414, text);
    test::run(|| {
        let site = Site::with(|limits| limits.uri_bytes = 10, show);
        assert_eq!(site.connect().ask(get("/012345678")).status, 200);
    });
    // Before the rest of it has come.
    let text = "414 URI Too Long: request line: the target is longer than 8192 bytes\n";
    assert_refused(|_| {}, "GET /".to_owned() + &"x".repeat(9000), 414, text);
}

/// A declared body is refused before a byte of it is read, and one that comes all the same is not taken for requests.
#[test]
fn a_declared_body_has_a_limit() {
    let text = "413 Payload Too Large: a body of 11 bytes is over the limit of 10\n";
    assert_refused(|limits| limits.body_bytes = 10, post("/", "0123456789?"), 413, text);
    let text = "413 Payload Too Large: a body of 2097153 bytes is over the limit of 2097152\n";
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2097153\r\n\r\n";
    assert_refused(|_| {}, head, 413, text);
    test::run(|| {
        let site = Site::with(|limits| limits.body_bytes = 10, show);
        assert_eq!(site.connect().ask(post("/", "0123456789")).text(), "POST / [0123456789]");
    });
}

#[test]
fn a_chunked_body_has_a_limit() {
    let text = "413 Payload Too Large: the body is over the limit of 10 bytes\n";
    assert_refused(|limits| limits.body_bytes = 10, post_chunks("/", &["01234", "56789", "?"]), 413, text);
    // Known from the size of the chunk, whose bytes need not come.
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    assert_refused(|limits| limits.body_bytes = 10, head, 413, text);
    test::run(|| {
        let site = Site::with(|limits| limits.body_bytes = 10, show);
        let reply = site.connect().ask(post_chunks("/", &["01234", "56789"]));
        assert_eq!(reply.text(), "POST / [0123456789]");
    });
}

#[test]
fn a_handler_learns_that_a_body_is_too_long() {
    test::run(|| {
        let site = Site::with(
            |limits| limits.body_bytes = 10,
            |request: &mut Request<'_>| {
                let error = request.body().read_all().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert_eq!(error.to_string(), "the body is over the limit of 10 bytes");
            },
        );
        assert_eq!(site.connect().ask(post_chunks("/", &["0123456789?"])).status, 413);
    });
}

#[test]
fn a_chunk_size_line_has_a_limit() {
    let request = |extension: &str| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}1;{extension}\r\nx\r\n0\r\n\r\n")
    };
    let text = "400 Bad Request: body: a chunk-size line is longer than 20 bytes\n";
    assert_refused(|limits| limits.chunk_line_bytes = 20, request(&"x".repeat(19)), 400, text);
    test::run(move || {
        let site = Site::with(|limits| limits.chunk_line_bytes = 20, show);
        assert_eq!(site.connect().ask(request(&"x".repeat(18))).text(), "POST / [x]");
    });
}

#[test]
fn trailers_have_a_limit() {
    let request = |trailers: &str| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}1\r\nx\r\n0\r\n{trailers}\r\n")
    };
    let text = "431 Request Header Fields Too Large: the trailer section is longer than 4096 bytes\n";
    assert_refused(|_| {}, request(&format!("X: {}\r\n", "x".repeat(5000))), 431, text);
    let text = "431 Request Header Fields Too Large: the trailer section has more than 2 lines\n";
    assert_refused(|limits| limits.header_count = 2, request("A: 1\r\nB: 2\r\nC: 3\r\n"), 431, text);
    test::run(move || {
        let site = Site::new(show);
        assert_eq!(site.connect().ask(request(&format!("X: {}\r\n", "x".repeat(4000)))).text(), "POST / [x]");
    });
}

/// What a handler leaves unread is thrown away up to `discard_bytes`, with a length known and unknown.
#[test]
fn an_unread_body_has_a_limit() {
    test::run(|| {
        let serve = || Site::with(|limits| limits.discard_bytes = 10, |_: &mut Request<'_>| "answer");
        for (body, goes_on) in [("0123456789", true), ("0123456789?", false)] {
            for request in [post("/", body), post_chunks("/", &[body])] {
                let answer = serve().exchange(request + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!(answer.matches("HTTP/1.1").count(), 1 + usize::from(goes_on), "{body}");
            }
        }
    });
}

/// HTTP-3, and "no 408" of the bug list: a head a byte a second costs one coroutine for as long as the limit says.
#[test]
fn a_slow_head_is_408() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let sending = client.stream.try_clone().unwrap();
        let began = now();
        let slow = spawn(move || {
            for byte in get("/a-rather-long-path").into_bytes() {
                sleep(SECOND);
                if (&sending).write_all(&[byte]).is_err() {
                    return;
                }
            }
        });
        // Others are served in the meantime.
        assert_eq!(site.connect().ask(get("/")).status, 200);
        let reply = client.reply();
        assert_eq!((reply.status, reply.closes()), (408, true));
        assert_eq!(reply.text(), "408 Request Timeout: request head: not complete within 10s\n");
        // From the first byte on, which came after a second.
        assert_eq!((now() - began).as_secs(), 11);
        client.assert_closed();
        slow.cancel();
    });
}

/// A head in time is read, however slowly it came.
#[test]
fn a_head_just_in_time_is_answered() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        let request = get("/");
        client.send(&request[..1]);
        sleep(10 * SECOND - SECOND / 10);
        assert_eq!(client.ask(&request[1..]).status, 200);
    });
}

/// HTTP-3: an idle connection is closed without a word, before the first request and between two.
#[test]
fn an_idle_connection_is_closed_silently() {
    test::run(|| {
        let site = Site::new(show);
        let began = now();
        let mut silent = site.connect();
        silent.assert_closed();
        assert_eq!((now() - began).as_secs(), 60);
        let mut client = site.connect();
        for _ in 0..3 {
            sleep(59 * SECOND);
            assert_eq!(client.ask(get("/")).status, 200);
        }
        let began = now();
        client.assert_closed();
        assert_eq!((now() - began).as_secs(), 60);
    });
}

#[test]
fn an_idle_limit_shorter_than_the_linger_holds() {
    test::run(|| {
        let site = Site::with(|limits| limits.idle_timeout = SECOND / 20, show);
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).status, 200);
        let began = now();
        client.assert_closed();
        assert_eq!((now() - began).as_millis(), 50);
    });
}

/// "No 408" of the bug list, and SYL-10: a body that drips costs one coroutine and its limit.
#[test]
fn a_slow_body_is_408() {
    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        test::run(move || {
            let site = Site::new(show);
            let mut client = site.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{head}\r\n\r\n"));
            let sending = client.stream.try_clone().unwrap();
            let began = now();
            let slow = spawn(move || {
                let mut drops = "1\r\nx\r\n".bytes().cycle();
                while (&sending).write_all(&[drops.next().unwrap()]).is_ok() {
                    sleep(SECOND);
                }
            });
            let reply = client.reply();
            assert_eq!((reply.status, reply.closes()), (408, true));
            let text = reply.text();
            assert!(text.starts_with("408 Request Timeout: request body: "), "{text}");
            assert!(text.ends_with("slower than the 240 bytes a second that it asks for\n"), "{text}");
            assert_eq!((now() - began).as_secs(), 5);
            client.assert_closed();
            slow.cancel();
        });
    }
}

/// Only the time spent waiting for the peer counts against it.
#[test]
fn a_slow_handler_does_not_make_the_body_slow() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| -> io::Result<String> {
            sleep(60 * SECOND);
            let mut half = [0; 2];
            request.body().read_exact(&mut half)?;
            sleep(60 * SECOND);
            request.body().read_text()
        });
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
        sleep(62 * SECOND);
        assert_eq!(client.ask("dy").text(), "dy");
    });
}

/// A body at the rate asked for is read to its end, however long that takes.
#[test]
fn a_steady_body_is_read() {
    test::run(|| {
        let site = Site::with(|limits| limits.body_bytes_per_second = 1000, show);
        let mut client = site.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
        for _ in 0..60 {
            sleep(SECOND);
            client.send("x".repeat(1000));
        }
        assert_eq!(client.reply().body.len(), 60_000 + "POST / []".len());
    });
}

/// A peer that never reads costs one coroutine and the write limit, whatever is written and how.
#[test]
fn a_peer_that_does_not_read_is_let_go() {
    test::run(|| {
        let handler = |request: &mut Request<'_>| match request.path() {
            "/bytes" => Ok(Response::bytes(vec![0; 16 << 20])),
            "/reader" => Ok(Response::reader(io::repeat(0), None)),
            _ => {
                let (_, mut writer) = request.stream(Response::new(StatusCode::OK))?;
                io::copy(&mut io::repeat(0), &mut writer)?;
                writer.finish()
            }
        };
        for path in ["/bytes", "/reader", "/stream"] {
            let site = Site::new(handler);
            let before = stats().coroutines;
            let mut deaf = site.connect();
            deaf.send(get(path));
            sleep(29 * SECOND);
            assert_eq!(stats().coroutines, before + 1, "{path}");
            sleep(2 * SECOND);
            assert_eq!(stats().coroutines, before, "{path}");
        }
    });
}

/// A peer that takes a little, always just in time, is let go once its rate is too low; one that is only slow is not.
#[test]
fn a_peer_that_takes_a_response_too_slowly_is_let_go() {
    test::run(|| {
        let site = Site::with(
            |limits| {
                limits.response_bytes_per_second = 100_000;
                limits.response_grace = 5 * SECOND;
                // What is shown is not that one write has a limit.
                limits.write_timeout = Duration::MAX;
            },
            |_: &mut Request<'_>| Response::bytes(vec![b'x'; 32 << 20]),
        );
        for (a_second, is_let_go) in [(20_000, true), (4 << 20, false)] {
            let before = stats().coroutines;
            let mut client = site.connect();
            SockRef::from(&client.stream).set_recv_buffer_size(64 << 10).unwrap();
            client.send(get("/"));
            let mut taken = vec![0; a_second];
            let mut got = 0;
            for _ in 0..40 {
                sleep(SECOND);
                got += client.stream.read(&mut taken).unwrap();
            }
            assert_eq!(stats().coroutines == before, is_let_go, "{a_second} bytes a second, {got} in all");
        }
    });
}

/// Small answers fill the buffers as well, when the peer asks on and on.
#[test]
fn a_peer_that_asks_and_does_not_read_is_let_go() {
    test::run(|| {
        let site = Site::with(|limits| limits.write_timeout = SECOND, |_: &mut Request<'_>| "x".repeat(1000));
        let deaf = site.connect();
        let asked = spawn(move || while (&deaf.stream).write_all(get("/").as_bytes()).is_ok() {});
        let ended = with_timeout(60 * SECOND, || asked.join());
        assert!(ended.is_ok(), "it was still being listened to after a minute");
    });
}

#[test]
fn connections_are_counted_and_the_next_waits_in_the_backlog() {
    test::run(|| {
        let site = Site::with(|limits| limits.connections = 2, show);
        let (mut one, mut two) = (site.connect(), site.connect());
        assert_eq!((one.ask(get("/")).status, two.ask(get("/")).status), (200, 200));
        let address = site.address;
        let third = spawn(move || Client::connect(address).ask(get("/third")).status);
        sleep(5 * SECOND);
        assert!(!third.is_finished());
        // Those it has are served as before.
        assert_eq!((one.ask(get("/")).status, two.ask(get("/")).status), (200, 200));
        drop(one);
        assert_eq!(third.join().unwrap(), 200);
    });
}

#[test]
fn requests_of_a_connection_are_counted() {
    test::run(|| {
        let site = Site::with(|limits| limits.requests_per_connection = 3, show);
        let mut client = site.connect();
        let closes: Vec<bool> = (0..3).map(|_| client.ask(get("/")).closes()).collect();
        assert_eq!(closes, [false, false, true]);
        client.assert_closed();
    });
}

/// The count is that of the connection, however often it has slept in between.
#[test]
fn requests_are_counted_across_idle_times() {
    test::run(|| {
        let site = Site::with(|limits| limits.requests_per_connection = 3, show);
        let mut client = site.connect();
        for closes in [false, false, true] {
            sleep(5 * SECOND);
            assert_eq!(client.ask(get("/")).closes(), closes);
        }
    });
}

/// All times may be as long as a `Duration` goes.
#[test]
fn a_limit_without_end_is_no_limit() {
    test::run(|| {
        let change = |limits: &mut Limits| {
            limits.head_timeout = Duration::MAX;
            limits.idle_timeout = Duration::MAX;
            limits.body_grace = Duration::MAX;
            limits.write_timeout = Duration::MAX;
            limits.response_grace = Duration::MAX;
            limits.drain_timeout = Duration::MAX;
            limits.body_bytes = u64::MAX;
            limits.discard_bytes = u64::MAX;
            limits.connections = usize::MAX;
        };
        let site = Site::with(change, echo);
        let mut client = site.connect();
        let request = post_chunks("/", &["body"]);
        for pause in [SECOND, 10_000 * SECOND] {
            sleep(pause);
            client.send(&request[..10]);
            sleep(pause);
            client.send(&request[10..request.len() - 5]);
            sleep(pause);
            client.send(&request[request.len() - 5..]);
            assert_eq!(client.reply().text(), "body");
        }
        site.handle.drain();
        site.serving.join().unwrap().unwrap();
    });
}

/// "A limit set to zero refuses everything it governs."
#[test]
fn a_limit_of_zero_refuses() {
    assert_refused(
        |limits| limits.body_bytes = 0,
        post("/", "x"),
        413,
        "413 Payload Too Large: a body of 1 bytes is over the limit of 0\n",
    );
    assert_refused(
        |limits| limits.body_bytes = 0,
        post_chunks("/", &["x"]),
        413,
        "413 Payload Too Large: the body is over the limit of 0 bytes\n",
    );
    test::run(|| {
        let site = Site::with(|limits| limits.head_timeout = Duration::ZERO, show);
        let mut client = site.connect();
        assert_eq!(client.ask(get("/whole")).status, 200);
        assert_eq!(client.ask("GET /half").status, 408);
        let change = |limits: &mut Limits| (limits.connections, limits.requests_per_connection) = (0, 0);
        assert!(Site::with(change, show).connect().ask(get("/")).closes());
        let site = Site::with(|limits| limits.discard_bytes = 0, |_: &mut Request<'_>| "");
        let mut client = site.connect();
        assert_eq!(client.ask(post("/", "")).status, 200);
        assert_eq!(client.ask(post("/", "x")).status, 200);
        client.assert_closed();
    });
}
