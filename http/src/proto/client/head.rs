//! From bytes to an answer's head.
//!
//! ```text
//!              status line whole           blank line found
//!   first line -----------------> headers ------------------> done
//!     |    ^                        |    ^
//!     +----+ more bytes             +----+ more bytes
//! ```
//!
//! Each byte is looked at once while the head comes, however it is cut, and once more when it is whole:
//! httparse then splits the lines, `lines` sees to their ends, and `diagnose` explains what is refused.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version as HttpVersion};

use super::super::error::SyntaxFault;
use super::super::response::ResponseFraming;
use super::super::span::Span;
use super::super::{MethodKind, Version, diagnose, lines};
use super::framing::FramingHeaders;
use super::malformed::MalformedResponse;
use super::status_line::{self, StatusLine};
use crate::Limits;

/// How large an answer's head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The most bytes from the status line to the empty line; over [`Limits::MAX_HEAD_BYTES`] it acts as that.
    pub bytes: usize,
    /// The most header lines; over [`Limits::MAX_HEADER_COUNT`] it acts as that.
    pub count: usize,
}

/// The head of an answer, interim or final.
#[derive(Clone, Debug)]
pub struct ReceivedHead {
    /// The status. From 600 on it is invalid, and best taken for a 5xx (RFC 9110 section 15).
    pub status: StatusCode,
    /// The reason as sent, which is for people to read, and may be empty. It has no control bytes, but may not be UTF-8.
    pub reason: Vec<u8>,
    /// The version.
    pub version: HttpVersion,
    /// The headers.
    pub headers: HeaderMap,
    /// How the body follows.
    pub framing: ResponseFraming,
    /// Whether the connection goes on after the body (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// How many bytes the head takes.
    pub len: usize,
}

/// Parses answers' heads, each from a buffer that may grow between calls.
#[derive(Clone, Debug, Default)]
pub struct ResponseParser {
    /// How many bytes of the buffer have been searched for the end of a line, or of the head, in vain.
    searched: usize,
    line: Option<StatusLine>,
}

impl ResponseParser {
    /// A parser at the start of a head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the head that `buf` starts with, the answer to a request with this kind of method; `None` if it goes on.
    ///
    /// After `None`, call it again with the same bytes and more of them; the buffer may have moved.
    /// After a head it is at the start of the next.
    ///
    /// # Errors
    ///
    /// Any [`MalformedResponse`] but [`MalformedResponse::UnexpectedEnd`] and [`MalformedResponse::UnaskedUpgrade`].
    /// The parser is of no use afterwards.
    pub fn parse(
        &mut self,
        buf: &[u8],
        method: MethodKind,
        limits: &HeadLimits,
    ) -> Result<Option<ReceivedHead>, MalformedResponse> {
        let limit = limits.bytes.min(Limits::MAX_HEAD_BYTES);
        let bounded = &buf[..buf.len().min(limit)];
        if let Some((line, end)) = self.find_end(bounded)? {
            *self = Self::default();
            return read(&bounded[..end], line, method, limits).map(Some);
        }
        if bounded.len() == limit {
            return Err(MalformedResponse::HeadTooLarge { limit });
        }
        self.searched = bounded.len();
        Ok(None)
    }

    /// The status line, and where the head ends.
    fn find_end(&mut self, buf: &[u8]) -> Result<Option<(StatusLine, usize)>, MalformedResponse> {
        let (line, from) = match self.line {
            Some(line) => (line, self.searched),
            // The last byte may have been a CR.
            None => match status_line::parse(buf, self.searched.saturating_sub(1))? {
                Some(line) => (line, line.end),
                None => return Ok(None),
            },
        };
        self.line = Some(line);
        Ok(lines::blank_line_end(buf, from.max(line.end)).map(|end| (line, end)))
    }
}

/// Reads a head that is whole.
fn read(
    buf: &[u8],
    line: StatusLine,
    method: MethodKind,
    limits: &HeadLimits,
) -> Result<ReceivedHead, MalformedResponse> {
    let mut head = ReceivedHead {
        status: line.status,
        reason: buf[line.reason..line.end - 2].to_vec(),
        version: match line.version {
            Version::Http10 => HttpVersion::HTTP_10,
            Version::Http11 => HttpVersion::HTTP_11,
        },
        headers: HeaderMap::new(),
        framing: ResponseFraming::None,
        keep_alive: false,
        len: buf.len(),
    };
    let framing = read_headers(buf, line.end, limits.count, &mut head.headers)?;
    (head.framing, head.keep_alive) = framing.decide(&head.headers, line, method)?;
    Ok(head)
}

fn read_headers(
    buf: &[u8],
    start: usize,
    limit: usize,
    headers: &mut HeaderMap,
) -> Result<FramingHeaders, MalformedResponse> {
    let section = &buf[start..];
    let explain = || {
        let (at, fault) = diagnose::header_lines(section);
        MalformedResponse::Syntax { at: start + at, fault }
    };
    let mut framing = FramingHeaders::default();
    if section == b"\r\n" {
        return Ok(framing);
    }
    let limit = limit.min(Limits::MAX_HEADER_COUNT);
    let mut room = [httparse::EMPTY_HEADER; Limits::MAX_HEADER_COUNT];
    let lines = match httparse::parse_headers(section, &mut room[..limit]) {
        Ok(httparse::Status::Complete((len, lines))) if len == section.len() => lines,
        Err(httparse::Error::TooManyHeaders) => return Err(MalformedResponse::TooManyHeaders { limit }),
        _ => return Err(explain()),
    };
    if !section.ends_with(b"\r\n\r\n") {
        return Err(explain());
    }
    headers.reserve(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let name = Span::of(section, line.name.as_bytes());
        if index > 0 && !lines::follows_crlf(section, name.start as usize) {
            return Err(explain());
        }
        let at = start + Span::of(section, line.value).start as usize;
        framing.add(line.name, line.value, at)?;
        let refused = |fault| MalformedResponse::Syntax { at: start + name.start as usize, fault };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(line.name.as_bytes()), HeaderValue::from_bytes(line.value))
        else {
            // A name of more than 64 KiB: no grammar forbids it.
            return Err(refused(SyntaxFault::Unknown));
        };
        headers.append(name, value);
    }
    Ok(framing)
}
