//! What errors say.

use std::error::Error;

use super::{BodyError, HeadError};
use crate::proto::{ResponseError, SyntaxFault, TargetFault};

#[test]
fn an_error_says_what_where_and_by_which_rule() {
    let table: [(&dyn Error, &str); 6] = [
        (
            &HeadError::Syntax { at: 37, fault: SyntaxFault::BareLineFeed },
            "request head, byte 37: LF without CR before it (RFC 9112 section 2.2)",
        ),
        (
            &HeadError::Syntax { at: 3, fault: SyntaxFault::InvalidMethod(0) },
            "request head, byte 3: 0x00 in the method, which is a token (RFC 9110 section 9.1)",
        ),
        (
            &HeadError::Target { at: 4, fault: TargetFault::AsteriskWithoutOptions },
            "request target, byte 4: * is for OPTIONS only (RFC 9112 section 3.2.4)",
        ),
        (&HeadError::BodyTooLarge { length: 6, limit: 5 }, "a body of 6 bytes is over the limit of 5"),
        (
            &BodyError::TrailerSyntax { at: 9, fault: SyntaxFault::MissingColon },
            "trailers, byte 9: a header without a colon (RFC 9112 section 5)",
        ),
        (
            &ResponseError::LengthMismatch { declared: 3, actual: 4 },
            "content-length says 3, but the response body has 4 bytes",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

/// What a peer sends must not be able to forge lines in a log or markup in an answer.
#[test]
fn an_error_never_repeats_the_peers_bytes() {
    for byte in 0..=255_u8 {
        let texts = [
            SyntaxFault::InvalidMethod(byte).to_string(),
            SyntaxFault::InvalidTargetByte(byte).to_string(),
            SyntaxFault::InvalidHeaderName(byte).to_string(),
            SyntaxFault::InvalidHeaderValue(byte).to_string(),
            TargetFault::InvalidByte(byte).to_string(),
        ];
        for text in texts {
            assert!(text.starts_with(&format!("{byte:#04x} ")), "{text}");
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=0x7e) && !b"<>&\"".contains(&byte)), "{text}");
        }
    }
}
