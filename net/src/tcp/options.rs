//! How to listen.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::listener::TcpListener;
use crate::acceptor::BACKLOG;
use crate::address::{self, ToSocketAddrs};

/// How a [`TcpListener`] is bound. Not in std, which has one way.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::ListenOptions;
///
/// test::run(|| {
///     let first = ListenOptions::new().shared(true).backlog(50).bind("127.0.0.1:0").unwrap();
///     let address = first.local_addr().unwrap();
///     ListenOptions::new().shared(true).bind(address).unwrap();
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing listens until it is bound"]
pub struct ListenOptions {
    backlog: i32,
    shared: bool,
    v6_only: Option<bool>,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions { backlog: BACKLOG, shared: false, v6_only: None }
    }
}

impl ListenOptions {
    /// What [`TcpListener::bind`] does: up to 1024 connections wait to be accepted, and the address is not shared.
    pub fn new() -> ListenOptions {
        ListenOptions::default()
    }

    /// How many connections may wait to be accepted (SOK-9); the system has a limit of its own, and may be lower.
    pub fn backlog(mut self, connections: u32) -> ListenOptions {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        self
    }

    /// Whether other listeners may be bound to the same address (SO_REUSEPORT).
    pub fn shared(mut self, shared: bool) -> ListenOptions {
        self.shared = shared;
        self
    }

    /// Whether an IPv6 address takes IPv6 connections only (IPV6_V6ONLY, RFC 3493, 5.3); as the system has it unless set.
    ///
    /// No effect on IPv4 addresses.
    pub fn only_v6(mut self, only_v6: bool) -> ListenOptions {
        self.v6_only = Some(only_v6);
        self
    }

    /// Listens on the first of the addresses that can be had.
    ///
    /// # Errors
    ///
    /// What the system says of the last address.
    pub fn bind(&self, addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        address::each(addresses, |address| self.bind_one(address))
    }

    /// As [`TcpListener::bind_dual_stack`].
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_dual_stack(&self, port: u16) -> io::Result<TcpListener> {
        let both = self.clone().only_v6(false).bind((Ipv6Addr::UNSPECIFIED, port));
        match both {
            // No IPv6 in this kernel, or no address of it on this machine.
            Err(error) if is_missing(&error) => self.bind((Ipv4Addr::UNSPECIFIED, port)),
            bound => bound,
        }
    }

    fn bind_one(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if self.shared {
            socket.set_reuse_port(true)?;
        }
        if let Some(v6_only) = self.v6_only.filter(|_| address.is_ipv6()) {
            socket.set_only_v6(v6_only)?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        Ok(TcpListener::of_nonblocking(socket.into()))
    }
}

fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::NOPROTOOPT];
    Errno::from_io_error(error).is_some_and(|errno| missing.contains(&errno))
}
