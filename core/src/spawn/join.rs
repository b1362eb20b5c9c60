//! The handle to a coroutine's result, and what a join can come to.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::{Coroutine, Joinable};
use crate::cancel;
use crate::panics::{self, Panic};
use crate::park::{Reason, Unparked};
use crate::record::{Record, State};
use crate::scheduler;

/// The way to a coroutine's result.
///
/// Dropping it detaches the coroutine, which runs on; a panic of it is then reported to the panic notifier.
pub struct JoinHandle<T> {
    pub(super) record: Rc<Record<dyn Joinable<T>>>,
    /// A select has given the result out.
    pub(super) taken: Cell<bool>,
}

impl<T> JoinHandle<T> {
    /// Waits for the coroutine to end and returns what it returned.
    ///
    /// Coroutines that wait for each other in a circle wait until one of them is cancelled: only who joins itself is
    /// refused. So a child must not wait for the end of the coroutine whose scope waits for the child.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] when it panicked, [`JoinError::Cancelled`] when it was cancelled,
    /// [`JoinError::WouldDeadlock`] when the coroutine joins itself,
    /// [`JoinError::LeftBehind`] when its runtime is over and it never ended,
    /// [`JoinError::Taken`] when a select has given its result out,
    /// [`JoinError::Refused`] when the caller unwinds and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the handle is dropped and the coroutine runs on.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, unless the coroutine has ended.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        wait_finished(&self.erased(), "JoinHandle::join")?;
        self.take_result()
    }

    /// The result of a coroutine that has ended.
    pub(super) fn take_result(&self) -> Result<T, JoinError> {
        match self.record.body.take_result() {
            _ if self.taken.replace(true) => Err(JoinError::Taken),
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => Err(JoinError::Panicked(panic)),
            None => Err(JoinError::Cancelled),
        }
    }

    /// Ends the coroutine: its next suspension point unwinds it. Never fails, and never suspends.
    ///
    /// One that has not had its first turn ends without running (THR-6).
    pub fn cancel(&self) {
        cancel::cancel_coroutine(&self.erased());
    }

    /// Whether the coroutine has ended.
    pub fn is_finished(&self) -> bool {
        self.record.state.get() == State::Done
    }

    /// The coroutine, for its number, its name, and waiting for its end without taking the result.
    pub fn coroutine(&self) -> Coroutine {
        Coroutine { record: self.erased() }
    }

    pub(crate) fn erased(&self) -> Rc<Record> {
        self.record.clone()
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let record = self.erased();
        record.detached.set(true);
        match record.state.get() {
            State::Done => {
                panics::report_unjoined(&record);
                drop(self.record.body.take_result());
            }
            State::Unstarted => {
                scheduler::with_runtime_of(&record, |scheduler| scheduler.abandon(&record));
                record.body.discard();
            }
            _ => {}
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({})", self.record.describe())
    }
}

#[inline]
#[track_caller]
pub(super) fn wait_finished(record: &Rc<Record>, called: &str) -> Result<(), JoinError> {
    if record.state.get() == State::Done {
        return Ok(());
    }
    let scheduler = scheduler::expect_coroutine(called);
    if scheduler.id != record.runtime {
        return Err(JoinError::LeftBehind { coroutine: record.describe() });
    }
    if Rc::ptr_eq(&scheduler.current_record(), record) {
        return Err(JoinError::WouldDeadlock { coroutine: record.describe() });
    }
    drop(scheduler);
    match record.joiners.wait_until(Reason::Joining(record.id()), None) {
        Unparked::Woken | Unparked::TimedOut => Ok(()),
        Unparked::Refused => Err(JoinError::Refused),
    }
}

/// Why a join has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The coroutine was cancelled before it was done.
    Cancelled,
    /// The coroutine panicked.
    Panicked(Panic),
    /// The coroutine tried to join itself, which would never end.
    WouldDeadlock {
        /// Its number, and its name if it has one.
        coroutine: String,
    },
    /// The coroutine belongs to another runtime, which is over: it will never end.
    LeftBehind {
        /// Its number, and its name if it has one.
        coroutine: String,
    },
    /// The coroutine has ended, and a select has given its result out already.
    Taken,
    /// The caller unwinds, and so cannot wait.
    Refused,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled => f.write_str("the coroutine was cancelled"),
            JoinError::Panicked(panic) => write!(f, "the coroutine panicked: {panic}"),
            JoinError::WouldDeadlock { coroutine } => {
                write!(f, "coroutine {coroutine} joins itself, which would never end")
            }
            JoinError::LeftBehind { coroutine } => {
                write!(f, "coroutine {coroutine} belongs to a runtime that does not run here, and would never end")
            }
            JoinError::Taken => f.write_str("the coroutine has ended, and its result was taken before"),
            JoinError::Refused => f.write_str("a coroutine that unwinds cannot wait for another"),
        }
    }
}

impl std::error::Error for JoinError {}
