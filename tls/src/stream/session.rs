//! The protocol's side of a stream: rustls, and the bytes on either side of it. It waits for nothing.
//!
//! ```text
//!   carrier ──► raw (what is no whole record yet) ──► rustls ──► plain ──► reader
//!   carrier ◄── outgoing (records in order) ◄──────── rustls ◄──────────── writer
//! ```
//!
//! # Invariants
//!
//! - Every whole record is taken in as soon as it is there: `raw` never holds one. So whoever writes finds rustls ready.
//! - A connection that has failed stays failed, with the same error, and its alert is in `outgoing` once.
//! - Buffers are held only while there are bytes in them.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error};

use super::outgoing::Outgoing;
use super::step::{Connection, Order, Sink, Step};
use crate::error::{Peer, TlsError};
use crate::proto::{Hello, Protocol, look};

/// The most that may wait for the end of a record or of a handshake message. A message is at most 64 KiB for rustls;
/// a peer that sends it in tiny records needs more, and is not waited for.
const MAX_RAW: usize = 128 << 10;

/// One TLS connection without its stream.
pub(crate) struct Session {
    connection: Connection,
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
    pub(crate) fn client(config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Result<Session, Error> {
        let connection = UnbufferedClientConnection::new(config, name.clone())?;
        Ok(Session::new(Connection::Client(Box::new(connection)), Peer::Server(name), None))
    }

    pub(crate) fn server(mut config: Arc<rustls::ServerConfig>) -> Result<Session, Error> {
        // Data of a resumed client's first flight can be replayed by anyone (RFC 8446, 8): there is no reading them here.
        if config.max_early_data_size > 0 {
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Session::new(Connection::Server(Box::new(connection)), Peer::Client(None), Some(1)))
    }

    fn new(connection: Connection, peer: Peer, hello: Option<usize>) -> Session {
        Session {
            connection,
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

    /// What rustls knows of the connection.
    pub(crate) fn state(&self) -> &CommonState {
        self.connection.state()
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
        match &self.connection {
            Connection::Server(_) => self.server_name.as_deref(),
            Connection::Client(_) => None,
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        !self.state().is_handshaking()
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

    /// Lets a client say its hello.
    pub(super) fn begin(&mut self) {
        self.take_in(&mut [], &mut []);
    }

    /// Takes in `bytes`, which begin with what [`raw`](Self::raw) held; puts decrypted bytes into `buf` as long as
    /// there is room, and says how many. A failure is found in [`failure`](Self::failure).
    pub(super) fn take_in(&mut self, bytes: &mut [u8], buf: &mut [u8]) -> usize {
        if self.failure.is_some() || self.peer_closed {
            return 0;
        }
        if !self.has_hello(bytes) {
            self.keep(bytes);
            return 0;
        }
        let mut plain = std::mem::take(&mut self.plain);
        let mut sink = Sink { buf, filled: 0, spill: &mut plain };
        let (used, done) = self.drive(bytes, &mut sink, None);
        let filled = sink.filled;
        self.plain = plain;
        self.untouched &= used == 0;
        match done {
            Err(error) => self.fail_by(error, &mut bytes[used..]),
            Ok(()) => self.keep(&bytes[used..]),
        }
        filled
    }

    /// Runs rustls until it needs more bytes, carrying out the order on the way; says how many bytes it is done with.
    fn drive(
        &mut self,
        bytes: &mut [u8],
        sink: &mut Sink<'_>,
        mut order: Option<Order<'_>>,
    ) -> (usize, Result<(), Error>) {
        let mut used = 0;
        loop {
            let (discard, step) = self.connection.step(&mut bytes[used..], &mut self.outgoing, sink, &mut order);
            used += discard;
            match step {
                Step::Again => {}
                Step::PeerClosed => self.peer_closed = true,
                Step::Quiet => return (used, Ok(())),
                Step::Failed(error) => return (used, Err(error)),
            }
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
        let mut nowhere = Sink { buf: &mut [], filled: 0, spill: &mut Vec::new() };
        // Only as long as there is something to send: rustls would look at the same bytes again.
        while self.state().wants_write() {
            let _ = self.connection.step(bytes, &mut self.outgoing, &mut nowhere, &mut None);
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
        let mut raw = std::mem::take(&mut self.raw);
        let mut nowhere = Sink { buf: &mut [], filled: 0, spill: &mut Vec::new() };
        // Nothing is decrypted here, as no whole record waits.
        let (used, done) = self.drive(&mut raw, &mut nowhere, Some(order));
        raw.drain(..used);
        self.raw = raw;
        done
    }

    fn broken_by(&mut self, error: Error) -> TlsError {
        let failure = TlsError::of_rustls(self.peer.clone(), error);
        self.fail(failure.clone());
        failure
    }
}
