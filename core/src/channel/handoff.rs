//! Items in a row and the coroutines that wait for them: what the queues of this crate have in common.
//!
//! ```text
//!   put ──► somebody waits? ──yes──► given to the one who came first, who takes it in its turn
//!                 └──no──► the row ──► take
//! ```
//!
//! # Invariants
//!
//! - There are items in the row or waiters, never both: nobody overtakes one who waits.
//! - An item is given only to a wait that accepted its wake, and such a wait always takes it;
//!   a wait that was cancelled or timed out accepts none, so the item goes to the next (DESIGN §4).
//! - No borrow is alive while an item is dropped, nor while anybody waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::cancel;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};

/// Which end of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// The row is closed and empty.
    Closed,
    /// The deadline passed first.
    TimedOut,
    /// The coroutine unwinds and must not wait.
    Refused,
}

pub(crate) struct Handoff<T> {
    row: RefCell<VecDeque<T>>,
    waits: RefCell<Waits<T>>,
    closed: Cell<bool>,
}

struct Waits<T> {
    /// By ticket, so in the order they came.
    waiting: BTreeMap<u64, Unparker>,
    /// What waits that have been woken will take, by ticket.
    given: VecDeque<(u64, T)>,
    next_ticket: u64,
}

impl<T> Handoff<T> {
    pub(crate) const fn new() -> Handoff<T> {
        Handoff {
            row: RefCell::new(VecDeque::new()),
            waits: RefCell::new(Waits { waiting: BTreeMap::new(), given: VecDeque::new(), next_ticket: 0 }),
            closed: Cell::new(false),
        }
    }

    /// Gives `item` to the first who waits, or adds it to the row.
    pub(crate) fn put(&self, end: End, item: T) {
        while let Some((ticket, unparker)) = self.first_waiting() {
            if unparker.unpark().is_ok() {
                self.waits.borrow_mut().given.push_back((ticket, item));
                return;
            }
        }
        let mut row = self.row.borrow_mut();
        match end {
            End::Front => row.push_front(item),
            End::Back => row.push_back(item),
        }
    }

    /// Takes from the row; never waits.
    pub(crate) fn try_take(&self, end: End) -> Option<T> {
        let mut row = self.row.borrow_mut();
        match end {
            End::Front => row.pop_front(),
            End::Back => row.pop_back(),
        }
    }

    /// Takes from the row, or waits to be given an item. Unwinds when cancelled, and then has taken nothing.
    #[track_caller]
    pub(crate) fn take(&self, called: &str, end: End, reason: Reason, deadline: Option<Instant>) -> Result<T, Nothing> {
        cancel::checkpoint_current();
        if let Some(item) = self.try_take(end) {
            return Ok(item);
        }
        if self.closed.get() {
            return Err(Nothing::Closed);
        }
        let ticket = Cell::new(0);
        let ended = park_for(
            called,
            reason,
            deadline,
            |unparker| ticket.set(self.enter(unparker)),
            || {
                self.leave(ticket.get());
                Withdrawal::Withdrawn
            },
        );
        match ended {
            // Only closing wakes without giving.
            Unparked::Woken => self.take_given(ticket.get()).ok_or(Nothing::Closed),
            Unparked::TimedOut => Err(Nothing::TimedOut),
            Unparked::Refused => Err(Nothing::Refused),
        }
    }

    /// Takes a place for a wait, which ends by [`leave`](Self::leave) or [`take_given`](Self::take_given).
    pub(crate) fn enter(&self, unparker: Unparker) -> u64 {
        let mut waits = self.waits.borrow_mut();
        let ticket = waits.next_ticket;
        waits.next_ticket += 1;
        waits.waiting.insert(ticket, unparker);
        ticket
    }

    /// Gives a place up.
    pub(crate) fn leave(&self, ticket: u64) {
        let unparker = self.waits.borrow_mut().waiting.remove(&ticket);
        drop(unparker);
    }

    fn first_waiting(&self) -> Option<(u64, Unparker)> {
        self.waits.borrow_mut().waiting.pop_first()
    }

    /// What a woken wait was given; nothing only if the row was closed.
    pub(crate) fn take_given(&self, ticket: u64) -> Option<T> {
        let given = &mut self.waits.borrow_mut().given;
        let index = given.binary_search_by_key(&ticket, |given| given.0).ok()?;
        given.remove(index).map(|(_, item)| item)
    }

    /// Lets nobody wait any more: those who do find the row closed, others once it is empty.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        while let Some((_, unparker)) = self.first_waiting() {
            // One that was cancelled finds out by itself.
            let _ = unparker.unpark();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many items are in the row; what was given to a waiter is no longer there.
    pub(crate) fn len(&self) -> usize {
        self.row.borrow().len()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waits.borrow().waiting.len()
    }

    /// Takes the whole row.
    pub(crate) fn take_row(&self) -> VecDeque<T> {
        self.row.take()
    }

    /// A clone of an item of the row, counted from the front.
    ///
    /// The one place where code of the user's runs under a borrow; the queues document it.
    pub(crate) fn clone_at(&self, index: usize) -> Option<T>
    where
        T: Clone,
    {
        self.row.borrow().get(index).cloned()
    }
}
