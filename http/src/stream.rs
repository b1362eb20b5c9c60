//! A connection's bytes: over TCP, or over TLS on top of it.
//!
//! Which of the two it is, is looked at by a branch that the processor foresees; plain TCP pays nothing else for it.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, Shutdown};
use std::time::{Duration, Instant};

use grapeshot_core::{Direction, now};
use grapeshot_net::{TcpStream, WaitLimit};
#[cfg(feature = "tls")]
use grapeshot_tls::{ServerConfig, TlsStream};

use crate::pace::Pace;
#[cfg(feature = "tls")]
use crate::secured::{PacedTcp, Secured};
#[cfg(feature = "tls")]
use crate::session::TlsSession;

/// A connection's bytes: over TCP, or over TLS on top of it.
///
/// An upgrade hands it out ([`Upgraded`](crate::Upgraded)). Reading and writing suspend until something is done.
pub struct Stream {
    kind: Kind,
}

enum Kind {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Secured>),
}

/// What has arrived, to be read without waiting.
pub(crate) enum Arrived<'a> {
    Plain(&'a net::TcpStream),
    #[cfg(feature = "tls")]
    Tls(&'a TlsStream<PacedTcp>),
}

impl Stream {
    pub(crate) fn plain(stream: TcpStream) -> Stream {
        Stream { kind: Kind::Plain(stream) }
    }

    /// The connection below, for its addresses and options; its bytes are not to be touched.
    pub fn tcp(&self) -> &TcpStream {
        match &self.kind {
            Kind::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => &secured.stream.inner().tcp,
        }
    }

    /// Whether it runs over TLS.
    pub fn is_tls(&self) -> bool {
        match &self.kind {
            Kind::Plain(_) => false,
            #[cfg(feature = "tls")]
            Kind::Tls(_) => true,
        }
    }

    /// The TLS it runs over, if it does.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<TlsSession<'_>> {
        match &self.kind {
            Kind::Plain(_) => None,
            Kind::Tls(secured) => Some(TlsSession { stream: &secured.stream }),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.stream.set_read_timeout(timeout),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.stream.set_write_timeout(timeout),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.stream.close_write(),
        }
    }

    /// Ends a message: over TLS the peer is told that nothing was cut off, within a second.
    pub(crate) fn close(&self) {
        match &self.kind {
            Kind::Plain(_) => {}
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => {
                // Who does not take it has lost nothing that it could still get.
                let _ = secured.stream.close();
            }
        }
    }

    /// Breaks off in the middle of a message: over TLS the peer is not told that this was the end.
    pub(crate) fn abandon(&self) {
        match &self.kind {
            Kind::Plain(_) => {}
            #[cfg(feature = "tls")]
            Kind::Tls(_) => drop(self.tcp().close()),
        }
    }

    /// Whether there is the beginning of a record, whose rest is still to come.
    pub(crate) fn holds_part(&self) -> bool {
        match &self.kind {
            Kind::Plain(_) => false,
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.stream.buffered().encrypted > 0,
        }
    }

    /// Until when a next request is waited for, `timeout` from when the wait began.
    pub(crate) fn idle_until(&self, timeout: Duration) -> Option<Instant> {
        match &self.kind {
            Kind::Plain(_) => now().checked_add(timeout),
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.idle_until(timeout),
        }
    }

    /// Ends the wait for a next request: it has begun.
    pub(crate) fn end_idle(&self) {
        match &self.kind {
            Kind::Plain(_) => {}
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.end_idle(),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.attempt_read(name, limit, read),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.try_read(read),
        }
    }

    /// Reads what there is, waiting at most as `limit` says.
    #[inline]
    pub(crate) fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        match &self.kind {
            Kind::Plain(stream) => stream.read_within(buf, limit),
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.stream.read_within(buf, limit),
        }
    }

    /// Writes both stretches of bytes whole, one after the other, as long as the peer keeps the pace.
    #[inline]
    pub(crate) fn write_paced(&self, first: &[u8], second: &[u8], pace: &mut Pace) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => write_paced(stream, first, second, pace),
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => secured.write_paced(first, second, pace),
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

#[cfg(feature = "tls")]
impl Stream {
    /// Puts TLS on top, with the handshake still to be done.
    pub(crate) fn secure(self, config: &ServerConfig) -> io::Result<Stream> {
        match self.kind {
            Kind::Plain(tcp) => Ok(Stream { kind: Kind::Tls(Box::new(Secured::server(tcp, config)?)) }),
            Kind::Tls(_) => Ok(self),
        }
    }

    /// Does the handshake of TLS, if there is TLS.
    pub(crate) fn handshake(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(_) => Ok(()),
            Kind::Tls(secured) => secured.stream.handshake(),
        }
    }
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
            #[cfg(feature = "tls")]
            Arrived::Tls(stream) => stream.try_read(buf),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.kind {
            Kind::Plain(stream) => (&mut &*stream).read(buf),
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => (&mut &secured.stream).read(buf),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => (&mut &secured.stream).write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.kind {
            Kind::Plain(stream) => (&mut &*stream).flush(),
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => (&mut &secured.stream).flush(),
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
            #[cfg(feature = "tls")]
            Kind::Tls(secured) => f.debug_tuple("Stream").field(&secured.stream).finish(),
        }
    }
}
