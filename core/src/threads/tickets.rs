//! Waits that other threads may end, by number.
//!
//! An [`Unparker`] must not leave its thread; a [`Ticket`] may, and the loop looks up whom it names.
//!
//! # Invariants
//!
//! - A ticket is good for one wake. A closed ticket names nobody, also after its place in the table has been reused.

use std::cell::RefCell;

use crate::park::Unparker;

/// Names one wait of one runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    index: u32,
    round: u32,
}

impl Ticket {
    /// As one number; [`from_bits`](Self::from_bits) is its inverse.
    pub(crate) fn to_bits(self) -> u64 {
        (u64::from(self.round) << 32) | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Ticket {
        Ticket { index: bits as u32, round: (bits >> 32) as u32 }
    }
}

#[derive(Default)]
struct Place {
    /// Rises with every use.
    round: u32,
    waiter: Option<Unparker>,
}

/// The tickets of one runtime that are out.
#[derive(Default)]
pub(crate) struct Tickets {
    places: RefCell<Vec<Place>>,
    free: RefCell<Vec<u32>>,
}

impl Tickets {
    pub(crate) fn open(&self, waiter: Unparker) -> Ticket {
        let mut places = self.places.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            places.push(Place::default());
            (places.len() - 1) as u32
        });
        let place = &mut places[index as usize];
        place.waiter = Some(waiter);
        Ticket { index, round: place.round }
    }

    /// Takes a ticket back, and says whom it named if it was still out.
    pub(crate) fn close(&self, ticket: Ticket) -> Option<Unparker> {
        let mut places = self.places.borrow_mut();
        let place = places.get_mut(ticket.index as usize).filter(|place| place.round == ticket.round)?;
        let waiter = place.waiter.take()?;
        // Thirty bits, so that a ticket and a mark fit in 64. It comes round after 2^30 uses of one place.
        place.round = place.round.wrapping_add(1) & (u32::MAX >> 2);
        self.free.borrow_mut().push(ticket.index);
        Some(waiter)
    }

    /// How many are out.
    pub(crate) fn len(&self) -> usize {
        self.places.borrow().len() - self.free.borrow().len()
    }
}
