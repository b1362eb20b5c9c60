//! The semaphore turned round: a count that goes up and down, and that some wait to see at zero.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use super::error::{WaitError, abort_refused};
use super::line::Line;
use crate::park::Reason;

/// Counts what is going on, and lets coroutines wait until nothing is (SYN-3).
///
/// For coroutines alone a [`scope`](crate::scope()) or a [`Group`](crate::Group) does this by itself;
/// this is for anything that begins and ends.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use grapeshot_core::sync::WaitGroup;
/// use grapeshot_core::{now, sleep, spawn, test};
///
/// test::run(|| {
///     let (began, requests) = (now(), Rc::new(WaitGroup::new()));
///     for seconds in 1..=3 {
///         let request = requests.enter();
///         spawn(move || {
///             let _request = request;
///             sleep(Duration::from_secs(seconds));
///         });
///     }
///     requests.wait();
///     assert_eq!(now() - began, Duration::from_secs(3));
/// });
/// ```
#[doc(alias = "inverted_semaphore")]
pub struct WaitGroup {
    count: Cell<usize>,
    line: Line,
}

impl WaitGroup {
    /// Makes one with a count of zero, without allocating.
    pub const fn new() -> WaitGroup {
        WaitGroup { count: Cell::new(0), line: Line::new() }
    }

    /// Counts `members` more. Never suspends.
    ///
    /// # Panics
    ///
    /// When there would be more than `usize::MAX`.
    pub fn add(&self, members: usize) {
        match self.count.get().checked_add(members) {
            Some(count) => self.count.set(count),
            None => panic!("WaitGroup::add: {members} more than {} are too many", self.count.get()),
        }
    }

    /// Counts `members` less; at zero, wakes everyone who waits. Never suspends.
    ///
    /// # Panics
    ///
    /// When there are not as many.
    pub fn done(&self, members: usize) {
        match self.count.get().checked_sub(members) {
            Some(count) => self.count.set(count),
            None => panic!("WaitGroup::done: {members} are done, and only {} were added", self.count.get()),
        }
        if self.count.get() == 0 {
            self.line.wake_all(|_| {});
        }
    }

    /// Counts one more for as long as the member lives, whatever becomes of who holds it. Never suspends.
    pub fn enter(self: &Rc<WaitGroup>) -> WaitGroupMember {
        self.add(1);
        WaitGroupMember { group: self.clone() }
    }

    /// Waits until the count is zero; returns at once if it is.
    ///
    /// Who has waited returns although the count has gone up again since.
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
    pub fn wait(&self) {
        if let Err(refused) = self.wait_for_zero(None) {
            abort_refused("WaitGroup::wait", refused);
        }
    }

    /// Waits until the count is zero, or until `deadline`; otherwise as [`wait`](Self::wait).
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
    pub fn wait_until(&self, deadline: Instant) -> Result<(), WaitError> {
        self.wait_for_zero(Some(deadline))
    }

    #[track_caller]
    fn wait_for_zero(&self, deadline: Option<Instant>) -> Result<(), WaitError> {
        if self.count.get() == 0 {
            return Ok(());
        }
        self.line.wait("WaitGroup::wait", (), Reason::Other("the members of a wait group"), deadline, || {})
    }

    /// The count.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// How many wait for the count to be zero.
    pub fn waiters(&self) -> usize {
        self.line.len()
    }
}

impl Default for WaitGroup {
    fn default() -> WaitGroup {
        WaitGroup::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitGroup({} members, {} waiting)", self.count(), self.waiters())
    }
}

/// One of those a [`WaitGroup`] counts; dropping it is being done.
#[must_use = "it counts only as long as it lives"]
#[derive(Debug)]
pub struct WaitGroupMember {
    group: Rc<WaitGroup>,
}

impl Drop for WaitGroupMember {
    fn drop(&mut self) {
        self.group.done(1);
    }
}
