//! A wait queue whose waiters say what they want: the base of this module's types.
//!
//! [`WaitQueue`](crate::WaitQueue) wakes whoever comes first; here the waker first looks at what that one asks for,
//! and learns who it is.
//!
//! # Invariants
//!
//! - First in, first out. A waiter that has been cancelled and has not run since is still in line:
//!   its unpark fails, and the waker goes on to the next.
//! - The line holds at most twice as many places as there are waiters, however many gave up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Instant;

use super::error::WaitError;
use super::holder::Holder;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};
use crate::record::State;

pub(super) struct Line<W = ()> {
    places: RefCell<Places<W>>,
}

struct Places<W> {
    /// Sorted by ticket; a place whose waiter gave up is empty until the line is tidied.
    waiting: VecDeque<(u64, Option<(W, Unparker)>)>,
    next_ticket: u64,
    empty: usize,
}

impl<W> Line<W> {
    pub(super) const fn new() -> Line<W> {
        Line { places: RefCell::new(Places { waiting: VecDeque::new(), next_ticket: 0, empty: 0 }) }
    }

    /// Waits in line until woken.
    ///
    /// `left` is called when the wait has ended early and its place has been given up: those behind may now fit.
    #[inline(always)]
    #[track_caller]
    pub(super) fn wait(
        &self,
        called: &str,
        want: W,
        reason: Reason,
        deadline: Option<Instant>,
        mut left: impl FnMut(),
    ) -> Result<(), WaitError> {
        let ticket = Cell::new(0);
        let ended = park_for(
            called,
            reason,
            deadline,
            |unparker| ticket.set(self.enter(want, unparker)),
            || {
                self.give_up(ticket.get());
                left();
                Withdrawal::Withdrawn
            },
        );
        match ended {
            Unparked::Woken => Ok(()),
            Unparked::TimedOut => Err(WaitError::TimedOut),
            Unparked::Refused => Err(WaitError::Refused),
        }
    }

    fn enter(&self, want: W, unparker: Unparker) -> u64 {
        let mut places = self.places.borrow_mut();
        let ticket = places.next_ticket;
        places.next_ticket += 1;
        places.waiting.push_back((ticket, Some((want, unparker))));
        ticket
    }

    fn give_up(&self, ticket: u64) {
        let mut places = self.places.borrow_mut();
        let Ok(index) = places.waiting.binary_search_by_key(&ticket, |place| place.0) else { return };
        let left = places.waiting[index].1.take();
        if left.is_some() {
            places.empty += 1;
        }
        places.tidy();
        drop(places);
        drop(left);
    }

    /// Takes the first out of the line; whether it still waits is for its unpark to say.
    pub(super) fn pop(&self) -> Option<(W, Unparker)> {
        let mut places = self.places.borrow_mut();
        loop {
            match places.waiting.pop_front()? {
                (_, Some(waiter)) => return Some(waiter),
                (_, None) => places.empty -= 1,
            }
        }
    }

    /// Wakes the first that still waits, and says who that is.
    pub(super) fn wake_first(&self) -> Option<Holder> {
        while let Some((_, unparker)) = self.pop() {
            if unparker.unpark().is_ok() {
                return Some(Holder::from(unparker.record.id()));
            }
        }
        None
    }

    /// Wakes everyone who waits now.
    pub(super) fn wake_all(&self, mut woken: impl FnMut(Holder)) {
        while let Some(holder) = self.wake_first() {
            woken(holder);
        }
    }

    /// What the first asks for.
    pub(super) fn first(&self) -> Option<W>
    where
        W: Copy,
    {
        let mut places = self.places.borrow_mut();
        loop {
            match places.waiting.front()? {
                (_, Some((want, _))) => return Some(*want),
                (_, None) => {
                    places.waiting.pop_front();
                    places.empty -= 1;
                }
            }
        }
    }

    /// Wakes one wherever it stands in line, if it still waits.
    pub(super) fn wake_that(&self, is_it: impl Fn(&W) -> bool) -> bool {
        let mut places = self.places.borrow_mut();
        let is_its = |place: &&mut (u64, Option<(W, Unparker)>)| place.1.as_ref().is_some_and(|(want, _)| is_it(want));
        let Some(found) = places.waiting.iter_mut().find(is_its).and_then(|place| place.1.take()) else {
            return false;
        };
        places.empty += 1;
        places.tidy();
        drop(places);
        found.1.unpark().is_ok()
    }

    /// Looks at those who still wait, and not at those who have been cancelled and have not run since.
    pub(super) fn for_each_waiting(&self, mut look: impl FnMut(&W)) {
        for (_, waiter) in &self.places.borrow().waiting {
            if let Some((want, unparker)) = waiter
                && still_waits(unparker)
            {
                look(want);
            }
        }
    }

    /// How many still wait.
    pub(super) fn count_waiting(&self) -> usize {
        let mut count = 0;
        self.for_each_waiting(|_| count += 1);
        count
    }

    /// How many are in line.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let places = self.places.borrow();
        places.waiting.len() - places.empty
    }

    /// Whether nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<W> Places<W> {
    fn tidy(&mut self) {
        if self.empty * 2 > self.waiting.len() {
            self.waiting.retain(|place| place.1.is_some());
            self.empty = 0;
        }
    }
}

fn still_waits(unparker: &Unparker) -> bool {
    unparker.record.state.get() == State::Parked && unparker.record.generation.get() == unparker.generation
}
