//! The limits on silence: how long the peer may say nothing, take for a message, and leave the connection without use.
//!
//! ```text
//!   nothing comes ──► look ──┬─ asked for a sign of life, and none came ──► over
//!                            ├─ a message is slower than it may be ───────► over
//!                            ├─ of no use for as long as it may be ───────► over
//!                            └─ else: ask for a sign of life if it is time, and wait on
//! ```

use std::cell::Cell;
use std::time::{Duration, Instant};

use grapeshot_core::now;

use super::close::CloseReason;
use super::pace::Pace;
use super::shared::Shared;
use crate::limits::Limits;
use crate::proto::{self, Extension};

/// How long a peer is silent before what a large buffer takes is given back.
const QUIET_AFTER: Duration = Duration::from_secs(2);

/// What the reader has when it waits.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    /// How many bytes were dispatched.
    pub(super) passed: u64,
    /// How many have come of a message that is not whole.
    pub(super) bytes: usize,
    /// The buffer is larger than a silent connection needs.
    pub(super) holds_more: bool,
}

/// Since when the peer is silent, and in what.
pub(super) struct Silence {
    heard: Instant,
    /// When a message of a call last came.
    used: Cell<Instant>,
    pace: Pace,
    pinged: bool,
    /// When the reader last meant to look at the limits.
    look_at: Option<Instant>,
}

impl Silence {
    /// Of a connection that begins now.
    pub(super) fn new(limits: &Limits) -> Silence {
        let opened = now();
        Silence { heard: opened, used: Cell::new(opened), pace: Pace::new(limits), pinged: false, look_at: None }
    }

    /// Something has come.
    pub(super) fn end(&mut self) {
        self.heard = now();
        self.pinged = false;
    }

    /// What has come is of use.
    pub(super) fn note_use(&self) {
        self.used.set(self.heard);
    }

    /// Whether it has lasted so long that a large buffer is given back.
    pub(super) fn is_long(&self) -> bool {
        now().saturating_duration_since(self.heard) >= QUIET_AFTER
    }

    /// Begins a wait for the peer: until when, if nothing comes, and whether that is over before it begins.
    ///
    /// What comes puts the limits off. But a look for which there turns out to be no reason, once in a while, costs less
    /// than to reckon anew with each message.
    pub(super) fn begin(&mut self, shared: &Shared, arrived: Arrived) -> (Option<Instant>, bool) {
        match arrived.bytes {
            0 => self.pace.rest(),
            _ => self.pace.note(arrived.passed, now()),
        }
        let is_plain = arrived.bytes == 0 && !arrived.holds_more;
        if !(is_plain && self.look_at.is_some_and(|look_at| look_at > self.heard)) {
            self.look_at = self.next_limit(shared, arrived);
        }
        (self.look_at, self.look_at.is_some_and(|look_at| look_at <= self.heard))
    }

    /// When the next of the limits passes, if nothing comes.
    fn next_limit(&self, shared: &Shared, arrived: Arrived) -> Option<Instant> {
        let heartbeat =
            heartbeat(shared).and_then(|beat| self.heard.checked_add(if self.pinged { beat * 2 } else { beat }));
        let idle = idle_limit(shared).and_then(|limit| self.used.get().checked_add(limit));
        let quiet = if arrived.holds_more { self.heard.checked_add(QUIET_AFTER) } else { None };
        [heartbeat, idle, quiet, self.pace.deadline(arrived.bytes)].into_iter().flatten().min()
    }

    /// Nothing came in time: asks for a sign of life, or ends what has been silent, slow or idle for too long.
    pub(super) fn look(&mut self, shared: &Shared, arrived: Arrived) -> Result<(), CloseReason> {
        self.look_at = None;
        let now = now();
        let passed = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        let bytes = arrived.bytes;
        if let Some(began) = self.pace.began().filter(|_| self.pace.deadline(bytes).is_some_and(|until| until <= now)) {
            return Err(CloseReason::TooSlow { bytes, waited: now.saturating_duration_since(began) });
        }
        if let Some(limit) = heartbeat(shared).filter(|&limit| passed(self.heard, limit)) {
            if !shared.has(Extension::Ping) {
                self.heard = now;
            } else if !self.pinged {
                self.pinged = true;
                shared.say(|out| proto::append_ping(out, arrived.passed));
            } else if passed(self.heard, limit * 2) {
                return Err(CloseReason::Silent { limit });
            }
        }
        if let Some(limit) = idle_limit(shared) {
            let spoke = shared.spoke.replace(false);
            if spoke || shared.calls.len() > 0 || !shared.jobs.is_idle() {
                self.used.set(now);
            } else if passed(self.used.get(), limit) {
                return Err(CloseReason::Idle { limit });
            }
        }
        Ok(())
    }
}

/// How long the peer may be silent, if this side would ask it for a sign of life. Whether it does is agreed on
/// while the reader waits.
fn heartbeat(shared: &Shared) -> Option<Duration> {
    shared.limits.heartbeat.filter(|_| shared.offered.contains(Extension::Ping))
}

fn idle_limit(shared: &Shared) -> Option<Duration> {
    shared.limits.idle_timeout.filter(|_| shared.closes_when_idle)
}
