//! The connections of a pool, and the calls in flight on each.
//!
//! # Invariants
//!
//! - Nothing is borrowed while a caller is made, used or dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::now;

use super::PoolOptions;

/// One connection of a pool as it is now.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionState {
    /// Calls that have not ended.
    pub in_flight: usize,
    /// Since when there is none; `None` while there are.
    pub idle_since: Option<Instant>,
    /// How many calls it has had.
    pub calls: u64,
}

pub(super) struct Connections<C> {
    options: PoolOptions,
    open: Box<dyn Fn() -> C>,
    /// The oldest first.
    list: RefCell<Vec<Rc<Slot<C>>>>,
}

struct Slot<C> {
    caller: C,
    in_flight: Cell<usize>,
    calls: Cell<u64>,
    /// When the last call ended.
    last_used: Cell<Instant>,
}

impl<C> Connections<C> {
    pub(super) fn new(options: PoolOptions, open: Box<dyn Fn() -> C>) -> Connections<C> {
        Connections { options, open, list: RefCell::default() }
    }

    /// Chooses the connection for a call, and counts the call there.
    pub(super) fn choose(&self) -> InFlight<C> {
        let fewest = self.list.borrow().iter().min_by_key(|slot| slot.in_flight.get()).cloned();
        let may_open = self.list.borrow().len() < self.options.max.max(1);
        match fewest {
            Some(slot) if slot.in_flight.get() < self.options.calls_per_connection || !may_open => InFlight::on(slot),
            _ => InFlight::on(self.open()),
        }
    }

    fn open(&self) -> Rc<Slot<C>> {
        let caller = (self.open)();
        let slot = Slot { caller, in_flight: Cell::new(0), calls: Cell::new(0), last_used: Cell::new(now()) };
        let slot = Rc::new(slot);
        self.list.borrow_mut().push(slot.clone());
        slot
    }

    /// When the next one may have been idle for too long; `None` while nothing may be closed, whatever happens.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let list = self.list.borrow();
        if list.len() <= self.options.min {
            return None;
        }
        // One with calls in flight is looked at again when it could have been idle for long enough at the soonest.
        let since = |slot: &Rc<Slot<C>>| if slot.in_flight.get() > 0 { now() } else { slot.last_used.get() };
        list.iter().map(since).min()?.checked_add(self.options.idle_timeout)
    }

    /// Closes those that were idle for too long, the longest idle first.
    pub(super) fn close_idle(&self) {
        let is_late = |slot: &Rc<Slot<C>>| {
            let idle = now().saturating_duration_since(slot.last_used.get());
            slot.in_flight.get() == 0 && idle >= self.options.idle_timeout
        };
        while let Some(late) = self.take_if(is_late) {
            drop(late);
        }
    }

    fn take_if(&self, is_late: impl Fn(&Rc<Slot<C>>) -> bool) -> Option<Rc<Slot<C>>> {
        let mut list = self.list.borrow_mut();
        if list.len() <= self.options.min {
            return None;
        }
        let late = list.iter().enumerate().filter(|(_, slot)| is_late(slot));
        let index = late.min_by_key(|(_, slot)| slot.last_used.get())?.0;
        Some(list.remove(index))
    }

    pub(super) fn states(&self) -> Vec<ConnectionState> {
        let state = |slot: &Rc<Slot<C>>| ConnectionState {
            in_flight: slot.in_flight.get(),
            idle_since: (slot.in_flight.get() == 0).then(|| slot.last_used.get()),
            calls: slot.calls.get(),
        };
        self.list.borrow().iter().map(state).collect()
    }
}

/// A call on a connection.
pub(super) struct InFlight<C> {
    slot: Rc<Slot<C>>,
}

impl<C> InFlight<C> {
    fn on(slot: Rc<Slot<C>>) -> InFlight<C> {
        slot.in_flight.set(slot.in_flight.get() + 1);
        slot.calls.set(slot.calls.get() + 1);
        InFlight { slot }
    }

    pub(super) fn caller(&self) -> &C {
        &self.slot.caller
    }
}

impl<C> Drop for InFlight<C> {
    fn drop(&mut self) {
        self.slot.in_flight.set(self.slot.in_flight.get() - 1);
        self.slot.last_used.set(now());
    }
}
