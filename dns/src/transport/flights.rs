//! The exchanges in flight on one socket or connection, and who among them reads for all.
//!
//! ```text
//!              nobody reads                        what it waited for came,
//!   wait ──────────────────────► leads: reads ──► deadline, cancelled ──► leaves, and wakes one that is parked
//!    ▲  └───────────────────────► parked ◄─┐
//!    │      somebody reads          │      └─ not for it, or somebody else was faster
//!    └── woken: a message, an error,│
//!        or nobody reads any more ──┘
//! ```
//!
//! # Invariants
//!
//! - While anybody is parked here somebody leads, or one has been woken that will lead or wake another when it leaves.
//!   A lead is given up by a destructor, so a cancelled leader hands over as well.
//! - An id has one seat. It is given back by a destructor too.
//! - What is handed to a seat stays there until its owner runs, whatever ended its wait.
//! - A seat holds few messages, and then ignores more: only a peer that guesses ids can send them.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use grapeshot_core::{Reason, Unparked, Unparker, Withdrawal, now, park};

use super::error::{ExchangeError, is_refusal_to_wait};
use super::ids::Ids;

/// Messages under its id that a seat keeps for its owner: the reply, and what somebody may send to keep it away.
const MAX_LETTERS: u32 = 8;

/// How many seats there are: half of the ids, so that a random one is free at the second draw on average,
/// and one that somebody guesses is not surely taken.
const MAX_SEATS: usize = 1 << 15;

/// Buffers of past seats that are kept for coming ones.
const MAX_SPARES: usize = 64;

#[derive(Default)]
pub(super) struct Flights {
    seats: RefCell<Seats>,
    /// Somebody reads for all.
    led: Cell<bool>,
    strays: Cell<u64>,
}

#[derive(Default)]
struct Seats {
    /// Apart from the rest, as it is searched for every message.
    ids: Vec<u16>,
    rows: Vec<Seat>,
    spares: Vec<Vec<u8>>,
}

struct Seat {
    /// Where its owner is parked.
    parked: Option<Unparker>,
    /// Messages, each behind its length in two bytes.
    mail: Vec<u8>,
    letters: u32,
    failure: Option<Arc<io::Error>>,
}

impl Flights {
    /// Takes a random id that no other exchange here has.
    ///
    /// It fails when [`MAX_SEATS`] are taken.
    pub(super) fn enter(&self, ids: &Ids) -> Result<Flight<'_>, ExchangeError> {
        let mut seats = self.seats.borrow_mut();
        if seats.ids.len() >= MAX_SEATS {
            return Err(ExchangeError::Busy { limit: MAX_SEATS });
        }
        // At least every second id is free, so this ends.
        let id = loop {
            let id = ids.id();
            if !seats.ids.contains(&id) {
                break id;
            }
        };
        let mail = seats.spares.pop().unwrap_or_default();
        seats.ids.push(id);
        seats.rows.push(Seat { parked: None, mail, letters: 0, failure: None });
        Ok(Flight { flights: self, id })
    }

    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        self.seats.borrow().ids.len()
    }

    /// How many messages have come that belonged to nobody.
    pub(super) fn strays(&self) -> u64 {
        self.strays.get()
    }

    /// Hands a message to whoever has its id.
    pub(super) fn deliver(&self, message: &[u8]) {
        if !self.hand_over(message) {
            self.strays.set(self.strays.get() + 1);
        }
    }

    /// Whether anybody takes the message.
    fn hand_over(&self, message: &[u8]) -> bool {
        let [high, low, ..] = *message else { return false };
        let Ok(length) = u16::try_from(message.len()) else { return false };
        let id = u16::from_be_bytes([high, low]);
        let mut seats = self.seats.borrow_mut();
        let Some(seat) = seats.find(id).filter(|seat| seat.letters < MAX_LETTERS) else { return false };
        seat.letters += 1;
        seat.mail.extend_from_slice(&length.to_be_bytes());
        seat.mail.extend_from_slice(message);
        seat.wake();
        true
    }

    /// Ends every wait here with an error.
    pub(super) fn fail(&self, error: io::Error) {
        let error = Arc::new(error);
        for seat in &mut self.seats.borrow_mut().rows {
            seat.failure = Some(error.clone());
            seat.wake();
        }
    }
}

impl Seats {
    fn find(&mut self, id: u16) -> Option<&mut Seat> {
        let index = self.ids.iter().position(|&taken| taken == id)?;
        self.rows.get_mut(index)
    }
}

impl Seat {
    /// Wakes its owner; false when it is not parked, or has been cancelled and not run since.
    fn wake(&mut self) -> bool {
        self.parked.take().is_some_and(|parked| parked.unpark().is_ok())
    }

