//! Why a connection is over.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection is over, and where in what the peer sent.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum CloseReason {
    /// This side closed it, or let go of it.
    Closed,
    /// One side said that it takes no new calls, and the last one has ended.
    Drained,
    /// The peer ended it, between two messages.
    ///
    /// It counts as gone even where it has only ended its own side of the stream and still reads. Its requests that wait
    /// are dropped, and those that run are cancelled without an answer; answers that were there before are still written.
    /// Its notifications are served. So a plain peer reads its answers first, and closes then.
    PeerEnded,
    /// The peer ended it within a message.
    Truncated {
        /// How many bytes of the message had come.
        bytes: usize,
    },
    /// The transport failed.
    Lost(Arc<io::Error>),
    /// The peer took nothing of what was written to it.
    NotRead {
        /// For how long: [`Limits::write_timeout`](crate::Limits::write_timeout).
        limit: Duration,
    },
    /// The peer gave no sign of life when asked for one.
    Silent {
        /// For how long: [`Limits::heartbeat`](crate::Limits::heartbeat).
        limit: Duration,
    },
    /// The peer began a message, and the rest of it came too slowly.
    TooSlow {
        /// How many bytes of the message had come.
        bytes: usize,
        /// How long it had been waited for: see [`Limits::message_grace`](crate::Limits::message_grace).
        waited: Duration,
    },
    /// No call came for too long.
    Idle {
        /// For how long: [`Limits::idle_timeout`](crate::Limits::idle_timeout).
        limit: Duration,
    },
    /// The peer did not prove in time who it is.
    NotProven {
        /// How long it had: [`Limits::opening_timeout`](crate::Limits::opening_timeout).
        limit: Duration,
    },
    /// The peer tried to prove who it is, and failed.
    ProofFailed {
        /// What was wrong with the proof.
        reason: String,
    },
    /// The peer sent what is no message, so that nobody can tell where the next one begins; or it has to prove who it is, and
    /// sent more than is read before that.
    Malformed {
        /// What was wrong.
        reason: String,
        /// How many bytes of the connection came before the message.
        at: u64,
    },
    /// The peer sent a message that is longer than [`Limits::frame_bytes`](crate::Limits::frame_bytes).
    TooLarge {
        /// Its size in bytes, as far as it is known.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
        /// How many bytes of the connection came before the message.
        at: u64,
    },
}

impl CloseReason {
    /// Whether the peer broke the protocol, or did not prove who it is.
    pub fn is_peers_fault(&self) -> bool {
        matches!(
            self,
            CloseReason::Truncated { .. }
                | CloseReason::NotProven { .. }
                | CloseReason::ProofFailed { .. }
                | CloseReason::Malformed { .. }
                | CloseReason::TooLarge { .. }
        )
    }

    /// The same as an error of the carrier, for the calls that fail with it.
    pub(crate) fn to_cause(&self) -> Arc<io::Error> {
        let kind = match self {
            CloseReason::Lost(cause) => return cause.clone(),
            CloseReason::Closed | CloseReason::Drained => io::ErrorKind::NotConnected,
            CloseReason::PeerEnded => io::ErrorKind::ConnectionAborted,
            CloseReason::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            CloseReason::NotRead { .. }
            | CloseReason::Silent { .. }
            | CloseReason::TooSlow { .. }
            | CloseReason::Idle { .. } => io::ErrorKind::TimedOut,
            CloseReason::NotProven { .. } | CloseReason::ProofFailed { .. } => io::ErrorKind::PermissionDenied,
            CloseReason::Malformed { .. } | CloseReason::TooLarge { .. } => io::ErrorKind::InvalidData,
        };
        Arc::new(io::Error::new(kind, self.to_string()))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Closed => f.write_str("this side closed the connection"),
            CloseReason::Drained => f.write_str("the connection takes no new calls, and the last one has ended"),
            CloseReason::PeerEnded => f.write_str("the peer ended the connection"),
            CloseReason::Truncated { bytes } => {
                write!(f, "the peer ended the connection {bytes} bytes into a message")
            }
            CloseReason::Lost(cause) => write!(f, "the connection was lost: {cause}"),
            CloseReason::NotRead { limit } => write!(f, "the peer read nothing for {limit:?}"),
            CloseReason::Silent { limit } => write!(f, "the peer gave no sign of life within {limit:?}"),
            CloseReason::TooSlow { bytes, waited } => {
                write!(f, "{bytes} bytes of a message came within {waited:?}, and the rest too slowly")
            }
            CloseReason::Idle { limit } => write!(f, "no call came for {limit:?}"),
            CloseReason::NotProven { limit } => write!(f, "the peer did not prove within {limit:?} who it is"),
            CloseReason::ProofFailed { reason } => write!(f, "the peer failed to prove who it is: {reason}"),
            CloseReason::Malformed { reason, at } => {
                write!(f, "the peer broke the protocol after {at} bytes: {reason}")
            }
            CloseReason::TooLarge { bytes, limit, at } => {
                write!(
                    f,
                    "the peer sent a message of {bytes} bytes or more after {at} bytes, and {limit} are the limit"
                )
            }
        }
    }
}
