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

/// A lock was to be given back by a coroutine that cannot (SYN-8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// Nobody holds the lock.
    NotLocked {
        /// Who wanted to give it back.
        caller: String,
    },
    /// Another holds the lock.
    NotOwner {
        /// Who holds it.
        owner: String,
        /// Who wanted to give it back.
        caller: String,
    },
    /// The caller holds the lock by guards alone, which give it back by themselves.
    Guarded {
        /// Who wanted to give it back.
        caller: String,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::NotLocked { caller } => write!(f, "unlock by {caller}: nobody holds the lock"),
            LockError::NotOwner { owner, caller } => write!(f, "unlock by {caller}: the lock is held by {owner}"),
            LockError::Guarded { caller } => {
                write!(f, "unlock by {caller}: it kept no holding of the lock, and guards give back theirs")
            }
        }
    }
}

impl std::error::Error for LockError {}

/// Ends the process when a wait without a deadline was refused: its caller counts on what it waited for.
#[cold]
pub(super) fn abort_refused(called: &str, refused: WaitError) -> ! {
    debug_assert_eq!(refused, WaitError::Refused, "there was no deadline");
    panics::abort(&format!("{called}: called while the coroutine unwinds, when it could not wait"))
}
