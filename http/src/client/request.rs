//! A request as the client's caller makes it.

use std::io::Read;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::error::ClientError;
use super::http_client::Client;
use super::response::Response;
use super::upload::OutgoingBody;
use crate::proto::client::{RequestError, Url, UrlError};

/// A request that is not sent yet.
///
/// What is wrong with it is said when it is sent.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_http::Method;
/// use grapeshot_http::client::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new();
/// let mut answer = client
///     .request(Method::POST, "http://127.0.0.1:8080/orders")
///     .header("content-type", "application/json")
///     .body(r#"{"shot": "round"}"#)
///     .send()?;
/// println!("{}: {}", answer.status(), answer.read_text()?);
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(super) client: Client,
    pub(super) method: Method,
    pub(super) url: Result<Url, UrlError>,
    pub(super) headers: HeaderMap,
    pub(super) invalid_header: bool,
    pub(super) body: OutgoingBody,
}

impl Request {
    /// Adds a header. The client's own of this name, such as `user-agent`, is left out then.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Request {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => drop(self.headers.append(name, value)),
            _ => self.invalid_header = true,
        }
        self
    }

    /// Sets the body. Its length is said in the head.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Request {
        self.body = OutgoingBody::Bytes(bytes.into());
        self
    }

    /// Sets a body that is read while it is sent, in a coroutine of its own.
    ///
    /// With a `length` exactly that much is sent, without one it goes in chunks. When the reader fails, or ends before
    /// its length, the request fails with [`ClientError::RequestBody`].
    pub fn body_reader(mut self, reader: impl Read + 'static, length: Option<u64>) -> Request {
        self.body = OutgoingBody::Reader { reader: Box::new(reader), length };
        self
    }

    /// Sends the request and returns when the head of the answer is there.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`]. An answer of any status is none.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection is closed.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    pub fn send(self) -> Result<Response, ClientError> {
        let url = self.url?;
        if self.invalid_header {
            return Err(RequestError::InvalidHeader.into());
        }
        self.client.send(self.method, url, self.headers, self.body)
    }
}
