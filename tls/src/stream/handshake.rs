//! The handshake, done by one coroutine for all who need it.

use std::io::{self, ErrorKind};

use grapeshot_core::{ClosedError, WaitLimit, now};

use super::TlsStream;
use super::advance::UnderWay;
use crate::carrier::{Carrier, Patience};
use crate::error::TlsError;

impl<S: Carrier> TlsStream<S> {
    /// Does the handshake, unless it is done, or waits for the coroutine that does it.
    ///
    /// Reading and writing do so by themselves; to call it says when, and where an error belongs.
    ///
    /// # Errors
    ///
    /// [`TlsError`] as it went: above all
    /// [`CertificateRefused`](TlsError::CertificateRefused), [`HandshakeTimedOut`](TlsError::HandshakeTimedOut),
    /// [`NotTls`](TlsError::NotTls); what the stream below fails with.
    ///
    /// # Cancellation
    ///
    /// Unwinds. The next that uses the stream goes on with the handshake, within the same limit; unless it was cut off
    /// while a signature was made off the loop (see [`Signing`](crate::Signing)): then the connection is lost, the peer
    /// sees its end, and the next gets [`HandshakeAbandoned`](TlsError::HandshakeAbandoned).
    pub fn handshake(&self) -> io::Result<()> {
        self.handshake_first()?;
        if self.opening.get() { self.send_opening() } else { Ok(()) }
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        self.session.borrow().is_established()
    }

    /// Changes the keys and asks the peer to change its own (RFC 8446, 4.6.3), for a connection that lives long.
    ///
    /// rustls does so by itself before a key has been used too much. Never suspends; what does not leave at once leaves
    /// with the next write.
    ///
    /// # Errors
    ///
    /// `InvalidInput` before the handshake is done, and with TLS 1.2, which has no such thing; a closed error once this
    /// end has said that it sends no more; what the stream below fails with.
    pub fn refresh_traffic_keys(&self) -> io::Result<()> {
        if self.session.borrow().is_closed() {
            return Err(ClosedError::new("refresh_traffic_keys").into());
        }
        let done = self.session.borrow_mut().refresh_traffic_keys();
        done.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        self.try_send()
    }

    /// Does the handshake as far as this end needs it: what it says last may leave with the first bytes.
    pub(super) fn handshake_first(&self) -> io::Result<()> {
        loop {
            let session = self.session.borrow();
            if let Some(failure) = session.failure() {
                return Err(failure.clone().into());
            }
            if session.is_established() {
                return Ok(());
            }
            drop(session);
            if self.turns.handshake.get() {
                self.turns.wait("the TLS handshake", None)?;
                continue;
            }
            let _turn = self.turns.take(&self.turns.handshake);
            if self.handshake_deadline.get().is_none() {
                self.handshake_deadline.set(now().checked_add(self.limits().handshake));
            }
            self.take_steps().map_err(|error| self.explain(error))?;
        }
    }

    /// Sends the last messages of the handshake, which it counts as a part of.
    pub(super) fn send_opening(&self) -> io::Result<()> {
        self.send(self.handshake_limit()).map_err(|error| self.explain(error))
    }

    fn handshake_limit(&self) -> WaitLimit {
        self.handshake_deadline.get().map_or(WaitLimit::Never, WaitLimit::At)
    }

    fn take_steps(&self) -> io::Result<()> {
        let limit = self.handshake_limit();
        loop {
            // The first lets a client say its hello, and goes on with what has come if an earlier one was cut off.
            self.take_step()?;
            if self.is_established() {
                return Ok(());
            }
            self.send(limit)?;
            self.fill_from_carrier(&mut [], Patience::Within(limit))?;
        }
    }

    /// Lets rustls take in what has come, and waits for a signature if it needs one that is made off the loop.
    fn take_step(&self) -> io::Result<()> {
        if let Some(step) = UnderWay::begin(self) {
            step.run(self.handshake_deadline.get().filter(|_| self.may_sign_off_loop))?;
        }
        let mut session = self.session.borrow_mut();
        session.name_client(|| self.carrier.peer());
        let failure = session.failure().cloned();
        drop(session);
        let Some(failure) = failure else { return Ok(()) };
        self.give_up();
        Err(failure.into())
    }

    /// Says of a limit that passed whose it was, and lets nobody try again.
    fn explain(&self, error: io::Error) -> io::Error {
        if error.kind() != ErrorKind::TimedOut || TlsError::of(&error).is_some() {
            return error;
        }
        let mut session = self.session.borrow_mut();
        let failure = TlsError::HandshakeTimedOut { peer: session.peer().clone(), limit: self.limits().handshake };
        session.fail(failure);
        session.name_client(|| self.carrier.peer());
        let failure = session.failure().cloned();
        drop(session);
        self.give_up();
        failure.map_or(error, io::Error::from)
    }

    /// Ends a connection that has failed: the alert goes out if it can, and the peer sees the end.
    pub(super) fn give_up(&self) {
        // The failure is what counts; a peer that cannot be told of it has lost the connection anyway.
        let _ = self.try_send();
        let _ = self.carrier.end_writing();
    }
}
