//! The bound on exchanges in flight, and what they are counted in.

use std::fmt;
use std::time::Instant;

use grapeshot_core::sync::{Permit, Semaphore, WaitError};

use crate::proto::Reply;

use super::error::ExchangeError;
use super::notes::{Counters, Notes, TransportStats};

/// A place among the exchanges in flight of a [`Transport`](super::Transport); dropping it gives it back.
///
/// # Examples
///
/// ```
/// use grapeshot_core::now;
/// use grapeshot_dns::transport::{Transport, Udp, UdpOptions};
///
/// let udp = Udp::new(UdpOptions { in_flight: 1, ..UdpOptions::default() });
/// let place = udp.enter(now()).unwrap();
/// assert_eq!(udp.stats().in_flight, 1);
/// drop(place);
/// assert_eq!(udp.stats().in_flight, 0);
/// ```
#[derive(Default)]
pub struct Place<'a> {
    /// `None` where there is no bound.
    _permit: Option<Permit<'a>>,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

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
    pub(super) fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        if let Some(permit) = self.free.try_acquire(1) {
            return Ok(Place { _permit: Some(permit) });
        }
        self.counters.change(|stats| stats.waits_for_room += 1);
        match self.free.acquire_until(1, deadline) {
            Ok(permit) => Ok(Place { _permit: Some(permit) }),
            Err(WaitError::Refused) => Err(ExchangeError::Unwinding),
            Err(_) => Err(ExchangeError::Busy { limit: self.limit }),
        }
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
