//! Which clients a server lets in by their certificates.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::error::ConfigError;
use super::revocation::RevocationLists;
use super::roots::Roots;

/// What a server asks of its clients (RFC 8446 section 4.3.2, RFC 5246 section 7.4.4).
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{ClientCertificates, Identity, Roots, ServerConfig};
///
/// let config = ServerConfig::builder()
///     .identity(Identity::from_pem_files("example.org.pem", "example.org.key")?)
///     .client_certificates(ClientCertificates::required(Roots::from_pem_file("staff-ca.pem")?))
///     .build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    roots: Roots,
    demand: Demand,
    lists: RevocationLists,
}

#[derive(Clone, Copy, Debug)]
enum Demand {
    Required,
    Optional,
}

impl ClientCertificates {
    /// Lets in who shows a certificate that leads to one of these roots, and nobody else.
    pub fn required(roots: Roots) -> ClientCertificates {
        ClientCertificates { roots, demand: Demand::Required, lists: RevocationLists::default() }
    }

    /// Lets in who shows none, too. Whether one was shown is said by the connection: look at its peer's certificates.
    pub fn optional(roots: Roots) -> ClientCertificates {
        ClientCertificates { demand: Demand::Optional, ..ClientCertificates::required(roots) }
    }

    /// Keeps out whose certificate was taken back.
    pub fn revocation_lists(mut self, lists: RevocationLists) -> ClientCertificates {
        self.lists = lists;
        self
    }

    pub(crate) fn verifier(self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
        let builder = WebPkiClientVerifier::builder_with_provider(self.roots.store().clone(), provider);
        let builder = builder.with_crls(self.lists.into_rustls());
        let builder = match self.demand {
            Demand::Required => builder,
            Demand::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(ConfigError::from)
    }
}
