//! The runtime's table of registered descriptors: what each is ready for, and who waits.
//!
//! # Invariants
//!
//! - One waiter per descriptor and direction (POL-1).
//! - A slot belongs to one [`Source`](crate::Source) from its registration to its release;
//!   a release from another thread arrives through the [`Inbox`].

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::park::Unparker;
use crate::reactor::{Deregister, readiness};
use crate::record::State;

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
    waiters: [Option<Unparker>; 2],
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
        table[index as usize] = Slot { in_use: true, ..Slot::default() };
        index
    }

    /// Gives a slot back, and returns who waited on it.
    pub(crate) fn close(&self, index: u32) -> [Option<Unparker>; 2] {
        let slot = std::mem::take(&mut self.table.borrow_mut()[index as usize]);
        if slot.in_use {
            self.free.borrow_mut().push(index);
        }
        slot.waiters
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

    /// Adds what an event reported; returns who is to be woken for it.
    pub(crate) fn note(&self, index: u32, bits: u8) -> [Option<Unparker>; 2] {
        let mut table = self.table.borrow_mut();
        let Some(slot) = table.get_mut(index as usize).filter(|slot| slot.in_use) else {
            return [None, None];
        };
        slot.readiness |= bits;
        [Direction::Read, Direction::Write]
            .map(|direction| if bits & direction.bits() == 0 { None } else { slot.waiters[direction as usize].take() })
    }

    /// Whoever waits for this direction now.
    pub(crate) fn waiter(&self, index: u32, direction: Direction) -> Option<Unparker> {
        let table = self.table.borrow();
        let waiter = table[index as usize].waiters[direction as usize].as_ref()?;
        let waits = matches!(waiter.record.state.get(), State::Parked | State::Hibernating)
            && waiter.record.generation.get() == waiter.generation;
        waits.then(|| waiter.clone())
    }

    pub(crate) fn set_waiter(&self, index: u32, direction: Direction, waiter: Option<Unparker>) {
        // The replaced unparker may be the last to hold its record, whose drop must find the table free.
        let replaced =
            std::mem::replace(&mut self.table.borrow_mut()[index as usize].waiters[direction as usize], waiter);
        drop(replaced);
    }

    /// How many descriptors are registered.
    pub(crate) fn len(&self) -> usize {
        self.table.borrow().len() - self.free.borrow().len()
    }

    /// How many coroutines wait for a descriptor.
    pub(crate) fn waiting(&self) -> usize {
        self.table.borrow().iter().flat_map(|slot| &slot.waiters).flatten().count()
    }
}

/// Where other threads leave the slots of sources they dropped.
pub(crate) struct Inbox {
    runtime: u32,
    released: Mutex<Vec<u32>>,
    deregister: Deregister,
}

static INBOXES: Mutex<Vec<Arc<Inbox>>> = Mutex::new(Vec::new());

fn inboxes() -> std::sync::MutexGuard<'static, Vec<Arc<Inbox>>> {
    INBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// Makes the inbox of a runtime known to all threads.
    pub(crate) fn open(runtime: u32, deregister: Deregister) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox { runtime, released: Mutex::default(), deregister });
        inboxes().push(inbox.clone());
        inbox
    }

    pub(crate) fn close(&self) {
        inboxes().retain(|inbox| inbox.runtime != self.runtime);
    }

    /// Releases a slot of another thread's runtime, if that still runs.
    pub(crate) fn release(runtime: u32, index: u32, descriptor: RawFd) {
        let Some(inbox) = inboxes().iter().find(|inbox| inbox.runtime == runtime).cloned() else { return };
        (inbox.deregister)(descriptor);
        inbox.released.lock().unwrap_or_else(PoisonError::into_inner).push(index);
    }

    pub(crate) fn take_released(&self) -> Vec<u32> {
        std::mem::take(&mut *self.released.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
