//! A request head joined with the bytes it was parsed from, to be read without copying.
//!
//! The types of the `http` crate are made only when asked for: built for every request they would
//! cost several times what parsing does.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

use super::head::{HeaderSpan, RequestHead, Version};
use super::span::Span;
use super::target::{TargetForm, authority_start};

/// A request head that can be read.
#[derive(Clone, Copy, Debug)]
pub struct HeadView<'a> {
    buf: &'a [u8],
    head: &'a RequestHead,
}

impl<'a> HeadView<'a> {
    /// Joins a head with its bytes.
    ///
    /// `buf` must start with the bytes the head was parsed from. Others of that length give wrong
    /// text, never unsafe behaviour.
    ///
    /// # Panics
    ///
    /// If `buf` is shorter than the head.
    pub fn new(buf: &'a [u8], head: &'a RequestHead) -> Self {
        assert!(buf.len() >= head.len(), "the buffer is shorter than the head parsed from it");
        Self { buf, head }
    }

    /// The positions and what framing found.
    pub fn head(self) -> &'a RequestHead {
        self.head
    }

    /// The method as sent; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn method(self) -> &'a str {
        self.text(self.head.method)
    }

    /// The whole request target as sent.
    pub fn target(self) -> &'a str {
        self.text(self.head.target)
    }

    /// The path, not decoded: what stands before the `?`, without scheme and authority.
    ///
    /// It is `/` for an absolute URI without one, `*` for `OPTIONS *` and empty for CONNECT.
    pub fn path(self) -> &'a str {
        match (self.text(self.head.path), self.head.form) {
            ("", TargetForm::Absolute) => "/",
            (path, _) => path,
        }
    }

    /// The query, not decoded: what stands after the first `?`, if there is one.
    pub fn query(self) -> Option<&'a str> {
        let (path, target) = (self.head.path, self.head.target);
        (path.end < target.end).then(|| self.text(Span { start: path.end + 1, end: target.end }))
    }

    /// The host and port the request is for, as sent: from the target if it names one, else from
    /// `Host`. Empty if neither does.
    ///
    /// RFC 9112 section 3.2.2: with an absolute target the `Host` header MUST be ignored.
    pub fn authority(self) -> &'a str {
        let target = self.head.target;
        match self.head.form {
            TargetForm::Authority => self.target(),
            TargetForm::Absolute => {
                let scheme = authority_start(target.of_buf(self.buf)).unwrap_or_default();
                let start = target.start + scheme as u32;
                self.text(Span { start, end: self.head.path.start })
            }
            TargetForm::Origin | TargetForm::Asterisk => self.head.host.map_or("", |host| self.text(host)),
        }
    }

    /// The version the client speaks.
    pub fn version(self) -> Version {
        self.head.version
    }

    /// The value of the first header of that name, compared without regard to case.
    pub fn header(self, name: &str) -> Option<&'a [u8]> {
        self.headers_named(name).next()
    }

    /// The values of all headers of that name, in the order they were sent.
    pub fn headers_named(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |header: &&HeaderSpan| header.name.of_buf(self.buf).eq_ignore_ascii_case(name.as_bytes());
        self.head.headers.iter().filter(named).map(move |header| header.value.of_buf(self.buf))
    }

    /// All headers as sent, in their order. White space around values is taken off.
    pub fn headers(self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> {
        let read = move |header: &HeaderSpan| (self.text(header.name), header.value.of_buf(self.buf));
        self.head.headers.iter().map(read)
    }

    /// The method as a type of the `http` crate.
    ///
    /// # Errors
    ///
    /// None for a head that came from the parser.
    pub fn to_method(self) -> Result<Method, http::Error> {
        Ok(Method::from_bytes(self.head.method.of_buf(self.buf))?)
    }

    /// The target as a type of the `http` crate; allocates.
    ///
    /// # Errors
    ///
    /// If the target is longer than 65,534 bytes, which takes a raised
    /// [`Limits::uri_bytes`](crate::Limits::uri_bytes).
    pub fn to_uri(self) -> Result<Uri, http::Error> {
        Ok(Uri::try_from(self.head.target.of_buf(self.buf))?)
    }

    /// The headers as a type of the `http` crate; allocates.
    ///
    /// # Errors
    ///
    /// If a name is longer than 65,535 bytes, which takes a raised
    /// [`Limits::head_bytes`](crate::Limits::head_bytes).
    pub fn to_header_map(self) -> Result<HeaderMap, http::Error> {
        let mut map = HeaderMap::with_capacity(self.head.headers.len());
        for header in &self.head.headers {
            let name = HeaderName::from_bytes(header.name.of_buf(self.buf))?;
            let value = HeaderValue::from_bytes(header.value.of_buf(self.buf))?;
            map.append(name, value);
        }
        Ok(map)
    }

    /// The version as a type of the `http` crate.
    pub fn to_version(self) -> http::Version {
        match self.head.version {
            Version::Http10 => http::Version::HTTP_10,
            Version::Http11 => http::Version::HTTP_11,
        }
    }

    /// Method, target, host and names are ASCII once parsed, so the empty text stands for nothing
    /// but a buffer that is not the head's.
    fn text(self, span: Span) -> &'a str {
        str::from_utf8(span.of_buf(self.buf)).unwrap_or_default()
    }
}
