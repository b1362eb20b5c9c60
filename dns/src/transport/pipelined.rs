//! One connection for each server, opened when needed, shared, and closed when idle (RFC 7766, section 6.2).
//!
//! ```text
//!   none ──a query──► opening ──► open ──idle, broken, unanswered──► none
//!                     (others       │
//!                      wait)        └─ closed by the server under a query ──► opened once more for that query
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use grapeshot_core::sync::Mutex;
use grapeshot_core::{Builder, Group, in_coroutine, now, sleep_until};

use super::connection::{Connection, Pipe};
use super::error::ExchangeError;
use super::frames;
use super::ids::Ids;
use super::judge::Judge;
use super::notes::{Notes, TransportStats};
use super::room::{Place, Room};
use super::tcp::StreamOptions;
use crate::config::NameServer;
use crate::proto::{Query, Reply};

/// To so many servers connections are kept; the one that was added first goes first.
const MAX_SERVERS: usize = 32;

/// How connections of one kind are made.
pub(super) trait Dial {
    type Pipe: Pipe + 'static;

    /// Queries are filled up to a multiple of so many bytes.
    const PADDING: Option<u16>;

    fn dial(&self, server: &NameServer, deadline: Instant) -> Result<Self::Pipe, ExchangeError>;
}

pub(super) struct Pipelined<D: Dial> {
    dial: D,
    idle_timeout: Duration,
    ids: Ids,
    room: Room,
    peers: RefCell<Vec<Rc<Peer<D::Pipe>>>>,
    outgoing: RefCell<Vec<u8>>,
    /// Those who close what is idle; they end with the transport.
    closers: Group,
}

/// A server, and the connection to it.
struct Peer<P> {
    server: NameServer,
    /// Held by the one who connects.
    opening: Mutex<()>,
    connection: RefCell<Option<Rc<Connection<P>>>>,
    has_closer: Cell<bool>,
}

/// A connection that takes queries.
struct Open<P> {
    connection: Rc<Connection<P>>,
    /// It has been opened for this query.
    is_new: bool,
}

impl<D: Dial> Pipelined<D> {
    pub(super) fn new(dial: D, options: &StreamOptions) -> Pipelined<D> {
        Pipelined {
            dial,
            idle_timeout: options.idle_timeout,
            ids: Ids::new(options.seed),
            room: Room::new(options.in_flight.max(1)),
            peers: RefCell::default(),
            outgoing: RefCell::default(),
            closers: Group::new(),
        }
    }

    pub(super) fn stats(&self) -> TransportStats {
        self.room.stats()
    }

