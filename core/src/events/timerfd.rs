//! A timer of the kernel's, which goes by real time whatever clock the runtime has.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::read_count;
use crate::slots::Direction;
use crate::source::{Source, WaitLimit};

/// A timer that fires once or in intervals, in real time.
///
/// To wait in a coroutine, [`sleep`](crate::sleep) costs less and obeys a test's clock. This one is for what a
/// descriptor is needed for, for intervals that count what was missed, and for a date that moves with the wall clock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{events::TimerFd, test};
///
/// test::run(|| {
///     let timer = TimerFd::interval(Duration::from_millis(1)).unwrap();
///     let mut ticks = 0;
///     while ticks < 3 {
///         ticks += timer.wait().unwrap();
///     }
/// });
/// ```
#[derive(Debug)]
pub struct TimerFd {
    source: Source<OwnedFd>,
}

impl TimerFd {
    /// Makes a timer that fires once, after `timeout`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left; `InvalidInput` for a timeout of zero, which would mean never,
    /// and for one that the kernel cannot express.
    pub fn once(timeout: Duration) -> io::Result<TimerFd> {
        let timer = TimerFd::unarmed(TimerfdClockId::Monotonic)?;
        timer.arm(timeout, Duration::ZERO, TimerfdTimerFlags::empty())?;
        Ok(timer)
    }

    /// Makes a timer that fires after every `period`.
    ///
    /// # Errors
    ///
    /// As [`once`](Self::once).
    pub fn interval(period: Duration) -> io::Result<TimerFd> {
        let timer = TimerFd::unarmed(TimerfdClockId::Monotonic)?;
        timer.arm(period, period, TimerfdTimerFlags::empty())?;
        Ok(timer)
    }

    /// Makes a timer that fires once, when the wall clock shows `at`; at once when it shows a later time already.
    ///
    /// When the wall clock is set, the timer goes by what it then shows.
    ///
    /// # Errors
    ///
    /// As [`once`](Self::once); `InvalidInput` for a time before 1970.
    pub fn at(at: SystemTime) -> io::Result<TimerFd> {
        let timer = TimerFd::unarmed(TimerfdClockId::Realtime)?;
        let since_1970 = at.duration_since(UNIX_EPOCH).map_err(|error| invalid(format!("a timer at {error}")))?;
        timer.arm(since_1970.max(Duration::from_nanos(1)), Duration::ZERO, TimerfdTimerFlags::ABSTIME)?;
        Ok(timer)
    }

    fn unarmed(clock: TimerfdClockId) -> io::Result<TimerFd> {
        let descriptor = rustix::time::timerfd_create(clock, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(TimerFd { source: Source::new(descriptor) })
    }

    fn arm(&self, first: Duration, period: Duration, flags: TimerfdTimerFlags) -> io::Result<()> {
        if first.is_zero() {
            return Err(invalid("a timer of zero would never fire".to_owned()));
        }
        let in_seconds = |span: Duration| {
            Timespec::try_from(span).map_err(|_| invalid(format!("a timer of {span:?}, which is too long")))
        };
        let times = Itimerspec { it_value: in_seconds(first)?, it_interval: in_seconds(period)? };
        rustix::time::timerfd_settime(self.source.inner(), flags, &times)?;
        Ok(())
    }

    /// Waits until it has fired, and says how often since it was last asked.
    ///
    /// # Errors
    ///
    /// As [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; what has been counted stays.
    pub fn wait(&self) -> io::Result<u64> {
        self.source.attempt(Direction::Read, "wait for a timerfd", WaitLimit::Never, |_| false, read_count)
    }

    /// Ends the wait on it, and every later one, with [`ClosedError`](crate::ClosedError). Never suspends.
    pub fn close(&self) -> bool {
        self.source.close()
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
