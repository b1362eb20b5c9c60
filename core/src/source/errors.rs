//! What can go wrong with a wait on a descriptor, besides what the system says: found inside an [`io::Error`].

use std::fmt;
use std::io;

use crate::spawn::Coroutine;

/// A limit set on one operation passed; found inside an [`io::Error`] of kind `TimedOut`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationTimedOut {
    operation: &'static str,
}

impl OperationTimedOut {
    /// The error for a stream that is not built on a [`Source`](crate::Source); `operation` says what timed out.
    pub fn new(operation: &'static str) -> OperationTimedOut {
        OperationTimedOut { operation }
    }
}

impl fmt::Display for OperationTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} timed out", self.operation)
    }
}

impl std::error::Error for OperationTimedOut {}

impl From<OperationTimedOut> for io::Error {
    fn from(error: OperationTimedOut) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// Two coroutines waited for the same direction of one descriptor; found inside an [`io::Error`]
/// of kind `ResourceBusy`, which the second of them gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimultaneousError {
    pub(super) operation: &'static str,
    /// None if it is a coroutine of another runtime, which is not ours to look at.
    pub(super) waiting: Option<String>,
    pub(super) refused: String,
}

impl SimultaneousError {
    /// The error for a stream that is not built on a [`Source`](crate::Source): both ask for `operation`, and `waiting` came first.
    pub fn new(operation: &'static str, waiting: &Coroutine, refused: &Coroutine) -> SimultaneousError {
        let (waiting, refused) = (Some(waiting.record.describe()), refused.record.describe());
        SimultaneousError { operation, waiting, refused }
    }
}

impl fmt::Display for SimultaneousError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SimultaneousError { operation, waiting, refused } = self;
        match waiting {
            Some(waiting) => write!(f, "{operation}: coroutine {waiting} already waits here")?,
            None => write!(f, "{operation}: a coroutine of another runtime already waits here")?,
        }
        write!(f, ", so coroutine {refused} cannot")
    }
}

impl std::error::Error for SimultaneousError {}

impl From<SimultaneousError> for io::Error {
    fn from(error: SimultaneousError) -> io::Error {
        io::Error::new(io::ErrorKind::ResourceBusy, error)
    }
}

/// The source was closed by [`Source::close`](crate::Source::close); found inside an [`io::Error`] of kind `NotConnected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedError {
    operation: &'static str,
}

impl ClosedError {
    /// The error for a stream that is not built on a [`Source`](crate::Source); `operation` says what found it closed.
    pub fn new(operation: &'static str) -> ClosedError {
        ClosedError { operation }
    }
}

impl fmt::Display for ClosedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: closed by this program", self.operation)
    }
}

impl std::error::Error for ClosedError {}

impl From<ClosedError> for io::Error {
    fn from(error: ClosedError) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, error)
    }
}

/// The operation would have had to wait while the coroutine was unwinding;
/// found inside an [`io::Error`] of kind `WouldBlock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedError {
    pub(crate) operation: &'static str,
}

impl RefusedError {
    /// The error for a stream that is not built on a [`Source`](crate::Source); `operation` says what would have waited.
    pub fn new(operation: &'static str) -> RefusedError {
        RefusedError { operation }
    }
}

impl fmt::Display for RefusedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a coroutine that unwinds cannot wait; use shield before it does", self.operation)
    }
}

impl std::error::Error for RefusedError {}

impl From<RefusedError> for io::Error {
    fn from(error: RefusedError) -> io::Error {
        io::Error::new(io::ErrorKind::WouldBlock, error)
    }
}
