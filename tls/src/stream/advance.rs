//! A step of the handshake, in which rustls may wait for a signature that is made off the loop.
//!
//! ```text
//!   session ──► rustls's connection and what has come ──► run, which may suspend ──► back into the session
//!                                                                └ cut off: both are lost, and the session has failed
//! ```
//!
//! # Invariants
//!
//! - Whoever runs it has rustls's connection to itself: the session is not borrowed, and says that the handshake is not
//!   done. Facts of the connection are not known meanwhile.
//! - The connection comes back, or the session says why there is none.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Instant;

use grapeshot_core::{in_coroutine, with_deadline};

use super::TlsStream;
use super::outgoing::Outgoing;
use super::step::{Connection, Driven, Sink};
use crate::carrier::Carrier;
use crate::error::TlsError;

/// What a step of the handshake works on.
pub(super) struct Advance {
    pub(super) connection: Connection,
    /// What has come of the peer's.
    pub(super) bytes: Vec<u8>,
    /// Decrypted, where the handshake's end and data have come together.
    pub(super) plain: Vec<u8>,
    pub(super) outgoing: Outgoing,
    pub(super) driven: Driven,
}

impl Advance {
    pub(super) fn new(connection: Connection, bytes: Vec<u8>) -> Advance {
        Advance {
            connection,
            bytes,
            plain: Vec::new(),
            outgoing: Outgoing::default(),
            driven: Driven { used: 0, peer_closed: false, done: Ok(()) },
        }
    }

    /// Runs rustls until it needs more bytes. May suspend.
    fn run(&mut self) {
        let mut sink = Sink { buf: &mut [], filled: 0, spill: &mut self.plain };
        self.driven = self.connection.drive(&mut self.bytes, &mut self.outgoing, &mut sink, None);
    }
}

/// A step of the handshake under way: when this is dropped before its end, the connection is lost.
pub(super) struct UnderWay<'a, S: Carrier> {
    stream: &'a TlsStream<S>,
    advance: Option<Advance>,
}

impl<'a, S: Carrier> UnderWay<'a, S> {
    /// Takes out what there is to work on; `None` if more bytes have to come first.
    pub(super) fn begin(stream: &'a TlsStream<S>) -> Option<UnderWay<'a, S>> {
        let advance = stream.session.borrow_mut().take_out()?;
        Some(UnderWay { stream, advance: Some(advance) })
    }

    /// Takes the step. May suspend, until the deadline.
    ///
    /// # Errors
    ///
    /// `TimedOut`: the connection is lost, and it is for the caller to say so.
    pub(super) fn run(mut self, deadline: Option<Instant>) -> io::Result<()> {
        let Some(advance) = &mut self.advance else { return Ok(()) };
        match deadline {
            // What unwinds waits for nothing.
            Some(deadline) if in_coroutine() && !thread::panicking() => {
                if with_deadline(deadline, || advance.run()).is_err() {
                    self.advance = None;
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            _ => advance.run(),
        }
        if let Some(advance) = self.advance.take() {
            self.stream.session.borrow_mut().put_back(advance);
        }
        Ok(())
    }
}

impl<S: Carrier> Drop for UnderWay<'_, S> {
    fn drop(&mut self) {
        if self.advance.take().is_none() {
            return;
        }
        let mut session = self.stream.session.borrow_mut();
        let peer = session.peer().clone();
        session.fail(TlsError::HandshakeAbandoned { peer });
        session.name_client(|| self.stream.carrier.peer());
        drop(session);
        // There is no alert to be had of rustls any more, but the peer need not wait for its limit.
        self.stream.give_up();
    }
}
