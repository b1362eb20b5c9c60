//! Whole response heads.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode};

use super::head_of;
use crate::proto::{
    BodyLength, CONTINUE, ReplyTo, ResponseFraming, ResponseHead, ResponsePlan, StandingHeaders, Version,
};

/// A head for a request that asked for nothing special.
pub(super) fn head(status: u16) -> ResponseHead<'static> {
    ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        reply_to: ReplyTo::UNPARSED,
        body: BodyLength::Known(0),
        keep_alive: true,
        prepared: &[],
        standing: None,
    }
}

/// Headers as the encoder takes them.
pub(super) fn headers(given: &[(&str, &[u8])]) -> Vec<(HeaderName, HeaderValue)> {
    given.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())).collect()
}

/// What is written, and the plan that comes with it.
pub(super) fn encode(head: ResponseHead<'_>, given: &[(&str, &str)]) -> (String, ResponsePlan) {
    let mut out = Vec::new();
    let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let plan = head.encode(headers(&given).iter().map(|(name, value)| (name, value)), &mut out).unwrap();
    (String::from_utf8(out).unwrap(), plan)
}

#[test]
fn a_head_has_the_given_headers_then_ours() {
    let mut standing = StandingHeaders::new(Some(&HeaderValue::from_static("grapeshot")));
    standing.update(UNIX_EPOCH + Duration::from_secs(784_111_777));
    let prepared = b"content-type: text/plain\r\n";
    let head = ResponseHead { body: BodyLength::Known(13), prepared, standing: Some(&standing), ..head(200) };
    let (text, plan) = encode(head, &[("X-A", "")]);
    let expected = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-a: \r\ncontent-length: 13\r\n\
                    date: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: grapeshot\r\n\r\n";
    assert_eq!(text, expected);
    assert_eq!(plan, ResponsePlan { framing: ResponseFraming::Length(13), keep_alive: true });
}

#[test]
fn a_head_is_appended_to_what_is_there() {
    let mut out = b"earlier".to_vec();
    head(200).encode([(&HeaderName::from_static("a"), &HeaderValue::from_static("b"))], &mut out).unwrap();
    assert_eq!(out, b"earlierHTTP/1.1 200 OK\r\na: b\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn headers_may_be_a_map() {
    let mut map = http::HeaderMap::new();
    map.insert("x-a", "b".parse().unwrap());
    let mut out = Vec::new();
    head(200).encode(&map, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 0\r\n\r\n");
}

/// RFC 9112 section 4: the space after the code is sent even where there is no phrase.
#[test]
fn the_status_line_has_code_and_phrase() {
    for (status, line) in [
        (200, "HTTP/1.1 200 OK\r\n"),
        (404, "HTTP/1.1 404 Not Found\r\n"),
        (431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (599, "HTTP/1.1 599 \r\n"),
        (999, "HTTP/1.1 999 \r\n"),
    ] {
        assert!(encode(head(status), &[]).0.starts_with(line));
    }
}

/// RFC 9110 section 2.5: a server names the highest version it speaks of the same major version.
#[test]
fn the_version_is_ours_whatever_the_requests() {
    let reply_to = ReplyTo { version: Version::Http10, ..ReplyTo::UNPARSED };
    assert!(encode(ResponseHead { reply_to, ..head(200) }, &[]).0.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// HTTP-7. RFC 9110 section 6.6.1: a date is not for 1xx.
#[test]
fn a_1xx_has_neither_date_nor_connection() {
    let standing = StandingHeaders::new(None);
    let head = ResponseHead { standing: Some(&standing), keep_alive: false, ..head(103) };
    assert_eq!(encode(head, &[("link", "</a>")]).0, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}

/// RFC 9110 section 15.2.1.
#[test]
fn continue_is_a_head_of_its_own() {
    assert_eq!(encode(head(100), &[]).0.as_bytes(), CONTINUE);
}

#[test]
fn what_a_response_depends_on_is_taken_from_the_request() {
    use crate::proto::MethodKind;
    let table = [
        ("HEAD / HTTP/1.0\r\n\r\n", Version::Http10, MethodKind::Head),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Version::Http11, MethodKind::Connect),
        ("head / HTTP/1.1\r\nHost: a\r\n\r\n", Version::Http11, MethodKind::Other),
    ];
    for (text, version, method) in table {
        assert_eq!(ReplyTo::from(&head_of(text)), ReplyTo { version, method });
    }
}
