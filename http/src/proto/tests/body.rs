//! Bodies of any framing.

use super::{BodyError, Limits, Step};
use crate::proto::{BodyDecoder, BodyFraming};

fn decoder(framing: BodyFraming) -> BodyDecoder {
    BodyDecoder::new(framing, &Limits::default())
}

#[test]
fn no_body_is_over_at_once() {
    let mut decoder = decoder(BodyFraming::None);
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"GET"), Ok(Step::Done { consumed: 0, trailers: 0..0 }));
    assert_eq!(decoder.end_of_stream(3), Ok(()));
}

#[test]
fn a_body_of_known_length_ends_at_its_length() {
    let mut decoder = decoder(BodyFraming::Length(5));
    assert_eq!(decoder.decode(b""), Ok(Step::NeedMore { consumed: 0 }));
    assert_eq!(decoder.decode(b"abc"), Ok(Step::Data(0..3)));
    assert_eq!((decoder.left(), decoder.is_done()), (Some(2), false));
    assert_eq!(decoder.decode(b"deGET"), Ok(Step::Data(0..2)));
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"GET"), Ok(Step::Done { consumed: 0, trailers: 0..0 }));
}

#[test]
fn a_chunked_body_ends_where_it_says() {
    let mut decoder = decoder(BodyFraming::Chunked);
    assert_eq!(decoder.decode(b"1\r\na\r\n0\r\n\r\nGET"), Ok(Step::Data(3..4)));
    assert_eq!((decoder.left(), decoder.is_done()), (None, false));
    assert_eq!(decoder.decode(b"\r\n0\r\n\r\nGET"), Ok(Step::Done { consumed: 7, trailers: 7 - 2..7 - 2 }));
    assert_eq!((decoder.left(), decoder.is_done()), (Some(0), true));
}

/// RFC 9112 section 8: a body cut off by the end of the stream is incomplete.
#[test]
fn the_stream_may_end_after_a_body_and_not_within_one() {
    let mut known = decoder(BodyFraming::Length(5));
    known.decode(b"abc").unwrap();
    assert_eq!(known.end_of_stream(0), Err(BodyError::UnexpectedEnd { at: 3 }));
    known.decode(b"de").unwrap();
    assert_eq!(known.end_of_stream(0), Ok(()));

    let mut chunked = decoder(BodyFraming::Chunked);
    chunked.decode(b"1\r\na").unwrap();
    assert_eq!(chunked.end_of_stream(0), Err(BodyError::UnexpectedEnd { at: 4 }));
    chunked.decode(b"\r\n0\r\nA: b").unwrap();
    assert_eq!(chunked.end_of_stream(4), Err(BodyError::UnexpectedEnd { at: 13 }));
    chunked.decode(b"A: b\r\n\r\n").unwrap();
    assert_eq!(chunked.end_of_stream(0), Ok(()));
}

#[test]
fn an_error_says_where_in_all_pieces_together() {
    let mut decoder = decoder(BodyFraming::Chunked);
    decoder.decode(b"1\r\na").unwrap();
    decoder.decode(b"\r\n2").unwrap();
    assert_eq!(decoder.decode(b"x"), Err(BodyError::InvalidChunkSize { at: 7 }));
}
