//! The items that go to the peer: what it lets this side send, and whoever waits for more.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use grapeshot_core::{Reason, Unparked, WaitQueue, yield_now};

use crate::error::StreamError;

/// No window grows beyond this, whatever a peer grants.
const WINDOW_MAX: i64 = 1 << 40;

/// How much is sent in a row before others run, the connection's writer among them: the peer reads the first items while
/// the next ones are made. What is written at a time then also fits into a buffer that is kept.
const SENT_IN_A_ROW: usize = 32 << 10;

/// How much is at the beginning of a stream, for whose first items the peer waits; twice as much each time.
const SENT_AT_FIRST: usize = 4 << 10;

/// One stream of items, on the side that sends it.
pub(super) struct Outgoing {
    /// What may be sent: below zero by as much as the last item was longer than that.
    left: Cell<i64>,
    /// What was sent since others ran.
    in_a_row: Cell<usize>,
    /// After how much they run.
    gives_way_after: Cell<usize>,
    is_open: Cell<bool>,
    /// What whoever sends is told when it is not open.
    closed: RefCell<StreamError>,
    writers: WaitQueue,
}

impl Outgoing {
    /// To a peer that lets so many bytes be sent before it says more.
    pub(super) fn new(window: u64) -> Outgoing {
        let outgoing = Outgoing {
            left: Cell::new(0),
            in_a_row: Cell::new(0),
            gives_way_after: Cell::new(SENT_AT_FIRST),
            is_open: Cell::new(true),
            closed: RefCell::new(StreamError::Over),
            writers: WaitQueue::new(),
        };
        outgoing.grant(window);
        outgoing
    }

    /// The peer lets so many bytes more be sent. Never suspends.
    pub(super) fn grant(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(WINDOW_MAX);
        self.left.set(self.left.get().saturating_add(bytes).min(WINDOW_MAX));
        // All of them, as one that is cancelled in a later wait could not pass its wake on.
        self.writers.wake_all();
    }

    /// Ends the stream for whoever sends; the first end counts, and is answered with true.
    pub(super) fn close(&self, why: StreamError) -> bool {
        if !self.is_open.replace(false) {
            return false;
        }
        self.closed.replace(why);
        self.writers.wake_all();
        true
    }

    /// Lets others run when much has been sent in a row.
    ///
    /// Whoever is cancelled here has sent nothing.
    #[inline]
    pub(super) fn give_way(&self) {
        if self.in_a_row.get() >= self.gives_way_after.get() {
            self.in_a_row.set(0);
            self.gives_way_after.set(SENT_IN_A_ROW.min(2 * self.gives_way_after.get()));
            yield_now();
        }
    }

    /// Waits until an item may be sent, until the deadline.
    ///
    /// Whoever is cancelled here has sent nothing.
    #[inline]
    pub(super) fn wait_window(&self, deadline: Option<Instant>) -> Result<(), StreamError> {
        while self.is_open.get() && self.left.get() <= 0 {
            if self.writers.wait_until(Reason::Other("the window of a stream"), deadline) != Unparked::Woken {
                return Err(StreamError::Over);
            }
        }
        if self.is_open.get() { Ok(()) } else { Err(self.closed.borrow().clone()) }
    }

    /// Whether an item may be sent at once.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.is_open.get() && self.left.get() > 0
    }

    /// Takes the cost of an item off the window.
    #[inline]
    pub(super) fn spend(&self, cost: usize) {
        self.left.set(self.left.get().saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX)));
        self.in_a_row.set(self.in_a_row.get().saturating_add(cost));
    }
}
