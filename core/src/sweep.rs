//! Gives back the memory that long-parked coroutines do not use.
//!
//! A coroutine that once went deep (a handshake, a parse) and then parks keeps every page it touched.
//! The sweeper walks the live coroutines a slice at a time, once the loop has been through a pass,
//! and of those parked for [`IDLE`] gives back the whole pages below their `park`, one system call each.
//!
//! # Invariants
//!
//! - A coroutine is swept once per wait.
//! - The loop is woken for a walk only while somebody has parked since the last one.
//! - A pass sweeps at most [`PER_PASS`] coroutines and looks at no more than [`LOOKS`].

use std::cell::Cell;
use std::time::Duration;

use crate::record::State;
use crate::scheduler::Scheduler;

/// How long a coroutine must have been parked.
pub(crate) const IDLE: Duration = Duration::from_secs(2);

/// How often a walk over all coroutines begins.
const INTERVAL: Duration = Duration::from_secs(1);

const PER_PASS: usize = 64;
const LOOKS: usize = 1024;

/// Where the walk has got to.
#[derive(Default)]
pub(crate) struct Sweeper {
    next: Cell<usize>,
    walking: Cell<bool>,
    /// Somebody has parked who has not been swept.
    wanted: Cell<bool>,
    due: Cell<u64>,
}

impl Sweeper {
    /// Goes on with the walk, or begins one if it is time.
    pub(crate) fn sweep(&self, scheduler: &Scheduler) {
        let now = scheduler.now.get();
        if !self.walking.get() {
            if now < self.due.get() {
                return;
            }
            self.walking.set(true);
            self.wanted.set(false);
            self.next.set(0);
            self.due.set(now.saturating_add(INTERVAL.as_nanos() as u64));
            scheduler.stacks.trim(PER_PASS);
        }
        self.walk(scheduler, now);
    }

    /// Notes that a coroutine parks.
    #[inline]
    pub(crate) fn note_parked(&self) {
        self.wanted.set(true);
    }

    /// When the loop should come back although nothing else is due.
    pub(crate) fn next_look(&self) -> Option<u64> {
        if self.walking.get() {
            return Some(0);
        }
        self.wanted.get().then(|| self.due.get())
    }

    fn walk(&self, scheduler: &Scheduler, now: u64) {
        let parked_before = now.saturating_sub(IDLE.as_nanos() as u64);
        let live = scheduler.live.borrow();
        let mut swept = 0;
        let from = self.next.get();
        for (looked, record) in live.iter().skip(from).enumerate() {
            if swept == PER_PASS || looked == LOOKS {
                return;
            }
            self.next.set(from + looked + 1);
            if record.state.get() != State::Parked || record.swept.get() {
                continue;
            }
            if record.since.get() > parked_before {
                self.wanted.set(true);
                continue;
            }
            if let Some(context) = record.context.take() {
                context.release_idle_pages(record.parked_at.get());
                record.context.set(Some(context));
                record.swept.set(true);
                swept += 1;
            }
        }
        self.walking.set(false);
    }
}
