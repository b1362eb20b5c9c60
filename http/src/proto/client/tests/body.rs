//! Bodies of answers: RFC 9112 sections 6.3, 7.1 and 8. What chunks may look like is tested with the server's half.

use crate::Limits;
use crate::proto::client::ResponseDecoder;
use crate::proto::{BodyError, ResponseFraming, Step};

fn decoder(framing: ResponseFraming) -> ResponseDecoder {
    ResponseDecoder::new(framing, &Limits::default()).unwrap()
}

fn small() -> Limits {
    Limits { body_bytes: 5, ..Limits::default() }
}

/// RFC 9112 section 6.3, item 8.
#[test]
fn section_6_3_a_body_without_a_length_goes_on_to_the_end_of_the_stream() {
    let mut decoder = decoder(ResponseFraming::UntilClose);
    assert_eq!(decoder.decode(b""), Ok(Step::NeedMore { consumed: 0 }));
    assert_eq!(decoder.decode(b"abc"), Ok(Step::Data(0..3)));
    assert_eq!((decoder.is_done(), decoder.left()), (false, None));
    assert_eq!(decoder.end_of_stream(0), Ok(()));
}

#[test]
fn section_6_3_a_body_of_known_length_ends_there() {
    let mut decoder = decoder(ResponseFraming::Length(5));
    assert_eq!(decoder.decode(b"abc"), Ok(Step::Data(0..3)));
    assert_eq!((decoder.is_done(), decoder.left()), (false, Some(2)));
    assert_eq!(decoder.decode(b"deHTTP"), Ok(Step::Data(0..2)));
    assert!(decoder.is_done());
    assert!(self::decoder(ResponseFraming::Length(0)).is_done());
    assert!(self::decoder(ResponseFraming::None).is_done());
}

#[test]
fn section_7_1_a_chunked_body_ends_after_its_trailers() {
    let mut decoder = decoder(ResponseFraming::Chunked);
    assert_eq!(decoder.decode(b"1\r\na\r\n"), Ok(Step::Data(3..4)));
    assert_eq!(decoder.decode(b"\r\n0\r\nA: b\r\n\r\nHTTP"), Ok(Step::Done { consumed: 13, trailers: 5..11 }));
    assert!(decoder.is_done());
}

/// RFC 9112 section 8: a client MUST take such an answer for incomplete.
#[test]
fn section_8_a_stream_that_ends_within_a_framed_body_is_an_error() {
    let mut known = decoder(ResponseFraming::Length(5));
    known.decode(b"abc").unwrap();
    assert_eq!(known.end_of_stream(0), Err(BodyError::UnexpectedEnd { at: 3 }));
    let mut chunked = decoder(ResponseFraming::Chunked);
    chunked.decode(b"1\r\na").unwrap();
    chunked.decode(b"\r\n").unwrap();
    assert_eq!(chunked.end_of_stream(0), Err(BodyError::UnexpectedEnd { at: 6 }));
    chunked.decode(b"0\r\n").unwrap();
    assert_eq!(chunked.end_of_stream(0), Err(BodyError::UnexpectedEnd { at: 9 }));
}

#[test]
fn a_body_over_its_limit_is_refused_in_every_framing() {
    let too_large = BodyError::BodyTooLarge { limit: 5 };
    assert_eq!(ResponseDecoder::new(ResponseFraming::Length(6), &small()).unwrap_err(), too_large);
    assert!(ResponseDecoder::new(ResponseFraming::Length(5), &small()).is_ok());
    let mut chunked = ResponseDecoder::new(ResponseFraming::Chunked, &small()).unwrap();
    assert_eq!(chunked.decode(b"6\r\nabcdef"), Err(too_large.clone()));
    let mut open = ResponseDecoder::new(ResponseFraming::UntilClose, &small()).unwrap();
    assert_eq!(open.decode(b"abcde"), Ok(Step::Data(0..5)));
    assert_eq!(open.decode(b"f"), Err(too_large));
}
