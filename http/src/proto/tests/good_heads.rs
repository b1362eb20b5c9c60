//! Good request heads, in every way their bytes can arrive.

use super::{HeadError, HeadParser, Limits, Parsed, RequestHead, head_of, parse_cut, parse_with, refusal};
use crate::proto::{BodyFraming, HeadView};

/// Requests as clients send them, and the corners of the grammar.
const GOOD: &[&str] = &[
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /a%20b?c=d&e[]=f|g HTTP/1.1\r\nHost:a\r\nAccept:\t*/* \t\r\n\r\n",
    "POST /form HTTP/1.1\r\nhOST: [::1]:80\r\nContent-Length: 0012\r\nExpect: 100-Continue\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\n\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "GET http://example.com:80/p?q HTTP/1.1\r\nHost: other\r\nX-Empty:\r\nX-Bytes: \u{e9}\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09: ok\r\n\r\n",
];

/// Everything there is to read in a head.
fn summary(bytes: &[u8], head: &RequestHead) -> String {
    let view = HeadView::new(bytes, head);
    let headers: Vec<_> = view.headers().map(|(name, value)| (name, value.escape_ascii().to_string())).collect();
    format!(
        "{} {:?} {} {:?} {} {:?} {:?} {} {} {} {headers:?}",
        view.method(),
        head.target_form(),
        view.path(),
        view.query(),
        view.authority(),
        head.version(),
        head.body(),
        head.keep_alive(),
        head.expect_continue(),
        head.upgrade(),
    )
}

#[test]
fn a_head_is_the_same_at_once_and_cut_at_every_pair_of_points() {
    let limits = Limits::default();
    for text in GOOD {
        let bytes = text.as_bytes();
        let whole = summary(bytes, &head_of(text));
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let (parsed, head) = parse_cut(bytes, &[first, second], &limits).unwrap();
                assert_eq!(parsed, Parsed::Complete(bytes.len()), "{text:?} cut at {first} and {second}");
                assert_eq!(summary(bytes, &head), whole, "{text:?} cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_head_is_the_same_one_byte_at_a_time() {
    for text in GOOD {
        let bytes = text.as_bytes();
        let cuts: Vec<_> = (0..bytes.len()).collect();
        let (parsed, head) = parse_cut(bytes, &cuts, &Limits::default()).unwrap();
        assert_eq!(parsed, Parsed::Complete(bytes.len()));
        assert_eq!(summary(bytes, &head), summary(bytes, &head_of(text)));
    }
}

#[test]
fn a_head_cut_short_anywhere_is_partial() {
    for text in GOOD {
        let bytes = text.as_bytes();
        for len in 0..bytes.len() {
            let parsed = parse_with(&bytes[..len], &Limits::default()).map(|(parsed, _)| parsed);
            assert_eq!(parsed, Ok(Parsed::Partial), "{text:?} cut short at {len}");
        }
    }
}

/// HTTP-4 and SYL-10: what follows a head is left for later.
#[test]
fn the_bytes_after_a_head_do_not_change_it() {
    for text in GOOD {
        for after in ["\r\n", "\n\n", "\0", "GET / HTTP/1.1\r\nHost: b\r\n\r\n", "body"] {
            let both = format!("{text}{after}");
            let (parsed, head) = parse_with(both.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(parsed, Parsed::Complete(text.len()));
            assert_eq!(head.len(), text.len());
            assert_eq!(summary(both.as_bytes(), &head), summary(text.as_bytes(), &head_of(text)));
        }
    }
}

#[test]
fn one_head_serves_request_after_request_with_nothing_left_from_the_last() {
    let (mut parser, mut reused) = (HeadParser::new(), RequestHead::new());
    for text in GOOD.iter().chain(GOOD.iter().rev()) {
        let bytes = text.as_bytes();
        let parsed = parser.parse(bytes, &Limits::default(), &mut reused).unwrap();
        assert_eq!(parsed, Parsed::Complete(bytes.len()));
        assert_eq!(summary(bytes, &reused), summary(bytes, &head_of(text)));
    }
}

#[test]
fn a_head_can_be_parsed_after_a_refused_one() {
    let (mut parser, mut head) = (HeadParser::new(), RequestHead::new());
    let limits = Limits::default();
    parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n", &limits, &mut head).unwrap();
    parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\n", &limits, &mut head).unwrap_err();
    let good = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(parser.parse(good, &limits, &mut head), Ok(Parsed::Complete(good.len())));
}

#[test]
fn clearing_a_head_forgets_the_request_and_keeps_the_memory() {
    let mut head = head_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    let capacity = head.headers.capacity();
    head.clear();
    assert!(head.is_empty());
    assert_eq!((head.header_count(), head.body()), (0, BodyFraming::None));
    assert_eq!(head.headers.capacity(), capacity);
}

/// RFC 9112 section 8: a message cut off by the end of the stream is incomplete.
#[test]
fn the_stream_may_end_between_heads_and_not_within_one() {
    for between in ["", "\r", "\r\n", "\r\n\r\n"] {
        assert_eq!(HeadParser::end_of_stream(between.as_bytes()), Ok(()));
    }
    for within in ["G", "GET / HTTP/1.1\r\n", "\r\nG", "\n", "\rG"] {
        let error = HeadError::UnexpectedEnd { at: within.len() };
        assert_eq!(HeadParser::end_of_stream(within.as_bytes()), Err(error));
    }
}

/// RFC 9112 section 2.2: a server SHOULD ignore at least one empty line before the request line.
#[test]
fn empty_lines_before_the_request_line_are_skipped_up_to_a_bound() {
    let request = "GET / HTTP/1.0\r\n\r\n";
    for count in 0..=HeadParser::MAX_EMPTY_LINES {
        head_of(&format!("{}{request}", "\r\n".repeat(count)));
    }
    let one_more = "\r\n".repeat(HeadParser::MAX_EMPTY_LINES + 1);
    assert_eq!(refusal(&format!("{one_more}{request}")), HeadError::TooManyEmptyLines);
}
