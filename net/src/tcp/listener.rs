//! Accepting TCP connections.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::net::SocketFlags;

use super::options::ListenOptions;
use super::stream::TcpStream;
use crate::acceptor::{Accept, Acceptor};
use crate::address::ToSocketAddrs;
use crate::listening::listener_api;

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
    acceptor: Acceptor<net::TcpListener>,
}

listener_api!(TcpListener, net::TcpListener, TcpStream, SocketAddr);

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
        ListenOptions::new().bind(addresses)
    }

    /// Listens on an address that other listeners share, in this process or in others (SO_REUSEPORT).
    ///
    /// The system hands each connection to one of them: so one runtime a thread, each with its own listener,
    /// serves one port. All of them must have been bound like this, by the same user. Not in std.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_shared(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        ListenOptions::new().shared(true).bind(addresses)
    }

    /// Listens on a port of every address, IPv6 and IPv4, with one socket; on IPv4 alone where there is no IPv6.
    ///
    /// Peers that come by IPv4 have addresses such as `::ffff:192.0.2.1`. Not in std.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_dual_stack(port: u16) -> io::Result<TcpListener> {
        ListenOptions::new().bind_dual_stack(port)
    }

    /// The time to live of packets sent by the connections accepted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.acceptor.source.inner().ttl()
    }

    /// Sets the time to live of packets sent by the connections accepted.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.acceptor.source.inner().set_ttl(ttl)
    }
}

impl Accept for net::TcpListener {
    type Connection = (TcpStream, SocketAddr);

    fn accept_one(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, address) = rustix::net::acceptfrom_with(self, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        let unknown = || io::Error::new(io::ErrorKind::InvalidData, "the peer's address is not an internet address");
        let address = SocketAddr::try_from(address.ok_or_else(unknown)?).map_err(|_| unknown())?;
        Ok((TcpStream::of_nonblocking(socket.into()), address))
    }

    fn place(&self) -> String {
        self.local_addr().map_or_else(|_| "a closed socket".to_owned(), |addr| addr.to_string())
    }
}
