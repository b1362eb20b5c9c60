//! What waits to be written: one buffer that all append to, and one coroutine that writes it.
//!
//! ```text
//!   append ──► buffer ──(writer's turn: swap)──► transport
//!      ▲                                            │
//!      └── waits while too much is unsent ◄─────────┘
//! ```
//!
//! The first append wakes or spawns the writer, which goes to the tail of the run queue: whoever can run before it appends
//! too, and all of it leaves in one write. Who appends something after which nothing is to be expected, the only call of
//! its connection, writes at once what the transport takes, and spares itself the writer.
//! A writer that has had nothing to write for a while ends: most connections of a server wait most of the time, and a
//! stack takes more memory than all else that such a one needs.
//!
//! # Invariants
//!
//! - Only whole messages are appended, and nobody suspends while one is.
//! - A byte counts as handed over from the moment at which the transport is given the buffer that it is in: who has
//!   none that was can say that the peer never saw it.
//! - There is at most one writer. While something waits to be written there is one, unless none could be spawned, which
//!   ends the connection: then its reader writes what is left.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use grapeshot_core::{Reason, Unparked, WaitQueue, now};

/// A buffer that has grown beyond this is not kept for the next turn.
const KEPT_BYTES: usize = 64 << 10;

/// Nor is one beyond this when there is no writer to give it back after a while.
const KEPT_WITHOUT_WRITER: usize = 512;

/// How long a writer stays for more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// There is a writer, or one has been spawned.
    has_writer: Cell<bool>,
    /// Spawns a writer, and says whether it could.
    spawn_writer: OnceCell<Box<dyn Fn() -> bool>>,
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
            has_writer: Cell::new(false),
            spawn_writer: OnceCell::new(),
            writer: WaitQueue::new(),
            room: WaitQueue::new(),
            end: WaitQueue::new(),
            drained: WaitQueue::new(),
        }
    }

    /// Sets what spawns a writer, and says whether it could. Without it nothing is written before the end.
    pub(super) fn spawn_writers_with(&self, spawn_writer: impl Fn() -> bool + 'static) {
        // Set once, where the connection begins.
        let _ = self.spawn_writer.set(Box::new(spawn_writer));
    }

    /// Appends a message, and says where in all that is ever sent it begins. Never suspends.
    ///
    /// What `encode` refuses it has taken back.
    #[inline]
    pub(super) fn append<E>(&self, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u64, E> {
        let position = self.put(encode)?;
        self.call_writer();
        Ok(position)
    }

    /// Appends a message as [`append`](Self::append) does, and gives all that waits to `write` at once, which says how much
    /// it took. What it did not take is left to the writer, and so is an error, which is told by the next attempt.
    #[inline]
    pub(super) fn append_and_write<E>(
        &self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> Result<u64, E> {
        let position = self.put(encode)?;
        // Nothing overtakes what the writer is at.
        if self.under_way.get() > 0 || self.ended.get() || !self.write_now(write) {
            self.call_writer();
        }
        Ok(position)
    }

    fn put<E>(&self, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u64, E> {
        let mut buffer = self.buffer.borrow_mut();
        let position = self.handed.get() + buffer.len() as u64;
        encode(&mut buffer)?;
        Ok(position)
    }

    /// Writes what is taken of all that waits, and says whether nothing is left.
    fn write_now(&self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> bool {
        // A transport is somebody else's code, which may append something itself.
        let mut bytes = self.buffer.take();
        let before = self.handed.get();
        self.handed.set(before + bytes.len() as u64);
        self.under_way.set(bytes.len());
        let written = write(&bytes).unwrap_or(0).min(bytes.len());
        self.under_way.set(0);
        self.handed.set(before + written as u64);
        bytes.drain(..written);
        bytes.append(&mut self.buffer.borrow_mut());
        let is_rest = !bytes.is_empty();
        if is_rest || self.has_writer.get() || bytes.capacity() <= KEPT_WITHOUT_WRITER {
            self.buffer.replace(bytes);
        }
        if is_rest {
            return false;
        }
        if !self.room.is_empty() {
            self.room.wake_all();
        }
        if !self.drained.is_empty() {
            self.drained.wake_all();
        }
        true
    }

    #[inline]
    fn call_writer(&self) {
        if !self.writer.wake_one() && !self.has_writer.get() {
            self.spawn_one();
        }
    }

    #[cold]
    fn spawn_one(&self) {
        if self.ended.get() {
            return;
        }
        self.has_writer.set(true);
        if !self.spawn_writer.get().is_some_and(|spawn_writer| spawn_writer()) {
            self.has_writer.set(false);
        }
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

    /// Whether whoever waits for the last bytes to be written has to write them.
    pub(super) fn lacks_writer(&self) -> bool {
        !self.has_writer.get() && !self.ended.get()
    }

    /// Waits until a writer has ended that wrote the last bytes.
    pub(super) fn wait_ended(&self) {
        while !self.ended.get() && self.end.wait(Reason::Other("the last bytes to be written")) {}
    }

    /// Waits until all that was appended has been written, or nothing more will be.
    pub(super) fn wait_written(&self, deadline: Option<Instant>) {
        while self.unsent() > 0 && !self.ended.get() {
            self.writer.wake_one();
            if self.drained.wait_until(Reason::Other("the peer to read"), deadline) != Unparked::Woken {
                return;
            }
        }
    }

    /// Makes whoever calls the writer until the guard is dropped.
    pub(super) fn begin_writing(&self) -> Writing<'_> {
        self.has_writer.set(true);
        Writing(self)
    }

    /// The writer's wait: gives what is to be written for a buffer that was; false when the writer is to end.
    pub(super) fn next(&self, written: &mut Vec<u8>) -> bool {
        self.under_way.set(0);
        written.clear();
        if written.capacity() > KEPT_BYTES {
            *written = Vec::new();
        }
        if !self.room.is_empty() && !self.is_full() {
            self.room.wake_all();
        }
        if self.ended.get() || !self.wait_for_more() {
            return false;
        }
        std::mem::swap(written, &mut *self.buffer.borrow_mut());
        self.under_way.set(written.len());
        self.handed.set(self.handed.get() + written.len() as u64);
        true
    }

    /// Waits for a while until there is something to write; says whether there is.
    fn wait_for_more(&self) -> bool {
        let mut waited = false;
        while self.buffer.borrow().is_empty() {
            self.drained.wake_all();
            if waited || self.finishing.get() {
                return false;
            }
            let until = now().checked_add(IDLE_TIMEOUT);
            // Something may be appended between the end of the wait and this coroutine's turn.
            waited = self.writer.wait_until(Reason::Other("something to write"), until) != Unparked::Woken;
        }
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

/// The writer, however it ends.
pub(super) struct Writing<'a>(&'a Output);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let output = self.0;
        output.has_writer.set(false);
        // Whoever was cancelled while it wrote may have torn a message, which nothing may follow.
        if output.finishing.get() || output.ended.get() || output.under_way.get() > 0 {
            output.end();
        } else if output.buffer.borrow().is_empty() {
            // The next one to write may be long in coming.
            output.buffer.take();
        }
    }
}
