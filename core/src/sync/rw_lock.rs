//! The lock for many readers or one writer of a value.
//!
//! # Invariants
//!
//! - A value's borrow lasts as long as its guard, and ends before the lock is handed over.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::raw_rw_lock::{RawRwLock, Reading, Recursion, Writing};

/// A lock that lets many coroutines read a value, or one write it (SYN-4).
///
/// As `std::sync::RwLock`, except that it does not poison and that writers go first: while one waits, nobody new
/// begins to read. When a writer ends, the next in line follows, or else all readers.
///
/// # Examples
///
/// ```
/// use grapeshot_core::sync::RwLock;
/// use grapeshot_core::{scope, test, yield_now};
///
/// test::run(|| {
///     let routes = RwLock::new(vec!["/"]);
///     scope(|scope| {
///         scope.spawn(|| {
///             let seen = routes.read();
///             yield_now();
///             assert_eq!(seen.len(), 1);
///         });
///         yield_now();
///         routes.write().push("/health");
///     });
///     assert_eq!(routes.read().len(), 2);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// Makes a free lock, without allocating.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(Recursion::Refused), value: RefCell::new(value) }
    }

    /// The value, once nobody shares the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock to read, waiting while a coroutine writes or waits to write.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// When the coroutine would wait for itself: it writes, or it reads while a writer waits for that to end.
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.raw.read("RwLock::read", None) {
            Ok(reading) => self.read_guard(reading),
            Err(refused) => abort_refused("RwLock::read", refused),
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
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn read_until(&self, deadline: Instant) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        self.raw.read("RwLock::read_until", Some(deadline)).map(|reading| self.read_guard(reading))
    }

    /// Takes the lock to read if nobody writes or waits to. Never suspends.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
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
    /// When the coroutine holds the lock already and would wait for itself;
    /// and outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.raw.write("RwLock::write", None) {
            Ok(writing) => self.write_guard(writing),
            Err(refused) => abort_refused("RwLock::write", refused),
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
    pub fn write_until(&self, deadline: Instant) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        self.raw.write("RwLock::write_until", Some(deadline)).map(|writing| self.write_guard(writing))
    }

    /// Takes the lock to write if it is free. Never suspends.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write().map(|writing| self.write_guard(writing))
    }

    fn read_guard<'a>(&'a self, reading: Reading<'a>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { value: self.value.borrow(), reading }
    }

    fn write_guard<'a>(&'a self, writing: Writing<'a>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { value: self.value.borrow_mut(), writing, lock: self }
    }

    /// How many hold the lock to read.
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

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.try_borrow() {
            Ok(value) => write!(f, "RwLock({:?})", &*value),
            Err(_) => write!(f, "RwLock(writing, {} waiting)", self.waiters()),
        }
    }
}

/// An [`RwLock`] held to read; the value is reached through it. Dropping it unlocks.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Fields are dropped from top to bottom: the borrow must end before the next one begins.
    value: Ref<'a, T>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    reading: Reading<'a>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An [`RwLock`] held to write; the value is reached through it. Dropping it unlocks.
#[must_use = "the lock is given back at once when its guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // Fields are dropped from top to bottom: the borrow must end before the next one begins.
    value: RefMut<'a, T>,
    writing: Writing<'a>,
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on reading what was written, without letting a writer in between. Never suspends.
    ///
    /// Other readers are let in as well, unless a writer waits.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { value, writing, lock } = self;
        drop(value);
        lock.read_guard(writing.downgrade())
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
