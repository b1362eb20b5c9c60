//! Where the signature of a handshake is made, and the bounds of making it elsewhere.
//!
//! ```text
//!   rustls asks for a signature ──► a quick key ──────────────────────────────► on the loop
//!                                 └ a slow one ──► too many under way, no thread ──► on the loop
//!                                                └ else: a signer thread, while this coroutine alone waits
//! ```
//!
//! # Invariants
//!
//! - Threads that sign are no more than the processors: more would take the processor from the loop.
//! - Signatures under way are bounded, and no handshake fails for want of a thread.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use grapeshot_core::{WorkerPool, in_coroutine};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// How many signatures may be under way in the process; one more is made on the loop, which slows its intake down.
const MAX_UNDER_WAY: usize = 1024;

/// Where the signature of a handshake is made, which proves that this end has the key of its certificate.
///
/// A server signs in every handshake that resumes nothing, a client where it shows a certificate.
/// With aws-lc-rs a signature takes about 25 µs of a processor with ECDSA P-256, 400 µs with RSA of 2048 bits and 2.5 ms
/// with RSA of 4096 bits. To have another thread make it takes some 20 µs, so that is done where the loop gains by it.
///
/// Signer threads are the process's, as many as it has processors, and start when they are needed.
/// With 1024 signatures under way, and where the system gives no thread, signatures are made on the loop all the same;
/// so are those of a stream that is used outside of coroutines.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_tls::{Identity, ServerConfig, Signing};
///
/// // A server that has its processor for itself, and nothing else to do.
/// let config = ServerConfig::builder()
///     .identity(Identity::from_pem_files("example.org.pem", "example.org.key")?)
///     .signing(Signing::OnLoop)
///     .build()?;
/// # Ok::<(), grapeshot_tls::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signing {
    /// Off the loop with RSA keys, and on it with all others.
    #[default]
    ByKey,
    /// On the loop, which does nothing else meanwhile.
    OnLoop,
    /// Off the loop: for keys that are asked of a device, or of another machine, by a call that blocks.
    OffLoop,
}

impl Signing {
    /// Whether this key's signatures are made elsewhere.
    pub(super) fn is_off_loop(self, key: &dyn SigningKey) -> bool {
        match self {
            Signing::ByKey => key.algorithm() == SignatureAlgorithm::RSA,
            Signing::OnLoop => false,
            Signing::OffLoop => true,
        }
    }
}

/// The threads that sign.
#[derive(Debug)]
pub(super) struct Signers {
    pool: WorkerPool,
    under_way: AtomicUsize,
    most: usize,
}

static SIGNERS: LazyLock<Arc<Signers>> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Signers::new(WorkerPool::with_queue(processors, MAX_UNDER_WAY), MAX_UNDER_WAY))
});

impl Signers {
    fn new(pool: WorkerPool, most: usize) -> Signers {
        Signers { pool, under_way: AtomicUsize::new(0), most }
    }

    /// Those of the process.
    pub(super) fn shared() -> &'static Arc<Signers> {
        &SIGNERS
    }

    /// A place among the signatures under way, if there is one.
    fn place(self: &Arc<Signers>) -> Option<Place> {
        let most = self.most;
        let more = |under_way: usize| (under_way < most).then_some(under_way + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(self.clone()))
    }
}

