//! What carries the messages: a small trait, so that sockets, TLS, pipes, memory and message brokers all can.
//!
//! TCP and Unix sockets, memory pairs and (feature `tls`) TLS streams are transports themselves.
//! A child's pipes are one in [`ChildTransport`], this program's own in [`Stdio`], and any other stream in [`AnyStream`].

mod sockets;
#[cfg(feature = "tls")]
mod tls;
mod child;
mod stdio;
mod any;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use grapeshot_core::WaitLimit;

pub use self::any::AnyStream;
pub use self::child::{ChildExit, ChildTransport};
pub use self::stdio::Stdio;

/// Bytes in order in both directions. One coroutine reads while another writes.
pub trait Transport: 'static {
    /// Does what comes before the first message, such as the handshake of TLS; a transport that has nothing to do is done.
    ///
    /// It suspends, within a limit that the transport has itself, and is called in the connection's own coroutine,
    /// so a slow peer holds up nobody else. The [`identity`](Self::identity) is complete afterwards.
    /// Not to call it is no mistake: the first read or write does it then.
    ///
    /// # Errors
    ///
    /// What the carrier says.
    fn establish(&self) -> io::Result<()> {
        Ok(())
    }

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

    /// Writes what can be written at once, and says how much that was. Never suspends.
    ///
    /// It spares a lone call the way over the connection's writer. Whoever cannot do it, or carries whole messages only,
    /// leaves it as it is.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing can, and the same without an attempt; as `Write::write`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        Err(io::ErrorKind::WouldBlock.into())
    }

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

    /// The same in words, for errors and logs.
    fn peer(&self) -> String {
        self.identity().to_string()
    }
}

/// Forwards to what is inside.
macro_rules! forwarded {
    ($($Holder:ident),*) => {$(
        impl<T: Transport + ?Sized> Transport for $Holder<T> {
            fn establish(&self) -> io::Result<()> {
                (**self).establish()
            }

            fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
                (**self).read_within(buf, limit)
            }

            fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
                (**self).write_all_within(bytes, limit)
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                (**self).try_write(bytes)
            }

            fn end_writing(&self) -> io::Result<()> {
                (**self).end_writing()
            }

            fn close(&self) {
                (**self).close();
            }

            fn identity(&self) -> Identity {
                (**self).identity()
            }

            fn peer(&self) -> String {
                (**self).peer()
            }
        }
    )*};
}

forwarded!(Box, Rc);

/// Writes all bytes with a call that writes some of them.
fn write_all(bytes: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

impl fmt::Display for Identity {
    /// The most telling of what is known: the key's name and the address, or the process, or that nothing is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "{key} at ")?;
        }
        match (self.address, self.credentials) {
            (Some(address), _) => write!(f, "{address}"),
            (None, Some(Credentials { uid, pid: Some(pid), .. })) => write!(f, "process {pid} of user {uid}"),
            (None, Some(Credentials { uid, .. })) => write!(f, "a process of user {uid}"),
            (None, None) => f.write_str("an unknown peer"),
        }
    }
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
