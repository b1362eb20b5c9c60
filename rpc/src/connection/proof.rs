//! Whether the peer has to prove who it is, and has.

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use std::cell::{Cell, RefCell};

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use crate::auth::Guard;
use crate::error::Failure;
use crate::value::Encoded;

/// What stands before the service.
#[derive(Default)]
pub(super) struct Proof {
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    guard: Option<RefCell<Guard>>,
    /// Whether this side is about to make sure of the peer: until it has, it runs nothing for it.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
    is_doubtful: Cell<bool>,
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
impl Proof {
    pub(super) fn demanded_by(guard: Option<Guard>) -> Proof {
        Proof { guard: guard.map(RefCell::new), is_doubtful: Cell::new(false) }
    }

    /// Has the peer's calls wait until it has proven what this side asks it to.
    pub(super) fn doubt_peer(&self) {
        self.is_doubtful.set(true);
    }

    /// The peer has proven it.
    pub(super) fn trust_peer(&self) {
        self.is_doubtful.set(false);
    }

    /// Whether the peer's calls are to wait.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful.get()
    }

    pub(super) fn is_given(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.borrow().is_proven())
    }

    /// Whether the peer tried and failed, after which it is not heard any more.
    pub(super) fn has_failed(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.borrow().has_failed())
    }

    /// The name of the key with which the peer has proven itself.
    pub(super) fn key(&self) -> Option<String> {
        self.guard.as_ref()?.borrow().key().map(str::to_owned)
    }

    /// Answers what belongs to the proof, and what needs one that is not there.
    pub(super) fn answer(&self, method: &str, params: &[u8]) -> Option<Result<Encoded, Failure>> {
        self.guard.as_ref()?.borrow_mut().handle(method, params)
    }
}

/// Without the algorithms nobody can demand a proof.
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
impl Proof {
    pub(super) fn is_given(&self) -> bool {
        true
    }

    pub(super) fn is_doubtful(&self) -> bool {
        false
    }

    pub(super) fn has_failed(&self) -> bool {
        false
    }

    pub(super) fn key(&self) -> Option<String> {
        None
    }

    pub(super) fn answer(&self, _method: &str, _params: &[u8]) -> Option<Result<Encoded, Failure>> {
        None
    }
}
