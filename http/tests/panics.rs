//! Handlers that panic, and handlers that are cut off: their own connection answers for it, and nobody else's (HTTP-1).

mod support;

use std::io::{self, Read, Write};

use grapeshot_core::test::{self, Test};
use grapeshot_core::{current, set_panic_notifier, sleep, spawn, with_timeout};
use grapeshot_http::{IntoResponse, Request, Response, StatusCode};

use support::{Notes, SECOND, Site, get, post};

/// Runs a test in which handlers panic, and hands it what the notifier was told.
fn with_panics(body: impl FnOnce(Notes) + 'static) {
    Test::new().allow_crashes().run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        set_panic_notifier(move |_, panic| seen.add(panic.message()));
        body(notes);
    });
}

/// HTTP-1: 500, without the traceback, which goes to the notifier.
#[test]
fn a_panic_is_500_and_reported() {
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| -> Response { panic!("no {}", request.path()) });
        let mut client = site.connect();
        let reply = client.ask(get("/secret"));
        assert_eq!((reply.status, reply.closes()), (500, true));
        assert_eq!(reply.text(), "500 Internal Server Error: the server failed to answer\n");
        client.assert_closed();
        assert_eq!(reports.take(), ["no /secret"]);
    });
}

/// The report names the connection's coroutine, and where the panic happened.
#[test]
fn a_report_says_which_connection_and_where() {
    Test::new().allow_crashes().run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        set_panic_notifier(move |info, panic| {
            seen.add(info.name.clone().unwrap());
            seen.add(panic.location().unwrap());
            seen.add(panic.trace());
        });
        let site = Site::new(|_: &mut Request<'_>| -> Response { panic!("ouch") });
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).status, 500);
        let [name, location, trace] = notes.take().try_into().unwrap();
        assert_eq!(name, format!("http {}", client.stream.local_addr().unwrap()));
        assert!(location.contains("panics.rs:"), "{location}");
        assert!(trace.contains("panics.rs"), "{trace}");
    });
}

#[test]
fn a_panic_leaves_the_other_connections_alone() {
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/panic" => panic!("ouch"),
            "/slow" => {
                sleep(10 * SECOND);
                "slow"
            }
            _ => "quick",
        });
        let (mut slow, mut other) = (site.connect(), site.connect());
        slow.send(get("/slow"));
        assert_eq!(other.ask(get("/")).text(), "quick");
        for _ in 0..10 {
            assert_eq!(site.connect().ask(get("/panic")).status, 500);
        }
        assert_eq!(other.ask(get("/")).text(), "quick");
        assert_eq!(slow.reply().text(), "slow");
        assert_eq!(reports.take().len(), 10);
    });
}

#[test]
fn a_panic_after_part_of_the_body_is_500() {
    with_panics(|_| {
        let site = Site::new(|request: &mut Request<'_>| -> Response {
            request.body().read_exact(&mut [0; 2]).unwrap();
            panic!("ouch");
        });
        assert_eq!(site.connect().ask(post("/", "body")).status, 500);
    });
}

#[test]
fn a_panic_of_a_pipelined_request_comes_in_its_turn() {
    with_panics(|_| {
        let site = Site::new(|request: &mut Request<'_>| match request.path() {
            "/panic" => panic!("ouch"),
            _ => "quick",
        });
        let mut client = site.connect();
        client.send(get("/") + &get("/panic") + &get("/"));
        assert_eq!((client.reply().status, client.reply().status), (200, 500));
        client.assert_closed();
    });
}

#[test]
fn a_panic_before_anything_is_out_is_500_although_a_stream_has_begun() {
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| -> Response {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK)).unwrap();
            writer.write_all(b"begun").unwrap();
            panic!("ouch");
        });
        let mut client = site.connect();
        let reply = client.ask(get("/"));
        assert_eq!((reply.status, reply.closes()), (500, true));
        client.assert_closed();
        assert_eq!(reports.take(), ["ouch"]);
    });
}

#[test]
fn a_panic_in_the_middle_of_a_stream_breaks_it_off() {
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| -> Response {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK)).unwrap();
            writer.write_all(b"begun").unwrap();
            writer.flush().unwrap();
            panic!("ouch");
        });
        let answer = site.exchange(get("/"));
        assert!(answer.ends_with("5\r\nbegun\r\n"), "{answer}");
        assert_eq!(reports.take(), ["ouch"]);
    });
}

