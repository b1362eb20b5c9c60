//! Certificates made on the spot, for development and tests (feature `self-signed`).
//!
//! A certificate comes with the authority that signed it: a client is told to trust that, and verification stays on.
//!
//! # What is absent
//!
//! Anything for production. The authority's key is in memory only and is gone with the last [`SelfSigned`] that it signed.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::ServerName;

use crate::config::{ClientConfig, ConfigError, Identity, Roots, ServerConfig};

/// Certificates hold from a day ago, for machines whose clocks differ …
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// … to a year from now. Some clients refuse what holds for much longer.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate for some names, its key, and the authority that signed it.
///
/// # Examples
///
/// ```
/// use grapeshot_tls::SelfSigned;
///
/// let signed = SelfSigned::new(["localhost", "127.0.0.1", "::1"])?;
/// let server = signed.server_config()?;
/// // A client that believes this server and no other; curl does with `--cacert` and this text.
/// let client = signed.client_config()?;
/// let text = signed.authority_pem();
/// # assert!(text.starts_with("-----BEGIN CERTIFICATE-----"));
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
pub struct SelfSigned {
    authority: Rc<CertifiedIssuer<'static, KeyPair>>,
    chain: String,
    key: String,
}

impl SelfSigned {
    /// Makes a new authority, and a certificate by it for these DNS names (`*.example.org` too) and addresses.
    ///
    /// The certificate is good for servers and for clients; its key is ECDSA P-256, and it holds for a year.
    /// Never suspends; makes two keys and signs twice, which keeps the loop for a fraction of a millisecond in a release build.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Issue`] when there is no name at all; [`ConfigError::ServerName`] for what is neither a name nor
    /// an address, such as an international name that is not in its ASCII form, `xn--…`.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<SelfSigned, ConfigError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        for name in &names {
            let is_wanted = ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok();
            if !is_wanted {
                return Err(ConfigError::ServerName { name: name.clone() });
            }
        }
        signed_by(Rc::new(authority().map_err(cannot)?), names)
    }

    /// Makes another certificate by the same authority, say for a client: then the names are whatever describes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Issue`] when there is no name at all, or one is empty; [`ConfigError::ServerName`] for one that is
    /// not ASCII.
    pub fn issue(&self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<SelfSigned, ConfigError> {
        signed_by(self.authority.clone(), names.into_iter().map(Into::into).collect())
    }

    /// The certificate and its key, to be shown.
    ///
    /// # Errors
    ///
    /// None that has a cause here; those of [`Identity::from_pem`].
    pub fn identity(&self) -> Result<Identity, ConfigError> {
        Identity::from_pem(&self.chain, &self.key)
    }

    /// The authority, to be trusted.
    ///
    /// # Errors
    ///
    /// None that has a cause here; those of [`Roots::from_pem`].
    pub fn roots(&self) -> Result<Roots, ConfigError> {
        Roots::from_der([self.authority.der().clone()])
    }

    /// A server with this certificate and the defaults.
    ///
    /// # Errors
    ///
    /// None that has a cause here; those of [`ServerBuilder::build`](crate::ServerBuilder::build).
    pub fn server_config(&self) -> Result<ServerConfig, ConfigError> {
        ServerConfig::builder().identity(self.identity()?).build()
    }

    /// A client that trusts this authority, and the defaults.
    ///
    /// # Errors
    ///
    /// None that has a cause here; those of [`ClientBuilder::build`](crate::ClientBuilder::build).
    pub fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        ClientConfig::builder().roots(self.roots()?).build()
    }

    /// The authority's certificate, for programs that take a file.
    pub fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// The certificate.
    pub fn chain_pem(&self) -> &str {
        &self.chain
    }

    /// Its key, in PKCS#8 form.
    pub fn key_pem(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned").field("chain", &self.chain).finish_non_exhaustive()
    }
}

fn cannot(cause: rcgen::Error) -> ConfigError {
    ConfigError::Issue { reason: cause.to_string() }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = valid(CertificateParams::default());
    // Two authorities of one name would be taken for each other, and their certificates for forged.
    let number: String = params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = common_name(format!("Grapeshot development authority {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, key)
}

fn signed_by(authority: Rc<CertifiedIssuer<'static, KeyPair>>, names: Vec<String>) -> Result<SelfSigned, ConfigError> {
    let Some(subject) = names.first().cloned() else {
        return Err(ConfigError::Issue { reason: "no name was given, so it would hold for nobody".to_owned() });
    };
    for name in &names {
        if name.is_empty() {
            return Err(ConfigError::Issue { reason: "a name is empty".to_owned() });
        } else if !name.is_ascii() {
            return Err(ConfigError::ServerName { name: name.clone() });
        }
    }
    let key = KeyPair::generate().map_err(cannot)?;
    let mut params = valid(CertificateParams::new(names).map_err(cannot)?);
    params.distinguished_name = common_name(subject);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority).map_err(cannot)?;
    Ok(SelfSigned { authority, chain: certificate.pem(), key: key.serialize_pem() })
}

fn valid(mut params: CertificateParams) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + VALIDITY).into();
    params
}

fn common_name(name: String) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
