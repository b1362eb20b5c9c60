//! Accepting TCP connections.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit, now, print_stderr, sleep_until};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::stream::TcpStream;
use crate::address::{self, ToSocketAddrs};
use crate::timeout::Timeout;

/// Connections the kernel holds for us until they are accepted; the system's own limit may be lower.
const BACKLOG: i32 = 1024;

/// How long `accept` leaves the system alone when it has no descriptor or memory to give.
const BACKOFF: Duration = Duration::from_millis(250);

/// A listening TCP socket, as `std::net::TcpListener`.
///
/// # Examples
///
/// ```
/// use std::io::{self, Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::{TcpListener, TcpStream};
///
/// test::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0").unwrap();
///     let address = listener.local_addr().unwrap();
///     spawn(move || {
///         for stream in listener.incoming() {
///             let stream = stream.unwrap();
///             spawn(move || io::copy(&mut &stream, &mut &stream));
///         }
///     });
///     let mut stream = TcpStream::connect(address).unwrap();
///     stream.write_all(b"echo").unwrap();
///     let mut answer = [0; 4];
///     stream.read_exact(&mut answer).unwrap();
///     assert_eq!(&answer, b"echo");
/// });
/// ```
pub struct TcpListener {
    source: Source<net::TcpListener>,
    timeout: Timeout,
    backoff: Timeout,
    /// The backoff has been announced and no connection has come since.
    backing_off: AtomicBool,
    refused: AtomicU64,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be had.
    ///
    /// As in std: port 0 lets the system choose, and the address may be reused at once after a restart (SO_REUSEADDR).
    /// Differs in that names are refused ([`ToSocketAddrs`]), and that up to 1024 connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// What the system says of the last address.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        address::each(addresses, bind_one)
    }

    /// Takes over a listener of std's, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// When the system refuses that mode.
    pub fn from_std(listener: net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener::of_nonblocking(listener))
    }

    fn of_nonblocking(listener: net::TcpListener) -> TcpListener {
        let backoff = Timeout::default();
        // Not zero, so it is accepted.
        let _ = backoff.set(Some(BACKOFF));
        TcpListener {
            source: Source::new(listener),
            timeout: Timeout::default(),
            backoff,
            backing_off: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }

    /// Waits for a connection and returns it with the peer's address.
    ///
    /// Connections that broke off before they could be accepted are passed over (SOK-10).
    /// When the process or the system has no descriptor or memory left, it says so on stderr, once,
    /// and tries again every 250 ms until connections can be had again: see [`set_backoff`](Self::set_backoff).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the accept timeout; a closed error after [`close`](Self::close);
    /// else what the system says.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept_by(|_| false, accept_one)
    }

    /// Waits for a connection and returns it with all others that can be had at once, up to `max`. Not in std.
    ///
    /// Counts as one operation in the budget of [`set_selfishness`](grapeshot_core::set_selfishness).
    /// A `max` of zero gives none and does not wait.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept). An error after the first connection is left for the next call to find.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn accept_many(&self, max: usize) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let accepted = self.accept_by(|&(_, drained)| drained, |listener| accept_batch(listener, max))?;
        Ok(accepted.0)
    }

    fn accept_by<T>(
        &self,
        drained: impl Fn(&T) -> bool,
        operation: impl Fn(&net::TcpListener) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut limit = self.timeout.limit();
        loop {
            match self.source.attempt(Direction::Read, "accept", limit, &drained, &operation) {
                Ok(accepted) => {
                    self.backing_off.store(false, Ordering::Relaxed);
                    return Ok(accepted);
                }
                Err(error) if broke_off(&error) => {}
                Err(error) if is_exhaustion(&error) => limit = self.back_off(error, limit)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before the next attempt, or passes the error on when that is wanted; answers what is left of the limit.
    fn back_off(&self, error: io::Error, limit: WaitLimit) -> io::Result<WaitLimit> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        // A coroutine that unwinds cannot pause, and would try for ever.
        let Some(pause) = self.backoff.duration().filter(|_| !thread::panicking()) else { return Err(error) };
        let deadline = match limit {
            WaitLimit::Never => None,
            WaitLimit::After(timeout) => now().checked_add(timeout),
            WaitLimit::At(deadline) => Some(deadline),
        };
        if deadline.is_some_and(|deadline| deadline <= now()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("accept timed out: {error}")));
        }
        self.announce(&error, pause);
        let again = now() + pause;
        sleep_until(deadline.map_or(again, |deadline| deadline.min(again)));
        Ok(deadline.map_or(WaitLimit::Never, WaitLimit::At))
    }

    /// Says on stderr that connections have to wait, once until one has been accepted again.
    fn announce(&self, error: &io::Error, pause: Duration) {
        if !self.backing_off.swap(true, Ordering::Relaxed) {
            let address = self.local_addr().map_or_else(|_| "a closed socket".to_owned(), |addr| addr.to_string());
            let text = format!("accept on {address}: {error}; connections wait, and are tried again every {pause:?}");
            print_stderr(&text);
        }
    }

    /// Accepts connection after connection, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self, ended: Cell::new(false) }
    }

    /// Ends a blocked `accept` with an error, refuses all further ones, and stops listening.
    ///
    /// Idempotent; answers whether it was open. Never suspends.
    pub fn close(&self) -> bool {
        let was_open = self.source.close();
        if was_open {
            // Makes the kernel refuse new connections although the descriptor lives until the drop.
            let _ = rustix::net::shutdown(&self.source, rustix::net::Shutdown::Both);
        }
        was_open
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.inner().local_addr()
    }

    /// Limits every later `accept`; `None` for no limit. Not in std.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    pub fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout.set(timeout)
    }

    /// The limit on `accept`. Not in std.
    pub fn accept_timeout(&self) -> Option<Duration> {
        self.timeout.duration()
    }

    /// Sets how long `accept` pauses at descriptor exhaustion; `None` lets it return the error instead. Not in std.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a pause of zero.
    pub fn set_backoff(&self, pause: Option<Duration>) -> io::Result<()> {
        self.backoff.set(pause)
    }

    /// How often the system had nothing left for a connection, since the listener was made.
    pub fn exhaustions(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A second handle to the same listening socket, with a timeout and a pause of its own.
    ///
    /// Two coroutines cannot wait in `accept` of one handle, but each in that of its own.
    /// Closing one handle stops both from listening.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        let clone = TcpListener::of_nonblocking(self.source.inner().try_clone()?);
        clone.set_accept_timeout(self.timeout.duration())?;
        clone.set_backoff(self.backoff.duration())?;
        Ok(clone)
    }

    /// The time to live of packets sent by the connections accepted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.source.inner().ttl()
    }

    /// Sets the time to live of packets sent by the connections accepted.
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

    /// Gives the listener to std, deregistered from the loop and still in non-blocking mode.
    pub fn into_std(self) -> net::TcpListener {
        self.source.into_inner()
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::of_nonblocking(socket.into()))
}

