//! The lock for many readers or one writer, which its holders may take again.

use std::fmt;
use std::ops::Deref;
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::raw_rw_lock::{RawRwLock, Reading, Recursion, Writing};

/// A lock that lets many coroutines read, or one write, each any number of times over (SYN-4).
///
/// Who writes may also read. Who reads may read again, even while a writer waits for it to end, but not write:
/// it would wait for itself. Writers go first otherwise, as with [`RwLock`](super::RwLock).
///
/// It gives shared access only, to writers as well, since a holder that takes it twice has two ways to the value:
/// put a `Cell` or a `RefCell` inside to change it.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use grapeshot_core::sync::ReentrantRwLock;
/// use grapeshot_core::test;
///
/// test::run(|| {
///     let generation = ReentrantRwLock::new(Cell::new(1));
///     let written = generation.write();
///     written.set(generation.read().get() + 1);
///     assert_eq!(generation.write().get(), 2);
/// });
/// ```
pub struct ReentrantRwLock<T: ?Sized> {
    raw: RawRwLock,
    value: T,
}

impl<T> ReentrantRwLock<T> {
    /// Makes a free lock, without allocating.
    pub const fn new(value: T) -> ReentrantRwLock<T> {
        ReentrantRwLock { raw: RawRwLock::new(Recursion::Allowed), value }
    }

    /// The value, once nobody shares the lock.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantRwLock<T> {
    /// Takes the lock to read, waiting while another coroutine writes, or waits to write and the caller holds nothing.
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
    pub fn read(&self) -> ReentrantReadGuard<'_, T> {
        match self.raw.read("ReentrantRwLock::read", None) {
            Ok(reading) => self.read_guard(reading),
            Err(refused) => abort_refused("ReentrantRwLock::read", refused),
        }
    }

    /// Takes the lock to read, or gives up at `deadline`; otherwise as [`read`](Self::read).
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
    pub fn read_until(&self, deadline: Instant) -> Result<ReentrantReadGuard<'_, T>, WaitError> {
        self.raw.read("ReentrantRwLock::read_until", Some(deadline)).map(|reading| self.read_guard(reading))
    }

    /// Takes the lock to read if that takes no wait. Never suspends.
    pub fn try_read(&self) -> Option<ReentrantReadGuard<'_, T>> {
        self.raw.try_read().map(|reading| self.read_guard(reading))
    }

    /// Takes the lock to write, waiting while others hold it.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait; readers whom it held up go ahead.
    ///
    /// # Panics
    ///
    /// When the coroutine reads and does not write: it would wait for itself.
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn write(&self) -> ReentrantWriteGuard<'_, T> {
        match self.raw.write("ReentrantRwLock::write", None) {
            Ok(writing) => self.write_guard(writing),
            Err(refused) => abort_refused("ReentrantRwLock::write", refused),
        }
    }

    /// Takes the lock to write, or gives up at `deadline`; otherwise as [`write`](Self::write).
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
    /// As [`write`](Self::write).
    #[track_caller]
    pub fn write_until(&self, deadline: Instant) -> Result<ReentrantWriteGuard<'_, T>, WaitError> {
        self.raw.write("ReentrantRwLock::write_until", Some(deadline)).map(|writing| self.write_guard(writing))
    }

    /// Takes the lock to write if it is free or the caller writes. Never suspends.
    pub fn try_write(&self) -> Option<ReentrantWriteGuard<'_, T>> {
        self.raw.try_write().map(|writing| self.write_guard(writing))
    }

    fn read_guard<'a>(&'a self, reading: Reading<'a>) -> ReentrantReadGuard<'a, T> {
        ReentrantReadGuard { value: &self.value, reading }
    }

    fn write_guard<'a>(&'a self, writing: Writing<'a>) -> ReentrantWriteGuard<'a, T> {
        ReentrantWriteGuard { value: &self.value, writing }
    }

    /// How many times the lock is held to read.
    pub fn readers(&self) -> usize {
        self.raw.reading()
    }

    /// Whether somebody holds the lock to write.
    pub fn is_writing(&self) -> bool {
        self.raw.is_writing()
    }

    /// How many wait for the lock, to read or to write.
    pub fn waiters(&self) -> usize {
        self.raw.waiters()
    }
}

impl<T: Default> Default for ReentrantRwLock<T> {
    fn default() -> ReentrantRwLock<T> {
        ReentrantRwLock::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for ReentrantRwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writing = if self.is_writing() { "writing, " } else { "" };
        write!(f, "ReentrantRwLock({writing}{} reading, {} waiting)", self.readers(), self.waiters())
    }
}

/// One holding of a [`ReentrantRwLock`] to read. Dropping it ends the holding.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct ReentrantReadGuard<'a, T: ?Sized> {
    value: &'a T,
    #[expect(dead_code, reason = "it is there to be dropped")]
    reading: Reading<'a>,
}

impl<T: ?Sized> Deref for ReentrantReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// One holding of a [`ReentrantRwLock`] to write. Dropping it ends the holding.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct ReentrantWriteGuard<'a, T: ?Sized> {
    value: &'a T,
    #[expect(dead_code, reason = "it is there to be dropped")]
    writing: Writing<'a>,
}

impl<T: ?Sized> Deref for ReentrantWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
