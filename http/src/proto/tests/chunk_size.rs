//! The state `Size`: RFC 9112 section 7.1.

use super::{BodyError, Limits, body_of, body_refusal, decode_with};

#[test]
fn a_size_is_hexadecimal_in_either_case() {
    assert_eq!(body_of("a\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
    assert_eq!(body_of("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789");
    assert_eq!(body_of(&format!("1f\r\n{0}\r\n1F\r\n{0}\r\n0\r\n\r\n", "x".repeat(31))), "x".repeat(62));
}

#[test]
fn leading_zeros_are_part_of_the_grammar_up_to_sixteen_digits() {
    assert_eq!(body_of("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n"), "abc");
    assert_eq!(body_refusal("00000000000000003\r\nabc\r\n0\r\n\r\n"), BodyError::ChunkSizeTooLong { at: 16 });
}

/// RFC 9112 section 7.1: a recipient MUST anticipate large sizes and prevent overflow.
#[test]
fn a_size_of_sixteen_digits_does_not_overflow() {
    let limits = Limits { body_bytes: u64::MAX, ..Limits::default() };
    assert_eq!(decode_with(b"ffffffffffffffff\r\nab", &limits), Ok(None));
    assert_eq!(
        decode_with(b"1\r\na\r\nffffffffffffffff\r\nab", &limits),
        Err(BodyError::BodyTooLarge { limit: u64::MAX })
    );
    assert_eq!(body_refusal("10000000000000000\r\n"), BodyError::ChunkSizeTooLong { at: 16 });
}

#[test]
fn what_is_no_size_is_refused() {
    for text in [
        "\r\n", ";x\r\n", "g\r\n", "-1\r\n", "+1\r\n", " 1\r\n", "0x1\r\n", "1_0\r\n", "1.0\r\n", "\n", "\0\r\n",
        "5,\r\n",
    ] {
        let at = text.bytes().position(|byte| !byte.is_ascii_hexdigit()).unwrap() as u64;
        let error = body_refusal(text);
        assert_eq!(error, BodyError::InvalidChunkSize { at }, "{text:?}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn a_size_line_ends_with_cr_lf_and_nothing_else() {
    assert_eq!(body_refusal("1\na\n0\n\n"), BodyError::InvalidChunkSize { at: 1 });
    assert_eq!(body_refusal("1\r\r\na"), BodyError::MissingChunkEnd { at: 2 });
    assert_eq!(body_refusal("1\ra"), BodyError::MissingChunkEnd { at: 2 });
    assert_eq!(body_refusal("0\n\r\n"), BodyError::InvalidChunkSize { at: 1 });
}

/// White space after a size is for a `;` only; a line padded with spaces is two things to two
/// recipients.
#[test]
fn a_padded_size_is_refused() {
    assert_eq!(body_refusal("1 \r\na"), BodyError::InvalidChunkSize { at: 2 });
    assert_eq!(body_refusal("1 1\r\na"), BodyError::InvalidChunkSize { at: 2 });
}
