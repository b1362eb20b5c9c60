//! Whom a certificate must lead to for it to be believed.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use grapeshot_core::offload;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::error::{ConfigError, Place};
use super::pem::{self, PemText};

/// Debian and most others, SUSE, Red Hat.
const USUAL_PLACES: [&str; 5] = [
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// A set of root certificates.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{ClientConfig, Roots};
///
/// // The company's own authority, beside those of the system.
/// let roots = Roots::system()?.and(Roots::from_pem_file("company-ca.pem")?);
/// let config = ClientConfig::builder().roots(roots).build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
}

impl Roots {
    /// The roots that the system trusts.
    ///
    /// Where they are is what OpenSSL programs on this system believe, the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` first.
    /// They are read once in a process, on a thread of [`offload`] since it takes milliseconds;
    /// the first call in a coroutine suspends, later ones never do.
    /// What among them cannot be parsed is passed over, as every TLS library does.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoRoots`] when there is not one, with the places where they were looked for.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the next call reads them anew.
    pub fn system() -> Result<Roots, ConfigError> {
        static SYSTEM: OnceLock<Roots> = OnceLock::new();
        if let Some(known) = SYSTEM.get() {
            return Ok(known.clone());
        }
        // Two that come at once read twice; one that waits for the other's initialiser would block the thread.
        let read = offload(read_system)?;
        Ok(SYSTEM.get_or_init(|| read).clone())
    }

    /// Mozilla's roots as they were when the crate `webpki-roots` was built into this program.
    ///
    /// For programs that run where there is no system to speak of. They grow old with the program.
    #[cfg(feature = "webpki-roots")]
    pub fn bundled() -> Roots {
        RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()).into()
    }

    /// Every certificate of a PEM file, such as that of a private authority.
    ///
    /// Blocks the thread while it reads a file of at most 16 MiB; does not suspend.
    ///
    /// # Errors
    ///
    /// With the file and the line: it cannot be read, is not PEM, or has no certificate or a malformed one in it.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Roots, ConfigError> {
        let bytes = pem::read_file(path.as_ref())?;
        Roots::from_text(PemText { file: Some(path.as_ref()), bytes: &bytes })
    }

    /// Every certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// As [`from_pem_file`](Roots::from_pem_file), without a file.
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<Roots, ConfigError> {
        Roots::from_text(PemText { file: None, bytes: text.as_ref() })
    }

    /// Certificates in binary form.
    ///
    /// # Errors
    ///
    /// When there is none, or one is malformed.
    pub fn from_der<'a>(certificates: impl IntoIterator<Item = CertificateDer<'a>>) -> Result<Roots, ConfigError> {
        collect(certificates.into_iter().map(|certificate| (None, certificate)))
    }

    fn from_text(text: PemText<'_>) -> Result<Roots, ConfigError> {
        collect(text.certificates()?.into_iter().map(|section| (Some(section.place), section.content)))
    }

    /// These and those.
    pub fn and(self, others: Roots) -> Roots {
        let mut store = Arc::unwrap_or_clone(self.store);
        store.extend(others.store.roots.iter().cloned());
        store.into()
    }

    /// How many there are; never none, unless they were handed in by way of a store of rustls.
    #[expect(clippy::len_without_is_empty, reason = "a set that was made here is never empty")]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    pub(crate) fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

impl From<RootCertStore> for Roots {
    fn from(store: RootCertStore) -> Roots {
        Roots { store: Arc::new(store) }
    }
}

fn collect<'a>(certificates: impl Iterator<Item = (Option<Place>, CertificateDer<'a>)>) -> Result<Roots, ConfigError> {
    let mut store = RootCertStore::empty();
    for (place, certificate) in certificates {
        let malformed =
            |cause: rustls::Error| ConfigError::Malformed { place, what: "certificate", reason: cause.to_string() };
        store.add(certificate).map_err(malformed)?;
    }
    if store.is_empty() { Err(ConfigError::Missing { file: None, what: "certificate" }) } else { Ok(store.into()) }
}

fn read_system() -> Result<Roots, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let causes = found.errors.iter().map(ToString::to_string).collect();
        return Err(ConfigError::NoRoots { looked_at: looked_at(), causes });
    }
    Ok(store.into())
}

/// The places that `rustls-native-certs` goes to: those it is told, else those where distributions keep their roots.
fn looked_at() -> Vec<PathBuf> {
    let file = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let folders = env::var_os("SSL_CERT_DIR").unwrap_or_default();
    let folders = env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty());
    let named: Vec<PathBuf> = file.into_iter().chain(folders).collect();
    if named.is_empty() { USUAL_PLACES.iter().map(PathBuf::from).collect() } else { named }
}
