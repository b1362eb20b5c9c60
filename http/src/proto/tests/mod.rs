//! Tests of the proto half, a file for each thing that is parsed or written.
//!
//! The helpers here feed every parser in every way bytes can arrive: at once, one at a time, in two
//! or three pieces cut anywhere, and cut short.

mod arbitrary;
mod body;
mod chunk_data;
mod chunk_encoder;
mod chunk_extension;
mod chunk_size;
mod errors;
mod framing;
mod good_heads;
mod head_limits;
mod header_lines;
mod host;
mod request_line;
mod response;
mod response_framing;
mod response_headers;
mod target;
mod trailers;
mod upstream_bugs;
mod view;

use super::{BodyError, ChunkedDecoder, HeadError, HeadParser, Parsed, RequestHead, Step};
use crate::Limits;

/// Parses a head that arrives at once.
fn parse_with(bytes: &[u8], limits: &Limits) -> Result<(Parsed, RequestHead), HeadError> {
    let mut head = RequestHead::new();
    let parsed = HeadParser::new().parse(bytes, limits, &mut head)?;
    Ok((parsed, head))
}

/// Parses a head that arrives as `bytes[..cuts[0]]`, `bytes[..cuts[1]]` and so on, then whole.
fn parse_cut(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Result<(Parsed, RequestHead), HeadError> {
    let (mut parser, mut head) = (HeadParser::new(), RequestHead::new());
    for &end in cuts {
        let parsed = parser.parse(&bytes[..end], limits, &mut head)?;
        if parsed != Parsed::Partial {
            return Ok((parsed, head));
        }
    }
    let parsed = parser.parse(bytes, limits, &mut head)?;
    Ok((parsed, head))
}

/// Parses a head that must be whole and good, however it arrives.
fn head_of(text: &str) -> RequestHead {
    let bytes = text.as_bytes();
    let limits = Limits::default();
    let (parsed, head) = parse_with(bytes, &limits).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(matches!(parsed, Parsed::Complete(_)), "{text:?} is not whole");
    head
}

/// The error of a head that must be refused, which is the same at once and one byte at a time.
fn refusal(text: &str) -> HeadError {
    refusal_with(text.as_bytes(), &Limits::default())
}

fn refusal_with(bytes: &[u8], limits: &Limits) -> HeadError {
    let shown = bytes.escape_ascii();
    let error = match parse_with(bytes, limits) {
        Ok((parsed, _)) => panic!("{parsed:?}: {shown}"),
        Err(error) => error,
    };
    let cuts: Vec<_> = (0..bytes.len()).collect();
    let slow = parse_cut(bytes, &cuts, limits).map(|(parsed, _)| parsed);
    assert_eq!(slow, Err(error.clone()), "one byte at a time: {shown}");
    error
}

/// A request with one more header line.
fn with_header(line: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

/// What a chunked body decodes to, and how many bytes it took.
type Decoded = Result<Option<(Vec<u8>, usize)>, BodyError>;

/// Decodes a body that arrives in pieces that end at `cuts`, then the rest; `None` if it goes on.
fn decode_cut(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Decoded {
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut body, mut used) = (Vec::new(), 0);
    for &end in cuts.iter().chain([&bytes.len()]) {
        loop {
            let input = &bytes[used..end.max(used)];
            let step = decoder.decode(input)?;
            assert!(step.consumed() <= input.len());
            used += step.consumed();
            match step {
                Step::Data(range) => {
                    assert!(!range.is_empty(), "data of no bytes would look like the end");
                    body.extend_from_slice(&input[range]);
                }
                Step::NeedMore { .. } => break,
                Step::Done { .. } => return Ok(Some((body, used))),
            }
        }
    }
    Ok(None)
}

/// Decodes a body at once and one byte at a time, which must come to the same.
fn decode_with(bytes: &[u8], limits: &Limits) -> Decoded {
    let at_once = decode_cut(bytes, &[], limits);
    let cuts: Vec<_> = (0..bytes.len()).collect();
    assert_eq!(decode_cut(bytes, &cuts, limits), at_once, "one byte at a time: {}", bytes.escape_ascii());
    at_once
}

fn decode(text: &str) -> Decoded {
    decode_with(text.as_bytes(), &Limits::default())
}

/// The error of a body that must be refused.
fn body_refusal(text: &str) -> BodyError {
    match decode(text) {
        Ok(decoded) => panic!("{decoded:?}: {text:?}"),
        Err(error) => error,
    }
}

/// The body of a chunked text that must be whole and good, with nothing after it.
fn body_of(text: &str) -> String {
    let (body, used) = decode(text).unwrap().expect("the body is whole");
    assert_eq!(used, text.len(), "{text:?}");
    String::from_utf8(body).unwrap()
}
