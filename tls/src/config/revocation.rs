//! Certificates that their issuers have taken back (RFC 5280 section 5).

use std::path::Path;

use rustls::pki_types::CertificateRevocationListDer;

use super::error::ConfigError;
use super::pem::{self, PemText};

/// Revocation lists, as issuers publish them.
///
/// Once there are any, every certificate of a chain below the root must be covered by one of them, or the chain is refused.
/// They are read once; a list that was published later needs a new configuration.
/// A session that is resumed is not looked up again.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{ClientCertificates, RevocationLists, Roots};
///
/// let staff = ClientCertificates::required(Roots::from_pem_file("staff-ca.pem")?)
///     .revocation_lists(RevocationLists::from_pem_file("staff-crl.pem")?);
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RevocationLists {
    lists: Vec<CertificateRevocationListDer<'static>>,
}

impl RevocationLists {
    /// Every list of a PEM file.
    ///
    /// Blocks the thread while it reads a file of at most 16 MiB; does not suspend.
    ///
    /// # Errors
    ///
    /// With the file and the line: it cannot be read, is not PEM, or holds no list.
    /// That a list is malformed is seen when the configuration is built.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<RevocationLists, ConfigError> {
        let bytes = pem::read_file(path.as_ref())?;
        RevocationLists::from_text(PemText { file: Some(path.as_ref()), bytes: &bytes })
    }

    /// Every list of a PEM text.
    ///
    /// # Errors
    ///
    /// As [`from_pem_file`](RevocationLists::from_pem_file), without a file.
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<RevocationLists, ConfigError> {
        RevocationLists::from_text(PemText { file: None, bytes: text.as_ref() })
    }

    /// Lists in binary form.
    pub fn from_der(lists: impl IntoIterator<Item = CertificateRevocationListDer<'static>>) -> RevocationLists {
        RevocationLists { lists: lists.into_iter().collect() }
    }

    fn from_text(text: PemText<'_>) -> Result<RevocationLists, ConfigError> {
        let lists = text.revocation_lists()?.into_iter().map(|section| section.content).collect();
        Ok(RevocationLists { lists })
    }

    pub(crate) fn into_rustls(self) -> Vec<CertificateRevocationListDer<'static>> {
        self.lists
    }
}
