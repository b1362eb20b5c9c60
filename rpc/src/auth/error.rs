//! What can be wrong with keys, and how authentication fails.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::key::{MAX_KEYS, MIN_KEY_BYTES};
use crate::error::{CallError, Failure};
use crate::proto::auth::AuthFault;

/// Why something is no key, or no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It has fewer than 16 bytes.
    TooShort {
        /// The bytes that it has.
        bytes: usize,
    },
    /// There is no key in the set, so nobody could ever prove anything.
    NoKeys,
    /// There are more than 64 keys in the set.
    TooMany,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::TooShort { bytes } => {
                write!(
                    f,
                    "an authentication key of {bytes} bytes: {MIN_KEY_BYTES} are the least, 32 random ones are good"
                )
            }
            KeyError::NoKeys => f.write_str("authentication without a key: nobody could prove anything"),
            KeyError::TooMany => write!(f, "more than {MAX_KEYS} authentication keys"),
        }
    }
}

impl Error for KeyError {}

/// Why a client and its server are not sure of each other.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum AuthError {
    /// The server does not accept this side's proof: its keys are others, or the exchange took it too long.
    Refused(Failure),
    /// The server has no authentication, so it cannot prove anything.
    NotOffered,
    /// The server's proof is wrong: it does not know the key, or it sends back what it was sent.
    Unproven(AuthFault),
    /// The server's answer is no nonce and no proof.
    Malformed(String),
    /// It took longer than the limit.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The connection failed meanwhile.
    Lost(CallError),
    /// The system has no random numbers.
    NoRandom,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Refused(failure) => write!(f, "the server refused this client's proof: {failure}"),
            AuthError::NotOffered => f.write_str("the server has no authentication, and so cannot prove who it is"),
            AuthError::Unproven(fault) => write!(f, "the server did not prove that it knows the key: {fault}"),
            AuthError::Malformed(reason) => {
                write!(f, "the server's part of the authentication cannot be read: {reason}")
            }
            AuthError::TimedOut { limit } => write!(f, "the authentication was not done within {limit:?}"),
            // Nobody has called anything yet, so nothing is to be said of a call that may have run.
            AuthError::Lost(CallError::NotSent { cause } | CallError::OutcomeUnknown { cause }) => {
                write!(f, "the authentication was cut short: {cause}")
            }
            AuthError::Lost(error) => write!(f, "the authentication was cut short: {error}"),
            AuthError::NoRandom => f.write_str("the system has no random numbers"),
        }
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AuthError::Refused(failure) => Some(failure),
            AuthError::Unproven(fault) => Some(fault),
            AuthError::Lost(error) => Some(error),
            _ => None,
        }
    }
}

impl From<AuthError> for io::Error {
    fn from(error: AuthError) -> io::Error {
        let kind = match &error {
            AuthError::Refused(_) | AuthError::NotOffered | AuthError::Unproven(_) => io::ErrorKind::PermissionDenied,
            AuthError::Malformed(_) => io::ErrorKind::InvalidData,
            AuthError::TimedOut { .. } => io::ErrorKind::TimedOut,
            AuthError::Lost(CallError::NotSent { cause } | CallError::OutcomeUnknown { cause }) => cause.kind(),
            AuthError::Lost(_) | AuthError::NoRandom => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
