//! A result that is not there yet: one side works on it, others wait for it.
//!
//! ```text
//!   Completer ──set, set_error──► outcome ──get──► FutureResult (any number of them)
//!       │  └─ dropped: abandoned ───┘  └──► callbacks
//!       └◄── cancel flag ── progress ──►
//! ```
//!
//! # Invariants
//!
//! - There is exactly one outcome, and always one: setting it uses the [`Completer`] up, and dropping that abandons it,
//!   so nobody waits for a worker that is gone.
//! - The outcome stays: any number may get it, any number of times; each gets a clone.
//! - A callback runs exactly once, also if it is attached when the outcome is there already.
//! - No borrow is alive while a callback runs or a result is cloned.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::channel::instant_after;
use crate::park::{Reason, Unparked};
use crate::wait_queue::WaitQueue;
use crate::work::callbacks::Callbacks;

/// Makes a result to be, and what will set it (BEA-4).
///
/// The error is of any type that clones; `Rc<dyn Error>` holds them all.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test, work};
///
/// test::run(|| {
///     let (completer, answer) = work::future_result::<u32, String>();
///     spawn(move || completer.set(6 * 7));
///     assert_eq!(answer.get().unwrap(), 42);
/// });
/// ```
pub fn future_result<T, E>() -> (Completer<T, E>, FutureResult<T, E>) {
    let shared = Rc::new(Shared {
        outcome: RefCell::new(None),
        callbacks: Callbacks::new(),
        done: WaitQueue::new(),
        is_cancelled: Cell::new(false),
        cancelled: WaitQueue::new(),
        progress: Cell::new(Progress::default()),
    });
    (Completer { shared: shared.clone() }, FutureResult { shared })
}

type Outcome<T, E> = Result<T, FutureError<E>>;

struct Shared<T, E> {
    outcome: RefCell<Option<Rc<Outcome<T, E>>>>,
    callbacks: Callbacks<Outcome<T, E>>,
    done: WaitQueue,
    is_cancelled: Cell<bool>,
    cancelled: WaitQueue,
    progress: Cell<Progress>,
}

impl<T, E> Shared<T, E> {
    fn outcome(&self) -> Option<Rc<Outcome<T, E>>> {
        self.outcome.borrow().clone()
    }

    fn finish(&self, outcome: Outcome<T, E>) {
        let outcome = Rc::new(outcome);
        self.outcome.replace(Some(outcome.clone()));
        self.done.wake_all();
        self.callbacks.call(&outcome);
    }
}

/// How far work has come, in units that its worker chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is to do, once it is known.
    pub total: Option<u64>,
}

/// The side that does the work; dropping it without a result abandons it.
#[must_use = "dropping it abandons the result"]
pub struct Completer<T, E = Rc<dyn Error>> {
    shared: Rc<Shared<T, E>>,
}

impl<T, E> Completer<T, E> {
    /// Sets the result, wakes whoever waits for it, and calls the callbacks.
    ///
    /// Never waits, unless a callback does.
    pub fn set(self, value: T) {
        self.shared.finish(Ok(value));
    }

    /// Sets the error, which is raised again wherever the result is asked for; as [`set`](Self::set) otherwise.
    pub fn set_error(self, error: E) {
        self.shared.finish(Err(FutureError::Failed(error)));
    }

    /// Does the work, unless it was cancelled, and sets what comes of it.
    ///
    /// When `work` panics, the panic goes on and the result is abandoned. Waits if `work` does.
    pub fn complete_with(self, work: impl FnOnce(&Completer<T, E>) -> Result<T, E>) {
        if self.is_cancelled() {
            return;
        }
        match work(&self) {
            Ok(value) => self.set(value),
            Err(error) => self.set_error(error),
        }
    }

    /// Whether the result is no longer wanted; the worker may then end without one, or set it nevertheless.
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled.get()
    }

    /// Waits until the result is no longer wanted, and says whether that is so; false only while the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn wait_cancelled(&self) -> bool {
        cancel::checkpoint_current();
        while !self.is_cancelled() {
            if self.shared.cancelled.wait_for(
                "Completer::wait_cancelled",
                Reason::Other("a result to be cancelled"),
                None,
            ) != Unparked::Woken
            {
                return false;
            }
        }
        true
    }

    /// Says how far the work has come.
    pub fn set_progress(&self, progress: Progress) {
        self.shared.progress.set(progress);
    }
}

impl<T, E> Drop for Completer<T, E> {
    fn drop(&mut self) {
        if self.shared.outcome.borrow().is_none() {
            let why = if self.is_cancelled() { FutureError::Cancelled } else { FutureError::Abandoned };
            self.shared.finish(Err(why));
        }
    }
}

