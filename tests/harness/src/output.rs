//! What a program left: how it ended and what it printed.

use std::borrow::Cow;
use std::fmt;
use std::process::ExitStatus;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself (or by the signal that asked it to), within the limit.
    Exited(ExitStatus),
    /// It was still running at the limit and was killed.
    Killed,
}

impl End {
    /// Whether it ended by itself with status 0.
    pub fn success(&self) -> bool {
        matches!(self, End::Exited(status) if status.success())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(status) => write!(f, "ended with {status}"),
            End::Killed => f.write_str("was killed at its time limit"),
        }
    }
}

/// The last bytes of one of the program's streams.
///
/// `Display` shows the text and says when its beginning was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The end of what was printed; [`Program::keep_output`](crate::Program::keep_output) bounds it.
    pub bytes: Vec<u8>,
    /// How many bytes came before those and were dropped.
    pub cut: u64,
}

impl Captured {
    /// The bytes as text, with a replacement character for what is not UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut > 0 {
            writeln!(f, "[{} bytes before this were dropped]", self.cut)?;
        }
        f.write_str(self.text().trim_end())
    }
}

/// What [`Program::output`](crate::Program::output) returns.
///
/// `Display` shows all of it, with the command line.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// How the program ended.
    pub end: End,
    /// What it printed on stdout.
    pub stdout: Captured,
    /// What it printed on stderr.
    pub stderr: Captured,
}

impl Output {
    /// Itself, for a test to go on with.
    ///
    /// # Panics
    /// Unless the program ended by itself with status 0; the message shows what it printed.
    #[track_caller]
    pub fn assert_success(&self) -> &Output {
        assert!(self.end.success(), "{self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.command, self.end)?;
        write_streams(f, &self.stdout, &self.stderr)
    }
}

/// Both streams, each under its name; a silent one is named too.
pub(crate) fn write_streams(f: &mut impl fmt::Write, stdout: &Captured, stderr: &Captured) -> fmt::Result {
    for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
        if stream.bytes.is_empty() {
            write!(f, "\n{name}: nothing")?;
        } else {
            write!(f, "\n{name}:\n{stream}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_beginning_is_said() {
        let captured = Captured { bytes: b"end\n".to_vec(), cut: 7 };
        assert_eq!(captured.to_string(), "[7 bytes before this were dropped]\nend");
    }

    #[test]
    #[should_panic(expected = "`false` was killed at its time limit\nstdout: nothing\nstderr:\nslow")]
    fn a_failed_assertion_shows_what_was_printed() {
        let output = Output {
            command: "false".to_owned(),
            end: End::Killed,
            stdout: Captured::default(),
            stderr: Captured { bytes: b"slow".to_vec(), cut: 0 },
        };
        output.assert_success();
    }
}