/// One of the signatures under way, until this is dropped.
struct Place(Arc<Signers>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A key whose signatures are made by signer threads while the coroutine waits.
///
/// It suspends inside rustls. So whoever runs rustls with it has rustls to itself meanwhile: nothing may be borrowed.
#[derive(Debug)]
pub(super) struct OffLoop {
    key: Arc<dyn SigningKey>,
    signers: Arc<Signers>,
}

impl OffLoop {
    pub(super) fn new(key: Arc<dyn SigningKey>, signers: Arc<Signers>) -> OffLoop {
        OffLoop { key, signers }
    }
}

impl SigningKey for OffLoop {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = Arc::from(self.key.choose_scheme(offered)?);
        Some(Box::new(OffLoopSigner { signer, signers: self.signers.clone() }))
    }

    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct OffLoopSigner {
    signer: Arc<dyn Signer>,
    signers: Arc<Signers>,
}

impl Signer for OffLoopSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        // What unwinds cannot wait, and on a plain thread nobody else does.
        if !in_coroutine() || thread::panicking() {
            return self.signer.sign(message);
        }
        let Some(place) = self.signers.place() else { return self.signer.sign(message) };
        let (signer, owned) = (self.signer.clone(), message.to_vec());
        let signed = self.signers.pool.apply(move || {
            let _place = place;
            signer.sign(&owned)
        });
        // The pool gives no thread.
        signed.unwrap_or_else(|_| self.signer.sign(message))
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};
    use std::thread::ThreadId;

    use grapeshot_core::{spawn, test, yield_now};

    use super::*;

    /// Says in each signature which thread has made it, once it is let.
    #[derive(Debug)]
    struct Slow {
        key: SignatureAlgorithm,
        let_go: Arc<Mutex<Option<Receiver<()>>>>,
    }

    impl Slow {
        /// A key, and what lets its signatures go: each message lets one, and its end all.
        fn new(key: SignatureAlgorithm) -> (Arc<Slow>, Sender<()>) {
            let (sender, receiver) = channel();
            (Arc::new(Slow { key, let_go: Arc::new(Mutex::new(Some(receiver))) }), sender)
        }

        fn quick(key: SignatureAlgorithm) -> Arc<Slow> {
            Arc::new(Slow { key, let_go: Arc::default() })
        }
    }

    fn name_of(thread: ThreadId) -> Vec<u8> {
        format!("{thread:?}").into_bytes()
    }

    impl SigningKey for Slow {
        fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            Some(Box::new(Slow { key: self.key, let_go: self.let_go.clone() }))
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.key
        }
    }

    impl Signer for Slow {
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
            let name = thread::current().name().map(str::to_owned);
            if name.is_some_and(|name| name == "grapeshot-worker")
                && let Some(let_go) = &*self.let_go.lock().unwrap_or_else(PoisonError::into_inner)
            {
                // An error is the sender's end.
                let _ = let_go.recv();
            }
            Ok(name_of(thread::current().id()))
        }

        fn scheme(&self) -> SignatureScheme {
            SignatureScheme::RSA_PSS_SHA256
        }
    }

    fn sign(key: &Arc<Slow>, signers: &Arc<Signers>) -> Vec<u8> {
        let key = OffLoop::new(key.clone(), signers.clone());
        key.choose_scheme(&[]).unwrap().sign(b"message").unwrap()
    }

    fn signers(most: usize) -> Arc<Signers> {
        Arc::new(Signers::new(WorkerPool::with_queue(1, most), most))
    }

    #[test]
    fn the_kind_of_key_decides_unless_it_is_said() {
        for algorithm in [SignatureAlgorithm::ECDSA, SignatureAlgorithm::ED25519, SignatureAlgorithm::RSA] {
            let key = Slow::quick(algorithm);
            assert_eq!(Signing::default().is_off_loop(&*key), algorithm == SignatureAlgorithm::RSA);
            assert!(Signing::OffLoop.is_off_loop(&*key) && !Signing::OnLoop.is_off_loop(&*key));
        }
    }

    #[test]
    fn others_run_while_a_signature_is_made() {
        test::run(|| {
            let (key, let_go) = Slow::new(SignatureAlgorithm::RSA);
            let signing = spawn(move || sign(&key, &signers(4)));
            for _ in 0..100 {
                yield_now();
            }
            assert!(!signing.is_finished());
            drop(let_go);
            assert_ne!(signing.join().unwrap(), name_of(thread::current().id()));
        });
    }

    #[test]
    fn what_finds_no_place_is_signed_right_here() {
        test::run(|| {
            let (key, let_go) = Slow::new(SignatureAlgorithm::RSA);
            let signers = signers(2);
            let under_way: Vec<_> = (0..2)
                .map(|_| {
                    let (key, signers) = (key.clone(), signers.clone());
                    spawn(move || sign(&key, &signers))
                })
                .collect();
            yield_now();
            assert_eq!(sign(&key, &signers), name_of(thread::current().id()));
            drop(let_go);
            for signing in under_way {
                assert_ne!(signing.join().unwrap(), name_of(thread::current().id()));
            }
            assert_eq!(signers.under_way.load(Ordering::Relaxed), 0);
            assert_ne!(sign(&key, &signers), name_of(thread::current().id()), "there is a place again");
        });
    }

    #[test]
    fn without_a_thread_it_is_signed_right_here() {
        test::run(|| {
            let signers = signers(2);
            signers.pool.close();
            let key = Slow::quick(SignatureAlgorithm::RSA);
            assert_eq!(sign(&key, &signers), name_of(thread::current().id()));
            assert_eq!(signers.under_way.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn outside_of_coroutines_it_is_signed_right_here() {
        let key = Slow::quick(SignatureAlgorithm::RSA);
        assert_eq!(sign(&key, &signers(2)), name_of(thread::current().id()));
    }

    #[test]
    fn a_signature_that_is_not_wanted_any_more_leaves_its_place() {
        test::run(|| {
            let (key, let_go) = Slow::new(SignatureAlgorithm::RSA);
            let signers = signers(3);
            let [first, second] = [(); 2].map(|()| {
                let (key, signers) = (key.clone(), signers.clone());
                spawn(move || sign(&key, &signers))
            });
            yield_now();
            second.cancel();
            assert!(second.join().is_err());
            drop(let_go);
            first.join().unwrap();
            // One thread makes them in order, so the one that was called off is gone when this one is made.
            sign(&key, &signers);
            assert_eq!(signers.under_way.load(Ordering::Relaxed), 0);
        });
    }
}
