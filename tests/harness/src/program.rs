//! A program to be started: what to run, and how to know that it is ready.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::group::Group;
use crate::output::{End, Output, write_streams};
use crate::ready::{NotReady, Ready};
use crate::report::{context, report};
use crate::running::Running;
use crate::watch::{Watch, deadline_after};

/// Long, because it is only ever reached by a program that fails; short enough for a person to wait.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

const KEPT_OUTPUT: usize = 256 << 10;

/// A program to be started, in the manner of [`std::process::Command`].
///
/// It gets a process group of its own, no input unless asked for, and pipes for stdout and stderr.
///
/// ```
/// use grapeshot_harness::Program;
/// use std::time::Duration;
///
/// let output = Program::new("sh").args(["-c", "echo \"$GREETING\""]).env("GREETING", "hello").output(Duration::from_secs(10))?;
/// assert_eq!(output.assert_success().stdout.text(), "hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Program {
    command: Command,
    input: Input,
    ready: Ready,
    ready_timeout: Duration,
    keep: usize,
}

#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    Open,
}

impl Program {
    /// The program at a path, or of this name on `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Program {
        Program {
            command: Command::new(program),
            input: Input::Nothing,
            ready: Ready::started(),
            ready_timeout: READY_TIMEOUT,
            keep: KEPT_OUTPUT,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        self.command.args(args);
        self
    }

    /// Sets an environment variable; the others are inherited.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Program {
        self.command.env_remove(name);
        self
    }

    /// Sets the folder to start it in.
    #[must_use]
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Program {
        self.command.current_dir(path);
        self
    }

    /// Gives it `bytes` on stdin, and then the end of input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Keeps its stdin open for [`Running::send`] and [`Running::end_input`].
    #[must_use]
    pub fn open_input(mut self) -> Program {
        self.input = Input::Open;
        self
    }

    /// Sets the sign [`start`](Program::start) waits for.
    #[must_use]
    pub fn ready_when(mut self, ready: Ready) -> Program {
        self.ready = ready;
        self
    }

    /// Sets how long [`start`](Program::start) waits for the sign; 30 seconds unless set.
    #[must_use]
    pub fn ready_within(mut self, timeout: Duration) -> Program {
        self.ready_timeout = timeout;
        self
    }

    /// Sets how many bytes of stdout and of stderr are kept, the last ones; 256 KiB each unless set.
    ///
    /// The lines that [`Running::wait_line`] finds are among those kept.
    #[must_use]
    pub fn keep_output(mut self, bytes: usize) -> Program {
        self.keep = bytes;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// - What [`Command::spawn`] says, `NotFound` above all, with the program's name.
    /// - `AddrInUse` when the port it should open is open already.
    /// - `TimedOut` when it did not become ready in time.
    /// - `UnexpectedEof` when it ended, or closed stdout and stderr, before it was ready.
    ///
    /// The message of the last two holds what it had printed, and nothing of it is left running.
    pub fn start(mut self) -> io::Result<Running> {
        let began = Instant::now();
        let shown = command_line(&self.command);
        if self.ready.is_taken() {
            let message = format!("`{shown}` was not started: {} succeeds without it", self.ready);
            return Err(report(io::ErrorKind::AddrInUse, message));
        }
        let mut running = self.spawn(&shown)?;
        match self.ready.wait(running.watch(), deadline_after(self.ready_timeout)) {
            Ok(line) => running.set_ready_line(line),
            Err(reason) => {
                running.catch_up();
                running.kill();
                return Err(not_ready(&running, reason, &self.ready, began.elapsed()));
            }
        }
        Ok(running)
    }

    /// Starts it, waits for its end and returns what it printed; at `timeout` it and all it started are killed.
    ///
    /// What it started and left running is killed as well once the program itself has ended.
    /// Reaching the limit is no error here: [`Output::end`] says so, and [`Output::assert_success`] makes it one.
    ///
    /// # Errors
    /// Those of [`start`](Program::start).
    pub fn output(self, timeout: Duration) -> io::Result<Output> {
        let mut running = self.start()?;
        let end = match running.wait_exit(timeout) {
            Ok(status) => End::Exited(status),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => End::Killed,
            Err(error) => return Err(error),
        };
        running.kill();
        Ok(running.into_output(end))
    }

    fn spawn(&mut self, shown: &str) -> io::Result<Running> {
        let group = Group::open()?;
        self.command.process_group(group.id()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(match self.input {
            Input::Nothing => Stdio::null(),
            Input::Bytes(_) | Input::Open => Stdio::piped(),
        });
        let mut child = self.command.spawn().map_err(|cause| context(cause, &format!("cannot start `{shown}`")))?;
        match Watch::start(&mut child, self.keep) {
            Ok(watch) => {
                let stdin = child.stdin.take();
                let mut running = Running::new(shown.to_owned(), child, group, watch);
                match (std::mem::replace(&mut self.input, Input::Nothing), stdin) {
                    (Input::Bytes(bytes), Some(stdin)) => feed(stdin, bytes)?,
                    (_, stdin) => running.set_stdin(stdin),
                }
                Ok(running)
            }
            Err(cause) => {
                group.kill();
                child.wait()?;
                Err(context(cause, &format!("cannot watch `{shown}`")))
            }
        }
    }
}

/// Writes from a thread of its own, which ends when all is written or the program no longer reads.
fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) -> io::Result<()> {
    let write = move || {
        // A program that ends without reading everything is the test's to judge.
        let _ = stdin.write_all(&bytes);
    };
    thread::Builder::new().name("harness writer".to_owned()).spawn(write)?;
    Ok(())
}

fn not_ready(running: &Running, reason: NotReady, ready: &Ready, waited: Duration) -> io::Error {
    let (kind, what) = match reason {
        NotReady::Ended => (io::ErrorKind::UnexpectedEof, "ended before its sign to be ready"),
        NotReady::TimedOut => (io::ErrorKind::TimedOut, "gave no sign to be ready"),
    };
    let mut message = format!("`{}` {what} after {waited:.1?}; the sign is {ready}", running.command());
    // Writing to a string does not fail.
    let _ = write_streams(&mut message, &running.stdout(), &running.stderr());
    report(kind, message)
}

/// For messages only: arguments with spaces in quotes.
fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        if arg.is_empty() || arg.contains(char::is_whitespace) {
            // Writing to a string does not fail.
            let _ = write!(line, " {arg:?}");
        } else {
            line.push(' ');
            line.push_str(&arg);
        }
    }
    line
}
