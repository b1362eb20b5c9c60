//! The time limit that a call itself has, of which whoever stands before the connection takes its part.
//!
//! The call goes on with what is left, and whoever made it is told of the limit that it set.

use std::time::{Duration, Instant};

use grapeshot_core::{now, read_clock};

use crate::accompanied::{Accompanied, Companion};
use crate::caller::{CallOptions, OpenCall, Request};
use crate::error::CallError;
use crate::value::Encoded;

/// A limit since the call began, or none.
#[derive(Clone, Copy)]
pub(crate) struct OwnLimit {
    set: Option<Set>,
}

#[derive(Clone, Copy)]
struct Set {
    limit: Duration,
    began: Instant,
    /// When it passes; `None` for never, of a limit that is too far away for the clock, such as [`Duration::MAX`].
    deadline: Option<Instant>,
}

impl OwnLimit {
    /// The limit of a call that begins now.
    pub(crate) fn of(limit: Option<Duration>) -> OwnLimit {
        let since = |limit| {
            // Read anew: the caller may have computed for a while since its thread's clock was, and its time begins now.
            let began = read_clock();
            Set { limit, began, deadline: began.checked_add(limit) }
        };
        OwnLimit { set: limit.map(since) }
    }

    /// When it passes; `None` for never.
    pub(crate) fn deadline(self) -> Option<Instant> {
        self.set.and_then(|set| set.deadline)
    }

    /// What a part of the call may take: the whole limit as long as nobody has waited, and as long as it never passes.
    pub(crate) fn left(self) -> Option<Duration> {
        let Set { limit, began, deadline } = self.set?;
        // This pass of the loop may have begun before the call has.
        let gone = deadline.map_or(Duration::ZERO, |_| now().saturating_duration_since(began));
        Some(limit.saturating_sub(gone))
    }

    /// Makes a call, or what is next of it, with what is left.
    pub(crate) fn within<T>(
        self,
        request: &Request<'_>,
        call: impl FnOnce(&Request<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let left = self.left();
        let result = if left == request.options.timeout {
            call(request)
        } else {
            let options = CallOptions { timeout: left, ..request.options.clone() };
            call(&Request { options: &options, ..*request })
        };
        result.map_err(|error| self.amend(error))
    }

    /// The error of a call that had a part of the limit: once this has passed, it is what has passed.
    ///
    /// A shorter one, such as that of a single attempt, stays what it is.
    pub(crate) fn amend(self, error: CallError) -> CallError {
        match (error, self.set) {
            (CallError::TimedOut { sent, .. }, Some(Set { limit, deadline: Some(deadline), .. }))
                if read_clock() >= deadline =>
            {
                CallError::TimedOut { limit, sent }
            }
            (error, _) => error,
        }
    }

    /// A call that was opened, whose end tells of this limit: it may have been opened with a part of it only.
    pub(crate) fn accompany(self, call: Box<dyn OpenCall>) -> Box<dyn OpenCall> {
        if self.left() == self.set.map(|set| set.limit) {
            return call;
        }
        Accompanied::boxed(call, self)
    }
}

impl Companion for OwnLimit {
    fn amend(&self, error: CallError) -> CallError {
        OwnLimit::amend(*self, error)
    }

    fn finish(self, _: &Result<Encoded, CallError>) {}
}
