//! A TCP connection's bytes.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::timeout::Timeout;
use crate::address::{self, ToSocketAddrs};

/// A TCP connection, as `std::net::TcpStream`.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::{TcpListener, TcpStream};
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     let server = spawn(move || {
///         let (mut stream, _) = listener.accept().unwrap();
///         stream.write_all(b"hello").unwrap();
///     });
///     let mut greeting = String::new();
///     TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
///     server.join().unwrap();
/// });
/// ```
pub struct TcpStream {
    source: Source<net::TcpStream>,
    read_timeout: Timeout,
    write_timeout: Timeout,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// As in std, except that names are refused ([`ToSocketAddrs`]).
    ///
    /// # Errors
    ///
    /// What the system says of the last address; a refused or unreachable peer is known when this returns,
    /// not at the first read.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection attempt is abandoned.
    pub fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        address::each(addresses, |address| connect_within(&address, WaitLimit::Never))
    }

    /// Connects to one address, giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); [`io::ErrorKind::TimedOut`]; `InvalidInput` for a timeout of zero.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the connection attempt is abandoned.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a connect timeout of zero"));
        }
        connect_within(address, WaitLimit::After(timeout))
    }

    /// Takes over a connection of std's, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the system refuses that mode.
    pub fn from_std(stream: net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        Ok(TcpStream::of_nonblocking(stream))
    }

    pub(crate) fn of_nonblocking(stream: net::TcpStream) -> TcpStream {
        TcpStream { source: Source::new(stream), read_timeout: Timeout::default(), write_timeout: Timeout::default() }
    }

    /// Gives the connection to std, deregistered from the loop and still in non-blocking mode.
    pub fn into_std(self) -> net::TcpStream {
        self.source.into_inner()
    }

    /// Reads what there is, waiting at most as `limit` says, whatever the socket's own timeout is.
    ///
    /// # Errors
    ///
    /// As `Read::read`; [`io::ErrorKind::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        let size = buf.len();
        // A short read has emptied the socket; an end of stream stays.
        let drained = |&read: &usize| 0 < read && read < size;
        self.source.attempt(Direction::Read, "read", limit, drained, |mut stream| stream.read(buf))
    }

    /// Writes what fits, waiting at most as `limit` says, whatever the socket's own timeout is.
    ///
    /// # Errors
    ///
    /// As `Write::write`; [`io::ErrorKind::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn write_within(&self, buf: &[u8], limit: WaitLimit) -> io::Result<usize> {
        let drained = |&written: &usize| written < buf.len();
        self.source.attempt(Direction::Write, "write", limit, drained, |mut stream| stream.write(buf))
    }

    /// Reads without taking the bytes off the stream.
    ///
    /// # Errors
    ///
    /// As `Read::read`.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.attempt(Direction::Read, "peek", self.read_timeout.limit(), |_| false, |stream| stream.peek(buf))
    }

    /// Ends every wait on this connection with an error, refuses all further use, and tells the peer.
    ///
    /// Idempotent; answers whether it was open. Never suspends.
    /// The descriptor itself is closed when the handle is dropped.
    pub fn close(&self) -> bool {
        let was_open = self.source.close();
        if was_open {
            // The peer may have gone already, which is as closed as it gets (SOK-11).
            let _ = self.source.inner().shutdown(Shutdown::Both);
        }
        was_open
    }

    /// Shuts down reading, writing or both; blocked coroutines notice.
    ///
    /// # Errors
    ///
    /// What the system says, as in std.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source.inner().shutdown(how)
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.inner().peer_addr()
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.inner().local_addr()
    }

    /// A second, independent handle to the connection, with timeouts of its own.
    ///
    /// Coroutines of one thread need none: `&TcpStream` reads and writes.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        let clone = TcpStream::of_nonblocking(self.source.inner().try_clone()?);
        clone.set_read_timeout(self.read_timeout()?)?;
        clone.set_write_timeout(self.write_timeout()?)?;
        Ok(clone)
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

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.inner().nodelay()
    }

    /// Sends small writes at once, or gathers them (Nagle).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.inner().set_nodelay(nodelay)
    }

    /// The time to live of packets sent.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.source.inner().ttl()
    }

    /// Sets the time to live of packets sent.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.source.inner().set_ttl(ttl)
    }

    /// Takes the pending error of the socket (SO_ERROR).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.source.inner().take_error()
    }

    /// The source below, to wait for readiness or to hibernate on.
    pub fn source(&self) -> &Source<net::TcpStream> {
        &self.source
    }
}

fn connect_within(address: &SocketAddr, limit: WaitLimit) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(*address), kind, Some(Protocol::TCP))?;
    match socket.connect(&(*address).into()) {
        Ok(()) => return Ok(TcpStream::of_nonblocking(socket.into())),
        // The attempt goes on in the kernel.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let stream = TcpStream::of_nonblocking(socket.into());
    stream.source.attempt(Direction::Write, "connect", limit, |()| false, finish_connect)?;
    Ok(stream)
}

/// Whether the kernel has connected, failed, or still tries.
fn finish_connect(stream: &net::TcpStream) -> io::Result<()> {
    if let Some(error) = SockRef::from(stream).take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_within(buf, self.read_timeout.limit())
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let size: usize = bufs.iter().map(|buf| buf.len()).sum();
        let drained = |&read: &usize| 0 < read && read < size;
        let limit = self.read_timeout.limit();
        self.source.attempt(Direction::Read, "read", limit, drained, |mut stream| stream.read_vectored(bufs))
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_within(buf, self.write_timeout.limit())
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let size: usize = bufs.iter().map(|buf| buf.len()).sum();
        let drained = |&written: &usize| written < size;
        let limit = self.write_timeout.limit();
        self.source.attempt(Direction::Write, "write", limit, drained, |mut stream| stream.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.source.inner().as_raw_fd()
    }
}

impl IntoRawFd for TcpStream {
    /// Deregisters the socket from the loop first.
    fn into_raw_fd(self) -> RawFd {
        self.into_std().into_raw_fd()
    }
}

impl From<TcpStream> for OwnedFd {
    /// Deregisters the socket from the loop first.
    fn from(stream: TcpStream) -> OwnedFd {
        stream.into_std().into()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TcpStream");
        if let Ok(address) = self.local_addr() {
            shown.field("addr", &address);
        }
        if let Ok(peer) = self.peer_addr() {
            shown.field("peer", &peer);
        }
        shown.finish()
    }
}
