//! Datagrams over UDP.

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use grapeshot_core::Source;
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{self, ToSocketAddrs};
use crate::channel::Channel;
use crate::handle::socket_api;

/// A UDP socket, as `std::net::UdpSocket` (SOK-6).
///
/// One call is one datagram: sent whole or not at all, and received whole if the buffer is large enough.
/// A datagram that is longer than the buffer loses its rest, as in std.
///
/// One coroutine may receive while another sends; two receivers, or two senders that have to wait, get
/// [`SimultaneousError`](grapeshot_core::SimultaneousError). Nothing is allocated per datagram.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
/// use grapeshot_net::UdpSocket;
///
/// test::run(|| {
///     let server = UdpSocket::bind("127.0.0.1:0").unwrap();
///     let address = server.local_addr().unwrap();
///     let echo = spawn(move || {
///         let mut buf = [0; 1500];
///         let (len, from) = server.recv_from(&mut buf).unwrap();
///         server.send_to(&buf[..len], from).unwrap();
///     });
///     let client = UdpSocket::bind("127.0.0.1:0").unwrap();
///     client.connect(address).unwrap();
///     client.send(b"echo").unwrap();
///     let mut answer = [0; 1500];
///     assert_eq!(client.recv(&mut answer).unwrap(), 4);
///     echo.join().unwrap();
/// });
/// ```
pub struct UdpSocket {
    channel: Channel<net::UdpSocket>,
}

socket_api!(UdpSocket, net::UdpSocket, SocketAddr);

/// Accessors that std has and that never wait: passed on as they are.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl UdpSocket {$(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// What the system says.
            pub fn $name(&self, $($argument: $type),*) -> io::Result<$result> {
                self.channel.inner().$name($($argument),*)
            }
        )*}
    };
}

options! {
    /// Whether datagrams may be sent to a broadcast address.
    broadcast() -> bool;
    /// Allows or forbids datagrams to a broadcast address; forbidden at first.
    set_broadcast(broadcast: bool) -> ();
    /// The time to live of datagrams sent.
    ttl() -> u32;
    /// Sets the time to live of datagrams sent.
    set_ttl(ttl: u32) -> ();
    /// Whether what is sent to an IPv4 group comes back to this machine.
    multicast_loop_v4() -> bool;
    /// Sets whether what is sent to an IPv4 group comes back to this machine.
    set_multicast_loop_v4(multicast_loop_v4: bool) -> ();
    /// The time to live of datagrams sent to IPv4 groups.
    multicast_ttl_v4() -> u32;
    /// Sets the time to live of datagrams sent to IPv4 groups.
    set_multicast_ttl_v4(multicast_ttl_v4: u32) -> ();
    /// Whether what is sent to an IPv6 group comes back to this machine.
    multicast_loop_v6() -> bool;
    /// Sets whether what is sent to an IPv6 group comes back to this machine.
    set_multicast_loop_v6(multicast_loop_v6: bool) -> ();
    /// Joins an IPv4 group on the interface with this address; any if it is unspecified.
    join_multicast_v4(multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Leaves an IPv4 group.
    leave_multicast_v4(multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Joins an IPv6 group on the interface with this index; any if it is zero.
    join_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
    /// Leaves an IPv6 group.
    leave_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
}

impl UdpSocket {
    /// Binds to the first of the addresses that can be had.
    ///
    /// As in std, except that names are refused ([`ToSocketAddrs`]).
    ///
    /// # Errors
    ///
    /// What the system says of the last address.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        address::each(addresses, |address| {
            let kind = Type::DGRAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
            socket.bind(&address.into())?;
            Ok(UdpSocket::of_nonblocking(socket.into()))
        })
    }

    /// Fixes the peer: [`send`](Self::send) goes there, and datagrams from elsewhere are dropped by the system.
    ///
    /// Sends nothing and never suspends.
    ///
    /// # Errors
    ///
    /// What the system says of the last address.
    pub fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        address::each(addresses, |address| self.channel.inner().connect(address))
    }

    /// Sends one datagram to the peer fixed by [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the write timeout, else what the system says; that may be the news that an
    /// earlier datagram found no one listening (`ConnectionRefused`).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.channel.give("send", |socket| socket.send(buf))
    }

    /// Sends one datagram to the first of the addresses.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); `InvalidInput` when there is no address.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn send_to(&self, buf: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let address = address.first_socket_addr()?;
        self.channel.give("send_to", |socket| socket.send_to(buf, address))
    }

    /// Receives one datagram from the peer fixed by [`connect`](Self::connect); from anybody if there is none.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] after the read timeout, else as [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// Unwinds; no datagram is lost.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.channel.take("recv", |socket| socket.recv(buf))
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
        self.channel.take("recv_from", |socket| socket.recv_from(buf))
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
        self.channel.take("peek", |socket| socket.peek(buf))
    }

    /// As [`recv_from`](Self::recv_from), and leaves the datagram to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.channel.take("peek_from", |socket| socket.peek_from(buf))
    }
}
