//! The latch: something that happens once, which nobody comes too late for.

use std::cell::OnceCell;
use std::fmt;
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::line::Line;
use crate::park::Reason;

/// A value that is set once, and that any number of coroutines wait for (SYN-7).
///
/// Those who come after it has fired do not wait.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use grapeshot_core::sync::OnceEvent;
/// use grapeshot_core::{spawn, test};
///
/// test::run(|| {
///     let listening = Rc::new(OnceEvent::new());
///     let client = spawn({
///         let listening = listening.clone();
///         move || format!("connects to port {}", listening.wait())
///     });
///     listening.fire(8080).unwrap();
///     assert_eq!(client.join().unwrap(), "connects to port 8080");
///     assert_eq!(*listening.wait(), 8080);
/// });
/// ```
#[doc(alias = "latch")]
pub struct OnceEvent<T = ()> {
    value: OnceCell<T>,
    line: Line,
}

impl<T> OnceEvent<T> {
    /// Makes one that has not fired, without allocating.
    pub const fn new() -> OnceEvent<T> {
        OnceEvent { value: OnceCell::new(), line: Line::new() }
    }

    /// Sets the value and wakes everyone who waits. Never suspends.
    ///
    /// # Errors
    ///
    /// The value itself, when it has fired before; nothing changes then.
    pub fn fire(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.line.wake_all(|_| {});
        Ok(())
    }

    /// Waits until it fires, and returns the value; at once if it has fired.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn wait(&self) -> &T {
        match self.wait_in_line(None) {
            Ok(value) => value,
            Err(refused) => abort_refused("OnceEvent::wait", refused),
        }
    }

    /// Waits until it fires, or until `deadline`; otherwise as [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], and [`WaitError::Refused`] in a coroutine that unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn wait_until(&self, deadline: Instant) -> Result<&T, WaitError> {
        self.wait_in_line(Some(deadline))
    }

    #[track_caller]
    fn wait_in_line(&self, deadline: Option<Instant>) -> Result<&T, WaitError> {
        loop {
            if let Some(value) = self.value.get() {
                return Ok(value);
            }
            self.line.wait("OnceEvent::wait", (), Reason::Other("an event"), deadline, || {})?;
        }
    }

    /// The value, if it has fired.
    pub fn value(&self) -> Option<&T> {
        self.value.get()
    }

    /// Whether it has fired.
    pub fn has_fired(&self) -> bool {
        self.value.get().is_some()
    }

    /// How many wait for it.
    pub fn waiters(&self) -> usize {
        self.line.len()
    }

    /// The value, if it has fired, once nobody shares the event.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceEvent<T> {
    fn default() -> OnceEvent<T> {
        OnceEvent::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceEvent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.get() {
            Some(value) => write!(f, "OnceEvent({value:?})"),
            None => write!(f, "OnceEvent({} waiting)", self.waiters()),
        }
    }
}
