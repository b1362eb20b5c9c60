//! What the ancestor's server got wrong, as far as it is for bytes to get right: the bug list of
//! REQUIREMENTS 2.2, each with the test that it is not so here.
//!
//! The rest of that list (an unread body that hangs the connection, no 408, handshakes within
//! accept) is for the half that moves bytes.

use super::response::{encode, head};
use super::{HeadError, Limits, body_of, body_refusal, head_of, parse_with, refusal, with_header};
use crate::proto::{BodyLength, CONTINUE, ChunkEncoder, MethodKind, ReplyTo, ResponseFraming, ResponseHead};

/// "Empty chunked body emits two terminators."
#[test]
fn an_empty_chunked_body_has_one_terminator() {
    let (_, plan) = encode(ResponseHead { body: BodyLength::Unknown, ..head(200) }, &[]);
    assert_eq!(plan.framing, ResponseFraming::Chunked);
    let mut out = Vec::new();
    let mut encoder = ChunkEncoder::new();
    encoder.chunk(&mut out, b"");
    encoder.finish(&mut out);
    assert_eq!(out, b"0\r\n\r\n");
}

/// "304/204 carry an HTML body."
#[test]
fn a_304_and_a_204_have_no_body() {
    for status in [204, 304] {
        for body in [BodyLength::Known(100), BodyLength::Unknown] {
            let (text, plan) = encode(ResponseHead { body, ..head(status) }, &[("content-type", "text/html")]);
            assert_eq!(plan.framing, ResponseFraming::None);
            assert!(!text.contains("content-length") && !text.contains("transfer-encoding"));
            assert!(plan.keep_alive);
        }
    }
}

/// "HEAD gets a body."
#[test]
fn an_answer_to_head_has_no_body() {
    let reply_to = ReplyTo::from(&head_of("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(reply_to.method, MethodKind::Head);
    for (status, body) in [(200, BodyLength::Known(100)), (200, BodyLength::Unknown), (500, BodyLength::Known(100))] {
        let (_, plan) = encode(ResponseHead { reply_to, body, ..head(status) }, &[]);
        assert_eq!(plan.framing, ResponseFraming::None);
    }
}

/// "No size limits on head, headers or body."
#[test]
fn head_headers_target_and_body_are_limited() {
    let statuses = [
        (format!("GET / HTTP/1.0\r\nX: {}", "y".repeat(20_000)), 431),
        (format!("GET / HTTP/1.0\r\n{}", "X: y\r\n".repeat(200)), 431),
        (format!("GET /{}", "a".repeat(10_000)), 414),
        ("POST / HTTP/1.0\r\nContent-Length: 3000000\r\n\r\n".to_owned(), 413),
    ];
    for (text, status) in statuses {
        assert_eq!(parse_with(text.as_bytes(), &Limits::default()).unwrap_err().status(), status);
    }
    assert_eq!(body_refusal("300000\r\n").status(), 413);
}

/// "Chunk extensions/trailers break."
#[test]
fn chunk_extensions_and_trailers_do_not_break() {
    assert_eq!(body_of("5;name=\"value\"\r\nhello\r\n0;last\r\nDigest: x\r\n\r\n"), "hello");
}

/// "No 100-continue."
#[test]
fn a_client_that_waits_for_continue_is_noticed_and_can_be_told() {
    let head = head_of(&with_header("Expect: 100-continue\r\nContent-Length: 5"));
    assert!(head.expect_continue());
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// "No request-smuggling defence (TE+CL)"; the table of vectors stands in `framing`.
#[test]
fn both_lengths_are_refused() {
    let error = refusal(&with_header("Content-Length: 5\r\nTransfer-Encoding: chunked"));
    assert!(matches!(error, HeadError::LengthAndTransferEncoding { .. }));
}

/// HTTP-5: "bogus header lines dropped": here they are refused.
#[test]
fn a_bogus_header_line_is_refused() {
    assert_eq!(refusal(&with_header("bogus")).status(), 400);
}