    pub(super) fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        self.room.enter(deadline)
    }

    /// Asks, in a place that the caller has.
    pub(super) fn exchange(
        &self,
        _: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let ended = self.ask(&self.peer(server), query, deadline, notes);
        self.room.count(&ended, notes);
        ended
    }

    fn ask(
        &self,
        peer: &Rc<Peer<D::Pipe>>,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let Open { connection, is_new } = self.connection(peer, deadline)?;
        notes.reused = !is_new;
        match self.ask_on(&connection, query, deadline, notes) {
            // A server may close what it believes to be idle while a query is on its way to it (RFC 7766, 6.2.4).
            Err(error) if !is_new && was_lost(&error) => {
                notes.reopened = true;
                drop(connection);
                let Open { connection, .. } = self.connection(peer, deadline)?;
                self.ask_on(&connection, query, deadline, notes)
            }
            ended => ended,
        }
    }

    fn ask_on(
        &self,
        connection: &Connection<D::Pipe>,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let strays = connection.strays();
        let flight = connection.enter(&self.ids)?;
        // Others may send while this one waits for the kernel's buffer.
        let mut frame = self.outgoing.take();
        frames::frame(query, flight.id(), D::PADDING, &mut frame);
        let sent = connection.send(&frame, deadline);
        notes.sent = frame.len();
        self.outgoing.replace(frame);
        sent?;
        let mut judge = Judge::new(query, flight.id());
        let ended = connection.wait(&flight, deadline, &self.room, |message| judge.judge(message));
        self.room.count_ignored(judge.ignored);
        notes.received = judge.received;
        notes.ignored += judge.ignored + connection.strays() - strays;
        ended?
    }

    fn peer(&self, server: &NameServer) -> Rc<Peer<D::Pipe>> {
        let mut peers = self.peers.borrow_mut();
        if let Some(peer) = peers.iter().find(|peer| peer.server == *server) {
            return peer.clone();
        }
        let server = server.clone();
        let (opening, connection) = (Mutex::new(()), RefCell::default());
        let peer = Rc::new(Peer { server, opening, connection, has_closer: Cell::new(false) });
        let gone = (peers.len() == MAX_SERVERS).then(|| peers.remove(0));
        peers.push(peer.clone());
        drop(peers);
        drop(gone);
        peer
    }

    /// The open connection, or a new one.
    fn connection(&self, peer: &Rc<Peer<D::Pipe>>, deadline: Instant) -> Result<Open<D::Pipe>, ExchangeError> {
        if let Some(connection) = peer.open_connection(self.idle_timeout) {
            return Ok(Open { connection, is_new: false });
        }
        let turn = peer.opening.lock_until(deadline);
        let _turn = turn.map_err(|error| ExchangeError::failed("connect", error.into()))?;
        // Another may have opened it meanwhile.
        if let Some(connection) = peer.open_connection(self.idle_timeout) {
            return Ok(Open { connection, is_new: false });
        }
        let connection = Rc::new(Connection::new(self.dial.dial(&peer.server, deadline)?));
        self.room.count_opened();
        peer.connection.replace(Some(connection.clone()));
        self.have_it_closed(peer);
        Ok(Open { connection, is_new: true })
    }

    /// Sees to it that somebody closes the connection when it has been idle for long.
    ///
    /// Outside a runtime nobody can; then the next query does.
    fn have_it_closed(&self, peer: &Rc<Peer<D::Pipe>>) {
        if peer.has_closer.get() || !in_coroutine() || std::thread::panicking() {
            return;
        }
        let (weak, timeout) = (Rc::downgrade(peer), self.idle_timeout);
        let closer = Builder::new().name("closer of an idle DNS connection");
        // Where there can be no more coroutines, the next query closes it.
        peer.has_closer.set(self.closers.spawn(closer, move || close_when_idle(&weak, timeout)).is_ok());
    }
}

fn close_when_idle<P: Pipe>(peer: &Weak<Peer<P>>, timeout: Duration) {
    while let Some(at) = peer.upgrade().and_then(|peer| peer.close_idle(timeout)) {
        sleep_until(at);
    }
}

impl<P: Pipe> Peer<P> {
    /// The connection, if there is one that takes queries and has not been idle for long.
    fn open_connection(&self, idle_timeout: Duration) -> Option<Rc<Connection<P>>> {
        let mut open = self.connection.borrow_mut();
        let stale = open.take_if(|connection| !connection.is_fit() || connection.is_stale(idle_timeout));
        let found = open.clone();
        drop(open);
        drop(stale);
        found
    }

    /// Closes the connection if it has been idle for long, or tells when to look again; `None` when it is closed.
    fn close_idle(&self, timeout: Duration) -> Option<Instant> {
        let Some(connection) = self.open_connection(timeout) else {
            self.has_closer.set(false);
            return None;
        };
        Some(connection.idle_since().unwrap_or_else(now) + timeout)
    }
}

impl<P: Pipe> Connection<P> {
    fn is_stale(&self, idle_timeout: Duration) -> bool {
        self.idle_since().is_some_and(|since| now().saturating_duration_since(since) >= idle_timeout)
    }
}

/// Whether the connection has been lost, and not the patience of who used it.
fn was_lost(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::Closed => true,
        ExchangeError::Failed { error, .. } => matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
        ),
        _ => false,
    }
}
