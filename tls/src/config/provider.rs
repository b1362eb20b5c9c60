//! Whose algorithms are used.
//!
//! aws-lc-rs where its feature is on, else ring.
//! Both are complete; aws-lc-rs is the default because a full handshake with ECDSA P-256 takes a server 136 µs of CPU
//! with it and 148 µs with ring, and because it has the hybrid key exchange X25519MLKEM768.
//! ring needs no more than a C compiler on every platform, and is quicker to build.

use std::sync::{Arc, OnceLock};

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;

/// The provider that configurations use unless told otherwise: aws-lc-rs where its feature is on, else ring.
///
/// For who builds a configuration of rustls by hand: `rustls::ClientConfig::builder_with_provider(provider().clone())`.
/// The process-wide default of rustls is neither read nor set. Never suspends; the first call of a process takes some 30 ms
/// with aws-lc-rs, which gathers entropy then.
///
/// # Examples
///
/// ```
/// assert!(!grapeshot_tls::provider().cipher_suites.is_empty());
/// ```
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let provider = chosen::default_provider();
        // For its first random bytes aws-lc watches the processor for some 30 ms, once in a process. That is better spent
        // while a program begins than in its first handshake. One that gets none will hear of it there.
        let _ = provider.secure_random.fill(&mut [0; 32]);
        Arc::new(provider)
    })
}

/// What seals the tickets of a server, with keys that are changed every six hours and known to this process alone.
pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}

/// The SHA-256 of some bytes.
pub(crate) fn sha_256(bytes: &[u8]) -> [u8; 32] {
    // rustls shows its hash functions by way of the suites that use them.
    let hash = match chosen::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    };
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.hash(bytes).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's own example.
    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(sha_256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
