//! Waiting without a stack: a coroutine between two pieces of work keeps its identity and gives its stack back.
//!
//! ```text
//!   Turn::Wait ──► stack to the pool ──► hibernating ──┬─ readable ──► a pooled stack, `then(Woken)`
//!                                                      ├─ deadline ──► a pooled stack, `then(TimedOut)`
//!                                                      └─ cancelled ─► a pooled stack, `then` is dropped on it
//! ```
//!
//! A server's connection that waits for its next request does this (DESIGN §3): it stays a coroutine with its number,
//! name, deadline and place in listings, and costs its record and the closure.
//! The ancestor's `set_handler` (POL-5) is the same idea.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::rc::Rc;
use std::time::Instant;

use crate::panics::Panic;
use crate::park::{Outcome, Reason, Unparked, Unparker};
use crate::record::{Body, Record};
use crate::scheduler::{self, Scheduler};
use crate::slots::{Direction, Place};
use crate::source::Source;
use crate::spawn::{Builder, Coroutine, catch, drop_quietly};

/// What a coroutine of [`Builder::spawn_turns`] does after a turn.
pub enum Turn {
    /// It ends.
    Done,
    /// It waits without a stack, and then takes another turn.
    Wait(Hibernation),
}

type Next = Box<dyn FnOnce(Unparked) -> Turn>;

/// A wait without a stack.
pub struct Hibernation {
    place: Place,
    reason: Reason,
    deadline: Option<Instant>,
    then: Next,
}

impl Hibernation {
    /// Waits until `source` is readable or `deadline` passes, and then runs `then` on a stack.
    ///
    /// `then` owns whatever it needs, the source included; if the coroutine is cancelled it is dropped instead.
    ///
    /// # Errors
    ///
    /// When the source is closed or cannot be registered with the reactor.
    pub fn until_readable<S: AsFd, K>(
        kept: K,
        source: impl FnOnce(&K) -> &Source<S>,
        name: &'static str,
        deadline: Option<Instant>,
        then: impl FnOnce(K, Unparked) -> Turn + 'static,
    ) -> io::Result<Hibernation>
    where
        K: 'static,
    {
        let source = source(&kept);
        let place = source.place(name)?;
        let reason = Reason::Io { operation: name, descriptor: source.as_fd().as_raw_fd() };
        let then = Box::new(move |unparked| then(kept, unparked));
        Ok(Hibernation { place, reason, deadline, then })
    }
}

impl fmt::Debug for Hibernation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hibernation({})", self.reason)
    }
}

impl Builder {
    /// Starts a coroutine that works in turns and holds no stack between them.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn_turns(self, first: impl FnOnce() -> Turn + 'static) -> io::Result<Coroutine> {
        let first: Next = Box::new(move |_| first());
        let body = Turns { next: Cell::new(Some(first)), pending: Cell::new(None), panic: Cell::new(None) };
        let record = self.make(body, Location::caller())?;
        record.detached.set(true);
        let record: Rc<Record> = record;
        scheduler::with(|scheduler| scheduler.start(&record));
        Ok(Coroutine { record })
    }
}

/// Where and how long a hibernating body waits.
struct Pending {
    place: Place,
    reason: Reason,
    deadline: Option<Instant>,
}

struct Turns {
    next: Cell<Option<Next>>,
    pending: Cell<Option<Pending>>,
    panic: Cell<Option<Panic>>,
}

impl Body for Turns {
    fn run(&self, record: &Rc<Record>) {
        let Some(next) = self.next.take() else { return };
        if let Some(pending) = self.pending.take() {
            scheduler::with(|scheduler| scheduler.slots.wake_up(pending.place, Direction::Read, record));
        }
        if record.root_cancelled.get() {
            drop_quietly(record, next);
            return;
        }
        let unparked = match record.outcome.get() {
            Outcome::TimedOut => Unparked::TimedOut,
            Outcome::Woken | Outcome::Cancelled => Unparked::Woken,
        };
        match catch(record, move || next(unparked)) {
            Some(Ok(Turn::Wait(Hibernation { place, reason, deadline, then }))) => {
                self.next.set(Some(then));
                self.pending.set(Some(Pending { place, reason, deadline }));
            }
            Some(Err(panic)) => self.panic.set(Some(panic)),
            Some(Ok(Turn::Done)) | None => {}
        }
        if record.root_cancelled.get() {
            drop_quietly(record, self.next.take());
        }
    }

    fn discard(&self) {
        drop(self.next.take());
    }

    fn take_panic(&self) -> Option<Panic> {
        self.panic.take()
    }

    fn hibernates(&self) -> bool {
        let next = self.next.take();
        let hibernates = next.is_some();
        self.next.set(next);
        hibernates
    }

    fn arm(&self, scheduler: &Scheduler, unparker: &Unparker) {
        let Some(pending) = self.pending.take() else { return };
        unparker.record.reason.set(pending.reason);
        if !scheduler.slots.hibernate(pending.place, Direction::Read, unparker) {
            scheduler.make_ready(&unparker.record, Outcome::Woken);
        } else {
            // A wait refills the budget, as on a stack.
            unparker.record.budget.set(unparker.record.full_budget.get());
            let deadline = pending.deadline.map_or(u64::MAX, |deadline| scheduler.clock.to_nanos(deadline));
            scheduler.set_deadline(&unparker.record, deadline);
        }
        self.pending.set(Some(pending));
    }
}
