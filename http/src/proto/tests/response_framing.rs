//! How a response's body is framed and whether the connection goes on: the table in `response`.

use super::response::{encode, head};
use crate::proto::{BodyLength, MethodKind, ReplyTo, ResponseFraming, ResponseHead, Version};

const KNOWN: BodyLength = BodyLength::Known(5);
const UNKNOWN: BodyLength = BodyLength::Unknown;

/// The headers that speak of framing, and the framing.
fn framed(status: u16, method: MethodKind, version: Version, body: BodyLength) -> (String, ResponseFraming) {
    let head = ResponseHead { reply_to: ReplyTo { version, method }, body, ..head(status) };
    let (text, plan) = encode(head, &[]);
    let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
    (lines.collect::<Vec<_>>().join(", "), plan.framing)
}

/// RFC 9112 section 6.3, RFC 9110 section 8.6, HTTP-7.
#[test]
fn framing_follows_status_method_version_and_length() {
    use MethodKind::{Connect, Head, Other};
    use ResponseFraming::{Chunked, Length, None, UntilClose};
    use Version::{Http10, Http11};
    let table = [
        (200, Other, Http11, KNOWN, "content-length: 5", Length(5)),
        (200, Other, Http11, BodyLength::Known(0), "content-length: 0", Length(0)),
        (200, Other, Http11, UNKNOWN, "transfer-encoding: chunked", Chunked),
        (404, Other, Http11, UNKNOWN, "transfer-encoding: chunked", Chunked),
        (200, Other, Http10, KNOWN, "content-length: 5, connection: keep-alive", Length(5)),
        // RFC 9112 section 6.1: no Transfer-Encoding to a 1.0 client.
        (200, Other, Http10, UNKNOWN, "connection: close", UntilClose),
        // RFC 9110 section 9.3.2: no content in an answer to HEAD.
        (200, Head, Http11, KNOWN, "content-length: 5", None),
        (200, Head, Http11, UNKNOWN, "", None),
        (404, Head, Http10, UNKNOWN, "connection: keep-alive", None),
        // RFC 9110 section 15.3.5 and 8.6: neither content nor length in 204 and 1xx.
        (204, Other, Http11, KNOWN, "", None),
        (204, Other, Http11, UNKNOWN, "", None),
        (204, Head, Http11, KNOWN, "", None),
        (101, Other, Http11, UNKNOWN, "", None),
        (100, Other, Http11, KNOWN, "", None),
        // RFC 9110 section 15.3.6: no content in 205.
        (205, Other, Http11, KNOWN, "content-length: 0", None),
        (205, Other, Http11, UNKNOWN, "content-length: 0", None),
        // RFC 9110 section 15.4.5: no content in 304.
        (304, Other, Http11, KNOWN, "", None),
        (304, Other, Http11, UNKNOWN, "", None),
        // RFC 9110 section 9.3.6: no length in 2xx to CONNECT, after which there is a tunnel.
        (200, Connect, Http11, KNOWN, "", None),
        (299, Connect, Http10, UNKNOWN, "", None),
        (502, Connect, Http11, KNOWN, "content-length: 5", Length(5)),
    ];
    for (status, method, version, body, lines, framing) in table {
        let expected = (lines.to_owned(), framing);
        assert_eq!(framed(status, method, version, body), expected, "{status} {method:?} {version:?} {body:?}");
    }
}

/// RFC 9112 section 9.6: a server that is about to close SHOULD say so.
#[test]
fn closing_is_said_to_both_versions() {
    for version in [Version::Http10, Version::Http11] {
        let reply_to = ReplyTo { version, ..ReplyTo::UNPARSED };
        let (text, plan) = encode(ResponseHead { reply_to, keep_alive: false, ..head(200) }, &[]);
        assert!(text.contains("\r\nconnection: close\r\n"));
        assert!(!plan.keep_alive);
    }
}

/// RFC 9112 section 9.3.
#[test]
fn going_on_is_said_to_http_1_0_only() {
    let plan = |version| {
        let reply_to = ReplyTo { version, ..ReplyTo::UNPARSED };
        encode(ResponseHead { reply_to, ..head(200) }, &[])
    };
    let (text, kept) = plan(Version::Http10);
    assert!(text.contains("\r\nconnection: keep-alive\r\n") && kept.keep_alive);
    let (text, kept) = plan(Version::Http11);
    assert!(!text.contains("connection") && kept.keep_alive);
}

#[test]
fn a_body_that_ends_with_the_connection_ends_the_connection() {
    let reply_to = ReplyTo { version: Version::Http10, ..ReplyTo::UNPARSED };
    let (_, plan) = encode(ResponseHead { reply_to, body: UNKNOWN, ..head(200) }, &[]);
    assert!(!plan.keep_alive);
}
