//! What can be wrong with a request, and the status that says so to the peer.
//!
//! [`HeadError`] and [`BodyError`] are the peer's fault, [`ResponseError`] is the caller's.
//! After any of the first two nobody knows where the next request would start, so the connection is
//! closed once the answer is sent.
//! Needing more bytes is not an error; the end of the stream in the middle of a message is.
//!
//! The texts name what was seen, where, and the rule it breaks.
//! They never repeat the peer's bytes other than as numbers, so they are safe in a log and in an
//! answer.

use std::{error, fmt};

use http::StatusCode;

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
    /// More than [`HeadParser::MAX_EMPTY_LINES`](super::HeadParser::MAX_EMPTY_LINES) empty lines
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

/// What is wrong with the syntax of a request line, a header line or a trailer line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// A line ends with LF alone.
    BareLineFeed,
    /// A CR is not followed by LF.
    BareCarriageReturn,
    /// A byte in the method that is not a token character.
    InvalidMethod(u8),
    /// The request line has no target between method and version.
    MissingTarget,
    /// A control byte or DEL in the target.
    InvalidTargetByte(u8),
    /// The request line ends after the target, as in HTTP/0.9.
    MissingVersion,
    /// What stands in the place of the version is not one.
    InvalidVersion,
    /// A header line starts with white space: an obsolete line folding, or a smuggled header.
    FoldedLine,
    /// White space stands between a header name and its colon.
    SpaceBeforeColon,
    /// A header line has no colon.
    MissingColon,
    /// A byte in a header name that is not a token character; a colon if the name is empty.
    InvalidHeaderName(u8),
    /// A control byte in a header value; 0 is NUL.
    InvalidHeaderValue(u8),
    /// The line is refused for a reason we cannot name.
    Unknown,
}

/// What is wrong with a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetFault {
    /// A byte that must be percent-encoded in a path or query.
    InvalidByte(u8),
    /// A fragment, which is never sent to a server.
    Fragment,
    /// Neither a path, nor an http or https URI, nor `*`.
    UnknownForm,
    /// `*` with a method other than OPTIONS.
    AsteriskWithoutOptions,
    /// Something other than host and port with CONNECT.
    ConnectWithoutAuthority,
    /// The URI's host or port is empty or invalid, or it has a user name.
    InvalidAuthority,
}

/// Why a request body is refused.
///
/// Each `at` is the offset from the first byte of the body as it was sent, framing included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// A byte in the place of a chunk size that is not a hexadecimal digit. 400.
    InvalidChunkSize {
        /// Offset of the byte.
        at: u64,
    },
    /// A chunk size has more than 16 digits. 400.
    ChunkSizeTooLong {
        /// Offset of the seventeenth.
        at: u64,
    },
    /// A control byte, or a CR or LF on its own, in a chunk extension. 400.
    InvalidChunkExtension {
        /// Offset of the byte.
        at: u64,
    },
    /// A chunk-size line is over [`Limits::chunk_line_bytes`](crate::Limits::chunk_line_bytes). 400.
    ChunkLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// All chunk extensions together are over
    /// [`ChunkedDecoder::MAX_EXTENSION_BYTES`](super::ChunkedDecoder::MAX_EXTENSION_BYTES). 400.
    ExtensionsTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A chunk's size or its data is not followed by CR LF. 400.
    MissingChunkEnd {
        /// Offset of the byte that stands there.
        at: u64,
    },
    /// The decoded body is over [`Limits::body_bytes`](crate::Limits::body_bytes). 413.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The trailer section is over [`Limits::trailer_bytes`](crate::Limits::trailer_bytes). 431.
    TrailersTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The trailer section has more lines than
    /// [`Limits::header_count`](crate::Limits::header_count). 431.
    TooManyTrailers {
        /// The limit.
        limit: usize,
    },
    /// A trailer line is not what the grammar says. 400.
    TrailerSyntax {
        /// Offset of the offending byte.
        at: u64,
        /// What is wrong with it.
        fault: SyntaxFault,
    },
    /// A trailer names a header that frames, routes or authorizes the message. 400.
    ForbiddenTrailer {
        /// Offset of the name.
        at: u64,
    },
    /// The stream ended within the body. 400, where the peer still listens.
    UnexpectedEnd {
        /// How many bytes there were.
        at: u64,
    },
}

