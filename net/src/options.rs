//! The options that every socket has, by name instead of by number (SOK-12, SOK-14).

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

use crate::tcp::{TcpListener, TcpStream};
use crate::udp::UdpSocket;
use crate::unix::{UnixDatagram, UnixListener, UnixStream};

/// Options of SOL_SOCKET, for every socket of this crate. Not in std.
///
/// | option | where |
/// |---|---|
/// | SO_RCVBUF, SO_SNDBUF | [`recv_buffer_size`](Self::recv_buffer_size), [`send_buffer_size`](Self::send_buffer_size) |
/// | SO_REUSEADDR | [`reuse_address`](Self::reuse_address); listeners always have it (SOK-8) |
/// | SO_REUSEPORT | [`reuse_port`](Self::reuse_port); set by [`ListenOptions::shared`](crate::ListenOptions::shared) |
/// | SO_ACCEPTCONN | [`is_listener`](Self::is_listener) |
/// | SO_KEEPALIVE, SO_LINGER | [`TcpStream::set_keepalive`], [`TcpStream::set_linger`] |
/// | SO_BROADCAST | [`UdpSocket::set_broadcast`] |
/// | SO_ERROR | `take_error`, on each |
/// | SO_RCVTIMEO, SO_SNDTIMEO | `set_read_timeout`, `set_write_timeout`: kept here, not in the system |
/// | SO_PEERCRED | [`UnixStream::peer_cred`] |
/// | TCP_NODELAY, TCP_USER_TIMEOUT, TCP_QUICKACK | [`TcpStream::set_nodelay`], [`TcpStream::set_user_timeout`], [`TcpStream::set_quickack`] |
///
/// All others are to be had through socket2: `SockRef::from(&stream)`.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::{SocketOptions, UdpSocket};
///
/// test::run(|| {
///     let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
///     socket.set_recv_buffer_size(64 * 1024).unwrap();
///     assert!(socket.recv_buffer_size().unwrap() >= 64 * 1024);
/// });
/// ```
pub trait SocketOptions: AsFd + Sized + sealed::Sealed {
    /// How many bytes the system keeps for a reader that has not come yet (SO_RCVBUF).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn recv_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).recv_buffer_size()
    }

    /// Sets how many bytes the system keeps for a reader; it takes twice as many for itself, and has an upper limit.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(self).set_recv_buffer_size(bytes)
    }

    /// How many bytes the system takes before a writer has to wait (SO_SNDBUF).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(self).send_buffer_size()
    }

    /// Sets how many bytes the system takes before a writer has to wait; as for the other direction.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(self).set_send_buffer_size(bytes)
    }

    /// Whether the address may be bound again while old connections to it linger (SO_REUSEADDR).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn reuse_address(&self) -> io::Result<bool> {
        SockRef::from(self).reuse_address()
    }

    /// Whether other sockets may be bound to the same address (SO_REUSEPORT).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn reuse_port(&self) -> io::Result<bool> {
        SockRef::from(self).reuse_port()
    }

    /// Whether the socket listens (SO_ACCEPTCONN).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn is_listener(&self) -> io::Result<bool> {
        SockRef::from(self).is_listener()
    }
}

mod sealed {
    /// Only the sockets of this crate have the options.
    pub trait Sealed {}
}

macro_rules! have_options {
    ($($Socket:ty),*) => {$(
        impl sealed::Sealed for $Socket {}
        impl SocketOptions for $Socket {}
    )*};
}

have_options!(TcpStream, TcpListener, UdpSocket, UnixStream, UnixListener, UnixDatagram);
