//! How long a client waits: each phase within its own limit, and all of them within that of the whole.

use std::io;
use std::time::{Duration, Instant};

use grapeshot_core::now;

use super::error::{ClientError, Phase};
use super::limits::ClientLimits;

/// When the whole of a request is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    whole: Option<(Instant, Duration)>,
}

/// Until when to wait, and what it means when that time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) until: Instant,
    phase: Phase,
    limit: Duration,
}

/// Stands for limits that are too long to be added to the time.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

fn after(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(CENTURY)).unwrap_or(start)
}

impl Patience {
    /// Begins with the first look for an address.
    pub(super) fn begin(limits: &ClientLimits) -> Patience {
        Patience { whole: limits.whole_timeout.map(|limit| (after(now(), limit), limit)) }
    }

    /// For a phase that began at `start` and has a limit of its own: whichever comes first.
    pub(super) fn wait(&self, phase: Phase, start: Instant, limit: Duration) -> Wait {
        let until = after(start, limit);
        match self.whole {
            Some((end, limit)) if end < until => Wait { until: end, phase: Phase::Whole, limit },
            _ => Wait { until, phase, limit },
        }
    }
}

impl Wait {
    /// The error when the time has come.
    pub(super) fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { phase: self.phase, limit: self.limit }
    }

    /// The error of a wait: the limit's, or what `other` makes of it.
    pub(super) fn failed(&self, error: io::Error, other: impl FnOnce(io::Error) -> ClientError) -> ClientError {
        // The system has time-outs of its own, such as that of a peer that is gone; ours come when their time has come.
        match error.kind() == io::ErrorKind::TimedOut && now() >= self.until {
            true => self.timed_out(),
            false => other(error),
        }
    }
}
