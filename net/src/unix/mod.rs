//! Unix sockets: streams, listeners and datagrams between the processes of one machine.
//!
//! Names, arguments and results are those of `std::os::unix::net`; an address is that module's [`SocketAddr`]:
//! a path, an abstract name (`std::os::linux::net::SocketAddrExt`), or none.
//!
//! # Differences from std
//!
//! - A path that does not fit an address is refused by name: [`PathTooLong`].
//! - Descriptors travel along ([`UnixStream::send_with_fds`]), and a peer says who it is ([`UnixStream::peer_cred`]).
//! - Where the kernel has no news that a wait is over (a listener or a receiver whose queue was full),
//!   the call tries again in pauses of 1 to 50 ms.

mod stream;
mod listener;
mod datagram;
mod address;
mod descriptors;
mod credentials;

pub use self::address::PathTooLong;
pub use self::credentials::UCred;
pub use self::datagram::UnixDatagram;
pub use self::descriptors::{MAX_DESCRIPTORS, TooManyDescriptors};
pub use self::listener::{Incoming, UnixListener};
pub use self::stream::UnixStream;
pub use std::os::unix::net::SocketAddr;
