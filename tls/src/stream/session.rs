//! The protocol's side of a stream: rustls, and the bytes on either side of it. It waits for nothing.
//!
//! ```text
//!   carrier ──► raw (what is no whole record yet) ──► rustls ──► plain ──► reader
//!   carrier ◄── outgoing (records in order) ◄──────── rustls ◄──────────── writer
//! ```
//!
//! # Invariants
//!
//! - Once the handshake is done, every whole record is taken in as soon as it is there: `raw` never holds one. So whoever
//!   writes finds rustls ready.
//! - During the handshake rustls's connection is away while a step is taken (see `advance.rs`).
//! - A connection that has failed stays failed, with the same error, and its alert is in `outgoing` once.
//! - Buffers are held only while there are bytes in them.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error};

use super::advance::Advance;
use super::outgoing::Outgoing;
use super::step::{Connection, Driven, Order, Sink};
use crate::error::{Peer, TlsError};
use crate::proto::{Hello, Protocol, look};

/// The most that may wait for the end of a record or of a handshake message. A message is at most 64 KiB for rustls;
/// a peer that sends it in tiny records needs more, and is not waited for.
const MAX_RAW: usize = 128 << 10;

/// One TLS connection without its stream.
pub(crate) struct Session {
    /// Away during a step of the handshake, and after one that was cut off.
    connection: Option<Connection>,
    peer: Peer,
    /// A client hello is looked at as a whole before rustls gets it; so many bytes have to be there.
    hello: Option<usize>,
    server_name: Option<Box<str>>,
    raw: Vec<u8>,
    plain: Vec<u8>,
    /// How much of `plain` has been read.
    plain_read: usize,
    pub(super) outgoing: Outgoing,
    failure: Option<Box<TlsError>>,
    /// The peer has said that it sends no more.
    peer_closed: bool,
    /// This end has said so.
    closed: bool,
    /// Nothing has come of the peer's yet.
    untouched: bool,
}

