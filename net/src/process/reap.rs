//! Waiting for the end of processes that nobody holds a [`Child`](super::Child) of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use grapeshot_core::{Builder, Direction, Source, WaitLimit, in_coroutine};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

/// Waits for the end of any process, whoever started it (PRC-1, POL-6).
///
/// How it ended only its parent may know: for a child of one's own, see [`Child::wait`](super::Child::wait).
/// A child of this process has ended then, but has not been reaped.
///
/// # Errors
///
/// `NotFound` when there is no such process; what the system says.
///
/// # Cancellation
///
/// Unwinds.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::process::{Command, wait_exit};
///
/// test::run(|| {
///     let child = Command::new("true").spawn().unwrap();
///     wait_exit(child.id()).unwrap();
/// });
/// ```
pub fn wait_exit(id: u32) -> io::Result<()> {
    let no_such = || io::Error::new(io::ErrorKind::NotFound, format!("there is no process {id}"));
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(no_such)?;
    let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Err(no_such()),
        opened => opened?,
    };
    Source::new(pidfd).wait_ready(Direction::Read, "wait for a process", WaitLimit::Never)
}

/// Has a coroutine wait for a child, and reap it.
pub(super) fn in_the_background(id: u32, pidfd: BorrowedFd<'_>) {
    if !in_coroutine() {
        return;
    }
    let Ok(pidfd) = pidfd.try_clone_to_owned() else { return };
    let reaper = Builder::new().name(format!("reaper of process {id}"));
    // At the limit on coroutines a zombie is left until this process ends.
    let _ = reaper.spawn(move || {
        let source = Source::new(pidfd);
        // It fails when the child has been reaped elsewhere, and then there is nothing left to do.
        let _ = source.attempt(Direction::Read, "wait for a process", WaitLimit::Never, |()| false, reap);
    });
}

fn reap(pidfd: &OwnedFd) -> io::Result<()> {
    match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)? {
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }
}
