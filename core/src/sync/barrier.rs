//! The barrier: a number of coroutines that wait for each other.

use std::fmt;

use super::error::abort_refused;
use super::line::Line;
use crate::park::Reason;

/// Lets coroutines wait until a number of them have come, again and again.
///
/// As `std::sync::Barrier`. One that is cancelled while it waits has not come.
///
/// # Examples
///
/// ```
/// use grapeshot_core::sync::Barrier;
/// use grapeshot_core::{scope, test};
///
/// test::run(|| {
///     let barrier = Barrier::new(3);
///     let leaders = scope(|scope| {
///         let all = [(); 3].map(|()| scope.spawn(|| barrier.wait().is_leader()));
///         all.into_iter().map(|one| one.join().unwrap()).filter(|&leads| leads).count()
///     });
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    size: usize,
    line: Line,
}

impl Barrier {
    /// Makes a barrier for `size` coroutines, without allocating; zero is as good as one.
    pub const fn new(size: usize) -> Barrier {
        Barrier { size, line: Line::new() }
    }

    /// Waits until as many have come as the barrier is for. The last of them leads, and does not wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds, if it has to wait; another must come in its place.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    ///
    /// # Aborts
    ///
    /// When it has to wait in a coroutine that unwinds.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        // Those who have been cancelled and have not left yet are in line, and have not come.
        let is_last = self.line.len() + 1 >= self.size && self.line.count_waiting() + 1 >= self.size;
        if is_last {
            self.line.wake_all(|_| {});
        } else if let Err(refused) =
            self.line.wait("Barrier::wait", (), Reason::Other("the others at a barrier"), None, || {})
        {
            abort_refused("Barrier::wait", refused);
        }
        BarrierWaitResult { is_leader: is_last }
    }

    /// How many wait for the others.
    pub fn waiters(&self) -> usize {
        self.line.len()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier({} of {} waiting)", self.waiters(), self.size)
    }
}

/// What [`Barrier::wait`] says to each that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether it is the one of them that leads.
    pub fn is_leader(self) -> bool {
        self.is_leader
    }
}
