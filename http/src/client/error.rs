//! What can go wrong with a request, from the URL to the last byte of the answer.

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use crate::proto::BodyError;
use crate::proto::client::{MalformedResponse, Origin, RequestError, UrlError};

/// Why there is no answer, or not all of it.
///
/// The reader of a body gives it within an [`io::Error`]: [`ClientError::within`] finds it there.
#[non_exhaustive]
pub enum ClientError {
    /// The URL cannot be asked for. The caller's fault; nothing was sent.
    Url(UrlError),
    /// The request cannot be sent as it is. The caller's fault; nothing was sent.
    Request(RequestError),
    /// The reader of the request's body failed. The caller's fault; part of the request was sent.
    RequestBody(io::Error),
    /// The host's name leads to no address.
    Name {
        /// The name.
        host: String,
        /// What the resolver says.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// No address of the host takes a connection.
    Connect {
        /// Where it was to lead.
        origin: Origin,
        /// What the system says.
        cause: io::Error,
    },
    /// The connection cannot be made secure: the certificate is not trusted, or the handshake failed.
    Tls {
        /// Where it was to lead.
        origin: Origin,
        /// What TLS says.
        cause: io::Error,
    },
    /// The URL is `https`, and the crate was built without its feature `tls`.
    NoTls,
    /// A limit of [`ClientLimits`](super::ClientLimits) passed.
    TimedOut {
        /// What was waited for.
        phase: Phase,
        /// The limit.
        limit: Duration,
    },
    /// A body arrived more slowly than [`body_bytes_per_second`](super::ClientLimits::body_bytes_per_second).
    TooSlow {
        /// How many bytes of body had come.
        received: u64,
        /// The least rate, in bytes a second.
        rate: u64,
    },
    /// The system failed to send the request, and no answer came that would say more.
    Send(io::Error),
    /// The system failed to read the answer, such as after a reset by the server.
    Receive(io::Error),
    /// The server closed the connection without a byte of an answer.
    NoAnswer,
    /// The server's answer has a head that is refused.
    Malformed(MalformedResponse),
    /// More interim answers came than [`interim_answers`](super::ClientLimits::interim_answers).
    TooManyInterimAnswers {
        /// The limit.
        limit: usize,
    },
    /// The server's answer has a body that is refused: its framing is broken, or it is larger than a limit.
    Body(BodyError),
    /// The answer ends before its body does, so that what came is a part of it.
    Truncated {
        /// How many bytes of body came.
        received: u64,
        /// How many were to come, if the answer said so.
        expected: Option<u64>,
    },
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// A connection: address, TCP and TLS. Limited by [`connect_timeout`](super::ClientLimits::connect_timeout).
    Connect,
    /// That the server takes the request. Limited by [`write_timeout`](super::ClientLimits::write_timeout).
    Send,
    /// The head of the answer. Limited by [`head_timeout`](super::ClientLimits::head_timeout).
    Head,
    /// More of the body. Limited by [`idle_timeout`](super::ClientLimits::idle_timeout).
    Body,
    /// All of it. Limited by [`whole_timeout`](super::ClientLimits::whole_timeout).
    Whole,
}

impl ClientError {
    /// The error within that of a reader, if it is one of these.
    pub fn within(error: &io::Error) -> Option<&ClientError> {
        error.get_ref()?.downcast_ref()
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Url(_) | Self::Request(_) => io::ErrorKind::InvalidInput,
            Self::NoTls => io::ErrorKind::Unsupported,
            Self::Name { .. } => io::ErrorKind::NotFound,
            Self::TimedOut { .. } | Self::TooSlow { .. } => io::ErrorKind::TimedOut,
            Self::Malformed(_) | Self::Body(_) | Self::TooManyInterimAnswers { .. } => io::ErrorKind::InvalidData,
            Self::NoAnswer | Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::RequestBody(cause) | Self::Send(cause) | Self::Receive(cause) => cause.kind(),
            Self::Connect { cause, .. } | Self::Tls { cause, .. } => cause.kind(),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Send => "the server took nothing more of the request",
            Self::Head => "no answer",
            Self::Body => "nothing more of the body came",
            Self::Whole => "not done",
        })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "URL: {error}"),
            Self::Request(error) => write!(f, "request: {error}"),
            Self::RequestBody(cause) => write!(f, "reading the request's body: {cause}"),
            Self::Name { host, cause } => write!(f, "looking up {host}: {cause}"),
            // It names host, port and addresses itself.
            Self::Connect { cause, .. }
                if cause.get_ref().is_some_and(|cause| cause.is::<grapeshot_dns::ConnectError>()) =>
            {
                cause.fmt(f)
            }
            Self::Connect { origin, cause } => write!(f, "connecting to {origin}: {cause}"),
            Self::Tls { origin, cause } => write!(f, "TLS with {origin}: {cause}"),
            Self::NoTls => f.write_str("https needs the feature tls, which is off"),
            Self::TimedOut { phase, limit } => write!(f, "{phase} within {limit:?}"),
            Self::TooSlow { received, rate } => {
                write!(f, "the body comes more slowly than {rate} bytes a second; {received} bytes came")
            }
            Self::Send(cause) => write!(f, "sending the request: {cause}"),
            Self::Receive(cause) => write!(f, "reading the answer: {cause}"),
            Self::NoAnswer => f.write_str("the server closed the connection without an answer"),
            Self::Malformed(error) => error.fmt(f),
            Self::TooManyInterimAnswers { limit } => {
                write!(f, "more than {limit} interim answers before the final one")
            }
            Self::Body(error) => error.fmt(f),
            Self::Truncated { received, expected: Some(expected) } => {
                write!(f, "the answer ends after {received} of {expected} bytes of its body (RFC 9112 section 8)")
            }
            Self::Truncated { received, expected: None } => {
                write!(f, "the answer ends after {received} bytes, before its body does (RFC 9112 section 8)")
            }
        }
    }
}

/// As for people: a program that ends with an error shows it in this form.
impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientError({self})")
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Malformed(error) => Some(error),
            Self::Body(error) => Some(error),
            Self::RequestBody(cause) | Self::Send(cause) | Self::Receive(cause) => Some(cause),
            Self::Connect { cause, .. } | Self::Tls { cause, .. } => Some(cause),
            Self::Name { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

impl From<ClientError> for io::Error {
    fn from(error: ClientError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

impl From<UrlError> for ClientError {
    fn from(error: UrlError) -> ClientError {
        ClientError::Url(error)
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> ClientError {
        ClientError::Request(error)
    }
}

impl From<MalformedResponse> for ClientError {
    fn from(error: MalformedResponse) -> ClientError {
        ClientError::Malformed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_with_an_error_says_it_in_words() {
        let error = ClientError::TimedOut { phase: Phase::Head, limit: Duration::from_secs(30) };
        assert_eq!(format!("{error:?}"), "ClientError(no answer within 30s)");
    }
}
