//! What can be counted about a runtime at any time, for next to nothing.

use crate::scheduler::{self, Scheduler};

/// What can be counted about a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Coroutines that have been spawned and have not ended.
    pub coroutines: usize,
    /// Coroutines in the run queue.
    pub runnable: usize,
    /// Timers for which somebody waits.
    pub timers: usize,
    /// Descriptors registered with the reactor (POL-7).
    pub registrations: usize,
    /// Stacks in use.
    pub stacks: usize,
    /// Stacks waiting for reuse.
    pub pooled_stacks: usize,
    /// Passes of the event loop so far.
    pub passes: u64,
}

/// What the runtime of this thread holds now; all zero outside a runtime.
pub fn stats() -> Stats {
    scheduler::with(Scheduler::stats).unwrap_or_default()
}

impl Scheduler {
    pub(crate) fn stats(&self) -> Stats {
        let stacks = self.stacks.stats();
        Stats {
            coroutines: self.live.borrow().len(),
            runnable: self.ready.borrow().len() + self.after_poll.borrow().len(),
            timers: self.timers.borrow().len() - self.idle_timers.get(),
            registrations: self.slots.len(),
            stacks: stacks.in_use,
            pooled_stacks: stacks.pooled,
            passes: self.passes.get(),
        }
    }
}
