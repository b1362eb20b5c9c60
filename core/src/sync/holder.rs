//! Who holds a lock, in a word's space.

use std::num::NonZeroU64;

use crate::identity::CoroutineId;
use crate::{scheduler, spawn};

/// The coroutine that took a lock; one value stands for code outside coroutines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder(NonZeroU64);

impl Holder {
    const OUTSIDE: Holder = Holder(NonZeroU64::MAX);

    /// Whoever runs now.
    #[inline]
    pub(super) fn current() -> Holder {
        scheduler::with(|scheduler| scheduler.current.borrow().as_ref().map(|record| Holder(record.id().0)))
            .flatten()
            .unwrap_or(Holder::OUTSIDE)
    }

    /// Its number, if it is a coroutine.
    pub(super) fn id(self) -> Option<CoroutineId> {
        (self != Holder::OUTSIDE).then_some(CoroutineId(self.0))
    }

    /// Who it is, as far as is known now.
    pub(super) fn describe(self) -> String {
        let Some(id) = self.id() else { return "code outside coroutines".to_owned() };
        match spawn::coroutine(id.as_u64()) {
            Some(coroutine) => format!("coroutine {}", coroutine.record.describe()),
            None => format!("coroutine {id}, which has ended"),
        }
    }
}

impl From<CoroutineId> for Holder {
    fn from(id: CoroutineId) -> Holder {
        Holder(id.0)
    }
}

/// Panics on a wait that could only end by the waiter itself.
#[cold]
#[track_caller]
pub(super) fn would_wait_for_itself(called: &str, holds: &str) -> ! {
    let holder = Holder::current().describe();
    panic!("{called}: {holder} {holds} already, and would wait for itself")
}
