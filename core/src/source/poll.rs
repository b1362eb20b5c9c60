//! A descriptor that a future waits on: the bridge to code written as `poll` functions.
//!
//! ```text
//!   poll_attempt ──► operation ──► Ready
//!                       │ would block
//!                       ▼
//!                 waker left in the slot ──► Pending ─ ─ event, close ─ ─► wake ──► polled again
//! ```
//!
//! # Invariants
//!
//! - No wake is lost: events are noted by the loop alone, which cannot turn between the attempt that would have blocked
//!   and the waker's arrival in the slot.
//! - A waker is woken once for one `Pending`, and only by an event, a close, or a move to another runtime.
//! - The last waker counts, as the contract of `poll` has it.
//! - A waker, which a dropped future may leave behind, does not keep the source in its runtime: a coroutine that waits
//!   in another takes it over.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use super::{Registration, SimultaneousError, Source, not_in_runtime};
use crate::scheduler;
use crate::slots::Direction;

impl<S: AsFd> Source<S> {
    /// Runs `operation` as [`try_attempt`](Source::try_attempt) does, and has the future woken where it would block.
    ///
    /// For implementing the poll-style I/O traits; polled from inside a coroutine, by `block_on` or by hand.
    /// It may give way, when the coroutine's budget is used up; it does not wait for the descriptor.
    ///
    /// # Errors
    ///
    /// As [`attempt`](Source::attempt), but for a limit;
    /// [`SimultaneousError`] while a coroutine waits for the same direction;
    /// `Unsupported`, where it would have to wait, outside a coroutine.
    ///
    /// # Cancellation
    ///
    /// Unwinds, before the operation is attempted.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use std::os::unix::net::UnixStream;
    /// use std::task::{Context, Poll, Waker};
    /// use grapeshot_core::{Direction, Source, test};
    ///
    /// test::run(|| {
    ///     let (near, _far) = UnixStream::pair().unwrap();
    ///     near.set_nonblocking(true).unwrap();
    ///     let source = Source::new(near);
    ///     let mut context = Context::from_waker(Waker::noop());
    ///     let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
    ///     let polled = source.poll_attempt(&mut context, Direction::Read, "read", |_| false, read);
    ///     assert!(polled.is_pending());
    /// });
    /// ```
    pub fn poll_attempt<T>(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        name: &'static str,
        drained: impl Fn(&T) -> bool,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match self.try_attempt(direction, name, &drained, &mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            match self.registration.leave_waker(context, direction, name) {
                Ok(true) => return Poll::Pending,
                // Closed, or moved, by another thread in between: the attempt will tell.
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Registration {
    /// Whether the waker will hear of the next event; if not there is something to do at once.
    fn leave_waker(&self, context: &Context<'_>, direction: Direction, name: &'static str) -> io::Result<bool> {
        scheduler::with(|scheduler| {
            let Some(record) = scheduler.current.borrow().clone() else { return Err(not_in_runtime()) };
            let Some(slot) = self.known_slot(scheduler) else { return Ok(false) };
            if let Some(other) = scheduler.slots.waiter(slot, direction) {
                let (waiting, refused) = (Some(other.record.describe()), record.describe());
                return Err(SimultaneousError { operation: name, waiting, refused }.into());
            }
            if scheduler.slots.is_ready(slot, direction) {
                return Ok(false);
            }
            scheduler.slots.set_waker(slot, direction, context.waker());
            Ok(true)
        })
        .unwrap_or_else(|| Err(not_in_runtime()))
    }
}
