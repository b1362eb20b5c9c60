//! The status line: RFC 9112 sections 2.3 and 4.

use http::{StatusCode, Version};

use super::{LIMITS, head_of, parse_cut, refusal};
use crate::proto::MethodKind;
use crate::proto::client::{HeadLimits, MalformedResponse, StatusLineFault};

/// RFC 9112 section 4.
#[test]
fn section_4_version_status_and_reason_are_read() {
    let head = head_of("HTTP/1.1 404 No such thing\r\n\r\n");
    assert_eq!((head.version, head.status), (Version::HTTP_11, StatusCode::NOT_FOUND));
    assert_eq!(head.reason, b"No such thing");
    assert_eq!(head_of("HTTP/1.0 200 OK\r\n\r\n").version, Version::HTTP_10);
}

/// RFC 9112 section 4: the reason may be absent, and is not to be relied on.
#[test]
fn section_4_the_reason_may_be_empty_absent_or_in_any_encoding() {
    assert_eq!(head_of("HTTP/1.1 200 \r\n\r\n").reason, b"");
    assert_eq!(head_of("HTTP/1.1 200\r\n\r\n").reason, b"");
    assert_eq!(head_of("HTTP/1.1 200 \tca \u{e9}\r\n\r\n").reason, "\tca \u{e9}".as_bytes());
}

/// RFC 9110 section 15: any three digits from 100 on; what is not registered goes by its first digit.
#[test]
fn section_4_statuses_have_three_digits() {
    for status in [200, 299, 418, 599, 600, 999] {
        assert_eq!(head_of(&format!("HTTP/1.1 {status} x\r\n\r\n")).status.as_u16(), status);
    }
    let table = [("099", 9), ("000", 9), ("2 0", 10), ("20x", 11), ("+20", 9), ("-10", 9), ("0x1", 9), ("20\r", 11)];
    for (status, at) in table {
        let error = refusal(&format!("HTTP/1.1 {status} x\r\n\r\n"));
        assert_eq!(error, MalformedResponse::StatusLine { at, fault: StatusLineFault::InvalidStatus }, "{status}");
    }
}

#[test]
fn section_4_single_spaces_stand_around_the_status() {
    for (line, at) in [("HTTP/1.1\t200 OK", 8), ("HTTP/1.1x200 OK", 8), ("HTTP/1.1\r\n", 8), ("HTTP/1.1 2000 OK", 12)] {
        let error = refusal(&format!("{line}\r\n\r\n"));
        assert_eq!(error, MalformedResponse::StatusLine { at, fault: StatusLineFault::MissingSpace }, "{line:?}");
    }
    let error = refusal("HTTP/1.1  200 OK\r\n\r\n");
    assert_eq!(error, MalformedResponse::StatusLine { at: 9, fault: StatusLineFault::InvalidStatus });
}

/// RFC 9112 section 2.2.
#[test]
fn section_2_2_the_line_ends_with_cr_lf_and_nothing_else() {
    let table = [
        ("HTTP/1.1 200 OK\n\r\n", 15, StatusLineFault::BareLineFeed),
        ("HTTP/1.1 200 OK\n\n", 15, StatusLineFault::BareLineFeed),
        ("HTTP/1.1 200\n\n", 12, StatusLineFault::BareLineFeed),
        ("HTTP/1.1 200 OK\rX: y\r\n\r\n", 15, StatusLineFault::BareCarriageReturn),
        ("HTTP/1.1 200 OK\r\r\n\r\n", 15, StatusLineFault::BareCarriageReturn),
        ("HTTP/1.1 200 O\0K\r\n\r\n", 14, StatusLineFault::InvalidReason(0)),
        ("HTTP/1.1 200 O\x7fK\r\n\r\n", 14, StatusLineFault::InvalidReason(0x7f)),
    ];
    for (text, at, fault) in table {
        assert_eq!(refusal(text), MalformedResponse::StatusLine { at, fault }, "{text:?}");
    }
}

/// RFC 9112 section 2.3: the name is in capitals; a version we do not speak is told from what is no version.
#[test]
fn section_2_3_only_http_1_is_read() {
    for text in ["HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/0.9 200 OK\r\n\r\n", "HTTP/9.1 "] {
        assert_eq!(refusal(text), MalformedResponse::UnsupportedVersion, "{text:?}");
    }
    for text in ["http/1.1 200 OK\r\n\r\n", "HTTP/11 200 OK", "HTTP/1,1 200", "HTTP/x.1", "ICY 200 OK\r\n\r\n"] {
        assert_eq!(refusal(text), MalformedResponse::NotHttp, "{text:?}");
    }
}

/// HTTP/0.9 has no head. That, and what servers of other protocols say first, is known by the first byte that is wrong.
#[test]
fn section_4_what_does_not_begin_as_http_is_refused_at_once() {
    let all = [
        "<html>",
        "\0",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200",
        "SSH-2.0-x\r\n",
        "HTTX",
        "\x16\x03\x01",
        "H\n",
    ];
    for text in all {
        assert_eq!(refusal(text), MalformedResponse::NotHttp, "{text:?}");
    }
}

/// A reason without end is as long as a head may be and no longer.
#[test]
fn a_reason_counts_to_the_head() {
    let limits = HeadLimits { bytes: 100, ..LIMITS };
    let parse = |reason: usize| {
        let text = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(reason));
        parse_cut(text.as_bytes(), &[], MethodKind::Other, &limits)
    };
    assert_eq!(parse(83).unwrap().unwrap().len, 100);
    assert_eq!(parse(84).unwrap_err(), MalformedResponse::HeadTooLarge { limit: 100 });
    assert_eq!(parse(1000).unwrap_err(), MalformedResponse::HeadTooLarge { limit: 100 });
}
