//! The end of a connection.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use grapeshot_core::{WaitLimit, now};

use crate::carrier::Carrier;
use crate::stream::TlsStream;

impl<S: Carrier> TlsStream<S> {
    /// Says close_notify, waiting until it is sent for at most [`Limits::close`](crate::Limits), and ends all use of the
    /// stream.
    ///
    /// It waits for nothing from the peer. Idempotent.
    ///
    /// A TCP socket that is closed while something lies in it unread resets its connection, and what has not left it by
    /// then is lost. Under TLS 1.3 a server's tickets lie there unless the client reads. So a client that only writes
    /// calls [`close_write`](Self::close_write) instead, reads to the end, and then lets go.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] when the peer does not take it, else what the stream below fails with;
    /// the stream is closed all the same.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; the stream is not closed then.
    pub fn close(&self) -> io::Result<()> {
        self.close_within(self.limits().close)
    }

    /// As [`close`](Self::close), waiting at most so long.
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancellation
    ///
    /// As [`close`](Self::close).
    pub fn close_within(&self, limit: Duration) -> io::Result<()> {
        let said = self.say_goodbye(limit);
        self.inner().close();
        said
    }

    /// Says close_notify, so that the peer sees the end of what this end sends, and keeps on reading.
    ///
    /// With TLS 1.2 the peer may close at once and drop what it was about to send (RFC 5246, 7.2.1).
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; what is left goes out with the next call that sends.
    pub fn close_write(&self) -> io::Result<()> {
        self.say_goodbye(self.limits().close)?;
        self.inner().end_writing()
    }

    fn say_goodbye(&self, limit: Duration) -> io::Result<()> {
        let deadline = now().checked_add(limit).map_or(WaitLimit::Never, WaitLimit::At);
        self.queue_close_notify();
        match self.send(deadline) {
            // The peer has gone already, which is as closed as it gets.
            Err(error) if is_gone(&error) => Ok(()),
            sent => sent,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

impl<S: Carrier> Drop for TlsStream<S> {
    fn drop(&mut self) {
        // Nobody has decided that the message ends here.
        if thread::panicking() {
            return;
        }
        self.queue_close_notify();
        // A peer that takes nothing now is told nothing.
        let _ = self.try_send();
    }
}
