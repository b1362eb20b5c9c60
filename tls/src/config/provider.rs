//! Whose algorithms are used.
//!
//! aws-lc-rs where its feature is on, else ring.
//! Both are complete; aws-lc-rs is the default because a full handshake with ECDSA P-256 takes a server 136 µs of CPU
//! with it and 148 µs with ring, and because it has the hybrid key exchange X25519MLKEM768.
//! ring needs no more than a C compiler on every platform, and is quicker to build.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;

/// The provider that configurations use unless told otherwise: aws-lc-rs where its feature is on, else ring.
///
/// For who builds a configuration of rustls by hand: `rustls::ClientConfig::builder_with_provider(provider().clone())`.
/// The process-wide default of rustls is neither read nor set. Never suspends.
///
/// # Examples
///
/// ```
/// assert!(!grapeshot_tls::provider().cipher_suites.is_empty());
/// ```
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(chosen::default_provider()))
}

/// What seals the tickets of a server, with keys that are changed every six hours and known to this process alone.
pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
