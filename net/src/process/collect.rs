//! Everything that a process says on stdout and stderr, within limits.
//!
//! Both pipes are drained at once: by two coroutines, or outside a coroutine by poll(2), which blocks the thread.
//! A coroutine that unwinds can wait for neither, and drains one after the other as far as it gets.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::{OperationTimedOut, WaitLimit, in_coroutine, try_scope};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::child::Child;
use super::pipes::Pipe;

/// How many bytes are collected of each of stdout and stderr, unless set.
pub const MAX_OUTPUT: usize = 64 << 20;

/// How many bytes are read at a time.
const CHUNK: usize = 16 << 10;

/// How many bytes of what was said are shown to a person.
const SHOWN: usize = 1 << 10;

/// What a process had said when it was cut off.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// On stdout.
    pub stdout: Vec<u8>,
    /// On stderr.
    pub stderr: Vec<u8>,
}

impl fmt::Debug for Said {
    /// As text, of which only the last part is shown where there is much.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |said: &[u8]| String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).into_owned();
        f.debug_struct("Said").field("stdout", &end(&self.stdout)).field("stderr", &end(&self.stderr)).finish()
    }
}

/// Why there is no output of a process.
#[derive(Debug)]
#[non_exhaustive]
pub enum OutputError {
    /// It could not be started, read from or waited for: the system failed, or there is no such program.
    Io {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It had not ended in time, and was killed with its process group.
    TimedOut {
        /// The program.
        program: String,
        /// The time it had.
        timeout: Duration,
        /// What it had said until then.
        said: Said,
    },
    /// It said more than was to be collected, and was killed with its process group.
    TooLong {
        /// The program.
        program: String,
        /// How many bytes were to be collected of each of stdout and stderr.
        max_output: usize,
        /// What it had said until then, no more than the limit.
        said: Said,
    },
}

impl OutputError {
    /// What the process had said until it was cut off.
    pub fn said(&self) -> Option<&Said> {
        match self {
            OutputError::Io { .. } => None,
            OutputError::TimedOut { said, .. } | OutputError::TooLong { said, .. } => Some(said),
        }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            OutputError::Io { program, source } => return write!(f, "{program}: {source}"),
            OutputError::TimedOut { program, timeout, said } => {
                write!(f, "{program}: not done after {timeout:?}")?;
                said
            }
            OutputError::TooLong { program, max_output, said } => {
                write!(f, "{program}: said more than {max_output} bytes")?;
                said
            }
        };
        let (stdout, stderr) = (said.stdout.len(), said.stderr.len());
        write!(f, ", having said {stdout} bytes on stdout and {stderr} on stderr")
    }
}

impl Error for OutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            OutputError::Io { source, .. } => Some(source),
            OutputError::TimedOut { .. } | OutputError::TooLong { .. } => None,
        }
    }
}

impl From<OutputError> for io::Error {
    fn from(error: OutputError) -> io::Error {
        let kind = match &error {
            OutputError::Io { source, .. } => source.kind(),
            OutputError::TimedOut { .. } => io::ErrorKind::TimedOut,
            OutputError::TooLong { .. } => io::ErrorKind::FileTooLarge,
        };
        io::Error::new(kind, error)
    }
}

/// What went wrong, without the context that only the caller knows.
pub(super) enum Failure {
    Io(io::Error),
    TimedOut,
    TooLong,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::TimedOut { Failure::TimedOut } else { Failure::Io(error) }
    }
}

impl Failure {
    pub(super) fn with(self, program: String, timeout: Option<Duration>, max_output: usize, said: Said) -> OutputError {
        match (self, timeout) {
            (Failure::Io(source), _) => OutputError::Io { program, source },
            (Failure::TooLong, _) => OutputError::TooLong { program, max_output, said },
            (Failure::TimedOut, Some(timeout)) => OutputError::TimedOut { program, timeout, said },
            // A limit that nobody set: of the device, then.
            (Failure::TimedOut, None) => OutputError::Io { program, source: io::ErrorKind::TimedOut.into() },
        }
    }
}

