//! The bound on exchanges in flight, and what they are counted in.

use std::time::Instant;

use grapeshot_core::sync::{Permit, Semaphore, WaitError};

use crate::proto::Reply;

use super::error::ExchangeError;
use super::notes::{Counters, Notes, TransportStats};

/// Room for a number of exchanges, and the statistics of one transport.
pub(super) struct Room {
    limit: usize,
    free: Semaphore,
    counters: Counters,
}

impl Room {
    pub(super) fn new(limit: usize) -> Room {
        Room { limit, free: Semaphore::new(limit), counters: Counters::default() }
    }

    /// Takes a place, waiting until `deadline` where there is none (DNS-4).
    pub(super) fn enter(&self, deadline: Instant) -> Result<Permit<'_>, ExchangeError> {
        if let Some(place) = self.free.try_acquire(1) {
            return Ok(place);
        }
        self.counters.change(|stats| stats.waits_for_room += 1);
        self.free.acquire_until(1, deadline).map_err(|error| match error {
            WaitError::Refused => ExchangeError::Unwinding,
            _ => ExchangeError::Busy { limit: self.limit },
        })
    }

    /// Counts an exchange that has ended.
    pub(super) fn count(&self, ended: &Result<Reply, ExchangeError>, notes: &Notes) {
        self.counters.change(|stats| {
            stats.queries += u64::from(notes.sent > 0);
            stats.bytes_sent += notes.sent as u64;
            stats.bytes_received += notes.received as u64;
            match ended {
                Ok(_) => stats.replies += 1,
                Err(ExchangeError::TimedOut) => stats.timeouts += 1,
                Err(_) => {}
            }
        });
    }

    /// Counts messages that belonged to nobody.
    pub(super) fn count_ignored(&self, messages: u64) {
        self.counters.change(|stats| stats.ignored += messages);
    }

    /// Counts a socket or a connection that has been opened.
    pub(super) fn count_opened(&self) {
        self.counters.change(|stats| stats.opened += 1);
    }

    pub(super) fn stats(&self) -> TransportStats {
        TransportStats { in_flight: self.limit.saturating_sub(self.free.available()), ..self.counters.stats() }
    }
}
