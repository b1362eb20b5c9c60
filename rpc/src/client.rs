//! The client: a connection to a server that it has made itself.

use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;

use grapeshot_net::{TcpStream, UnixStream};
#[cfg(feature = "tls")]
use grapeshot_tls::{ClientConfig, TlsStream};

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use crate::auth::AuthKey;
use crate::caller::{Caller, OpenCall, Request};
use crate::connect::Connected;
use crate::connection::{Connection, Extensions, Settings};
use crate::error::CallError;
use crate::limits::Limits;
use crate::service::Service;
use crate::transport::Transport;
use crate::value::Encoded;

/// A client of one server, over one connection. Clones share it; it is closed when the last of them is dropped.
///
/// Any number of coroutines call through it at a time. It does not connect again: [`reconnect`](crate::reconnect) does.
/// [`CallerExt`](crate::CallerExt) has the calls with values of any type.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
/// use grapeshot_rpc::{CallerExt, Client, Router, Server};
///
/// test::run(|| {
///     let server = Server::bind("127.0.0.1:0").unwrap();
///     let address = server.local_addr().unwrap().to_string();
///     let server = server.service(Router::new().method("add", |(a, b): (i64, i64)| Ok(a + b)));
///     spawn(move || server.serve());
///
///     let client = Client::connect(&address).unwrap();
///     assert_eq!(client.call::<i64>("add", &(40, 2)).unwrap(), 42);
/// });
/// ```
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    address: Rc<str>,
}

impl Client {
    /// Connects to `host:port`, by name or address; an IPv6 address stands in brackets.
    ///
    /// Suspends, for as long as [`grapeshot_dns::connect`] takes at most, and the hello
    /// ([`Limits::opening_timeout`]).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what is no `host:port`; else why there is no connection. The text has the address in it.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection is closed.
    pub fn connect(address: &str) -> io::Result<Client> {
        Client::builder().connect(address)
    }

    /// Connects to a Unix socket. Suspends.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect).
    pub fn connect_unix(path: impl AsRef<Path>) -> io::Result<Client> {
        Client::builder().connect_unix(path)
    }

    /// Connects to `host:port` over TLS, and verifies that the server is the host. Suspends.
    ///
    /// # Errors
    ///
    /// As [`connect`](Client::connect), and with a [`TlsError`](grapeshot_tls::TlsError).
    #[cfg(feature = "tls")]
    pub fn connect_tls(address: &str, config: &ClientConfig) -> io::Result<Client> {
        Client::builder().connect_tls(address, config)
    }

    /// Begins a connection over any transport. Suspends.
    ///
    /// # Errors
    ///
    /// As [`Setup::open`](crate::Setup::open), with the peer in the text.
    pub fn over(transport: impl Transport) -> io::Result<Client> {
        Client::builder().over(transport)
    }

    /// A client with settings of its own.
    pub fn builder() -> ClientBuilder {
        ClientBuilder { settings: Settings::default() }
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What it is connected to, as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends the connection: see [`Connection::close`]. Never suspends.
    pub fn close(&self) {
        self.connection.close();
    }

    /// Whether no call can be made any more.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

impl Caller for Client {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.connection.exchange(request)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.connection.tell(request)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        self.connection.open(request)
    }
}

impl Connected for Client {
    fn is_closed(&self) -> bool {
        Client::is_closed(self)
    }

    fn close(&self) {
        Client::close(self);
    }

    fn wait_closed(&self) {
        self.connection.wait_closed();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).field("connection", &self.connection).finish()
    }
}

/// Settings of a client: see [`Client::builder`]. It may connect any number of times.
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    settings: Settings,
}

