//! From bytes to a request head, in one pass for a head that arrives whole.
//!
//! ```text
//!             whole head             blank line found
//!  first try ------------> done <-------------------- searching --+
//!      |                                                  ^  ^    | more bytes,
//!      +--------------------------------------------------+  +----+ no blank line
//!                        not whole
//! ```
//!
//! Most heads come in one read, so the first try goes straight to httparse.
//! If that says the head is not whole, later calls look only at the new bytes, for the blank line,
//! and httparse sees the head once more when it is there: a peer that sends a byte at a time makes
//! us work in proportion to what it sends, not to its square.
//!
//! httparse decides nothing about line ends, hosts, targets or framing; `lines`, `target` and
//! `framing` do. What it refuses, `diagnose` explains.

use std::mem::MaybeUninit;

use super::error::{HeadError, SyntaxFault};
use super::framing::FramingHeaders;
use super::head::{HeaderSpan, MethodKind, RequestHead, Version};
use super::span::Span;
use super::target::Target;
use super::{diagnose, lines};
use crate::Limits;

/// What parsing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is whole and takes this many bytes of the buffer.
    Complete(usize),
    /// The head goes on beyond the buffer.
    Partial,
}

/// Parses request heads, each from a buffer that may grow between calls.
#[derive(Clone, Debug, Default)]
pub struct HeadParser {
    /// How many bytes of the buffer have been searched for the end of the head in vain.
    searched: usize,
}

impl HeadParser {
    /// How many empty lines before a request line are skipped.
    ///
    /// RFC 9112 section 2.2 asks for at least one, since old clients send one after a body.
    pub const MAX_EMPTY_LINES: usize = 4;

    /// The longest method taken, in bytes; the longest registered one has 17.
    pub const MAX_METHOD_BYTES: usize = 32;

    /// A parser at the start of a head.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the head that `buf` starts with into `head`.
    ///
    /// After [`Parsed::Partial`], call it again with the same bytes and more of them; the buffer may
    /// have moved.
    /// After [`Parsed::Complete`] and after an error it is at the start of a next head.
    /// `head` is meaningful after [`Parsed::Complete`] only.
    ///
    /// # Errors
    ///
    /// Any [`HeadError`] but [`HeadError::UnexpectedEnd`].
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Parsed, HeadError> {
        let searched = std::mem::take(&mut self.searched);
        let Some(start) = skip_empty_lines(buf)? else { return Ok(Parsed::Partial) };
        let limit = limits.head_bytes.min(Limits::MAX_HEAD_BYTES);
        let end = buf.len().min(start + limit);
        let bounded = &buf[..end];
        let worth_a_try = searched <= start || lines::blank_line_end(bounded, searched.max(start)).is_some();
        if worth_a_try && let Some(len) = parse_from(bounded, start, limits, head)? {
            return Ok(Parsed::Complete(len));
        }
        refuse_long_start(&bounded[start..], limits)?;
        if end - start == limit {
            return Err(HeadError::HeadTooLarge { limit });
        }
        self.searched = end;
        Ok(Parsed::Partial)
    }

    /// Says whether the stream may end here, with `buf` unparsed.
    ///
    /// # Errors
    ///
    /// [`HeadError::UnexpectedEnd`] if a head has begun.
    pub fn end_of_stream(buf: &[u8]) -> Result<(), HeadError> {
        match skip_empty_lines(buf) {
            Ok(None) => Ok(()),
            _ => Err(HeadError::UnexpectedEnd { at: buf.len() }),
        }
    }
}

