//! The value that is made when it is first asked for, by an initialiser that may wait.
//!
//! ```text
//!            first call          done
//!   empty ──────────────► made ────────► there, for everyone
//!     ▲                    │ fails, panics, is cancelled
//!     └────────────────────┘ and the next in line makes it
//! ```
//!
//! # Invariants
//!
//! - One initialiser runs at a time. While none does, and there is no value, whoever was woken is about to.

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::fmt;

use super::error::abort_refused;
use super::holder::{Holder, would_wait_for_itself};
use super::line::Line;
use crate::park::Reason;

/// A value that is made by the first who asks for it, while others wait.
///
/// As `std::cell::OnceCell`, but the initialiser may wait, and `std::sync::LazyLock` would block the thread then.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::sync::Once;
/// use grapeshot_core::{scope, sleep, test};
///
/// test::run(|| {
///     let connection = Once::new();
///     scope(|scope| {
///         for _ in 0..3 {
///             scope.spawn(|| {
///                 let made = connection.get_or_init(|| {
///                     sleep(Duration::from_secs(1));
///                     "connected"
///                 });
///                 assert_eq!(*made, "connected");
///             });
///         }
///     });
/// });
/// ```
pub struct Once<T> {
    value: OnceCell<T>,
    maker: Cell<Option<Holder>>,
    line: Line,
}

impl<T> Once<T> {
    /// Makes an empty one, without allocating.
    pub const fn new() -> Once<T> {
        Once { value: OnceCell::new(), maker: Cell::new(None), line: Line::new() }
    }

    /// The value; makes it by `f` if there is none, and waits while another makes it.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait. If it is `f` that is cancelled, the next caller makes the value.
    ///
    /// # Panics
    ///
    /// With whatever `f` panics with; the next caller makes the value then. When `f` asks for the value it makes.
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value; makes it by `f`, which may fail, if there is none. Otherwise as [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// Whatever `f` fails with; the next caller makes the value then.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        loop {
            if let Some(value) = self.value.get() {
                return Ok(value);
            }
            let current = Holder::current();
            match self.maker.get() {
                None => return self.make(current, f),
                Some(maker) if maker == current && current.id().is_some() => {
                    would_wait_for_itself("Once::get_or_init", "makes the value")
                }
                Some(_) => {
                    if let Err(refused) =
                        self.line.wait("Once::get_or_init", (), Reason::Other("a value to be made"), None, || {})
                    {
                        abort_refused("Once::get_or_init", refused);
                    }
                }
            }
        }
    }

    fn make<E>(&self, maker: Holder, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.maker.set(Some(maker));
        let making = Making { once: self };
        let value = f()?;
        let value = self.value.get_or_init(|| value);
        drop(making);
        Ok(value)
    }

    /// The value, if it has been made. Never suspends.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it has been made, which nobody else can reach.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// The value, if it has been made, once nobody shares it.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.get() {
            Some(value) => write!(f, "Once({value:?})"),
            None => write!(f, "Once(not made, {} waiting)", self.line.len()),
        }
    }
}

/// The run of an initialiser; its end, however it comes, lets others on.
struct Making<'a, T> {
    once: &'a Once<T>,
}

impl<T> Drop for Making<'_, T> {
    fn drop(&mut self) {
        self.once.maker.set(None);
        if self.once.value.get().is_some() {
            self.once.line.wake_all(|_| {});
        } else {
            self.once.line.wake_first();
        }
    }
}
