//! The condition variable: news for those who wait for it now.
//!
//! # Invariants
//!
//! - A waiter gets exactly what it was woken with; what is sent while nobody waits is dropped.
//! - Values are cloned and dropped while the line is not borrowed.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::error::WaitError;
use super::line::Line;
use crate::park::Reason;

/// Hands values to coroutines that wait for them, and remembers none (SYN-5).
///
/// Unlike `std::sync::Condvar` it needs no lock, since nothing can come between looking at a condition and waiting:
/// coroutines of one thread take turns only where they wait. For news that latecomers must not miss there is
/// [`OnceEvent`](super::OnceEvent).
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use grapeshot_core::sync::Notify;
/// use grapeshot_core::{spawn, test, yield_now};
///
/// test::run(|| {
///     let notify = Rc::new(Notify::new());
///     let waiter = spawn({
///         let notify = notify.clone();
///         move || notify.wait().unwrap()
///     });
///     yield_now();
///     assert!(notify.wake_one("fire"));
///     assert_eq!(waiter.join().unwrap(), "fire");
///     assert!(!notify.wake_one("nobody hears this"));
/// });
/// ```
#[doc(alias = "Condvar")]
pub struct Notify<T = ()> {
    line: Line<Slot<T>>,
}

/// Where a waiter finds what it was woken with.
type Slot<T> = Rc<Cell<Option<Result<T, NotifyError>>>>;

impl<T> Notify<T> {
    /// Makes one for which nobody waits, without allocating.
    pub const fn new() -> Notify<T> {
        Notify { line: Line::new() }
    }

    /// Waits to be woken, and returns the value it was woken with.
    ///
    /// # Errors
    ///
    /// [`NotifyError::Raised`] when it was woken by [`raise_all`](Self::raise_all), and [`NotifyError::Refused`]
    /// in a coroutine that unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    #[track_caller]
    pub fn wait(&self) -> Result<T, NotifyError> {
        self.wait_in_line(None)
    }

    /// Waits to be woken until `deadline`; otherwise as [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), and [`NotifyError::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    #[track_caller]
    pub fn wait_until(&self, deadline: Instant) -> Result<T, NotifyError> {
        self.wait_in_line(Some(deadline))
    }

    #[track_caller]
    fn wait_in_line(&self, deadline: Option<Instant>) -> Result<T, NotifyError> {
        let slot = Slot::default();
        self.line.wait("Notify::wait", slot.clone(), Reason::Other("a notification"), deadline, || {})?;
        match slot.take() {
            Some(news) => news,
            None => unreachable!("who is woken finds what it was woken with"),
        }
    }

    /// Wakes whoever has waited longest, and says whether somebody did. Never suspends.
    pub fn wake_one(&self, value: T) -> bool {
        self.deliver(Ok(value))
    }

    /// Wakes everyone who waits now, and says how many they were. Never suspends.
    pub fn wake_all(&self, value: T) -> usize
    where
        T: Clone,
    {
        self.wake_n(usize::MAX, value)
    }

    /// Wakes up to `count` of those who wait now, and says how many they were. Never suspends.
    pub fn wake_n(&self, count: usize, value: T) -> usize
    where
        T: Clone,
    {
        self.deliver_to(count, || Ok(value.clone()))
    }

    /// Ends the wait of everyone who waits now with an error, and says how many they were. Never suspends.
    pub fn raise_all(&self, error: impl Error + 'static) -> usize {
        let error: Rc<dyn Error> = Rc::new(error);
        self.deliver_to(usize::MAX, || Err(NotifyError::Raised(error.clone())))
    }

    fn deliver_to(&self, count: usize, news: impl Fn() -> Result<T, NotifyError>) -> usize {
        // Those who come while a value is cloned wait for the next news.
        (0..count.min(self.len())).take_while(|_| self.deliver(news())).count()
    }

    fn deliver(&self, news: Result<T, NotifyError>) -> bool {
        while let Some((slot, unparker)) = self.line.pop() {
            if unparker.unpark().is_ok() {
                slot.set(Some(news));
                return true;
            }
        }
        false
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

impl<T> Default for Notify<T> {
    fn default() -> Notify<T> {
        Notify::new()
    }
}

impl<T> fmt::Debug for Notify<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notify({} waiting)", self.len())
    }
}

/// Why a wait for news brought no value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NotifyError {
    /// Everyone who waited was told of this error.
    Raised(Rc<dyn Error>),
    /// The deadline passed first.
    TimedOut,
    /// The coroutine unwinds, and so cannot wait.
    Refused,
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotifyError::Raised(error) => write!(f, "the wait was ended by an error: {error}"),
            NotifyError::TimedOut => WaitError::TimedOut.fmt(f),
            NotifyError::Refused => WaitError::Refused.fmt(f),
        }
    }
}

impl Error for NotifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            NotifyError::Raised(error) => Some(&**error),
            NotifyError::TimedOut | NotifyError::Refused => None,
        }
    }
}

impl From<WaitError> for NotifyError {
    fn from(error: WaitError) -> NotifyError {
        match error {
            WaitError::TimedOut => NotifyError::TimedOut,
            WaitError::Refused => NotifyError::Refused,
        }
    }
}
