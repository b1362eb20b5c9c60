//! Servers known by their public key: the SHA-256 of its SubjectPublicKeyInfo (RFC 7858 section 4.2, RFC 7469 section 2.4).
//!
//! Only the key of the server's own certificate counts.
//! A key further up in what the server sends proves nothing, as a server may send certificates that its own does not hang on.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::error::ConfigError;
use super::provider::sha_256;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The SHA-256 of a public key.
///
/// Written `sha256/` and 44 characters of base 64; `sha256//`, as curl has it, is understood too.
///
/// # Examples
///
/// ```
/// use grapeshot_tls::Pin;
///
/// let pin: Pin = "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho=".parse()?;
/// assert_eq!(pin.to_string(), "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho=");
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of the key that a certificate is for.
    ///
    /// # Errors
    ///
    /// When the certificate is malformed.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Pin, ConfigError> {
        pin_of(certificate).map_err(|cause| ConfigError::Malformed {
            place: None,
            what: "certificate",
            reason: cause.to_string(),
        })
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Pin {
    fn from(digest: [u8; 32]) -> Pin {
        Pin(digest)
    }
}

impl FromStr for Pin {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Pin, ConfigError> {
        // A digest may begin with a slash of its own, so it is tried as it stands first.
        let encoded = text.strip_prefix("sha256/");
        let digest = encoded.and_then(|rest| decoded(rest).or_else(|| decoded(rest.strip_prefix('/')?)));
        digest.map(Pin).ok_or_else(|| ConfigError::Pin { text: text.to_owned() })
    }
}

/// 43 characters of six bits each and a `=`; the last two bits are left over, and zero.
fn decoded(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=')?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 43 {
        return None;
    }
    for (n, digit) in digits.iter().enumerate() {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        for bit in (0..6).filter(|bit| value >> (5 - bit) & 1 == 1) {
            *digest.get_mut((6 * n + bit) / 8)? |= 0x80 >> ((6 * n + bit) % 8);
        }
    }
    Some(digest)
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256/")?;
        for bytes in self.0.chunks(3) {
            let bits = bytes.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - bytes.len()));
            for n in 0..4 {
                let digit = if n <= bytes.len() { ALPHABET[bits >> (18 - 6 * n) & 63] } else { b'=' };
                write!(f, "{}", char::from(digit))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Pin(sha_256(&parsed.subject_public_key_info())))
}

/// Why a connection to a server with another key is refused.
#[derive(Clone)]
struct NotPinned {
    shown: Pin,
    pins: usize,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's key is {}, which is none of the {} that were pinned", self.shown, self.pins)
    }
}

/// rustls shows it in this form only.
impl fmt::Debug for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for NotPinned {}

/// Lets in who has one of the pinned keys, and is believed by the roots as well where there are any.
#[derive(Debug)]
pub(crate) struct PinnedVerifier {
    pub(crate) pins: Vec<Pin>,
    pub(crate) roots: Option<Arc<WebPkiServerVerifier>>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        let shown = pin_of(end_entity)?;
        if self.pins.contains(&shown) {
            return Ok(ServerCertVerified::assertion());
        }
        let cause = NotPinned { shown, pins: self.pins.len() };
        Err(CertificateError::Other(OtherError(Arc::new(cause))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_others_are_understood() {
        let written = "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho=";
        let pin: Pin = written.parse().unwrap();
        assert_eq!(pin.as_bytes()[..4], [0x45, 0x13, 0x35, 0x74]);
        assert_eq!(written.replace("sha256/", "sha256//").parse::<Pin>().unwrap(), pin);
    }

    #[test]
    fn a_digest_may_begin_with_a_slash() {
        let pin = Pin::from([0xff; 32]);
        assert!(pin.to_string().starts_with("sha256///"));
        assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        assert_eq!(pin.to_string().replacen('/', "//", 1).parse::<Pin>().unwrap(), pin);
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in [
            "",
            "sha256/",
            "RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho=",
            "sha1/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho=",
            "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+ho",
            "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+h==",
            "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn_yOhI_y-ho=",
            // Its left-over bits are not zero.
            "sha256/RRM1dGqnDFsCJXBTHky16vi1obOlCgFFn/yOhI/y+hp=",
        ] {
            assert!(matches!(text.parse::<Pin>(), Err(ConfigError::Pin { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(digest: [u8; 32]) {
            let pin = Pin::from(digest);
            prop_assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        }
    }
}
