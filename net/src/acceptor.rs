//! Accepting connections, of whatever kind the listener is.
//!
//! ```text
//!   accept ─► attempt ──ok──► connection
//!               │  ▲
//!               │  ├── the connection broke off meanwhile: the next one
//!               └──┴── no descriptor left: pause, announced once
//! ```
//!
//! # Invariants
//!
//! - A connection that broke off before it was accepted is not an error of the listener (SOK-10).
//! - A listener that nothing can be accepted from pauses; it neither spins nor ends.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit, now, print_stderr, sleep_until};
use rustix::io::Errno;

use crate::timeout::Timeout;

/// Connections the kernel holds for us until they are accepted; the system's own limit may be lower.
pub(crate) const BACKLOG: i32 = 1024;

/// How long `accept` leaves the system alone when it has no descriptor or memory to give.
const BACKOFF: Duration = Duration::from_millis(250);

/// A listening socket, as std has it.
pub(crate) trait Accept: AsFd {
    type Connection;

    /// One system call for a connection that is non-blocking from birth.
    fn accept_one(&self) -> io::Result<Self::Connection>;

    /// Where it listens, for a person.
    fn place(&self) -> String;
}

pub(crate) struct Acceptor<L: AsFd> {
    pub(crate) source: Source<L>,
    pub(crate) timeout: Timeout,
    pub(crate) backoff: Timeout,
    /// The backoff has been announced and no connection has come since.
    backing_off: AtomicBool,
    refused: AtomicU64,
}

impl<L: Accept> Acceptor<L> {
    /// Of a listener that is in non-blocking mode already.
    pub(crate) fn new(listener: L) -> Acceptor<L> {
        let backoff = Timeout::default();
        // Not zero, so it is accepted.
        let _ = backoff.set(Some(BACKOFF));
        Acceptor {
            source: Source::new(listener),
            timeout: Timeout::default(),
            backoff,
            backing_off: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<L::Connection> {
        self.accept_by(|_| false, L::accept_one)
    }

    pub(crate) fn accept_many(&self, max: usize) -> io::Result<Vec<L::Connection>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let accepted = self.accept_by(|&(_, drained)| drained, |listener| accept_batch(listener, max))?;
        Ok(accepted.0)
    }

    fn accept_by<T>(&self, drained: impl Fn(&T) -> bool, operation: impl Fn(&L) -> io::Result<T>) -> io::Result<T> {
        let mut limit = self.timeout.limit();
        loop {
            match self.source.attempt(Direction::Read, "accept", limit, &drained, &operation) {
                Ok(accepted) => {
                    self.backing_off.store(false, Ordering::Relaxed);
                    return Ok(accepted);
                }
                Err(error) if broke_off(&error) => {}
                Err(error) if is_exhaustion(&error) => limit = self.back_off(error, limit)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before the next attempt, or passes the error on when that is wanted; answers what is left of the limit.
    fn back_off(&self, error: io::Error, limit: WaitLimit) -> io::Result<WaitLimit> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        // A coroutine that unwinds cannot pause, and would try for ever.
        let Some(pause) = self.backoff.duration().filter(|_| !thread::panicking()) else { return Err(error) };
        let deadline = match limit {
            WaitLimit::Never => None,
            WaitLimit::After(timeout) => now().checked_add(timeout),
            WaitLimit::At(deadline) => Some(deadline),
        };
        if deadline.is_some_and(|deadline| deadline <= now()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("accept timed out: {error}")));
        }
        self.announce(&error, pause);
        let again = now() + pause;
        sleep_until(deadline.map_or(again, |deadline| deadline.min(again)));
        Ok(deadline.map_or(WaitLimit::Never, WaitLimit::At))
    }

    /// Says on stderr that connections have to wait, once until one has been accepted again.
    fn announce(&self, error: &io::Error, pause: Duration) {
        if !self.backing_off.swap(true, Ordering::Relaxed) {
            let place = self.source.inner().place();
            let text = format!("accept on {place}: {error}; connections wait, and are tried again every {pause:?}");
            print_stderr(&text);
        }
    }

    pub(crate) fn exhaustions(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) -> bool {
        let was_open = self.source.close();
        if was_open {
            // Makes the kernel refuse new connections although the descriptor lives until the drop.
            let _ = rustix::net::shutdown(&self.source, rustix::net::Shutdown::Both);
        }
        was_open
    }
}

/// The connections that can be had at once, at least one, and whether there are no more.
fn accept_batch<L: Accept>(listener: &L, max: usize) -> io::Result<(Vec<L::Connection>, bool)> {
    let mut accepted = vec![listener.accept_one()?];
    while accepted.len() < max {
        match listener.accept_one() {
            Ok(connection) => accepted.push(connection),
            Err(error) => return Ok((accepted, error.kind() == io::ErrorKind::WouldBlock)),
        }
    }
    Ok((accepted, false))
}

/// The connection ended while it waited; accept(2) names these as errors to pass over.
fn broke_off(error: &io::Error) -> bool {
    const PASSED_OVER: [Errno; 8] = [
        Errno::CONNABORTED,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PASSED_OVER.contains(&errno))
}

fn is_exhaustion(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| EXHAUSTED.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> io::Error {
        errno.into()
    }

    /// SOK-10. The kernel here hands such connections over as if nothing were wrong, so that it cannot be provoked.
    #[test]
    fn a_connection_that_broke_off_is_passed_over() {
        for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::HOSTUNREACH, Errno::NETDOWN] {
            assert!(broke_off(&error(errno)), "{errno}");
            assert!(!is_exhaustion(&error(errno)), "{errno}");
        }
    }

    #[test]
    fn exhaustion_is_told_from_errors_of_the_listener() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_exhaustion(&error(errno)), "{errno}");
            assert!(!broke_off(&error(errno)), "{errno}");
        }
        for errno in [Errno::INVAL, Errno::BADF, Errno::NOTSOCK, Errno::AGAIN] {
            assert!(!is_exhaustion(&error(errno)) && !broke_off(&error(errno)), "{errno}");
        }
    }
}
