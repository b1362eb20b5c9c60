//! What becomes of the headers a handler sets.

use http::HeaderValue;

use super::response::{encode, head, headers};
use crate::proto::{BodyLength, MethodKind, ReplyTo, ResponseError, ResponseFraming, ResponseHead, StandingHeaders};

fn refused(head: ResponseHead<'_>, given: &[(&str, &[u8])]) -> ResponseError {
    let mut out = b"earlier".to_vec();
    let error = head.encode(headers(given).iter().map(|(name, value)| (name, value)), &mut out).unwrap_err();
    assert_eq!(out, b"earlier", "nothing is written of a head that is refused");
    error
}

#[test]
fn a_value_may_have_tabs_and_bytes_beyond_ascii() {
    let mut out = Vec::new();
    let given = headers(&[("x", b"a\tb\x80\xff")]);
    head(200).encode(given.iter().map(|(name, value)| (name, value)), &mut out).unwrap();
    assert!(out.windows(10).any(|window| window == b"x: a\tb\x80\xff\r\n"));
}

#[test]
fn a_given_length_declares_the_length_of_an_unknown_body() {
    let head = ResponseHead { body: BodyLength::Unknown, ..head(200) };
    let (text, plan) = encode(head, &[("Content-Length", "7")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
    assert_eq!(plan.framing, ResponseFraming::Length(7));
}

#[test]
fn a_given_length_that_is_not_the_bodys_is_refused() {
    let head = ResponseHead { body: BodyLength::Known(5), ..head(200) };
    let error = ResponseError::LengthMismatch { declared: 7, actual: 5 };
    assert_eq!(refused(head, &[("content-length", b"7")]), error);
    assert_eq!(encode(head, &[("content-length", "5")]).1.framing, ResponseFraming::Length(5));
}

#[test]
fn a_given_length_is_one_number() {
    for value in ["", "5, 5", "+5", "x", "18446744073709551616"] {
        let error = refused(head(200), &[("content-length", value.as_bytes())]);
        assert_eq!(error, ResponseError::InvalidContentLength { index: 0 }, "{value:?}");
    }
    let twice: [(&str, &[u8]); 2] = [("content-length", b"0"), ("Content-Length", b"0")];
    assert_eq!(refused(head(200), &twice), ResponseError::InvalidContentLength { index: 1 });
}

/// RFC 9110 section 8.6: the length that GET or 200 would have had, and nothing else.
#[test]
fn answers_to_head_and_304_may_say_a_length_they_do_not_have() {
    let to_head = ReplyTo { method: MethodKind::Head, ..ReplyTo::UNPARSED };
    let (text, plan) = encode(ResponseHead { reply_to: to_head, ..head(200) }, &[("content-length", "7")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
    assert_eq!(plan.framing, ResponseFraming::None);
    let (text, plan) = encode(head(304), &[("content-length", "7")]);
    assert_eq!(text, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n");
    assert_eq!(plan.framing, ResponseFraming::None);
}

/// RFC 9110 section 8.6: a server MUST NOT send Content-Length in 1xx and 204.
#[test]
fn a_given_length_is_dropped_where_it_must_not_be() {
    assert_eq!(encode(head(204), &[("content-length", "7")]).0, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(encode(head(103), &[("content-length", "7")]).0, "HTTP/1.1 103 Early Hints\r\n\r\n");
}

#[test]
fn a_given_transfer_encoding_is_dropped() {
    let (text, plan) = encode(head(200), &[("Transfer-Encoding", "gzip, chunked")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(plan.framing, ResponseFraming::Length(0));
}

/// HTTP-7: a handler can close the connection.
#[test]
fn a_given_close_closes() {
    let (text, plan) = encode(head(200), &[("Connection", "Close")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(!plan.keep_alive);
}

#[test]
fn a_given_keep_alive_promises_nothing() {
    let (text, plan) = encode(ResponseHead { keep_alive: false, ..head(200) }, &[("connection", "keep-alive")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(!plan.keep_alive);
}

/// HTTP-9. RFC 9110 section 7.8: Upgrade goes with its connection option.
#[test]
fn other_connection_options_go_out() {
    let (text, _) = encode(head(101), &[("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")]);
    assert_eq!(text, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n");
}

#[test]
fn a_given_date_and_server_stand_instead_of_ours() {
    let standing = StandingHeaders::new(Some(&HeaderValue::from_static("ours")));
    let head = ResponseHead { standing: Some(&standing), ..head(200) };
    let (text, _) = encode(head, &[("Date", "then"), ("SERVER", "theirs")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ndate: then\r\nserver: theirs\r\ncontent-length: 0\r\n\r\n");
    let (text, _) = encode(head, &[("date", "then")]);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\nserver: ours\r\n\r\n");
    let (text, _) = encode(head, &[("server", "theirs")]);
    let date = "date: Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(text, format!("HTTP/1.1 200 OK\r\nserver: theirs\r\ncontent-length: 0\r\n{date}\r\n\r\n"));
}
