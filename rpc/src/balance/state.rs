//! What can be seen of a balancer's endpoints.

use std::fmt;
use std::time::{Duration, Instant};

use super::breaker::BreakerState;
use super::endpoint::Endpoint;
use crate::error::CallError;

/// Whether an endpoint gets calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Serving,
    /// It failed too often, and gets none until then.
    Ejected {
        /// When it is tried again.
        until: Instant,
    },
    /// It was ejected, and gets one call at a time, to see whether it works again.
    Probing,
    /// It is found no more, and calls that are in flight there end.
    Leaving,
}

impl Standing {
    pub(crate) fn of(state: BreakerState) -> Standing {
        match state {
            BreakerState::Closed => Standing::Serving,
            BreakerState::Open { until } => Standing::Ejected { until },
            BreakerState::HalfOpen => Standing::Probing,
        }
    }
}

/// One endpoint as it is now.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// Which one, with the priority and weight found last.
    pub endpoint: Endpoint,
    /// Whether it gets calls.
    pub standing: Standing,
    /// Calls that have not ended.
    pub in_flight: usize,
    /// Calls that went there, since it was found first.
    pub calls: u64,
    /// Those of them that told against it.
    pub failures: u64,
    /// Those since its last success.
    pub failures_in_a_row: u32,
    /// How often it was ejected since it last worked for long.
    pub ejections_in_a_row: u32,
    /// How long calls with a result take: an average in which the last one counts an eighth.
    pub latency: Option<Duration>,
    /// What the last call failed of, if it told against the endpoint; without data, and its text cut to
    /// [`MAX_KEPT_TEXT`](super::MAX_KEPT_TEXT).
    pub last_error: Option<CallError>,
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = match self.standing {
            Standing::Serving => "serving",
            Standing::Ejected { .. } => "ejected",
            Standing::Probing => "probing",
            Standing::Leaving => "leaving",
        };
        let EndpointState { endpoint, in_flight, calls, failures, .. } = self;
        write!(f, "{endpoint}: {standing}, {in_flight} in flight, {calls} calls, {failures} failures")?;
        if let Some(latency) = self.latency {
            write!(f, ", {latency:.1?} on average")?;
        }
        match &self.last_error {
            Some(error) => write!(f, ", last: {error}"),
            None => Ok(()),
        }
    }
}
