//! Accepting connections from processes of the same machine.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rustix::net::SocketFlags;
use socket2::{Domain, Socket, Type};

use super::address;
use super::stream::UnixStream;
use crate::acceptor::{Accept, Acceptor, BACKLOG};
use crate::listening::listener_api;

/// A listening Unix socket, as `std::os::unix::net::UnixListener`.
///
/// The file at its path is left behind when it is dropped, as in std: remove it before the next start.
///
/// # Examples
///
/// ```
/// use std::os::linux::net::SocketAddrExt;
/// use std::os::unix::net::SocketAddr;
/// use grapeshot_core::test;
/// use grapeshot_net::{UnixListener, UnixStream};
///
/// test::run(|| {
///     let name = format!("grapeshot-example-{}", std::process::id());
///     let address = SocketAddr::from_abstract_name(&name).unwrap();
///     let listener = UnixListener::bind_addr(&address).unwrap();
///     let near = UnixStream::connect_addr(&address).unwrap();
///     let (far, _) = listener.accept().unwrap();
///     assert_eq!(far.peer_cred().unwrap().pid, Some(std::process::id() as i32));
///     drop(near);
/// });
/// ```
pub struct UnixListener {
    acceptor: Acceptor<net::UnixListener>,
}

listener_api!(UnixListener, net::UnixListener, UnixStream, SocketAddr);

impl UnixListener {
    /// Listens at this path, where there must be no file yet.
    ///
    /// Up to 1024 connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// [`PathTooLong`](crate::PathTooLong) of kind `InvalidInput`; what the system says, `AddrInUse` for a path that
    /// is taken.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&address::of_path(path.as_ref())?)
    }

    /// Listens at this address, such as an abstract one.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind); `InvalidInput` for an address without a name.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        let system_address = address::for_system(address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.bind(&system_address)?;
        socket.listen(BACKLOG)?;
        Ok(UnixListener::of_nonblocking(OwnedFd::from(socket).into()))
    }
}

impl Accept for net::UnixListener {
    type Connection = (UnixStream, SocketAddr);

    fn accept_one(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let socket = rustix::net::accept_with(self, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        let stream = UnixStream::of_nonblocking(socket.into());
        // Most peers have no address; asking costs a system call, and gives one of std's, which nothing else here makes.
        let address = stream.peer_addr()?;
        Ok((stream, address))
    }

    fn place(&self) -> String {
        self.local_addr().map_or_else(|_| "a closed socket".to_owned(), |address| format!("{address:?}"))
    }
}
