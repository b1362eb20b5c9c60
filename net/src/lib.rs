//! Sockets and pipes with std's names and results, for coroutines: a call that would block parks its caller
//! and nobody else.
//!
//! ```text
//!   TcpStream, UnixStream, PipeReader … ─┐                                       ┌─ attempt at once
//!   UdpSocket, UnixDatagram ─────────────┼─► Channel { Source, a limit each way } ┤
//!   Pollable<any descriptor> ────────────┘                                       └─ park when the kernel says
//!   TcpListener, UnixListener ───────────► Acceptor { Source, limit, back-off } ──┘  would-block
//! ```
//!
//! What std has, this has with the same name, arguments and results; every difference is said on the item.
//! Code of other crates that wants `Read + Write` runs on these sockets unmodified.
//!
//! # Invariants
//!
//! - An operation is tried at once and waits only on would-block.
//! - One coroutine may read while another writes, as all operations take `&self`; two readers, or two writers,
//!   get [`SimultaneousError`](grapeshot_core::SimultaneousError).
//! - A limit on one operation gives [`io::ErrorKind::TimedOut`](std::io::ErrorKind::TimedOut), and the socket can be used on.
//!   A limit on a piece of work unwinds: that is `with_timeout`.
//! - Cancellation and limits are never reported as `Interrupted`, which std retries for ever.
//! - Outside a coroutine the same calls block their thread, as std's do.
//! - Handles are `Send`: one that is used under another runtime registers there.
//!
//! # Features
//!
//! Both are off, and add nothing but implementations: `futures-io` and `tokio-io`, the poll-style I/O traits of the crates
//! of those names on the streams here, for futures inside `block_on` (module `poll_io`).
//!
//! # What is absent
//!
//! Names: this layer takes numeric addresses only, and never looks one up.
//!
//! # Reading order
//!
//! `channel.rs` and `handle.rs`, which all handles are made of; `tcp/stream.rs`, `tcp/listener.rs`, `address.rs`; then `buffered/`, `memory/` and `poll_io/`.
#![forbid(unsafe_code)]

mod tcp;
mod udp;
pub mod unix;
pub mod proxy_protocol;
mod inherited;
mod pipe;
mod pollable;
mod options;
pub mod process;
pub mod stdio;
pub mod tty;
mod address;
mod whole;
mod buffered;
pub mod memory;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub mod poll_io;
mod channel;
mod acceptor;
mod listening;
mod drain;
mod handle;
mod pace;
mod timeout;

pub use self::address::{NotNumeric, ToSocketAddrs};
pub use self::buffered::{Blocks, BufStream, Parts, ReadLimit, WriteLimit, WriteMode};
pub use self::drain::{Drain, ServerHandle};
pub use self::inherited::Inherited;
pub use self::options::SocketOptions;
pub use self::pipe::{PipeReader, PipeWriter, pipe};
pub use self::pollable::Pollable;
pub use self::tcp::{Incoming, Keepalive, ListenOptions, TcpListener, TcpStream};
pub use self::udp::UdpSocket;
pub use self::unix::{PathTooLong, UnixDatagram, UnixListener, UnixStream};
pub use self::whole::PartialRead;
pub use grapeshot_core::WaitLimit;
pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
