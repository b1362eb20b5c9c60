//! The random numbers that a forger would have to guess (RFC 5452, sections 4.3 and 9.2).
//!
//! Ids come from a generator for secrets, which the system seeds, and not from the runtime's: whoever has seen some
//! of that one's numbers can work out the others. Tests may seed theirs.

use std::cell::RefCell;

use rand::RngExt;

/// A source of ids, and of the choice among sockets.
pub(super) enum Ids {
    Secret,
    Seeded(RefCell<fastrand::Rng>),
}

impl Ids {
    pub(super) fn new(seed: Option<u64>) -> Ids {
        seed.map_or(Ids::Secret, |seed| Ids::Seeded(RefCell::new(fastrand::Rng::with_seed(seed))))
    }

    pub(super) fn id(&self) -> u16 {
        match self {
            Ids::Secret => rand::rng().random(),
            Ids::Seeded(seeded) => seeded.borrow_mut().u16(..),
        }
    }

    /// An index below `len`, which is not zero.
    pub(super) fn index(&self, len: usize) -> usize {
        match self {
            Ids::Secret => rand::rng().random_range(..len),
            Ids::Seeded(seeded) => seeded.borrow_mut().usize(..len),
        }
    }
}
