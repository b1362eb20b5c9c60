//! A TCP connection's bytes.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use grapeshot_core::{Direction, Source, WaitLimit};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::address::{self, ToSocketAddrs};
use crate::channel::Channel;
use crate::handle::{socket_api, stream_api};

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
    channel: Channel<net::TcpStream>,
}

socket_api!(TcpStream, net::TcpStream, SocketAddr);
stream_api!(TcpStream);

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
    stream.channel.source.attempt(Direction::Write, "connect", limit, |()| false, finish_connect)?;
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
