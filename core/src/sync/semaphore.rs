//! The weighted semaphore: a number of units, taken some at a time.
//!
//! # Invariants
//!
//! - The units that are available and those of all permits add up to what was released.
//! - Whoever is first in line is given its units as soon as there are enough of them, before it runs.
//!   Nobody in line overtakes the first, however few units they ask for.
//! - A newcomer may: it takes what is available though others wait in line for more. Units are thus never idle for
//!   somebody's sake; the price is that an acquirer of many may wait as long as those of few keep coming.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::line::Line;
use crate::park::Reason;

/// A number of units that coroutines take and give back, any number at a time (SYN-2).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::sync::Semaphore;
/// use grapeshot_core::{now, scope, sleep, test};
///
/// test::run(|| {
///     let connections = Semaphore::new(10);
///     let began = now();
///     scope(|scope| {
///         for _ in 0..30 {
///             scope.spawn(|| {
///                 let _permit = connections.acquire(1);
///                 sleep(Duration::from_secs(1));
///             });
///         }
///     });
///     assert_eq!(now() - began, Duration::from_secs(3));
/// });
/// ```
pub struct Semaphore {
    available: Cell<usize>,
    line: Line<usize>,
}

impl Semaphore {
    /// Makes a semaphore with `units` available, without allocating.
    pub const fn new(units: usize) -> Semaphore {
        Semaphore { available: Cell::new(units), line: Line::new() }
    }

    /// Takes `units`, waiting until there are as many.
    ///
    /// Whoever asks for more units than there are of all waits until some are added by [`release`](Self::release).
    /// None are there at once.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait; what it was waiting for goes to the next in line.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[inline]
    #[track_caller]
    pub fn acquire(&self, units: usize) -> Permit<'_> {
        if let Err(refused) = self.take(units, None) {
            abort_refused("Semaphore::acquire", refused);
        }
        Permit { semaphore: self, units }
    }

    /// Takes `units`, or gives up at `deadline`; otherwise as [`acquire`](Self::acquire).
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
    pub fn acquire_until(&self, units: usize, deadline: Instant) -> Result<Permit<'_>, WaitError> {
        self.take(units, Some(deadline))?;
        Ok(Permit { semaphore: self, units })
    }

    /// Takes `units` if there are as many, also when others wait for more. Never suspends.
    #[inline]
    pub fn try_acquire(&self, units: usize) -> Option<Permit<'_>> {
        self.try_take(units).then(|| Permit { semaphore: self, units })
    }

    /// Takes `units` for a permit that can be kept anywhere; otherwise as [`acquire`](Self::acquire).
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
    pub fn acquire_owned(self: &Rc<Semaphore>, units: usize) -> OwnedPermit {
        self.acquire(units).forget();
        OwnedPermit { semaphore: self.clone(), units }
    }

    /// Takes `units` if there are as many, for a permit that can be kept anywhere. Never suspends.
    pub fn try_acquire_owned(self: &Rc<Semaphore>, units: usize) -> Option<OwnedPermit> {
        self.try_take(units).then(|| OwnedPermit { semaphore: self.clone(), units })
    }

    /// Adds `units`, which wake those first in line for whom they suffice. Never suspends.
    ///
    /// Permits do this by themselves; call it to raise the number of all, or for units taken by
    /// [`Permit::forget`]. To release none is fine, and changes nothing.
    ///
    /// # Panics
    ///
    /// When there would be more than `usize::MAX` units.
    #[inline]
    pub fn release(&self, units: usize) {
        match self.available.get().checked_add(units) {
            Some(available) => self.available.set(available),
            None => panic!("Semaphore::release: {units} units more than {} are too many", self.available.get()),
        }
        self.serve();
    }

    /// How many units can be taken now.
    pub fn available(&self) -> usize {
        self.available.get()
    }

    /// How many coroutines wait for units.
    pub fn waiters(&self) -> usize {
        self.line.len()
    }

    #[inline]
    fn try_take(&self, units: usize) -> bool {
        let left = self.available.get().checked_sub(units);
        if let Some(left) = left {
            self.available.set(left);
        }
        left.is_some()
    }

    #[inline(always)]
    #[track_caller]
    fn take(&self, units: usize, deadline: Option<Instant>) -> Result<(), WaitError> {
        if self.try_take(units) {
            return Ok(());
        }
        // If it was this one for whom there were too few units, there may be enough for those behind it.
        self.line.wait("Semaphore::acquire", units, Reason::Other("a semaphore"), deadline, || self.serve())
    }

    /// Gives those first in line their units, up to the first for whom there are too few.
    fn serve(&self) {
        while let Some(wanted) = self.line.first() {
            let Some(left) = self.available.get().checked_sub(wanted) else { return };
            let Some((_, unparker)) = self.line.pop() else { return };
            // One that has been cancelled is gone already, and takes nothing.
            if unparker.unpark().is_ok() {
                self.available.set(left);
            }
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({} available, {} waiting)", self.available(), self.waiters())
    }
}

/// Units taken from a [`Semaphore`]; dropping it gives them back.
#[must_use = "the units are given back at once when their permit is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    units: usize,
}

impl Permit<'_> {
    /// How many units these are.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Keeps the units from the semaphore: only [`Semaphore::release`] gives them back.
    pub fn forget(mut self) {
        self.units = 0;
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.release(self.units);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} units)", self.units)
    }
}

/// Units taken from a shared [`Semaphore`], to be kept anywhere; dropping it gives them back.
#[must_use = "the units are given back at once when their permit is not kept"]
pub struct OwnedPermit {
    semaphore: Rc<Semaphore>,
    units: usize,
}

impl OwnedPermit {
    /// How many units these are.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Keeps the units from the semaphore: only [`Semaphore::release`] gives them back.
    pub fn forget(mut self) {
        self.units = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.release(self.units);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedPermit({} units)", self.units)
    }
}
