//! Both sides prove that they know a key before the first call: HMAC-SHA-256, challenge and response (BEA-9).
//!
//! ```text
//!   authenticate(caller, key) ── $/auth.begin, $/auth.prove ──► Guard, before the service ── proven ──► service
//! ```
//!
//! The steps and what they prove are those of [`proto::auth`](crate::proto::auth); here are the keys, the algorithm,
//! and the deadline. The algorithm and the random numbers are those of the provider that TLS uses as well: aws-lc-rs,
//! or ring where only that is switched on (features `aws-lc-rs` and `ring`).
//!
//! # Invariants
//!
//! - Until the client has proven itself nothing but `$/hello` and the exchange is answered, and no method runs.
//! - A wrong proof, and a proof that comes too late, end the connection: whoever guesses connects anew for each guess.
//! - No key and no proof that was expected is ever printed or sent.

mod key;
mod provider;
mod guard;
mod client;
mod error;

pub use self::client::authenticate;
pub(crate) use self::client::nonce;
pub use self::error::{AuthError, KeyError};
pub use self::guard::Guard;
pub use self::key::{AuthKey, Keys, MAX_KEYS, MIN_KEY_BYTES};
