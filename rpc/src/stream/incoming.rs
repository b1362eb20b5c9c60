//! The items that come from the peer: what it may send, what has come and was not taken, and how it ends.
//!
//! ```text
//!             push ──► arrived ──(swap, when the batch is used up)──► batch ──► take
//!   window:  left -= cost                                     owed += cost; half a window is granted back
//! ```
//!
//! # Invariants
//!
//! - `held + owed + left = window`: what waits here, what was taken and not granted back, and what may come.
//! - `left` falls below zero by one item at most; the next one breaks the protocol and is not kept.
//! - Items lie in two buffers that are used in turns.

use std::cell::{Cell, RefCell};
use std::mem;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::{Reason, Unparked, WaitQueue, now};

use crate::error::StreamError;
use crate::stream::budget::Share;
use crate::stream::places::{self, BESIDE_BYTES, Places};

/// What an item costs of a window beside its bytes, so that empty ones are bounded too.
pub(super) const ITEM_COST: usize = 16;

/// A buffer that has grown beyond this is not kept by a reader that waits.
const KEPT_BYTES: usize = 128 << 10;

// What a place takes beside its item is within what the item costs of the window.
const _: () = assert!(BESIDE_BYTES <= ITEM_COST);

/// One stream of items, on the side that receives it.
pub(super) struct Incoming {
    share: Share,
    /// What the peer may still send: below zero by as much as its last item was longer than that.
    left: Cell<i64>,
    /// What was taken and not granted back.
    owed: Cell<usize>,
    /// From how much on it is granted back.
    grant_from: usize,
    arrived: RefCell<Places>,
    batch: RefCell<Rc<Places>>,
    /// Where in the batch the next item begins.
    position: Cell<usize>,
    /// How it ends behind what has arrived: whole, or not.
    end: RefCell<Option<Result<(), StreamError>>>,
    /// Whether it has no end yet. Apart from that, since it is looked at for each item.
    is_open: Cell<bool>,
    readers: WaitQueue,
}

/// An item that was taken. Reading it keeps the items behind it in their place, whatever else happens to the stream.
pub(super) struct Taken {
    batch: Rc<Places>,
    start: usize,
    length: usize,
}

impl Deref for Taken {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.batch.item(self.start, self.length)
    }
}

impl Incoming {
    /// Of a peer that may send a window before it hears of it again.
    pub(super) fn new(share: Share) -> Incoming {
        Incoming {
            left: Cell::new(signed(share.window())),
            grant_from: (share.window() / 2).max(1),
            share,
            owed: Cell::new(0),
            arrived: RefCell::default(),
            batch: RefCell::default(),
            position: Cell::new(0),
            end: RefCell::new(None),
            is_open: Cell::new(true),
            readers: WaitQueue::new(),
        }
    }

