//! How fast a peer takes a response, and how long it is waited for.

use std::io;
use std::time::Duration;

use grapeshot_core::now;
use grapeshot_net::WaitLimit;

use crate::Limits;

/// How fast the peer takes the response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    grace: Duration,
    /// How long one write may wait.
    patience: Duration,
    /// How long was waited for the peer, and how much it took since that began.
    waited: Duration,
    taken: u64,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Pace {
        Pace {
            bytes_per_second: limits.response_bytes_per_second,
            grace: limits.response_grace,
            patience: limits.write_timeout,
            waited: Duration::ZERO,
            taken: 0,
        }
    }

    /// Runs one write, which is told how long it may wait, and counts it.
    #[inline]
    pub(crate) fn write(&mut self, write: impl FnOnce(WaitLimit) -> io::Result<usize>) -> io::Result<usize> {
        let began = now();
        let waited = || now().saturating_duration_since(began);
        match write(self.limit()) {
            Ok(written) => {
                self.note(written, waited());
                Ok(written)
            }
            Err(error) => Err(self.explain(error, waited())),
        }
    }

    /// How much longer the peer may be waited for, as its rate is so far.
    fn left(&self) -> Duration {
        let earned = Duration::from_millis(self.taken.saturating_mul(1000) / self.bytes_per_second.max(1));
        self.grace.saturating_add(earned).saturating_sub(self.waited)
    }

    fn limit(&self) -> WaitLimit {
        WaitLimit::After(self.left().min(self.patience))
    }

    /// Counts a write that took `taken` bytes after having `waited`.
    ///
    /// What the kernel took for its buffers before the first wait does not count. All it takes afterwards does,
    /// with or without a wait: it is what the peer has made room for, of which the kernel lets go in lumps.
    fn note(&mut self, taken: usize, waited: Duration) {
        self.waited += waited;
        if !self.waited.is_zero() {
            self.taken += taken as u64;
        }
    }

    /// Says which limit it was that a write ran into after having `waited`.
    fn explain(&self, error: io::Error, waited: Duration) -> io::Error {
        if error.kind() != io::ErrorKind::TimedOut {
            return error;
        }
        let what = if self.left() <= self.patience {
            let Pace { bytes_per_second, taken, .. } = self;
            format!(
                "the peer took {taken} bytes while the server waited {:?}, \
                 slower than the {bytes_per_second} bytes a second that it asks for",
                self.waited + waited
            )
        } else {
            format!("the peer took nothing for {:?}", self.patience)
        };
        io::Error::new(io::ErrorKind::TimedOut, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel takes megabytes before it lets anyone wait, and makes room for several writes at a time.
    #[test]
    fn what_was_taken_since_the_first_wait_counts() {
        let mut pace = Pace { bytes_per_second: 1000, grace: Duration::from_secs(1), ..Pace::default() };
        pace.note(1_000_000, Duration::ZERO);
        assert_eq!(pace.left(), Duration::from_secs(1));
        pace.note(1000, Duration::from_secs(1));
        assert_eq!(pace.left(), Duration::from_secs(1));
        pace.note(1000, Duration::ZERO);
        assert_eq!(pace.left(), Duration::from_secs(2));
    }
}
