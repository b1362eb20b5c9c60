//! Trying again in pauses, for the waits that the kernel does not announce the end of.
//!
//! unix(7) has two of them: connecting to a listener whose queue is full, and sending to a receiver whose queue is full
//! over a socket that is not connected to it. Both answer would-block, and no readiness event follows.
//! The cost is up to 50 ms of delay after the queue has room again; io_uring would remove it.

use std::io;
use std::thread;
use std::time::Duration;

use grapeshot_core::{WaitLimit, now, sleep_until};

const FIRST_PAUSE: Duration = Duration::from_millis(1);

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Tries until something else than would-block comes, or the limit passes.
pub(crate) fn paced<T>(
    name: &'static str,
    limit: WaitLimit,
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut pause = FIRST_PAUSE;
    let mut deadline = None;
    loop {
        match operation() {
            // A coroutine that unwinds cannot pause, and would try for ever.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !thread::panicking() => {}
            done => return done,
        }
        let deadline = *deadline.get_or_insert_with(|| match limit {
            WaitLimit::Never => None,
            WaitLimit::After(timeout) => now().checked_add(timeout),
            WaitLimit::At(at) => Some(at),
        });
        let now = now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{name} timed out")));
        }
        let again = now + pause;
        sleep_until(deadline.map_or(again, |deadline| deadline.min(again)));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
