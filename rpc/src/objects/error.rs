//! What can go wrong with an object.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::AuthError;
use crate::proto::FramedError;
use crate::proto::auth::AuthFault;
use crate::value::EncodeError;

/// Why an object was not sent, or not received.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ObjectError {
    /// The stream failed, or its own time limit passed; for a read it can be tried again then.
    Io(Arc<io::Error>),
    /// The peer's stream ended within a frame.
    Truncated {
        /// The bytes of the frame that came, with those of its size.
        bytes: usize,
        /// The bytes that it was to have, with those of its size.
        expected: usize,
    },
    /// An object is larger than the limit. When it is the peer's, nothing after it can be read.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame holds no MessagePack value, or one that is too deep. The next frame can be read.
    Malformed(String),
    /// An object is not of the type that was asked for. The next one can be read.
    Unfit(String),
    /// An object cannot be encoded; nothing was sent.
    Encode(EncodeError),
    /// The peer does not accept this side's proof: its key is another.
    Refused,
    /// The peer demands a key, and this side has not [authenticated](super::Connection::authenticate): an empty frame came
    /// for an object. What was sent was not received.
    KeyDemanded,
    /// The peer has not proven that it knows the key.
    Unproven(AuthFault),
    /// The handshake took longer than the limit.
    HandshakeTimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The system has no random numbers.
    NoRandom,
    /// Whoever sent, or did the handshake, was cut off in the middle of it, and nobody can go on from there.
    Abandoned,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectError::Io(error) => write!(f, "the object connection failed: {error}"),
            ObjectError::Truncated { bytes, expected } => {
                write!(f, "the stream ended after {bytes} of an object's {expected} bytes")
            }
            ObjectError::TooLarge { bytes, limit } => {
                write!(f, "an object has {bytes} bytes, and {limit} are the limit")
            }
            ObjectError::Malformed(reason) => write!(f, "a frame holds no object: {reason}"),
            ObjectError::Unfit(reason) => write!(f, "an object is not of the type asked for: {reason}"),
            ObjectError::Encode(error) => write!(f, "an object cannot be encoded: {error}"),
            ObjectError::Refused => f.write_str("the peer refused this side's proof: its key is another"),
            ObjectError::KeyDemanded => f.write_str(
                "the peer demands a key, and this side has not authenticated: an empty frame came for an object",
            ),
            ObjectError::Unproven(fault) => write!(f, "the peer has not proven that it knows the key: {fault}"),
            ObjectError::HandshakeTimedOut { limit } => write!(f, "the handshake was not done within {limit:?}"),
            ObjectError::NoRandom => f.write_str("the system has no random numbers"),
            ObjectError::Abandoned => {
                f.write_str("the connection is of no use: a frame or the handshake was cut off in its middle")
            }
        }
    }
}

impl Error for ObjectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ObjectError::Io(error) => Some(&**error),
            ObjectError::Encode(error) => Some(error),
            ObjectError::Unproven(fault) => Some(fault),
            _ => None,
        }
    }
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> ObjectError {
        ObjectError::Io(Arc::new(error))
    }
}

impl From<FramedError> for ObjectError {
    fn from(error: FramedError) -> ObjectError {
        match error {
            FramedError::TooLarge { bytes, limit } => ObjectError::TooLarge { bytes, limit },
            FramedError::Truncated { bytes, expected } => ObjectError::Truncated { bytes, expected },
        }
    }
}

impl From<EncodeError> for ObjectError {
    fn from(error: EncodeError) -> ObjectError {
        ObjectError::Encode(error)
    }
}

impl From<AuthFault> for ObjectError {
    fn from(fault: AuthFault) -> ObjectError {
        ObjectError::Unproven(fault)
    }
}

impl From<AuthError> for ObjectError {
    /// Of what can be wrong without a peer there is only the one.
    fn from(_: AuthError) -> ObjectError {
        ObjectError::NoRandom
    }
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> io::Error {
        let kind = match &error {
            ObjectError::Io(cause) => cause.kind(),
            ObjectError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ObjectError::TooLarge { .. } | ObjectError::Malformed(_) | ObjectError::Unfit(_) => {
                io::ErrorKind::InvalidData
            }
            ObjectError::Encode(_) => io::ErrorKind::InvalidInput,
            ObjectError::Refused | ObjectError::KeyDemanded | ObjectError::Unproven(_) => {
                io::ErrorKind::PermissionDenied
            }
            ObjectError::HandshakeTimedOut { .. } => io::ErrorKind::TimedOut,
            ObjectError::Abandoned => io::ErrorKind::NotConnected,
            ObjectError::NoRandom => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
