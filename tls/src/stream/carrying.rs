//! TLS inside TLS: a stream that carries another one, through a proxy that speaks TLS itself.

use std::io::{self, ErrorKind, Read};

use grapeshot_core::WaitLimit;

use super::TlsStream;
use crate::carrier::{Carrier, Patience};

struct Patiently<'a, S: Carrier>(&'a TlsStream<S>, Patience);

impl<S: Carrier> Read for Patiently<'_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_patiently(buf, self.1)
    }
}

impl<S: Carrier> Carrier for TlsStream<S> {
    fn read_with(
        &self,
        patience: Patience,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> io::Result<usize> {
        read(&mut Patiently(self, patience))
    }

    fn write_within(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        TlsStream::write_within(self, bytes, limit)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_at_once(bytes)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.queue_close_notify();
        self.try_send()
    }

    fn close(&self) {
        self.queue_close_notify();
        // A peer that takes nothing now is told nothing.
        let _ = self.try_send();
        self.carrier.close();
    }

    fn peer(&self) -> Option<String> {
        self.carrier.peer()
    }
}

impl<S: Carrier> TlsStream<S> {
    /// Takes bytes only when all of what is taken can go at once, or nearly so.
    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_send()?;
        let mut session = self.session.borrow_mut();
        if self.turns.sending.get() || !session.is_established() || !session.outgoing.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let bytes = &bytes[..bytes.len().min(super::transfer::WRITE_SIZE)];
        session.encrypt(bytes)?;
        drop(session);
        self.try_send()?;
        Ok(bytes.len())
    }
}
