//! One UDP socket, connected to one server, and the exchanges on it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use grapeshot_core::sync::Mutex;
use grapeshot_core::{Direction, WaitLimit, now};
use grapeshot_net::UdpSocket;

use super::super::error::ExchangeError;
use super::super::flights::Flights;
use super::super::room::Room;

/// Datagrams taken in one turn, so that a flood leaves time to others.
const BATCH: usize = 64;

/// Batches thrown away before a query; a socket that has more is given up.
const EARLY_BATCHES: usize = 4;

/// A socket is given up when more datagrams than this belonged to nobody: somebody may be guessing ids.
const MAX_STRAYS: u64 = 16;

pub(super) struct Socket {
    udp: UdpSocket,
    flights: Flights,
    /// When its port is too old for further queries; `None` for a time that the clock cannot tell.
    fit_until: Option<Instant>,
    queries_left: Cell<u32>,
    given_up: Cell<bool>,
    /// Held by the one who waits for room to send; the reactor has a place for one.
    sending: Mutex<()>,
}

impl Socket {
    /// Opens a socket on a port of the kernel's choice, for a number of queries within some time.
    pub(super) fn open(server: SocketAddr, queries: u32, age: Duration) -> io::Result<Socket> {
        let udp = match server {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        udp.connect(server)?;
        Ok(Socket {
            udp,
            flights: Flights::default(),
            fit_until: now().checked_add(age),
            queries_left: Cell::new(queries),
            given_up: Cell::new(false),
            sending: Mutex::new(()),
        })
    }

    pub(super) fn flights(&self) -> &Flights {
        &self.flights
    }

    pub(super) fn count_use(&self) {
        self.queries_left.set(self.queries_left.get().saturating_sub(1));
    }

    /// Whether it takes further queries.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.queries_left.get() > 0 && !self.given_up.get() && self.fit_until.is_none_or(|until| now < until)
    }

    /// Throws away what came while nothing was in flight; false when that was too much.
    ///
    /// The kernel is asked, not the reactor, which may not have heard yet of what somebody sent a moment ago.
    pub(super) fn discard_early(&self, buf: &RefCell<Vec<u8>>, room: &Room) -> bool {
        if self.flights.len() > 0 {
            return true;
        }
        for _ in 0..EARLY_BATCHES {
            match self.take_batch(self.udp.source().inner(), buf, room) {
                // News of an earlier query's fate may come before messages do.
                Ok(Batch { is_last: false }) | Err(Taken::Failed(_)) => {}
                Ok(Batch { is_last: true }) | Err(Taken::Nothing) => return !self.given_up.get(),
            }
        }
        self.given_up.set(true);
        false
    }

    /// Sends a query. That nobody listens, as an earlier query has found out, is told to all who wait here.
    pub(super) fn send(&self, message: &[u8], deadline: Instant) -> Result<(), ExchangeError> {
        loop {
            match self.udp.source().inner().send(message) {
                Ok(_) => return Ok(()),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return self.send_in_turn(message, deadline),
                    io::ErrorKind::ConnectionRefused => {
                        self.given_up.set(true);
                        self.flights.fail(error);
                        return Ok(());
                    }
                    _ => return Err(ExchangeError::failed("send", error)),
                },
            }
        }
    }

    /// Waits for room in the kernel's buffer.
    fn send_in_turn(&self, message: &[u8], deadline: Instant) -> Result<(), ExchangeError> {
        let _turn = self.sending.lock_until(deadline).map_err(|error| ExchangeError::failed("send", error.into()))?;
        let limit = WaitLimit::At(deadline);
        self.udp
            .source()
            .attempt(Direction::Write, "send", limit, |_| false, |socket| socket.send(message))
            .map_err(|error| ExchangeError::failed("send", error))?;
        Ok(())
    }

    /// Waits for datagrams and delivers all that have come.
    pub(super) fn receive(&self, buf: &RefCell<Vec<u8>>, room: &Room, deadline: Instant) -> io::Result<()> {
        let received = self.udp.source().attempt(
            Direction::Read,
            "receive a DNS reply",
            WaitLimit::At(deadline),
            |batch: &Batch| batch.is_last,
            |socket| {
                self.take_batch(socket, buf, room).map_err(|taken| match taken {
                    Taken::Nothing => io::ErrorKind::WouldBlock.into(),
                    Taken::Failed(error) => error,
                })
            },
        );
        if received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            self.given_up.set(true);
        }
        received.map(drop)
    }

    /// Delivers datagrams until there are no more, or a batch is full. Never waits.
    fn take_batch(&self, socket: &net::UdpSocket, buf: &RefCell<Vec<u8>>, room: &Room) -> Result<Batch, Taken> {
        let mut buf = buf.borrow_mut();
        let strays = self.flights.strays();
        let mut count = 0;
        let taken = loop {
            if count == BATCH {
                break Ok(Batch { is_last: false });
            }
            match socket.recv(&mut buf) {
                Ok(length) => self.flights.deliver(&buf[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break Err(Taken::Failed(error)),
                Err(_) if count == 0 => break Err(Taken::Nothing),
                Err(_) => break Ok(Batch { is_last: true }),
            }
            count += 1;
        };
        room.count_ignored(self.flights.strays() - strays);
        if self.flights.strays() > MAX_STRAYS {
            self.given_up.set(true);
        }
        taken
    }
}

/// Some datagrams have been delivered.
struct Batch {
    /// There were no more.
    is_last: bool,
}

/// Why no batch could be taken, or not to its end.
enum Taken {
    Nothing,
    Failed(io::Error),
}
