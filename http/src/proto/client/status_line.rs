//! The first line of an answer (RFC 9112 section 4).
//!
//! ```text
//! status-line   = HTTP-version SP status-code SP [ reason-phrase ] CRLF
//! HTTP-version  = "HTTP" "/" DIGIT "." DIGIT
//! status-code   = 3DIGIT
//! reason-phrase = 1*( HTAB / SP / VCHAR / obs-text )
//! ```
//!
//! The space before an absent reason may be missing: many servers leave it out, every client takes it,
//! and no two would read the line in different ways.

use http::StatusCode;

use super::super::Version;
use super::super::classes::{VALUE, is};
use super::malformed::{MalformedResponse, StatusLineFault};

/// A status line, and where what follows it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: StatusCode,
    /// Where the reason begins; it ends two bytes before `end`.
    pub(super) reason: usize,
    pub(super) end: usize,
}

const PREFIX: &[u8] = b"HTTP/";
const STATUS: usize = "HTTP/1.1 ".len();
const AFTER_STATUS: usize = STATUS + 3;

/// Reads the line that `buf` begins with; `None` if it goes on. The first `searched` bytes have been looked at before.
///
/// What can be told from the first bytes is told at once: a server of another protocol may wait for us to speak next.
pub(super) fn parse(buf: &[u8], searched: usize) -> Result<Option<StatusLine>, MalformedResponse> {
    let fault = |at, fault| Err(MalformedResponse::StatusLine { at, fault });
    let Some(version) = version(buf)? else { return Ok(None) };
    let Some(space) = buf.get(STATUS - 1) else { return Ok(None) };
    if *space != b' ' {
        return fault(STATUS - 1, StatusLineFault::MissingSpace);
    }
    let Some(status) = status(buf)? else { return Ok(None) };
    let reason = match buf.get(AFTER_STATUS) {
        None => return Ok(None),
        Some(b' ') => AFTER_STATUS + 1,
        Some(b'\r' | b'\n') => AFTER_STATUS,
        Some(_) => return fault(AFTER_STATUS, StatusLineFault::MissingSpace),
    };
    let from = reason.max(searched.min(buf.len()));
    let Some(len) = buf[from..].iter().position(|&byte| !is(VALUE, byte)) else { return Ok(None) };
    let at = from + len;
    match buf[at..] {
        [b'\r', b'\n', ..] => Ok(Some(StatusLine { version, status, reason, end: at + 2 })),
        [b'\r'] => Ok(None),
        [b'\r', ..] => fault(at, StatusLineFault::BareCarriageReturn),
        [b'\n', ..] => fault(at, StatusLineFault::BareLineFeed),
        _ => fault(at, StatusLineFault::InvalidReason(buf[at])),
    }
}

fn version(buf: &[u8]) -> Result<Option<Version>, MalformedResponse> {
    let given = &buf[..buf.len().min(STATUS - 1)];
    let is_right = |(at, &byte): (usize, &u8)| match at {
        0..=4 => byte == PREFIX[at],
        6 => byte == b'.',
        _ => byte.is_ascii_digit(),
    };
    if !given.iter().enumerate().all(is_right) {
        return Err(MalformedResponse::NotHttp);
    }
    match given[given.len().min(PREFIX.len())..] {
        [b'1', b'.', b'1'] => Ok(Some(Version::Http11)),
        [b'1', b'.', b'0'] => Ok(Some(Version::Http10)),
        [_, _, _] => Err(MalformedResponse::UnsupportedVersion),
        _ => Ok(None),
    }
}

/// RFC 9110 section 15: statuses from 600 on are invalid and to be taken for a 5xx; that is for the caller to do.
fn status(buf: &[u8]) -> Result<Option<StatusCode>, MalformedResponse> {
    let given = &buf[STATUS..buf.len().min(AFTER_STATUS)];
    let is_right = |(at, byte): (usize, &u8)| byte.is_ascii_digit() && (at > 0 || *byte != b'0');
    if let Some(at) = given.iter().enumerate().position(|digit| !is_right(digit)) {
        return Err(MalformedResponse::StatusLine { at: STATUS + at, fault: StatusLineFault::InvalidStatus });
    }
    if given.len() < 3 {
        return Ok(None);
    }
    let invalid = MalformedResponse::StatusLine { at: STATUS, fault: StatusLineFault::InvalidStatus };
    StatusCode::from_bytes(given).map(Some).map_err(|_| invalid)
}
