//! Where the ends of a channel without a queue meet: an item goes from hand to hand.
//!
//! ```text
//!   send ──► a receiver waits? ──yes──► into its hand, and it is woken
//!                  └──no──► an offer waits ──► taken, and its sender is woken
//! ```
//!
//! # Invariants
//!
//! - Offers wait or requests wait, never both, but for those whose wait is over and who have not run since.
//! - An item changes hands exactly when the unpark of the other side succeeds: a wait that was cancelled or has timed
//!   out refuses it, keeps its item or gets none, and the next in the row is asked. Once it has succeeded, that side
//!   runs on with what it was given before it can be cut off.
//! - Each side is served in the order it came.
//!
//! The preferences are those of the channels of Stackless Python (SYL-3).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

use super::error::SendTimeoutError;
use super::queue::{RECEIVING, Unreceived};
use crate::cancel::shield;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};
use crate::scheduler::in_coroutine;
use crate::yielding::yield_now;

const OFFERING: Reason = Reason::Other("a receiver to take an item");

/// Who runs first when both ends of a rendezvous have met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Whoever came second runs on, and the one who waited runs in its turn.
    #[default]
    Neither,
    /// The sender: a receiver that finds one waiting lets it run first.
    Sender,
    /// The receiver: a sender that finds one waiting lets it run first.
    Receiver,
}

pub(crate) struct Meeting<T> {
    prefer: Prefer,
    next_ticket: Cell<u64>,
    /// Sorted by ticket.
    offers: RefCell<VecDeque<Offer<T>>>,
    /// Sorted by ticket.
    requests: RefCell<VecDeque<(u64, Unparker)>>,
    /// What receivers that have been woken will take, by the ticket of the request.
    handed: RefCell<Vec<(u64, T)>>,
}

struct Offer<T> {
    ticket: u64,
    sender: Unparker,
    item: T,
}

impl<T> Meeting<T> {
    pub(super) fn new(prefer: Prefer) -> Meeting<T> {
        Meeting {
            prefer,
            next_ticket: Cell::new(0),
            offers: RefCell::default(),
            requests: RefCell::default(),
            handed: RefCell::default(),
        }
    }

    /// Gives the item to the first receiver that still waits, or gives it back.
    pub(super) fn hand_over(&self, item: T) -> Result<(), T> {
        loop {
            let request = self.requests.borrow_mut().pop_front();
            let Some((ticket, receiver)) = request else { return Err(item) };
            if receiver.unpark().is_ok() {
                self.handed.borrow_mut().push((ticket, item));
                return Ok(());
            }
        }
    }

    /// Takes the item of the first sender that still waits.
    pub(super) fn take_offer(&self) -> Option<T> {
        let mut index = 0;
        loop {
            let sender = self.offers.borrow().get(index)?.sender.clone();
            if sender.unpark().is_ok() {
                let offer = self.offers.borrow_mut().remove(index)?;
                return Some(offer.item);
            }
            // Its wait is over: it will take its item back itself when it runs.
            index += 1;
        }
    }

    pub(crate) fn enter_offer(&self, item: T, sender: Unparker) -> u64 {
        let ticket = self.ticket();
        self.offers.borrow_mut().push_back(Offer { ticket, sender, item });
        ticket
    }

    /// Takes an offer back; none when the item has been taken.
    pub(crate) fn leave_offer(&self, ticket: u64) -> Option<T> {
        let mut offers = self.offers.borrow_mut();
        let index = offers.binary_search_by_key(&ticket, |offer| offer.ticket).ok()?;
        let offer = offers.remove(index)?;
        drop(offers);
        Some(offer.item)
    }

    pub(crate) fn enter_request(&self, receiver: Unparker) -> u64 {
        let ticket = self.ticket();
        self.requests.borrow_mut().push_back((ticket, receiver));
        ticket
    }

    pub(crate) fn leave_request(&self, ticket: u64) {
        let mut requests = self.requests.borrow_mut();
        let found = requests.binary_search_by_key(&ticket, |request| request.0);
        let left = found.ok().and_then(|index| requests.remove(index));
        drop(requests);
        drop(left);
    }

    /// What a woken receiver was given; none when it was woken because the channel has been closed.
    pub(crate) fn take_handed(&self, ticket: u64) -> Option<T> {
        let mut handed = self.handed.borrow_mut();
        let index = handed.iter().position(|(given_to, _)| *given_to == ticket)?;
        Some(handed.swap_remove(index).1)
    }

    /// Waits until a receiver takes the item.
    #[track_caller]
    pub(super) fn offer(&self, called: &str, item: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let ticket = Cell::new(0);
        let item = Cell::new(Some(item));
        let arm = |unparker| {
            if let Some(offered) = item.take() {
                ticket.set(self.enter_offer(offered, unparker));
            }
        };
        let withdraw = || {
            item.set(self.leave_offer(ticket.get()));
            Withdrawal::Withdrawn
        };
        let unparked = park_for(called, OFFERING, deadline, arm, withdraw);
        if unparked == Unparked::Woken {
            item.set(self.leave_offer(ticket.get()));
        }
        match (unparked, item.take()) {
            (_, None) => Ok(()),
            (Unparked::Woken, Some(item)) => Err(SendTimeoutError::Disconnected(item)),
            (Unparked::TimedOut, Some(item)) => Err(SendTimeoutError::Timeout(item)),
            (Unparked::Refused, Some(item)) => Err(SendTimeoutError::Refused(item)),
        }
    }

    /// Waits until a sender hands an item over.
    #[track_caller]
    pub(super) fn request(&self, called: &str, deadline: Option<Instant>) -> Result<T, Unreceived> {
        let ticket = Cell::new(0);
        let withdraw = || {
            self.leave_request(ticket.get());
            Withdrawal::Withdrawn
        };
        match park_for(called, RECEIVING, deadline, |unparker| ticket.set(self.enter_request(unparker)), withdraw) {
            Unparked::Woken => self.take_handed(ticket.get()).ok_or(Unreceived::Disconnected),
            Unparked::TimedOut => Err(Unreceived::Timeout),
            Unparked::Refused => Err(Unreceived::Refused),
        }
    }

    /// Tells everyone who waits that the channel has been closed; each takes itself out.
    pub(super) fn wake_all(&self) {
        let requests = self.requests.take();
        let senders: Vec<Unparker> = self.offers.borrow().iter().map(|offer| offer.sender.clone()).collect();
        for waiting in requests.into_iter().map(|(_, receiver)| receiver).chain(senders) {
            // One whose wait is over finds out by itself.
            let _ = waiting.unpark();
        }
    }

    pub(super) fn give_way_to_receiver(&self) {
        if self.prefer == Prefer::Receiver {
            give_way();
        }
    }

    pub(super) fn give_way_to_sender(&self) {
        if self.prefer == Prefer::Sender {
            give_way();
        }
    }

    fn ticket(&self) -> u64 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        ticket
    }
}

/// Lets the other side run first; cancelled meanwhile, the caller still gets to hold what it has.
fn give_way() {
    if in_coroutine() && !thread::panicking() {
        // Without a time limit there is nothing to fail.
        let _ = shield(None, yield_now);
    }
}
