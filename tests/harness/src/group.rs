//! A process group that outlives neither its owner nor the test process.
//!
//! The group's leader is a guard: a `sh` that ignores the signals meant for the program and reads from a pipe that only the test process can write to.
//! When the test process dies, however it dies, the kernel closes the pipe, `read` fails, and the guard kills its group and with it itself.
//! (`PR_SET_PDEATHSIG` would need unsafe code between fork and exec, follows the thread that started the program rather than the process, and does not reach grandchildren.)
//!
//! Invariant: the guard is reaped last, so the group's id cannot be given to strangers while we may still signal it.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::report::context;

/// Says that it stands guard (from then on the signals are ignored), then waits for the end of its input.
const GUARD: &str = r#"trap "" HUP INT QUIT TERM USR1 USR2 ALRM PIPE; echo; read _ || kill -KILL 0"#;

/// How long to wait for killed grandchildren to leave the group.
/// They are not ours to reap; where process 1 does not reap them either, they stay as zombies and this much time is lost.
const LINGER: Duration = Duration::from_millis(200);

/// An open process group, killed when dropped.
pub(crate) struct Group {
    guard: Child,
    /// Never written to: its closing is the message.
    _lifeline: ChildStdin,
    ended: bool,
}

impl Group {
    /// Starts the guard and waits until it stands.
    pub(crate) fn open() -> io::Result<Group> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "grapeshot-harness-guard"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|cause| context(cause, "cannot start sh, which guards the process group"))?;
        let (Some(lifeline), Some(mut stands)) = (guard.stdin.take(), guard.stdout.take()) else {
            return Err(io::Error::other("std gave no pipe to the guard"));
        };
        let mut group = Group { guard, _lifeline: lifeline, ended: false };
        if let Err(cause) = stands.read_exact(&mut [0]) {
            group.end();
            return Err(context(cause, "sh, which guards the process group, ended at once"));
        }
        Ok(group)
    }

    /// What [`Command::process_group`] takes to put a program into this group.
    pub(crate) fn id(&self) -> i32 {
        self.pid().as_raw_pid()
    }

    /// Sends `signal` to everyone in the group.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process_group(self.pid(), signal)?)
    }

    /// Kills everyone in the group.
    ///
    /// The program is its owner's to reap, and to be reaped before [`end`](Group::end).
    pub(crate) fn kill(&self) {
        if !self.ended {
            // It can only fail when nobody is left, and the guard, not reaped yet, is.
            let _ = self.signal(Signal::KILL);
        }
    }

    /// Kills everyone in the group, reaps the guard and waits a moment for the rest to be gone.
    pub(crate) fn end(&mut self) {
        if self.ended {
            return;
        }
        self.kill();
        let group = self.pid();
        let _ = self.guard.wait();
        self.ended = true;
        let deadline = Instant::now() + LINGER;
        // Nobody tells of the end of a grandchild, so ask.
        while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.guard)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}
