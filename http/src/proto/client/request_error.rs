//! What can be wrong with a request that is to be sent.

use std::{error, fmt};

use http::HeaderName;

/// Why a request cannot be sent: the caller's fault. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A header that frames the message or belongs to the connection, which are the client's to decide.
    ReservedHeader(HeaderName),
    /// `Host` is given more than once, or is no host with an optional port.
    InvalidHost,
    /// CONNECT makes tunnels, which this client does not.
    Connect,
    /// A body with TRACE, which must not have one.
    BodyWithTrace,
    /// The name or value of a header is not what the grammar says.
    InvalidHeader,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedHeader(name) => write!(f, "the header {name} is for the client itself to set"),
            Self::InvalidHost => f.write_str("Host is not one host with an optional port (RFC 9112 section 3.2)"),
            Self::Connect => f.write_str("CONNECT is not supported (RFC 9110 section 9.3.6)"),
            Self::BodyWithTrace => f.write_str("a TRACE request has no body (RFC 9110 section 9.3.8)"),
            Self::InvalidHeader => {
                f.write_str("the name or value of a header has a byte that none has (RFC 9110 section 5)")
            }
        }
    }
}

impl error::Error for RequestError {}
