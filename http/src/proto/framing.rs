//! Where a request's body ends, decided from its headers (RFC 9112 section 6.3).
//!
//! ```text
//! Transfer-Encoding?  Content-Length?
//!   no                  no             no body
//!   no                  one number     that many bytes
//!   no                  else           refused, 400
//!   chunked             no             chunked
//!   chunked             yes            refused, 400
//!   else                               refused, 400 or 501
//! ```
//!
//! RFC 9112 lets a server take equal lengths for one, and prefer Transfer-Encoding to a length.
//! We refuse both: no client needs them, and request smuggling does.

use super::error::HeadError;
use super::head::RequestHead;
use super::keep_alive::{ConnectionOptions, list_members};
use super::span::Span;
use super::target::host_len;
use super::{Version, decimal};

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body, or one of length 0.
    #[default]
    None,
    /// The body has this many bytes, at least one.
    Length(u64),
    /// The body comes in chunks and says itself where it ends.
    Chunked,
}

/// The headers that framing, routing and persistence are decided from, as they are met.
#[derive(Debug, Default)]
pub(super) struct FramingHeaders {
    host: Option<Span>,
    /// `None` for the requests that have nothing but `Host` to decide from, which are most.
    rare: Option<RareHeaders>,
}

#[derive(Debug, Default)]
struct RareHeaders {
    content_length: Option<Span>,
    /// The first of them.
    transfer_encoding: Option<Span>,
    expect: bool,
    upgrade: bool,
    connection: ConnectionOptions,
}

impl FramingHeaders {
    /// Takes note of a header if it is one of ours.
    #[inline]
    pub(super) fn add(&mut self, name: &str, value: &[u8], span: Span) -> Result<(), HeadError> {
        // Length and first letter tell most headers apart without a look at the rest.
        match (name.len(), name.as_bytes()) {
            (4, &[h, o, s, t]) if is_host([h, o, s, t]) => self.add_host(value, span),
            (6, [b'e' | b'E', ..])
            | (7, [b'u' | b'U', ..])
            | (10 | 14, [b'c' | b'C', ..])
            | (17, [b't' | b'T', ..]) => self.rare.get_or_insert_default().add(name, value, span),
            _ => Ok(()),
        }
    }

    #[inline]
    fn add_host(&mut self, value: &[u8], span: Span) -> Result<(), HeadError> {
        let at = span.start as usize;
        if self.host.replace(span).is_some() {
            return Err(HeadError::RepeatedHost { at });
        }
        // Empty is for a target without a host; a port without a host is for nobody.
        match host_len(value) {
            Some(0) if !value.is_empty() => Err(HeadError::InvalidHost { at }),
            Some(_) => Ok(()),
            None => Err(HeadError::InvalidHost { at }),
        }
    }

    /// Decides, once all headers are in, and writes the outcome to `head`.
    #[inline]
    pub(super) fn decide(self, buf: &[u8], body_limit: u64, head: &mut RequestHead) -> Result<(), HeadError> {
        // RFC 9112 section 3.2: a server MUST answer a 1.1 request without Host with 400.
        if self.host.is_none() && head.version == Version::Http11 {
            return Err(HeadError::MissingHost);
        }
        head.host = self.host;
        head.body = BodyFraming::None;
        head.expect_continue = false;
        head.upgrade = false;
        match self.rare {
            None => {
                head.keep_alive = ConnectionOptions::default().persists(head.version);
                Ok(())
            }
            Some(rare) => rare.decide(buf, body_limit, head),
        }
    }
}

/// Compares four bytes at once; only a letter becomes a lower-case letter by that bit.
#[inline]
fn is_host(name: [u8; 4]) -> bool {
    u32::from_ne_bytes(name) | 0x2020_2020 == u32::from_ne_bytes(*b"host")
}

