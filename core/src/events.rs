//! What the kernel counts, times and sees happen to files, as descriptors that coroutines wait on.
//!
//! ```text
//!   any thread ── add ──► EventFd ──┐
//!   the kernel's clock ─► TimerFd ──┼──► Source ──► park
//!   files, directories ─► Watcher ──┘
//! ```
//!
//! # Invariants
//!
//! - Every wait goes through a [`Source`](crate::Source): one coroutine waits on each at a time,
//!   a second gets [`SimultaneousError`](crate::SimultaneousError).
//! - A wait that is cancelled takes nothing: what has been counted or seen is there for the next.
//! - Outside a coroutine the same calls block their thread.
//!
//! # What is absent
//!
//! The ends of processes, which are in `grapeshot-net`, and signals, which are in [`signal`](crate::signal).
//!
//! Sources: eventfd(2), timerfd_create(2), inotify(7); requirement POL-6.

mod eventfd;
mod timerfd;
pub mod watch;

pub use self::eventfd::EventFd;
pub use self::timerfd::TimerFd;

use std::io;
use std::os::fd::OwnedFd;

/// Reads the counter of an eventfd or a timerfd.
fn read_count(descriptor: &OwnedFd) -> io::Result<u64> {
    let mut count = [0; 8];
    // The kernel hands over the eight bytes at once, or none.
    rustix::io::read(descriptor, &mut count)?;
    Ok(u64::from_ne_bytes(count))
}
