//! Where a body ends and whether the connection goes on: the table of request-smuggling vectors,
//! each with the section that refuses it.

use super::{HeadError, Limits, head_of, parse_with, refusal, refusal_with, with_header};
use crate::proto::BodyFraming;

/// Where the header given to `with_header` starts.
const LINE: usize = "POST / HTTP/1.1\r\nHost: a\r\n".len();

/// Each is one message to one recipient and another to the next.
#[test]
fn no_request_smuggling_vector_is_taken() {
    let table = [
        // RFC 9112 section 6.1: both lengths ought to be handled as an error.
        ("Content-Length: 6\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 6", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", 400),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\ntransfer-encoding: identity", 400),
        ("Content-Length: x\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: x\r\nContent-Length: 4", 400),
        // RFC 9112 section 6.3, item 5: an invalid Content-Length is unrecoverable.
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5\r\ncontent-LENGTH: 5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: 5, 6", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 5", 400),
        ("Content-Length: 5.0", 400),
        ("Content-Length: 1e1", 400),
        ("Content-Length: \"5\"", 400),
        ("Content-Length: ", 400),
        ("Content-Length: five", 400),
        ("Content-Length: 5\u{a0}", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("Content-Length: 99999999999999999999999999", 400),
        // RFC 9112 section 6.3, item 4: chunked that is not final in a request is answered with 400.
        ("Transfer-Encoding: chunked, gzip", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: gzip", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunkedx", 400),
        ("Transfer-Encoding: chunked-x", 400),
        ("Transfer-Encoding: ", 400),
        ("Transfer-Encoding: ,", 400),
        ("Transfer-Encoding: \"chunked\"", 400),
        ("Transfer-Encoding: 'chunked'", 400),
        ("Transfer-Encoding: chu nked", 400),
        ("Transfer-Encoding: \u{b}chunked", 400),
        ("Transfer-Encoding: chunked\u{c}", 400),
        // RFC 9112 section 7: chunked has no parameters.
        ("Transfer-Encoding: chunked;q=1", 400),
        // RFC 9112 section 6.1: chunked MUST NOT be applied more than once.
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        // RFC 9112 section 6.1: an unknown coding SHOULD be answered with 501.
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        // RFC 9112 section 5.1: no white space before the colon.
        ("Transfer-Encoding : chunked", 400),
        ("Content-Length\t: 5", 400),
        // RFC 9112 section 5.2: no folded lines.
        ("Transfer-Encoding:\r\n chunked", 400),
        ("X: y\r\n Transfer-Encoding: chunked", 400),
        ("Content-Length: 5\r\n 0", 400),
        // RFC 9112 section 2.2: no lone CR or LF.
        ("X: y\nTransfer-Encoding: chunked", 400),
        ("X: y\rTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\rX: y", 400),
        ("Content-Length: 5\n\nGET /admin HTTP/1.1", 400),
        // RFC 9110 section 5.5: no NUL.
        ("Transfer-Encoding: chunked\0", 400),
        ("Content-Length: 5\0", 400),
        ("X\0: y", 400),
        // RFC 9110 section 5.1: names are tokens.
        ("Transfer\u{2010}Encoding: chunked", 400),
        ("\"Transfer-Encoding\": chunked", 400),
        ("[Content-Length]: 5", 400),
        // RFC 9112 section 3.2: one Host.
        ("Host: b", 400),
    ];
    for (lines, status) in table {
        assert_eq!(refusal(&with_header(lines)).status(), status, "{lines:?}");
    }
}

/// RFC 9112 section 6.1: Transfer-Encoding in an HTTP/1.0 request MUST be taken for faulty framing.
#[test]
fn a_transfer_encoding_in_http_1_0_is_refused() {
    let error = refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(error, HeadError::TransferEncodingOnHttp10 { at: 36 });
    assert_eq!(error.status(), 400);
}

