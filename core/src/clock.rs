//! The runtime's clock, real or virtual, in nanoseconds since the runtime's start.
//!
//! Virtual time stands still while anything can run and jumps to the next timer when nothing can,
//! so a test that sleeps for a day takes no time.
//!
//! # Invariants
//!
//! - Time never goes back.
//! - `Instant`s handed out and taken in are those of the runtime: real ones under a real clock,
//!   the start plus what has been jumped under a virtual one.

use std::cell::Cell;
use std::time::{Duration, Instant};

pub(crate) struct Clock {
    start: Instant,
    /// What a virtual clock shows; `None` for a real one.
    shown: Option<Cell<u64>>,
}

impl Clock {
    pub(crate) fn real() -> Clock {
        Clock { start: Instant::now(), shown: None }
    }

    pub(crate) fn simulated() -> Clock {
        Clock { start: Instant::now(), shown: Some(Cell::new(0)) }
    }

    /// The time now, read from the clock itself.
    pub(crate) fn nanos(&self) -> u64 {
        match &self.shown {
            Some(shown) => shown.get(),
            None => saturate(self.start.elapsed()),
        }
    }

    /// Moves a virtual clock forward; a real one moves by itself.
    pub(crate) fn jump_to(&self, nanos: u64) {
        if let Some(shown) = &self.shown {
            shown.set(shown.get().max(nanos));
        }
    }

    /// The moment `wait` from now; `u64::MAX` is never.
    pub(crate) fn after(&self, wait: Duration) -> u64 {
        self.nanos().saturating_add(saturate(wait))
    }

    pub(crate) fn to_nanos(&self, instant: Instant) -> u64 {
        saturate(instant.saturating_duration_since(self.start))
    }

    pub(crate) fn to_instant(&self, nanos: u64) -> Instant {
        self.start + Duration::from_nanos(nanos)
    }
}

/// The processor time of this thread.
#[cold]
pub(crate) fn thread_cpu_nanos() -> u64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.tv_sec as u64 * 1_000_000_000 + spent.tv_nsec as u64
}

fn saturate(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
