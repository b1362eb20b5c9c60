//! Who a server or a client says it is: a chain of certificates, and the key of the first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};

use super::error::{ConfigError, Place};
use super::pem::{self, PemText};
use super::provider::provider;
use crate::proto::validity;

/// A chain of certificates, the end's first, and the private key that belongs to it.
///
/// It is checked when it is made: what cannot be parsed, and a key that is not the certificate's, never get further.
/// Whether the chain leads to a root is for the peer to say, and so is whether it holds today: one that has expired is
/// taken. A server that would rather not start with it asks for [`not_after`](Identity::not_after).
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{Identity, ServerConfig};
///
/// let identity = Identity::from_pem_files("example.org.pem", "example.org.key")?;
/// let config = ServerConfig::builder().identity(identity).build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// Where the first certificate stands, for messages.
    place: Option<Place>,
    files: Option<Files>,
}

/// The files that an identity was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    /// Reads a chain and its key from two PEM files, or twice from the same one.
    ///
    /// The key may be in PKCS#8, PKCS#1 or SEC1 form. The files are noted, for a [`Reloader`](crate::Reloader).
    /// Blocks the thread while it reads two small files of at most 16 MiB; does not suspend.
    ///
    /// # Errors
    ///
    /// With the file, and where it can be told with the line: it cannot be read, is not PEM, lacks what it should hold,
    /// or the key does not belong to the first certificate.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity, ConfigError> {
        let files = Files { chain: chain.as_ref().to_owned(), key: key.as_ref().to_owned() };
        files.read()
    }

    /// Takes a chain and its key from PEM texts, which may be one and the same.
    ///
    /// # Errors
    ///
    /// As [`from_pem_files`](Identity::from_pem_files), without a file.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity, ConfigError> {
        let chain = PemText { file: None, bytes: chain.as_ref() };
        Identity::from_texts(chain, PemText { file: None, bytes: key.as_ref() })
    }

    /// Takes a chain and its key in binary form.
    ///
    /// # Errors
    ///
    /// When the chain is empty, the key or the first certificate is malformed, or they do not belong together.
    pub fn from_der(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Identity, ConfigError> {
        let places = vec![None; chain.len()];
        Identity::from_parts(chain, &places, key, None)
    }

    /// Takes what rustls itself uses, for keys that are kept elsewhere, or a stapled OCSP answer. Nothing is checked.
    pub fn from_certified_key(certified: Arc<CertifiedKey>) -> Identity {
        Identity { certified, place: None, files: None }
    }

    /// The certificates, the end's first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The first moment at which the end's certificate holds (RFC 5280 section 4.1.2.5). Those that follow in the
    /// chain are not looked at.
    ///
    /// `None` if there is no certificate, or its date cannot be read. What is before 1970 is given as its beginning.
    pub fn not_before(&self) -> Option<SystemTime> {
        Some(validity(self.chain().first()?)?.not_before.into())
    }

    /// The last moment at which the end's certificate holds; else as [`not_before`](Identity::not_before).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "self-signed")] {
    /// use std::time::{Duration, SystemTime};
    ///
    /// let identity = grapeshot_tls::SelfSigned::new(["localhost"])?.identity()?;
    /// let left = identity.not_after().and_then(|end| end.duration_since(SystemTime::now()).ok());
    /// assert!(left > Some(Duration::from_secs(7 * 24 * 60 * 60)), "it should be renewed this week");
    /// # }
    /// # Ok::<(), grapeshot_tls::ConfigError>(())
    /// ```
    pub fn not_after(&self) -> Option<SystemTime> {
        Some(validity(self.chain().first()?)?.not_after.into())
    }

    /// What rustls uses of it.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        self.files.as_ref()
    }

    fn from_texts(chain: PemText<'_>, key: PemText<'_>) -> Result<Identity, ConfigError> {
        let (mut certificates, mut places) = (Vec::new(), Vec::new());
        for section in chain.certificates()? {
            certificates.push(section.content);
            places.push(Some(section.place));
        }
        let key = key.private_key()?;
        Identity::from_parts(certificates, &places, key.content, Some(key.place))
    }

    fn from_parts(
        chain: Vec<CertificateDer<'static>>,
        places: &[Option<Place>],
        key: PrivateKeyDer<'static>,
        key_place: Option<Place>,
    ) -> Result<Identity, ConfigError> {
        let malformed = |place: &Option<Place>, what, cause: rustls::Error| ConfigError::Malformed {
            place: place.clone(),
            what,
            reason: cause.to_string(),
        };
        if chain.is_empty() {
            return Err(ConfigError::Missing { file: None, what: "certificate" });
        }
        for (certificate, place) in chain.iter().zip(places) {
            ParsedCertificate::try_from(certificate).map_err(|cause| malformed(place, "certificate", cause))?;
        }
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|cause| malformed(&key_place, "private key", cause))?;
        let at = |number: Option<usize>| number.and_then(|number| places.get(number).cloned().flatten());
        match owner(&chain, &*key) {
            // A key that keeps its public half to itself is believed.
            Owner::First | Owner::Unknown => {}
            Owner::Later(number) => {
                let (certificate, belongs_to) = (at(Some(0)), at(Some(number)));
                return Err(ConfigError::KeyMismatch { certificate, key: key_place, belongs_to });
            }
            Owner::Nobody => {
                return Err(ConfigError::KeyMismatch { certificate: at(Some(0)), key: key_place, belongs_to: None });
            }
        }
        let certified = Arc::new(CertifiedKey::new(chain, key));
        Ok(Identity { certified, place: at(Some(0)), files: None })
    }
}

/// Not the certificates, which would be pages of numbers.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Identity");
        shown.field("certificates", &self.certified.cert.len());
        if let Some(place) = &self.place {
            shown.field("place", &format_args!("{place}"));
        }
        shown.finish_non_exhaustive()
    }
}

impl Files {
    /// Reads the identity, as it is in the files now.
    pub(crate) fn read(&self) -> Result<Identity, ConfigError> {
        let (chain, key) = (pem::read_file(&self.chain)?, pem::read_file(&self.key)?);
        let chain = PemText { file: Some(&self.chain), bytes: &chain };
        let identity = Identity::from_texts(chain, PemText { file: Some(&self.key), bytes: &key })?;
        Ok(Identity { files: Some(self.clone()), ..identity })
    }
}

/// Whose key it is, among the certificates of a chain.
enum Owner {
    First,
    Later(usize),
    Nobody,
    Unknown,
}

fn owner(chain: &[CertificateDer<'static>], key: &dyn SigningKey) -> Owner {
    let Some(public) = key.public_key() else { return Owner::Unknown };
    let is_owner = |certificate: &CertificateDer<'static>| {
        ParsedCertificate::try_from(certificate).is_ok_and(|parsed| parsed.subject_public_key_info() == public)
    };
    match chain.iter().position(is_owner) {
        Some(0) => Owner::First,
        Some(number) => Owner::Later(number),
        None => Owner::Nobody,
    }
}