impl RareHeaders {
    fn add(&mut self, name: &str, value: &[u8], span: Span) -> Result<(), HeadError> {
        let at = span.start as usize;
        if name.eq_ignore_ascii_case("connection") {
            self.connection.add(value);
        } else if name.eq_ignore_ascii_case("content-length") {
            if self.content_length.replace(span).is_some() {
                return Err(HeadError::RepeatedContentLength { at });
            }
        } else if name.eq_ignore_ascii_case(TRANSFER_ENCODING) {
            self.transfer_encoding.get_or_insert(span);
        } else if name.eq_ignore_ascii_case("upgrade") {
            self.upgrade = true;
        } else if name.eq_ignore_ascii_case("expect") {
            let mut members = list_members(value);
            if !members.all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
                return Err(HeadError::UnknownExpectation { at });
            }
            self.expect = true;
        }
        Ok(())
    }

    fn decide(self, buf: &[u8], body_limit: u64, head: &mut RequestHead) -> Result<(), HeadError> {
        let length = self.content_length.map(|span| (span.of_buf(buf), span.start as usize));
        head.body = match (self.transfer_encoding, length) {
            (None, None) => BodyFraming::None,
            (None, Some((length, at))) => content_length(length, at, body_limit)?,
            (Some(coding), None) => check_transfer_encoding(buf, coding.start as usize, head)?,
            (Some(coding), Some(_)) => {
                return Err(HeadError::LengthAndTransferEncoding { at: coding.start as usize });
            }
        };
        let is_http11 = head.version == Version::Http11;
        head.keep_alive = self.connection.persists(head.version);
        // RFC 9110 section 10.1.1: a server MUST ignore the expectation in an HTTP/1.0 request.
        head.expect_continue = self.expect && is_http11 && head.body != BodyFraming::None;
        // RFC 9110 section 7.8: a server MUST ignore Upgrade in HTTP/1.0, and without the option.
        head.upgrade = self.upgrade && self.connection.upgrade && is_http11;
        Ok(())
    }
}

const TRANSFER_ENCODING: &str = "transfer-encoding";

/// ```text
/// Content-Length = 1*DIGIT      RFC 9110 section 8.6
/// ```
fn content_length(value: &[u8], at: usize, limit: u64) -> Result<BodyFraming, HeadError> {
    match decimal::parse(value) {
        None => Err(HeadError::InvalidContentLength { at }),
        Some(0) => Ok(BodyFraming::None),
        Some(length) if length > limit => Err(HeadError::BodyTooLarge { length, limit }),
        Some(length) => Ok(BodyFraming::Length(length)),
    }
}

/// Passes `chunked` alone; what else there may be is told apart for the sake of the answer.
///
/// ```text
/// Transfer-Encoding = #transfer-coding      RFC 9112 section 6.1
/// ```
///
/// RFC 9112 section 6.3: without `chunked` at the end the length of a request cannot be known, and
/// the server MUST answer 400 and close.
/// Section 6.1: a sender MUST NOT chunk twice; a server that does not know a coding SHOULD answer
/// 501; in HTTP/1.0 the framing MUST be treated as faulty.
fn check_transfer_encoding(buf: &[u8], at: usize, head: &RequestHead) -> Result<BodyFraming, HeadError> {
    if head.version == Version::Http10 {
        return Err(HeadError::TransferEncodingOnHttp10 { at });
    }
    let (mut codings, mut chunked, mut last_is_chunked) = (0, 0, false);
    let lists = head
        .headers
        .iter()
        .filter(|header| header.name.of_buf(buf).eq_ignore_ascii_case(TRANSFER_ENCODING.as_bytes()))
        .map(|header| header.value.of_buf(buf));
    for coding in lists.flat_map(list_members) {
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        chunked += usize::from(last_is_chunked);
        codings += 1;
    }
    match (last_is_chunked, chunked, codings) {
        (false, ..) => Err(HeadError::ChunkedNotLast { at }),
        (true, 2.., _) => Err(HeadError::ChunkedRepeated { at }),
        (true, _, 2..) => Err(HeadError::UnsupportedTransferCoding { at }),
        (true, ..) => Ok(BodyFraming::Chunked),
    }
}
