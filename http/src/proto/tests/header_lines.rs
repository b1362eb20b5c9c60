//! Header lines: RFC 9112 section 5.

use super::{HeadError, Limits, Parsed, head_of, parse_with, refusal, with_header};
use crate::proto::{HeadView, SyntaxFault};

/// Where the line given to `with_header` starts.
const LINE: usize = "POST / HTTP/1.1\r\nHost: a\r\n".len();

fn fault(line: &str) -> (usize, SyntaxFault) {
    match refusal(&with_header(line)) {
        HeadError::Syntax { at, fault } => (at - LINE, fault),
        error => panic!("{error:?}: {line:?}"),
    }
}

/// RFC 9112 section 5.1: a server MUST answer 400 to white space between name and colon.
#[test]
fn white_space_before_the_colon_is_refused() {
    assert_eq!(fault("Content-Length : 5"), (14, SyntaxFault::SpaceBeforeColon));
    assert_eq!(fault("Transfer-Encoding\t: chunked"), (17, SyntaxFault::SpaceBeforeColon));
    assert_eq!(fault("X \t : y"), (1, SyntaxFault::SpaceBeforeColon));
}

/// RFC 9112 section 5.2: a server MUST answer 400 to a folded line, or unfold it.
#[test]
fn a_folded_line_is_refused() {
    assert_eq!(fault("X: y\r\n z"), (6, SyntaxFault::FoldedLine));
    assert_eq!(fault("X: y\r\n\tz"), (6, SyntaxFault::FoldedLine));
    assert_eq!(fault("X: y\r\n \r\nZ: z"), (6, SyntaxFault::FoldedLine));
    assert_eq!(fault("X:\r\n y"), (4, SyntaxFault::FoldedLine));
}

/// RFC 9112 section 2.2: white space between the request line and the first header MUST be refused,
/// or the line ignored.
#[test]
fn white_space_before_the_first_header_is_refused() {
    let error = refusal("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
    assert_eq!(error, HeadError::Syntax { at: 16, fault: SyntaxFault::FoldedLine });
}

/// RFC 9112 section 2.2: a lone CR MUST be taken for an error or a space; a lone LF may be a line
/// end.
#[test]
fn a_line_ends_with_cr_lf_and_nothing_else() {
    let table = [
        ("X: y\nZ: z", 4, SyntaxFault::BareLineFeed),
        ("X: y \nZ: z", 5, SyntaxFault::BareLineFeed),
        ("X:\nZ: z", 2, SyntaxFault::BareLineFeed),
        ("X: y\n", 4, SyntaxFault::BareLineFeed),
        ("X: y\r\n\n", 6, SyntaxFault::BareLineFeed),
        ("X: y\rZ: z", 4, SyntaxFault::BareCarriageReturn),
        ("X: y\r\rZ: z", 4, SyntaxFault::BareCarriageReturn),
        ("X: y\r\r\nZ: z", 4, SyntaxFault::BareCarriageReturn),
        ("X:\rZ: z", 2, SyntaxFault::BareCarriageReturn),
        ("X: y\r\n\rZ: z", 6, SyntaxFault::BareCarriageReturn),
    ];
    for (line, at, expected) in table {
        assert_eq!(fault(line), (at, expected), "{line:?}");
    }
}

#[test]
fn a_head_that_ends_in_lone_line_feeds_is_refused_and_not_waited_for() {
    for text in ["GET / HTTP/1.1\r\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n"]
    {
        let HeadError::Syntax { fault, .. } = refusal(text) else { panic!("{text:?}") };
        assert_eq!(fault, SyntaxFault::BareLineFeed);
    }
}

#[test]
fn a_line_without_a_colon_is_refused() {
    assert_eq!(fault("X"), (1, SyntaxFault::MissingColon));
    assert_eq!(fault("X y"), (1, SyntaxFault::InvalidHeaderName(b' ')));
    assert_eq!(fault("chunked\r\n0"), (7, SyntaxFault::MissingColon));
}

/// RFC 9110 section 5.1: the name is a token.
#[test]
fn a_byte_that_is_not_of_a_token_is_refused_in_a_name() {
    assert_eq!(fault(": y"), (0, SyntaxFault::InvalidHeaderName(b':')));
    for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_alphanumeric()) {
        let bytes = [b"GET / HTTP/1.0\r\nAB", &[byte][..], b"C: d\r\n\r\n"].concat();
        let parsed = parse_with(&bytes, &Limits::default()).map(|(parsed, _)| parsed);
        match byte {
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' | b':' => {
                assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{byte:#04x}");
            }
            _ => assert_eq!(parsed.unwrap_err().status(), 400, "{byte:#04x}"),
        }
    }
}

/// RFC 9110 section 5.5: CR, LF and NUL MUST be refused or replaced; other controls are invalid.
#[test]
fn a_control_byte_is_refused_wherever_it_stands_in_a_value() {
    // Long enough that every way httparse has of looking at many bytes at once is used.
    for position in 0..=70 {
        let before = "v".repeat(position);
        for byte in (0..=0x1f_u8).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
            let line = format!("X: {before}{}{}", byte as char, "w".repeat(70 - position));
            assert_eq!(fault(&line), (3 + position, SyntaxFault::InvalidHeaderValue(byte)), "{line:?}");
        }
    }
}

/// RFC 9110 section 5.5: obs-text is opaque data.
#[test]
fn bytes_beyond_ascii_are_kept_in_a_value() {
    let value: Vec<u8> = (0x80..=0xff).collect();
    let bytes = [b"GET / HTTP/1.0\r\nX: ", &value[..], b"\r\n\r\n"].concat();
    let (_, head) = parse_with(&bytes, &Limits::default()).unwrap();
    assert_eq!(HeadView::new(&bytes, &head).header("x"), Some(&value[..]));
}

/// RFC 9112 section 5.1: white space around a value is not part of it.
#[test]
fn white_space_around_a_value_is_taken_off_and_kept_within() {
    for (line, value) in [("X:y", "y"), ("X: \t y \tz \t", "y \tz"), ("X:", ""), ("X: \t", "")] {
        let text = with_header(line);
        let head = head_of(&text);
        assert_eq!(HeadView::new(text.as_bytes(), &head).header("X"), Some(value.as_bytes()), "{line:?}");
    }
}
