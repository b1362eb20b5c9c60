//! The lock that its holder may take again.
//!
//! # Invariants
//!
//! - `depth` is the number of guards and of kept holdings; the lock is passed on when it comes to zero.
//! - The value is shared by all guards of the holder, so that it is only ever lent, never lent to be changed.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::time::Instant;

use super::error::{LockError, WaitError, abort_refused};
use super::holder::Holder;
use super::mutex::RawMutex;

/// A lock that lets one coroutine at a time at a value, any number of times over (SYN-1).
///
/// It gives shared access only, since a holder that takes it twice has two ways to the value: put a `Cell` or a
/// `RefCell` inside to change it. Where nothing takes it twice, [`Mutex`](super::Mutex) is simpler.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use grapeshot_core::sync::ReentrantMutex;
/// use grapeshot_core::test;
///
/// fn deposit(account: &ReentrantMutex<Cell<i64>>, amount: i64) {
///     let balance = account.lock();
///     balance.set(balance.get() + amount);
/// }
///
/// test::run(|| {
///     let account = ReentrantMutex::new(Cell::new(0));
///     let both = account.lock();
///     deposit(&account, 5);
///     deposit(&account, 6);
///     assert_eq!(both.get(), 11);
/// });
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    raw: RawMutex,
    depth: Cell<usize>,
    /// How many of these have no guard.
    kept: Cell<usize>,
    value: T,
}

impl<T> ReentrantMutex<T> {
    /// Makes a free lock, without allocating.
    pub const fn new(value: T) -> ReentrantMutex<T> {
        ReentrantMutex { raw: RawMutex::new(), depth: Cell::new(0), kept: Cell::new(0), value }
    }

    /// The value, once nobody shares the lock.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Takes the lock, waiting while another coroutine holds it.
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
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        match self.take("ReentrantMutex::lock", None) {
            Ok(guard) => guard,
            Err(refused) => abort_refused("ReentrantMutex::lock", refused),
        }
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
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn lock_until(&self, deadline: Instant) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        self.take("ReentrantMutex::lock_until", Some(deadline))
    }

    /// Takes the lock if it is free or held by the caller. Never suspends.
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        if !self.is_mine() && !self.raw.try_take() {
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        Some(ReentrantMutexGuard { lock: self })
    }

    #[track_caller]
    fn take(&self, called: &str, deadline: Option<Instant>) -> Result<ReentrantMutexGuard<'_, T>, WaitError> {
        if let Some(guard) = self.try_lock() {
            return Ok(guard);
        }
        self.raw.wait(called, deadline)?;
        self.depth.set(1);
        Ok(ReentrantMutexGuard { lock: self })
    }

    /// Gives one kept holding back: see [`ReentrantMutexGuard::keep`].
    ///
    /// Answers whether the lock has gone to a coroutine that waited for it: false when the caller holds it still,
    /// or when nobody waited. Never suspends.
    ///
    /// # Errors
    ///
    /// [`LockError`] when the caller has no kept holding to give back (SYN-8).
    pub fn unlock(&self) -> Result<bool, LockError> {
        let caller = Holder::current().describe();
        match self.raw.holder.get() {
            None => Err(LockError::NotLocked { caller }),
            Some(owner) if owner != Holder::current() => Err(LockError::NotOwner { owner: owner.describe(), caller }),
            Some(_) if self.kept.get() == 0 => Err(LockError::Guarded { caller }),
            Some(_) => {
                self.kept.set(self.kept.get() - 1);
                Ok(self.leave())
            }
        }
    }

    /// Ends one holding; says whether the lock was handed over.
    fn leave(&self) -> bool {
        self.depth.set(self.depth.get() - 1);
        self.depth.get() == 0 && self.raw.pass_on()
    }

    /// Whether the caller holds the lock.
    pub fn is_mine(&self) -> bool {
        self.raw.holder.get() == Some(Holder::current())
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self) -> bool {
        self.raw.holder.get().is_some()
    }

    /// How many wait for the lock.
    pub fn waiters(&self) -> usize {
        self.raw.line.len()
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    fn default() -> ReentrantMutex<T> {
        ReentrantMutex::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.raw.holder.get() {
            Some(holder) if !self.is_mine() => write!(f, "ReentrantMutex(locked by {})", holder.describe()),
            _ => write!(f, "ReentrantMutex({:?})", &self.value),
        }
    }
}

/// One holding of a [`ReentrantMutex`]; the value is reached through it. Dropping it ends the holding.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    lock: &'a ReentrantMutex<T>,
}

impl<T: ?Sized> ReentrantMutexGuard<'_, T> {
    /// Holds on without a guard: the holder gives it back with [`ReentrantMutex::unlock`].
    ///
    /// For a lock that is taken in one function and given back in another. A holding that is kept survives the
    /// cancellation and the end of its coroutine.
    pub fn keep(self) {
        self.lock.kept.set(self.lock.kept.get() + 1);
        std::mem::forget(self);
    }
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T: ?Sized> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.leave();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
