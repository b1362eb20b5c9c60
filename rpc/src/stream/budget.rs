//! What all streams of a connection may hold together, however many there are and whatever their peer does.
//!
//! Each stream reserves its window when it is opened. As a whole item may be sent into the last byte of a window, it
//! also takes what it holds beyond the window, from the same budget, for as long as it holds it.

use std::cell::Cell;
use std::rc::Rc;

use crate::limits::Limits;

/// How many messages of the longest kind may be held beyond the windows of a connection's streams, in each role.
pub const OVERSHOOT_MESSAGES: usize = 4;

/// Bytes that are left for streams.
pub(crate) struct Budget {
    left: Cell<usize>,
}

impl Budget {
    /// A window for each call that may be in flight, and room for a few long items.
    pub(crate) fn new(limits: &Limits) -> Budget {
        let windows = limits.in_flight.saturating_mul(limits.window_bytes);
        let overshoot = limits.frame_bytes.saturating_mul(OVERSHOOT_MESSAGES);
        Budget { left: Cell::new(windows.saturating_add(overshoot)) }
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(self.left.get()));
        left.is_some()
    }

    fn give(&self, bytes: usize) {
        self.left.set(self.left.get() + bytes);
    }

    /// How many bytes are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.get()
    }
}

/// What one stream has of the budget; it goes back when this is dropped.
pub(crate) struct Share {
    budget: Rc<Budget>,
    taken: Cell<usize>,
    window: usize,
}

impl Share {
    /// Reserves a window; `None` when there is no room for one more.
    pub(crate) fn reserve(budget: &Rc<Budget>, window: usize) -> Option<Share> {
        let reserved = budget.take(window);
        reserved.then(|| Share { budget: budget.clone(), taken: Cell::new(window), window })
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Whether it has more than its window.
    #[inline]
    pub(super) fn is_beyond(&self) -> bool {
        self.taken.get() > self.window
    }

    /// Takes or gives back what it needs to hold so many bytes beyond its window; false when there is not enough.
    pub(super) fn cover(&self, beyond: usize) -> bool {
        let (needed, taken) = (self.window + beyond, self.taken.get());
        if needed == taken {
            return true;
        }
        if needed > taken && !self.budget.take(needed - taken) {
            return false;
        }
        self.budget.give(taken.saturating_sub(needed));
        self.taken.set(needed);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.taken.get());
    }
}
