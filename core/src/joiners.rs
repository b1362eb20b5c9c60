//! Who waits for a coroutine to end: almost always one, who needs no allocation.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Instant;

use crate::park::{Reason, Unparked, Unparker, Withdrawal, park};
use crate::record::Record;
use crate::wait_queue::WaitQueue;

/// The waiters for one end. Invariant: they are woken in the order they came.
#[derive(Default)]
pub(crate) struct Joiners {
    first: Cell<Option<Unparker>>,
    others: OnceCell<Box<WaitQueue>>,
}

impl Joiners {
    /// Waits until the end, or until `deadline`.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait_until(&self, reason: Reason, deadline: Option<Instant>) -> Unparked {
        if self.is_awaited() {
            return self.others.get_or_init(Box::default).wait_until(reason, deadline);
        }
        let withdraw = || {
            self.first.set(None);
            Withdrawal::Withdrawn
        };
        park(reason, deadline, |unparker| self.first.set(Some(unparker)), withdraw)
    }

    /// Leaves the unparker of a select; [`leave`](Self::leave) takes it back, by the ticket.
    pub(crate) fn enter(&self, unparker: Unparker) -> Option<u64> {
        if self.is_awaited() {
            return Some(self.others.get_or_init(Box::default).enter(unparker));
        }
        self.first.set(Some(unparker));
        None
    }

    pub(crate) fn leave(&self, ticket: Option<u64>) {
        match (ticket, self.others.get()) {
            (Some(ticket), Some(others)) => {
                others.give_up(ticket);
            }
            _ => drop(self.first.take()),
        }
    }

    fn is_awaited(&self) -> bool {
        let first = self.first.take();
        let awaited = first.is_some() || self.others.get().is_some_and(|others| !others.is_empty());
        self.first.set(first);
        awaited
    }

    /// Those who wait, be it in a select.
    pub(crate) fn coroutines(&self) -> Vec<Rc<Record>> {
        let mut waiting = self.others.get().map(|others| others.coroutines()).unwrap_or_default();
        let first = self.first.take();
        waiting.extend(first.as_ref().map(|unparker| unparker.record.clone()));
        self.first.set(first);
        waiting
    }

    pub(crate) fn wake_all(&self) {
        if let Some(first) = self.first.take() {
            // One that was cancelled has withdrawn or will find the end by itself.
            let _ = first.unpark();
        }
        if let Some(others) = self.others.get() {
            others.wake_all();
        }
    }
}
