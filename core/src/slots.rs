//! The runtime's table of registered descriptors: what each is ready for, and who waits.
//!
//! # Invariants
//!
//! - One waiter per descriptor and direction (POL-1), and beside it at most one [`Waker`], of a future that polls.
//! - No waker is woken or dropped while the table is borrowed.
//! - A slot belongs to one [`Source`](crate::Source) from its registration to its release;
//!   a release from another thread arrives through the [`Inbox`](crate::threads::Inbox).

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use crate::park::Unparker;
use crate::reactor::readiness;
use crate::record::{Record, State};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the descriptor: reading, accepting.
    Read,
    /// To the descriptor: writing, connecting.
    Write,
}

impl Direction {
    pub(crate) fn bits(self) -> u8 {
        match self {
            Direction::Read => readiness::FOR_READING,
            Direction::Write => readiness::FOR_WRITING,
        }
    }

    /// The bit that would-block takes away; the others of [`bits`](Self::bits) stick.
    fn passing_bit(self) -> u8 {
        match self {
            Direction::Read => readiness::READABLE,
            Direction::Write => readiness::WRITABLE,
        }
    }
}

#[derive(Default)]
struct Slot {
    in_use: bool,
    readiness: u8,
    /// Rises with every release, so that a [`Place`] of a released source is known as such.
    released: u32,
    waiters: [Option<Unparker>; 2],
    wakers: [Option<Waker>; 2],
}

/// A slot for as long as it belongs to the source that it was taken for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    index: u32,
    released: u32,
}

/// The slots of one runtime, found by index.
#[derive(Default)]
pub(crate) struct Slots {
    table: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
}

impl Slots {
    /// Takes a slot for a descriptor of which nothing is known yet.
    pub(crate) fn open(&self) -> u32 {
        let mut table = self.table.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            table.push(Slot::default());
            (table.len() - 1) as u32
        });
        table[index as usize].in_use = true;
        index
    }

    /// Gives a slot back, wakes the futures that wait on it, and returns the coroutines that do.
    pub(crate) fn close(&self, index: u32) -> [Option<Unparker>; 2] {
        let mut table = self.table.borrow_mut();
        let slot = &mut table[index as usize];
        let closed = Slot { released: slot.released.wrapping_add(1), ..Slot::default() };
        let slot = std::mem::replace(slot, closed);
        if slot.in_use {
            self.free.borrow_mut().push(index);
        }
        drop(table);
        wake(slot.wakers);
        slot.waiters
    }

    pub(crate) fn place(&self, index: u32) -> Place {
        Place { index, released: self.table.borrow()[index as usize].released }
    }

    /// Waits at a place without a stack; false when there is something to do at once:
    /// it is ready, taken by another waiter, or no longer its source's.
    pub(crate) fn hibernate(&self, place: Place, direction: Direction, waiter: &Unparker) -> bool {
        let belongs = self.place(place.index).released == place.released;
        let waits = belongs && !self.is_ready(place.index, direction) && self.waiter(place.index, direction).is_none();
        if waits {
            self.set_waiter(place.index, direction, waiter.clone());
        }
        waits
    }

    /// Ends such a wait, whatever has become of the place.
    pub(crate) fn wake_up(&self, place: Place, direction: Direction, record: &Rc<Record>) {
        self.withdraw(place.index, direction, record);
    }

    pub(crate) fn is_ready(&self, index: u32, direction: Direction) -> bool {
        self.table.borrow()[index as usize].readiness & direction.bits() != 0
    }

    /// Notes that an attempt would have blocked. Closed and error bits stay: no second event comes for them.
    pub(crate) fn clear(&self, index: u32, direction: Direction) {
        self.table.borrow_mut()[index as usize].readiness &= !direction.passing_bit();
    }

    /// Notes that an attempt would have blocked although a sticking bit is set, so that waiting for an event is right.
    pub(crate) fn clear_all(&self, index: u32, direction: Direction) {
        self.table.borrow_mut()[index as usize].readiness &= !direction.bits();
    }

    /// Adds what an event reported, and wakes the futures that wait for it; returns the coroutines to be woken for it.
    pub(crate) fn note(&self, index: u32, bits: u8) -> [Option<Unparker>; 2] {
        let mut table = self.table.borrow_mut();
        let Some(slot) = table.get_mut(index as usize).filter(|slot| slot.in_use) else {
            return [None, None];
        };
        slot.readiness |= bits;
        let told = |direction: Direction| bits & direction.bits() != 0;
        let both = [Direction::Read, Direction::Write];
        let waiters =
            both.map(|direction| if told(direction) { slot.waiters[direction as usize].take() } else { None });
        let wakers = both.map(|direction| if told(direction) { slot.wakers[direction as usize].take() } else { None });
        drop(table);
        wake(wakers);
        waiters
    }

    /// Leaves the waker of a future that waits for this direction, in place of the one before it.
    pub(crate) fn set_waker(&self, index: u32, direction: Direction, waker: &Waker) {
        let index = index as usize;
        // Cloning and dropping a waker runs code of whoever made it, which must find the table free.
        let before = self.table.borrow_mut()[index].wakers[direction as usize].take();
        let waker = before.filter(|before| before.will_wake(waker)).unwrap_or_else(|| waker.clone());
        let replaced = self.table.borrow_mut()[index].wakers[direction as usize].replace(waker);
        drop(replaced);
    }

    /// Whoever waits for this direction now.
    pub(crate) fn waiter(&self, index: u32, direction: Direction) -> Option<Unparker> {
        let table = self.table.borrow();
        let waiter = table[index as usize].waiters[direction as usize].as_ref()?;
        let waits = matches!(waiter.record.state.get(), State::Parked | State::Hibernating)
            && waiter.record.generation.get() == waiter.generation;
        waits.then(|| waiter.clone())
    }

    /// Puts a waiter in its place; one that is there has ended its wait and not yet run.
    pub(crate) fn set_waiter(&self, index: u32, direction: Direction, waiter: Unparker) {
        // The replaced unparker may be the last to hold its record, whose drop must find the table free.
        let replaced = self.table.borrow_mut()[index as usize].waiters[direction as usize].replace(waiter);
        drop(replaced);
    }

    /// Takes this coroutine out of its place, which another may have taken over, or whose slot may serve another source.
    pub(crate) fn withdraw(&self, index: u32, direction: Direction, record: &Rc<Record>) {
        let withdrawn = self.table.borrow_mut()[index as usize].waiters[direction as usize]
            .take_if(|waiter| Rc::ptr_eq(&waiter.record, record));
        drop(withdrawn);
    }

    /// How many descriptors are registered.
    pub(crate) fn len(&self) -> usize {
        self.table.borrow().len() - self.free.borrow().len()
    }

    /// How many coroutines and futures wait for a descriptor.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |slot: &Slot| slot.waiters.iter().flatten().count() + slot.wakers.iter().flatten().count();
        self.table.borrow().iter().map(waiting).sum()
    }
}

fn wake(wakers: [Option<Waker>; 2]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}
