//! What only the kernel knows: the numbers of interfaces, and from which address it would reach another.
//!
//! Nothing is sent, and nothing here waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;

use grapeshot_net::UdpSocket;
use rustix::net::netdevice;

use super::files;
use crate::proto::{HostAddress, LocalAddresses, PolicyTable, SourceAddress, sort_addresses};

/// For how many addresses of a host the source is found out; those behind them keep their order.
pub(crate) const MAX_SORTED: usize = 64;

/// How much is read of the list of local addresses, in bytes.
const MAX_ADDRESS_LIST: u64 = 256 << 10;

/// An address with its port; `None` if its zone names no interface of this machine.
pub(crate) fn socket_address(address: &HostAddress, port: u16) -> Option<SocketAddr> {
    match (address.ip, &address.zone) {
        (IpAddr::V6(ip), Some(zone)) => Some(SocketAddrV6::new(ip, port, 0, zone_number(zone)?).into()),
        (ip, _) => Some(SocketAddr::new(ip, port)),
    }
}

/// The number of an interface, given by its name or by that number.
fn zone_number(zone: &str) -> Option<u32> {
    // Any socket will do to ask with.
    let by_name = || netdevice::name_to_index(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?, zone).ok();
    by_name().or_else(|| zone.parse().ok())
}

/// Sorts addresses by RFC 6724, so that the one to be tried first comes first. Never suspends.
pub(crate) fn sort_by_preference(addresses: &mut [SocketAddr], table: &PolicyTable, local: &LocalAddresses) {
    let sorted = addresses.len().min(MAX_SORTED);
    if sorted < 2 {
        return;
    }
    let source = |to: &SocketAddr| source_address(*to, local);
    sort_addresses(&mut addresses[..sorted], table, SocketAddr::ip, source);
}

/// The address from which the system would reach another; `None` if it would not.
fn source_address(to: SocketAddr, local: &LocalAddresses) -> Option<SourceAddress> {
    let ip = find_source(to).ok()?;
    Some(local.describe(ip))
}

/// Lets the kernel choose a source by fixing the peer of a datagram socket, which sends nothing.
fn find_source(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // The port is of no importance, but zero is refused by some kernels.
    let mut to = to;
    to.set_port(if to.port() == 0 { 53 } else { to.port() });
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// This machine's own addresses, as the kernel lists them; none if it does not.
pub(crate) fn local_addresses() -> LocalAddresses {
    let list = files::read_up_to(Path::new("/proc/net/if_inet6"), MAX_ADDRESS_LIST);
    LocalAddresses::parse(&list.unwrap_or_default())
}
