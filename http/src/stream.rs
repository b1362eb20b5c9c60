//! A connection's bytes: over TCP.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, Shutdown};
use std::time::Duration;

use grapeshot_core::Direction;
use grapeshot_net::{TcpStream, WaitLimit};

use crate::pace::Pace;

/// A connection's bytes: over TCP.
///
/// An upgrade hands it out ([`Upgraded`](crate::Upgraded)). Reading and writing suspend until something is done.
pub struct Stream {
    kind: Kind,
}

enum Kind {
    Plain(TcpStream),
}

/// What has arrived, to be read without waiting.
pub(crate) enum Arrived<'a> {
    Plain(&'a net::TcpStream),
}

impl Stream {
    pub(crate) fn plain(stream: TcpStream) -> Stream {
        Stream { kind: Kind::Plain(stream) }
    }

    /// The connection below, for its addresses and options; its bytes are not to be touched.
    pub fn tcp(&self) -> &TcpStream {
        match &self.kind {
            Kind::Plain(stream) => stream,
        }
    }

    /// Limits every later read; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// Limits every later write; `None` for no limit.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => stream.set_write_timeout(timeout),
        }
    }

    /// Tells the peer that nothing more will be written; reading goes on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Runs `read` until it does something else than would-block, waiting in between at most as `limit` says.
    ///
    /// `drained` says of a result that nothing more has arrived.
    #[inline]
    pub(crate) fn attempt_read<T>(
        &self,
        name: &'static str,
        limit: WaitLimit,
        drained: impl Fn(&T) -> bool,
        mut read: impl FnMut(Arrived<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match &self.kind {
            Kind::Plain(stream) => {
                stream.source().attempt(Direction::Read, name, limit, drained, |stream| read(Arrived::Plain(stream)))
            }
        }
    }

    /// Runs `read` as [`attempt_read`](Self::attempt_read) does, but does not wait.
    #[inline]
    pub(crate) fn try_read<T>(
        &self,
        name: &'static str,
        drained: impl Fn(&T) -> bool,
        mut read: impl FnMut(Arrived<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match &self.kind {
            Kind::Plain(stream) => {
                stream.source().try_attempt(Direction::Read, name, drained, |stream| read(Arrived::Plain(stream)))
            }
        }
    }

    /// Reads what there is, waiting at most as `limit` says.
    #[inline]
    pub(crate) fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        match &self.kind {
            Kind::Plain(stream) => stream.read_within(buf, limit),
        }
    }

    /// Writes both stretches of bytes whole, one after the other, as long as the peer keeps the pace.
    #[inline]
    pub(crate) fn write_paced(&self, first: &[u8], second: &[u8], pace: &mut Pace) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => write_paced(stream, first, second, pace),
        }
    }
}

/// Writes with as few system calls as it takes, and copies nothing.
fn write_paced(stream: &TcpStream, mut first: &[u8], mut second: &[u8], pace: &mut Pace) -> io::Result<()> {
    while !first.is_empty() || !second.is_empty() {
        let written = pace.write(|limit| write_both_within(stream, first, second, limit))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_first = written.min(first.len());
        (first, second) = (&first[of_first..], &second[written - of_first..]);
    }
    Ok(())
}

fn write_both_within(stream: &TcpStream, first: &[u8], second: &[u8], limit: WaitLimit) -> io::Result<usize> {
    if second.is_empty() {
        return stream.write_within(first, limit);
    }
    let is_full = |&written: &usize| written < first.len() + second.len();
    let write = |mut stream: &net::TcpStream| stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]);
    stream.source().attempt(Direction::Write, "write", limit, is_full, write)
}

impl Read for Arrived<'_> {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Arrived::Plain(stream) => stream.read(buf),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.kind {
            Kind::Plain(stream) => (&mut &*stream).read(buf),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &self.kind {
            Kind::Plain(stream) => (&mut &*stream).write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => (&mut &*stream).flush(),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Plain(stream) => f.debug_tuple("Stream").field(stream).finish(),
        }
    }
}
