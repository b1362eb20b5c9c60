//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls::server::VerifierBuilderError;

use crate::proto::{Date, Span};

/// What is said besides of a name that is not ASCII.
pub(crate) const IN_ASCII: &str = "; an international name is given in its ASCII form, xn--… (RFC 5890)";

/// A line of a PEM text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, if the text came from one.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: usize,
}

/// Why a configuration cannot be had. It is always the caller's matter: no peer has been talked to.
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read, or a folder not be watched.
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is larger than anything that belongs here.
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// How many bytes it may have.
        limit: u64,
    },
    /// A text is not PEM (RFC 7468) where it begins to look like it.
    Pem {
        /// The line that is wrong.
        place: Place,
        /// What is wrong with it.
        reason: String,
    },
    /// A text or file has nothing in it of what was looked for.
    Missing {
        /// The file, if it was one.
        file: Option<PathBuf>,
        /// What was looked for: "a certificate", "a private key" …
        what: &'static str,
    },
    /// The private key is encrypted: nobody is here to type its passphrase.
    EncryptedKey {
        /// Where it begins.
        place: Place,
    },
    /// A certificate, key or revocation list is not what its label says.
    Malformed {
        /// Where it begins; not known of what came as DER.
        place: Option<Place>,
        /// What it should be.
        what: &'static str,
        /// What rustls has against it.
        reason: String,
    },
    /// The key is not the certificate's.
    KeyMismatch {
        /// Where the certificate begins.
        certificate: Option<Place>,
        /// Where the key begins.
        key: Option<Place>,
        /// Where the certificate begins to which the key does belong, if it stands further down in the chain.
        belongs_to: Option<Place>,
    },
    /// A certificate that has expired was to take the place of one that has not.
    Expired {
        /// Where the certificate begins.
        certificate: Option<Place>,
        /// The last moment at which it held.
        not_after: SystemTime,
    },
    /// The certificate does not hold for a name that it was to be shown for.
    NotForName {
        /// The name.
        name: String,
        /// Where the certificate begins.
        certificate: Option<Place>,
    },
    /// A text is neither a DNS name nor a wildcard like `*.example.org`.
    ServerName {
        /// The text.
        name: String,
    },
    /// There are no roots: every certificate would be refused.
    NoRoots {
        /// Where they were looked for.
        looked_at: Vec<PathBuf>,
        /// What went wrong on the way.
        causes: Vec<String>,
    },
    /// A server has no certificate to show, for no name.
    NoIdentity,
    /// A text is not a pin: `sha256/` and 32 bytes in base 64.
    Pin {
        /// The text.
        text: String,
    },
    /// The name of an application protocol is empty or longer than 255 bytes (RFC 7301 section 3.1).
    ProtocolName {
        /// The name.
        name: Vec<u8>,
    },
    /// The names of the application protocols do not fit into a hello (RFC 7301 section 3.1).
    TooManyProtocols {
        /// How long the list would be, in bytes.
        len: usize,
    },
    /// The oldest version wanted is newer than the newest.
    NoVersion,
    /// A certificate cannot be made.
    Issue {
        /// Why not, for instance for which name.
        reason: String,
    },
    /// The roots or the revocation lists cannot be used.
    Verifier(VerifierBuilderError),
    /// rustls has an objection of its own, for instance to a provider that lacks something.
    Rustls(rustls::Error),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}, line {}", file.display(), self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// ` in FILE, line N`, or nothing.
struct At<'a>(&'a Option<Place>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, " at {place}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConfigError as E;
        match self {
            E::File { path, cause } => write!(f, "{}: {cause}", path.display()),
            E::TooLarge { path, limit } => write!(f, "{} has more than {limit} bytes", path.display()),
            E::Pem { place, reason } => write!(f, "{place}: {reason}"),
            E::Missing { file: Some(file), what } => write!(f, "{} holds no {what}", file.display()),
            E::Missing { file: None, what } => write!(f, "the text holds no {what}"),
            E::EncryptedKey { place } => {
                write!(f, "the private key at {place} is encrypted; `openssl pkey` writes it without its passphrase")
            }
            E::Malformed { place, what, reason } => write!(f, "the {what}{} is malformed: {reason}", At(place)),
            E::KeyMismatch { certificate, key, belongs_to } => {
                write!(f, "the private key{} does not belong to the certificate{}", At(key), At(certificate))?;
                match belongs_to {
                    Some(place) => write!(f, "; it belongs to the one at {place}, which must come first"),
                    None => Ok(()),
                }
            }
            E::Expired { certificate, not_after } => {
                let (end, now) = (Date::from(*not_after), Date::from(SystemTime::now()));
                let ago = Span(now.0.saturating_sub(end.0));
                write!(f, "the certificate{} expired on {end}, {ago} ago; the one in use has not", At(certificate))
            }
            E::NotForName { name, certificate } => {
                write!(f, "the certificate{} does not hold for the name {name}", At(certificate))
            }
            E::ServerName { name } => {
                let hint = if name.is_ascii() { "" } else { IN_ASCII };
                write!(f, "{name:?} is no DNS name, nor a wildcard like *.example.org{hint}")
            }
            E::NoRoots { looked_at, causes } => write_no_roots(f, looked_at, causes),
            E::NoIdentity => write!(f, "the server has no certificate: give it an identity"),
            E::Pin { text } => write!(f, "{text:?} is no pin: sha256/ and 32 bytes in base 64 were expected"),
            E::ProtocolName { name } => write!(
                f,
                "an application protocol has a name of 1 to 255 bytes, not {} (RFC 7301 section 3.1)",
                name.len()
            ),
            E::TooManyProtocols { len } => {
                write!(f, "the names of the application protocols take {len} bytes, more than a hello has room for")
            }
            E::NoVersion => write!(f, "the oldest version of TLS that was asked for is newer than the newest"),
            E::Issue { reason } => write!(f, "a certificate cannot be made: {reason}"),
            E::Verifier(cause) => write!(f, "{cause}"),
            E::Rustls(cause) => write!(f, "{cause}"),
        }
    }
}

/// As for people: a program that ends with an error shows it in this form.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError({self})")
    }
}

fn write_no_roots(f: &mut fmt::Formatter<'_>, looked_at: &[PathBuf], causes: &[String]) -> fmt::Result {
    write!(f, "there are no root certificates")?;
    if !looked_at.is_empty() {
        let places: Vec<String> = looked_at.iter().map(|path| path.display().to_string()).collect();
        write!(f, " in {}", places.join(", "))?;
    }
    match causes {
        [] => Ok(()),
        causes => write!(f, " ({})", causes.join("; ")),
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConfigError::File { cause, .. } => Some(cause),
            ConfigError::Verifier(cause) => Some(cause),
            ConfigError::Rustls(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<rustls::Error> for ConfigError {
    fn from(cause: rustls::Error) -> ConfigError {
        ConfigError::Rustls(cause)
    }
}

impl From<VerifierBuilderError> for ConfigError {
    fn from(cause: VerifierBuilderError) -> ConfigError {
        ConfigError::Verifier(cause)
    }
}

impl From<ConfigError> for io::Error {
    fn from(error: ConfigError) -> io::Error {
        let kind = match &error {
            ConfigError::File { cause, .. } => cause.kind(),
            ConfigError::Pem { .. } | ConfigError::Malformed { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}
