//! The states `Data`, `DataCr` and `DataLf`, and whole bodies: RFC 9112 section 7.1.

use super::{BodyError, ChunkedDecoder, Limits, Step, body_refusal, decode, decode_cut, decode_with};

/// Bodies as clients send them, and the corners of the grammar, with what they decode to.
const GOOD: &[(&str, &str)] = &[
    ("0\r\n\r\n", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello"),
    ("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n"),
    ("5\r\n0\r\n\r\n\r\n000\r\n\r\n", "0\r\n\r\n"),
    ("3 ;a=b\r\nabc\r\n00000002\r\nde\r\n0;c\r\nT: u\r\nV:\r\n\r\n", "abcde"),
];

/// HTTP-6.
#[test]
fn a_body_is_the_same_cut_at_every_pair_of_points() {
    for (text, body) in GOOD {
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let decoded = decode_cut(bytes, &[first, second], &Limits::default());
                let expected = (body.as_bytes().to_vec(), bytes.len());
                assert_eq!(decoded, Ok(Some(expected)), "{text:?} cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_body_cut_short_anywhere_goes_on() {
    for (text, _) in GOOD {
        for len in 0..text.len() {
            assert_eq!(decode(&text[..len]), Ok(None), "{text:?} cut short at {len}");
        }
    }
}

#[test]
fn the_bytes_after_a_body_are_left_alone() {
    for (text, body) in GOOD {
        for after in ["\r\n", "0\r\n\r\n", "GET / HTTP/1.1\r\n"] {
            let both = format!("{text}{after}");
            let expected = (body.as_bytes().to_vec(), text.len());
            assert_eq!(decode(&both), Ok(Some(expected)), "{both:?}");
        }
    }
}

#[test]
fn a_decoder_that_is_done_stays_done() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    decoder.decode(b"0\r\n\r\n").unwrap();
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"5\r\nhello"), Ok(Step::Done { consumed: 0, trailers: 0..0 }));
}

/// Longer data than announced is the other half of a smuggling attack.
#[test]
fn data_is_followed_by_cr_lf_and_nothing_else() {
    assert_eq!(body_refusal("1\r\nab\r\n0\r\n\r\n"), BodyError::MissingChunkEnd { at: 4 });
    assert_eq!(body_refusal("1\r\na\n0\r\n\r\n"), BodyError::MissingChunkEnd { at: 4 });
    assert_eq!(body_refusal("1\r\na\r0\r\n\r\n"), BodyError::MissingChunkEnd { at: 5 });
    assert_eq!(body_refusal("1\r\na0\r\n\r\n"), BodyError::MissingChunkEnd { at: 4 });
    assert_eq!(body_refusal("1\r\na\r\n\r\n").status(), 400);
}

#[test]
fn a_body_may_be_as_long_as_its_limit_and_no_longer() {
    let limits = Limits { body_bytes: 5, ..Limits::default() };
    assert_eq!(decode_with(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", &limits).unwrap().unwrap().0, b"abcde");
    let error = decode_with(b"2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n", &limits).unwrap_err();
    assert_eq!(error, BodyError::BodyTooLarge { limit: 5 });
    assert_eq!(error.status(), 413);
}

#[test]
fn a_body_that_will_be_too_long_is_refused_at_the_size() {
    let limits = Limits { body_bytes: 5, ..Limits::default() };
    assert_eq!(decode_with(b"6\r\n", &limits), Err(BodyError::BodyTooLarge { limit: 5 }));
}
