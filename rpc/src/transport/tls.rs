//! TLS over any transport that can carry it.

use std::io::{self, ErrorKind};

use grapeshot_core::{OperationTimedOut, WaitLimit};
use grapeshot_tls::{Carrier, TlsStream};

use super::{Identity, Transport, write_all};

impl<S: Carrier + Transport> Transport for TlsStream<S> {
    /// Does the handshake, within the limit that the TLS configuration sets.
    fn establish(&self) -> io::Result<()> {
        self.handshake()
    }

    fn read_within(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        TlsStream::read_within(self, buf, limit)
    }

    fn write_all_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<()> {
        write_all(bytes, |rest| self.write_within(rest, limit))?;
        // A write whose last records met the limit says that they were taken, and leaves them to the next.
        if self.buffered().unsent > 0 {
            return Err(OperationTimedOut::new("write").into());
        }
        Ok(())
    }

    /// Says close_notify, waiting at most as long as the TLS limits say.
    fn end_writing(&self) -> io::Result<()> {
        match self.close_write() {
            // The carrier may have been shut down by the peer already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }

    fn close(&self) {
        Carrier::close(self);
    }

    /// What the carrier knows, and the peer's certificate once the handshake is done.
    ///
    /// A client whose configuration accepts any certificate (its name says `danger`) has verified none.
    fn identity(&self) -> Identity {
        let chain = self.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|certificate| certificate.to_vec());
        Identity { certificate, ..self.inner().identity() }
    }

    fn peer(&self) -> String {
        Transport::peer(self.inner())
    }
}