impl<T, E> fmt::Debug for Completer<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completer({} wait)", self.shared.done.len())
    }
}

/// A result to be; a clone is the same one.
///
/// Dropping it changes nothing for the worker: see [`cancel`](Self::cancel).
pub struct FutureResult<T, E = Rc<dyn Error>> {
    shared: Rc<Shared<T, E>>,
}

impl<T, E> FutureResult<T, E> {
    /// Waits for the result and returns a clone of it.
    ///
    /// # Errors
    ///
    /// [`FutureError::Failed`] with the worker's error; [`FutureError::Abandoned`] and [`FutureError::Cancelled`]
    /// when the worker ended without a result; [`FutureError::Refused`] when it would have to wait
    /// and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the work goes on.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn get(&self) -> Result<T, FutureError<E>>
    where
        T: Clone,
        E: Clone,
    {
        self.get_until("FutureResult::get", None)
    }

    /// As [`get`](Self::get), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`FutureError::TimedOut`]; the work goes on.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the work goes on.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, FutureError<E>>
    where
        T: Clone,
        E: Clone,
    {
        self.get_until("FutureResult::get_timeout", Some(instant_after(timeout)))
    }

    #[track_caller]
    fn get_until(&self, called: &str, deadline: Option<Instant>) -> Result<T, FutureError<E>>
    where
        T: Clone,
        E: Clone,
    {
        cancel::checkpoint_current();
        loop {
            if let Some(outcome) = self.shared.outcome() {
                return Result::clone(&outcome);
            }
            match self.shared.done.wait_for(called, Reason::Other("a result"), deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(FutureError::TimedOut),
                Unparked::Refused => return Err(FutureError::Refused),
            }
        }
    }

    /// A clone of the result, if it is there; never waits.
    ///
    /// # Errors
    ///
    /// [`FutureError::Pending`], and those of the outcome, as for [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, FutureError<E>>
    where
        T: Clone,
        E: Clone,
    {
        self.shared.outcome().map_or(Err(FutureError::Pending), |outcome| Result::clone(&outcome))
    }

    /// Where its waits are, for those that select.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.shared.done
    }

    /// Whether there is an outcome.
    pub fn is_done(&self) -> bool {
        self.shared.outcome.borrow().is_some()
    }

    /// Tells the worker that the result is no longer wanted, and says whether it was in time. Never waits.
    ///
    /// It is for the worker to look at that; until it ends, those who wait go on waiting.
    pub fn cancel(&self) -> bool {
        if self.is_done() {
            return false;
        }
        self.shared.is_cancelled.set(true);
        self.shared.cancelled.wake_all();
        true
    }

    /// How far the work has come, as its worker last said.
    pub fn progress(&self) -> Progress {
        self.shared.progress.get()
    }

    /// Calls `callback` with the outcome: when it comes, in the coroutine that sets it, or at once if it is there.
    ///
    /// Callbacks run in the order they were attached. One that panics when the outcome comes is reported
    /// (see [`set_panic_notifier`](crate::set_panic_notifier)) and keeps nobody else from running;
    /// one that is called at once panics in its caller.
    pub fn on_done(&self, callback: impl FnOnce(&Result<T, FutureError<E>>) + 'static) {
        match self.shared.outcome() {
            Some(outcome) => callback(&outcome),
            None => self.shared.callbacks.add(callback),
        }
    }
}

impl<T, E> Clone for FutureResult<T, E> {
    fn clone(&self) -> FutureResult<T, E> {
        FutureResult { shared: self.shared.clone() }
    }
}

impl<T, E> fmt::Debug for FutureResult<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_done() { "FutureResult(done)" } else { "FutureResult(pending)" })
    }
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FutureError<E = Rc<dyn Error>> {
    /// The work failed, with this.
    Failed(E),
    /// The worker ended without setting a result: it was cancelled itself, panicked, or forgot.
    Abandoned,
    /// The worker ended without setting a result after it was told that none was wanted.
    Cancelled,
    /// There is none yet.
    Pending,
    /// None came in time; there may be one later.
    TimedOut,
    /// There is none yet, and a coroutine that unwinds cannot wait for one.
    Refused,
}

impl<E: fmt::Display> fmt::Display for FutureError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureError::Failed(error) => write!(f, "the work failed: {error}"),
            FutureError::Abandoned => f.write_str("the work was abandoned: its worker ended without a result"),
            FutureError::Cancelled => f.write_str("the work was cancelled"),
            FutureError::Pending => f.write_str("the work is not done yet"),
            FutureError::TimedOut => f.write_str("the work was not done in time"),
            FutureError::Refused => f.write_str("a result: a coroutine that unwinds cannot wait for one"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for FutureError<E> {}