/// The offset of the first line with something on it, or `None` if it has not begun.
#[inline]
fn skip_empty_lines(buf: &[u8]) -> Result<Option<usize>, HeadError> {
    let mut start = 0;
    loop {
        match buf[start..] {
            [b'\r', b'\n', ..] if start == 2 * HeadParser::MAX_EMPTY_LINES => {
                return Err(HeadError::TooManyEmptyLines);
            }
            [b'\r', b'\n', ..] => start += 2,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => {
                let fault = SyntaxFault::BareCarriageReturn;
                return Err(HeadError::Syntax { at: start, fault });
            }
            [b'\n', ..] => {
                return Err(HeadError::Syntax { at: start, fault: SyntaxFault::BareLineFeed });
            }
            [_, ..] => return Ok(Some(start)),
        }
    }
}

/// Parses a head from `start`; `None` if it is not whole.
fn parse_from(buf: &[u8], start: usize, limits: &Limits, head: &mut RequestHead) -> Result<Option<usize>, HeadError> {
    let mut room = [const { MaybeUninit::uninit() }; Limits::MAX_HEADER_COUNT];
    let count = limits.header_count.min(room.len());
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&buf[start..], &mut room[..count]) {
        Ok(httparse::Status::Complete(len)) => {
            head.len = start + len;
            accept(&buf[..start + len], start, &request, limits, head)?;
            Ok(Some(start + len))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyHeaders { limit: count }),
        Err(_) => Err(diagnose::head(buf, start)),
    }
}

/// Checks what httparse leaves open and writes the positions to `head`.
#[inline]
fn accept(
    buf: &[u8],
    start: usize,
    request: &httparse::Request<'_, '_>,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), HeadError> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(diagnose::head(buf, start));
    };
    head.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    accept_request_line(buf, method.as_bytes(), target.as_bytes(), limits, head)?;
    let mut framing = FramingHeaders::default();
    head.headers.clear();
    head.headers.reserve(request.headers.len());
    for header in request.headers.iter() {
        let name = Span::of(buf, header.name.as_bytes());
        let value = Span::of(buf, header.value);
        if !lines::follows_crlf(buf, name.start as usize) {
            return Err(diagnose::head(buf, start));
        }
        framing.add(header.name, header.value, value)?;
        head.headers.push(HeaderSpan { name, value });
    }
    if !buf.ends_with(b"\r\n\r\n") {
        return Err(diagnose::head(buf, start));
    }
    framing.decide(buf, limits.body_bytes, head)
}

#[inline]
fn accept_request_line(
    buf: &[u8],
    method: &[u8],
    target: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), HeadError> {
    head.method = Span::of(buf, method);
    head.target = Span::of(buf, target);
    if method.len() > HeadParser::MAX_METHOD_BYTES {
        return Err(HeadError::MethodTooLong { limit: HeadParser::MAX_METHOD_BYTES });
    }
    if target.len() > limits.uri_bytes {
        return Err(HeadError::TargetTooLong { limit: limits.uri_bytes });
    }
    head.method_kind = MethodKind::of(method);
    let base = head.target.start as usize;
    let parts =
        Target::parse(head.method_kind, target).map_err(|(at, fault)| HeadError::Target { at: base + at, fault })?;
    head.form = parts.form;
    head.path = Span::new(base + parts.path, base + parts.path_end);
    Ok(())
}

/// Refuses a method or target that is too long before the rest of it has come.
///
/// Both searches are bounded, so this may be done at every call.
fn refuse_long_start(head: &[u8], limits: &Limits) -> Result<(), HeadError> {
    let longest = |from: usize, limit: usize| {
        let room = &head[from..head.len().min(from + limit + 1)];
        (memchr::memchr2(b' ', b'\n', room), room.len() > limit)
    };
    let method_limit = HeadParser::MAX_METHOD_BYTES;
    let target = match longest(0, method_limit) {
        (Some(method_len), _) if head[method_len] == b' ' => method_len + 1,
        (None, true) => return Err(HeadError::MethodTooLong { limit: method_limit }),
        _ => return Ok(()),
    };
    match longest(target, limits.uri_bytes) {
        (None, true) => Err(HeadError::TargetTooLong { limit: limits.uri_bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
impl HeadParser {
    pub(super) fn searched(&self) -> usize {
        self.searched
    }
}
