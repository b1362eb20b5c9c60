//! An answer as the client's caller sees it.

use std::io::{self, Read};

use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::body::Body;
use crate::proto::client::{ReceivedHead, Url};

/// An answer: its head, and its body to be read.
///
/// Any status is an answer: a 404 is no error here. `Read` gives the body, decoded.
#[derive(Debug)]
pub struct Response {
    url: Url,
    head: ReceivedHead,
    body: Body,
}

impl Response {
    pub(super) fn new(url: Url, head: ReceivedHead, body: Body) -> Response {
        Response { url, head, body }
    }

    /// What was asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The status. One from 600 on is invalid, and best taken for a 5xx (RFC 9110 section 15).
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The reason phrase as sent: for people to read, and perhaps empty or not UTF-8.
    pub fn reason(&self) -> &[u8] {
        &self.head.reason
    }

    /// The version of the answer.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The first header of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.head.headers.get(name)
    }

    /// The first header of this name, if it is visible ASCII.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name)?.to_str().ok()
    }

    /// The body.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// The body, without the head.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Reads the whole body.
    ///
    /// # Errors
    ///
    /// As reading a [`Body`].
    pub fn read_all(&mut self) -> io::Result<Vec<u8>> {
        self.body.read_all()
    }

    /// Reads the whole body as UTF-8.
    ///
    /// # Errors
    ///
    /// As reading a [`Body`]; `InvalidData` when it is not UTF-8.
    pub fn read_text(&mut self) -> io::Result<String> {
        String::from_utf8(self.read_all()?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.body.read(buf)
    }
}
