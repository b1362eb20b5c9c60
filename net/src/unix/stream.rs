//! The bytes of a connection between two processes of one machine.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use grapeshot_core::{Source, WaitLimit};
use socket2::{Domain, Socket, Type};

use super::address;
use super::credentials::{self, UCred};
use crate::channel::Channel;
use crate::handle::{socket_api, stream_api};
use crate::pace::paced;

/// A Unix stream socket, as `std::os::unix::net::UnixStream`.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::UnixStream;
///
/// test::run(|| {
///     let (mut near, mut far) = UnixStream::pair().unwrap();
///     let writer = spawn(move || far.write_all(b"hello"));
///     let mut greeting = String::new();
///     near.read_to_string(&mut greeting).unwrap();
///     assert_eq!(greeting, "hello");
///     writer.join().unwrap().unwrap();
/// });
/// ```
pub struct UnixStream {
    pub(super) channel: Channel<net::UnixStream>,
}

socket_api!(UnixStream, net::UnixStream, SocketAddr);
stream_api!(UnixStream);

impl UnixStream {
    /// Connects to the socket at this path.
    ///
    /// A listener whose queue is full is tried again in pauses of 1 to 50 ms, as the kernel does not say when it has
    /// room; outside a coroutine that holds the thread, as in std.
    ///
    /// # Errors
    ///
    /// [`PathTooLong`](crate::PathTooLong) of kind `InvalidInput`; what the system says.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no connection is left behind.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&address::of_path(path.as_ref())?)
    }

    /// Connects to the socket at this address, such as an abstract one.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `InvalidInput` for an address without a name.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no connection is left behind.
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let system_address = address::for_system(address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        paced("connect", WaitLimit::Never, || socket.connect(&system_address))?;
        Ok(UnixStream::of_nonblocking(OwnedFd::from(socket).into()))
    }

    /// Two streams, connected to each other and to nothing else: socketpair(2).
    ///
    /// # Errors
    ///
    /// When the system has no descriptors left.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        let stream = |socket: Socket| UnixStream::of_nonblocking(OwnedFd::from(socket).into());
        Ok((stream(near), stream(far)))
    }

    /// Who made the peer's end, as the kernel noted it when the connection was made (SO_PEERCRED).
    ///
    /// The name is that of std's unstable method.
    ///
    /// # Errors
    ///
    /// What the system says; `NotConnected` for a socket that never was.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        // The system answers for any socket, but with nobody's numbers.
        self.peer_addr()?;
        credentials::of_peer(self)
    }
}