#[test]
fn a_refusal_says_where() {
    let at = |offset: usize| LINE + offset;
    let table = [
        ("Content-Length: +5", HeadError::InvalidContentLength { at: at(16) }),
        ("Content-Length: 5\r\nContent-Length: 5", HeadError::RepeatedContentLength { at: at(35) }),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", HeadError::LengthAndTransferEncoding { at: at(38) }),
        ("Transfer-Encoding: gzip", HeadError::ChunkedNotLast { at: at(19) }),
        ("Transfer-Encoding: chunked, chunked", HeadError::ChunkedRepeated { at: at(19) }),
        ("Transfer-Encoding: gzip, chunked", HeadError::UnsupportedTransferCoding { at: at(19) }),
        ("Expect: 200-ok", HeadError::UnknownExpectation { at: at(8) }),
    ];
    for (lines, error) in table {
        assert_eq!(refusal(&with_header(lines)), error);
    }
}

fn body(lines: &str) -> BodyFraming {
    head_of(&with_header(lines)).body()
}

/// RFC 9112 section 6.3, items 4, 6 and 7.
#[test]
fn the_body_has_the_length_the_headers_say() {
    assert_eq!(body("X: y"), BodyFraming::None);
    assert_eq!(body("Content-Length: 0"), BodyFraming::None);
    assert_eq!(body("Content-Length: 5"), BodyFraming::Length(5));
    assert_eq!(body("content-length:\t005 "), BodyFraming::Length(5));
    assert_eq!(body("Transfer-Encoding: chunked"), BodyFraming::Chunked);
    assert_eq!(body("TRANSFER-ENCODING: CHUNKED"), BodyFraming::Chunked);
    // RFC 9110 section 5.6.1.2: empty list members are ignored.
    assert_eq!(body("Transfer-Encoding: , chunked,"), BodyFraming::Chunked);
}

#[test]
fn headers_that_only_look_like_framing_are_not() {
    assert_eq!(body("Content_Length: 5\r\nX-Transfer-Encoding: chunked\r\nContent-Lengths: 6"), BodyFraming::None);
    assert_eq!(body("Content-Encodin: 5\r\nTransfer-Encodings: x\r\nTransfer-Encodinx: x"), BodyFraming::None);
}

#[test]
fn a_declared_length_over_the_limit_is_answered_with_413() {
    let limits = Limits { body_bytes: 5, ..Limits::default() };
    parse_with(with_header("Content-Length: 5").as_bytes(), &limits).unwrap();
    let error = refusal_with(with_header("Content-Length: 6").as_bytes(), &limits);
    assert_eq!(error, HeadError::BodyTooLarge { length: 6, limit: 5 });
    assert_eq!(error.status(), 413);
}

/// RFC 9110 section 10.1.1.
#[test]
fn the_client_waits_for_continue_if_it_says_so_and_has_a_body() {
    let waits = |text: &str| head_of(text).expect_continue();
    assert!(waits(&with_header("Expect: 100-continue\r\nContent-Length: 5")));
    assert!(waits(&with_header("expect: 100-Continue\r\nTransfer-Encoding: chunked")));
    assert!(!waits(&with_header("Expect: 100-continue\r\nContent-Length: 0")));
    assert!(!waits(&with_header("Expect: 100-continue")));
    assert!(!waits(&with_header("Content-Length: 5")));
    // A server MUST ignore the expectation in an HTTP/1.0 request.
    assert!(!waits("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
}

/// RFC 9110 section 10.1.1: another expectation may be answered with 417.
#[test]
fn an_unknown_expectation_is_answered_with_417() {
    for value in ["100-continued", "100-continue, other", "x", "100-continue;q=1"] {
        assert_eq!(refusal(&with_header(&format!("Expect: {value}"))).status(), 417, "{value}");
    }
}

/// HTTP-7. RFC 9112 section 9.3; the rules' own table stands beside them.
#[test]
fn the_connection_goes_on_by_version_and_option() {
    let keeps = |text: &str| head_of(text).keep_alive();
    assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: keep-alive, close\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

/// HTTP-9. RFC 9110 section 7.8: Upgrade MUST be ignored in HTTP/1.0 and needs its connection option.
#[test]
fn an_upgrade_is_offered_with_header_option_and_version_together() {
    let offers = |text: &str| head_of(text).upgrade();
    assert!(offers("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"));
    assert!(!offers("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"));
    assert!(!offers("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"));
    assert!(!offers("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"));
}
