//! What carries the bytes of a connection.

use std::io;

use grapeshot_net::memory::MemoryStream;
use grapeshot_net::{TcpStream, UnixStream, WaitLimit};

/// What a [`Connector`](super::Connector) makes: bytes in order both ways, one reader and one writer at a time.
pub trait Transport {
    /// Reads what there is, waiting at most as `limit` says; 0 is the peer's orderly end.
    ///
    /// # Errors
    ///
    /// As `Read::read`; [`io::ErrorKind::TimedOut`]. Over TLS an end that the peer did not announce is
    /// [`io::ErrorKind::UnexpectedEof`], so that an answer cut off on its way is not taken for a whole one.
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize>;

    /// Writes what fits, waiting at most as `limit` says.
    ///
    /// # Errors
    ///
    /// As `Write::write`; [`io::ErrorKind::TimedOut`].
    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize>;

    /// Ends every wait on it with an error, and all further use. Never suspends.
    fn close(&self);
}

macro_rules! transport {
    ($($Stream:ty),*) => {$(
        impl Transport for $Stream {
            fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
                self.read_within(buf, limit)
            }

            fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
                self.write_within(bytes, limit)
            }

            fn close(&self) {
                self.close();
            }
        }
    )*};
}

transport!(TcpStream, UnixStream, MemoryStream);

#[cfg(feature = "tls")]
impl<S: grapeshot_tls::Carrier> Transport for grapeshot_tls::TlsStream<S> {
    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.read_within(buf, limit)
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        self.write_within(bytes, limit)
    }

    /// Says no goodbye, which might have to wait; a drop does, where it goes without waiting.
    fn close(&self) {
        grapeshot_tls::Carrier::close(self.inner());
    }
}
