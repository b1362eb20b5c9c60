//! What a client is told.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;

use super::alpn;
use super::danger::AnyCertificate;
use super::error::ConfigError;
use super::identity::Identity;
use super::key_log::KeyLog;
use super::limits::Limits;
use super::off_loop;
use super::pinned::{Pin, PinnedVerifier};
use super::provider::provider;
use super::revocation::RevocationLists;
use super::roots::Roots;
use super::signing::Signing;
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
    /// The same as streams use it: with slow signatures off the loop.
    used: Arc<rustls::ClientConfig>,
    signing: Signing,
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

    /// Where signatures are made, if this client shows a certificate.
    pub fn signing(&self) -> Signing {
        self.signing
    }

    /// The same with signatures made elsewhere; what could be resumed with a certificate is not.
    pub fn with_signing(self, signing: Signing) -> ClientConfig {
        ClientConfig { used: off_loop::client(&self.inner, signing), signing, ..self }
    }

    /// The same with other application protocols (RFC 7301), the preferred first; what can be resumed is shared.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`] about the names.
    pub fn with_alpn(&self, names: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<ClientConfig, ConfigError> {
        let names = alpn::checked(alpn::listed(names))?;
        // Who shows a certificate resumes only by the very same means of choosing it, so what is used is not made anew.
        let [inner, used] = [&self.inner, &self.used].map(|config| {
            let mut config = rustls::ClientConfig::clone(config);
            config.alpn_protocols.clone_from(&names);
            Arc::new(config)
        });
        Ok(ClientConfig { inner, used, ..self.clone() })
    }

    fn of(inner: Arc<rustls::ClientConfig>, signing: Signing, limits: Limits) -> ClientConfig {
        ClientConfig { used: off_loop::client(&inner, signing), inner, signing, limits }
    }

    /// What a stream gives to rustls.
    pub(crate) fn used(&self) -> &Arc<rustls::ClientConfig> {
        &self.used
    }
}

impl From<Arc<rustls::ClientConfig>> for ClientConfig {
    fn from(inner: Arc<rustls::ClientConfig>) -> ClientConfig {
        ClientConfig::of(inner, Signing::default(), Limits::default())
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
    lists: RevocationLists,
    belief: Belief,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    servers_remembered: usize,
    key_log: Option<KeyLog>,
    signing: Signing,
    limits: Limits,
}

/// What makes a client believe a server.
#[derive(Clone, Debug)]
enum Belief {
    Roots,
    RootsAndPins(Vec<Pin>),
    Pins(Vec<Pin>),
    Anything,
}

impl Default for ClientBuilder {
    fn default() -> ClientBuilder {
        ClientBuilder {
            provider: provider().clone(),
            versions: Versions::default(),
            roots: None,
            lists: RevocationLists::default(),
            belief: Belief::Roots,
            identity: None,
            alpn: Vec::new(),
            servers_remembered: DEFAULT_SERVERS_REMEMBERED,
            key_log: None,
            signing: Signing::default(),
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

    /// Does not believe what was taken back by its issuer.
    pub fn revocation_lists(mut self, lists: RevocationLists) -> ClientBuilder {
        self.lists = lists;
        self
    }

    /// Believes only servers that have one of these keys, and hold up against the roots as well; with no pin, nobody.
    ///
    /// Replaces what was said about pins before.
    pub fn pins(mut self, pins: impl IntoIterator<Item = Pin>) -> ClientBuilder {
        self.belief = Belief::RootsAndPins(pins.into_iter().collect());
        self
    }

    /// Believes servers that have one of these keys, and nobody else; roots are not looked at.
    ///
    /// As a key is known by itself, neither the name in its certificate nor the dates matter (RFC 7858 section 4.2).
    /// Replaces what was said about pins before.
    pub fn pins_instead_of_roots(mut self, pins: impl IntoIterator<Item = Pin>) -> ClientBuilder {
        self.belief = Belief::Pins(pins.into_iter().collect());
        self
    }

    /// Believes everybody: whoever is in between can read and change everything. For experiments on one's own machine.
    ///
    /// Replaces what was said about pins; roots and revocation lists are not looked at.
    /// [`pins_instead_of_roots`](ClientBuilder::pins_instead_of_roots) is the safe way to a server without an authority.
    pub fn danger_accept_any_certificate(mut self) -> ClientBuilder {
        self.belief = Belief::Anything;
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

    /// Writes the secrets of every connection there; nowhere unless set.
    pub fn key_log(mut self, log: KeyLog) -> ClientBuilder {
        self.key_log = Some(log);
        self
    }

    /// Makes the signatures of its certificate's key there; [`Signing::ByKey`] unless set.
    pub fn signing(mut self, signing: Signing) -> ClientBuilder {
        self.signing = signing;
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
    /// When the system has no roots, a revocation list is malformed, a protocol's name has not 1 to 255 bytes,
    /// or the range of versions is empty.
    pub fn build(self) -> Result<ClientConfig, ConfigError> {
        let verifier = verifier(self.belief, self.roots, self.lists, &self.provider)?;
        let builder = rustls::ClientConfig::builder_with_provider(self.provider);
        let builder = builder.with_protocol_versions(self.versions.listed()?)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
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
        if let Some(log) = self.key_log {
            inner.key_log = log.into_rustls();
        }
        Ok(ClientConfig::of(inner.into(), self.signing, self.limits))
    }
}

fn verifier(
    belief: Belief,
    roots: Option<Roots>,
    lists: RevocationLists,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConfigError> {
    let algorithms = provider.signature_verification_algorithms;
    let by_roots = || {
        let roots = roots.map_or_else(Roots::system, Ok)?;
        let builder = WebPkiServerVerifier::builder_with_provider(roots.store().clone(), provider.clone());
        Ok::<_, ConfigError>(builder.with_crls(lists.into_rustls()).build()?)
    };
    Ok(match belief {
        Belief::Roots => by_roots()?,
        Belief::RootsAndPins(pins) => Arc::new(PinnedVerifier { pins, roots: Some(by_roots()?), algorithms }),
        Belief::Pins(pins) => Arc::new(PinnedVerifier { pins, roots: None, algorithms }),
        Belief::Anything => Arc::new(AnyCertificate { algorithms }),
    })
}
