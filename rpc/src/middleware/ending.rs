//! How a call ended, seen from outside.

use std::fmt;

use crate::error::{CallError, Failure, Outcome};

/// How a call ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// With an answer, or handed over where none comes.
    Succeeded,
    /// The method failed, or was refused: seen from the service.
    Failed(&'a Failure),
    /// There is no result: seen from the caller.
    NoResult(&'a CallError),
    /// Its coroutine was cancelled or panicked, or its time limit passed; with streams, also when it was dropped.
    CutOff,
}

impl Ending<'_> {
    /// Whether the method certainly has not run, and somebody said so.
    pub fn is_refusal(&self) -> bool {
        match self {
            Ending::Failed(failure) => failure.is_refusal(),
            Ending::NoResult(error) => error.outcome() == Outcome::NotRun,
            Ending::Succeeded | Ending::CutOff => false,
        }
    }

    /// The failure's code, if there is a failure.
    pub fn code(&self) -> Option<i64> {
        match self {
            Ending::Failed(failure) => Some(failure.code),
            Ending::NoResult(error) => error.failure().map(|failure| failure.code),
            Ending::Succeeded | Ending::CutOff => None,
        }
    }

    /// One word for it: `ok`, `refused`, `failed` or `cut off`.
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Succeeded => "ok",
            Ending::CutOff => "cut off",
            _ if self.is_refusal() => "refused",
            _ => "failed",
        }
    }
}

impl fmt::Display for Ending<'_> {
    /// One line, whatever the peer wrote into a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Ending::Succeeded | Ending::CutOff => return f.write_str(self.word()),
            Ending::Failed(failure) => failure.to_string(),
            Ending::NoResult(error) => error.to_string(),
        };
        write!(f, "{}: {}", self.word(), text.escape_debug())
    }
}