/// Why a response head cannot be sent: the caller's fault.
///
/// Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// A header name is not a token.
    InvalidHeaderName {
        /// Position of the header among those given, from 0.
        index: usize,
    },
    /// A header value has a CR, LF, NUL or other control byte.
    InvalidHeaderValue {
        /// Position of the header among those given, from 0.
        index: usize,
    },
    /// A `content-length` given by the caller is not one decimal number, or is given twice.
    InvalidContentLength {
        /// Position of the header among those given, from 0.
        index: usize,
    },
    /// A `content-length` given by the caller is not the length of the body given by the caller.
    LengthMismatch {
        /// What the header says, in bytes.
        declared: u64,
        /// How long the body is, in bytes.
        actual: u64,
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

impl BodyError {
    /// The status to answer with, where nothing of the response was sent yet.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TrailersTooLarge { .. } | Self::TooManyTrailers { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidChunkSize { .. }
            | Self::ChunkSizeTooLong { .. }
            | Self::InvalidChunkExtension { .. }
            | Self::ChunkLineTooLong { .. }
            | Self::ExtensionsTooLarge { .. }
            | Self::MissingChunkEnd { .. }
            | Self::TrailerSyntax { .. }
            | Self::ForbiddenTrailer { .. }
            | Self::UnexpectedEnd { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at, fault } => write!(f, "request head, byte {at}: {fault}"),
            Self::TooManyEmptyLines => {
                write!(f, "more than {} empty lines before the request line", super::HeadParser::MAX_EMPTY_LINES)
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

impl fmt::Display for SyntaxFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareLineFeed => f.write_str("LF without CR before it (RFC 9112 section 2.2)"),
            Self::BareCarriageReturn => f.write_str("CR without LF after it (RFC 9112 section 2.2)"),
            Self::InvalidMethod(byte) => {
                write!(f, "{byte:#04x} in the method, which is a token (RFC 9110 section 9.1)")
            }
            Self::MissingTarget => f.write_str("no request target (RFC 9112 section 3)"),
            Self::InvalidTargetByte(byte) => {
                write!(f, "{byte:#04x} in the request target (RFC 9112 section 3.2)")
            }
            Self::MissingVersion => f.write_str("no version (RFC 9112 section 3)"),
            Self::InvalidVersion => f.write_str("not an HTTP version (RFC 9112 section 2.3)"),
            Self::FoldedLine => f.write_str("a header line starts with white space (RFC 9112 sections 2.2 and 5.2)"),
            Self::SpaceBeforeColon => f.write_str("white space before the colon (RFC 9112 section 5.1)"),
            Self::MissingColon => f.write_str("a header without a colon (RFC 9112 section 5)"),
            Self::InvalidHeaderName(byte) => {
                write!(f, "{byte:#04x} in a header name, which is a token (RFC 9110 section 5.1)")
            }
            Self::InvalidHeaderValue(byte) => {
                write!(f, "{byte:#04x} in a header value (RFC 9110 section 5.5)")
            }
            Self::Unknown => f.write_str("not HTTP"),
        }
    }
}

impl fmt::Display for TargetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidByte(byte) => {
                write!(f, "{byte:#04x} is not percent-encoded (RFC 3986 sections 3.3 and 3.4)")
            }
            Self::Fragment => f.write_str("a fragment is not sent (RFC 9112 section 3.2)"),
            Self::UnknownForm => f.write_str("neither a path nor an http or https URI (RFC 9112 section 3.2)"),
            Self::AsteriskWithoutOptions => f.write_str("* is for OPTIONS only (RFC 9112 section 3.2.4)"),
            Self::ConnectWithoutAuthority => f.write_str("CONNECT takes a host and a port (RFC 9112 section 3.2.3)"),
            Self::InvalidAuthority => f.write_str("not a host with an optional port (RFC 9110 section 4.2)"),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidChunkSize { at } => {
                write!(f, "body, byte {at}: not a chunk size (RFC 9112 section 7.1)")
            }
            Self::ChunkSizeTooLong { at } => {
                write!(f, "body, byte {at}: a chunk size of more than 16 digits (RFC 9112 section 7.1)")
            }
            Self::InvalidChunkExtension { at } => {
                write!(f, "body, byte {at}: control byte in a chunk extension (RFC 9112 section 7.1.1)")
            }
            Self::ChunkLineTooLong { limit } => {
                write!(f, "body: a chunk-size line is longer than {limit} bytes")
            }
            Self::ExtensionsTooLarge { limit } => {
                write!(f, "body: the chunk extensions are longer than {limit} bytes together")
            }
            Self::MissingChunkEnd { at } => {
                write!(f, "body, byte {at}: no CR LF where a chunk's line or data ends (RFC 9112 section 7.1)")
            }
            Self::BodyTooLarge { limit } => {
                write!(f, "the body is over the limit of {limit} bytes")
            }
            Self::TrailersTooLarge { limit } => {
                write!(f, "the trailer section is longer than {limit} bytes")
            }
            Self::TooManyTrailers { limit } => {
                write!(f, "the trailer section has more than {limit} lines")
            }
            Self::TrailerSyntax { at, fault } => write!(f, "trailers, byte {at}: {fault}"),
            Self::ForbiddenTrailer { at } => {
                write!(f, "trailers, byte {at}: a header that may not be a trailer (RFC 9110 section 6.5.1)")
            }
            Self::UnexpectedEnd { at } => {
                write!(f, "the stream ended within the request body, after {at} bytes")
            }
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidHeaderName { index } => {
                write!(f, "response header {index}: the name is not a token (RFC 9110 section 5.1)")
            }
            Self::InvalidHeaderValue { index } => {
                write!(f, "response header {index}: control byte in the value (RFC 9110 section 5.5)")
            }
            Self::InvalidContentLength { index } => {
                write!(f, "response header {index}: content-length is not one decimal number, once")
            }
            Self::LengthMismatch { declared, actual } => {
                write!(f, "content-length says {declared}, but the response body has {actual} bytes")
            }
        }
    }
}

impl error::Error for HeadError {}
impl error::Error for BodyError {}
impl error::Error for ResponseError {}
