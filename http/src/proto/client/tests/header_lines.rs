//! Header lines: RFC 9112 sections 2.2 and 5.

use super::{LIMITS, STATUS_LINE, head_of, parse_to, refusal, with_headers};
use crate::proto::client::{HeadLimits, MalformedResponse};
use crate::proto::{MethodKind, SyntaxFault};

fn fault(lines: &str) -> (usize, SyntaxFault) {
    match refusal(&with_headers(lines)) {
        MalformedResponse::Syntax { at, fault } => (at - STATUS_LINE.len(), fault),
        error => panic!("{error:?}: {lines:?}"),
    }
}

/// RFC 9112 section 5: white space around values is no part of them, and names are told apart without regard to case.
#[test]
fn section_5_headers_are_read_in_their_order() {
    let head = head_of(&with_headers("X-One: 1\r\nEmpty:\r\nx-one:\t two \t\r\nServer: \u{e9}"));
    let all: Vec<_> = head.headers.get_all("x-one").iter().collect();
    assert_eq!(all, ["1", "two"]);
    assert_eq!(head.headers["empty"], "");
    assert_eq!(head.headers["server"].as_bytes(), "\u{e9}".as_bytes());
    assert_eq!(head.headers.len(), 4);
}

#[test]
fn section_5_an_answer_may_have_no_headers() {
    let head = head_of("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1");
    assert!(head.headers.is_empty());
    assert_eq!(head.len, STATUS_LINE.len() + 2);
}

/// RFC 9112 section 5.1: a proxy MUST remove such white space; we are nobody's proxy, and refuse it.
#[test]
fn section_5_1_white_space_before_the_colon_is_refused() {
    assert_eq!(fault("Content-Length : 5"), (14, SyntaxFault::SpaceBeforeColon));
    assert_eq!(fault("Transfer-Encoding\t: chunked"), (17, SyntaxFault::SpaceBeforeColon));
}

/// RFC 9112 section 5.2: a user agent MUST replace a fold by spaces, or refuse the message.
#[test]
fn section_5_2_a_folded_line_is_refused() {
    assert_eq!(fault("X: y\r\n z"), (6, SyntaxFault::FoldedLine));
    assert_eq!(fault("X: y\r\n\tContent-Length: 5"), (6, SyntaxFault::FoldedLine));
    assert_eq!(fault(" X: y"), (0, SyntaxFault::FoldedLine));
}

/// RFC 9112 section 2.2: a lone CR MUST be taken for an error or a space; a lone LF may be a line end.
#[test]
fn section_2_2_a_line_ends_with_cr_lf_and_nothing_else() {
    let table = [
        ("X: y\nZ: z", 4, SyntaxFault::BareLineFeed),
        ("X:\nZ: z", 2, SyntaxFault::BareLineFeed),
        ("X: y\r\n\n", 6, SyntaxFault::BareLineFeed),
        ("X: y\rZ: z", 4, SyntaxFault::BareCarriageReturn),
        ("X: y\r\r\nZ: z", 4, SyntaxFault::BareCarriageReturn),
        ("X: y\r\n\rZ: z", 6, SyntaxFault::BareCarriageReturn),
        ("X: a\0b", 4, SyntaxFault::InvalidHeaderValue(0)),
    ];
    for (lines, at, expected) in table {
        assert_eq!(fault(lines), (at, expected), "{lines:?}");
    }
    for text in ["HTTP/1.1 200 OK\r\n\n", "HTTP/1.1 200 OK\r\nA: b\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n\n"] {
        let error = refusal(text);
        assert!(matches!(error, MalformedResponse::Syntax { fault: SyntaxFault::BareLineFeed, .. }), "{text:?}");
    }
}

#[test]
fn section_5_a_line_is_a_token_a_colon_and_a_value() {
    assert_eq!(fault("X"), (1, SyntaxFault::MissingColon));
    assert_eq!(fault(": y"), (0, SyntaxFault::InvalidHeaderName(b':')));
    assert_eq!(fault("X(y): z"), (1, SyntaxFault::InvalidHeaderName(b'(')));
    assert_eq!(fault("\u{e9}: z"), (0, SyntaxFault::InvalidHeaderName(0xc3)));
}

#[test]
fn a_head_has_as_many_lines_as_its_limit_and_no_more() {
    let limits = HeadLimits { count: 3, ..LIMITS };
    let parse = |count: usize| {
        let text = format!("{STATUS_LINE}{}\r\n", "A: b\r\n".repeat(count));
        parse_to(MethodKind::Other, &text, &limits)
    };
    assert_eq!(parse(3).unwrap().unwrap().headers.len(), 3);
    assert_eq!(parse(4).unwrap_err(), MalformedResponse::TooManyHeaders { limit: 3 });
}

#[test]
fn a_head_has_as_many_bytes_as_its_limit_and_no_more() {
    let text = with_headers("A: bbbbbbbb");
    let parse = |bytes| parse_to(MethodKind::Other, &text, &HeadLimits { bytes, ..LIMITS });
    assert_eq!(parse(text.len()).unwrap().unwrap().len, text.len());
    let limit = text.len() - 1;
    assert_eq!(parse(limit).unwrap_err(), MalformedResponse::HeadTooLarge { limit });
}
