//! Gives back the memory that long-parked coroutines and pooled stacks do not use.
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
use crate::stack::StackPool;

/// How long a coroutine must have been parked.
pub(crate) const IDLE: Duration = Duration::from_secs(2);

/// How often a walk over all coroutines begins.
const WALK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a pooled stack must have stayed unused to be trimmed, at least.
const POOL_INTERVAL: Duration = Duration::from_secs(5);

const PER_PASS: usize = 64;
const LOOKS: usize = 1024;

/// Where the walk has got to.
#[derive(Default)]
pub(crate) struct Sweeper {
    next: Cell<usize>,
    walking: Cell<bool>,
    trimming: Cell<bool>,
    /// Somebody has parked who has not been swept.
    wanted: Cell<bool>,
    walk_due: Cell<u64>,
    pool_due: Cell<u64>,
}

impl Sweeper {
    /// Goes on with what there is to do, or begins it if it is time.
    pub(crate) fn sweep(&self, scheduler: &Scheduler) {
        let now = scheduler.now.get();
        if now >= self.pool_due.get() {
            self.pool_due.set(now.saturating_add(POOL_INTERVAL.as_nanos() as u64));
            scheduler.stacks.begin_interval();
            self.trimming.set(true);
        }
        if self.trimming.get() {
            self.trimming.set(scheduler.stacks.trim(PER_PASS) == PER_PASS);
        }
        if !self.walking.get() && self.wanted.get() && now >= self.walk_due.get() {
            self.walking.set(true);
            self.wanted.set(false);
            self.next.set(0);
            self.walk_due.set(now.saturating_add(WALK_INTERVAL.as_nanos() as u64));
        }
        if self.walking.get() {
            self.walk(scheduler, now);
        }
    }

    /// Notes that a coroutine parks.
    #[inline]
    pub(crate) fn note_parked(&self) {
        self.wanted.set(true);
    }

    /// When the loop should come back although nothing else is due.
    pub(crate) fn next_look(&self, stacks: &StackPool) -> Option<u64> {
        if self.walking.get() || self.trimming.get() {
            return Some(0);
        }
        let walk = self.wanted.get().then(|| self.walk_due.get());
        let pool = stacks.holds_memory().then(|| self.pool_due.get());
        walk.into_iter().chain(pool).min()
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
            if let Some(extent) = record.identity.stack.get() {
                record.context.release_idle_pages(extent);
                record.swept.set(true);
                swept += 1;
            }
        }
        self.walking.set(false);
    }
}
