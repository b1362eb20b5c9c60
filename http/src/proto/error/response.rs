//! What can be wrong with a response that is to be sent.

use std::{error, fmt};

/// Why a response head cannot be sent: the caller's fault.
///
/// Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
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

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidContentLength { index } => {
                write!(f, "response header {index}: content-length is not one decimal number, once")
            }
            Self::LengthMismatch { declared, actual } => {
                write!(f, "content-length says {declared}, but the response body has {actual} bytes")
            }
        }
    }
}

impl error::Error for ResponseError {}
