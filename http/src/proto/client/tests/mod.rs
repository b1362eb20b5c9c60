//! Tests of the client's half without I/O, a file for each section of RFC 9112 or thing that is parsed or written.
//!
//! The helpers feed the parser in every way bytes can arrive: at once, one at a time, cut anywhere, and cut short.

mod arbitrary;
mod arrival;
mod body;
mod framing;
mod header_lines;
mod persistence;
mod request;
mod status_line;
mod url;

use super::{HeadLimits, MalformedResponse, ReceivedHead, ResponseParser};
use crate::proto::MethodKind;

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, count: 20 };

/// What parsing came to, without what cannot be compared.
type Outcome = Result<Option<ReceivedHead>, MalformedResponse>;

/// Parses the answer to a request with `method` that arrives as `bytes[..cuts[0]]`, `bytes[..cuts[1]]` and so on, then whole.
fn parse_cut(bytes: &[u8], cuts: &[usize], method: MethodKind, limits: &HeadLimits) -> Outcome {
    let mut parser = ResponseParser::new();
    for &end in cuts {
        if let Some(head) = parser.parse(&bytes[..end], method, limits)? {
            return Ok(Some(head));
        }
    }
    parser.parse(bytes, method, limits)
}

/// Parses at once and one byte at a time, which must come to the same.
fn parse_to(method: MethodKind, text: &str, limits: &HeadLimits) -> Outcome {
    let bytes = text.as_bytes();
    let at_once = parse_cut(bytes, &[], method, limits);
    let cuts: Vec<_> = (0..bytes.len()).collect();
    let slowly = parse_cut(bytes, &cuts, method, limits);
    assert_eq!(shown(&slowly), shown(&at_once), "one byte at a time: {text:?}");
    at_once
}

/// All there is to an outcome, as text.
fn shown(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// The head of an answer to GET that must be whole and good.
fn head_of(text: &str) -> ReceivedHead {
    head_to(MethodKind::Other, text)
}

fn head_to(method: MethodKind, text: &str) -> ReceivedHead {
    match parse_to(method, text, &LIMITS) {
        Ok(Some(head)) => head,
        outcome => panic!("{outcome:?}: {text:?}"),
    }
}

/// The error of an answer to GET that must be refused.
fn refusal(text: &str) -> MalformedResponse {
    refusal_to(MethodKind::Other, text)
}

fn refusal_to(method: MethodKind, text: &str) -> MalformedResponse {
    match parse_to(method, text, &LIMITS) {
        Err(error) => error,
        outcome => panic!("{outcome:?}: {text:?}"),
    }
}

const STATUS_LINE: &str = "HTTP/1.1 200 OK\r\n";

/// An answer with these header lines.
fn with_headers(lines: &str) -> String {
    format!("{STATUS_LINE}{lines}\r\n\r\n")
}
