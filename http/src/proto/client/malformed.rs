//! What can be wrong with an answer's head.

use std::{error, fmt};

use super::super::error::SyntaxFault;

/// Why an answer's head is refused: the server's fault.
///
/// Each `at` is the offset of the offending byte from the first byte of the head.
/// After any of these nobody knows where the next answer would start, so the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedResponse {
    /// It does not begin as HTTP/1 does: HTTP/0.9, or another protocol altogether.
    NotHttp,
    /// The version is well-formed, but neither HTTP/1.0 nor HTTP/1.1.
    UnsupportedVersion,
    /// The status line is not what the grammar says.
    StatusLine {
        /// Offset of the offending byte.
        at: usize,
        /// What is wrong with it.
        fault: StatusLineFault,
    },
    /// A header line is not what the grammar says.
    Syntax {
        /// Offset of the offending byte.
        at: usize,
        /// What is wrong with it.
        fault: SyntaxFault,
    },
    /// The head is longer than its limit.
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The head has more header lines than its limit.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// `Content-Length` is not one decimal number that fits 64 bits.
    InvalidContentLength {
        /// Offset of the value.
        at: usize,
    },
    /// `Content-Length` is given more than once, be the values equal or not.
    RepeatedContentLength {
        /// Offset of the second value.
        at: usize,
    },
    /// Both `Content-Length` and `Transfer-Encoding` are given.
    LengthAndTransferEncoding {
        /// Offset of the value of `Transfer-Encoding`.
        at: usize,
    },
    /// An HTTP/1.0 answer has a `Transfer-Encoding`.
    TransferEncodingOnHttp10 {
        /// Offset of the value.
        at: usize,
    },
    /// `chunked` is applied more than once.
    ChunkedRepeated {
        /// Offset of the first value.
        at: usize,
    },
    /// A transfer coding other than `chunked`, which was not asked for.
    UnsupportedTransferCoding {
        /// Offset of the first value.
        at: usize,
    },
    /// An interim answer (1xx) claims to have a body.
    InterimWithBody,
    /// 101 to a request that did not offer to change the protocol.
    UnaskedUpgrade,
    /// The stream ended within the head.
    UnexpectedEnd {
        /// How many bytes there were.
        at: usize,
    },
}

/// What is wrong with a status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusLineFault {
    /// No single space between version and status, or something else than one after it.
    MissingSpace,
    /// The status is not three digits, or less than 100.
    InvalidStatus,
    /// A control byte in the reason phrase; 0 is NUL.
    InvalidReason(u8),
    /// The line ends with LF alone.
    BareLineFeed,
    /// A CR is not followed by LF.
    BareCarriageReturn,
}

impl fmt::Display for StatusLineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingSpace => f.write_str("no single space around the status"),
            Self::InvalidStatus => f.write_str("the status is not a number of three digits from 100 on"),
            Self::InvalidReason(byte) => write!(f, "{byte:#04x} in the reason phrase"),
            Self::BareLineFeed => f.write_str("LF without CR before it"),
            Self::BareCarriageReturn => f.write_str("CR without LF after it"),
        }
    }
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the answer does not begin as HTTP/1 does (RFC 9112 section 4)"),
            Self::UnsupportedVersion => {
                f.write_str("the answer is neither in HTTP/1.0 nor in HTTP/1.1 (RFC 9112 section 2.3)")
            }
            Self::StatusLine { at, fault } => write!(f, "status line, byte {at}: {fault} (RFC 9112 section 4)"),
            Self::Syntax { at, fault } => write!(f, "response head, byte {at}: {fault}"),
            Self::HeadTooLarge { limit } => write!(f, "the response head is longer than {limit} bytes"),
            Self::TooManyHeaders { limit } => write!(f, "the response head has more than {limit} headers"),
            Self::InvalidContentLength { at } => {
                write!(f, "byte {at}: Content-Length is not one decimal number below 2^64 (RFC 9112 section 6.3)")
            }
            Self::RepeatedContentLength { at } => {
                write!(f, "byte {at}: Content-Length is given more than once (RFC 9112 section 6.3)")
            }
            Self::LengthAndTransferEncoding { at } => {
                write!(f, "byte {at}: Transfer-Encoding together with Content-Length (RFC 9112 section 6.3)")
            }
            Self::TransferEncodingOnHttp10 { at } => {
                write!(f, "byte {at}: Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)")
            }
            Self::ChunkedRepeated { at } => {
                write!(f, "byte {at}: the body is chunked more than once (RFC 9112 section 6.1)")
            }
            Self::UnsupportedTransferCoding { at } => {
                write!(f, "byte {at}: no transfer coding but chunked was asked for (RFC 9112 sections 6.1 and 7)")
            }
            Self::InterimWithBody => f.write_str("an interim answer with a body (RFC 9110 section 15.2)"),
            Self::UnaskedUpgrade => {
                f.write_str("the server changes to a protocol that was not offered (RFC 9110 section 15.2.2)")
            }
            Self::UnexpectedEnd { at } => write!(f, "the stream ended within the response head, after {at} bytes"),
        }
    }
}

impl error::Error for MalformedResponse {}
