//! The handle to a coroutine's result, and what a join can come to.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::circle::refuse_circle;
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
    /// A join that would close a circle of coroutines that wait for each other's end is refused, and so is that of a
    /// child which would wait for the end of the coroutine whose scope it belongs to. Waits that may end by themselves,
    /// in a `select` or within a time limit, make no circle, and one of over a thousand coroutines is not found.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] when it panicked, [`JoinError::Cancelled`] when it was cancelled,
    /// [`JoinError::WouldDeadlock`] when the coroutine joins itself, or one that waits for its end,
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
    // As in `park`: a return after the switch would be predicted wrongly.
    #[inline(always)]
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

#[inline(always)]
#[track_caller]
pub(super) fn wait_finished(record: &Rc<Record>, called: &str) -> Result<(), JoinError> {
    if record.state.get() == State::Done {
        return Ok(());
    }
    let scheduler = scheduler::expect_coroutine(called);
    if scheduler.id != record.runtime {
        return Err(JoinError::LeftBehind { coroutine: record.describe() });
    }
    let caller = scheduler.current_record();
    if Rc::ptr_eq(&caller, record) {
        return Err(JoinError::of_itself(record));
    }
    refuse_circle(&caller, record)?;
    drop((scheduler, caller));
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
    /// The join would never end: the coroutine would join itself, or one that waits for its own end.
    WouldDeadlock {
        /// The number of the coroutine that called, and its name if it has one.
        coroutine: String,
        /// The coroutine that was to be joined, then the one that it waits for, and so on up to the last, which waits
        /// for the one that called; empty for one that would join itself.
        circle: Vec<String>,
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
            JoinError::WouldDeadlock { coroutine, circle } => match &circle[..] {
                [] => write!(f, "coroutine {coroutine} joins itself, which would never end"),
                [joined, between @ ..] => {
                    write!(f, "coroutine {coroutine} joins coroutine {joined}, which waits for the end of ")?;
                    between.iter().try_for_each(|name| write!(f, "coroutine {name}, which waits for the end of "))?;
                    write!(f, "coroutine {coroutine}: it would never end")
                }
            },
            JoinError::LeftBehind { coroutine } => {
                write!(f, "coroutine {coroutine} belongs to a runtime that does not run here, and would never end")
            }
            JoinError::Taken => f.write_str("the coroutine has ended, and its result was taken before"),
            JoinError::Refused => f.write_str("a coroutine that unwinds cannot wait for another"),
        }
    }
}

impl std::error::Error for JoinError {}

impl JoinError {
    pub(crate) fn of_itself<B: ?Sized>(record: &Record<B>) -> JoinError {
        JoinError::WouldDeadlock { coroutine: record.describe(), circle: Vec::new() }
    }
}