    /// Keeps items that have come. Never suspends.
    ///
    /// One that breaks the protocol or a limit ends the stream instead, which its reader sees behind what has come before.
    #[inline]
    pub(super) fn push<'i>(&self, items: impl IntoIterator<Item = &'i [u8]>) {
        let mut arrived = self.arrived.borrow_mut();
        for item in items {
            if self.admits(item) {
                arrived.push(item);
            }
        }
        if !arrived.is_empty() {
            // Whoever it wakes wakes the next one, as long as there are items.
            self.readers.wake_one();
        }
    }

    /// Whether an item is within the window, which is smaller then; one that is not ends the stream.
    #[inline]
    fn admits(&self, item: &[u8]) -> bool {
        let left = self.left.get();
        if left <= 0 || !self.is_open.get() {
            self.refuse();
            return false;
        }
        let left = left - signed(cost(item));
        self.left.set(left);
        // What is within the window is covered from the beginning.
        let is_covered = left >= 0 || self.share.cover(self.beyond());
        if !is_covered {
            self.end(Err(StreamError::TooLarge { bytes: item.len(), limit: self.share.window() }));
        }
        is_covered
    }

    /// An item has come that should not have.
    #[cold]
    fn refuse(&self) {
        let is_whole = self.end.borrow().as_ref().map(Result::is_ok);
        match is_whole {
            None => self.break_off("an item came for which there was no window"),
            Some(true) => self.break_off("an item came after the end of its stream"),
            Some(false) => {}
        }
    }

    fn break_off(&self, reason: &str) {
        self.set_end(Err(StreamError::Malformed(reason.into())));
    }

    fn set_end(&self, end: Result<(), StreamError>) {
        self.is_open.set(false);
        self.end.replace(Some(end));
        self.readers.wake_all();
    }

    /// How much is held beyond the window.
    fn beyond(&self) -> usize {
        usize::try_from(-(self.left.get() + signed(self.owed.get()))).unwrap_or(0)
    }

    /// Ends the stream behind what has come; the first end counts.
    pub(super) fn end(&self, end: Result<(), StreamError>) {
        if self.is_open.get() {
            self.set_end(end);
        }
    }

    /// Drops what has come, as nobody will read it, and takes nothing more.
    pub(super) fn stop(&self, why: StreamError) {
        self.arrived.take();
        self.batch.take();
        self.position.set(0);
        self.share.cover(0);
        self.set_end(Err(why));
    }

    /// Whether there is an item to take. Never suspends.
    #[inline]
    pub(super) fn has_next(&self) -> bool {
        self.position.get() < self.batch.borrow().end() || self.next_batch()
    }

    /// Waits until there is an item to take, until the deadline; false at the end of a stream that is whole.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<bool, StreamError> {
        while !self.has_next() {
            if let Some(end) = &*self.end.borrow() {
                return end.clone().map(|()| false);
            }
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Err(StreamError::Over);
            }
            self.shed();
            if self.readers.wait_until(Reason::Other("the next item of a stream"), deadline) != Unparked::Woken {
                return Err(StreamError::Over);
            }
        }
        Ok(true)
    }

    /// Takes the next item, if [there is one](Self::has_next). Never suspends.
    #[inline]
    pub(super) fn take(&self) -> Option<Taken> {
        let batch = self.batch.borrow().clone();
        let (start, length) = batch.find(self.position.get())?;
        self.position.set(places::end_of_place(start + length));
        self.owed.set(self.owed.get() + length + ITEM_COST);
        if self.share.is_beyond() {
            self.share.cover(self.beyond());
        }
        if !self.readers.is_empty() && !self.is_drained() {
            self.readers.wake_one();
        }
        Some(Taken { batch, start, length })
    }

    fn is_drained(&self) -> bool {
        self.position.get() >= self.batch.borrow().end() && self.arrived.borrow().is_empty()
    }

    /// Puts what has arrived in the place of a batch that is used up.
    fn next_batch(&self) -> bool {
        let mut arrived = self.arrived.borrow_mut();
        if arrived.is_empty() {
            return false;
        }
        let mut batch = self.batch.borrow_mut();
        match Rc::get_mut(&mut *batch) {
            Some(used) => {
                used.clear();
                mem::swap(used, &mut *arrived);
            }
            // The last item of it is still being read.
            None => *batch = Rc::new(mem::take(&mut *arrived)),
        }
        self.position.set(0);
        true
    }

    /// Lets go of large buffers before a wait, which may be long.
    fn shed(&self) {
        if self.arrived.borrow().capacity() > KEPT_BYTES {
            self.arrived.take();
        }
        if self.batch.borrow().capacity() > KEPT_BYTES {
            self.batch.take();
            self.position.set(0);
        }
    }

    /// Whether it is time to grant back what was taken: it is half a window, and more may come.
    #[inline]
    pub(super) fn owes(&self) -> bool {
        self.owed.get() >= self.grant_from && self.is_open.get()
    }

    /// What is to be granted back now, if it is time.
    pub(super) fn take_grant(&self) -> Option<u64> {
        if !self.owes() {
            return None;
        }
        let owed = self.owed.replace(0);
        self.left.set(self.left.get() + signed(owed));
        Some(owed as u64)
    }
}

/// What an item takes of a window.
#[inline]
pub(super) fn cost(item: &[u8]) -> usize {
    item.len() + ITEM_COST
}

/// Sizes of what lies in memory, which fit.
#[inline]
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
