//! One direction: a bounded buffer, and what becomes of the bytes on their way into it.
//!
//! ```text
//!   open ──┬─ shutdown, drop, end_at ──► ended ──► the reader drains, then sees the end
//!          └─ reset_at, either way ────► reset ──► the reader drains, then gets the error
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::Instant;

use grapeshot_core::{
    NotInRuntime, Reason, RefusedError, SimultaneousError, State, Unparked, Unparker, Withdrawal, current,
    in_coroutine, now, park,
};

use super::faults::Faults;

/// One direction of a link.
pub(super) struct Pipe {
    state: RefCell<Flow>,
    pub(super) reader: Turnstile,
    pub(super) writer: Turnstile,
}

struct Flow {
    /// What is under way or has arrived, in order; when it arrives, and what is left of it.
    chunks: VecDeque<(Option<Instant>, VecDeque<u8>)>,
    /// How many bytes count against the capacity: those in `chunks`, and those that were lost.
    held: usize,
    capacity: usize,
    written: u64,
    ended: bool,
    reset: bool,
    /// Nobody will read any more.
    deaf: bool,
    faults: Faults,
}

/// What an attempt came to.
pub(super) enum Attempt<T> {
    Done(T),
    /// Wait to be woken, or until then.
    Wait(Option<Instant>),
}

/// What a write did beyond taking bytes.
pub(super) struct Written {
    pub(super) count: usize,
    pub(super) resets: bool,
}

impl Pipe {
    pub(super) fn new(capacity: usize, faults: Faults) -> Pipe {
        let ended = faults.end_at == Some(0);
        let reset = faults.reset_at == Some(0);
        let state = Flow { chunks: VecDeque::new(), held: 0, capacity, written: 0, ended, reset, deaf: false, faults };
        Pipe { state: RefCell::new(state), reader: Turnstile::new(), writer: Turnstile::new() }
    }

    /// Copies what has arrived; takes it off the pipe unless it only peeks.
    pub(super) fn try_read(&self, buf: &mut [u8], peeks: bool) -> io::Result<Attempt<usize>> {
        if buf.is_empty() {
            return Ok(Attempt::Done(0));
        }
        let read = self.state.borrow_mut().read(buf, peeks);
        if matches!(read, Ok(Attempt::Done(1..))) && !peeks {
            self.writer.wake();
        }
        read
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<Attempt<Written>> {
        if bytes.is_empty() {
            return Ok(Attempt::Done(Written { count: 0, resets: false }));
        }
        let written = self.state.borrow_mut().write(bytes);
        if matches!(written, Ok(Attempt::Done(_))) {
            self.reader.wake();
        }
        written
    }

    pub(super) fn is_reset(&self) -> bool {
        self.state.borrow().reset
    }

    pub(super) fn reset(&self) {
        self.state.borrow_mut().reset = true;
        self.wake_both();
    }

    /// No more will be written.
    pub(super) fn end(&self) {
        self.state.borrow_mut().ended = true;
        self.wake_both();
    }

    /// No more will be read.
    pub(super) fn deafen(&self) {
        self.state.borrow_mut().deaf = true;
        self.wake_both();
    }

    fn wake_both(&self) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl Flow {
    fn read(&mut self, buf: &mut [u8], peeks: bool) -> io::Result<Attempt<usize>> {
        let Some((due, chunk)) = self.chunks.front_mut() else { return self.read_nothing() };
        if let Some(due) = due.filter(|&due| now() < due) {
            return Ok(Attempt::Wait(Some(due)));
        }
        let count = self.faults.shorten(chunk.len().min(buf.len()), self.faults.longest_read);
        for (place, &byte) in buf.iter_mut().zip(chunk.iter().take(count)) {
            *place = byte;
        }
        if !peeks {
            chunk.drain(..count);
            self.held -= count;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        Ok(Attempt::Done(count))
    }

    fn read_nothing(&self) -> io::Result<Attempt<usize>> {
        if self.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let cut = self.faults.stop_at.is_some_and(|at| at <= self.written);
        if self.deaf || (self.ended && !cut) {
            return Ok(Attempt::Done(0));
        }
        Ok(Attempt::Wait(None))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Attempt<Written>> {
        if self.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.ended || self.deaf {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = self.capacity - self.held;
        if room == 0 {
            return Ok(Attempt::Wait(None));
        }
        let mut count = self.faults.shorten(bytes.len().min(room), self.faults.longest_write);
        for event in [self.faults.reset_at, self.faults.end_at].into_iter().flatten() {
            count = count.min(usize::try_from(event - self.written).unwrap_or(usize::MAX));
        }
        self.put(&bytes[..count]);
        let resets = self.faults.reset_at == Some(self.written);
        self.reset |= resets;
        self.ended |= self.faults.end_at == Some(self.written);
        Ok(Attempt::Done(Written { count, resets }))
    }

    /// Sends bytes on their way.
    fn put(&mut self, bytes: &[u8]) {
        let position = self.written;
        self.written += bytes.len() as u64;
        self.held += bytes.len();
        let arriving = match self.faults.stop_at {
            Some(at) => usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX).min(bytes.len()),
            None => bytes.len(),
        };
        if arriving == 0 {
            return;
        }
        let mut bytes = bytes[..arriving].to_vec();
        self.faults.spoil(position, &mut bytes);
        let before = self.chunks.back().and_then(|chunk| chunk.0);
        let due = self.faults.has_delays().then(|| now() + self.faults.delay());
        match self.chunks.back_mut() {
            Some((None, chunk)) if due.is_none() => chunk.extend(bytes),
            // Nothing overtakes.
            _ => self.chunks.push_back((due.max(before), bytes.into())),
        }
    }
}

/// Where the one reader, or the one writer, waits.
///
/// A wake carries nothing: whoever comes first finds in the state what there is, so none needs to be passed on.
pub(super) struct Turnstile {
    waiter: Cell<Option<Unparker>>,
}

impl Turnstile {
    fn new() -> Turnstile {
        Turnstile { waiter: Cell::new(None) }
    }

    /// Waits to be woken, or until the deadline.
    pub(super) fn wait(&self, operation: &'static str, deadline: Option<Instant>) -> io::Result<()> {
        if thread::panicking() {
            return Err(RefusedError::new(operation).into());
        }
        if !in_coroutine() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, NotInRuntime));
        }
        let before = self.waiter.take();
        if let Some(other) = before {
            let waiting = other.coroutine();
            // One that has been woken, or cut off, and has not run since, waits no more.
            if waiting.info().state == State::Parked {
                self.waiter.set(Some(other));
                return Err(SimultaneousError::new(operation, &waiting, &current()).into());
            }
        }
        let me = current().id();
        let unparked = park(
            Reason::Other(operation),
            deadline,
            |unparker| self.waiter.set(Some(unparker)),
            || {
                // Another may have come in the meantime.
                let waiter = self.waiter.take().filter(|waiter| waiter.coroutine().id() != me);
                self.waiter.set(waiter);
                Withdrawal::Withdrawn
            },
        );
        match unparked {
            Unparked::Refused => Err(RefusedError::new(operation).into()),
            Unparked::Woken | Unparked::TimedOut => Ok(()),
        }
    }

    fn wake(&self) {
        if let Some(waiter) = self.waiter.take() {
            // One that was cut off has left its bytes in the pipe.
            let _ = waiter.unpark();
        }
    }
}
