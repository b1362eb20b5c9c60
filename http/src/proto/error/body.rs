//! What can be wrong with a request body.

use std::{error, fmt};

use http::StatusCode;

use super::SyntaxFault;

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
    /// [`ChunkedDecoder::MAX_EXTENSION_BYTES`](crate::proto::ChunkedDecoder::MAX_EXTENSION_BYTES). 400.
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

impl error::Error for BodyError {}
