//! Datagrams between processes of one machine.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grapeshot_core::Source;
use socket2::{Domain, Socket, Type};

use super::address;
use crate::channel::Channel;
use crate::handle::socket_api;
use crate::pace::paced;

/// A Unix datagram socket, as `std::os::unix::net::UnixDatagram`.
///
/// Unlike UDP nothing is lost: a sender waits while the receiver's queue is full.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::UnixDatagram;
///
/// test::run(|| {
///     let (near, far) = UnixDatagram::pair().unwrap();
///     near.send(b"one datagram").unwrap();
///     let mut buf = [0; 64];
///     assert_eq!(far.recv(&mut buf).unwrap(), 12);
/// });
/// ```
pub struct UnixDatagram {
    pub(super) channel: Channel<net::UnixDatagram>,
}

socket_api!(UnixDatagram, net::UnixDatagram, SocketAddr);

impl UnixDatagram {
    /// A socket at this path, where there must be no file yet.
    ///
    /// # Errors
    ///
    /// [`PathTooLong`](crate::PathTooLong) of kind `InvalidInput`; what the system says.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&address::of_path(path.as_ref())?)
    }

    /// A socket at this address, such as an abstract one.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(net::UnixDatagram::bind_addr(address)?)
    }

    /// A socket without an address.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn unbound() -> io::Result<UnixDatagram> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM.nonblocking().cloexec(), None)?;
        Ok(UnixDatagram::of_nonblocking(OwnedFd::from(socket).into()))
    }

    /// Two sockets, connected to each other: socketpair(2).
    ///
    /// # Errors
    ///
    /// When the system has no descriptors left.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (near, far) = Socket::pair(Domain::UNIX, Type::DGRAM.nonblocking().cloexec(), None)?;
        let datagram = |socket: Socket| UnixDatagram::of_nonblocking(OwnedFd::from(socket).into());
        Ok((datagram(near), datagram(far)))
    }

    /// Fixes the peer that [`send`](Self::send) sends to and [`recv`](Self::recv) hears. Never suspends.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&address::of_path(path.as_ref())?)
    }

    /// As [`connect`](Self::connect), with any address.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.channel.inner().connect_addr(address)
    }

    /// Sends one datagram to the connected peer, and waits while its queue is full.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the write timeout, else what the system says.
    ///
    /// # Cancellation
    ///
    /// Unwinds; nothing has been sent then.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.channel.give("send", |socket| socket.send(buf))
    }

    /// Sends one datagram to the socket at this path.
    ///
    /// While its queue is full it is tried again in pauses of 1 to 50 ms, as the kernel does not say when it has room.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and as [`bind`](Self::bind) for the path.
    ///
    /// # Cancellation
    ///
    /// Unwinds; nothing has been sent then.
    pub fn send_to(&self, buf: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(buf, &address::of_path(path.as_ref())?)
    }

    /// As [`send_to`](Self::send_to), with any address.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// Unwinds; nothing has been sent then.
    pub fn send_to_addr(&self, buf: &[u8], address: &SocketAddr) -> io::Result<usize> {
        // Would-block is kept from the source: it would wait for an event that does not come.
        let attempt = |socket: &net::UnixDatagram| match socket.send_to_addr(buf, address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            sent => sent.map(Some),
        };
        paced("send_to", self.channel.write_timeout.limit(), || {
            self.channel.give("send_to", attempt)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })
    }

    /// Receives one datagram.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the read timeout, else what the system says.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no datagram is lost.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.take("recv", |socket| socket.recv(buf), || 0)
    }

    /// Receives one datagram and tells who sent it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Unwinds; no datagram is lost.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let nobody = || SocketAddr::from_pathname("").map(|nobody| (0, nobody));
        let received = self.take("recv_from", |socket| socket.recv_from(buf).map(Some), || None)?;
        received.map_or_else(nobody, Ok)
    }

    /// As [`recv`](Self::recv), and leaves the datagram to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.channel.peek_within(buf, self.channel.read_timeout.limit())
    }

    /// Shuts down receiving, sending or both; blocked coroutines notice, those of this handle in the case of receiving.
    ///
    /// Receiving then gives what is queued, and after that datagrams of no bytes.
    ///
    /// # Errors
    ///
    /// What the system says, as in std.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.channel.deaf.store(true, Ordering::Relaxed);
        }
        self.channel.inner().shutdown(how)
    }

    /// Receives, or gives `nothing` once receiving has been shut down and the queue is empty.
    fn take<T>(
        &self,
        name: &'static str,
        mut receive: impl FnMut(&net::UnixDatagram) -> io::Result<T>,
        nothing: impl Fn() -> T,
    ) -> io::Result<T> {
        self.channel.take(name, |socket| match receive(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.channel.deaf.load(Ordering::Relaxed) => {
                Ok(nothing())
            }
            received => received,
        })
    }
}