impl ClientBuilder {
    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.settings.limits = limits;
        self
    }

    /// Sets whether more than plain MessagePack-RPC is spoken; where the server knows it, unless set.
    pub fn extensions(mut self, extensions: Extensions) -> ClientBuilder {
        self.settings.extensions = extensions;
        self
    }

    /// Sets what the client calls itself in its hello.
    pub fn name(mut self, name: impl Into<String>) -> ClientBuilder {
        self.settings.name = name.into();
        self
    }

    /// Serves the server's calls to this client with this.
    pub fn service(mut self, service: impl Service + 'static) -> ClientBuilder {
        self.settings.service = Some(Rc::new(service));
        self
    }

    /// Proves to the server that this client knows the key, and has it prove the same, before the first call.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    pub fn key(mut self, key: AuthKey) -> ClientBuilder {
        self.settings.key = Some(key);
        self
    }

    /// Connects as [`Client::connect`] does.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub fn connect(self, address: &str) -> io::Result<Client> {
        let stream = connect_tcp(address)?;
        self.open(Box::new(stream), address)
    }

    /// Connects as [`Client::connect_unix`] does.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub fn connect_unix(self, path: impl AsRef<Path>) -> io::Result<Client> {
        let path = path.as_ref();
        let address = path.display().to_string();
        let stream = UnixStream::connect(path).map_err(|error| cannot_connect(&address, error))?;
        self.open(Box::new(stream), &address)
    }

    /// Connects as [`Client::connect_tls`] does.
    ///
    /// # Errors
    ///
    /// As [`Client::connect_tls`].
    #[cfg(feature = "tls")]
    pub fn connect_tls(self, address: &str, config: &ClientConfig) -> io::Result<Client> {
        let (host, _) = host_and_port(address)?;
        let stream = TlsStream::client(connect_tcp(address)?, config, host);
        let stream = stream.map_err(|error| cannot_connect(address, error))?;
        stream.handshake().map_err(|error| cannot_connect(address, error))?;
        self.open(Box::new(stream), address)
    }

    /// Begins a connection as [`Client::over`] does.
    ///
    /// # Errors
    ///
    /// As [`Client::over`].
    pub fn over(self, transport: impl Transport) -> io::Result<Client> {
        let address = transport.peer();
        self.open(Box::new(transport), &address)
    }

    fn open(self, transport: Box<dyn Transport>, address: &str) -> io::Result<Client> {
        match self.settings.over(transport).open() {
            Ok(connection) => Ok(Client { connection, address: address.into() }),
            Err(error) => Err(cannot_connect(address, error)),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("limits", &self.settings.limits).finish_non_exhaustive()
    }
}

fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let (host, port) = host_and_port(address)?;
    // Its error says already to what there is no connection.
    let stream = grapeshot_dns::connect(host, port)?;
    // Small messages are to leave at once; what fails here costs time, not sense.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Takes `host:port` apart.
fn host_and_port(address: &str) -> io::Result<(&str, u16)> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    // More colons are an IPv6 address, whose end looks like a port unless it stands in brackets.
    let is_whole =
        |host: &str| !host.is_empty() && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'));
    parts.filter(|(host, _)| is_whole(host)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{address:?} is no host and port, such as localhost:7000"))
    })
}

fn cannot_connect(address: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), ConnectFailed { address: address.to_owned(), cause: error })
}

/// Why there is no connection, and to what.
#[derive(Debug)]
struct ConnectFailed {
    address: String,
    cause: io::Error,
}

impl fmt::Display for ConnectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.address, self.cause)
    }
}

impl std::error::Error for ConnectFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("localhost:7000").unwrap(), ("localhost", 7000));
        assert_eq!(host_and_port("[::1]:7000").unwrap(), ("[::1]", 7000));
        for wrong in ["localhost", "localhost:", "localhost:70000", ":7000", "::1", "::1:7000", ""] {
            assert_eq!(host_and_port(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn an_error_says_once_to_what_there_is_no_connection() {
        grapeshot_core::test::run(|| {
            let address = grapeshot_harness::unused_addr().unwrap().to_string();
            let error = Client::connect(&address).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let text = error.to_string();
            assert_eq!(text.matches("cannot connect").count(), 1, "{text}");
            assert!(text.contains(&address), "{text}");
        });
    }
}
