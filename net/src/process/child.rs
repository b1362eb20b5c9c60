//! A process that runs.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, ExitStatus, Output};
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit, in_coroutine};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::collect::MAX_OUTPUT;
use super::pipes::{ChildStderr, ChildStdin, ChildStdout};
use super::reap;

/// A process that was started by [`Command::spawn`](super::Command::spawn), as `std::process::Child`.
///
/// A dropped child runs on, as in std. Unlike in std, a coroutine then waits for its end, so that it leaves no zombie;
/// a child that is dropped outside a coroutine, or while `run` ends, is left to the end of this process.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::test;
/// use grapeshot_net::process::{Command, Stdio};
///
/// test::run(|| {
///     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
///     child.stdin.take().unwrap().write_all(b"meow").unwrap();
///     let mut said = String::new();
///     child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
///     assert_eq!(said, "meow");
///     assert!(child.wait().unwrap().success());
/// });
/// ```
pub struct Child {
    /// The pipe to its stdin, if that was set to [`Stdio::piped`](super::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// The pipe from its stdout, if that was set to [`Stdio::piped`](super::Stdio::piped).
    pub stdout: Option<ChildStdout>,
    /// The pipe from its stderr, if that was set to [`Stdio::piped`](super::Stdio::piped).
    pub stderr: Option<ChildStderr>,
    pidfd: Source<OwnedFd>,
    inner: process::Child,
    status: Option<ExitStatus>,
    leads_group: bool,
}

impl Child {
    /// Takes over a process that std has just started.
    pub(super) fn adopt(mut inner: process::Child, leads_group: bool) -> io::Result<Child> {
        let equipped = (|| {
            let stdin = inner.stdin.take().map(ChildStdin::from_std).transpose()?;
            let stdout = inner.stdout.take().map(ChildStdout::from_std).transpose()?;
            let stderr = inner.stderr.take().map(ChildStderr::from_std).transpose()?;
            // It is close-on-exec. That it names the child is sure, since only we can reap it.
            let pidfd = rustix::process::pidfd_open(Pid::from_child(&inner), PidfdFlags::empty())?;
            Ok((stdin, stdout, stderr, pidfd))
        })();
        match equipped {
            Ok((stdin, stdout, stderr, pidfd)) => {
                let pidfd = Source::new(pidfd);
                Ok(Child { stdin, stdout, stderr, pidfd, inner, status: None, leads_group })
            }
            Err(error) => {
                // Nothing has been promised of it yet, and a killed process ends at once.
                inner.kill()?;
                inner.wait()?;
                Err(error)
            }
        }
    }

    /// Its number. It may mean another process once this one has been waited for.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Waits for its end, after closing the pipe to its stdin (PRC-1).
    ///
    /// When it has been waited for before, the status is known and this returns at once.
    ///
    /// # Errors
    ///
    /// What the system says: above all that there is no such child, when the program ignores SIGCHLD or has waited for
    /// it elsewhere. [`SimultaneousError`](grapeshot_core::SimultaneousError).
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process runs on and can be waited for again.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.wait_within(WaitLimit::Never)
    }

    /// Waits for its end as [`wait`](Self::wait) does, for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`], and the process runs on; else as [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process runs on and can be waited for again.
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        self.wait_within(WaitLimit::After(timeout))
    }

    pub(super) fn wait_within(&mut self, limit: WaitLimit) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        if let Some(status) = self.status {
            return Ok(status);
        }
        let Child { pidfd, inner, .. } = self;
        let status = pidfd.attempt(
            Direction::Read,
            "wait for a process",
            limit,
            |_| false,
            |_| inner.try_wait()?.ok_or_else(|| io::ErrorKind::WouldBlock.into()),
        )?;
        self.status = Some(status);
        Ok(status)
    }

    /// How it ended, if it has. Never suspends.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.inner.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for its end and collects what it says until then on stdout and stderr, where these are pipes.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`RefusedError`](grapeshot_core::RefusedError) inside when it has not ended and the
    /// caller unwinds, and so cannot wait; kind `FileTooLarge` when it says more than 64 MiB on one of them.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process runs on.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        let id = self.id();
        let collected = self.collect(None, MAX_OUTPUT);
        collected.map_err(|(failure, said)| failure.with(format!("process {id}"), None, MAX_OUTPUT, said).into())
    }

    /// Kills it (SIGKILL); what it has started runs on. Never suspends.
    ///
    /// # Errors
    ///
    /// What the system says; none when it has ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.inner.kill()
    }

    /// Kills its process group, which it must lead: `Command::process_group(0)`. Never suspends.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it leads none; `NotFound` when it has been waited for, since its number may then mean
    /// another group; and what the system says.
    pub fn kill_group(&mut self) -> io::Result<()> {
        if !self.leads_group {
            let why = format!("process {} leads no group: set Command::process_group(0)", self.id());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if self.status.is_some() {
            let why = format!("process {} has been waited for, and its group has no name any more", self.id());
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        rustix::process::kill_process_group(Pid::from_child(&self.inner), Signal::KILL)?;
        Ok(())
    }

    /// Sends it a signal, by number as in `libc::SIGTERM`. Never suspends.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for what is no signal; `Other` with ESRCH when it has ended and been waited for.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let no_signal = || io::Error::new(io::ErrorKind::InvalidInput, format!("there is no signal {signal}"));
        let signal = Signal::from_named_raw(signal).ok_or_else(no_signal)?;
        rustix::process::pidfd_send_signal(self.pidfd.inner(), signal)?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.try_wait(), Ok(Some(_))) {
            reap::in_the_background(self.inner.id(), self.pidfd.as_fd());
        }
    }
}

impl AsFd for Child {
    /// The pidfd, which is readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id()).field("status", &self.status).finish_non_exhaustive()
    }
}

/// Kills a child, and the group it leads, unless what is done with it comes to a good end.
pub(super) struct KilledUnlessDone<'a> {
    child: &'a mut Child,
}

impl KilledUnlessDone<'_> {
    pub(super) fn run<T, E>(child: &mut Child, f: impl FnOnce(&mut Child) -> Result<T, E>) -> Result<T, E> {
        let guard = KilledUnlessDone { child };
        let done = f(&mut *guard.child);
        if done.is_ok() {
            mem::forget(guard);
        }
        done
    }
}

impl Drop for KilledUnlessDone<'_> {
    fn drop(&mut self) {
        // They fail when it has ended by itself, and that is as good.
        let killed = if self.child.leads_group { self.child.kill_group() } else { self.child.kill() };
        if killed.is_ok() && !in_coroutine() {
            // No coroutine will reap it. It ends at once; if it cannot be waited for, it is reaped elsewhere.
            let _ = self.child.wait();
        }
    }
}
