//! What a server is told.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};

use super::alpn;
use super::client_certificates::ClientCertificates;
use super::error::ConfigError;
use super::identity::Identity;
use super::key_log::KeyLog;
use super::limits::Limits;
use super::names::{Names, Slot};
use super::off_loop;
use super::provider::{provider, ticketer};
use super::reload::{Reload, reload};
use super::signing::Signing;
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
    /// The same as streams use it: with slow signatures off the loop.
    used: Arc<rustls::ServerConfig>,
    signing: Signing,
    limits: Limits,
    /// Where the certificates are, unless rustls was told by somebody else.
    names: Option<Arc<Names>>,
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

    /// Where signatures are made.
    pub fn signing(&self) -> Signing {
        self.signing
    }

    /// The same with signatures made elsewhere; for a configuration of rustls's own that was handed in.
    pub fn with_signing(self, signing: Signing) -> ServerConfig {
        ServerConfig { used: off_loop::server(&self.inner, signing), signing, ..self }
    }

    /// The same with other application protocols (RFC 7301), the preferred first; what can be resumed is shared.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::build`] about the names.
    pub fn with_alpn(&self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<ServerConfig, ConfigError> {
        let mut inner = rustls::ServerConfig::clone(&self.inner);
        inner.alpn_protocols = alpn::checked(alpn::listed(names))?;
        Ok(ServerConfig { names: self.names.clone(), ..ServerConfig::of(inner.into(), self.signing, self.limits) })
    }

    fn of(inner: Arc<rustls::ServerConfig>, signing: Signing, limits: Limits) -> ServerConfig {
        ServerConfig { used: off_loop::server(&inner, signing), inner, signing, limits, names: None }
    }

    /// What a stream gives to rustls.
    pub(crate) fn used(&self) -> &Arc<rustls::ServerConfig> {
        &self.used
    }
}

impl ServerConfig {
    /// Reads every identity that came from files again, now; for who is told by a signal and not by a [`Reloader`](crate::Reloader).
    ///
    /// New connections get what is there, and those that exist keep what they have. This holds for all clones.
    /// Returns what has changed or is wrong, and nothing about files that hold what they did.
    /// Blocks the thread while it reads two small files for each identity; does not suspend.
    pub fn reload(&self) -> Vec<Reload> {
        self.names().map(|names| reload(names)).unwrap_or_default()
    }

    pub(crate) fn names(&self) -> Option<&Arc<Names>> {
        self.names.as_ref()
    }
}

impl From<Arc<rustls::ServerConfig>> for ServerConfig {
    fn from(inner: Arc<rustls::ServerConfig>) -> ServerConfig {
        ServerConfig::of(inner, Signing::default(), Limits::default())
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
    /// Each with the names it is for; none for a default.
    identities: Vec<(Identity, Vec<String>)>,
    clients: Option<ClientCertificates>,
    alpn: Vec<Vec<u8>>,
    sessions_kept: usize,
    tickets: usize,
    key_log: Option<KeyLog>,
    signing: Signing,
    limits: Limits,
}

impl Default for ServerBuilder {
    fn default() -> ServerBuilder {
        ServerBuilder {
            provider: provider().clone(),
            versions: Versions::default(),
            identities: Vec::new(),
            clients: None,
            alpn: Vec::new(),
            sessions_kept: DEFAULT_SESSIONS_KEPT,
            tickets: DEFAULT_TICKETS,
            key_log: None,
            signing: Signing::default(),
            limits: Limits::default(),
        }
    }
}

impl ServerBuilder {
    /// Shows this certificate to who asks for no name, or for one that no other is for.
    ///
    /// Of several, say with an RSA key beside an ECDSA key, the first is shown whose key the client can check.
    /// Without any, a client that asks for another name is refused.
    pub fn identity(mut self, identity: Identity) -> ServerBuilder {
        self.identities.push((identity, Vec::new()));
        self
    }

    /// Shows this certificate to who asks for one of these names (RFC 6066 section 3); `*.example.org` is for
    /// `www.example.org`, and neither for `example.org` nor for `a.b.example.org` (RFC 9525 section 6.3).
    ///
    /// A name is in ASCII, an international one in its `xn--` form. The name itself goes before a wildcard.
    /// With no name at all, it is for nobody.
    pub fn identity_for(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
        identity: Identity,
    ) -> ServerBuilder {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        // With no name it is for nobody, and must not become a default.
        if !names.is_empty() {
            self.identities.push((identity, names));
        }
        self
    }

    /// Asks clients for certificates; unless set, they are not asked.
    pub fn client_certificates(mut self, clients: ClientCertificates) -> ServerBuilder {
        self.clients = Some(clients);
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

    /// Writes the secrets of every connection there; nowhere unless set.
    pub fn key_log(mut self, log: KeyLog) -> ServerBuilder {
        self.key_log = Some(log);
        self
    }

    /// Makes the signatures there; [`Signing::ByKey`] unless set.
    pub fn signing(mut self, signing: Signing) -> ServerBuilder {
        self.signing = signing;
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
    /// When there is no identity, one does not hold for a name it is for, a revocation list is malformed,
    /// a protocol's name has not 1 to 255 bytes, or the range of versions is empty.
    pub fn build(self) -> Result<ServerConfig, ConfigError> {
        let names = Arc::new(names(self.identities)?);
        let verifier = match self.clients {
            Some(clients) => clients.verifier(self.provider.clone())?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let builder = rustls::ServerConfig::builder_with_provider(self.provider);
        let builder = builder.with_protocol_versions(self.versions.listed()?)?;
        let mut inner = builder.with_client_cert_verifier(verifier).with_cert_resolver(names.clone());
        inner.alpn_protocols = alpn::checked(self.alpn)?;
        inner.session_storage = match self.sessions_kept {
            0 => Arc::new(NoServerSessionStorage {}),
            count => ServerSessionMemoryCache::new(count),
        };
        inner.send_tls13_tickets = self.tickets;
        if self.tickets > 0 {
            inner.ticketer = ticketer()?;
        }
        if let Some(log) = self.key_log {
            inner.key_log = log.into_rustls();
        }
        Ok(ServerConfig { names: Some(names), ..ServerConfig::of(inner.into(), self.signing, self.limits) })
    }
}

fn names(identities: Vec<(Identity, Vec<String>)>) -> Result<Names, ConfigError> {
    if identities.is_empty() {
        return Err(ConfigError::NoIdentity);
    }
    let mut names = Names::default();
    for (identity, asked_for) in identities {
        names.add(Slot::new(&asked_for, identity)?);
    }
    Ok(names)
}
