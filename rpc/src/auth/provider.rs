//! HMAC-SHA-256 and random bytes, of aws-lc-rs or of ring: the two offer them under the same names.

/// What is asked of a provider, written once.
macro_rules! provider {
    ($name:ident, $provider:ident) => {
        pub(super) mod $name {
            use $provider::hmac;
            use $provider::rand::{SecureRandom, SystemRandom};

            use crate::proto::auth::{PROOF_BYTES, Proof};

            pub(in crate::auth) struct Key(hmac::Key);

            impl Key {
                pub(in crate::auth) fn new(secret: &[u8]) -> Key {
                    Key(hmac::Key::new(hmac::HMAC_SHA256, secret))
                }

                pub(in crate::auth) fn sign(&self, message: &[u8]) -> Proof {
                    let mut proof = [0; PROOF_BYTES];
                    // SHA-256 gives 32 bytes.
                    proof.copy_from_slice(hmac::sign(&self.0, message).as_ref());
                    proof
                }

                /// Compares in constant time.
                pub(in crate::auth) fn verify(&self, message: &[u8], proof: &[u8]) -> bool {
                    hmac::verify(&self.0, message, proof).is_ok()
                }
            }

            /// Answers whether the system had any.
            pub(in crate::auth) fn fill_random(bytes: &mut [u8]) -> bool {
                SystemRandom::new().fill(bytes).is_ok()
            }
        }
    };
}

#[cfg(feature = "aws-lc-rs")]
provider!(by_aws_lc_rs, aws_lc_rs);
// With both it is there for the test that they agree.
#[cfg(all(feature = "ring", any(test, not(feature = "aws-lc-rs"))))]
provider!(by_ring, ring);

#[cfg(feature = "aws-lc-rs")]
pub(super) use self::by_aws_lc_rs::{Key, fill_random};
#[cfg(not(feature = "aws-lc-rs"))]
pub(super) use self::by_ring::{Key, fill_random};

#[cfg(test)]
mod tests {
    use super::{Key, fill_random};

    /// RFC 4231 section 4.3: test case 2.
    const RFC_4231: [u8; 32] = [
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
        0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
    ];
    const QUESTION: &[u8] = b"what do ya want for nothing?";

    #[test]
    fn it_is_hmac_sha_256() {
        let key = Key::new(b"Jefe");
        assert_eq!(key.sign(QUESTION), RFC_4231);
        assert!(key.verify(QUESTION, &RFC_4231));
        assert!(!key.verify(QUESTION, &RFC_4231[..31]));
        assert!(!key.verify(b"what do you want for nothing?", &RFC_4231));
    }

    #[cfg(all(feature = "ring", feature = "aws-lc-rs"))]
    #[test]
    fn the_providers_agree() {
        let mut bytes = [0; 32];
        assert!(super::by_ring::fill_random(&mut bytes));
        let proof = super::by_ring::Key::new(b"Jefe").sign(QUESTION);
        assert_eq!(proof, RFC_4231);
        assert!(super::by_ring::Key::new(&bytes).verify(QUESTION, &Key::new(&bytes).sign(QUESTION)));
    }

    #[test]
    fn random_bytes_differ() {
        let (mut some, mut others) = ([0; 32], [0; 32]);
        assert!(fill_random(&mut some) && fill_random(&mut others));
        assert_ne!(some, others);
    }
}
