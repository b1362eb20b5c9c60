//! What waits to be written: one buffer that all append to, and one coroutine that writes it.
//!
//! ```text
//!   append ──► buffer ──(writer's turn: swap)──► transport
//!      ▲                                            │
//!      └── waits while too much is unsent ◄─────────┘
//! ```
//!
//! The first append wakes the writer, which goes to the tail of the run queue: whoever can run before it appends too,
//! and all of it leaves in one write.
//!
//! # Invariants
//!
//! - Only whole messages are appended, and nobody suspends while one is.
//! - A byte counts as handed over from the moment at which the transport is given the buffer that it is in: who has
//!   none that was can say that the peer never saw it.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use grapeshot_core::{Reason, Unparked, WaitQueue};

/// A buffer that has grown beyond this is not kept for the next turn.
const KEPT_BYTES: usize = 64 << 10;

/// What one side has to say on a connection.
pub(super) struct Output {
    buffer: RefCell<Vec<u8>>,
    /// How many bytes the transport is being given.
    under_way: Cell<usize>,
    /// How many bytes the transport has been given, ever.
    handed: Cell<u64>,
    /// How many bytes may wait before whoever wants to append waits.
    limit: usize,
    /// Nothing more will be appended: the writer ends when all is out.
    finishing: Cell<bool>,
    ended: Cell<bool>,
    writer: WaitQueue,
    room: WaitQueue,
    end: WaitQueue,
    drained: WaitQueue,
}

impl Output {
    pub(super) fn new(limit: usize) -> Output {
        Output {
            buffer: RefCell::default(),
            under_way: Cell::new(0),
            handed: Cell::new(0),
            limit,
            finishing: Cell::new(false),
            ended: Cell::new(false),
            writer: WaitQueue::new(),
            room: WaitQueue::new(),
            end: WaitQueue::new(),
            drained: WaitQueue::new(),
        }
    }

    /// Appends a message, and says where in all that is ever sent it begins. Never suspends.
    ///
    /// What `encode` refuses it has taken back.
    #[inline]
    pub(super) fn append<E>(&self, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u64, E> {
        let mut buffer = self.buffer.borrow_mut();
        let position = self.handed.get() + buffer.len() as u64;
        encode(&mut buffer)?;
        drop(buffer);
        self.writer.wake_one();
        Ok(position)
    }

    /// Whether none of what was appended at `position` has been given to the transport.
    pub(super) fn is_unsent(&self, position: u64) -> bool {
        self.handed.get() <= position
    }

    fn unsent(&self) -> usize {
        self.buffer.borrow().len() + self.under_way.get()
    }

    /// Whether whoever can wait should do so before it appends.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.unsent() > self.limit
    }

    /// Whether even the reader should wait, which answers by itself only what is small: those who wait before they append
    /// leave at most the limit and one message, and the reader as much again as the limit.
    pub(super) fn is_overfull(&self, longest: usize) -> bool {
        self.unsent() > self.limit.saturating_mul(2).saturating_add(longest)
    }

    /// Waits until there is room for another message, or until `deadline`; says whether there is.
    pub(super) fn wait_for_room(&self, deadline: Option<Instant>) -> bool {
        while self.is_full() && !self.finishing.get() {
            if self.room.wait_until(Reason::Other("the peer to read"), deadline) != Unparked::Woken {
                return !self.is_full();
            }
        }
        true
    }

    /// Whether nothing that is appended from now on has to be written.
    pub(super) fn is_finishing(&self) -> bool {
        self.finishing.get()
    }

    /// Lets nothing wait for room any more, and the writer end when all is out. Never suspends.
    pub(super) fn finish(&self) {
        self.finishing.set(true);
        self.writer.wake_all();
        self.room.wake_all();
    }

    /// Waits until the writer has ended.
    pub(super) fn wait_ended(&self) {
        while !self.ended.get() && self.end.wait(Reason::Other("the last bytes to be written")) {}
    }

    /// Waits until all that was appended has been written, or the writer has ended.
    pub(super) fn wait_written(&self, deadline: Option<Instant>) {
        while self.unsent() > 0 && !self.ended.get() {
            self.writer.wake_one();
            if self.drained.wait_until(Reason::Other("the peer to read"), deadline) != Unparked::Woken {
                return;
            }
        }
    }

    /// The writer's wait: gives what is to be written for a buffer that was; false when there is nothing more.
    pub(super) fn next(&self, written: &mut Vec<u8>) -> bool {
        self.under_way.set(0);
        written.clear();
        if written.capacity() > KEPT_BYTES {
            *written = Vec::new();
        }
        if !self.room.is_empty() && !self.is_full() {
            self.room.wake_all();
        }
        while self.buffer.borrow().is_empty() {
            self.drained.wake_all();
            if self.finishing.get() || !self.writer.wait(Reason::Other("something to write")) {
                return false;
            }
        }
        std::mem::swap(written, &mut *self.buffer.borrow_mut());
        self.under_way.set(written.len());
        self.handed.set(self.handed.get() + written.len() as u64);
        true
    }

    /// Says that nothing more is written.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.end.wake_all();
        self.room.wake_all();
        self.drained.wake_all();
    }
}
