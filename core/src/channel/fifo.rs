//! The ancestor's queue: unbounded, first in, first out, for producers that must never wait (SYN-6).
//!
//! Its memory is bounded by its users only; where producers may outrun consumers, a bounded channel is the better tool.
//! Nothing is closed: an end is a value that both sides agree on, such as `None`.
//!
//! Built on the hand-off that all queues share, so a popper that is cancelled loses no item, and nobody overtakes.

use std::collections::VecDeque;
use std::fmt;

use crate::RefusedError;
use crate::channel::handoff::{End, Handoff};
use crate::park::Reason;

const REASON: Reason = Reason::Other("an item of a fifo");

/// An unbounded queue, first in, first out (SYN-6).
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use grapeshot_core::{channel::Fifo, spawn, test};
///
/// test::run(|| {
///     let queue = Rc::new(Fifo::new());
///     let summer = spawn({
///         let queue = queue.clone();
///         move || {
///             let mut sum = 0;
///             // `None` is the end, by agreement.
///             while let Ok(Some(number)) = queue.pop() {
///                 sum += number;
///             }
///             sum
///         }
///     });
///     for item in [Some(1), Some(2), None] {
///         queue.push(item);
///     }
///     assert_eq!(summer.join().unwrap(), 3);
/// });
/// ```
pub struct Fifo<T> {
    pub(crate) items: Handoff<T>,
}

impl<T> Fifo<T> {
    /// An empty queue, without allocating.
    pub const fn new() -> Fifo<T> {
        Fifo { items: Handoff::new() }
    }

    /// Appends an item, or gives it to the first who waits. Never waits.
    pub fn push(&self, item: T) {
        self.items.put(End::Back, item);
    }

    /// Puts an item first, such as one that was popped too early, or gives it to the first who waits. Never waits.
    pub fn push_front(&self, item: T) {
        self.items.put(End::Front, item);
    }

    /// Takes the first item, and waits while there is none.
    ///
    /// Poppers are served in the order they came.
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
        self.items.take("Fifo::pop", End::Front, REASON, None).map_err(|_| RefusedError { operation: "pop" })
    }

    /// Takes the first item, if there is one; never waits.
    pub fn try_pop(&self) -> Option<T> {
        self.items.try_take(End::Front)
    }

    /// Takes all items, and waits until there is at least one.
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
    pub fn pop_all(&self) -> Result<VecDeque<T>, RefusedError> {
        let first = self
            .items
            .take("Fifo::pop_all", End::Front, REASON, None)
            .map_err(|_| RefusedError { operation: "pop_all" })?;
        let mut all = self.items.take_row();
        all.push_front(first);
        Ok(all)
    }

    /// A clone of the first item, which stays in place; `None` if the queue is empty. Never waits.
    ///
    /// It gives no reference, which could outlive a wait; keep `Rc`s in the queue where a clone is dear.
    ///
    /// # Panics
    ///
    /// When cloning `T` pushes to this queue or pops from it.
    pub fn top(&self) -> Option<T>
    where
        T: Clone,
    {
        self.items.clone_at(0)
    }

    /// Clones of the items from the first to the last, which stay in place. Never waits.
    ///
    /// The iterator looks at the queue anew for each item, so the queue may be used and others may run meanwhile;
    /// what is popped or put first shifts what comes next.
    ///
    /// # Panics
    ///
    /// When cloning `T` pushes to this queue or pops from it.
    pub fn iter(&self) -> impl Iterator<Item = T>
    where
        T: Clone,
    {
        (0..).map_while(|index| self.items.clone_at(index))
    }

    /// How many items are in the queue. An item that was given to a waiting popper is not.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many coroutines wait for an item.
    pub fn waiting(&self) -> usize {
        self.items.waiting()
    }
}

impl<T> Default for Fifo<T> {
    fn default() -> Fifo<T> {
        Fifo::new()
    }
}

impl<T> Extend<T> for &Fifo<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<T> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fifo({} items, {} waiting)", self.len(), self.waiting())
    }
}
