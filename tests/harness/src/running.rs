//! A program that runs, and its certain end.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::address::find_addr;
use crate::group::Group;
use crate::output::{Captured, End, Output, write_streams};
use crate::report::report;
use crate::watch::{NoLine, Stream, Watch, deadline_after};

/// How long a killed program may take to be gone; one stuck in the kernel is left behind after that, with a word on stderr.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A started program. Dropping it kills its whole process group and reaps it.
///
/// When it is dropped by a panic, what the program printed is printed to stderr, so that a failed test shows both sides.
///
/// ```
/// use grapeshot_harness::{End, Program, Ready};
/// use std::time::Duration;
///
/// let patience = Duration::from_secs(10);
/// let mut echo = Program::new("cat").open_input().start()?;
/// echo.send(b"one\ntwo\n")?;
/// assert_eq!(echo.wait_line("two", patience)?, "two");
/// echo.end_input();
/// assert!(echo.wait_exit(patience)?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Running {
    command: String,
    // In the order of their end: the program is reaped, its threads end, the guard of its group goes last.
    child: Child,
    watch: Watch,
    group: Group,
    stdin: Option<ChildStdin>,
    ready_line: Option<String>,
    state: State,
}

/// Whether the process still is our child; only [`Running::reap`] and [`Running::finish`] move on.
#[derive(Clone, Copy)]
enum State {
    /// Its pid is its own, even if it has ended.
    Unreaped,
    Reaped(ExitStatus),
    /// SIGKILL did not end it in time.
    Abandoned,
}

impl Running {
    pub(crate) fn new(command: String, child: Child, group: Group, watch: Watch) -> Running {
        Running { command, child, watch, group, stdin: None, ready_line: None, state: State::Unreaped }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The command line, for messages.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The line that showed that it is ready, when [`Ready::line`](crate::Ready::line) was the sign.
    pub fn ready_line(&self) -> Option<&str> {
        self.ready_line.as_deref()
    }

    /// The first socket address in [`ready_line`](Running::ready_line).
    pub fn ready_addr(&self) -> Option<SocketAddr> {
        find_addr(self.ready_line()?)
    }

    /// What it has printed on stdout, as far as it is kept.
    pub fn stdout(&self) -> Captured {
        self.watch.captured(Stream::Stdout)
    }

    /// What it has printed on stderr, as far as it is kept.
    pub fn stderr(&self) -> Captured {
        self.watch.captured(Stream::Stderr)
    }

    /// Writes to its stdin; blocks while the program does not read.
    ///
    /// # Errors
    /// `BrokenPipe` when the program closed its stdin or ended, or when [`open_input`](crate::Program::open_input) was not asked for or [`end_input`](Running::end_input) came before.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else {
            return Err(report(io::ErrorKind::BrokenPipe, format!("`{}` has no open input", self.command)));
        };
        stdin.write_all(bytes)?;
        stdin.flush()
    }

    /// Closes its stdin: the program reads the end of its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line on stdout or stderr that contains `text`, and returns it.
    ///
    /// Lines from before the call count, but each is found only once: after a line was found, the search goes on behind it.
    ///
    /// # Errors
    /// - `TimedOut` when there was none within `timeout`.
    /// - `UnexpectedEof` when stdout and stderr have ended.
    ///
    /// The message holds what it had printed.
    pub fn wait_line(&self, text: &str, timeout: Duration) -> io::Result<String> {
        self.watch.wait_line(text, deadline_after(timeout)).map_err(|reason| {
            let (kind, when) = match reason {
                NoLine::TimedOut => (io::ErrorKind::TimedOut, format!("within {timeout:?}")),
                NoLine::Ended => (io::ErrorKind::UnexpectedEof, "until its output ended".to_owned()),
            };
            self.failure(kind, &format!("printed no line with {text:?} {when}"))
        })
    }

    /// Waits for its end; all that it printed can be seen afterwards.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `timeout`, which it goes on to do. The message holds what it had printed.
    pub fn wait_exit(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        match self.reap(deadline_after(timeout))? {
            Some(status) => Ok(status),
            None => Err(self.failure(io::ErrorKind::TimedOut, &format!("still runs after {timeout:?}"))),
        }
    }

    /// Sends a signal to the program alone, not to its group.
    ///
    /// # Errors
    /// `NotFound` when its end has been seen by [`wait_exit`](Running::wait_exit) or [`stop`](Running::stop).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.state {
            State::Unreaped => Ok(kill_process(Pid::from_child(&self.child), signal)?),
            State::Reaped(_) | State::Abandoned => Err(self.failure(io::ErrorKind::NotFound, "has ended")),
        }
    }

    /// Asks its group to end with SIGTERM, waits up to `grace` for the program, then kills what is left of the group.
    ///
    /// # Errors
    /// When the system fails to signal or to wait, which it does not for a child of ours.
    pub fn stop(&mut self, grace: Duration) -> io::Result<End> {
        let end = match self.state {
            State::Reaped(status) => End::Exited(status),
            State::Abandoned => End::Killed,
            State::Unreaped => {
                self.group.signal(Signal::TERM)?;
                self.reap(deadline_after(grace))?.map_or(End::Killed, End::Exited)
            }
        };
        self.finish();
        Ok(end)
    }

    /// Kills its group at once and reaps it; what it printed can still be seen.
    pub fn kill(&mut self) {
        self.finish();
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn catch_up(&self) {
        self.watch.catch_up();
    }

    pub(crate) fn set_stdin(&mut self, stdin: Option<ChildStdin>) {
        self.stdin = stdin;
    }

    pub(crate) fn set_ready_line(&mut self, line: Option<String>) {
        self.ready_line = line;
    }

    pub(crate) fn into_output(self, end: End) -> Output {
        Output { command: self.command.clone(), end, stdout: self.stdout(), stderr: self.stderr() }
    }

    fn reap(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        match self.state {
            State::Reaped(status) => return Ok(Some(status)),
            State::Abandoned => return Ok(None),
            State::Unreaped => {}
        }
        if !self.watch.wait_exit(deadline) {
            return Ok(None);
        }
        self.watch.catch_up();
        let status = self.child.wait()?;
        self.state = State::Reaped(status);
        Ok(Some(status))
    }

    /// Nothing of the program is left after this. Doing it twice does nothing.
    fn finish(&mut self) {
        self.stdin = None;
        self.group.kill();
        if matches!(self.reap(Instant::now() + KILL_TIMEOUT), Ok(Some(_))) {
            self.watch.close();
        } else if matches!(self.state, State::Unreaped) {
            self.state = State::Abandoned;
            self.watch.abandon();
            // Straight to stderr: the test harness may hold back what is printed.
            let _ = writeln!(
                io::stderr(),
                "`{}` (pid {}) is still there {KILL_TIMEOUT:?} after SIGKILL",
                self.command,
                self.pid()
            );
        }
        self.group.end();
    }

    fn failure(&self, kind: io::ErrorKind, what: &str) -> io::Error {
        let mut message = format!("`{}` {what}", self.command);
        // Writing to a string does not fail.
        let _ = write_streams(&mut message, &self.stdout(), &self.stderr());
        report(kind, message)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
        if thread::panicking() {
            show(&self.command, &self.stdout(), &self.stderr());
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("command", &self.command).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

#[expect(clippy::print_stderr, reason = "only this macro lands beside the failed test's own output")]
fn show(command: &str, stdout: &Captured, stderr: &Captured) {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_streams(&mut text, stdout, stderr);
    eprintln!("`{command}` had printed{text}");
}
