//! What can be wrong with a request head.

use std::{error, fmt};

use http::StatusCode;

use super::{SyntaxFault, TargetFault};
use crate::proto::HeadParser;

/// Why a request head is refused.
///
/// Each `at` is the offset of the offending byte from the first byte given to the parser, which is
/// the first byte after the previous request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The request line or a header line is not what the grammar says. 400.
    Syntax {
        /// Offset of the offending byte.
        at: usize,
        /// What is wrong with it.
        fault: SyntaxFault,
    },
    /// More than [`HeadParser::MAX_EMPTY_LINES`](crate::proto::HeadParser::MAX_EMPTY_LINES) empty lines
    /// stand before the request line. 400.
    TooManyEmptyLines,
    /// The method is a token, but longer than any method we know of. 501.
    MethodTooLong {
        /// The longest method taken, in bytes.
        limit: usize,
    },
    /// The request target has none of the four forms, or one its method does not take. 400.
    Target {
        /// Offset of the offending byte.
        at: usize,
        /// What is wrong with it.
        fault: TargetFault,
    },
    /// The request target is longer than [`Limits::uri_bytes`](crate::Limits::uri_bytes). 414.
    TargetTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The version is well-formed, but neither HTTP/1.0 nor HTTP/1.1; the preface of HTTP/2 is
    /// among these. 505.
    UnsupportedVersion {
        /// Offset of the version.
        at: usize,
    },
    /// The head is longer than [`Limits::head_bytes`](crate::Limits::head_bytes). 431.
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The head has more lines than [`Limits::header_count`](crate::Limits::header_count). 431.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// An HTTP/1.1 request has no `Host`. 400.
    MissingHost,
    /// `Host` is given more than once. 400.
    RepeatedHost {
        /// Offset of the second value.
        at: usize,
    },
    /// The value of `Host` is not a host with an optional port. 400.
    InvalidHost {
        /// Offset of the value.
        at: usize,
    },
    /// `Content-Length` is not one decimal number that fits 64 bits. 400.
    InvalidContentLength {
        /// Offset of the value.
        at: usize,
    },
    /// `Content-Length` is given more than once, be the values equal or not. 400.
    RepeatedContentLength {
        /// Offset of the second value.
        at: usize,
    },
    /// Both `Content-Length` and `Transfer-Encoding` are given. 400.
    LengthAndTransferEncoding {
        /// Offset of the value of `Transfer-Encoding`.
        at: usize,
    },
    /// An HTTP/1.0 request has a `Transfer-Encoding`. 400.
    TransferEncodingOnHttp10 {
        /// Offset of the value.
        at: usize,
    },
    /// The last transfer coding is not `chunked`, so nothing says where the body ends. 400.
    ChunkedNotLast {
        /// Offset of the first value.
        at: usize,
    },
    /// `chunked` is applied more than once. 400.
    ChunkedRepeated {
        /// Offset of the first value.
        at: usize,
    },
    /// A transfer coding other than `chunked` comes before it. 501.
    UnsupportedTransferCoding {
        /// Offset of the first value.
        at: usize,
    },
    /// The declared length is over [`Limits::body_bytes`](crate::Limits::body_bytes). 413.
    BodyTooLarge {
        /// The declared length, in bytes.
        length: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// `Expect` asks for something other than `100-continue`. 417.
    UnknownExpectation {
        /// Offset of the value.
        at: usize,
    },
    /// The stream ended within the head. 400, where the peer still listens.
    UnexpectedEnd {
        /// How many bytes there were.
        at: usize,
    },
}

impl HeadError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MethodTooLong { .. } | Self::UnsupportedTransferCoding { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::UnsupportedVersion { .. } => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownExpectation { .. } => StatusCode::EXPECTATION_FAILED,
            Self::Syntax { .. }
            | Self::TooManyEmptyLines
            | Self::Target { .. }
            | Self::MissingHost
            | Self::RepeatedHost { .. }
            | Self::InvalidHost { .. }
            | Self::InvalidContentLength { .. }
            | Self::RepeatedContentLength { .. }
            | Self::LengthAndTransferEncoding { .. }
            | Self::TransferEncodingOnHttp10 { .. }
            | Self::ChunkedNotLast { .. }
            | Self::ChunkedRepeated { .. }
            | Self::UnexpectedEnd { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at, fault } => write!(f, "request head, byte {at}: {fault}"),
            Self::TooManyEmptyLines => {
                write!(f, "more than {} empty lines before the request line", HeadParser::MAX_EMPTY_LINES)
            }
            Self::MethodTooLong { limit } => {
                write!(f, "request line: the method is longer than {limit} bytes")
            }
            Self::Target { at, fault } => write!(f, "request target, byte {at}: {fault}"),
            Self::TargetTooLong { limit } => {
                write!(f, "request line: the target is longer than {limit} bytes")
            }
            Self::UnsupportedVersion { at } => {
                write!(f, "request line, byte {at}: only HTTP/1.0 and HTTP/1.1 are spoken here")
            }
            Self::HeadTooLarge { limit } => {
                write!(f, "the request head is longer than {limit} bytes")
            }
            Self::TooManyHeaders { limit } => {
                write!(f, "the request head has more than {limit} headers")
            }
            Self::MissingHost => f.write_str("an HTTP/1.1 request must have a Host header (RFC 9112 section 3.2)"),
            Self::RepeatedHost { at } => {
                write!(f, "byte {at}: Host is given more than once (RFC 9112 section 3.2)")
            }
            Self::InvalidHost { at } => {
                write!(f, "byte {at}: the value of Host is not a host with an optional port (RFC 9112 section 3.2)")
            }
            Self::InvalidContentLength { at } => {
                write!(f, "byte {at}: Content-Length is not one decimal number below 2^64 (RFC 9112 section 6.3)")
            }
            Self::RepeatedContentLength { at } => {
                write!(f, "byte {at}: Content-Length is given more than once (RFC 9112 section 6.3)")
            }
            Self::LengthAndTransferEncoding { at } => {
                write!(f, "byte {at}: Transfer-Encoding together with Content-Length (RFC 9112 section 6.1)")
            }
            Self::TransferEncodingOnHttp10 { at } => {
                write!(f, "byte {at}: Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)")
            }
            Self::ChunkedNotLast { at } => write!(
                f,
                "byte {at}: the last transfer coding is not chunked, so the body has no end (RFC 9112 section 6.3)"
            ),
            Self::ChunkedRepeated { at } => {
                write!(f, "byte {at}: the body is chunked more than once (RFC 9112 section 6.1)")
            }
            Self::UnsupportedTransferCoding { at } => {
                write!(f, "byte {at}: no transfer coding but chunked is decoded here (RFC 9112 section 6.1)")
            }
            Self::BodyTooLarge { length, limit } => {
                write!(f, "a body of {length} bytes is over the limit of {limit}")
            }
            Self::UnknownExpectation { at } => {
                write!(f, "byte {at}: no expectation but 100-continue is met (RFC 9110 section 10.1.1)")
            }
            Self::UnexpectedEnd { at } => {
                write!(f, "the stream ended within the request head, after {at} bytes")
            }
        }
    }
}

impl error::Error for HeadError {}
