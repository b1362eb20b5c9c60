//! One connection to one server, shared by the exchanges in flight on it (RFC 7766, sections 6.2.1 and 7).
//!
//! Queries are sent as they come, without waiting for replies, and replies are taken in any order.
//!
//! # Invariants
//!
//! - A frame is written whole by one writer at a time. A connection on which one was cut off takes no more queries.
//! - What has been read of a frame stays in the connection's buffer, so a reader that is cancelled loses nothing.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use grapeshot_core::sync::Mutex;
use grapeshot_core::{WaitLimit, now};

use super::error::ExchangeError;
use super::flights::{Flight, Flights};
use super::frames::Frames;
use super::ids::Ids;
use super::room::Room;

/// A connection is given up when more messages than this belonged to nobody.
const MAX_STRAYS: u64 = 1000;

/// A connection on which nothing came for so long while somebody waited is not used again.
const SILENCE: Duration = Duration::from_secs(1);

/// A stream of bytes both ways, of which one may read while another writes.
pub(super) trait Pipe {
    /// Reads what there is; 0 at the end.
    fn read(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize>;

    /// Writes what fits.
    fn write(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize>;
}

pub(super) struct Connection<P> {
    pipe: P,
    flights: Flights,
    /// Borrowed for as long as the one who reads waits: there is only one.
    frames: RefCell<Frames>,
    writing: Mutex<()>,
    broken: Cell<bool>,
    /// When it was last of use to somebody.
    used: Cell<Instant>,
    /// How often something has been read.
    heard: Cell<u64>,
}

impl<P: Pipe> Connection<P> {
    pub(super) fn new(pipe: P) -> Connection<P> {
        Connection {
            pipe,
            flights: Flights::default(),
            frames: RefCell::default(),
            writing: Mutex::new(()),
            broken: Cell::new(false),
            used: Cell::new(now()),
            heard: Cell::new(0),
        }
    }

    /// Whether it takes further queries.
    pub(super) fn is_fit(&self) -> bool {
        !self.broken.get()
    }

    /// Since when nobody has used it; `None` while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.flights.len() == 0).then(|| self.used.get())
    }

    /// How many messages have come that belonged to nobody.
    pub(super) fn strays(&self) -> u64 {
        self.flights.strays()
    }

    pub(super) fn enter(&self, ids: &Ids) -> Result<Flight<'_>, ExchangeError> {
        self.used.set(now());
        self.flights.enter(ids)
    }

    /// Writes a frame, after those that others write.
    pub(super) fn send(&self, frame: &[u8], deadline: Instant) -> Result<(), ExchangeError> {
        let _turn = self.writing.lock_until(deadline).map_err(|error| ExchangeError::failed("send", error.into()))?;
        let mut cut = CutOff { broken: &self.broken, began: false };
        let mut rest = frame;
        while !rest.is_empty() {
            let written = self.pipe.write(rest, WaitLimit::At(deadline)).map_err(|error| self.lost("send", error))?;
            if written == 0 {
                return Err(self.lost("send", io::ErrorKind::WriteZero.into()));
            }
            cut.began = true;
            rest = &rest[written..];
        }
        cut.began = false;
        Ok(())
    }

    /// Waits for what `accept` takes.
    ///
    /// Where nothing at all comes in time, and that was long, the connection is given up as well: its server may be gone
    /// without a word.
    pub(super) fn wait<T>(
        &self,
        flight: &Flight<'_>,
        deadline: Instant,
        room: &Room,
        accept: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, ExchangeError> {
        let (heard, began) = (self.heard.get(), now());
        let ended = flight.wait(deadline, || self.receive(room, deadline), accept);
        self.used.set(now());
        let was_silent = self.heard.get() == heard && now().saturating_duration_since(began) >= SILENCE;
        if was_silent && matches!(ended, Err(ExchangeError::TimedOut)) {
            self.broken.set(true);
        }
        ended
    }

    /// Waits for bytes and delivers the messages that are whole.
    fn receive(&self, room: &Room, deadline: Instant) -> io::Result<()> {
        let strays = self.flights.strays();
        let received = self.read_and_deliver(deadline);
        room.count_ignored(self.flights.strays() - strays);
        if let Err(error) = &received
            && error.kind() != io::ErrorKind::TimedOut
            && !super::error::is_refusal_to_wait(error)
        {
            self.broken.set(true);
        }
        received
    }

    fn read_and_deliver(&self, deadline: Instant) -> io::Result<()> {
        let mut frames = self.frames.borrow_mut();
        let count = self.pipe.read(frames.room(), WaitLimit::At(deadline))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.heard.set(self.heard.get() + 1);
        frames.filled(count);
        // A length without room for a message: what follows cannot be told apart any more.
        while let Some(message) = frames.next().map_err(|_| io::ErrorKind::UnexpectedEof)? {
            self.flights.deliver(message);
        }
        if self.flights.strays() > MAX_STRAYS {
            self.broken.set(true);
        }
        Ok(())
    }

    /// The error of a connection that does not work any more; one's own time limit says nothing about it.
    fn lost(&self, what: &'static str, error: io::Error) -> ExchangeError {
        let error = ExchangeError::failed(what, error);
        if !matches!(error, ExchangeError::TimedOut | ExchangeError::Unwinding) {
            self.broken.set(true);
        }
        error
    }
}

/// Marks the connection when a frame is cut off in its middle: by an error, a time limit or a cancellation.
struct CutOff<'a> {
    broken: &'a Cell<bool>,
    began: bool,
}

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        if self.began {
            self.broken.set(true);
        }
    }
}
