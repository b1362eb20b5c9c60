//! A configuration of rustls whose slow signatures are made off the loop, made of one in which none is.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::signing::{OffLoop, Signers, Signing};

/// Gives the keys that another gives, those of which the signatures are slow so that they are made elsewhere.
#[derive(Debug)]
struct Resolver<R: ?Sized> {
    signing: Signing,
    inner: Arc<R>,
}

impl<R: ?Sized> Resolver<R> {
    fn adapted(&self, certified: Arc<CertifiedKey>) -> Arc<CertifiedKey> {
        if !self.signing.is_off_loop(&*certified.key) {
            return certified;
        }
        let key = OffLoop::new(certified.key.clone(), Signers::shared().clone());
        Arc::new(CertifiedKey { cert: certified.cert.clone(), key: Arc::new(key), ocsp: certified.ocsp.clone() })
    }
}

impl ResolvesServerCert for Resolver<dyn ResolvesServerCert> {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.inner.resolve(hello).map(|certified| self.adapted(certified))
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }
}

impl ResolvesClientCert for Resolver<dyn ResolvesClientCert> {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.inner.resolve(authorities, schemes).map(|certified| self.adapted(certified))
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

/// What a server's streams use.
///
/// Early data is off whatever was handed in: data of a resumed client's first flight can be replayed by anyone
/// (RFC 8446, 8), and streams have no way to tell who reads which it is.
pub(super) fn server(given: &Arc<rustls::ServerConfig>, signing: Signing) -> Arc<rustls::ServerConfig> {
    let mut used = rustls::ServerConfig::clone(given);
    used.max_early_data_size = 0;
    if signing != Signing::OnLoop {
        used.cert_resolver = Arc::new(Resolver { signing, inner: used.cert_resolver });
    }
    Arc::new(used)
}

/// What a client's streams use: the very same, where it has no certificate to show.
pub(super) fn client(given: &Arc<rustls::ClientConfig>, signing: Signing) -> Arc<rustls::ClientConfig> {
    if signing == Signing::OnLoop || !given.client_auth_cert_resolver.has_certs() {
        return given.clone();
    }
    let mut used = rustls::ClientConfig::clone(given);
    used.client_auth_cert_resolver = Arc::new(Resolver { signing, inner: used.client_auth_cert_resolver });
    Arc::new(used)
}
