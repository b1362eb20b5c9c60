//! What a header says, in either version.

use std::fmt;
use std::net::SocketAddr;

use super::{v1, v2};

/// A PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it was written.
    pub version: Version,
    /// For whom the proxy connects.
    pub announced: Announced,
    /// What else it says; version 2 only.
    pub tlvs: Vec<Tlv>,
}

impl Header {
    /// The value of the first further statement of this kind, such as [`Tlv::AUTHORITY`].
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| tlv.value.as_slice())
    }
}

/// The two ways to write a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    One,
    /// Binary.
    Two,
}

/// For whom a proxy connects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announced {
    /// For itself, such as to see whether we live: the connection's own addresses hold.
    Local,
    /// It does not know, or cannot say: the connection's own addresses hold.
    Unknown,
    /// For a client with an internet address.
    Inet {
        /// The client's.
        source: SocketAddr,
        /// The one that the client connected to.
        destination: SocketAddr,
        /// What the client spoke to the proxy.
        transport: Transport,
    },
    /// For a client on a Unix socket of the proxy's machine; paths without the zeros at their ends.
    Unix {
        /// The client's.
        source: Vec<u8>,
        /// The one that the client connected to.
        destination: Vec<u8>,
        /// What the client spoke to the proxy.
        transport: Transport,
    },
}

/// What a client speaks to its proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, or a Unix stream socket.
    Stream,
    /// UDP, or a Unix datagram socket.
    Datagram,
}

/// A further statement of a version 2 header: type, length, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// What it is about.
    pub kind: u8,
    /// What it says.
    pub value: Vec<u8>,
}

impl Tlv {
    /// The protocol spoken above, as in ALPN.
    pub const ALPN: u8 = 0x01;
    /// The host that the client asked for, as in TLS's server name.
    pub const AUTHORITY: u8 = 0x02;
    /// A checksum over the header; verified before the header is given out.
    pub const CRC32C: u8 = 0x03;
    /// Nothing: padding.
    pub const NOOP: u8 = 0x04;
    /// The proxy's own number for the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of the client's TLS.
    pub const SSL: u8 = 0x20;
    /// The network namespace.
    pub const NETNS: u8 = 0x30;
}

/// The peer's first bytes are no PROXY header; found inside an [`io::Error`](std::io::Error) of kind `InvalidData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedHeader {
    pub(super) offset: usize,
    pub(super) what: &'static str,
}

impl MalformedHeader {
    /// Where the first wrong byte is, counted from the beginning.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for MalformedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed PROXY header at byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for MalformedHeader {}

pub(super) fn malformed<T>(offset: usize, what: &'static str) -> Result<T, MalformedHeader> {
    Err(MalformedHeader { offset, what })
}

/// Reads the header that a stream begins with: what it says and how long it is; `None` while bytes are missing.
///
/// Never suspends and does no I/O. `max_len` bounds the header; a longer one is refused as soon as its length is known.
///
/// # Errors
///
/// [`MalformedHeader`], at the first byte that cannot be part of a header.
///
/// # Examples
///
/// ```
/// use grapeshot_net::proxy_protocol::{Announced, parse};
///
/// let bytes = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET /";
/// let (header, len) = parse(bytes, 4096).unwrap().unwrap();
/// assert_eq!(&bytes[len..], b"GET /");
/// let Announced::Inet { source, .. } = header.announced else { panic!() };
/// assert_eq!(source, "192.0.2.1:56324".parse().unwrap());
/// assert_eq!(parse(&bytes[..20], 4096), Ok(None));
/// ```
pub fn parse(bytes: &[u8], max_len: usize) -> Result<Option<(Header, usize)>, MalformedHeader> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => v1::parse(bytes, max_len),
        Some(b'\r') => v2::parse(bytes, max_len),
        Some(_) => malformed(0, "neither version begins like this"),
    }
}

/// Where two byte strings begin to differ, as far as both go.
pub(super) fn first_difference(bytes: &[u8], expected: &[u8]) -> Option<usize> {
    bytes.iter().zip(expected).position(|(byte, expected)| byte != expected)
}
