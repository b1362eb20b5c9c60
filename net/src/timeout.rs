//! A timeout that a socket keeps for its operations, shared by all who use the socket.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grapeshot_core::WaitLimit;

/// Nanoseconds; zero is none.
#[derive(Debug, Default)]
pub(crate) struct Timeout(AtomicU64);

impl Timeout {
    /// # Errors
    ///
    /// `InvalidInput` for a duration of zero, as in std.
    pub(crate) fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            let error = "a timeout of zero: use None for no timeout, or a non-zero duration";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let nanos = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn limit(&self) -> WaitLimit {
        self.duration().map_or(WaitLimit::Never, WaitLimit::After)
    }
}
