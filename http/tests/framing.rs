//! Messages whose end could be seen in two places, end to end: refused, and nothing after them is taken for a request.
//!
//! The table of vectors is that of the half without I/O (`proto/tests/framing.rs`), in short;
//! here it matters that the connection ends with the refusal (RFC 9112 section 6).

mod support;

use grapeshot_core::test;
use grapeshot_http::Request;

use support::{Notes, Site, echo, show};

/// What a smuggler would have taken for the next request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: test\r\n\r\n";

/// Sends `request` with the hidden one after it, to a handler that reads bodies, one that does not, and one that streams.
#[track_caller]
fn assert_refused(request: &str, status: u16) {
    let request = format!("{request}{HIDDEN}");
    test::run(move || {
        let notes = Notes::default();
        for kind in ["reads", "ignores", "streams"] {
            let seen = notes.clone();
            let site = Site::new(move |request: &mut Request<'_>| {
                seen.add(request.path());
                match kind {
                    "reads" => show(request),
                    "streams" => echo(request),
                    _ => Ok(grapeshot_http::Response::text("ignored")),
                }
            });
            let mut client = site.connect();
            client.send(&request);
            let answer = client.rest();
            let paths = notes.take();
            assert!(!paths.contains(&"/hidden".to_owned()), "{request:?} to one that {kind}");
            assert_eq!(answer.matches("\r\nserver: ").count(), 1, "{request:?} to one that {kind}: {answer}");
            // A handler that does not look at the body answers before anybody knows that it is bad.
            let expected = if kind == "ignores" && !paths.is_empty() { 200 } else { status };
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{request:?} to one that {kind}: {answer}");
            assert!(expected == 200 || answer.contains("\r\nconnection: close\r\n"), "{answer}");
        }
    });
}

/// RFC 9112 sections 2.2, 5 and 6; "no request-smuggling defence (TE+CL)" of the bug list.
#[test]
fn no_head_that_can_be_read_in_two_ways_is_taken() {
    let table = [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 6", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: ", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunked;q=1", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer-Encoding:\r\n chunked", 400),
        ("X: y\r\n Transfer-Encoding: chunked", 400),
        ("X: y\nTransfer-Encoding: chunked", 400),
        ("X: y\rTransfer-Encoding: chunked", 400),
        ("Content-Length: 5\n\nGET /hidden HTTP/1.1", 400),
        ("Transfer-Encoding: chunked\0", 400),
        ("X\0: y", 400),
        ("no colon", 400),
        (": no name", 400),
        ("Host: other", 400),
    ];
    for (lines, status) in table {
        assert_refused(&format!("POST / HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n"), status);
    }
}

/// HTTP-1: a malformed request line is 400; SYL-10: bad version, method, target.
#[test]
fn no_request_line_that_can_be_read_in_two_ways_is_taken() {
    let table = [
        ("GET / HTTP/1.1\nHost: test\n\n", 400),
        ("GET  / HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /  HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: test\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET\t/ HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET test HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("G{T / HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\nHost: test\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / FTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03", 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ];
    for (request, status) in table {
        assert_refused(request, status);
    }
}

/// RFC 9112 section 7.1.
#[test]
fn no_chunk_that_can_be_read_in_two_ways_is_taken() {
    let table = [
        "x\r\n",
        "-1\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "1 \r\nx\r\n0\r\n\r\n",
        "1\nx\n0\n\n",
        "1\rx\r0\r\r",
        "1;\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "00000000000000001\r\nx\r\n0\r\n\r\n",
        "10000000000000000\r\nx\r\n0\r\n\r\n",
        "\r\n1\r\nx\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n folded\r\n\r\n",
    ];
    for chunks in table {
        assert_refused(&format!("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), 400);
    }
}

/// SYL-10 refused POST without a length; RFC 9112 section 6.3, item 7: it has no body.
#[test]
fn a_post_without_a_length_has_no_body() {
    test::run(|| {
        let site = Site::new(show);
        let mut client = site.connect();
        client.send("POST /first HTTP/1.1\r\nHost: test\r\n\r\n".to_owned() + HIDDEN);
        assert_eq!(client.reply().text(), "POST /first []");
        assert_eq!(client.reply().text(), "GET /hidden []");
    });
}
