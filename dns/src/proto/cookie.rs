//! DNS cookies, the client's side (RFC 7873, RFC 9018): a light proof that a reply comes from whom it was asked of.

use std::fmt;

/// The length of a client's cookie (RFC 7873 §4).
pub const CLIENT_COOKIE_LENGTH: usize = 8;

/// The longest cookie option: the client's part and the longest server's (RFC 7873 §4).
const MAX_LENGTH: usize = CLIENT_COOKIE_LENGTH + 32;

/// The shortest part of a server (RFC 7873 §4).
const MIN_SERVER_LENGTH: usize = 8;

/// A client's cookie, with the server's part where one is known: the data of the option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    bytes: [u8; MAX_LENGTH],
    length: u8,
}

impl Cookie {
    /// A client's cookie for a server that has given none yet.
    pub fn client(client: [u8; CLIENT_COOKIE_LENGTH]) -> Self {
        let mut bytes = [0; MAX_LENGTH];
        bytes[..CLIENT_COOKIE_LENGTH].copy_from_slice(&client);
        Self { bytes, length: CLIENT_COOKIE_LENGTH as u8 }
    }

    /// Reads the data of an option; None when its length is none that RFC 7873 §4 allows: 8, or 16 to 40.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let server = data.len().checked_sub(CLIENT_COOKIE_LENGTH)?;
        if (server != 0 && server < MIN_SERVER_LENGTH) || data.len() > MAX_LENGTH {
            return None;
        }
        let mut bytes = [0; MAX_LENGTH];
        bytes[..data.len()].copy_from_slice(data);
        Some(Self { bytes, length: data.len() as u8 })
    }

    /// The data of the option.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The client's part, 8 bytes.
    pub fn client_part(&self) -> &[u8] {
        &self.bytes[..CLIENT_COOKIE_LENGTH]
    }

    /// The server's part, 8 to 32 bytes, or empty where none is known.
    pub fn server_part(&self) -> &[u8] {
        &self.as_bytes()[CLIENT_COOKIE_LENGTH..]
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
