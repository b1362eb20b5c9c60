//! What is told of each call that was served.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Failure;
use crate::transport::Identity;

/// Told of each call that was served.
pub(crate) type Log = Rc<dyn Fn(&CallEntry<'_>)>;

/// A call that was served, or refused before its method ran. It prints as one line.
#[derive(Debug)]
pub struct CallEntry<'a> {
    /// Who called.
    pub peer: &'a Identity,
    /// What was called; as the peer wrote it, so it may be anything.
    pub method: &'a str,
    /// Whether nobody waits for an answer.
    pub is_notification: bool,
    /// Why it failed, if it did: with [`Failure::CANCELLED`] when the caller no longer waited for it, and with
    /// [`Failure::DEADLINE`] when its time limit passed.
    pub failure: Option<&'a Failure>,
    /// How long the method ran.
    pub took: Duration,
}

impl fmt::Display for CallEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_notification { "notified" } else { "called" };
        write!(f, "{} {kind} {:?} {:?} ", self.peer, self.method, self.took)?;
        match self.failure {
            None => f.write_str("ok"),
            // One line whatever the message holds.
            Some(failure) => write!(f, "failed: {:?} (code {})", failure.message, failure.code),
        }
    }
}
