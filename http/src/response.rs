//! A response as a handler makes it.

use std::fmt;
use std::io::{self, Read};

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::proto::BodyLength;
use crate::stream::Stream;

/// A response: a status, headers and a body.
///
/// Framing is the server's business: `content-length`, `transfer-encoding` and `connection` follow from the body and
/// the request, and so do `date` and `server` unless they are given.
///
/// # Examples
///
/// ```
/// use grapeshot_http::{Response, StatusCode};
///
/// let response = Response::text("no such page\n").status(StatusCode::NOT_FOUND).header("x-hint", "try /");
/// assert_eq!(response.status_code(), StatusCode::NOT_FOUND);
/// assert_eq!(response.header_value("X-Hint").unwrap(), "try /");
/// ```
#[derive(Debug)]
#[must_use = "a response is sent when the handler returns it"]
pub struct Response {
    pub(crate) status: StatusCode,
    /// Kept apart, so that the commonest header costs no allocation; one that is given stands among the headers.
    pub(crate) content_type: Option<&'static ContentType>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: ResponseBody,
    /// Why the handler failed, for the operator.
    pub(crate) failure: Option<io::Error>,
}

/// A content type that the crate itself sets.
#[derive(Debug)]
pub(crate) struct ContentType {
    value: HeaderValue,
    /// The whole header line, with its line end.
    pub(crate) line: &'static [u8],
}

static PLAIN: ContentType = ContentType {
    value: HeaderValue::from_static("text/plain; charset=utf-8"),
    line: b"content-type: text/plain; charset=utf-8\r\n",
};

static HTML: ContentType = ContentType {
    value: HeaderValue::from_static("text/html; charset=utf-8"),
    line: b"content-type: text/html; charset=utf-8\r\n",
};

/// Where the bytes of a body come from.
pub(crate) enum ResponseBody {
    Empty,
    Static(&'static [u8]),
    Bytes(Vec<u8>),
    Reader(Box<BodyReader>),
    /// The handler has sent the response itself: see `Request::stream`.
    Sent,
    /// What becomes of the connection after a 101.
    Upgrade(Box<dyn FnOnce(Upgraded)>),
}

/// A body that is read while it is sent.
pub(crate) struct BodyReader<R: ?Sized = dyn Read> {
    pub(crate) length: Option<u64>,
    pub(crate) reader: R,
}

/// A connection that has left HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// The connection.
    pub stream: Stream,
    /// What the peer has already sent of the new protocol; it comes before anything read from `stream`.
    pub buffered: Vec<u8>,
}

impl Response {
    /// A response with no headers of its own and an empty body.
    pub fn new(status: StatusCode) -> Response {
        Response { status, content_type: None, headers: Vec::new(), body: ResponseBody::Empty, failure: None }
    }

    /// 200 with a body of plain text in UTF-8.
    pub fn text(text: impl Into<std::borrow::Cow<'static, str>>) -> Response {
        Response::with_type(&PLAIN, text.into())
    }

    /// 200 with a body of HTML in UTF-8.
    pub fn html(html: impl Into<std::borrow::Cow<'static, str>>) -> Response {
        Response::with_type(&HTML, html.into())
    }

