//! What can be wrong with a request target.

use std::fmt;

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
