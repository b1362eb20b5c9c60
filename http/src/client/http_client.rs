//! The client: what requests have in common.

use std::fmt;
use std::rc::Rc;

use grapeshot_core::{now, with_deadline};
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::body::Body;
use super::connect::Connector;
use super::connection::Connection;
use super::dialer::Dialer;
use super::error::{ClientError, Phase};
use super::exchange::{Exchange, Failed};
use super::limits::ClientLimits;
use super::patience::Patience;
use super::pool::Pool;
use super::request::Request;
use super::response::Response;
use super::upload::OutgoingBody;
use crate::proto::client::{Origin, RequestBody, RequestHead, Url, UrlError};

/// A client for HTTP/1.1. Clones share their connections; it belongs to its thread.
///
/// Requests are sent from coroutines: each suspends its own, and no other.
/// A connection that can carry another request is kept for a while. It is used for requests that may be sent once more
/// should the server have closed it in that moment: those without a body, by an idempotent method
/// (RFC 9110 section 9.2.2). All others get a connection of their own.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
/// use grapeshot_http::client::Client;
/// use grapeshot_http::{Request, Server};
///
/// test::run(|| {
///     let server = Server::bind("127.0.0.1:0").unwrap();
///     let (address, handle) = (server.local_addr().unwrap(), server.handle());
///     let serving = spawn(move || server.serve(|request: &mut Request<'_>| format!("you asked for {}", request.path())));
///
///     let client = Client::new();
///     let mut answer = client.get(format!("http://{address}/shot")).unwrap();
///     assert_eq!(answer.status(), 200);
///     assert_eq!(answer.read_text().unwrap(), "you asked for /shot");
///
///     drop(client);
///     handle.drain();
///     serving.join().unwrap().unwrap();
/// });
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Rc<Shared>,
}

/// What the clones of a client, and the bodies they read, have in common.
pub(super) struct Shared {
    connector: Box<dyn Connector>,
    pub(super) limits: ClientLimits,
    headers: HeaderMap,
    pub(super) pool: Pool,
}

impl Client {
    /// A client with the default limits.
    pub fn new() -> Client {
        Client::builder().build()
    }

    /// The settings of a client to be.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Sends a GET request and returns when the head of the answer is there.
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
    pub fn get(&self, url: impl TryInto<Url, Error: Into<UrlError>>) -> Result<Response, ClientError> {
        self.request(Method::GET, url).send()
    }

    /// A request, to be completed and sent.
    pub fn request(&self, method: Method, url: impl TryInto<Url, Error: Into<UrlError>>) -> Request {
        Request {
            client: self.clone(),
            method,
            url: url.try_into().map_err(Into::into),
            headers: HeaderMap::new(),
            invalid_header: false,
            body: OutgoingBody::None,
        }
    }

    /// How many connections wait for another request.
    pub fn idle_connections(&self) -> usize {
        self.shared.pool.len()
    }

    pub(super) fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: OutgoingBody,
    ) -> Result<Response, ClientError> {
        let limits = &self.shared.limits;
        let headers = self.with_own(headers);
        let framing = body.framing();
        let keep_alive = limits.idle_connections > 0;
        let mut head = Vec::new();
        let request = RequestHead { method: &method, url: &url, headers: &headers, body: framing, keep_alive };
        request.encode(&mut head)?;

        let (patience, method_kind) = (Patience::begin(limits), request.method_kind());
        let exchange = |connection| Exchange::new(connection, limits, patience, method_kind);
        let kept = (framing == RequestBody::None && method.is_idempotent())
            .then(|| self.shared.pool.take(url.origin(), limits))
            .flatten();
        let answered = match kept.map(|connection| exchange(connection).run(head.clone(), OutgoingBody::None)) {
            Some(Ok(answered)) => answered,
            Some(Err(Failed { error, is_unheard: false })) => return Err(error),
            Some(Err(_)) | None => {
                let exchange = exchange(self.connect(url.origin(), patience)?);
                exchange.run(head, body).map_err(|failed| failed.error)?
            }
        };
        let (head, connection, upload) = answered;
        let body = Body::new(&head, connection, upload, patience, self.shared.clone())?;
        Ok(Response::new(url, head, body))
    }

    /// Adds the client's own headers where the request has none of the name.
    fn with_own(&self, mut headers: HeaderMap) -> HeaderMap {
        for (name, value) in &self.shared.headers {
            if !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        headers
    }

    fn connect(&self, origin: &Origin, patience: Patience) -> Result<Connection, ClientError> {
        let wait = patience.wait(Phase::Connect, now(), self.shared.limits.connect_timeout);
        let connected = with_deadline(wait.until, || self.shared.connector.connect(origin));
        let transport = connected.unwrap_or_else(|_| Err(wait.timed_out()))?;
        Ok(Connection::new(origin.clone(), transport))
    }
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { limits, pool, .. } = &*self.shared;
        f.debug_struct("Client").field("limits", limits).field("idle_connections", &pool.len()).finish()
    }
}

/// The settings of a client.
#[must_use = "settings do nothing until they are built"]
pub struct ClientBuilder {
    limits: ClientLimits,
    headers: HeaderMap,
    connector: Option<Box<dyn Connector>>,
}

impl Default for ClientBuilder {
    fn default() -> ClientBuilder {
        let own = concat!("grapeshot/", env!("CARGO_PKG_VERSION"));
        let headers = [(USER_AGENT, HeaderValue::from_static(own)), (ACCEPT, HeaderValue::from_static("*/*"))];
        ClientBuilder { limits: ClientLimits::default(), headers: HeaderMap::from_iter(headers), connector: None }
    }
}

impl ClientBuilder {
    /// Sets the limits.
    pub fn limits(mut self, limits: ClientLimits) -> ClientBuilder {
        self.limits = limits;
        self
    }

    /// Sets a header for all requests that do not have one of this name; `user-agent` and `accept` are such.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> ClientBuilder {
        self.headers.insert(name, value);
        self
    }

    /// Sets how connections are made: by a [`Dialer`] unless set.
    pub fn connector(mut self, connector: impl Connector + 'static) -> ClientBuilder {
        self.connector = Some(Box::new(connector));
        self
    }

    /// Makes the client.
    pub fn build(self) -> Client {
        let ClientBuilder { limits, headers, connector } = self;
        let connector = connector.unwrap_or_else(|| Box::new(Dialer::new()));
        Client { shared: Rc::new(Shared { connector, limits, headers, pool: Pool::default() }) }
    }
}
