//! Which certificate is shown for which name (RFC 6066 section 3), and its replacement while connections live on.
//!
//! ```text
//!   name asked for ──► the very name ──► *.its parent ──► the default ──► none: the handshake fails
//!   no name asked for ──────────────────────────────────► the default ──► none: the handshake fails
//! ```
//!
//! Of several identities for one name, the first is shown whose key the client can check.
//!
//! # Invariants
//!
//! - A wildcard stands for exactly one label, the leftmost (RFC 9525 section 6.3).
//! - A lock is held for the copying of a pointer, never over a wait.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::verify_server_name;
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::ConfigError;
use super::identity::Identity;

/// A place for an identity, which may be replaced by a newer one.
pub(crate) struct Slot {
    current: RwLock<Identity>,
    /// What every identity in this place must hold for, in lower case; none for a default.
    names: Vec<String>,
}

impl Slot {
    /// Checks the names, and that the identity holds for them.
    pub(crate) fn new(names: &[String], identity: Identity) -> Result<Slot, ConfigError> {
        let names = names.iter().map(|name| normal(name)).collect::<Result<Vec<String>, ConfigError>>()?;
        holds_for(&identity, &names)?;
        Ok(Slot { current: RwLock::new(identity), names })
    }

    pub(crate) fn current(&self) -> Identity {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a newer identity here, if it holds for the same names.
    pub(crate) fn replace(&self, identity: Identity) -> Result<(), ConfigError> {
        holds_for(&identity, &self.names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }

    fn key(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).certified_key().clone()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("names", &self.names).finish_non_exhaustive()
    }
}

/// In lower case, if it is a name or a wildcard at all.
fn normal(name: &str) -> Result<String, ConfigError> {
    let is_name = DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok();
    if is_name { Ok(name.to_ascii_lowercase()) } else { Err(ConfigError::ServerName { name: name.to_owned() }) }
}

/// A mistake that would otherwise be found by every client.
fn holds_for(identity: &Identity, names: &[String]) -> Result<(), ConfigError> {
    for name in names {
        let refused = || ConfigError::NotForName { name: name.clone(), certificate: identity.place().cloned() };
        // A wildcard holds if it does for any one label in its place.
        let sample = match name.strip_prefix("*.") {
            Some(parent) => format!("grapeshot.{parent}"),
            None => name.clone(),
        };
        let sample = ServerName::try_from(sample).map_err(|_| ConfigError::ServerName { name: name.clone() })?;
        let certificate = identity.chain().first().ok_or_else(refused)?;
        let parsed = ParsedCertificate::try_from(certificate).map_err(|_| refused())?;
        verify_server_name(&parsed, &sample).map_err(|_| refused())?;
    }
    Ok(())
}

/// All identities of a server.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Names and wildcards, in lower case.
    by_name: HashMap<String, Vec<Arc<Slot>>>,
    default: Vec<Arc<Slot>>,
    all: Vec<Arc<Slot>>,
}

impl Names {
    pub(crate) fn add(&mut self, slot: Slot) {
        let slot = Arc::new(slot);
        if slot.names.is_empty() {
            self.default.push(slot.clone());
        }
        for name in &slot.names {
            self.by_name.entry(name.clone()).or_default().push(slot.clone());
        }
        self.all.push(slot);
    }

    /// Every place, in the order in which they were added.
    pub(crate) fn slots(&self) -> &[Arc<Slot>] {
        &self.all
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<Slot>] {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return &self.default };
        let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
        let named = self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?));
        named.unwrap_or(&self.default)
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name);
        let mut keys = candidates.iter().map(|slot| slot.key());
        let usable = keys.find(|key| key.key.choose_scheme(schemes).is_some());
        // One that the client cannot check makes rustls say so to it; none at all would say less.
        usable.or_else(|| Some(candidates.first()?.key()))
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
