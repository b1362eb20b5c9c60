//! A certificate whose key signs slowly, and keys that say where they sign and wait until they are let.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use grapeshot_tls::rustls::sign::{CertifiedKey, Signer, SigningKey};
use grapeshot_tls::rustls::{Error, SignatureAlgorithm, SignatureScheme};
use grapeshot_tls::{Identity, Roots};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::common::NAME;

/// Made for these tests and used by nothing else: making one takes a while, and ring cannot.
const RSA_KEY: &str = include_str!("rsa_key_of_tests.pem");

/// How long a signature waits until it is let, before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, and certificates by it for keys of either kind.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_der([self.issuer.der().clone()]).unwrap()
    }

    /// A certificate for [`NAME`] with an RSA key of 2048 bits.
    pub(crate) fn rsa(&self) -> Identity {
        self.issue(&KeyPair::from_pem(RSA_KEY).unwrap())
    }

    /// The same with an ECDSA key.
    pub(crate) fn ecdsa(&self) -> Identity {
        self.issue(&KeyPair::generate().unwrap())
    }

    fn issue(&self, key: &KeyPair) -> Identity {
        let params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Identity::from_pem(certificate.pem(), key.serialize_pem()).unwrap()
    }
}

/// What a watched key has seen.
#[derive(Debug, Default)]
struct Seen {
    threads: Mutex<Vec<ThreadId>>,
    let_go: Mutex<Option<Receiver<()>>>,
    panics: bool,
}

/// A key that notes which thread makes each signature.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    key: Arc<dyn SigningKey>,
    seen: Arc<Seen>,
}

impl Watched {
    /// The identity with its key watched.
    pub(crate) fn new(identity: &Identity) -> (Identity, Watched) {
        Watched::with(identity, Seen::default())
    }

    /// The same, and every signature waits for a message, or for the sender's end.
    pub(crate) fn held(identity: &Identity) -> (Identity, Watched, Sender<()>) {
        let (sender, receiver) = channel();
        let (identity, watched) =
            Watched::with(identity, Seen { let_go: Mutex::new(Some(receiver)), ..Seen::default() });
        (identity, watched, sender)
    }

    /// The same, and every signature panics.
    pub(crate) fn panicking(identity: &Identity) -> Identity {
        Watched::with(identity, Seen { panics: true, ..Seen::default() }).0
    }

    fn with(identity: &Identity, seen: Seen) -> (Identity, Watched) {
        let certified = identity.certified_key();
        let watched = Watched { key: certified.key.clone(), seen: Arc::new(seen) };
        let certified = CertifiedKey::new(certified.cert.clone(), Arc::new(watched.clone()));
        (Identity::from_certified_key(Arc::new(certified)), watched)
    }

    /// The threads that have made a signature, or are about to, one for each.
    pub(crate) fn threads(&self) -> Vec<ThreadId> {
        self.seen.threads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many signatures were made on this thread, and how many elsewhere.
    pub(crate) fn here_and_elsewhere(&self) -> (usize, usize) {
        let threads = self.threads();
        let here = threads.iter().filter(|thread| **thread == thread::current().id()).count();
        (here, threads.len() - here)
    }
}

impl SigningKey for Watched {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.key.choose_scheme(offered)?;
        Some(Box::new(WatchedSigner { signer, seen: self.seen.clone() }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct WatchedSigner {
    signer: Box<dyn Signer>,
    seen: Arc<Seen>,
}

impl Signer for WatchedSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.seen.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current().id());
        assert!(!self.seen.panics, "no signature today");
        if let Some(let_go) = &*self.seen.let_go.lock().unwrap_or_else(PoisonError::into_inner) {
            // The sender's end lets go as well; a loop that is held up never gets there.
            if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = let_go.recv_timeout(PATIENCE) {
                return Err(Error::General("nobody let go of the signature".to_owned()));
            }
        }
        self.signer.sign(message)
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}