impl Child {
    /// Waits for its end, and for all that it says.
    pub(super) fn collect(&mut self, deadline: Option<Instant>, max_output: usize) -> Result<Output, (Failure, Said)> {
        // It may wait for the end of its stdin before it says anything.
        drop(self.stdin.take());
        let limit = deadline.map_or(WaitLimit::Never, WaitLimit::At);
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) = (stdout.as_ref().map(|end| &end.pipe), stderr.as_ref().map(|end| &end.pipe));
        let mut said = Said::default();
        let drained = if !in_coroutine() {
            drain_blocking([(stdout, &mut said.stdout), (stderr, &mut said.stderr)], deadline, max_output)
        } else if thread::panicking() {
            // A scope would have to wait for its children, which one that unwinds cannot.
            drain(stdout, limit, max_output, &mut said.stdout)
                .and_then(|()| drain(stderr, limit, max_output, &mut said.stderr))
        } else {
            try_scope(|scope| {
                let errors = &mut said.stderr;
                scope.spawn(move || drain(stderr, limit, max_output, errors));
                drain(stdout, limit, max_output, &mut said.stdout)
            })
        };
        let ended = drained.and_then(|()| Ok(self.wait_within(limit)?));
        match ended {
            Ok(status) => Ok(Output { status, stdout: said.stdout, stderr: said.stderr }),
            Err(failure) => {
                // What came since the last look.
                for (pipe, said) in [(stdout, &mut said.stdout), (stderr, &mut said.stderr)] {
                    drain_rest(pipe, max_output, said);
                }
                Err((failure, said))
            }
        }
    }
}

/// Reads a pipe to its end.
fn drain(pipe: Option<&Pipe>, limit: WaitLimit, max: usize, said: &mut Vec<u8>) -> Result<(), Failure> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut chunk = [0; CHUNK];
    loop {
        let read = pipe.read_within(&mut chunk, limit)?;
        if read == 0 {
            return Ok(());
        }
        keep(&chunk[..read], max, said)?;
    }
}

/// Adds what was read, as far as there is room for it.
fn keep(read: &[u8], max: usize, said: &mut Vec<u8>) -> Result<(), Failure> {
    let room = max - said.len();
    said.extend_from_slice(&read[..read.len().min(room)]);
    if read.len() > room { Err(Failure::TooLong) } else { Ok(()) }
}

/// Reads both pipes to their ends, on a thread that may block.
fn drain_blocking(
    pipes: [(Option<&Pipe>, &mut Vec<u8>); 2],
    deadline: Option<Instant>,
    max: usize,
) -> Result<(), Failure> {
    let mut open: Vec<_> = pipes.into_iter().filter_map(|(pipe, said)| Some((pipe?, said))).collect();
    let mut chunk = [0; CHUNK];
    while !open.is_empty() {
        wait_for_any(&open.iter().map(|(pipe, _)| *pipe).collect::<Vec<_>>(), deadline)?;
        for (pipe, said) in std::mem::take(&mut open) {
            match pipe.read_rest(&mut chunk) {
                Ok(0) => continue,
                Ok(read) => keep(&chunk[..read], max, said)?,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
            open.push((pipe, said));
        }
    }
    Ok(())
}

/// Blocks the thread until there may be something to read in one of the pipes.
fn wait_for_any(pipes: &[&Pipe], deadline: Option<Instant>) -> io::Result<()> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(OperationTimedOut::new("read").into());
    }
    // A time too long to be told is none.
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut polled: Vec<_> = pipes.iter().map(|pipe| PollFd::new(*pipe, PollFlags::IN)).collect();
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads what is in a pipe now.
fn drain_rest(pipe: Option<&Pipe>, max: usize, said: &mut Vec<u8>) {
    let Some(pipe) = pipe else { return };
    let mut chunk = [0; CHUNK];
    while said.len() < max {
        let room = (max - said.len()).min(CHUNK);
        // That nothing is there now is how this ends, and a pipe that fails has nothing.
        let Ok(read @ 1..) = pipe.read_rest(&mut chunk[..room]) else { return };
        said.extend_from_slice(&chunk[..read]);
    }
}
