//! The request line: RFC 9112 section 3.

use super::{HeadError, HeadParser, Limits, Parsed, head_of, parse_with, refusal, refusal_with};
use crate::proto::{HeadView, SyntaxFault, Version};

fn fault(text: &str) -> (usize, SyntaxFault) {
    match refusal(text) {
        HeadError::Syntax { at, fault } => (at, fault),
        error => panic!("{error:?}: {text:?}"),
    }
}

/// RFC 9112 section 3: the parts are set apart by single spaces, and a recipient that is lenient
/// about it invites attacks.
#[test]
fn the_parts_of_the_line_are_one_space_apart() {
    let table = [
        ("GET  / HTTP/1.0\r\n\r\n", 4, SyntaxFault::MissingTarget),
        ("GET /  HTTP/1.0\r\n\r\n", 6, SyntaxFault::InvalidVersion),
        ("GET\t/ HTTP/1.0\r\n\r\n", 3, SyntaxFault::InvalidMethod(b'\t')),
        ("GET /\tHTTP/1.0\r\n\r\n", 5, SyntaxFault::InvalidTargetByte(b'\t')),
        ("GET / HTTP/1.0 \r\n\r\n", 6, SyntaxFault::InvalidVersion),
        (" GET / HTTP/1.0\r\n\r\n", 0, SyntaxFault::InvalidMethod(b' ')),
        ("GET / x HTTP/1.0\r\n\r\n", 6, SyntaxFault::InvalidVersion),
    ];
    for (text, at, expected) in table {
        assert_eq!(fault(text), (at, expected), "{text:?}");
    }
}

/// HTTP-1: a malformed request line is answered with 400. HTTP/0.9 is not spoken.
#[test]
fn a_line_with_a_part_missing_is_refused() {
    let table = [
        ("GET\r\n\r\n", 3, SyntaxFault::MissingTarget),
        ("GET \r\n\r\n", 4, SyntaxFault::MissingTarget),
        ("GET /\r\n\r\n", 5, SyntaxFault::MissingVersion),
        ("GET / \r\n\r\n", 6, SyntaxFault::MissingVersion),
        (": / HTTP/1.0\r\n\r\n", 0, SyntaxFault::InvalidMethod(b':')),
    ];
    for (text, at, expected) in table {
        assert_eq!(fault(text), (at, expected), "{text:?}");
        assert_eq!(refusal(text).status(), 400);
    }
}

/// RFC 9112 section 2.2: a recipient may take a lone LF for a line end; this one does not.
#[test]
fn the_line_ends_with_cr_lf_and_nothing_else() {
    let table = [
        ("GET / HTTP/1.0\n\r\n", 14, SyntaxFault::BareLineFeed),
        ("GET / HTTP/1.0\n\n", 14, SyntaxFault::BareLineFeed),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 14, SyntaxFault::BareLineFeed),
        ("GET / HTTP/1.0\r\r\n\r\n", 14, SyntaxFault::BareCarriageReturn),
        ("GET / HTTP/1.0\rX: y\r\n\r\n", 14, SyntaxFault::BareCarriageReturn),
    ];
    for (text, at, expected) in table {
        assert_eq!(fault(text), (at, expected), "{text:?}");
    }
}

#[test]
fn a_line_end_on_its_own_before_the_line_is_refused() {
    assert_eq!(fault("\nGET / HTTP/1.0\r\n\r\n"), (0, SyntaxFault::BareLineFeed));
    assert_eq!(fault("\rGET / HTTP/1.0\r\n\r\n"), (0, SyntaxFault::BareCarriageReturn));
    assert_eq!(fault("\r\n\nGET / HTTP/1.0\r\n\r\n"), (2, SyntaxFault::BareLineFeed));
}

/// RFC 9110 section 9.1: the method is a token.
#[test]
fn a_byte_that_is_not_of_a_token_is_refused_in_a_method() {
    for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_alphanumeric()) {
        let bytes = [b"AB", &[byte][..], b"C / HTTP/1.0\r\n\r\n"].concat();
        let parsed = parse_with(&bytes, &Limits::default()).map(|(parsed, _)| parsed);
        if b"!#$%&'*+-.^_`|~".contains(&byte) {
            assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{byte:#04x}");
        } else {
            assert_eq!(parsed.unwrap_err().status(), 400, "{byte:#04x}");
        }
    }
}

/// RFC 9112 section 3: a method longer than any implemented SHOULD be answered with 501.
#[test]
fn a_method_that_is_too_long_is_answered_with_501() {
    let limit = HeadParser::MAX_METHOD_BYTES;
    head_of(&format!("{} / HTTP/1.0\r\n\r\n", "M".repeat(limit)));
    let error = refusal(&format!("{} / HTTP/1.0\r\n\r\n", "M".repeat(limit + 1)));
    assert_eq!(error, HeadError::MethodTooLong { limit });
    assert_eq!(error.status(), 501);
}

#[test]
fn a_method_that_is_too_long_is_refused_before_its_end() {
    let limit = HeadParser::MAX_METHOD_BYTES;
    assert_eq!(refusal(&"M".repeat(limit + 1)), HeadError::MethodTooLong { limit });
}

/// RFC 9110 section 9.1: methods are case-sensitive.
#[test]
fn the_method_is_kept_as_sent() {
    let text = "get / HTTP/1.0\r\n\r\n";
    assert_eq!(HeadView::new(text.as_bytes(), &head_of(text)).method(), "get");
}

#[test]
fn both_versions_are_told_apart() {
    assert_eq!(head_of("GET / HTTP/1.0\r\n\r\n").version(), Version::Http10);
    assert_eq!(head_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n").version(), Version::Http11);
}

/// RFC 9110 section 15.6.6; the last is the preface of HTTP/2, RFC 9113 section 3.4.
#[test]
fn another_version_is_answered_with_505() {
    let table = [
        ("GET / HTTP/2.0\r\n\r\n", 6),
        ("GET / HTTP/1.2\r\n\r\n", 6),
        ("GET / HTTP/0.9\r\n\r\n", 6),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 6),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 6),
    ];
    for (text, at) in table {
        let error = refusal(text);
        assert_eq!(error, HeadError::UnsupportedVersion { at }, "{text:?}");
        assert_eq!(error.status(), 505);
    }
}

/// RFC 9112 section 2.3: HTTP-version is case-sensitive and has one digit each.
#[test]
fn what_is_no_version_is_answered_with_400() {
    for version in ["http/1.1", "HTTP/1.10", "HTTP/1.", "HTTP/1", "HTTP/11", "HTTP/+1.1", "HTTP 1.1", "HTTP/D.D", "x"] {
        let text = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(fault(&text), (6, SyntaxFault::InvalidVersion), "{text:?}");
        assert_eq!(refusal(&text).status(), 400);
    }
}

#[test]
fn bytes_that_are_not_http_at_all_are_refused_at_the_first() {
    let hello = b"\x16\x03\x01\x02\x00\x01";
    let error = HeadError::Syntax { at: 0, fault: SyntaxFault::InvalidMethod(0x16) };
    assert_eq!(refusal_with(hello, &Limits::default()), error);
}
