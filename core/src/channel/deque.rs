//! A queue with two ends, unbounded, from whose ends receivers may wait to take (SYL-3).
//!
//! A stack and a queue in one: `append` with `pop` is last in, first out, `append` with `pop_left` first in, first out.
//! What is appended while somebody waits is handed over at once, in the order in which the receivers came,
//! whichever end they asked for and whichever end it was put at: with nothing between them, the ends are the same.
//!
//! Built on the hand-off that all queues share, so a receiver that is cancelled loses no item, and nobody overtakes.

use std::fmt;

use crate::RefusedError;
use crate::channel::handoff::{End, Handoff};
use crate::park::Reason;

const REASON: Reason = Reason::Other("an item of a deque");

/// An unbounded queue with two ends (SYL-3).
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel::Deque, test};
///
/// test::run(|| {
///     let deque = Deque::new();
///     deque.append(2);
///     deque.append(3);
///     deque.append_left(1);
///     assert_eq!(deque.pop_left().unwrap(), 1);
///     assert_eq!(deque.pop().unwrap(), 3);
/// });
/// ```
pub struct Deque<T> {
    pub(crate) items: Handoff<T>,
}

impl<T> Deque<T> {
    /// An empty queue, without allocating.
    pub const fn new() -> Deque<T> {
        Deque { items: Handoff::new() }
    }

    /// Adds an item at the right end, or gives it to the receiver that has waited longest. Never waits.
    pub fn append(&self, item: T) {
        self.items.put(End::Back, item);
    }

    /// Adds an item at the left end, or gives it to the receiver that has waited longest. Never waits.
    pub fn append_left(&self, item: T) {
        self.items.put(End::Front, item);
    }

    /// Takes the item at the right end, the last one appended, and waits while there is none.
    ///
    /// # Errors
    ///
    /// [`RefusedError`] when the queue is empty and the coroutine unwinds, and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no item is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if the queue is empty.
    #[track_caller]
    pub fn pop(&self) -> Result<T, RefusedError> {
        self.items.take("Deque::pop", End::Back, REASON, None).map_err(|_| RefusedError { operation: "pop" })
    }

    /// Takes the item at the left end, the first one appended, and waits while there is none.
    ///
    /// # Errors
    ///
    /// [`RefusedError`], as for [`pop`](Self::pop).
    ///
    /// # Cancellation
    ///
    /// Unwinds; no item is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if the queue is empty.
    #[track_caller]
    pub fn pop_left(&self) -> Result<T, RefusedError> {
        self.items.take("Deque::pop_left", End::Front, REASON, None).map_err(|_| RefusedError { operation: "pop_left" })
    }

    /// Takes the item at the right end, if there is one; never waits.
    pub fn try_pop(&self) -> Option<T> {
        self.items.try_take(End::Back)
    }

    /// Takes the item at the left end, if there is one; never waits.
    pub fn try_pop_left(&self) -> Option<T> {
        self.items.try_take(End::Front)
    }

    /// How many items are in the queue. An item that was handed to a waiting receiver is not.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receivers wait for an item.
    pub fn pending_receivers(&self) -> usize {
        self.items.waiting()
    }
}

impl<T> Default for Deque<T> {
    fn default() -> Deque<T> {
        Deque::new()
    }
}

impl<T> fmt::Debug for Deque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deque({} items, {} waiting)", self.len(), self.pending_receivers())
    }
}
