//! What carries the messages: a small trait, so that sockets, TLS, pipes, memory and message brokers all can.

use std::io;
use std::net::SocketAddr;

use grapeshot_core::WaitLimit;

/// Bytes in order in both directions. One coroutine reads while another writes.
pub trait Transport: 'static {
    /// Reads what is there, waiting at most as `limit` says; 0 at the end.
    ///
    /// # Errors
    ///
    /// As `Read::read`; [`io::ErrorKind::TimedOut`].
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize>;

    /// Writes all of it, waiting at most as `limit` says for each part to be taken.
    ///
    /// It is given whole messages, one or several: a carrier of messages can make one of its own of each call.
    ///
    /// # Errors
    ///
    /// As `Write::write_all`; [`io::ErrorKind::TimedOut`].
    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()>;

    /// Tells the peer that no more follows, and keeps on reading.
    ///
    /// # Errors
    ///
    /// What the carrier says.
    fn end_writing(&self) -> io::Result<()>;

    /// Ends every wait on it with an error, and all further use. Never suspends.
    fn close(&self);

    /// Who is at the other end, as far as the carrier knows.
    fn identity(&self) -> Identity {
        Identity::default()
    }
}

/// Who a peer is, as far as its transport can tell.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its address, on TCP.
    pub address: Option<SocketAddr>,
    /// User, group and process, on a Unix socket.
    pub credentials: Option<Credentials>,
    /// Its certificate (DER), when it showed one over TLS and the chain was verified.
    pub certificate: Option<Vec<u8>>,
    /// The key with which it proved itself, by its name.
    pub key: Option<String>,
}

/// The process at the other end of a Unix socket, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its id, where the kernel knows it.
    pub pid: Option<i32>,
}
