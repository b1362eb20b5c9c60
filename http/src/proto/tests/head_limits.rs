//! The limits on a head, each reached exactly and passed by one.

use super::{HeadError, HeadParser, Limits, Parsed, RequestHead, parse_with, refusal, refusal_with};

/// A head of exactly `len` bytes.
fn head_of_len(len: usize) -> String {
    let (start, end) = ("GET / HTTP/1.0\r\nX: ", "\r\n\r\n");
    format!("{start}{}{end}", "y".repeat(len - start.len() - end.len()))
}

#[test]
fn a_head_may_be_as_long_as_its_limit_and_no_longer() {
    let limits = Limits { head_bytes: 100, ..Limits::default() };
    parse_with(head_of_len(100).as_bytes(), &limits).unwrap();
    let error = refusal_with(head_of_len(101).as_bytes(), &limits);
    assert_eq!(error, HeadError::HeadTooLarge { limit: 100 });
    assert_eq!(error.status(), 431);
}

#[test]
fn a_head_that_is_too_long_is_refused_before_its_end() {
    let limits = Limits { head_bytes: 100, ..Limits::default() };
    let text = head_of_len(200);
    assert_eq!(parse_with(&text.as_bytes()[..99], &limits).unwrap().0, Parsed::Partial);
    assert_eq!(refusal_with(&text.as_bytes()[..100], &limits), HeadError::HeadTooLarge { limit: 100 });
}

#[test]
fn empty_lines_before_the_head_do_not_count_as_head() {
    let limits = Limits { head_bytes: 100, ..Limits::default() };
    parse_with(format!("\r\n\r\n{}", head_of_len(100)).as_bytes(), &limits).unwrap();
    refusal_with(format!("\r\n\r\n{}", head_of_len(101)).as_bytes(), &limits);
}

#[test]
fn a_body_behind_the_head_does_not_count_as_head() {
    let limits = Limits { head_bytes: 100, ..Limits::default() };
    let text = format!("{}{}", head_of_len(100), "b".repeat(1000));
    assert_eq!(parse_with(text.as_bytes(), &limits).unwrap().0, Parsed::Complete(100));
}

#[test]
fn no_limit_on_the_head_goes_beyond_the_largest() {
    let limits = Limits { head_bytes: usize::MAX, uri_bytes: usize::MAX / 2, ..Limits::default() };
    let endless = format!("GET /{}", "a".repeat(Limits::MAX_HEAD_BYTES));
    let error = HeadError::HeadTooLarge { limit: Limits::MAX_HEAD_BYTES };
    assert_eq!(parse_with(endless.as_bytes(), &limits).unwrap_err(), error);
}

fn head_with_headers(count: usize) -> String {
    format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(count))
}

#[test]
fn a_head_may_have_as_many_headers_as_its_limit_and_no_more() {
    for limit in [0, 1, 3, Limits::default().header_count, Limits::MAX_HEADER_COUNT] {
        let limits = Limits { header_count: limit, ..Limits::default() };
        let (_, head) = parse_with(head_with_headers(limit).as_bytes(), &limits).unwrap();
        assert_eq!(head.header_count(), limit);
        let error = refusal_with(head_with_headers(limit + 1).as_bytes(), &limits);
        assert_eq!(error, HeadError::TooManyHeaders { limit });
        assert_eq!(error.status(), 431);
    }
}

#[test]
fn no_limit_on_headers_goes_beyond_the_largest() {
    let limits = Limits { header_count: usize::MAX, ..Limits::default() };
    let error = refusal_with(head_with_headers(Limits::MAX_HEADER_COUNT + 1).as_bytes(), &limits);
    assert_eq!(error, HeadError::TooManyHeaders { limit: Limits::MAX_HEADER_COUNT });
}

/// RFC 9112 section 3: a target longer than the server wishes to parse MUST be answered with 414.
#[test]
fn a_target_may_be_as_long_as_its_limit_and_no_longer() {
    let limits = Limits { uri_bytes: 50, ..Limits::default() };
    let request = |len: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(len - 1));
    parse_with(request(50).as_bytes(), &limits).unwrap();
    let error = refusal_with(request(51).as_bytes(), &limits);
    assert_eq!(error, HeadError::TargetTooLong { limit: 50 });
    assert_eq!(error.status(), 414);
}

#[test]
fn a_target_that_is_too_long_is_refused_before_its_end() {
    let endless = format!("GET /{}", "a".repeat(Limits::default().uri_bytes));
    assert_eq!(parse_with(&endless.as_bytes()[..endless.len() - 1], &Limits::default()).unwrap().0, Parsed::Partial);
    assert_eq!(refusal(&endless), HeadError::TargetTooLong { limit: Limits::default().uri_bytes });
}

/// A peer that sends a head byte by byte costs a look at each byte, not at all of them each time.
#[test]
fn a_slow_head_is_searched_once_and_parsed_twice() {
    let text = head_of_len(Limits::default().head_bytes);
    let (mut parser, mut head) = (HeadParser::new(), RequestHead::new());
    for len in 1..text.len() {
        let parsed = parser.parse(&text.as_bytes()[..len], &Limits::default(), &mut head);
        assert_eq!(parsed, Ok(Parsed::Partial));
        assert_eq!(parser.searched(), len);
    }
}
