//! Why an exchange gave no reply.

use std::fmt;
use std::io;
use std::sync::Arc;

use grapeshot_core::RefusedError;
use grapeshot_core::sync::WaitError;

use crate::proto::MalformedReply;

/// Why an exchange with a server gave no reply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No reply came before the deadline. The system's or the server's fault, which cannot be told apart.
    TimedOut,
    /// As many exchanges as allowed were in flight until the deadline. The caller asks too much at once.
    Busy {
        /// How many are allowed.
        limit: usize,
    },
    /// What came as the reply cannot be read. The server's fault.
    Malformed(MalformedReply),
    /// The server closed the connection instead of replying, or sent what is no DNS over TCP. The server's fault.
    Closed,
    /// The server is asked over TLS, and no name is known that its certificate must show (RFC 8310, section 8.1).
    /// The caller's fault.
    NoTlsName,
    /// The server did not prove that it is this one, or the handshake failed.
    Untrusted {
        /// The name that its certificate had to show.
        name: String,
        /// What TLS says.
        error: Arc<io::Error>,
    },
    /// The system failed at it; of kind `ConnectionRefused` when nobody listens at the server's address.
    Failed {
        /// What could not be done: open a socket, connect, send, receive.
        what: &'static str,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// The coroutine unwinds, and so cannot wait.
    Unwinding,
}

impl ExchangeError {
    pub(super) fn failed(what: &'static str, error: io::Error) -> ExchangeError {
        ExchangeError::shared(what, Arc::new(error))
    }

    /// The error of a wait, shared with all who waited.
    pub(super) fn shared(what: &'static str, error: Arc<io::Error>) -> ExchangeError {
        match error.kind() {
            io::ErrorKind::TimedOut => ExchangeError::TimedOut,
            io::ErrorKind::UnexpectedEof => ExchangeError::Closed,
            _ if is_refusal_to_wait(&error) => ExchangeError::Unwinding,
            _ => ExchangeError::Failed { what, error },
        }
    }

    /// Whether the server's machine said at once that nobody listens there.
    pub fn is_refused(&self) -> bool {
        matches!(self, ExchangeError::Failed { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Whether a wait failed since its coroutine unwinds, which says nothing about the socket.
pub(super) fn is_refusal_to_wait(error: &io::Error) -> bool {
    // Of a wait in line, a time limit that passed has another kind.
    error.get_ref().is_some_and(|inside| inside.is::<RefusedError>() || inside.is::<WaitError>())
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::TimedOut => f.write_str("no reply in time"),
            ExchangeError::Busy { limit } => {
                write!(f, "{limit} queries were in flight already, and none ended in time")
            }
            ExchangeError::Malformed(error) => write!(f, "malformed reply: {error}"),
            ExchangeError::Closed => f.write_str("the server closed the connection instead of replying"),
            ExchangeError::NoTlsName => f.write_str("no name is known that the server's certificate must show"),
            ExchangeError::Untrusted { name, error } => write!(f, "no TLS with {name}: {error}"),
            ExchangeError::Failed { what, error } => write!(f, "{what}: {error}"),
            ExchangeError::Unwinding => f.write_str("a coroutine that unwinds cannot wait for a reply"),
        }
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ExchangeError::Malformed(error) => Some(error),
            ExchangeError::Untrusted { error, .. } | ExchangeError::Failed { error, .. } => Some(&**error),
            _ => None,
        }
    }
}
