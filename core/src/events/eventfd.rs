//! A counter of the kernel's: any thread adds to it, and a coroutine waits for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::EventfdFlags;

use super::read_count;
use crate::slots::Direction;
use crate::source::{Source, WaitLimit};

/// A counter that one waits on, and all may add to.
///
/// It is `Send` and `Sync`, so it also tells a coroutine of what another thread, or code without coroutines, has done.
/// What waits shows as [`Reason::Io`](crate::Reason::Io).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::thread;
/// use grapeshot_core::{events::EventFd, test};
///
/// test::run(|| {
///     let done = Arc::new(EventFd::new(0).unwrap());
///     let worker = thread::spawn({
///         let done = done.clone();
///         move || done.add(3).unwrap()
///     });
///     assert_eq!(done.wait().unwrap(), 3);
///     worker.join().unwrap();
/// });
/// ```
#[derive(Debug)]
pub struct EventFd {
    source: Source<OwnedFd>,
}

impl EventFd {
    /// Makes a counter that begins at `initial`.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new(initial: u32) -> io::Result<EventFd> {
        let descriptor = rustix::event::eventfd(initial, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(EventFd { source: Source::new(descriptor) })
    }

    /// Waits until the counter is not zero, and takes it: it is zero afterwards.
    ///
    /// # Errors
    ///
    /// As [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; the counter is left as it is.
    pub fn wait(&self) -> io::Result<u64> {
        self.wait_within(WaitLimit::Never)
    }

    /// Waits as [`wait`](Self::wait) does, at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`]; else as [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; the counter is left as it is.
    pub fn wait_within(&self, limit: WaitLimit) -> io::Result<u64> {
        // The whole counter is taken at once, so the next wait need not try.
        self.source.attempt(Direction::Read, "wait for an eventfd", limit, |_| true, read_count)
    }

    /// Takes the counter without waiting; `None` when it is zero.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_wait(&self) -> io::Result<Option<u64>> {
        match read_count(self.source.inner()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            taken => taken.map(Some),
        }
    }

    /// Adds to the counter, which wakes who waits.
    ///
    /// Suspends only when the counter would rise above 2^64 - 2, until it has been taken.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for 2^64 - 1, which the kernel cannot count to; else as [`Source::attempt`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; nothing is added.
    pub fn add(&self, count: u64) -> io::Result<()> {
        if count == u64::MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an eventfd counts to 2^64 - 2"));
        }
        let write = |descriptor: &OwnedFd| match rustix::io::write(descriptor, &count.to_ne_bytes()) {
            Ok(_) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
        self.source.attempt(Direction::Write, "add to an eventfd", WaitLimit::Never, |()| false, write)
    }

    /// Ends the wait on it, and every later one, with [`ClosedError`](crate::ClosedError). Never suspends.
    pub fn close(&self) -> bool {
        self.source.close()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
