//! The connector of a client that is told nothing else.

#[cfg(feature = "tls")]
use std::cell::OnceCell;
#[cfg(feature = "tls")]
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_dns::{ConnectErrorKind, ConnectOptions, Resolver};
use grapeshot_net::TcpStream;
#[cfg(feature = "tls")]
use grapeshot_tls::{ClientConfig, TlsStream};

use super::connect::Connector;
use super::error::ClientError;
use super::transport::Transport;
use crate::proto::client::{Host, Origin, Scheme};

/// The connector of a client that is told nothing else: TCP, and TLS over it for `https`.
///
/// Names are looked up by the resolver of the thread, and their addresses tried as RFC 8305 has it.
///
/// # Examples
///
/// ```
/// use std::net::IpAddr;
/// use grapeshot_http::client::{Client, Dialer};
///
/// // As curl's --resolve: this name and port lead there, whatever others say of them.
/// let dialer = Dialer::new().resolve("service.example", 8443, [IpAddr::from([127, 0, 0, 1])]);
/// let client = Client::builder().connector(dialer).build();
/// # drop(client);
/// ```
#[derive(Default)]
pub struct Dialer {
    known: Vec<Known>,
    resolver: Option<Resolver>,
    #[cfg(feature = "tls")]
    tls: Tls,
}

/// The configuration given, and the one in use.
#[cfg(feature = "tls")]
#[derive(Default)]
struct Tls {
    given: Option<ClientConfig>,
    ready: OnceCell<ClientConfig>,
}

/// How long an address has to answer before the next is tried.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Longer than any limit that counts.
const NO_LIMIT: Duration = Duration::from_secs(86_400);

/// Where a name leads, by the caller's word.
struct Known {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Dialer {
    /// One that believes whom the system believes.
    pub fn new() -> Dialer {
        Dialer::default()
    }

    /// Says where a host leads on one port, so that nobody is asked; the last word on a host and port counts.
    ///
    /// The addresses are tried in their order, one after the other. The host is a name as it stands in a URL, or an address.
    pub fn resolve(
        mut self,
        host: impl Into<String>,
        port: u16,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Dialer {
        let host = host.into().to_ascii_lowercase();
        self.known.push(Known { host, port, addresses: addresses.into_iter().collect() });
        self
    }

    /// Sets whom to believe, and who we are, in place of the system's roots and nobody.
    ///
    /// Of application protocols (ALPN) `http/1.1` is offered, whatever the configuration says: no other is spoken here.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: ClientConfig) -> Dialer {
        self.tls = Tls { given: Some(config), ready: OnceCell::new() };
        self
    }

    /// Sets who looks up names, in place of [`Resolver::of_thread`].
    pub fn resolver(mut self, resolver: Resolver) -> Dialer {
        self.resolver = Some(resolver);
        self
    }

    fn dial(&self, origin: &Origin) -> Result<TcpStream, ClientError> {
        let failed = |cause| ClientError::Connect { origin: origin.clone(), cause };
        let stream = match (self.known(origin), &origin.host) {
            (Some(addresses), _) => connect_to(addresses, origin.port).map_err(failed)?,
            (None, Host::Address(address)) => connect_to(&[*address], origin.port).map_err(failed)?,
            (None, Host::Name(name)) => self.connect_by_name(name, origin)?,
        };
        // A request goes out in one piece or in large ones, so there is nothing to gather.
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    fn connect_by_name(&self, name: &str, origin: &Origin) -> Result<TcpStream, ClientError> {
        let resolver = self.resolver.clone().unwrap_or_else(Resolver::of_thread);
        // The client's own limit, which is around this, is the one that its caller has set.
        let options = ConnectOptions { timeout: NO_LIMIT, attempt_timeout: NO_LIMIT, ..ConnectOptions::default() };
        resolver.connect_with(name, origin.port, &options).map_err(|error| match error.kind() {
            ConnectErrorKind::Lookup(cause) => {
                ClientError::Name { host: name.to_owned(), cause: Box::new(cause.clone()) }
            }
            _ => ClientError::Connect { origin: origin.clone(), cause: error.into() },
        })
    }

    fn known(&self, origin: &Origin) -> Option<&[IpAddr]> {
        let host = match &origin.host {
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::Address(address) => address.to_string(),
        };
        let is_it = |known: &&Known| known.host == host && known.port == origin.port;
        Some(&self.known.iter().rfind(is_it)?.addresses)
    }

    #[cfg(feature = "tls")]
    fn secure(&self, stream: TcpStream, origin: &Origin) -> Result<Rc<dyn Transport>, ClientError> {
        let failed = |cause| ClientError::Tls { origin: origin.clone(), cause };
        let name = match &origin.host {
            // RFC 6066 section 3: without the dot at its end.
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::Address(address) => address.to_string(),
        };
        let config = self.tls.config().map_err(failed)?;
        let stream = TlsStream::client(stream, &config, &name).map_err(failed)?;
        stream.handshake().map_err(failed)?;
        Ok(Rc::new(stream))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _stream: TcpStream, _origin: &Origin) -> Result<Rc<dyn Transport>, ClientError> {
        Err(ClientError::NoTls)
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// Made when it is needed first: reading the system's roots takes time.
    fn config(&self) -> io::Result<ClientConfig> {
        if let Some(config) = self.ready.get() {
            return Ok(config.clone());
        }
        let config = match &self.given {
            Some(config) => config.clone(),
            None => ClientConfig::new().map_err(io::Error::other)?,
        };
        let config = config.with_alpn(["http/1.1"]).map_err(io::Error::other)?;
        // Another coroutine may have been first.
        Ok(self.ready.get_or_init(|| config).clone())
    }
}

/// Tries addresses one after the other; what the last says is the error.
fn connect_to(addresses: &[IpAddr], port: u16) -> std::io::Result<TcpStream> {
    let mut addresses = addresses.iter().map(|&address| SocketAddr::new(address, port)).peekable();
    loop {
        match (addresses.next(), addresses.peek()) {
            (None, _) => return Err(std::io::Error::new(std::io::ErrorKind::AddrNotAvailable, "no address was given")),
            (Some(last), None) => return TcpStream::connect(last),
            (Some(address), Some(_)) => {
                if let Ok(stream) = TcpStream::connect_timeout(&address, ATTEMPT) {
                    return Ok(stream);
                }
            }
        }
    }
}

impl Connector for Dialer {
    fn connect(&self, origin: &Origin) -> Result<Rc<dyn Transport>, ClientError> {
        if cfg!(not(feature = "tls")) && origin.scheme == Scheme::Https {
            return Err(ClientError::NoTls);
        }
        let stream = self.dial(origin)?;
        match origin.scheme {
            Scheme::Http => Ok(Rc::new(stream)),
            Scheme::Https => self.secure(stream, origin),
        }
    }
}
