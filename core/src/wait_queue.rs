//! A first-in, first-out queue of parked coroutines: the base of every lock, channel and join.
//!
//! # Invariants
//!
//! - Waiters are woken in the order they came; one that was cancelled or timed out is not in the queue.
//! - A wake that finds nobody is lost: the queue remembers no wakes, its user keeps the state that says what to wait for.
//! - The queue holds at most twice as many places as there are waiters, however many gave up.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};
use crate::record::Record;

/// A queue in which coroutines wait to be woken.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use grapeshot_core::{Reason, WaitQueue, spawn, test, yield_now};
///
/// test::run(|| {
///     let queue = Rc::new(WaitQueue::new());
///     let waiter = spawn({
///         let queue = queue.clone();
///         move || queue.wait(Reason::Other("a turn"))
///     });
///     yield_now();
///     assert!(queue.wake_one());
///     waiter.join().unwrap();
/// });
/// ```
#[derive(Default)]
pub struct WaitQueue {
    places: RefCell<Places>,
    /// How many wait. Apart from the places, since a wake is mostly tried where nobody does.
    waiters: Cell<usize>,
}

#[derive(Default)]
struct Places {
    /// Whoever came to an empty queue, which is nearly everyone: it is cheaper to reach than the row.
    first: Option<(u64, Unparker)>,
    /// Who came after the first. Sorted by ticket; a place whose waiter gave up is empty until the queue is tidied.
    waiting: VecDeque<(u64, Option<Unparker>)>,
    next_ticket: u64,
    empty: usize,
}

impl WaitQueue {
    /// Makes an empty queue, without allocating.
    pub const fn new() -> WaitQueue {
        let places = Places { first: None, waiting: VecDeque::new(), next_ticket: 0, empty: 0 };
        WaitQueue { places: RefCell::new(places), waiters: Cell::new(0) }
    }

    /// Waits until woken, and says whether it was; false only while the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the place in the queue is given up.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    #[inline(always)]
    #[track_caller]
    pub fn wait(&self, reason: Reason) -> bool {
        self.wait_for("WaitQueue::wait", reason, None) == Unparked::Woken
    }

    /// Waits until woken or until `deadline`.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the place in the queue is given up.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    // Without a return between the switch and the caller, which the processor would predict wrongly.
    #[inline(always)]
    #[track_caller]
    pub fn wait_until(&self, reason: Reason, deadline: Option<Instant>) -> Unparked {
        self.wait_for("WaitQueue::wait_until", reason, deadline)
    }

    /// Waits as [`wait_until`](Self::wait_until) does, for what the user has `called`.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait_for(&self, called: &str, reason: Reason, deadline: Option<Instant>) -> Unparked {
        let ticket = Cell::new(0);
        park_for(
            called,
            reason,
            deadline,
            |unparker| ticket.set(self.enter(unparker)),
            || {
                self.give_up(ticket.get());
                Withdrawal::Withdrawn
            },
        )
    }

    /// Takes a place for a wait; [`give_up`](Self::give_up) returns it.
    #[inline]
    pub(crate) fn enter(&self, unparker: Unparker) -> u64 {
        self.waiters.set(self.waiters.get() + 1);
        let mut places = self.places.borrow_mut();
        let ticket = places.next_ticket;
        places.next_ticket += 1;
        if places.first.is_none() && places.waiting.is_empty() {
            places.first = Some((ticket, unparker));
        } else {
            places.waiting.push_back((ticket, Some(unparker)));
        }
        ticket
    }

    /// Returns a place; false when a wake has taken it, whoever accepted that.
    pub(crate) fn give_up(&self, ticket: u64) -> bool {
        let mut places = self.places.borrow_mut();
        if places.first.as_ref().is_some_and(|first| first.0 == ticket) {
            places.first = None;
            self.waiters.set(self.waiters.get() - 1);
            return true;
        }
        let Ok(index) = places.waiting.binary_search_by_key(&ticket, |place| place.0) else { return false };
        let given_up = places.waiting[index].1.take();
        if given_up.is_some() {
            places.empty += 1;
            self.waiters.set(self.waiters.get() - 1);
        }
        if places.empty * 2 > places.waiting.len() {
            places.waiting.retain(|place| place.1.is_some());
            places.empty = 0;
        }
        given_up.is_some()
    }

    /// Wakes the first that still waits; false when nobody does.
    #[inline]
    pub fn wake_one(&self) -> bool {
        self.waiters.get() > 0 && self.wake_the_first()
    }

    fn wake_the_first(&self) -> bool {
        while let Some(unparker) = self.pop() {
            if unparker.unpark().is_ok() {
                return true;
            }
        }
        false
    }

    /// Wakes up to `count` waiters and says how many there were.
    pub fn wake_many(&self, count: usize) -> usize {
        (0..count).take_while(|_| self.wake_one()).count()
    }

    /// Wakes everyone who waits now and says how many they were.
    pub fn wake_all(&self) -> usize {
        self.wake_many(usize::MAX)
    }

    #[inline]
    fn pop(&self) -> Option<Unparker> {
        let mut places = self.places.borrow_mut();
        let popped = match places.first.take() {
            Some((_, unparker)) => unparker,
            None => loop {
                match places.waiting.pop_front()? {
                    (_, Some(unparker)) => break unparker,
                    (_, None) => places.empty -= 1,
                }
            },
        };
        self.waiters.set(self.waiters.get() - 1);
        Some(popped)
    }

    /// Those who wait.
    pub(crate) fn coroutines(&self) -> Vec<Rc<Record>> {
        let places = self.places.borrow();
        let first = places.first.as_ref().map(|(_, unparker)| unparker);
        let others = places.waiting.iter().filter_map(|(_, unparker)| unparker.as_ref());
        first.into_iter().chain(others).map(|unparker| unparker.record.clone()).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.get()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitQueue({} waiting)", self.len())
    }
}