/// One system call for a connection that is non-blocking from birth.
fn accept_one(listener: &net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, "the peer's address is not an internet address");
    let address = SocketAddr::try_from(address.ok_or_else(unknown)?).map_err(|_| unknown())?;
    Ok((TcpStream::of_nonblocking(socket.into()), address))
}

/// The connections that can be had at once, at least one, and whether there are no more.
fn accept_batch(listener: &net::TcpListener, max: usize) -> io::Result<(Vec<(TcpStream, SocketAddr)>, bool)> {
    let mut accepted = vec![accept_one(listener)?];
    while accepted.len() < max {
        match accept_one(listener) {
            Ok(connection) => accepted.push(connection),
            Err(error) => return Ok((accepted, error.kind() == io::ErrorKind::WouldBlock)),
        }
    }
    Ok((accepted, false))
}

/// The connection ended while it waited; accept(2) names these as errors to pass over.
fn broke_off(error: &io::Error) -> bool {
    const PASSED_OVER: [Errno; 8] = [
        Errno::CONNABORTED,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PASSED_OVER.contains(&errno))
}

fn is_exhaustion(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| EXHAUSTED.contains(&errno))
}

/// The connections of a listener, one after the other; made by [`TcpListener::incoming`].
///
/// Ends, unlike std's, once the listener has been closed: there is nothing more to come.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    ended: Cell<bool>,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        if self.ended.get() {
            return None;
        }
        let accepted = self.listener.accept().map(|(stream, _)| stream);
        if accepted.is_err() && self.listener.source.is_closed() {
            self.ended.set(true);
            return None;
        }
        Some(accepted)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.source.inner().as_raw_fd()
    }
}

impl IntoRawFd for TcpListener {
    /// Deregisters the socket from the loop first.
    fn into_raw_fd(self) -> RawFd {
        self.into_std().into_raw_fd()
    }
}

impl From<TcpListener> for OwnedFd {
    /// Deregisters the socket from the loop first.
    fn from(listener: TcpListener) -> OwnedFd {
        listener.into_std().into()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TcpListener");
        if let Ok(address) = self.local_addr() {
            shown.field("addr", &address);
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> io::Error {
        errno.into()
    }

    /// SOK-10. The kernel here hands such connections over as if nothing were wrong, so that it cannot be provoked.
    #[test]
    fn a_connection_that_broke_off_is_passed_over() {
        for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::HOSTUNREACH, Errno::NETDOWN] {
            assert!(broke_off(&error(errno)), "{errno}");
            assert!(!is_exhaustion(&error(errno)), "{errno}");
        }
    }

    #[test]
    fn exhaustion_is_told_from_errors_of_the_listener() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_exhaustion(&error(errno)), "{errno}");
            assert!(!broke_off(&error(errno)), "{errno}");
        }
        for errno in [Errno::INVAL, Errno::BADF, Errno::NOTSOCK, Errno::AGAIN] {
            assert!(!is_exhaustion(&error(errno)) && !broke_off(&error(errno)), "{errno}");
        }
    }
}