impl Session {
    pub(super) fn client(config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Result<Session, Error> {
        let connection = UnbufferedClientConnection::new(config, name.clone())?;
        Ok(Session::new(Connection::Client(Box::new(connection)), Peer::Server(name), None))
    }

    pub(super) fn server(config: Arc<rustls::ServerConfig>) -> Result<Session, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Session::new(Connection::Server(Box::new(connection)), Peer::Client(None), Some(1)))
    }

    fn new(connection: Connection, peer: Peer, hello: Option<usize>) -> Session {
        Session {
            connection: Some(connection),
            peer,
            hello,
            server_name: None,
            raw: Vec::new(),
            plain: Vec::new(),
            plain_read: 0,
            outgoing: Outgoing::default(),
            failure: None,
            peer_closed: false,
            closed: false,
            untouched: true,
        }
    }

    /// What rustls knows of the connection; `None` during a step of the handshake, and after one that was cut off.
    pub(crate) fn state(&self) -> Option<&CommonState> {
        self.connection.as_ref().map(Connection::state)
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Has the failure say who the client is, by an address that is asked for when it is needed.
    pub(super) fn name_client(&mut self, address: impl FnOnce() -> Option<String>) {
        if self.peer == Peer::Client(None)
            && let Some(failure) = self.failure.take()
        {
            self.peer = Peer::Client(address());
            self.failure = Some(Box::new(failure.with_peer(self.peer.clone())));
        }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        // A client has no hello to look into.
        self.server_name.as_deref()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.state().is_some_and(|state| !state.is_handshaking())
    }

    pub(crate) fn failure(&self) -> Option<&TlsError> {
        self.failure.as_deref()
    }

    pub(crate) fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many decrypted bytes wait to be read, and how many encrypted ones for the rest of their record.
    pub(crate) fn buffered(&self) -> (usize, usize) {
        (self.plain.len() - self.plain_read, self.raw.len())
    }

    /// The beginning of what has not been taken in, which a reader puts before what it reads.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Takes decrypted bytes.
    pub(crate) fn take_plain(&mut self, buf: &mut [u8]) -> usize {
        let unread = &self.plain[self.plain_read..];
        let count = unread.len().min(buf.len());
        buf[..count].copy_from_slice(&unread[..count]);
        self.plain_read += count;
        if self.plain_read == self.plain.len() {
            (self.plain, self.plain_read) = (Vec::new(), 0);
        }
        count
    }

    /// Keeps what has come during the handshake, which begins with what [`raw`](Self::raw) held.
    pub(super) fn keep_for_handshake(&mut self, bytes: &[u8]) {
        self.raw = bytes.to_vec();
    }

    /// Takes out what a step of the handshake works on, unless more bytes have to come first.
    pub(super) fn take_out(&mut self) -> Option<Advance> {
        if self.failure.is_some() {
            return None;
        }
        let bytes = std::mem::take(&mut self.raw);
        if !self.has_hello(&bytes) {
            self.keep(&bytes);
            return None;
        }
        Some(Advance::new(self.connection.take()?, bytes))
    }

    /// Puts back what a step of the handshake has left. A failure is found in [`failure`](Self::failure).
    pub(super) fn put_back(&mut self, advance: Advance) {
        let Advance { connection, mut bytes, plain, mut outgoing, driven } = advance;
        self.connection = Some(connection);
        self.plain.extend_from_slice(&plain);
        if self.outgoing.is_empty() {
            std::mem::swap(&mut self.outgoing, &mut outgoing);
        } else {
            self.outgoing.extend(outgoing.bytes());
        }
        self.settle(driven, &mut bytes);
    }

    /// Takes in `bytes`, which begin with what [`raw`](Self::raw) held; puts decrypted bytes into `buf` as long as
    /// there is room, and says how many. A failure is found in [`failure`](Self::failure).
    ///
    /// For when the handshake is done.
    pub(super) fn take_in(&mut self, bytes: &mut [u8], buf: &mut [u8]) -> usize {
        if self.failure.is_some() || self.peer_closed {
            return 0;
        }
        let Some(connection) = &mut self.connection else { return 0 };
        let mut sink = Sink { buf, filled: 0, spill: &mut self.plain };
        let driven = connection.drive(bytes, &mut self.outgoing, &mut sink, None);
        let filled = sink.filled;
        self.settle(driven, bytes);
        filled
    }

    /// Keeps what rustls has left of `bytes`, or fails as it did.
    fn settle(&mut self, driven: Driven, bytes: &mut [u8]) {
        self.untouched &= driven.used == 0;
        self.peer_closed |= driven.peer_closed;
        match driven.done {
            Err(error) => self.fail_by(error, &mut bytes[driven.used..]),
            Ok(()) => self.keep(&bytes[driven.used..]),
        }
    }

    /// Whether rustls may have the bytes: a server keeps a client hello back until it is whole, or cannot become so.
    fn has_hello(&mut self, bytes: &[u8]) -> bool {
        let Some(needed) = self.hello else { return true };
        if bytes.len() < needed {
            return false;
        }
        self.hello = match look(bytes) {
            Hello::Partial(needed) => Some(needed),
            Hello::Whole(name) => {
                self.server_name = name.map(String::into_boxed_str);
                None
            }
            Hello::Not => None,
        };
        self.hello.is_none()
    }

    /// Keeps what is no whole record yet.
    fn keep(&mut self, rest: &[u8]) {
        self.raw = Vec::new();
        if rest.is_empty() || self.peer_closed {
            return;
        }
        if rest.len() > MAX_RAW {
            self.fail(TlsError::Protocol { peer: self.peer.clone(), error: Error::PeerSentOversizedRecord });
            return;
        }
        self.raw = rest.to_vec();
    }

    /// Fails by what rustls found in `bytes`, with the alert that it wants to be sent.
    fn fail_by(&mut self, error: Error, bytes: &mut [u8]) {
        let protocol = Protocol::of(bytes);
        let failure = match error {
            Error::InvalidMessage(_) if self.untouched && protocol != Protocol::Tls => {
                TlsError::NotTls { peer: self.peer.clone(), protocol }
            }
            error => TlsError::of_rustls(self.peer.clone(), error),
        };
        if let Some(connection) = &mut self.connection {
            connection.say_alert(bytes, &mut self.outgoing);
        }
        self.fail(failure);
    }

    /// Ends the connection for this reason, unless it has failed before.
    pub(super) fn fail(&mut self, failure: TlsError) {
        self.raw = Vec::new();
        self.failure.get_or_insert_with(|| Box::new(failure));
    }

    /// The peer's stream has ended; it is a failure unless the peer has said so before.
    pub(super) fn end_of_stream(&mut self) {
        if self.peer_closed {
            return;
        }
        let peer = self.peer.clone();
        let protocol = Protocol::of(&self.raw);
        self.fail(if self.untouched && !self.raw.is_empty() && protocol != Protocol::Tls {
            TlsError::NotTls { peer, protocol }
        } else {
            TlsError::Truncated { peer, after_handshake: self.is_established() }
        });
    }

    /// Puts `data` among the outgoing records; the handshake must be done.
    pub(super) fn encrypt(&mut self, data: &[u8]) -> Result<(), TlsError> {
        match &self.failure {
            // It may still read, if it has only ended what it sends.
            None => {}
            Some(failure) if matches!(**failure, TlsError::Truncated { .. }) => {}
            Some(failure) => return Err((**failure).clone()),
        }
        self.order(Order::Encrypt(data)).map_err(|error| self.broken_by(error))
    }

    /// Says that this end sends no more, once.
    pub(super) fn say_close_notify(&mut self) {
        if std::mem::replace(&mut self.closed, true) || !self.is_established() {
            return;
        }
        if self.failure.as_deref().is_some_and(|failure| !matches!(failure, TlsError::Truncated { .. })) {
            return;
        }
        // A connection that cannot say it any more is at its end anyhow.
        let _ = self.order(Order::CloseNotify);
    }

    /// Changes the keys, and asks the peer to change its own (RFC 8446, 4.6.3).
    pub(super) fn refresh_traffic_keys(&mut self) -> Result<(), Error> {
        self.order(Order::RefreshKeys)
    }

    fn order(&mut self, order: Order<'_>) -> Result<(), Error> {
        if !self.is_established() {
            return Err(Error::HandshakeNotComplete);
        }
        let Some(connection) = &mut self.connection else { return Err(Error::HandshakeNotComplete) };
        let mut nowhere = Sink { buf: &mut [], filled: 0, spill: &mut Vec::new() };
        // Nothing is decrypted here, as no whole record waits.
        let driven = connection.drive(&mut self.raw, &mut self.outgoing, &mut nowhere, Some(order));
        self.peer_closed |= driven.peer_closed;
        self.raw.drain(..driven.used);
        driven.done
    }

    fn broken_by(&mut self, error: Error) -> TlsError {
        let failure = TlsError::of_rustls(self.peer.clone(), error);
        self.fail(failure.clone());
        failure
    }
}
