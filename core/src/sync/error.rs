//! Why a call of this module ended without what it asked for.

use std::fmt;
use std::io;

use crate::panics;

/// Why a wait with a deadline ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The deadline passed first.
    TimedOut,
    /// The coroutine unwinds, and so cannot wait.
    Refused,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WaitError::TimedOut => "the deadline passed before the wait was over",
            WaitError::Refused => "a coroutine that unwinds cannot wait",
        })
    }
}

impl std::error::Error for WaitError {}

impl From<WaitError> for io::Error {
    fn from(error: WaitError) -> io::Error {
        let kind = match error {
            WaitError::TimedOut => io::ErrorKind::TimedOut,
            WaitError::Refused => io::ErrorKind::WouldBlock,
        };
        io::Error::new(kind, error)
    }
}

/// Ends the process when a wait without a deadline was refused: its caller counts on what it waited for.
#[inline]
pub(super) fn must_have_waited(called: &str, waited: Result<(), WaitError>) {
    if waited.is_err() {
        abort_unwinding(called);
    }
}

#[cold]
fn abort_unwinding(called: &str) -> ! {
    panics::abort(&format!("{called}: called while the coroutine unwinds, when it could not wait"))
}
