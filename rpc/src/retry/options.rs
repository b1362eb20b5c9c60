//! How often and for how long a call is tried.

use std::time::Duration;

use super::backoff::Backoff;

/// The settings of a [`Retrying`](super::Retrying).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// How often a call is tried in all. 100, so that by default it is the time that ends a call; none and one both mean once.
    pub attempts: u32,
    /// How long to wait between attempts. Up to 50 ms at first, up to 2 s in the end; half of what is left of the call's time
    /// when that is less, down to the first bound.
    pub backoff: Backoff,
    /// How long a call may take with all its attempts, unless it says so itself. 60 s; `None` for as long as they take.
    pub timeout: Option<Duration>,
    /// How long one attempt may take. `None` for as long as the call may.
    pub attempt_timeout: Option<Duration>,
}

impl Default for RetryOptions {
    fn default() -> RetryOptions {
        RetryOptions {
            attempts: 100,
            backoff: Backoff { first: Duration::from_millis(50), most: Duration::from_secs(2) },
            timeout: Some(Duration::from_secs(60)),
            attempt_timeout: None,
        }
    }
}

/// What a [`Retrying`](super::Retrying) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryCounts {
    /// Calls and notifications asked for.
    pub calls: u64,
    /// Attempts beyond the first of each.
    pub repeats: u64,
    /// Calls that might have been repeated, had the budget allowed it.
    pub out_of_budget: u64,
    /// Calls that ended without an answer of the method's. A service's own error is an answer
    /// ([`CallErrorKind::Failed`](crate::CallErrorKind::Failed)), and of these only
    /// [`REPLY_GONE`](crate::Failure::REPLY_GONE) is none.
    pub failed: u64,
}
