//! The stream that carries the records: what TLS asks of it beyond `Read` and `Write`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;

use grapeshot_core::{ClosedError, Direction, Source, WaitLimit, in_coroutine, now, with_deadline};
use grapeshot_net::memory::MemoryStream;
use grapeshot_net::{TcpStream, UnixStream};

/// How long a read may wait for the first of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: where it would wait it fails with [`ErrorKind::WouldBlock`].
    Try,
    /// As long as this says.
    Within(WaitLimit),
}

/// A stream that [`TlsStream`](crate::TlsStream) can use: bytes in order in both directions, one reader and one writer at a time.
///
/// Sockets and streams in memory are such carriers; [`AnyStream`] makes one of every other stream.
/// A `TlsStream` is one itself, for TLS through a proxy that speaks TLS.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stream that TLS can use",
    label = "this is no `Carrier`",
    note = "a stream of std blocks the loop while it waits: use grapeshot::net::TcpStream (grapeshot_net) instead",
    note = "another stream that suspends its coroutine while it waits becomes a `Carrier` in `AnyStream(stream)`"
)]
pub trait Carrier {
    /// Runs `read` when there may be bytes, until it does something else than would-block.
    ///
    /// `read` is given what to read from, reads once, and answers how many bytes it got.
    ///
    /// # Errors
    ///
    /// What `read` fails with; [`ErrorKind::TimedOut`], and [`ErrorKind::WouldBlock`] for [`Patience::Try`].
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize>;

    /// Writes what fits, waiting at most as `limit` says.
    ///
    /// # Errors
    ///
    /// As `Write::write`; [`ErrorKind::TimedOut`].
    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize>;

    /// Writes what fits and never suspends, not even to give way: destructors use it.
    ///
    /// # Errors
    ///
    /// As `Write::write`; [`ErrorKind::WouldBlock`] where nothing fits, or where the stream cannot tell.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Tells the peer that no more bytes follow, and keeps on reading.
    ///
    /// # Errors
    ///
    /// What the stream says.
    fn end_writing(&self) -> io::Result<()>;

    /// Ends every wait on the stream with an error, and all further use. Never suspends.
    fn close(&self);

    /// The peer in words, for errors.
    fn peer(&self) -> Option<String> {
        None
    }
}

/// Notes whether a read left room, which on TCP says that there is no more for now.
struct Noting<R> {
    inner: R,
    left_room: bool,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.left_room = 0 < read && read < buf.len();
        Ok(read)
    }
}

/// Reads by readiness; `short_means_drained` as the kind of descriptor promises it.
fn read_from<S: AsFd>(
    source: &Source<S>,
    patience: Patience,
    short_means_drained: bool,
    read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
) -> io::Result<usize>
where
    for<'a> &'a S: Read,
{
    let operation = |stream: &S| {
        let mut noting = Noting { inner: stream, left_room: false };
        let count = read(&mut noting)?;
        Ok((count, noting.left_room))
    };
    let drained = |&(_, left_room): &(usize, bool)| short_means_drained && left_room;
    let (count, _) = match patience {
        Patience::Try => source.try_attempt(Direction::Read, "read", drained, operation)?,
        Patience::Within(limit) => source.attempt(Direction::Read, "read", limit, drained, operation)?,
    };
    Ok(count)
}

