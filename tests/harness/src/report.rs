//! Errors that carry several lines: what failed, and what the program had printed by then.

use std::error::Error;
use std::fmt;
use std::io;

/// A message of several lines inside an [`io::Error`].
///
/// `Debug` prints it as `Display` does: `unwrap` in a test then shows lines, not one string full of `\n`.
struct Report(String);

/// An error of `kind` that reads as `message`.
pub(crate) fn report(kind: io::ErrorKind, message: String) -> io::Error {
    io::Error::new(kind, Report(message))
}

/// The same error with the operation in front.
pub(crate) fn context(cause: io::Error, operation: &str) -> io::Error {
    report(cause.kind(), format!("{operation}: {cause}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Report {}