    /// 200 with a body of bytes of no declared type.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Response {
        Response::new(StatusCode::OK).body(bytes)
    }

    /// 200 with a body read from `reader` while it is sent.
    ///
    /// With a `length` exactly that much is sent; without one the body goes in chunks, or to an HTTP/1.0 client until
    /// the connection closes. A reader that fails, panics or ends before its length is answered for with 500 as long
    /// as nothing is out, and else breaks the connection off, so that the peer can tell
    /// (one of HTTP/1.0 without a length only over TLS).
    pub fn reader(reader: impl Read + 'static, length: Option<u64>) -> Response {
        let body = ResponseBody::Reader(Box::new(BodyReader { length, reader }));
        Response { body, ..Response::new(StatusCode::OK) }
    }

    /// 101: the connection leaves HTTP for `protocol`, and `then` has it (HTTP-9).
    ///
    /// `then` runs on the connection's coroutine once the response is sent; the connection ends with it.
    /// Answered with 500 when the request did not offer to upgrade.
    pub fn upgrade(protocol: &'static str, then: impl FnOnce(Upgraded) + 'static) -> Response {
        let body = ResponseBody::Upgrade(Box::new(then));
        Response { body, ..Response::new(StatusCode::SWITCHING_PROTOCOLS) }
            .header(http::header::UPGRADE, protocol)
            .header(http::header::CONNECTION, "upgrade")
    }

    /// Stands for a response that has been sent.
    pub(crate) fn sent() -> Response {
        Response { body: ResponseBody::Sent, ..Response::new(StatusCode::OK) }
    }

    fn with_type(content_type: &'static ContentType, text: std::borrow::Cow<'static, str>) -> Response {
        let body = match text {
            std::borrow::Cow::Borrowed(text) => ResponseBody::Static(text.as_bytes()),
            std::borrow::Cow::Owned(text) => ResponseBody::Bytes(text.into_bytes()),
        };
        Response { status: StatusCode::OK, content_type: Some(content_type), headers: Vec::new(), body, failure: None }
    }

    /// Sets the status.
    pub fn status(mut self, status: StatusCode) -> Response {
        self.status = status;
        self
    }

    /// Replaces the body by bytes, and leaves the headers.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Response {
        self.body = ResponseBody::Bytes(bytes.into());
        self
    }

    /// Adds a header; one of the same name stays, but `content-type` is replaced.
    ///
    /// # Panics
    ///
    /// When the name or the value is none that HTTP can carry, such as one with a line break.
    /// For untrusted text use [`try_header`](Self::try_header).
    #[track_caller]
    pub fn header(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Response {
        match self.try_header(name, value) {
            Ok(response) => response,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds a header, as [`header`](Self::header) does.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] when the name or the value is none that HTTP can carry.
    pub fn try_header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<Response, InvalidHeader> {
        let name = name.try_into().map_err(|_| InvalidHeader::Name)?;
        let value = value.try_into().map_err(|_| InvalidHeader::Value(name.clone()))?;
        if name == CONTENT_TYPE {
            self.content_type = None;
            self.headers.retain(|(given, _)| given != CONTENT_TYPE);
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// The status.
    pub fn status_code(&self) -> StatusCode {
        self.status
    }

    /// The first header of this name that was given.
    pub fn header_value(&self, name: &str) -> Option<&HeaderValue> {
        let ours = self.content_type.filter(|_| name.eq_ignore_ascii_case("content-type"));
        ours.map(|content_type| &content_type.value).or_else(|| {
            self.headers.iter().find(|(given, _)| given.as_str().eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    /// The headers given, as a map.
    pub fn to_header_map(&self) -> HeaderMap {
        let mut map: HeaderMap = self.headers.iter().cloned().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        });
        if let Some(content_type) = self.content_type {
            map.insert(CONTENT_TYPE, content_type.value.clone());
        }
        map
    }

    /// The headers given, as the encoder takes them.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    pub(crate) fn body_length(&self) -> BodyLength {
        match &self.body {
            ResponseBody::Empty | ResponseBody::Sent | ResponseBody::Upgrade(_) => BodyLength::Known(0),
            ResponseBody::Static(bytes) => BodyLength::Known(bytes.len() as u64),
            ResponseBody::Bytes(bytes) => BodyLength::Known(bytes.len() as u64),
            ResponseBody::Reader(body) => body.length.map_or(BodyLength::Unknown, BodyLength::Known),
        }
    }
}

impl ResponseBody {
    /// The bytes of a body that is there as a whole; the other kinds have none.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            ResponseBody::Static(bytes) => bytes,
            ResponseBody::Bytes(bytes) => bytes,
            ResponseBody::Empty | ResponseBody::Reader(_) | ResponseBody::Sent | ResponseBody::Upgrade(_) => &[],
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseBody::Empty => f.write_str("Empty"),
            ResponseBody::Static(bytes) => write!(f, "Static({} bytes)", bytes.len()),
            ResponseBody::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            ResponseBody::Reader(body) => write!(f, "Reader({:?})", body.length),
            ResponseBody::Sent => f.write_str("Sent"),
            ResponseBody::Upgrade(_) => f.write_str("Upgrade"),
        }
    }
}

/// A header that HTTP cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The name is no token (RFC 9110 §5.1).
    Name,
    /// The value of this header has a byte that no value may have (RFC 9110 §5.5).
    Value(HeaderName),
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidHeader::Name => f.write_str("response header: the name is no token (RFC 9110 section 5.1)"),
            InvalidHeader::Value(name) => {
                write!(f, "response header {name}: the value has a byte that HTTP cannot carry (RFC 9110 section 5.5)")
            }
        }
    }
}

impl std::error::Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: &[u8]) -> Result<Response, InvalidHeader> {
        Response::new(StatusCode::OK).try_header(name, value)
    }

    /// SYL-10: header values are validated. A value with a line end would be two headers, or a response.
    #[test]
    fn a_value_with_a_control_byte_is_refused() {
        for byte in (0..=0x1f_u8).chain([0x7f]).filter(|byte| *byte != b'\t') {
            let value = [b"sixteen bytes and a ", &[byte][..], b" in the midst of it"].concat();
            assert_eq!(
                given("x", &value).unwrap_err(),
                InvalidHeader::Value(HeaderName::from_static("x")),
                "{byte:#04x}"
            );
        }
        assert!(given("x", b"a\tb\x80\xff").is_ok());
    }

    #[test]
    fn a_name_that_is_no_token_is_refused() {
        for name in ["", "a b", "a:", "a\r\nb", "\u{e9}", "a\0"] {
            assert_eq!(given(name, b"c").unwrap_err(), InvalidHeader::Name, "{name:?}");
        }
    }

    #[test]
    fn there_is_one_content_type_the_last() {
        let response = Response::html("").header("Content-Type", "text/x-a").header("content-type", "text/x-b");
        assert_eq!(response.header_value("content-type").unwrap(), "text/x-b");
        assert_eq!(response.to_header_map().get_all("content-type").iter().count(), 1);
        assert!(response.content_type.is_none());
        assert_eq!(response.headers.len(), 1);
    }

    #[test]
    fn the_prepared_lines_say_what_the_values_say() {
        for content_type in [&PLAIN, &HTML] {
            let value = content_type.value.to_str().unwrap();
            assert_eq!(content_type.line, format!("content-type: {value}\r\n").as_bytes());
        }
    }
}