/// The stream was whole, so the peer has its answer; the connection still ends, for safety.
#[test]
fn a_panic_after_the_end_of_a_stream_is_reported() {
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| -> Response {
            let (_, mut writer) = request.stream(Response::new(StatusCode::OK)).unwrap();
            writer.write_all(b"whole").unwrap();
            let _sent = writer.finish().unwrap();
            panic!("ouch");
        });
        let mut client = site.connect();
        assert_eq!(client.ask(get("/")).text(), "whole");
        client.assert_closed();
        assert_eq!(reports.take(), ["ouch"]);
    });
}

/// A reader is the handler's code, though it runs later.
#[test]
fn a_reader_that_panics_is_500_or_breaks_off() {
    struct Panicking(usize);
    impl Read for Panicking {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(self.0 > 0, "out of bytes");
            let len = buf.len().min(self.0);
            buf[..len].fill(b'x');
            self.0 -= len;
            Ok(len)
        }
    }
    with_panics(|reports| {
        let site = Site::new(|request: &mut Request<'_>| {
            let len = if request.path() == "/long" { 1 << 20 } else { 10 };
            Response::reader(Panicking(len), None)
        });
        let short = site.connect().ask(get("/short"));
        assert_eq!((short.status, short.closes()), (500, true));
        let long = site.exchange(get("/long"));
        assert!(long.starts_with("HTTP/1.1 200 OK\r\n") && !long.ends_with("0\r\n\r\n"));
        assert_eq!(reports.take(), ["out of bytes", "out of bytes"]);
    });
}

/// What a handler returns is made into a response in the same care.
#[test]
fn a_panic_while_the_response_is_made_is_500() {
    struct Never;
    impl IntoResponse for Never {
        fn into_response(self) -> Response {
            panic!("never")
        }
    }
    with_panics(|reports| {
        let site = Site::new(|_: &mut Request<'_>| Never);
        assert_eq!(site.connect().ask(get("/")).status, 500);
        assert_eq!(reports.take(), ["never"]);
    });
}

/// HTTP-1: "`TimeoutError`/`Interrupted` propagate": a limit ends the handler's work, not its connection.
#[test]
fn a_handler_may_limit_its_own_time() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let seconds: u32 = request.path()[1..].parse().unwrap();
            with_timeout(5 * SECOND, || {
                sleep(seconds * SECOND);
                "in time"
            })
            .map_err(|_| StatusCode::GATEWAY_TIMEOUT)
        });
        let mut client = site.connect();
        assert_eq!(client.ask(get("/4")).text(), "in time");
        assert_eq!(client.ask(get("/6")).status, 504);
        assert_eq!(client.ask(get("/4")).text(), "in time");
    });
}

/// A limit that passes while the handler reads leaves the rest of the body to be thrown away.
#[test]
fn a_limit_may_pass_in_the_middle_of_a_body() {
    test::run(|| {
        let site = Site::new(|request: &mut Request<'_>| {
            let read = with_timeout(SECOND, || request.body().read_all());
            if read.is_ok() { StatusCode::OK } else { StatusCode::GATEWAY_TIMEOUT }
        });
        let mut client = site.connect();
        assert_eq!(client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo").status, 504);
        assert_eq!(client.ask("dy".to_owned() + &get("/")).status, 200);
    });
}

/// HTTP-1: a cancellation is no panic: nothing is answered and nothing reported.
#[test]
fn a_cancelled_handler_ends_its_connection_without_a_report() {
    test::run(|| {
        let notes = Notes::default();
        let seen = notes.clone();
        set_panic_notifier(move |_, panic| seen.add(panic.message()));
        let site = Site::new(|_: &mut Request<'_>| {
            let own = current();
            spawn(move || {
                sleep(SECOND);
                own.cancel();
            });
            sleep(3600 * SECOND);
        });
        let mut client = site.connect();
        client.send(get("/"));
        client.assert_closed();
        assert!(notes.take().is_empty());
        assert!(!site.serving.is_finished());
    });
}
