//! When to connect, and what calls do meanwhile.

use std::time::Duration;

use crate::retry::Backoff;

/// The settings of a [`Reconnecting`](super::Reconnecting).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectOptions {
    /// How long one attempt to connect may take. 10 s.
    pub dial_timeout: Duration,
    /// How long to wait between failed attempts. Up to 100 ms at first, up to 1 s in the end: a server that is back is found
    /// soon, and two attempts a second, the average then, cost it little.
    pub backoff: Backoff,
    /// What a call does between failed attempts. [`WhenDown::Fail`], as whoever stands before it knows better what to do:
    /// [`Retrying`](crate::retry::Retrying) waits and tries again, and a balancer goes to another endpoint.
    pub when_down: WhenDown,
    /// How long a connection through which no call was answered must last for its loss not to count as a failure. 1 s.
    ///
    /// One through which a method has answered is good whatever its age; calls with streams and notifications do not tell.
    pub steady: Duration,
    /// Whether a connection, once it was asked for, is made again without a call, as a client needs whose server calls it.
    /// False.
    pub keep_connected: bool,
}

impl Default for ReconnectOptions {
    fn default() -> ReconnectOptions {
        ReconnectOptions {
            dial_timeout: Duration::from_secs(10),
            backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) },
            when_down: WhenDown::Fail,
            steady: Duration::from_secs(1),
            keep_connected: false,
        }
    }
}

/// What a call does when the last attempt to connect has failed and the next is yet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// It fails at once, with the error of the last attempt.
    Fail,
    /// It waits for a connection, for its own time limit and this long at most, and then fails with that error.
    WaitAtMost(Duration),
}
