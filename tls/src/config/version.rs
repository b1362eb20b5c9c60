//! The versions of TLS that are spoken.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::error::ConfigError;

/// A version of TLS that may be spoken; older ones are broken (RFC 8996) and not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

type Listed = &'static [&'static SupportedProtocolVersion];

const ONLY_1_2: Listed = &[&TLS12];
const ONLY_1_3: Listed = &[&TLS13];
const BOTH: Listed = &[&TLS13, &TLS12];

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    pub(crate) oldest: Version,
    pub(crate) newest: Version,
}

impl Default for Versions {
    fn default() -> Versions {
        Versions { oldest: Version::Tls12, newest: Version::Tls13 }
    }
}

impl Versions {
    /// As rustls wants to hear it.
    pub(crate) fn listed(self) -> Result<Listed, ConfigError> {
        match (self.oldest, self.newest) {
            (Version::Tls12, Version::Tls12) => Ok(ONLY_1_2),
            (Version::Tls13, Version::Tls13) => Ok(ONLY_1_3),
            (Version::Tls12, Version::Tls13) => Ok(BOTH),
            (Version::Tls13, Version::Tls12) => Err(ConfigError::NoVersion),
        }
    }
}
