//! Checks the trailer section of a chunked body (RFC 9112 section 7.1.2).
//!
//! ```text
//! trailer-section = *( field-line CRLF )
//! ```
//!
//! Trailers are headers that come late, so they are held to the same grammar and line ends.
//! They are never merged into the headers (RFC 9110 section 6.5.1); whoever wants them reads them
//! apart.
//! Some are refused rather than handed on, because a peer that sends them hopes that somebody
//! downstream will merge them.

use super::error::BodyError;
use super::span::Span;
use super::{diagnose, lines};
use crate::Limits;

/// Headers that frame, route or authorize a message, or say how to read its body: RFC 9110 section
/// 6.5.1 forbids them as trailers.
const FORBIDDEN: [&str; 17] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The limits that govern trailers.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrailerLimits {
    bytes: usize,
    count: usize,
}

impl TrailerLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            // The empty line always fits: without it no chunked body could end.
            bytes: limits.trailer_bytes.min(limits.head_bytes).min(Limits::MAX_HEAD_BYTES).max("\r\n".len()),
            count: limits.header_count.min(Limits::MAX_HEADER_COUNT),
        }
    }
    /// Checks the section that `buf` starts with: the length of its lines without the empty line,
    /// or `None` if it is not whole.
    ///
    /// The first `searched` bytes have been looked at before.
    /// `offset` is where `buf` starts in the body, for errors.
    pub(super) fn check(&self, buf: &[u8], searched: usize, offset: u64) -> Result<Option<usize>, BodyError> {
        let bounded = &buf[..buf.len().min(self.bytes)];
        match bounded {
            [b'\r', b'\n', ..] => Ok(Some(0)),
            [b'\n', ..] | [b'\r', _, ..] => Err(explain(bounded, offset)),
            _ => match lines::blank_line_end(bounded, searched) {
                Some(end) => self.check_lines(&bounded[..end], offset).map(Some),
                None if bounded.len() == self.bytes => Err(BodyError::TrailersTooLarge { limit: self.bytes }),
                None => Ok(None),
            },
        }
    }

    fn check_lines(&self, section: &[u8], offset: u64) -> Result<usize, BodyError> {
        let mut room = [httparse::EMPTY_HEADER; Limits::MAX_HEADER_COUNT];
        let headers = match httparse::parse_headers(section, &mut room[..self.count]) {
            Ok(httparse::Status::Complete((_, headers))) => headers,
            Err(httparse::Error::TooManyHeaders) => {
                return Err(BodyError::TooManyTrailers { limit: self.count });
            }
            _ => return Err(explain(section, offset)),
        };
        for (index, header) in headers.iter().enumerate() {
            let start = Span::of(section, header.name.as_bytes()).start as usize;
            if index > 0 && !lines::follows_crlf(section, start) {
                return Err(explain(section, offset));
            }
            if FORBIDDEN.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
                return Err(BodyError::ForbiddenTrailer { at: offset + start as u64 });
            }
        }
        match section.strip_suffix(b"\r\n") {
            Some(lines) if lines.ends_with(b"\r\n") => Ok(lines.len()),
            _ => Err(explain(section, offset)),
        }
    }
}

fn explain(section: &[u8], offset: u64) -> BodyError {
    let (at, fault) = diagnose::header_lines(section);
    BodyError::TrailerSyntax { at: offset + at as u64, fault }
}
