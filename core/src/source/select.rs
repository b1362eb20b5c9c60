//! The arm of a select that waits for a descriptor.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags};

use super::{ClosedError, RefusedError, Registration, SimultaneousError, Source};
use crate::park::Unparker;
use crate::scheduler;
use crate::select::{Arm, Selectable, not_selected};
use crate::slots::Direction;

/// The arm that [`Source::ready`] makes: completes when an operation in that direction would not block.
#[must_use = "an arm does nothing until it is selected"]
pub struct Readiness<'a, S: AsFd> {
    source: &'a Source<S>,
    direction: Direction,
    name: &'static str,
    /// The slot in which the unparker was left.
    slot: Option<u32>,
    output: Option<io::Result<()>>,
}

impl<S: AsFd> Source<S> {
    /// An arm of a select that waits as [`wait_ready`](Source::wait_ready) does, and gives what that gives.
    ///
    /// It does nothing with the descriptor, and does not count against the coroutine's budget.
    pub fn ready(&self, direction: Direction, name: &'static str) -> Readiness<'_, S> {
        Readiness { source: self, direction, name, slot: None, output: None }
    }
}

impl<S: AsFd> Readiness<'_, S> {
    fn look(&self) -> Option<io::Result<()>> {
        let registration = &self.source.registration;
        if self.source.is_closed() {
            return Some(Err(ClosedError::new(self.name).into()));
        }
        let known_not_to_be = scheduler::with(|scheduler| {
            let slot = registration.known_slot(scheduler)?;
            Some(!scheduler.slots.is_ready(slot, self.direction))
        });
        if known_not_to_be.flatten() == Some(true) {
            return None;
        }
        let flags = match self.direction {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        };
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut [PollFd::new(self.source.inner(), flags)], Some(&at_once)) {
            Ok(0) => registration.would_block(self.direction, self.name).err().map(Err),
            Ok(_) => Some(Ok(())),
            Err(errno) => Some(Err(errno.into())),
        }
    }

    /// Leaves the unparker in the source's slot; an error instead of a place where another waits.
    fn enter(&mut self, unparker: &Unparker) -> io::Result<bool> {
        let registration = &self.source.registration;
        let entered = scheduler::with(|scheduler| {
            // Released by another thread since it was looked at: to be looked at again.
            let Some(slot) = registration.known_slot(scheduler) else { return Ok(None) };
            if let Some(other) = scheduler.slots.waiter(slot, self.direction) {
                let (waiting, refused) = (other.coroutine(), unparker.coroutine());
                return Err(SimultaneousError::new(self.name, &waiting, &refused));
            }
            scheduler.slots.set_waiter(slot, self.direction, unparker.clone());
            Ok(Some(slot))
        });
        self.slot = entered.unwrap_or(Ok(None))?;
        registration.set_waited_on(self.direction, self.slot.is_some());
        Ok(self.slot.is_some())
    }
}

impl Registration {
    fn set_waited_on(&self, direction: Direction, waited_on: bool) {
        self.waited_on[direction as usize].store(waited_on, Ordering::Relaxed);
    }
}

impl<S: AsFd> Selectable for Readiness<'_, S> {
    fn try_complete(&mut self) -> bool {
        self.output = self.look();
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        match self.enter(&unparker) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => self.output = Some(Err(error)),
        }
        // There is something to be seen at once; if another arm was faster it will be seen the next time.
        let _ = unparker.unpark();
    }

    fn disarm(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        self.source.registration.set_waited_on(self.direction, false);
        scheduler::with(|scheduler| {
            let current = scheduler.current.borrow().as_ref().map(Rc::clone);
            if let Some(record) = current {
                scheduler.slots.withdraw(slot, self.direction, &record);
            }
        });
    }

    fn complete_woken(&mut self) -> bool {
        if self.slot.take().is_some() {
            self.source.registration.set_waited_on(self.direction, false);
        }
        self.output.is_some() || self.try_complete()
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(RefusedError::new(self.name).into()));
        true
    }
}

impl<S: AsFd> Arm for Readiness<'_, S> {
    type Output = io::Result<()>;

    fn into_output(self) -> io::Result<()> {
        self.output.unwrap_or_else(|| not_selected())
    }
}
