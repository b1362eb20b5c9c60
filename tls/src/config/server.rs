//! What a server is told.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::sign::SingleCertAndKey;

use super::alpn;
use super::error::ConfigError;
use super::identity::Identity;
use super::limits::Limits;
use super::provider::{provider, ticketer};
use super::version::{Version, Versions};

/// How many sessions a server keeps for clients that do not take tickets, unless told otherwise.
const DEFAULT_SESSIONS_KEPT: usize = 1024;

/// How many tickets a client gets after a handshake of TLS 1.3, unless told otherwise: each is good for one connection,
/// and browsers open several.
const DEFAULT_TICKETS: usize = 2;

/// What a server uses for all its connections: who it is, whom it lets in, what it speaks. Cheap to clone, and `Send`.
///
/// rustls is not hidden: [`rustls`](ServerConfig::rustls) gives what there is, and a configuration of rustls's own
/// can be handed in with `ServerConfig::from(Arc<rustls::ServerConfig>)`.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::ServerConfig;
///
/// let config = ServerConfig::from_pem_files("example.org.pem", "example.org.key")?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    inner: Arc<rustls::ServerConfig>,
    limits: Limits,
}

impl ServerConfig {
    /// The defaults with a certificate and its key from PEM files.
    ///
    /// # Errors
    ///
    /// As [`Identity::from_pem_files`].
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerConfig, ConfigError> {
        ServerConfig::builder().identity(Identity::from_pem_files(chain, key)?).build()
    }

    /// The defaults, to be changed: TLS 1.3 and 1.2, resumption, no application protocol, no questions about the client.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// What rustls is given.
    pub fn rustls(&self) -> &Arc<rustls::ServerConfig> {
        &self.inner
    }

    /// How long a connection gives its peer.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> ServerConfig {
        ServerConfig { limits, ..self }
    }

    /// The same with other application protocols (RFC 7301), the preferred first; what can be resumed is shared.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::build`] about the names.
    pub fn with_alpn(&self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<ServerConfig, ConfigError> {
        let mut inner = rustls::ServerConfig::clone(&self.inner);
        inner.alpn_protocols = alpn::checked(alpn::listed(names))?;
        Ok(ServerConfig { inner: Arc::new(inner), ..self.clone() })
    }
}

impl From<Arc<rustls::ServerConfig>> for ServerConfig {
    fn from(inner: Arc<rustls::ServerConfig>) -> ServerConfig {
        ServerConfig { inner, limits: Limits::default() }
    }
}

impl From<rustls::ServerConfig> for ServerConfig {
    fn from(inner: rustls::ServerConfig) -> ServerConfig {
        Arc::new(inner).into()
    }
}

/// A [`ServerConfig`] in the making.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{Identity, ServerConfig};
///
/// let config = ServerConfig::builder()
///     .identity(Identity::from_pem_files("example.org.pem", "example.org.key")?)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct ServerBuilder {
    provider: Arc<CryptoProvider>,
    versions: Versions,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    sessions_kept: usize,
    tickets: usize,
    limits: Limits,
}

impl Default for ServerBuilder {
    fn default() -> ServerBuilder {
        ServerBuilder {
            provider: provider().clone(),
            versions: Versions::default(),
            identity: None,
            alpn: Vec::new(),
            sessions_kept: DEFAULT_SESSIONS_KEPT,
            tickets: DEFAULT_TICKETS,
            limits: Limits::default(),
        }
    }
}

impl ServerBuilder {
    /// Shows this certificate, whatever name is asked for.
    pub fn identity(mut self, identity: Identity) -> ServerBuilder {
        self.identity = Some(identity);
        self
    }

    /// Speaks these application protocols (RFC 7301), the preferred first; unless set, clients' wishes are not looked at.
    pub fn alpn(mut self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> ServerBuilder {
        self.alpn = alpn::listed(names);
        self
    }

    /// Speaks no version older than this; [`Version::Tls12`] unless set.
    pub fn oldest_version(mut self, version: Version) -> ServerBuilder {
        self.versions.oldest = version;
        self
    }

    /// Speaks no version newer than this; [`Version::Tls13`] unless set.
    pub fn newest_version(mut self, version: Version) -> ServerBuilder {
        self.versions.newest = version;
        self
    }

    /// Keeps so many sessions in memory for clients that resume without tickets; 1024 unless set, 0 for none.
    ///
    /// The oldest goes when there is no room for another.
    pub fn sessions_kept(mut self, count: usize) -> ServerBuilder {
        self.sessions_kept = count;
        self
    }

    /// Sends so many tickets after a handshake of TLS 1.3, and one after one of TLS 1.2; 2 unless set, 0 for none at all.
    ///
    /// A ticket holds the session, sealed (RFC 5077): nothing is kept here.
    /// The key is this process's own and is changed every six hours; a ticket outlives one change.
    pub fn tickets(mut self, count: usize) -> ServerBuilder {
        self.tickets = count;
        self
    }

    /// Gives the peer so much time.
    pub fn limits(mut self, limits: Limits) -> ServerBuilder {
        self.limits = limits;
        self
    }

    /// Uses other algorithms than those of [`provider`](crate::provider).
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> ServerBuilder {
        self.provider = provider;
        self
    }

    /// Makes the configuration. Never suspends.
    ///
    /// # Errors
    ///
    /// When there is no identity, a protocol's name has not 1 to 255 bytes, or the range of versions is empty.
    pub fn build(self) -> Result<ServerConfig, ConfigError> {
        let identity = self.identity.ok_or(ConfigError::NoIdentity)?;
        let builder = rustls::ServerConfig::builder_with_provider(self.provider);
        let builder = builder.with_protocol_versions(self.versions.listed()?)?.with_no_client_auth();
        let shown = SingleCertAndKey::from(identity.certified_key().clone());
        let mut inner = builder.with_cert_resolver(Arc::new(shown));
        inner.alpn_protocols = alpn::checked(self.alpn)?;
        inner.session_storage = match self.sessions_kept {
            0 => Arc::new(NoServerSessionStorage {}),
            count => ServerSessionMemoryCache::new(count),
        };
        inner.send_tls13_tickets = self.tickets;
        if self.tickets > 0 {
            inner.ticketer = ticketer()?;
        }
        Ok(ServerConfig { inner: Arc::new(inner), limits: self.limits })
    }
}
