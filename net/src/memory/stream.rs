//! One end, in the shape of a socket.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{ClosedError, OperationTimedOut, WaitLimit, now};

use super::link::{End, Link};
use super::pipe::{Attempt, Turnstile};
use crate::timeout::Timeout;

/// One end of a [`pair`](super::pair): a stream as `TcpStream` is one, in memory.
///
/// One coroutine may read while another writes, through `&MemoryStream`.
/// Dropping it ends what it writes, and breaks the pipe for what the other end writes.
/// Outside a coroutine an operation that would wait fails with `Unsupported`.
pub struct MemoryStream {
    link: Rc<Link>,
    end: End,
    read_timeout: Timeout,
    write_timeout: Timeout,
    closed: Cell<bool>,
}

impl MemoryStream {
    pub(super) fn ends(link: Rc<Link>) -> (MemoryStream, MemoryStream) {
        let stream = |end| MemoryStream {
            link: link.clone(),
            end,
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            closed: Cell::new(false),
        };
        (stream(End::Near), stream(End::Far))
    }

    /// Reads what there is, waiting at most as `limit` says, whatever the stream's own timeout is.
    ///
    /// # Errors
    ///
    /// As `Read::read`; [`io::ErrorKind::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; no byte is lost.
    pub fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        let pipe = self.link.incoming(self.end);
        self.drive("read", limit, &pipe.reader, || pipe.try_read(buf, false))
    }

    /// Writes what fits, waiting at most as `limit` says, whatever the stream's own timeout is.
    ///
    /// # Errors
    ///
    /// As `Write::write`; [`io::ErrorKind::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits; nothing has been taken then.
    pub fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        let pipe = self.link.outgoing(self.end);
        self.drive("write", limit, &pipe.writer, || self.link.write(self.end, bytes))
    }

    /// Writes what fits at once. Never suspends.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing fits; as `Write::write`.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed.get() {
            return Err(ClosedError::new("write").into());
        }
        match self.link.write(self.end, bytes)? {
            Attempt::Done(count) => Ok(count),
            Attempt::Wait(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads without taking the bytes off the stream.
    ///
    /// # Errors
    ///
    /// As `Read::read`.
    ///
    /// # Cancellation
    ///
    /// Unwinds while it waits.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let pipe = self.link.incoming(self.end);
        self.drive("peek", self.read_timeout.limit(), &pipe.reader, || pipe.try_read(buf, true))
    }

    /// Ends every wait on this end with an error, refuses all further use, and tells the peer.
    ///
    /// Idempotent; answers whether it was open. Never suspends.
    pub fn close(&self) -> bool {
        let was_open = !self.closed.replace(true);
        if was_open {
            self.hang_up();
        }
        was_open
    }

    /// Shuts down reading, writing or both.
    ///
    /// After reading is shut down what has arrived can still be read, and the peer's writes fail, as on a Unix socket.
    ///
    /// # Errors
    ///
    /// None; a `Result` because std has one.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.link.incoming(self.end).deafen();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.link.outgoing(self.end).end();
        }
        Ok(())
    }

    /// Limits every later read; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(timeout)
    }

    /// Limits every later write; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.set(timeout)
    }

    /// The limit on reads.
    ///
    /// # Errors
    ///
    /// None; a `Result` because std has one.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_timeout.duration())
    }

    /// The limit on writes.
    ///
    /// # Errors
    ///
    /// None; a `Result` because std has one.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_timeout.duration())
    }

    fn hang_up(&self) {
        self.link.incoming(self.end).deafen();
        self.link.outgoing(self.end).end();
    }

    /// Attempts, and waits in between.
    fn drive<T>(
        &self,
        operation: &'static str,
        limit: WaitLimit,
        turnstile: &Turnstile,
        mut attempt: impl FnMut() -> io::Result<Attempt<T>>,
    ) -> io::Result<T> {
        let mut deadline: Option<Option<Instant>> = None;
        loop {
            if self.closed.get() {
                return Err(ClosedError::new(operation).into());
            }
            let until = match attempt()? {
                Attempt::Done(done) => return Ok(done),
                Attempt::Wait(until) => until,
            };
            let deadline = *deadline.get_or_insert_with(|| end_of(limit));
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Err(OperationTimedOut::new(operation).into());
            }
            turnstile.wait(operation, until.into_iter().chain(deadline).min())?;
        }
    }
}

fn end_of(limit: WaitLimit) -> Option<Instant> {
    match limit {
        WaitLimit::Never => None,
        WaitLimit::After(timeout) => now().checked_add(timeout),
        WaitLimit::At(at) => Some(at),
    }
}

impl Read for &MemoryStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_within(buf, self.read_timeout.limit())
    }
}

impl Write for &MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_within(bytes, self.write_timeout.limit())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for MemoryStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.hang_up();
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream").field("end", &self.end).field("closed", &self.closed.get()).finish()
    }
}
