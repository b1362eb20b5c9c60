//! The lock for many readers or one writer, without a value.
//!
//! ```text
//!            read                                  write
//!   reading ◄──────── free ──────────────────────────────► writing
//!      │     the last one ends, no writer waits   ends       │
//!      └──────────────────────► free ◄───────────────────────┘
//!                                 └─► the first writer in line, else all readers in line
//! ```
//!
//! # Invariants
//!
//! - Writers go first: while one waits, only coroutines that hold the lock already may begin to read.
//! - Readers wait only while somebody writes, or a writer waits. Whenever one of the two ends, in whatever way, the
//!   readers are looked after; so a writer that gives up does not leave behind the readers it held up (SYN-4).
//! - `reading` counts what is handed over as well; `readers` has those who have run since, for a coroutine to find
//!   itself in.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use super::error::WaitError;
use super::holder::{Holder, would_wait_for_itself};
use super::line::Line;
use crate::park::Reason;

/// What happens when a coroutine takes a lock that it holds and that others wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recursion {
    /// It takes it once more.
    Allowed,
    /// It panics, since it would wait for itself.
    Refused,
}

pub(super) struct RawRwLock {
    recursion: Recursion,
    writer: Cell<Option<Holder>>,
    /// How often the writer has taken it.
    depth: Cell<usize>,
    reading: Cell<usize>,
    readers: RefCell<Readers>,
    writers_line: Line,
    readers_line: Line,
}

/// Who reads, by the seat that each reader was given.
struct Readers {
    seats: Vec<Option<Holder>>,
    vacant: Vec<usize>,
}

impl RawRwLock {
    pub(super) const fn new(recursion: Recursion) -> RawRwLock {
        RawRwLock {
            recursion,
            writer: Cell::new(None),
            depth: Cell::new(0),
            reading: Cell::new(0),
            readers: RefCell::new(Readers { seats: Vec::new(), vacant: Vec::new() }),
            writers_line: Line::new(),
            readers_line: Line::new(),
        }
    }

    /// Begins to read, if that takes no wait.
    pub(super) fn try_read(&self) -> Option<Reading<'_>> {
        let is_open = self.writer.get().is_none() && self.writers_line.is_empty();
        let may_enter = is_open || self.recursion == Recursion::Allowed && self.is_held_by(Holder::current());
        if !may_enter {
            return None;
        }
        self.reading.set(self.reading.get() + 1);
        Some(self.seated())
    }

    /// Begins to read, waiting in line.
    #[track_caller]
    pub(super) fn read(&self, called: &str, deadline: Option<Instant>) -> Result<Reading<'_>, WaitError> {
        if let Some(reading) = self.try_read() {
            return Ok(reading);
        }
        let current = Holder::current();
        if self.writer.get() == Some(current) {
            would_wait_for_itself(called, "holds the lock for writing");
        }
        if self.is_held_by(current) {
            would_wait_for_itself(called, "holds the lock for reading, for whose end a writer waits,");
        }
        self.readers_line.wait(called, (), Reason::Other("the end of a writer"), deadline, || {})?;
        Ok(self.seated())
    }

    /// Begins to write, if that takes no wait.
    pub(super) fn try_write(&self) -> Option<Writing<'_>> {
        let current = Holder::current();
        if self.recursion == Recursion::Allowed && self.writer.get() == Some(current) {
            self.depth.set(self.depth.get() + 1);
            return Some(Writing { lock: self });
        }
        if self.writer.get().is_some() || self.reading.get() > 0 {
            return None;
        }
        self.writer.set(Some(current));
        self.depth.set(1);
        Some(Writing { lock: self })
    }

    /// Begins to write, waiting in line.
    #[track_caller]
    pub(super) fn write(&self, called: &str, deadline: Option<Instant>) -> Result<Writing<'_>, WaitError> {
        if let Some(writing) = self.try_write() {
            return Ok(writing);
        }
        let current = Holder::current();
        if self.writer.get() == Some(current) {
            would_wait_for_itself(called, "holds the lock for writing");
        }
        if self.is_held_by(current) {
            would_wait_for_itself(called, "holds the lock for reading");
        }
        self.writers_line.wait(called, (), Reason::Other("its turn to write"), deadline, || self.serve())?;
        Ok(Writing { lock: self })
    }

    /// Whether somebody writes.
    pub(super) fn is_writing(&self) -> bool {
        self.writer.get().is_some()
    }

    /// Whether somebody reads and does not write, so that it would wait for itself to write.
    pub(super) fn only_reads(&self, holder: Holder) -> bool {
        self.writer.get() != Some(holder) && self.is_held_by(holder)
    }

    /// How many readings go on.
    pub(super) fn reading(&self) -> usize {
        self.reading.get()
    }

    /// How many wait, to read or to write.
    pub(super) fn waiters(&self) -> usize {
        self.readers_line.len() + self.writers_line.len()
    }

    fn is_held_by(&self, holder: Holder) -> bool {
        // What code outside coroutines holds says nothing about who it was.
        holder.id().is_some()
            && (self.writer.get() == Some(holder) || self.readers.borrow().seats.contains(&Some(holder)))
    }

    /// A reading that has been counted, of the coroutine that runs.
    fn seated(&self) -> Reading<'_> {
        let mut readers = self.readers.borrow_mut();
        let current = Some(Holder::current());
        let seat = match readers.vacant.pop() {
            Some(seat) => {
                readers.seats[seat] = current;
                seat
            }
            None => {
                readers.seats.push(current);
                readers.seats.len() - 1
            }
        };
        Reading { lock: self, seat }
    }

    fn end_reading(&self, seat: usize) {
        let mut readers = self.readers.borrow_mut();
        readers.seats[seat] = None;
        readers.vacant.push(seat);
        drop(readers);
        self.reading.set(self.reading.get() - 1);
        self.serve();
    }

    fn end_writing(&self) {
        self.depth.set(self.depth.get() - 1);
        if self.depth.get() == 0 {
            self.writer.set(None);
            self.serve();
        }
    }

    /// Hands the lock to whoever may have it now.
    fn serve(&self) {
        if self.writer.get().is_some() {
            return;
        }
        if self.reading.get() == 0
            && let Some(next) = self.writers_line.wake_first()
        {
            self.writer.set(Some(next));
            self.depth.set(1);
            return;
        }
        if self.writers_line.is_empty() {
            self.readers_line.wake_all(|_| self.reading.set(self.reading.get() + 1));
        }
    }
}

/// One reading that goes on; it ends when this is dropped.
pub(super) struct Reading<'a> {
    lock: &'a RawRwLock,
    seat: usize,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.lock.end_reading(self.seat);
    }
}

/// One writing that goes on; it ends when this is dropped.
pub(super) struct Writing<'a> {
    lock: &'a RawRwLock,
}

impl<'a> Writing<'a> {
    /// Goes on as a reading, without letting a writer in between.
    pub(super) fn downgrade(self) -> Reading<'a> {
        let lock = self.lock;
        lock.reading.set(lock.reading.get() + 1);
        drop(self);
        lock.seated()
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.lock.end_writing();
    }
}
