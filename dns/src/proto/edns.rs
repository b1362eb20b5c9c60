//! What the OPT record of a reply says (RFC 6891), and why a server failed (RFC 8914).

use std::fmt;

use super::cookie::{Cookie, OPTION_COOKIE};
use super::malformed::Fault;
use super::wire::{Located, u16_at};

const OPTION_EXTENDED_ERROR: u16 = 15;

/// How many extended errors of one reply are read.
pub const MAX_EXTENDED_ERRORS: usize = 16;

/// How many bytes of an extended error's text are read; a resolver sends a line.
pub const MAX_EXTENDED_ERROR_TEXT: usize = 512;

/// The OPT record of a reply (RFC 6891 §6.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// The largest message over UDP that the sender takes, in bytes, at least 512.
    pub udp_size: u16,
    /// The version of EDNS that the server speaks; 0 is the only one there is.
    pub version: u8,
    /// The upper eight bits of the response code.
    pub(super) rcode_high: u8,
    /// Whether the server understood that records of DNSSEC are wanted.
    pub dnssec_ok: bool,
    /// The options, by code, in the order of the message.
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Edns {
    /// Reads an OPT record's class, TTL, and data between `start` and `end`.
    pub(super) fn read(message: &[u8], class: u16, ttl: u32, start: usize, end: usize) -> Located<Self> {
        let data = &message[..end];
        let mut options = Vec::new();
        let mut at = start;
        while at < end {
            let code = u16_at(data, at)?;
            let length = usize::from(u16_at(data, at + 2)?);
            let value = data.get(at + 4..at + 4 + length).ok_or((at, Fault::OptionLength { code }))?;
            options.push((code, value.to_vec()));
            at += 4 + length;
        }
        let [rcode_high, version, flags, _] = ttl.to_be_bytes();
        Ok(Self { udp_size: class.max(512), version, rcode_high, dnssec_ok: flags & 0x80 != 0, options })
    }

    /// The data of the first option with that code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(found, _)| *found == code).map(|(_, data)| data.as_slice())
    }

    /// The cookie, or None where there is none of a length that RFC 7873 §4 allows.
    pub fn cookie(&self) -> Option<Cookie> {
        self.option(OPTION_COOKIE).and_then(Cookie::parse)
    }

    /// Why the server says it failed, or what is remarkable about its answer (RFC 8914 §2).
    ///
    /// At most [`MAX_EXTENDED_ERRORS`]; options too short for a code are passed over.
    pub fn extended_errors(&self) -> Vec<ExtendedError> {
        let errors = self.options.iter().filter(|(code, _)| *code == OPTION_EXTENDED_ERROR);
        errors.filter_map(|(_, data)| ExtendedError::parse(data)).take(MAX_EXTENDED_ERRORS).collect()
    }
}

/// An extended error (RFC 8914).
///
/// ```
/// use grapeshot_dns::proto::ExtendedError;
///
/// let error = ExtendedError { code: 18, text: "not from there".to_owned() };
/// assert_eq!(error.to_string(), "Prohibited (18): not from there");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The registered code.
    pub code: u16,
    /// What the server adds, for a person to read; often empty. Not to be trusted, but free of control characters, and
    /// cut after [`MAX_EXTENDED_ERROR_TEXT`] bytes.
    pub text: String,
}

/// The purposes by code (RFC 8914 §4, and the later entries of its registry).
const PURPOSES: [&str; 31] = [
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
    "Signature Expired before Valid",
    "Too Early",
    "Unsupported NSEC3 Iterations Value",
    "Unable to conform to policy",
    "Synthesized",
    "Invalid Query Type",
];

impl ExtendedError {
    fn parse(data: &[u8]) -> Option<Self> {
        let (code, text) = data.split_first_chunk()?;
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_EXTENDED_ERROR_TEXT)]);
        // A text of the peer's ends on terminals and in logs.
        let text = text.trim_end_matches('\0').replace(char::is_control, "\u{fffd}");
        Some(Self { code: u16::from_be_bytes(*code), text })
    }

    /// What the code means, or None for one that is not registered.
    pub fn name(&self) -> Option<&'static str> {
        PURPOSES.get(usize::from(self.code)).copied()
    }
}

impl fmt::Display for ExtendedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name().unwrap_or("extended error"), self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}
