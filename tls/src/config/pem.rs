//! PEM texts (RFC 7468), with the lines at which their sections begin.
//!
//! rustls-pki-types decodes; it does not count lines, which is what a person needs who looks for a mistake.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::error::{ConfigError, Place};

/// The largest file that is read, in bytes: a system's bundle of roots has a quarter of a megabyte,
/// and a revocation list may have several.
pub(crate) const MAX_FILE: u64 = 16 * 1024 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// A decoded section and where it begins.
pub(crate) struct Section<T> {
    pub(crate) place: Place,
    pub(crate) content: T,
}

/// A text, and the file it is from.
#[derive(Clone, Copy)]
pub(crate) struct PemText<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) bytes: &'a [u8],
}

/// Reads a whole file, up to [`MAX_FILE`]. This blocks the thread for as long as a small local file takes.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |cause| ConfigError::File { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    Ok(bytes)
}

impl<'a> PemText<'a> {
    /// All certificates, at least one.
    pub(crate) fn certificates(self) -> Result<Vec<Section<CertificateDer<'static>>>, ConfigError> {
        self.all("certificate")
    }

    /// All revocation lists, at least one.
    pub(crate) fn revocation_lists(self) -> Result<Vec<Section<CertificateRevocationListDer<'static>>>, ConfigError> {
        self.all("certificate revocation list")
    }

    /// The first private key: PKCS#8, PKCS#1 (RFC 8017) or SEC1 (RFC 5915).
    pub(crate) fn private_key(self) -> Result<Section<PrivateKeyDer<'static>>, ConfigError> {
        for raw in self.sections() {
            let raw = raw?;
            if raw.is_encrypted_key() {
                return Err(ConfigError::EncryptedKey { place: raw.place });
            }
            if let Some(section) = raw.decode(self)? {
                return Ok(section);
            }
        }
        Err(self.missing("private key"))
    }

    fn all<T: PemObject>(self, what: &'static str) -> Result<Vec<Section<T>>, ConfigError> {
        let mut found = Vec::new();
        for raw in self.sections() {
            found.extend(raw?.decode(self)?);
        }
        if found.is_empty() { Err(self.missing(what)) } else { Ok(found) }
    }

    fn missing(self, what: &'static str) -> ConfigError {
        ConfigError::Missing { file: self.file.map(Path::to_owned), what }
    }

    fn place(self, line: usize) -> Place {
        Place { file: self.file.map(Path::to_owned), line }
    }

    fn wrong(self, line: usize, reason: impl Into<String>) -> ConfigError {
        ConfigError::Pem { place: self.place(line), reason: reason.into() }
    }

    /// The sections, not decoded; what stands between them is for people and passed over.
    fn sections(self) -> impl Iterator<Item = Result<Raw<'a>, ConfigError>> {
        let mut lines = self.bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
        let mut at = 0;
        std::iter::from_fn(move || {
            let mut begun: Option<(usize, usize)> = None;
            for (number, line) in lines.by_ref() {
                let from = at;
                at += line.len();
                match begun {
                    None if line.starts_with(BEGIN) => begun = Some((number + 1, from)),
                    Some((first, _)) if line.starts_with(BEGIN) => {
                        return Some(Err(self.wrong(number + 1, format!("the section of line {first} has not ended"))));
                    }
                    Some((first, start)) if line.starts_with(END) => {
                        return Some(Ok(Raw { place: self.place(first), text: &self.bytes[start..at] }));
                    }
                    _ => {}
                }
            }
            begun.map(|(first, _)| Err(self.wrong(first, "the section has no end")))
        })
    }
}

/// A section as it stands in the text, its first and last line included.
struct Raw<'a> {
    place: Place,
    text: &'a [u8],
}

impl Raw<'_> {
    /// Decodes it if it is of the wanted kind.
    fn decode<T: PemObject>(&self, from: PemText<'_>) -> Result<Option<Section<T>>, ConfigError> {
        let mut text = self.text;
        match pem::from_buf(&mut text) {
            Ok(Some((kind, der))) => Ok(self.take(kind, der)),
            // A label that is of no interest here, such as EC PARAMETERS.
            Ok(None) => Ok(None),
            Err(cause) => Err(self.explain(from, &cause)),
        }
    }

    fn take<T: PemObject>(&self, kind: SectionKind, der: Vec<u8>) -> Option<Section<T>> {
        T::from_pem(kind, der).map(|content| Section { place: self.place.clone(), content })
    }

    /// Names the very line where that can be told.
    fn explain(&self, from: PemText<'_>, cause: &pem::Error) -> ConfigError {
        let lines = self.text.split(|&byte| byte == b'\n').enumerate();
        let mut inner = lines.filter(|(_, line)| !line.starts_with(b"-----"));
        let foreign =
            inner.find_map(|(n, line)| Some((n, *line.trim_ascii().iter().find(|byte| !is_base_64(**byte))?)));
        match (cause, foreign) {
            (pem::Error::Base64Decode(_), Some((n, byte))) => {
                from.wrong(self.place.line + n, format!("{:?} is no character of base 64", char::from(byte)))
            }
            (pem::Error::Base64Decode(_), None) => {
                from.wrong(self.place.line, "the section is cut short: it is no whole number of bytes in base 64")
            }
            (pem::Error::MissingSectionEnd { .. }, _) => {
                from.wrong(self.place.line, "the section ends with another label than it begins with")
            }
            (pem::Error::IllegalSectionStart { .. }, _) => {
                from.wrong(self.place.line, "the line should end with five hyphens")
            }
            (cause, _) => from.wrong(self.place.line, cause.to_string()),
        }
    }

    /// PKCS#8's label for it (RFC 7468 section 11), or the header of the older forms (RFC 1421 section 4.6.1.1).
    fn is_encrypted_key(&self) -> bool {
        let mut lines = self.text.split(|&byte| byte == b'\n');
        lines.next().is_some_and(|first| first.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"))
            || lines.next().is_some_and(|second| second.starts_with(b"Proc-Type: 4,ENCRYPTED"))
    }
}

fn is_base_64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
