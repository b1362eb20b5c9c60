//! A head that comes in pieces, or not to its end: RFC 9112 section 8.

use super::{LIMITS, head_of, parse_cut, shown};
use crate::proto::MethodKind;

const HEAD: &str = "HTTP/1.1 200 All right\r\nContent-Length: 5\r\nX: y\r\nConnection: close\r\n\r\n";

#[test]
fn section_8_a_head_cut_short_anywhere_goes_on() {
    for len in 0..HEAD.len() {
        let outcome = parse_cut(&HEAD.as_bytes()[..len], &[], MethodKind::Other, &LIMITS);
        assert!(matches!(outcome, Ok(None)), "{len} bytes: {outcome:?}");
    }
}

#[test]
fn a_head_is_the_same_in_any_three_pieces() {
    let whole = shown(&Ok(Some(head_of(HEAD))));
    for first in 0..HEAD.len() {
        for second in first..HEAD.len() {
            let outcome = parse_cut(HEAD.as_bytes(), &[first, second], MethodKind::Other, &LIMITS);
            assert_eq!(shown(&outcome), whole, "cut at {first} and {second}");
        }
    }
}

/// What follows is left to whoever decodes the body, or parses the next head.
#[test]
fn a_head_takes_no_byte_of_what_follows() {
    for after in ["hello", "\r\n", "\n", "HTTP/1.1 200 OK\r\n\r\n", "\0"] {
        assert_eq!(head_of(&format!("{HEAD}{after}")).len, HEAD.len(), "{after:?}");
    }
}
