//! Where a body ends: RFC 9112 section 6.

use super::{STATUS_LINE, head_of, head_to, refusal, refusal_to, with_headers};
use crate::proto::client::MalformedResponse;
use crate::proto::{MethodKind, ResponseFraming};

fn framing(lines: &str) -> ResponseFraming {
    head_of(&with_headers(lines)).framing
}

/// RFC 9112 section 6.3, items 4, 6 and 8.
#[test]
fn section_6_3_the_body_has_the_length_the_headers_say() {
    assert_eq!(framing("X: y"), ResponseFraming::UntilClose);
    assert_eq!(framing("Content-Length: 0"), ResponseFraming::Length(0));
    assert_eq!(framing("content-length:\t005 "), ResponseFraming::Length(5));
    assert_eq!(framing("Content-Length: 18446744073709551615"), ResponseFraming::Length(u64::MAX));
    assert_eq!(framing("TRANSFER-ENCODING: Chunked"), ResponseFraming::Chunked);
    assert_eq!(framing("Transfer-Encoding: , chunked,"), ResponseFraming::Chunked);
    assert_eq!(framing("Content_Length: 5\r\nX-Transfer-Encoding: chunked"), ResponseFraming::UntilClose);
}

/// RFC 9112 section 6.3, item 1: the first empty line ends them, whatever the headers say.
#[test]
fn section_6_3_answers_to_head_and_304_and_204_have_no_body() {
    for lines in ["X: y", "Content-Length: 5", "Transfer-Encoding: chunked"] {
        assert_eq!(head_to(MethodKind::Head, &with_headers(lines)).framing, ResponseFraming::None);
        for status in ["204 No Content", "304 Not Modified"] {
            let head = head_of(&format!("HTTP/1.1 {status}\r\n{lines}\r\n\r\n"));
            assert_eq!(head.framing, ResponseFraming::None, "{status}, {lines}");
        }
    }
}

/// RFC 9110 section 15.2: an interim answer is a head alone. A body that follows one would be taken for the next answer.
#[test]
fn section_6_3_an_interim_answer_claims_no_body() {
    for lines in ["X: y", "Content-Length: 0"] {
        let head = head_of(&format!("HTTP/1.1 103 Early Hints\r\n{lines}\r\n\r\n"));
        assert_eq!((head.framing, head.keep_alive), (ResponseFraming::None, true));
    }
    for lines in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let error = refusal(&format!("HTTP/1.1 100 Continue\r\n{lines}\r\n\r\n"));
        assert_eq!(error, MalformedResponse::InterimWithBody);
    }
}

/// RFC 9112 section 6.3, items 3 and 5: lengths that contradict each other, or are none.
#[test]
fn section_6_3_lengths_that_contradict_each_other_are_refused() {
    let at = |offset: usize| STATUS_LINE.len() + offset;
    let repeated = MalformedResponse::RepeatedContentLength { at: at(35) };
    let table = [
        ("Content-Length: 5\r\nContent-Length: 6", repeated.clone()),
        ("Content-Length: 5\r\nContent-Length: 5", repeated),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            MalformedResponse::LengthAndTransferEncoding { at: at(38) },
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            MalformedResponse::LengthAndTransferEncoding { at: at(19) },
        ),
        ("Transfer-Encoding: gzip\r\nContent-Length: 0", MalformedResponse::LengthAndTransferEncoding { at: at(19) }),
    ];
    for (lines, error) in table {
        assert_eq!(refusal(&with_headers(lines)), error, "{lines:?}");
    }
    let no_numbers = ["", "x", "+5", "-5", "5, 5", "5,6", "0x5", "5 5", "5.0", "1e1", "\"5\"", "18446744073709551616"];
    for value in no_numbers {
        let error = refusal(&with_headers(&format!("Content-Length: {value}")));
        assert!(matches!(error, MalformedResponse::InvalidContentLength { .. }), "{value:?}: {error:?}");
    }
}

/// RFC 9112 sections 6.1 and 7: only `chunked` was asked for, once, and without parameters.
#[test]
fn section_6_1_only_chunked_is_decoded() {
    let at = STATUS_LINE.len() + "Transfer-Encoding: ".len();
    let unsupported = MalformedResponse::UnsupportedTransferCoding { at };
    let repeated = MalformedResponse::ChunkedRepeated { at };
    let table = [
        ("gzip", &unsupported),
        ("gzip, chunked", &unsupported),
        ("chunked, gzip", &unsupported),
        ("identity", &unsupported),
        ("", &unsupported),
        ("chunked;q=1", &unsupported),
        ("xchunked", &unsupported),
        ("\"chunked\"", &unsupported),
        ("chunked\r\nTransfer-Encoding: identity", &unsupported),
        ("chunked, chunked", &repeated),
        ("chunked\r\nTransfer-Encoding: chunked", &repeated),
    ];
    for (value, error) in table {
        assert_eq!(refusal(&with_headers(&format!("Transfer-Encoding: {value}"))), *error, "{value:?}");
    }
}

/// RFC 9112 section 6.1: in HTTP/1.0 the framing MUST be treated as faulty.
#[test]
fn section_6_1_a_transfer_encoding_in_http_1_0_is_refused() {
    let error = refusal("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(error, MalformedResponse::TransferEncodingOnHttp10 { at: 36 });
}

/// What contradicts itself is no better for having no body.
#[test]
fn section_6_a_contradiction_is_refused_without_a_body_as_well() {
    let both = with_headers("Content-Length: 5\r\nTransfer-Encoding: chunked");
    let error = refusal_to(MethodKind::Head, &both);
    assert!(matches!(error, MalformedResponse::LengthAndTransferEncoding { .. }));
}
