//! Writes response heads, and decides how the body after them is framed.
//!
//! Framing is ours; a handler says what it sends and we say how (RFC 9112 section 6):
//!
//! ```text
//! status, request                body is    head says               on the wire
//! 1xx, 204, 2xx to CONNECT       any        nothing of it           nothing
//! 205                            any        content-length: 0       nothing
//! 304, and any to HEAD           any        length, if there is one nothing
//! other                          n bytes    content-length: n       n bytes
//! other, to HTTP/1.1             unknown    chunked                 chunks
//! other, to HTTP/1.0             unknown    connection: close       bytes until close
//! ```
//!
//! What becomes of headers the handler sets itself:
//!
//! - `content-length` declares the length of a body of unknown length; it must be the length of a
//!   body of known length, except in answers to HEAD and in 304, where it is the length that GET
//!   would have had. That a body of declared length keeps its word is for the half that moves bytes
//!   to see.
//! - `transfer-encoding` is dropped: it would say something about our framing.
//! - of `connection`, `close` closes, `keep-alive` is dropped, and other options go out, which
//!   `upgrade` needs.
//! - `date` and `server` are left alone, and ours left out.
//!
//! All else goes out as given, in its order, before what we add.
//! The response says HTTP/1.1 whatever the request said: RFC 9110 section 2.5 has a server name the
//! highest version it speaks.

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, SERVER, TRANSFER_ENCODING};

use super::decimal;
use super::error::ResponseError;
use super::head::{MethodKind, RequestHead, Version};
use super::keep_alive::{ConnectionOptions, list_members};
use super::standing::StandingHeaders;

/// What a handler says about the length of the body it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// It has this many bytes.
    Known(u64),
    /// It ends when the handler says so.
    Unknown,
}

/// What goes on the wire after a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// Nothing, whatever the handler sends.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks: see [`ChunkEncoder`](super::ChunkEncoder).
    Chunked,
    /// Bytes until the connection is closed.
    UntilClose,
}

/// What a response depends on in the request it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The version of the request.
    pub version: Version,
    /// The kind of its method.
    pub method: MethodKind,
}

impl ReplyTo {
    /// A request that could not be parsed.
    pub const UNPARSED: Self = Self { version: Version::Http11, method: MethodKind::Other };
}

impl From<&RequestHead> for ReplyTo {
    fn from(head: &RequestHead) -> Self {
        Self { version: head.version(), method: head.method_kind() }
    }
}

/// A response head, less the headers, which are given apart.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The request it answers.
    pub reply_to: ReplyTo,
    /// The length of the body.
    pub body: BodyLength,
    /// Whether we are willing to go on with the connection: [`RequestHead::keep_alive`] and not
    /// draining, say. That framing allows it is seen to here.
    pub keep_alive: bool,
    /// Header lines in their final form, line ends included, that say nothing of framing; most often `content-type`.
    pub prepared: &'a [u8],
    /// The values of `date` and `server`. RFC 9110 section 6.6.1: a server with a clock MUST send `date` in 2xx, 3xx
    /// and 4xx; 1xx go out without.
    pub standing: Option<&'a StandingHeaders>,
}

/// What follows from a response head that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePlan {
    /// How the body goes on the wire.
    pub framing: ResponseFraming,
    /// Whether the connection goes on after it. Not for 1xx, after which it always does, nor for
    /// 101 and 2xx to CONNECT, after which it is no longer HTTP.
    pub keep_alive: bool,
}

