//! Writes request heads.
//!
//! ```text
//! request-line = method SP request-target SP HTTP-version CRLF      RFC 9112 section 3
//! ```
//!
//! Framing is ours: a caller says what it sends and we say how.
//!
//! ```text
//! body         method              head says
//! none         POST, PUT, PATCH    content-length: 0      RFC 9110 section 8.6
//! none         other               nothing
//! n bytes      any but TRACE       content-length: n
//! unknown      any but TRACE       transfer-encoding: chunked
//! ```
//!
//! Headers that frame the message, or that mean the connection and nothing behind it, are refused: two that contradict
//! each other are how requests are smuggled.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method};

use super::super::target::host_len;
use super::super::{MethodKind, decimal};
use super::request_error::RequestError;
use super::url::Url;

/// What follows a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// Nothing.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks: see [`ChunkEncoder`](crate::proto::ChunkEncoder).
    Chunked,
}

/// A request head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// What is asked for.
    pub url: &'a Url,
    /// The headers; a `Host` among them stands in for that of the URL.
    pub headers: &'a HeaderMap,
    /// What follows.
    pub body: RequestBody,
    /// Whether the connection is to go on after the answer.
    pub keep_alive: bool,
}

/// Those that only the client may set.
const RESERVED: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl RequestHead<'_> {
    /// What the method means for the answer's framing.
    pub fn method_kind(&self) -> MethodKind {
        MethodKind::of(self.method.as_str().as_bytes())
    }

    /// Appends the head to `out`.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        self.check()?;
        let mut parts: [&[u8]; 4] =
            [self.method.as_str().as_bytes(), b" ", self.url.target().as_bytes(), b" HTTP/1.1\r\n"];
        // RFC 9112 section 3.2.4: OPTIONS of a server as a whole.
        if self.method == Method::OPTIONS && self.url.target() == "/" {
            parts[2] = b"*";
        }
        parts.iter().for_each(|part| out.extend_from_slice(part));
        // RFC 9110 section 7.2: Host goes first, where it can.
        match self.headers.get(HOST) {
            Some(host) => write_header(out, "host", host.as_bytes()),
            None => write_header(out, "host", self.url.origin().authority().as_bytes()),
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != HOST) {
            write_header(out, name.as_str(), value.as_bytes());
        }
        self.write_framing(out);
        if !self.keep_alive {
            write_header(out, "connection", b"close");
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn check(&self) -> Result<(), RequestError> {
        if self.method == Method::CONNECT {
            return Err(RequestError::Connect);
        }
        if self.method == Method::TRACE && self.body != RequestBody::None {
            return Err(RequestError::BodyWithTrace);
        }
        if let Some(name) = RESERVED.iter().find(|name| self.headers.contains_key(*name)) {
            return Err(RequestError::ReservedHeader(name.clone()));
        }
        let is_host = |host: &HeaderValue| host_len(host.as_bytes()).is_some_and(|len| len > 0);
        match self.headers.get_all(HOST).iter().collect::<Vec<_>>()[..] {
            [] => Ok(()),
            [host] if is_host(host) => Ok(()),
            _ => Err(RequestError::InvalidHost),
        }
    }

    fn write_framing(&self, out: &mut Vec<u8>) {
        let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(self.method);
        let length = match self.body {
            RequestBody::Chunked => return write_header(out, "transfer-encoding", b"chunked"),
            RequestBody::None if !expects_body => return,
            RequestBody::None => 0,
            RequestBody::Length(length) => length,
        };
        out.extend_from_slice(b"content-length: ");
        decimal::write(out, length);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
