//! A request as a handler sees it.

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use http::header::HeaderValue;
use http::{HeaderMap, Method, Uri, Version};

use crate::answer::{Outcome, response_head};
use crate::body::Body;
use crate::output::Output;
use crate::proto::{BodyLength, HeadView, ReplyTo, ResponseHead};
use crate::response::{Response, ResponseBody};
use crate::server::Shared;
#[cfg(feature = "tls")]
use crate::session::TlsSession;
use crate::stream::Stream;
use crate::writer::{Begun, FramedWriter, Progress, ResponseWriter};

/// One request: its head, and its body to be read.
///
/// The head's text is borrowed from the connection and costs nothing;
/// the types of the `http` crate are built when they are asked for, once.
pub struct Request<'c> {
    pub(crate) head: HeadView<'c>,
    pub(crate) peer: SocketAddr,
    pub(crate) body: Body<'c>,
    pub(crate) reply: Reply<'c>,
    // Boxed, since most requests are answered without them and they would take most of the room.
    pub(crate) uri: OnceCell<Box<Uri>>,
    pub(crate) headers: OnceCell<Box<HeaderMap>>,
}

/// What a response needs of the connection.
pub(crate) struct Reply<'c> {
    pub(crate) stream: &'c Stream,
    pub(crate) output: &'c mut Output,
    pub(crate) shared: &'c Shared,
    pub(crate) to: ReplyTo,
    pub(crate) keep_alive: bool,
    pub(crate) progress: Progress,
    /// How much of the body has been handed to the connection.
    pub(crate) sent: u64,
    pub(crate) outcome: Outcome,
}

impl<'c> Request<'c> {
    /// The method, such as `GET`; case-sensitive.
    pub fn method(&self) -> &'c str {
        self.head.method()
    }

    /// The path as it was sent, not decoded, without the query.
    pub fn path(&self) -> &'c str {
        self.head.path()
    }

    /// What stands after the `?`, as it was sent.
    pub fn query(&self) -> Option<&'c str> {
        self.head.query()
    }

    /// The whole request target as it was sent.
    pub fn target(&self) -> &'c str {
        self.head.target()
    }

    /// The host asked for: of the target if it names one, else the `Host` header; with the port if one was given.
    pub fn host(&self) -> &'c str {
        self.head.authority()
    }

    /// The first header of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&'c [u8]> {
        self.head.header(name)
    }

    /// The first header of this name, if it is text.
    pub fn header_str(&self, name: &str) -> Option<&'c str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// All headers, in the order they came.
    pub fn header_lines(&self) -> impl ExactSizeIterator<Item = (&'c str, &'c [u8])> {
        self.head.headers()
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        self.head.to_version()
    }

    /// The method, as the `http` crate's type.
    pub fn http_method(&self) -> Method {
        // The parser has let only tokens through.
        self.head.to_method().unwrap_or_default()
    }

    /// The target, as the `http` crate's type; built on the first call.
    pub fn uri(&self) -> &Uri {
        // The parser is at least as strict as the type; a disagreement shows as `/`.
        self.uri.get_or_init(|| Box::new(self.head.to_uri().unwrap_or_default()))
    }

    /// The headers, as the `http` crate's type; built on the first call.
    pub fn headers(&self) -> &HeaderMap<HeaderValue> {
        self.headers.get_or_init(|| Box::new(self.head.to_header_map().unwrap_or_default()))
    }

    /// Whether the client offers to leave HTTP for another protocol on this connection.
    pub fn offers_upgrade(&self) -> bool {
        self.head.head().upgrade()
    }

    /// The client's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Whether it came over TLS (https).
    pub fn is_tls(&self) -> bool {
        self.reply.stream.is_tls()
    }

    /// The TLS it came over, if it did.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsSession<'c>> {
        self.reply.stream.tls()
    }

    /// The body. A client that waits to be asked for it (`Expect: 100-continue`) is asked at the first read.
    ///
    /// What is left unread when the handler returns is thrown away, up to a limit.
    pub fn body(&mut self) -> &mut Body<'c> {
        &mut self.body
    }

    /// Begins the response now, to be written while the body is read.
    ///
    /// The response's own body must be empty; its `content-length` header, if it has one, is held to.
    /// The handler returns what [`ResponseWriter::finish`] gives it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the response has a body or a 1xx status, cannot be encoded, or one has been begun already;
    /// what the connection says.
    ///
    /// # Examples
    ///
    /// An echo that holds no more of a body than a buffer:
    ///
    /// ```
    /// use std::io;
    /// use grapeshot_http::{Request, Response, StatusCode};
    ///
    /// fn echo(request: &mut Request<'_>) -> io::Result<Response> {
    ///     let (body, mut writer) = request.stream(Response::new(StatusCode::OK))?;
    ///     io::copy(body, &mut writer)?;
    ///     writer.finish()
    /// }
    /// ```
    pub fn stream(&mut self, response: Response) -> io::Result<(&mut Body<'c>, ResponseWriter<'_>)> {
        let misuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("Request::stream: {what}"));
        let has_body =
            response.body_length() != BodyLength::Known(0) || matches!(response.body, ResponseBody::Upgrade(_));
        if has_body {
            return Err(misuse("the response has a body of its own"));
        }
        if response.status.is_informational() {
            return Err(misuse(&format!("the status {} is not a final one", response.status)));
        }
        if self.reply.progress != Progress::NotStarted {
            return Err(misuse("a response has been begun already"));
        }
        self.body.invite()?;
        let reply = &mut self.reply;
        let standing = reply.shared.standing();
        let head = response_head(reply.shared, &response, reply.to, reply.keep_alive);
        let head = ResponseHead { body: BodyLength::Unknown, standing: Some(&standing), ..head };
        let mark = reply.output.mark();
        let encoded = head.encode(response.headers(), reply.output.gathered());
        let plan = encoded.map_err(|error| misuse(&error.to_string()))?;
        drop(standing);
        let begun = Begun { status: response.status, plan, mark };
        reply.progress = Progress::Streaming(begun);
        let framed = FramedWriter::new(reply.stream, reply.output, plan.framing, &mut reply.sent);
        Ok((&mut self.body, ResponseWriter { framed, begun, progress: &mut reply.progress }))
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {} from {})", self.method(), self.target(), self.peer)
    }
}