/// Writes past the scheduler, once.
fn write_once<S: AsFd>(source: &Source<S>, bytes: &[u8]) -> io::Result<usize>
where
    for<'a> &'a S: Write,
{
    if source.is_closed() {
        return Err(ClosedError::new("write").into());
    }
    loop {
        match source.inner().write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

impl Carrier for TcpStream {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        read_from(self.source(), patience, true, read)
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        TcpStream::write_within(self, bytes, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        write_once(self.source(), bytes)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        TcpStream::close(self);
    }

    fn peer(&self) -> Option<String> {
        self.peer_addr().ok().map(|address| address.to_string())
    }
}

impl Carrier for UnixStream {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        read_from(self.source(), patience, false, read)
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        UnixStream::write_within(self, bytes, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        write_once(self.source(), bytes)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        UnixStream::close(self);
    }
}

/// A limit that has passed already: with it a stream in memory does not wait.
const AT_ONCE: WaitLimit = WaitLimit::After(std::time::Duration::ZERO);

/// Says of a limit of zero what it means for who asked for no wait at all.
fn would_block(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::TimedOut { ErrorKind::WouldBlock.into() } else { error }
}

/// Reads from a stream in memory, within a limit.
struct Limited<'a>(&'a MemoryStream, WaitLimit);

impl Read for Limited<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_within(buf, self.1)
    }
}

impl Carrier for MemoryStream {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match patience {
            Patience::Try => read(&mut Limited(self, AT_ONCE)).map_err(would_block),
            Patience::Within(limit) => read(&mut Limited(self, limit)),
        }
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        MemoryStream::write_within(self, bytes, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        MemoryStream::write_within(self, bytes, AT_ONCE).map_err(would_block)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn close(&self) {
        MemoryStream::close(self);
    }
}

/// Any stream that reads and writes by reference, as a [`Carrier`].
///
/// Time limits unwind the stream's own call, as [`with_deadline`] does. What cannot be asked of such a stream is left out:
/// [`try_read`](crate::TlsStream::try_read) never finds anything that has not come before,
/// a dropped stream says no close_notify, and ending it is left to its own drop.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_tls::{AnyStream, ClientConfig, TlsStream};
///
/// // A stream of the user's own.
/// struct Counted(std::rc::Rc<std::cell::Cell<usize>>);
///
/// impl std::io::Read for &Counted {
///     fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
///         Ok(0)
///     }
/// }
///
/// impl std::io::Write for &Counted {
///     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
///         self.0.set(self.0.get() + bytes.len());
///         Ok(bytes.len())
///     }
///
///     fn flush(&mut self) -> std::io::Result<()> {
///         Ok(())
///     }
/// }
///
/// test::run(|| {
///     let config = ClientConfig::builder().danger_accept_any_certificate().build().unwrap();
///     let count = std::rc::Rc::default();
///     let stream = AnyStream(Counted(std::rc::Rc::clone(&count)));
///     let stream = TlsStream::client(stream, &config, "example.org").unwrap();
///     assert!(stream.handshake().is_err());
///     assert!(count.get() > 100, "a client hello was sent");
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AnyStream<S>(
    /// The stream itself.
    pub S,
);

/// Runs an operation that knows no limit, within one.
fn limited<T>(limit: WaitLimit, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let deadline = match limit {
        WaitLimit::After(timeout) => now().checked_add(timeout),
        WaitLimit::At(deadline) => Some(deadline),
        WaitLimit::Never => None,
    };
    match deadline {
        // On a plain thread there is nothing to unwind to.
        Some(deadline) if in_coroutine() => with_deadline(deadline, operation)?,
        _ => operation(),
    }
}

impl<S> Carrier for AnyStream<S>
where
    for<'a> &'a S: Read + Write,
{
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match patience {
            Patience::Try => Err(ErrorKind::WouldBlock.into()),
            Patience::Within(limit) => limited(limit, || read(&mut &self.0)),
        }
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        limited(limit, || {
            let written = (&self.0).write(bytes)?;
            // It may be one that gathers.
            (&self.0).flush()?;
            Ok(written)
        })
    }

    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn end_writing(&self) -> io::Result<()> {
        (&self.0).flush()
    }

    fn close(&self) {}
}

impl<C: Carrier + ?Sized> Carrier for Box<C> {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        (**self).read_with(patience, read)
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        (**self).write_within(bytes, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).try_write(bytes)
    }

    fn end_writing(&self) -> io::Result<()> {
        (**self).end_writing()
    }

    fn close(&self) {
        (**self).close();
    }

    fn peer(&self) -> Option<String> {
        (**self).peer()
    }
}
