//! DNS over UDP, on a pool of sockets for each server.
//!
//! # What a forger has to guess
//!
//! The id: 16 bits, from a generator for secrets. The port: the kernel picks one at random of those in
//! `net.ipv4.ip_local_port_range` that are free, 28,232 unless set, which is 14.8 bits (RFC 5452, sections 4.5 and 9.2);
//! choosing ourselves from all above 1023 would add 1.2 bits, and take ports that other programs are to listen on.
//! Which of the open ports a query leaves by is random too. A port serves few queries and not for long, so that there is
//! little time to find it out; it is given up at once when messages arrive there that belong to nobody.
//! The address of the server is no secret: the sockets are connected, so that the kernel drops what comes from elsewhere
//! and reports when nobody listens there. What arrived on an idle socket before a query left cannot be its reply,
//! and is thrown away first.
//!
//! # Invariants
//!
//! - A socket that is retired takes no more queries; it is closed when the last of its exchanges has ended.
//! - A new socket is opened while a query is under way, and in front of one only when there is none left.

mod pool;
mod socket;

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::now;

use self::pool::Pools;
use self::socket::Socket;
use super::error::ExchangeError;
use super::flights::Flight;
use super::ids::Ids;
use super::judge::Judge;
use super::notes::{Notes, TransportStats};
use super::room::Room;
use super::{MAX_IN_FLIGHT, Place, Transport};
use crate::config::NameServer;
use crate::proto::{Query, Reply};

/// The settings of [`Udp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// How many exchanges may be in flight; others wait for one to end. 500 unless set (DNS-4), and at least 1.
    /// One socket carries 32,768 at most, as its ids have 16 bits.
    pub in_flight: usize,
    /// How many sockets there may be for each server, not counting retired ones; 8 unless set, and at least 1.
    pub sockets: usize,
    /// How many queries leave by one port at most, the exact number being random; 64 unless set.
    pub queries_per_port: u32,
    /// How long a port is used; 10 s unless set.
    pub port_age: Duration,
    /// Makes ids and the choice of sockets follow from a number, which is for tests: `None` for a generator for secrets.
    /// Ports are the kernel's choice in any case.
    pub seed: Option<u64>,
}

impl Default for UdpOptions {
    fn default() -> UdpOptions {
        UdpOptions {
            in_flight: MAX_IN_FLIGHT,
            sockets: 8,
            queries_per_port: 64,
            port_age: Duration::from_secs(10),
            seed: None,
        }
    }
}

/// The most that a datagram can carry.
const MAX_DATAGRAM: usize = 65_535;

/// DNS over UDP (RFC 1035, section 4.2.1).
///
/// A truncated reply is given as it is, for the caller to ask again over TCP.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_dns::transport::{Udp, UdpOptions};
///
/// // A new port for every query, at the cost of a few system calls.
/// let udp = Udp::new(UdpOptions { queries_per_port: 1, ..UdpOptions::default() });
/// ```
pub struct Udp {
    options: UdpOptions,
    ids: Ids,
    room: Room,
    pools: RefCell<Pools>,
    outgoing: RefCell<Vec<u8>>,
    incoming: RefCell<Vec<u8>>,
}

impl Udp {
    /// Makes a transport without any socket yet.
    pub fn new(options: UdpOptions) -> Udp {
        Udp {
            ids: Ids::new(options.seed),
            room: Room::new(options.in_flight.max(1)),
            pools: RefCell::default(),
            outgoing: RefCell::default(),
            incoming: RefCell::new(vec![0; MAX_DATAGRAM]),
            options,
        }
    }

    fn ask(
        &self,
        server: SocketAddr,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let socket = self.socket(server)?;
        let strays = socket.flights().strays();
        let flight = socket.flights().enter(&self.ids)?;
        self.send(&socket, &flight, query, deadline, notes)?;
        // The reply is on its way meanwhile.
        self.refill(server);
        let mut judge = Judge::new(query, flight.id());
        let read = || socket.receive(&self.incoming, &self.room, deadline);
        let ended = flight.wait(deadline, read, |message| judge.judge(message));
        self.room.count_ignored(judge.ignored);
        notes.received = judge.received;
        notes.ignored = judge.ignored + socket.flights().strays() - strays;
        ended?
    }

    fn send(
        &self,
        socket: &Socket,
        flight: &Flight<'_>,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<(), ExchangeError> {
        // Others may send while this one waits for the kernel's buffer.
        let mut message = self.outgoing.take();
        message.clear();
        query.encode(flight.id(), &mut message);
        let sent = socket.send(&message, deadline);
        notes.sent = message.len();
        self.outgoing.replace(message);
        sent
    }

    /// One of the sockets for a server, at random, and cleared of what is none of its replies.
    fn socket(&self, server: SocketAddr) -> Result<Rc<Socket>, ExchangeError> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.of(server);
        loop {
            pool.retire(now());
            if pool.sockets.is_empty() {
                pool.sockets.push(self.open(server)?);
            }
            let socket = &pool.sockets[self.ids.index(pool.sockets.len())];
            // What is flooded is given up, and has left the pool in the next round.
            if socket.discard_early(&self.incoming, &self.room) {
                socket.count_use();
                return Ok(socket.clone());
            }
        }
    }

    /// Opens one socket if there are too few. Where that fails, the next query will hear of it.
    fn refill(&self, server: SocketAddr) {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.of(server);
        if pool.sockets.len() < self.options.sockets
            && let Ok(socket) = self.open(server)
        {
            pool.sockets.push(socket);
        }
    }

    fn open(&self, server: SocketAddr) -> Result<Rc<Socket>, ExchangeError> {
        let most = self.options.queries_per_port.max(1);
        // Where a port's last query is not known it cannot be waited for.
        let queries = most - self.ids.index(most as usize / 2 + 1) as u32;
        let socket = Socket::open(server, queries, self.options.port_age)
            .map_err(|error| ExchangeError::failed("open a socket", error))?;
        self.room.count_opened();
        Ok(Rc::new(socket))
    }
}

impl Default for Udp {
    fn default() -> Udp {
        Udp::new(UdpOptions::default())
    }
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Transport for Udp {
    fn name(&self) -> &'static str {
        "UDP"
    }

    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        self.room.enter(deadline)
    }

    fn exchange_in(
        &self,
        _: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let ended = self.ask(server.address, query, deadline, notes);
        self.room.count(&ended, notes);
        ended
    }

    fn stats(&self) -> TransportStats {
        self.room.stats()
    }
}
