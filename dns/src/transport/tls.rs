//! DNS over TLS (RFC 7858), with servers that have to prove who they are (RFC 8310, section 5: the strict profile).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use grapeshot_core::{WaitLimit, now};
use grapeshot_net::TcpStream;
use grapeshot_tls::{ClientConfig, ConfigError, Limits, TlsError, TlsStream};

use super::connection::Pipe;
use super::error::ExchangeError;
use super::notes::{Notes, TransportStats};
use super::pipelined::{Dial, Pipelined};
use super::tcp::{StreamOptions, connect};
use super::{Place, Transport};
use crate::config::NameServer;
use crate::proto::{Query, Reply};

/// Queries are filled up to a multiple of this, so that their lengths say little (RFC 8467, section 4.1).
const PADDING_BLOCK: u16 = 128;

/// DNS over TLS: one connection for each server, shared by all queries, with replies in any order.
///
/// The certificate must be valid for the server's [`tls_name`](NameServer::tls_name); a server without one is not asked.
/// There is no falling back to plain DNS. Queries are padded (RFC 7830).
///
/// # Examples
///
/// ```
/// use grapeshot_dns::transport::{StreamOptions, Tls};
/// use grapeshot_tls::{ClientConfig, SelfSigned};
///
/// let own = SelfSigned::new(["dns.example.org"]).unwrap();
/// let tls = Tls::new(own.client_config().unwrap(), StreamOptions::default());
/// ```
pub struct Tls {
    pipelined: Pipelined<DialTls>,
}

impl Tls {
    /// Makes a transport that trusts whom `config` trusts, without any connection yet.
    pub fn new(config: ClientConfig, options: StreamOptions) -> Tls {
        Tls { pipelined: Pipelined::new(DialTls { config }, &options) }
    }

    /// Makes a transport that trusts whom the system trusts.
    ///
    /// Reads the system's roots, which blocks the thread for some milliseconds.
    ///
    /// # Errors
    ///
    /// When the system has no roots.
    pub fn system(options: StreamOptions) -> Result<Tls, ConfigError> {
        Ok(Tls::new(ClientConfig::new()?, options))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Transport for Tls {
    fn name(&self) -> &'static str {
        "TLS"
    }

    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        self.pipelined.enter(deadline)
    }

    fn exchange_in(
        &self,
        place: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        self.pipelined.exchange(place, server, query, deadline, notes)
    }

    fn stats(&self) -> TransportStats {
        self.pipelined.stats()
    }
}

struct DialTls {
    config: ClientConfig,
}

impl Dial for DialTls {
    type Pipe = TlsStream<TcpStream>;

    const PADDING: Option<u16> = Some(PADDING_BLOCK);

    fn dial(&self, server: &NameServer, deadline: Instant) -> Result<TlsStream<TcpStream>, ExchangeError> {
        let name = server.tls_name.as_deref().ok_or(ExchangeError::NoTlsName)?;
        let stream = connect(server, deadline)?;
        let secured = TlsStream::client(stream, &self.config, name).and_then(|stream| {
            let handshake = deadline.saturating_duration_since(now()).min(stream.limits().handshake);
            stream.set_limits(Limits { handshake, ..stream.limits() });
            stream.handshake().map(|()| stream)
        });
        secured.map_err(|error| handshake_error(name, error))
    }
}

fn handshake_error(name: &str, error: io::Error) -> ExchangeError {
    if TlsError::of(&error).is_some() || error.kind() == io::ErrorKind::InvalidInput {
        return match error.kind() {
            io::ErrorKind::TimedOut => ExchangeError::TimedOut,
            _ => ExchangeError::Untrusted { name: name.to_owned(), error: Arc::new(error) },
        };
    }
    ExchangeError::failed("connect", error)
}

impl Pipe for TlsStream<TcpStream> {
    fn read(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.read_within(buf, limit)
    }

    fn write(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        self.write_within(bytes, limit)
    }
}
