//! DNS cookies, the client's side (RFC 7873, RFC 9018): a light proof that a reply comes from whom it was asked of.

use std::fmt;

use hickory_proto::op::ResponseCode;

use super::reply::Reply;

/// The code of the option (RFC 7873 §4).
pub(super) const OPTION_COOKIE: u16 = 10;

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

/// What is known about the cookies of one server, as seen from one address of ours.
///
/// The client's part is drawn at random for each server, so servers cannot tell by it that two of them have the same
/// client (RFC 9018 §3, RFC 7873 §9.1). It is to be drawn anew when our address changes.
///
/// ```
/// use grapeshot_dns::proto::{CookieState, QueryOptions};
///
/// let state = CookieState::new(0x0123_4567_89ab_cdef); // A random number.
/// let options = QueryOptions { cookie: Some(state.cookie()), ..QueryOptions::default() };
/// assert!(options.cookie.unwrap().server_part().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieState {
    cookie: Cookie,
}

/// What a reply's cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieVerdict {
    /// The reply is from who was asked.
    Genuine,
    /// The server knows no cookies; the reply counts as much as one without.
    Unsupported,
    /// The server wants its part repeated, which is known now: ask again, and over TCP if this is the answer to that
    /// (RFC 7873 §5.3).
    AskAgain,
    /// A cookie is missing, although this server has given one before: the reply is to be ignored (RFC 7873 §5.3).
    Missing,
    /// The cookie is not ours: the reply is to be ignored (RFC 7873 §5.3).
    Forged,
}

impl CookieState {
    /// Nothing is known yet. `random` becomes the client's part.
    pub fn new(random: u64) -> Self {
        Self { cookie: Cookie::client(random.to_be_bytes()) }
    }

    /// What to send: the client's part, and the last that the server gave.
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Judges a reply to a query that was sent with [`cookie`](Self::cookie), and remembers the server's part.
    pub fn receive(&mut self, reply: &Reply) -> CookieVerdict {
        let Some(edns) = reply.edns().filter(|edns| edns.option(OPTION_COOKIE).is_some()) else {
            let is_known = !self.cookie.server_part().is_empty();
            return if is_known { CookieVerdict::Missing } else { CookieVerdict::Unsupported };
        };
        let Some(cookie) = edns.cookie().filter(|cookie| cookie.client_part() == self.cookie.client_part()) else {
            return CookieVerdict::Forged;
        };
        if !cookie.server_part().is_empty() {
            self.cookie = cookie;
        }
        if reply.rcode() == ResponseCode::BADCOOKIE { CookieVerdict::AskAgain } else { CookieVerdict::Genuine }
    }
}
