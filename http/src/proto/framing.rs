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
use super::target::Host;
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
    content_length: Option<Span>,
    transfer_encoding: Option<Span>,
    expect: Option<Span>,
    upgrade: bool,
    connection: ConnectionOptions,
}

impl FramingHeaders {
    /// Takes note of a header if it is one of ours.
    #[inline]
    pub(super) fn add(&mut self, name: &str, value: &[u8], span: Span) -> Result<(), HeadError> {
        // The length tells most headers apart without a look at their bytes.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                let repeated = self.host.replace(span).is_some();
                if repeated {
                    return Err(HeadError::RepeatedHost { at: span.start as usize });
                }
                let valid = Host::parse(value).is_some_and(|host| !host.empty || value.is_empty());
                if !valid {
                    return Err(HeadError::InvalidHost { at: span.start as usize });
                }
            }
            6 if name.eq_ignore_ascii_case("expect") => {
                if !list_members(value).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
                    return Err(HeadError::UnknownExpectation { at: span.start as usize });
                }
                self.expect = Some(span);
            }
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case("connection") => self.connection.add(value),
            14 if name.eq_ignore_ascii_case("content-length") => {
                let repeated = self.content_length.replace(span).is_some();
                if repeated {
                    return Err(HeadError::RepeatedContentLength { at: span.start as usize });
                }
            }
            17 if name.eq_ignore_ascii_case(TRANSFER_ENCODING) => {
                self.transfer_encoding.get_or_insert(span);
            }
            _ => {}
        }
        Ok(())
    }

    /// Decides, once all headers are in, and writes the outcome to `head`.
    #[inline]
    pub(super) fn decide(
        self,
        buf: &[u8],
        body_limit: u64,
        head: &mut RequestHead,
    ) -> Result<(), HeadError> {
        // RFC 9112 section 3.2: a server MUST answer a 1.1 request without Host with 400.
        if self.host.is_none() && head.version == Version::Http11 {
            return Err(HeadError::MissingHost);
        }
        head.host = self.host;
        head.body = BodyFraming::None;
        if let Some(first) = self.transfer_encoding {
            let at = first.start as usize;
            if self.content_length.is_some() {
                return Err(HeadError::LengthAndTransferEncoding { at });
            }
            check_transfer_encoding(buf, at, head)?;
            head.body = BodyFraming::Chunked;
        } else if let Some(span) = self.content_length {
            head.body = content_length(span.of_buf(buf), span.start as usize, body_limit)?;
        }
        let is_http11 = head.version == Version::Http11;
        head.keep_alive = self.connection.persists(head.version);
        // RFC 9110 section 10.1.1: a server MUST ignore the expectation in an HTTP/1.0 request.
        head.expect_continue = self.expect.is_some() && is_http11 && head.body != BodyFraming::None;
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
fn check_transfer_encoding(buf: &[u8], at: usize, head: &RequestHead) -> Result<(), HeadError> {
    if head.version == Version::Http10 {
        return Err(HeadError::TransferEncodingOnHttp10 { at });
    }
    let (mut codings, mut chunked, mut last_is_chunked) = (0, 0, false);
    let lists = head
        .headers
        .iter()
        .filter(|header| {
            header.name.of_buf(buf).eq_ignore_ascii_case(TRANSFER_ENCODING.as_bytes())
        })
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
        (true, ..) => Ok(()),
    }
}
