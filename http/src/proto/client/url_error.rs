//! What can be wrong with a URL.

use std::{convert::Infallible, error, fmt};

/// Why a URL is refused: the caller's fault, or that of whoever typed it.
///
/// Each `at` is an offset in the URL, in bytes. The texts repeat nothing of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with a scheme and `://`.
    NoScheme,
    /// The scheme is neither `http` nor `https`.
    UnknownScheme,
    /// It names a user, and perhaps a password.
    UserInfo {
        /// Offset of the `@`.
        at: usize,
    },
    /// It has no host.
    NoHost {
        /// Where one would be.
        at: usize,
    },
    /// A byte that no name of a host has.
    InvalidHostByte {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// The name cannot be one in the DNS: it is too long, has an empty label, or is no valid international name.
    InvalidName {
        /// Where it begins.
        at: usize,
    },
    /// The host looks like an address and is none, or is none that all readers agree about, such as `127.1`.
    InvalidAddress {
        /// Where it begins.
        at: usize,
    },
    /// An IPv6 address with a zone, which means nothing but on one machine.
    ZoneId {
        /// Where the address begins.
        at: usize,
    },
    /// The port is no number from 1 to 65535.
    InvalidPort {
        /// Where it begins.
        at: usize,
    },
    /// A byte in the path or query that must be percent-encoded.
    InvalidByte {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// It is longer than [`Url::MAX_BYTES`](super::Url::MAX_BYTES).
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str("a URL begins with http:// or https://"),
            Self::UnknownScheme => f.write_str("only http and https are spoken here"),
            Self::UserInfo { at } => write!(
                f,
                "byte {at}: a user's name in the URL; say it in an Authorization header (RFC 9110 section 4.2.4)"
            ),
            Self::NoHost { at } => write!(f, "byte {at}: no host (RFC 9110 section 4.2.1)"),
            Self::InvalidHostByte { at, byte } => write!(f, "byte {at}: {byte:#04x} in the host"),
            Self::InvalidName { at } => write!(f, "byte {at}: not a name of a host (RFC 1035 section 2.3.4, RFC 5891)"),
            Self::InvalidAddress { at } => {
                write!(f, "byte {at}: not an address as all readers write it (RFC 3986 section 3.2.2)")
            }
            Self::ZoneId { at } => write!(f, "byte {at}: addresses with a zone are not taken (RFC 6874)"),
            Self::InvalidPort { at } => write!(f, "byte {at}: the port is no number from 1 to 65535"),
            Self::InvalidByte { at, byte } => {
                write!(f, "byte {at}: {byte:#04x} is not percent-encoded (RFC 3986 sections 3.3 and 3.4)")
            }
            Self::TooLong { limit } => write!(f, "longer than {limit} bytes"),
        }
    }
}

impl error::Error for UrlError {}

impl From<Infallible> for UrlError {
    fn from(never: Infallible) -> UrlError {
        match never {}
    }
}
