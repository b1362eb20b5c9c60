//! The mutual exclusion lock, handed over from each holder to the next.
//!
//! ```text
//!            lock              unlock, nobody waits
//!   free ───────────► held by A ───────────► free
//!                        │ unlock, B waits
//!                        └──────────────► held by B, which then runs
//! ```
//!
//! # Invariants
//!
//! - The lock is free only when nobody waits, so nobody overtakes a waiter.
//! - A value's borrow lasts as long as its guard, and ends before the lock is handed over.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::holder::{Holder, would_wait_for_itself};
use super::line::Line;
use crate::park::Reason;

/// A lock that lets one coroutine at a time at a value (SYN-1).
///
/// As `std::sync::Mutex`, except that it does not poison, and that unlocking gives ownership to whoever has waited
/// longest. A value that no wait comes in between needs no lock: a `RefCell` will do.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::sync::Mutex;
/// use grapeshot_core::{scope, sleep, test};
///
/// test::run(|| {
///     let total = Mutex::new(0);
///     scope(|scope| {
///         for _ in 0..10 {
///             scope.spawn(|| {
///                 let mut total = total.lock();
///                 let seen = *total;
///                 sleep(Duration::from_millis(1));
///                 *total = seen + 1;
///             });
///         }
///     });
///     assert_eq!(*total.lock(), 10);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: RefCell<T>,
}

impl<T> Mutex<T> {
    /// Makes a free lock, without allocating.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), value: RefCell::new(value) }
    }

    /// The value, once nobody shares the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting while another coroutine holds it.
    ///
    /// A lock that is free is taken at once, also outside coroutines.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// When the coroutine holds the lock already and would wait for itself;
    /// and outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[inline(always)]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if !self.raw.try_take()
            && let Err(refused) = self.raw.wait("Mutex::lock", None)
        {
            abort_refused("Mutex::lock", refused);
        }
        self.guard()
    }

    /// Takes the lock, or gives up at `deadline`; otherwise as [`lock`](Self::lock).
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
    /// As [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn lock_until(&self, deadline: Instant) -> Result<MutexGuard<'_, T>, WaitError> {
        if !self.raw.try_take() {
            self.raw.wait("Mutex::lock_until", Some(deadline))?;
        }
        Ok(self.guard())
    }

    /// Takes the lock if it is free. Never suspends.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_take().then(|| self.guard())
    }

    /// The guard of a lock that has just been taken.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        let held = Held { raw: &self.raw };
        MutexGuard { value: self.value.borrow_mut(), held }
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self) -> bool {
        self.raw.holder.get().is_some()
    }

    /// How many wait for the lock.
    pub fn waiters(&self) -> usize {
        self.raw.line.len()
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.try_borrow() {
            Ok(value) => write!(f, "Mutex({:?})", &*value),
            Err(_) => write!(f, "Mutex(locked, {} waiting)", self.waiters()),
        }
    }
}

/// A held [`Mutex`]; the value is reached through it. Dropping it unlocks.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    // Fields are dropped from top to bottom: the borrow must end before the next one begins.
    value: RefMut<'a, T>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    held: Held<'a>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// One holding of a lock, given back when dropped.
struct Held<'a> {
    raw: &'a RawMutex,
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.raw.pass_on();
    }
}

/// The lock without a value.
pub(super) struct RawMutex {
    pub(super) holder: Cell<Option<Holder>>,
    pub(super) line: Line,
}

impl RawMutex {
    pub(super) const fn new() -> RawMutex {
        RawMutex { holder: Cell::new(None), line: Line::new() }
    }

    #[inline]
    pub(super) fn try_take(&self) -> bool {
        let is_free = self.holder.get().is_none();
        if is_free {
            self.holder.set(Some(Holder::current()));
        }
        is_free
    }

    /// Waits in line for a lock that is not free. Who is woken holds it.
    #[inline(always)]
    #[track_caller]
    pub(super) fn wait(&self, called: &str, deadline: Option<Instant>) -> Result<(), WaitError> {
        let current = Holder::current();
        if current.id().is_some() && self.holder.get() == Some(current) {
            would_wait_for_itself(called, "holds the lock");
        }
        self.line.wait(called, (), Reason::Other("a mutex"), deadline, || {})
    }

    /// Hands the lock to the first waiter, or sets it free; says whether somebody waited.
    #[inline]
    pub(super) fn pass_on(&self) -> bool {
        let next = if self.line.is_empty() { None } else { self.line.wake_first() };
        self.holder.set(next);
        next.is_some()
    }
}
