//! What a client is told.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;

use super::alpn;
use super::error::ConfigError;
use super::identity::Identity;
use super::limits::Limits;
use super::provider::provider;
use super::roots::Roots;
use super::version::{Version, Versions};

/// For how many servers a client remembers how to resume, unless told otherwise.
const DEFAULT_SERVERS_REMEMBERED: usize = 256;

/// What a client uses for all its connections: whom it trusts, who it is, what it speaks. Cheap to clone, and `Send`.
///
/// rustls is not hidden: [`rustls`](ClientConfig::rustls) gives what there is, and a configuration of rustls's own
/// can be handed in with `ClientConfig::from(Arc<rustls::ClientConfig>)`.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::ClientConfig;
///
/// // Believes whom the system believes.
/// let config = ClientConfig::new()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    inner: Arc<rustls::ClientConfig>,
    limits: Limits,
}

impl ClientConfig {
    /// The defaults: the system's roots, TLS 1.3 and 1.2, resumption, no application protocol, no certificate of its own.
    ///
    /// May suspend, as [`Roots::system`].
    ///
    /// # Errors
    ///
    /// When the system has no roots.
    pub fn new() -> Result<ClientConfig, ConfigError> {
        ClientConfig::builder().build()
    }

    /// The defaults, to be changed.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// What rustls is given.
    pub fn rustls(&self) -> &Arc<rustls::ClientConfig> {
        &self.inner
    }

    /// How long a connection gives its peer.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> ClientConfig {
        ClientConfig { limits, ..self }
    }

    /// The same with other application protocols (RFC 7301), the preferred first; what can be resumed is shared.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`] about the names.
    pub fn with_alpn(&self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<ClientConfig, ConfigError> {
        let mut inner = rustls::ClientConfig::clone(&self.inner);
        inner.alpn_protocols = alpn::checked(alpn::listed(names))?;
        Ok(ClientConfig { inner: Arc::new(inner), limits: self.limits })
    }
}

impl From<Arc<rustls::ClientConfig>> for ClientConfig {
    fn from(inner: Arc<rustls::ClientConfig>) -> ClientConfig {
        ClientConfig { inner, limits: Limits::default() }
    }
}

impl From<rustls::ClientConfig> for ClientConfig {
    fn from(inner: rustls::ClientConfig) -> ClientConfig {
        Arc::new(inner).into()
    }
}

/// A [`ClientConfig`] in the making.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{ClientConfig, Identity, Roots, Version};
///
/// let config = ClientConfig::builder()
///     .roots(Roots::from_pem_file("ca.pem")?)
///     .identity(Identity::from_pem_files("me.pem", "me.key")?)
///     .alpn(["h2", "http/1.1"])
///     .oldest_version(Version::Tls13)
///     .build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct ClientBuilder {
    provider: Arc<CryptoProvider>,
    versions: Versions,
    roots: Option<Roots>,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    servers_remembered: usize,
    limits: Limits,
}

impl Default for ClientBuilder {
    fn default() -> ClientBuilder {
        ClientBuilder {
            provider: provider().clone(),
            versions: Versions::default(),
            roots: None,
            identity: None,
            alpn: Vec::new(),
            servers_remembered: DEFAULT_SERVERS_REMEMBERED,
            limits: Limits::default(),
        }
    }
}

impl ClientBuilder {
    /// Believes what leads to one of these, instead of the system's.
    pub fn roots(mut self, roots: Roots) -> ClientBuilder {
        self.roots = Some(roots);
        self
    }

    /// Shows this certificate to servers that ask for one.
    pub fn identity(mut self, identity: Identity) -> ClientBuilder {
        self.identity = Some(identity);
        self
    }

    /// Offers these application protocols (RFC 7301), the preferred first; none unless set.
    pub fn alpn(mut self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> ClientBuilder {
        self.alpn = alpn::listed(names);
        self
    }

    /// Speaks no version older than this; [`Version::Tls12`] unless set.
    pub fn oldest_version(mut self, version: Version) -> ClientBuilder {
        self.versions.oldest = version;
        self
    }

    /// Speaks no version newer than this; [`Version::Tls13`] unless set.
    pub fn newest_version(mut self, version: Version) -> ClientBuilder {
        self.versions.newest = version;
        self
    }

    /// Remembers how to resume with so many servers, in memory; 256 unless set, 0 for never.
    ///
    /// For each there are at most eight tickets (RFC 8446 section 4.6.1), each used once, and one session of TLS 1.2.
    pub fn servers_remembered(mut self, count: usize) -> ClientBuilder {
        self.servers_remembered = count;
        self
    }

    /// Gives the peer so much time.
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.limits = limits;
        self
    }

    /// Uses other algorithms than those of [`provider`](crate::provider).
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> ClientBuilder {
        self.provider = provider;
        self
    }

    /// Makes the configuration. May suspend, as [`Roots::system`], if no roots were set.
    ///
    /// # Errors
    ///
    /// When the system has no roots, a protocol's name has not 1 to 255 bytes, or the range of versions is empty.
    pub fn build(self) -> Result<ClientConfig, ConfigError> {
        let roots = match self.roots {
            Some(roots) => roots,
            None => Roots::system()?,
        };
        let builder = rustls::ClientConfig::builder_with_provider(self.provider);
        let builder = builder.with_protocol_versions(self.versions.listed()?)?;
        let builder = builder.with_root_certificates(roots.store().clone());
        let mut inner = match self.identity {
            Some(identity) => {
                let shown = SingleCertAndKey::from(identity.certified_key().clone());
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        inner.alpn_protocols = alpn::checked(self.alpn)?;
        inner.resumption = match self.servers_remembered {
            0 => Resumption::disabled(),
            count => Resumption::in_memory_sessions(count),
        };
        Ok(ClientConfig { inner: Arc::new(inner), limits: self.limits })
    }
}
