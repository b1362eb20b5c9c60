//! The handle to a coroutine itself: its name, its state, its end.

use std::fmt;
use std::rc::Rc;

use super::join::{JoinError, wait_finished};
use crate::cancel;
use crate::identity::CoroutineId;
use crate::record::{Record, State};
use crate::scheduler;

/// A coroutine, to be named, looked at, cancelled or waited for; the counterpart of `std::thread::Thread`.
#[derive(Clone)]
pub struct Coroutine {
    pub(crate) record: Rc<Record>,
}

impl Coroutine {
    /// Its number.
    pub fn id(&self) -> CoroutineId {
        self.record.id()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<String> {
        self.record.identity.name.borrow().as_deref().map(str::to_owned)
    }

    /// Gives it a name, to be shown in reports.
    pub fn set_name(&self, name: impl Into<String>) {
        *self.record.identity.name.borrow_mut() = Some(name.into().into());
    }

    /// Ends it, as [`JoinHandle::cancel`](crate::JoinHandle::cancel) does.
    pub fn cancel(&self) {
        cancel::cancel_coroutine(&self.record);
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.record.state.get() == State::Done
    }

    /// Waits for its end; any number of coroutines may (THR-7).
    ///
    /// What would close a circle is refused: see [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`], [`JoinError::LeftBehind`] and [`JoinError::Refused`], as for
    /// [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, unless it has ended.
    #[track_caller]
    pub fn wait_finished(&self) -> Result<(), JoinError> {
        wait_finished(&self.record, "Coroutine::wait_finished")
    }
}

impl fmt::Debug for Coroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coroutine({}, {:?})", self.record.describe(), self.record.state.get())
    }
}

impl PartialEq for Coroutine {
    fn eq(&self, other: &Coroutine) -> bool {
        Rc::ptr_eq(&self.record, &other.record)
    }
}

impl Eq for Coroutine {}

/// The running coroutine.
///
/// # Panics
///
/// Outside a coroutine.
#[track_caller]
pub fn current() -> Coroutine {
    Coroutine { record: scheduler::expect_coroutine("current").current_record() }
}

/// The live coroutine with this number (THR-3). Looks through all of them.
pub fn coroutine(id: u64) -> Option<Coroutine> {
    let found =
        scheduler::with(|scheduler| scheduler.live.borrow().iter().find(|record| record.id().as_u64() == id).cloned());
    found.flatten().map(|record| Coroutine { record })
}
