//! How fast a message has to come, once it has begun: without such a limit a byte now and then would hold a connection,
//! and what has come of a message, for ever.

use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The clock of the message that has come in part.
pub(super) struct Pace {
    grace: Duration,
    bytes_per_second: u64,
    /// Which message it is, by the bytes before it, and since when it has been waited for.
    message: Option<(u64, Instant)>,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Pace {
        let bytes_per_second = limits.message_bytes_per_second.max(1);
        Pace { grace: limits.message_grace, bytes_per_second, message: None }
    }

    /// Notes at the time `now` that the message that begins after `at` bytes is not whole.
    ///
    /// The time for a message begins here, and not with its first byte: that may have lain in the buffer while the
    /// connection was busy with the messages before.
    pub(super) fn note(&mut self, at: u64, now: Instant) {
        if self.message.is_none_or(|(begin, _)| begin != at) {
            self.message = Some((at, now));
        }
    }

    /// Notes that no message has come in part.
    pub(super) fn rest(&mut self) {
        self.message = None;
    }

    /// When the message must be further than the `received` bytes that it has.
    pub(super) fn deadline(&self, received: usize) -> Option<Instant> {
        let (_, began) = self.message?;
        let earned = Duration::from_millis((received as u64).saturating_mul(1000) / self.bytes_per_second);
        began.checked_add(self.grace.saturating_add(earned))
    }

    /// Since when it has been waited for.
    pub(super) fn began(&self) -> Option<Instant> {
        self.message.map(|(_, began)| began)
    }
}