/// The answer to `Expect: 100-continue` of a handler that reads the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl ResponseHead<'_> {
    /// Appends the head to `out` and says how the body follows.
    ///
    /// # Errors
    ///
    /// Any [`ResponseError`]; `out` is then as it was.
    pub fn encode<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        out: &mut Vec<u8>,
    ) -> Result<ResponsePlan, ResponseError> {
        let start = out.len();
        let plan = self.try_encode(headers, out);
        if plan.is_err() {
            out.truncate(start);
        }
        plan
    }

    #[inline]
    fn try_encode<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        out: &mut Vec<u8>,
    ) -> Result<ResponsePlan, ResponseError> {
        out.reserve(256);
        write_status_line(out, self.status);
        out.extend_from_slice(self.prepared);
        let mut given = GivenHeaders::default();
        for (index, (name, value)) in headers.into_iter().enumerate() {
            given.write(out, index, name, value)?;
        }
        let (framing, length) = self.frame(given.content_length)?;
        if let Some(length) = length {
            out.extend_from_slice(b"content-length: ");
            decimal::write(out, length);
            out.extend_from_slice(b"\r\n");
        } else if framing == ResponseFraming::Chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        let keep_alive = self.persists(framing, given.connection);
        self.write_connection(out, keep_alive);
        match self.standing {
            Some(standing) if !given.date && !given.server && !self.status.is_informational() => {
                out.extend_from_slice(standing.end_of_head());
            }
            standing => self.write_end(out, standing, &given),
        }
        Ok(ResponsePlan { framing, keep_alive })
    }

    /// How the body is framed, and the content-length to say so.
    #[inline]
    fn frame(&self, declared: Option<u64>) -> Result<(ResponseFraming, Option<u64>), ResponseError> {
        let known = match self.body {
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        Ok(match BodyRule::of(self.status, self.reply_to.method) {
            BodyRule::Nothing => (ResponseFraming::None, None),
            BodyRule::Zero => (ResponseFraming::None, Some(0)),
            // A 304 is about a body that nobody made, so its own length says nothing.
            BodyRule::NotModified => (ResponseFraming::None, declared),
            BodyRule::HeadOnly => (ResponseFraming::None, declared.or(known)),
            BodyRule::Sent => match (declared, known) {
                (Some(declared), Some(actual)) if declared != actual => {
                    return Err(ResponseError::LengthMismatch { declared, actual });
                }
                (Some(length), _) | (_, Some(length)) => (ResponseFraming::Length(length), Some(length)),
                // RFC 9112 section 6.1: a server MUST NOT send chunks to a 1.0 client.
                (None, None) => match self.reply_to.version {
                    Version::Http11 => (ResponseFraming::Chunked, None),
                    Version::Http10 => (ResponseFraming::UntilClose, None),
                },
            },
        })
    }

    fn persists(&self, framing: ResponseFraming, given: ConnectionOptions) -> bool {
        self.keep_alive && !given.close && framing != ResponseFraming::UntilClose
    }

    /// Ends a head that is not to have all of the standing headers.
    fn write_end(&self, out: &mut Vec<u8>, standing: Option<&StandingHeaders>, given: &GivenHeaders) {
        if let Some(standing) = standing {
            if !given.date && !self.status.is_informational() {
                out.extend_from_slice(standing.date_line());
            }
            if !given.server {
                out.extend_from_slice(standing.server_line());
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 9112 section 9.6: a server that is about to close SHOULD say so. A 1.0 client that asked
    /// to go on waits for the answer that it may.
    fn write_connection(&self, out: &mut Vec<u8>, keep_alive: bool) {
        let tunnel = self.reply_to.method == MethodKind::Connect && self.status.is_success();
        if self.status.is_informational() || tunnel {
            return;
        }
        match (keep_alive, self.reply_to.version) {
            (false, _) => out.extend_from_slice(b"connection: close\r\n"),
            (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
    }
}

/// What status and method allow of a body: RFC 9112 section 6.3, items 1 and 2.
enum BodyRule {
    /// 1xx, 204 and 2xx to CONNECT MUST NOT have content-length or transfer-encoding: RFC 9110
    /// section 8.6, RFC 9112 section 6.1.
    Nothing,
    /// 205 MUST NOT have content, and says so by its length: RFC 9110 section 15.3.6.
    Zero,
    /// 304 may say the length that 200 would have had.
    NotModified,
    /// The answer to HEAD may say the length that GET would have had.
    HeadOnly,
    /// All others have one, even if of no bytes.
    Sent,
}

impl BodyRule {
    fn of(status: StatusCode, method: MethodKind) -> Self {
        match (status.as_u16(), method) {
            (100..=199 | 204, _) | (200..=299, MethodKind::Connect) => Self::Nothing,
            (205, _) => Self::Zero,
            (304, _) => Self::NotModified,
            (_, MethodKind::Head) => Self::HeadOnly,
            _ => Self::Sent,
        }
    }
}

/// What was learnt from the handler's headers while they were written.
#[derive(Debug, Default)]
struct GivenHeaders {
    content_length: Option<u64>,
    connection: ConnectionOptions,
    date: bool,
    server: bool,
}

impl GivenHeaders {
    #[inline]
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        index: usize,
        name: &HeaderName,
        value: &HeaderValue,
    ) -> Result<(), ResponseError> {
        // The length tells most headers apart without a look at the rest.
        match name.as_str().len() {
            14 if name == CONTENT_LENGTH => {
                let length = decimal::parse(value.as_bytes().trim_ascii());
                if length.is_none() || self.content_length.is_some() {
                    return Err(ResponseError::InvalidContentLength { index });
                }
                self.content_length = length;
                return Ok(());
            }
            17 if name == TRANSFER_ENCODING => return Ok(()),
            10 if name == CONNECTION => {
                self.connection.add(value.as_bytes());
                write_other_options(out, value.as_bytes());
                return Ok(());
            }
            4 if name == DATE => self.date = true,
            6 if name == SERVER => self.server = true,
            _ => {}
        }
        write_header(out, name, value.as_bytes());
        Ok(())
    }
}

/// Writes the connection options that say nothing about persistence, a line each.
fn write_other_options(out: &mut Vec<u8>, value: &[u8]) {
    let ours = |option: &[u8]| option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive");
    for option in list_members(value).filter(|option| !ours(option)) {
        write_header(out, &CONNECTION, option);
    }
}

#[inline]
fn write_header(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// ```text
/// status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF      RFC 9112 section 4
/// ```
#[inline]
fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space stays even where we know no phrase.
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}
