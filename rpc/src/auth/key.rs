//! Keys: what both sides know and nobody else.

use std::fmt;
use std::sync::Arc;

use super::error::KeyError;
use super::provider::Key;
use crate::proto::auth::{Proof, Prover};

/// The fewest bytes of a key: 128 bits, so that nobody who overhears an exchange finds the key by trying.
pub const MIN_KEY_BYTES: usize = 16;

/// The most keys that a server takes: each costs a computation for each client that comes.
pub const MAX_KEYS: usize = 64;

/// A key that both sides know. Cheap to clone; it is never printed.
///
/// It should be random, such as the 32 bytes of `openssl rand 32`: a client proves itself to a server that it does not
/// know yet, and whoever gets such a proof can try keys on it for as long as they like.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::auth::AuthKey;
///
/// # fn main() -> Result<(), grapeshot_rpc::auth::KeyError> {
/// let key = AuthKey::new(b"0123456789abcdef")?.named("billing");
/// assert_eq!(format!("{key:?}"), "AuthKey(\"billing\")");
/// assert!(AuthKey::new("peekaboo").is_err(), "too short");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuthKey {
    key: Arc<Key>,
    name: Arc<str>,
}

impl AuthKey {
    /// A key of these bytes, of which there are 16 at least.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooShort`].
    pub fn new(secret: impl AsRef<[u8]>) -> Result<AuthKey, KeyError> {
        let secret = secret.as_ref();
        if secret.len() < MIN_KEY_BYTES {
            return Err(KeyError::TooShort { bytes: secret.len() });
        }
        Ok(AuthKey { key: Arc::new(Key::new(secret)), name: Arc::from("key") })
    }

    /// Gives it a name, which a server knows the peer by ([`Identity::key`](crate::Identity)); `key` unless set.
    pub fn named(self, name: &str) -> AuthKey {
        AuthKey { name: Arc::from(name), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthKey").field(&self.name).finish()
    }
}

impl Prover for AuthKey {
    fn sign(&self, _key: usize, message: &[u8]) -> Proof {
        self.key.sign(message)
    }

    fn verify(&self, message: &[u8], proof: &[u8]) -> Option<usize> {
        self.key.verify(message, proof).then_some(0)
    }
}

/// The keys of which a client must know one: for clients of different rights, or while one key replaces another.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::auth::{AuthKey, Keys};
///
/// # fn main() -> Result<(), grapeshot_rpc::auth::KeyError> {
/// let old = AuthKey::new(b"0123456789abcdef")?.named("old");
/// let new = AuthKey::new(b"fedcba9876543210")?.named("new");
/// let keys = Keys::new([old, new])?;
/// # let _ = keys;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Arc<[AuthKey]>,
}

impl Keys {
    /// Any of these.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoKeys`] and [`KeyError::TooMany`].
    pub fn new(keys: impl IntoIterator<Item = AuthKey>) -> Result<Keys, KeyError> {
        let keys: Arc<[AuthKey]> = keys.into_iter().take(MAX_KEYS + 1).collect();
        match keys.len() {
            0 => Err(KeyError::NoKeys),
            1..=MAX_KEYS => Ok(Keys { keys }),
            _ => Err(KeyError::TooMany),
        }
    }

    /// The name of the key with this number.
    pub(crate) fn name(&self, key: usize) -> Option<&str> {
        self.keys.get(key).map(AuthKey::name)
    }
}

impl From<AuthKey> for Keys {
    fn from(key: AuthKey) -> Keys {
        Keys { keys: Arc::new([key]) }
    }
}

impl From<&AuthKey> for Keys {
    fn from(key: &AuthKey) -> Keys {
        key.clone().into()
    }
}

impl From<&Keys> for Keys {
    fn from(keys: &Keys) -> Keys {
        keys.clone()
    }
}

impl Prover for Keys {
    fn sign(&self, key: usize, message: &[u8]) -> Proof {
        self.keys[key].sign(0, message)
    }

    /// Tries all of them, so that how long it takes says nothing of which one it was.
    fn verify(&self, message: &[u8], proof: &[u8]) -> Option<usize> {
        let mut fitting = None;
        for (number, key) in self.keys.iter().enumerate() {
            if key.verify(message, proof).is_some() {
                fitting = Some(number);
            }
        }
        fitting
    }
}
