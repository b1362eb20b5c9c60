//! The state `Trailers`: RFC 9112 section 7.1.2, RFC 9110 section 6.5.

use super::{BodyError, ChunkedDecoder, Limits, Step, body_refusal, decode_with};
use crate::proto::SyntaxFault;

/// Offset of the trailer section in `with_trailers`.
const START: u64 = 3;

fn with_trailers(lines: &str) -> String {
    format!("0\r\n{lines}\r\n")
}

fn fault(lines: &str) -> (u64, SyntaxFault) {
    match body_refusal(&with_trailers(lines)) {
        BodyError::TrailerSyntax { at, fault } => (at - START, fault),
        error => panic!("{error:?}: {lines:?}"),
    }
}

#[test]
fn trailers_end_the_body_and_are_handed_on() {
    let text = with_trailers("Digest: abc\r\nX-Empty:\r\n");
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    let step = decoder.decode(text.as_bytes()).unwrap();
    let Step::Done { consumed, trailers } = step else { panic!("{step:?}") };
    assert_eq!(consumed, text.len());
    assert_eq!(&text[trailers], "Digest: abc\r\nX-Empty:\r\n");
}

#[test]
fn a_section_that_is_not_whole_is_left_in_the_input() {
    let mut decoder = ChunkedDecoder::new(&Limits::default());
    assert_eq!(decoder.decode(b"0\r\nA: b\r\n"), Ok(Step::NeedMore { consumed: 3 }));
    assert_eq!(decoder.decode(b"A: b\r\nC: d"), Ok(Step::NeedMore { consumed: 0 }));
    assert_eq!(decoder.decode(b"A: b\r\nC: d\r\n\r\nGET"), Ok(Step::Done { consumed: 14, trailers: 0..12 }));
}

#[test]
fn trailer_lines_are_held_to_the_grammar_of_headers() {
    let table = [
        ("\n", 0, SyntaxFault::BareLineFeed),
        ("\rX", 0, SyntaxFault::BareCarriageReturn),
        ("A: b\n", 4, SyntaxFault::BareLineFeed),
        ("A: b\r\n\n", 6, SyntaxFault::BareLineFeed),
        ("A: b\nC: d\r\n", 4, SyntaxFault::BareLineFeed),
        ("A: b\rC: d\r\n", 4, SyntaxFault::BareCarriageReturn),
        (" A: b\r\n", 0, SyntaxFault::FoldedLine),
        ("A: b\r\n c\r\n", 6, SyntaxFault::FoldedLine),
        ("A : b\r\n", 1, SyntaxFault::SpaceBeforeColon),
        ("A\r\n", 1, SyntaxFault::MissingColon),
        ("A: \0\r\n", 3, SyntaxFault::InvalidHeaderValue(0)),
        ("GET / HTTP/1.1\r\n", 3, SyntaxFault::InvalidHeaderName(b' ')),
    ];
    for (lines, at, expected) in table {
        assert_eq!(fault(lines), (at, expected), "{lines:?}");
    }
}

/// RFC 9110 section 6.5.1.
#[test]
fn a_trailer_that_frames_routes_or_authorizes_is_refused() {
    for name in ["Content-Length", "transfer-encoding", "HOST", "Connection", "Authorization", "Trailer", "Expect"] {
        let error = body_refusal(&with_trailers(&format!("A: b\r\n{name}: 5\r\n")));
        assert_eq!(error, BodyError::ForbiddenTrailer { at: START + 6 }, "{name}");
        assert_eq!(error.status(), 400);
    }
}

#[test]
fn a_section_may_be_as_long_as_its_limit_and_no_longer() {
    let limits = Limits { trailer_bytes: 20, ..Limits::default() };
    let body = |len: usize| with_trailers(&format!("A: {}\r\n", "b".repeat(len - 7)));
    decode_with(body(20).as_bytes(), &limits).unwrap().unwrap();
    let error = decode_with(body(21).as_bytes(), &limits).unwrap_err();
    assert_eq!(error, BodyError::TrailersTooLarge { limit: 20 });
    assert_eq!(error.status(), 431);
}

#[test]
fn a_section_is_never_longer_than_a_head_may_be() {
    let limits = Limits { head_bytes: 20, ..Limits::default() };
    let error = decode_with(with_trailers("A: bbbbbbbbbbbbbbb\r\n").as_bytes(), &limits).unwrap_err();
    assert_eq!(error, BodyError::TrailersTooLarge { limit: 20 });
}

#[test]
fn a_limit_on_trailers_leaves_room_for_none() {
    let limits = Limits { trailer_bytes: 0, ..Limits::default() };
    decode_with(b"0\r\n\r\n", &limits).unwrap().unwrap();
    decode_with(b"0\r\nA: b\r\n\r\n", &limits).unwrap_err();
}

#[test]
fn a_section_may_have_as_many_lines_as_its_limit_and_no_more() {
    let limits = Limits { header_count: 3, ..Limits::default() };
    decode_with(with_trailers(&"A: b\r\n".repeat(3)).as_bytes(), &limits).unwrap().unwrap();
    let error = decode_with(with_trailers(&"A: b\r\n".repeat(4)).as_bytes(), &limits).unwrap_err();
    assert_eq!(error, BodyError::TooManyTrailers { limit: 3 });
    assert_eq!(error.status(), 431);
}