    fn has_news(&self) -> bool {
        self.letters > 0 || self.failure.is_some()
    }
}

/// An exchange in flight; dropping it gives its id back.
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    id: u16,
}

impl Flight<'_> {
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    /// Waits until `accept` takes a message that came under this id.
    ///
    /// `read` waits for messages until the deadline and delivers what has come; it is called by one at a time.
    /// `accept` must not wait.
    pub(super) fn wait<T>(
        &self,
        deadline: Instant,
        read: impl Fn() -> io::Result<()>,
        mut accept: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, ExchangeError> {
        loop {
            if let Some(ended) = self.look(&mut accept) {
                return ended;
            }
            if !self.flights.led.get() {
                self.lead(deadline, &read)?;
                continue;
            }
            match self.park(deadline) {
                Unparked::Woken => {}
                // What came before it could run counts all the same.
                Unparked::TimedOut => return self.look(&mut accept).unwrap_or(Err(ExchangeError::TimedOut)),
                Unparked::Refused => return Err(ExchangeError::Unwinding),
            }
        }
    }

    /// Reads for all until there is something for this one.
    fn lead(&self, deadline: Instant, read: &impl Fn() -> io::Result<()>) -> Result<(), ExchangeError> {
        let _lead = Lead::take(self.flights);
        loop {
            match read() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(ExchangeError::TimedOut),
                Err(error) if is_refusal_to_wait(&error) => return Err(ExchangeError::Unwinding),
                Err(error) => self.flights.fail(error),
            }
            if self.flights.seats.borrow_mut().find(self.id).is_none_or(|seat| seat.has_news()) {
                return Ok(());
            }
            // A peer that never stops sending to others must not hold up this one's end.
            if now() >= deadline {
                return Err(ExchangeError::TimedOut);
            }
        }
    }

    fn park(&self, deadline: Instant) -> Unparked {
        let set = |parked| {
            if let Some(seat) = self.flights.seats.borrow_mut().find(self.id) {
                seat.parked = parked;
            }
        };
        park(
            Reason::Other("a DNS reply that another coroutine reads"),
            Some(deadline),
            |unparker| set(Some(unparker)),
            || {
                set(None);
                Withdrawal::Withdrawn
            },
        )
    }

    /// Goes through what has come: the first message that is accepted, or else the error.
    fn look<T>(&self, accept: &mut impl FnMut(&[u8]) -> Option<T>) -> Option<Result<T, ExchangeError>> {
        let mut seats = self.flights.seats.borrow_mut();
        let seat = seats.find(self.id)?;
        let mut rest = seat.mail.as_slice();
        while let Some((&length, after)) = rest.split_first_chunk::<2>() {
            let (message, after) = after.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
            if let Some(accepted) = accept(message) {
                return Some(Ok(accepted));
            }
            rest = after;
        }
        seat.mail.clear();
        seat.letters = 0;
        let failure = seat.failure.take()?;
        Some(Err(ExchangeError::shared("receive", failure)))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut seats = self.flights.seats.borrow_mut();
        let Some(index) = seats.ids.iter().position(|&taken| taken == self.id) else { return };
        seats.ids.swap_remove(index);
        let Seat { mut mail, parked, .. } = seats.rows.swap_remove(index);
        if seats.spares.len() < MAX_SPARES {
            mail.clear();
            seats.spares.push(mail);
        }
        drop(seats);
        drop(parked);
    }
}

/// The part of the one who reads; dropping it passes it on.
struct Lead<'a> {
    flights: &'a Flights,
}

impl Lead<'_> {
    fn take(flights: &Flights) -> Lead<'_> {
        flights.led.set(true);
        Lead { flights }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.flights.led.set(false);
        // The last to come will wait the longest, as a rule, and so hand over least often.
        self.flights.seats.borrow_mut().rows.iter_mut().rev().any(Seat::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_whose_ids_are_taken_says_so_instead_of_looking_on() {
        let flights = Flights::default();
        let ids = Ids::new(Some(7));
        // As if so many had entered, which takes seconds.
        let seat = || Seat { parked: None, mail: Vec::new(), letters: 0, failure: None };
        let take = |ids: std::ops::Range<usize>| {
            let mut seats = flights.seats.borrow_mut();
            seats.rows.extend(ids.clone().map(|_| seat()));
            seats.ids.extend(ids.map(|id| id as u16));
        };
        take(0..MAX_SEATS - 1);
        assert!(flights.enter(&ids).is_ok_and(|flight| usize::from(flight.id()) >= MAX_SEATS - 1));
        take(MAX_SEATS - 1..MAX_SEATS);
        assert!(matches!(flights.enter(&ids), Err(ExchangeError::Busy { limit: MAX_SEATS })));
    }
}
