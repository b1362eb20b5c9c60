//! What to run, and with what.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::child::{Child, KilledUnlessDone};
use super::collect::{MAX_OUTPUT, OutputError};

/// A program to be run, as `std::process::Command`.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::process::Command;
///
/// test::run(|| {
///     let output = Command::new("echo").arg("hello").output().unwrap();
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"hello\n");
/// });
/// ```
pub struct Command {
    inner: process::Command,
    /// Which of stdin, stdout and stderr the caller has set.
    set: [bool; 3],
    leads_group: bool,
    max_output: usize,
}

impl Command {
    /// A program to be run without arguments, in this process's environment and directory; looked for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command { inner: process::Command::new(program), set: [false; 3], leads_group: false, max_output: MAX_OUTPUT }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Command {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = A>) -> &mut Command {
        self.inner.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env(key, value);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, vars: impl IntoIterator<Item = (K, V)>) -> &mut Command {
        self.inner.envs(vars);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.inner.env_remove(key);
        self
    }

    /// Takes all variables out of its environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.inner.env_clear();
        self
    }

    /// Sets its directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.inner.current_dir(directory);
        self
    }

    /// Sets its stdin: inherited unless set, and empty for [`output`](Self::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.inner.stdin(stdin);
        self.set[0] = true;
        self
    }

    /// Sets its stdout: inherited unless set, and collected by [`output`](Self::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.inner.stdout(stdout);
        self.set[1] = true;
        self
    }

    /// Sets its stderr: inherited unless set, and collected by [`output`](Self::output).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.inner.stderr(stderr);
        self.set[2] = true;
        self
    }

    /// Puts it into a process group: of its own for 0, else into the one with this number.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.inner.process_group(group);
        self.leads_group = group == 0;
        self
    }

    /// How many bytes of stdout, and of stderr, [`output`](Self::output) collects at most; 64 MiB unless set.
    pub fn max_output(&mut self, bytes: usize) -> &mut Command {
        self.max_output = bytes;
        self
    }

    /// The program, as it was given.
    pub fn program(&self) -> &OsStr {
        self.inner.get_program()
    }

    /// Starts it.
    ///
    /// Holds the thread until the system has loaded the program, as in std, and does not suspend.
    ///
    /// # Errors
    ///
    /// What the system says, with the program's name: there is none of that name, it must not be run,
    /// no descriptor or process is left.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_with([Stdio::inherit, Stdio::inherit, Stdio::inherit])
    }

    /// Runs it to its end, with stdin, stdout and stderr inherited unless set.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn), and as [`Child::wait`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process, though not its group, is killed.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.spawn()?;
        KilledUnlessDone::run(&mut child, |child| child.wait())
    }

    /// Runs it to its end and collects what it says on stdout and stderr.
    ///
    /// As [`output_timeout`](Self::output_timeout), without a limit on the time. Unlike in std, the process leads a
    /// group of its own, and what it says is limited by [`max_output`](Self::max_output).
    ///
    /// # Errors
    ///
    /// As [`output_timeout`](Self::output_timeout), with the [`OutputError`] inside.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process and its group are killed.
    pub fn output(&mut self) -> io::Result<Output> {
        self.collect(None).map_err(io::Error::from)
    }

    /// Runs it to its end and collects what it says on stdout and stderr, for at most `timeout` (PRC-2).
    ///
    /// It runs in a process group of its own. Both pipes are drained at once, so it may write to either as it likes.
    /// As in std, the end has come when the process has ended and nobody else holds its stdout or stderr any more.
    /// When it takes too long, says too much, or this call is cancelled, its whole group is killed, and it is reaped
    /// by a coroutine of its own. Outside a coroutine this call blocks its thread, and reaps the process itself.
    ///
    /// # Errors
    ///
    /// [`OutputError::TimedOut`] and [`OutputError::TooLong`], both with what it had said until then;
    /// [`OutputError::Io`] with what the system says, or with a [`RefusedError`](grapeshot_core::RefusedError) where it
    /// would have to wait while the caller unwinds: its group is killed then.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the process and its group are killed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use grapeshot_core::test;
    /// use grapeshot_net::process::{Command, OutputError};
    ///
    /// test::run(|| {
    ///     let slow = Command::new("sleep").arg("1000").output_timeout(Duration::from_secs(1));
    ///     assert!(matches!(slow, Err(OutputError::TimedOut { .. })));
    /// });
    /// ```
    pub fn output_timeout(&mut self, timeout: Duration) -> Result<Output, OutputError> {
        self.collect(Some(timeout))
    }

    fn collect(&mut self, timeout: Option<Duration>) -> Result<Output, OutputError> {
        let deadline = timeout.and_then(|timeout| grapeshot_core::now().checked_add(timeout));
        let program = self.name();
        self.process_group(0);
        let mut child = match self.spawn_with([Stdio::null, Stdio::piped, Stdio::piped]) {
            Ok(child) => child,
            Err(source) => return Err(OutputError::Io { program, source }),
        };
        let max_output = self.max_output;
        let collected = KilledUnlessDone::run(&mut child, |child| child.collect(deadline, max_output));
        collected.map_err(|(failure, said)| failure.with(program, timeout, max_output, said))
    }

    /// Starts it; of its stdin, stdout and stderr, those that the caller has not set are as `unset` says.
    fn spawn_with(&mut self, unset: [fn() -> Stdio; 3]) -> io::Result<Child> {
        let setters = [process::Command::stdin, process::Command::stdout, process::Command::stderr];
        for ((is_set, unset), set) in self.set.iter().zip(unset).zip(setters) {
            if !is_set {
                set(&mut self.inner, unset());
            }
        }
        let spawned = self.inner.spawn().and_then(|child| Child::adopt(child, self.leads_group));
        spawned.map_err(|error| io::Error::new(error.kind(), format!("run {}: {error}", self.name())))
    }

    fn name(&self) -> String {
        self.program().to_string_lossy().into_owned()
    }
}

impl fmt::Debug for Command {
    /// As a shell would be told, as in std.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
