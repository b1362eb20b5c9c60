//! Everything that a process says on stdout and stderr, within limits.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::Output;
use std::time::{Duration, Instant};

use grapeshot_core::{WaitLimit, try_scope};

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
        let drained = try_scope(|scope| {
            let errors = &mut said.stderr;
            scope.spawn(move || drain(stderr, limit, max_output, errors));
            drain(stdout, limit, max_output, &mut said.stdout)
        });
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
        let room = max - said.len();
        said.extend_from_slice(&chunk[..read.min(room)]);
        if read > room {
            return Err(Failure::TooLong);
        }
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
