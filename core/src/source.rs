//! A descriptor that coroutines wait on: tried at once, parked on only when it would block.
//!
//! ```text
//!   attempt ──► ready? ──yes──► operation ──► done
//!                 │ no             │ would block
//!                 ▼                ▼
//!               park ◄──── clear the readiness flag
//! ```
//!
//! # Invariants
//!
//! - The descriptor is registered the first time an operation would block, with the runtime of the coroutine that runs;
//!   used under another runtime it moves there.
//! - It is deregistered before it is closed or given away: a duplicate would otherwise keep sending events.
//! - One coroutine waits per direction; a second gets [`SimultaneousError`].
//!   So does one that would have to wait in another runtime meanwhile: the source stays where it is waited on.
//! - A coroutine that keeps succeeding gives way after its budget (`set_selfishness`).
//!
//! Outside a coroutine an operation that would block waits with poll(2), so that a socket also works on a plain thread.

mod errors;
mod poll;
pub(crate) mod select;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::cancel;
use crate::park::{self, Cut, Outcome, Reason, Withdrawal};
use crate::record::Record;
use crate::scheduler::{self, Scheduler};
use crate::slots::{Direction, Place};
use crate::threads::Inbox;
use crate::yielding::yield_slice;

pub use self::errors::{ClosedError, OperationTimedOut, RefusedError, SimultaneousError};

/// When an operation is given up with [`io::ErrorKind::TimedOut`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitLimit {
    /// Never.
    #[default]
    Never,
    /// When it has waited this long.
    After(Duration),
    /// At this point in time.
    At(Instant),
}

/// A non-blocking descriptor on which coroutines wait.
///
/// Sockets of `grapeshot-net` are built on it, and any other pollable descriptor can be.
/// The descriptor must be in non-blocking mode: a blocking one holds up the whole thread.
pub struct Source<S: AsFd> {
    // Dropped first: deregistered before the descriptor is closed.
    registration: Registration,
    inner: S,
}

struct Registration {
    /// The runtime's number and the slot's index in it, or zero.
    ///
    /// Who registers looks at `closed` afterwards, and who closes looks at `home` afterwards, in one total order:
    /// so a close by another thread is not missed.
    home: AtomicU64,
    /// Held while the descriptor goes from one reactor to another, so that it is in one at a time;
    /// whoever waits is told afterwards.
    moving: Mutex<()>,
    descriptor: RawFd,
    closed: AtomicBool,
    /// Per direction, whether a coroutine waits. Only a hint: a waiter that loses its registration is woken all the same.
    waited_on: [AtomicBool; 2],
}

impl<S: AsFd> Source<S> {
    /// Wraps a non-blocking descriptor. Registers nothing yet.
    pub fn new(inner: S) -> Source<S> {
        let descriptor = inner.as_fd().as_raw_fd();
        let registration = Registration {
            home: AtomicU64::new(0),
            moving: Mutex::new(()),
            descriptor,
            closed: AtomicBool::new(false),
            waited_on: [const { AtomicBool::new(false) }; 2],
        };
        Source { registration, inner }
    }

    /// What was wrapped.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the descriptor back, deregistered.
    pub fn into_inner(self) -> S {
        let Source { registration, inner } = self;
        drop(registration);
        inner
    }

    /// Ends all waits on this source with [`ClosedError`], and every later operation as well.
    ///
    /// Answers whether it was open. Never suspends. The descriptor itself is closed on drop.
    pub fn close(&self) -> bool {
        let was_open = !self.registration.closed.swap(true, Ordering::SeqCst);
        self.registration.release();
        was_open
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.registration.closed.load(Ordering::SeqCst)
    }

    /// Runs `operation` until it does something else than would-block, parking in between.
    ///
    /// `drained` says of a result that the descriptor has no more for now (a short read of a TCP stream):
    /// the next attempt then waits at once and saves a system call.
    /// Suspends when the operation would block, and when the coroutine's budget is used up.
    ///
    /// # Errors
    ///
    /// What `operation` fails with; [`io::ErrorKind::TimedOut`] when `limit` passed;
    /// [`SimultaneousError`], [`ClosedError`]; and, while the coroutine unwinds, [`RefusedError`] instead of a wait,
    /// after one attempt.
    ///
    /// # Cancellation
    ///
    /// Unwinds, before the operation is attempted or while it waits; never between a success and its result,
    /// nor between the news that it will succeed and the attempt.
    pub fn attempt<T>(
        &self,
        direction: Direction,
        name: &'static str,
        limit: WaitLimit,
        drained: impl Fn(&T) -> bool,
        operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        self.drive(direction, name, Some(limit), drained, operation)
    }

    /// Runs `operation` as [`attempt`](Self::attempt) does, but does not wait for the descriptor.
    ///
    /// Where it is known that the operation would block it is not even tried. It may still give way,
    /// when the coroutine's budget is used up.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] where `attempt` would wait; else as `attempt`.
    ///
    /// # Cancellation
    ///
    /// Unwinds, before the operation is attempted.
    pub fn try_attempt<T>(
        &self,
        direction: Direction,
        name: &'static str,
        drained: impl Fn(&T) -> bool,
        operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        self.drive(direction, name, None, drained, operation)
    }

    /// Runs `operation` once, unless it is known that it would block. Never suspends, and does not unwind.
    ///
    /// It is not held against the coroutine's budget: whoever does this in a loop gives way to others by itself.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`]; what `operation` fails with, [`io::ErrorKind::Interrupted`] among it; [`ClosedError`].
    pub fn attempt_at_once<T>(
        &self,
        direction: Direction,
        name: &'static str,
        drained: impl Fn(&T) -> bool,
        operation: impl FnOnce(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_closed() {
            return Err(ClosedError::new(name).into());
        }
        let inside = scheduler::with(|scheduler| {
            let slot = self.registration.known_slot(scheduler);
            slot.is_none_or(|slot| scheduler.slots.is_ready(slot, direction))
        });
        if inside == Some(false) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let done = operation(&self.inner);
        match &done {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && inside.is_some() => {
                self.registration.would_block(direction, name)?;
            }
            Ok(value) if drained(value) => self.registration.drained(direction),
            _ => {}
        }
        done
    }

    /// Attempts, and waits in between unless `limit` is `None`.
    #[inline(always)]
    fn drive<T>(
        &self,
        direction: Direction,
        name: &'static str,
        limit: Option<WaitLimit>,
        drained: impl Fn(&T) -> bool,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut deadline = None;
        let mut tried = false;
        loop {
            if self.is_closed() {
                return Err(ClosedError::new(name).into());
            }
            match scheduler::with(|scheduler| self.registration.step(scheduler, direction)) {
                None | Some(Step::Outside) => match limit {
                    Some(limit) => return self.attempt_blocking(direction, name, limit, operation),
                    None => return operation(&self.inner),
                },
                Some(Step::Interrupted(record)) => cancel::raise(&record),
                Some(Step::Exhausted) => {
                    yield_slice();
                    if self.is_closed() {
                        continue;
                    }
                }
                // One that unwinds cannot wait for the reactor to say that there is something.
                Some(Step::Wait(_)) if !tried && thread::panicking() => {}
                Some(Step::Wait(record)) => {
                    let Some(limit) = limit else { return Err(io::ErrorKind::WouldBlock.into()) };
                    self.registration.wait(&record, direction, name, limit, &mut deadline)?;
                    // What it was woken for comes before a limit that has passed since (TMO-4).
                    if self.is_closed() {
                        continue;
                    }
                }
                Some(Step::Go) => {}
            }
            tried = true;
            match operation(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.registration.would_block(direction, name) {
                        // Another thread closes it, and has not come to deregister it in front of us.
                        Err(_) if self.is_closed() => {}
                        registered => registered?,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(value) => {
                    if drained(&value) {
                        self.registration.drained(direction);
                    }
                    return Ok(value);
                }
            }
        }
    }

    /// Waits until the descriptor is ready in `direction`, without doing anything with it.
    ///
    /// # Errors
    ///
    /// As [`attempt`](Self::attempt).
    pub fn wait_ready(&self, direction: Direction, name: &'static str, limit: WaitLimit) -> io::Result<()> {
        let flags = match direction {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        };
        self.attempt(
            direction,
            name,
            limit,
            |()| false,
            |inner| {
                let mut polled = [PollFd::new(inner, flags)];
                match rustix::event::poll(&mut polled, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }))? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            },
        )
    }

    /// Where to hibernate on this source: see [`Hibernation`](crate::Hibernation).
    pub(crate) fn place(&self, name: &'static str) -> io::Result<Place> {
        if self.is_closed() {
            return Err(ClosedError::new(name).into());
        }
        scheduler::with(|scheduler| {
            let slot = self.registration.slot(scheduler, name)?;
            Ok(scheduler.slots.place(slot))
        })
        .unwrap_or_else(|| Err(not_in_runtime()))
    }

    fn attempt_blocking<T>(
        &self,
        direction: Direction,
        name: &'static str,
        limit: WaitLimit,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        let deadline = match limit {
            WaitLimit::Never => None,
            WaitLimit::After(timeout) => Instant::now().checked_add(timeout),
            WaitLimit::At(at) => Some(at),
        };
        while !self.is_closed() {
            match operation(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_blocking(self.inner.as_fd(), direction, name, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
        Err(ClosedError::new(name).into())
    }
}

impl<S: AsFd> AsFd for Source<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<S: AsFd> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("descriptor", &self.registration.descriptor)
            .field("closed", &self.is_closed())
            .finish()
    }
}

enum Step {
    Go,
    Wait(Rc<Record>),
    Exhausted,
    Interrupted(Rc<Record>),
    Outside,
}

impl Registration {
    /// What an operation should do next.
    fn step(&self, scheduler: &Scheduler, direction: Direction) -> Step {
        let current = scheduler.current.borrow();
        let Some(record) = current.as_ref() else { return Step::Outside };
        if record.interrupted.get() && !thread::panicking() {
            return Step::Interrupted(record.clone());
        }
        if self.known_slot(scheduler).is_some_and(|slot| !scheduler.slots.is_ready(slot, direction)) {
            return Step::Wait(record.clone());
        }
        match record.budget.get() {
            0 if !thread::panicking() => {
                // The attempt that follows is the first of the new budget.
                record.budget.set(record.full_budget.get() - 1);
                return Step::Exhausted;
            }
            left => record.budget.set(left.saturating_sub(1)),
        }
        Step::Go
    }

    fn known_slot(&self, scheduler: &Scheduler) -> Option<u32> {
        let home = self.home.load(Ordering::Relaxed);
        ((home >> 32) as u32 == scheduler.id).then_some(home as u32)
    }

    /// The slot in this runtime, registering there if need be.
    fn slot(&self, scheduler: &Scheduler, name: &'static str) -> io::Result<u32> {
        if let Some(slot) = self.known_slot(scheduler) {
            return Ok(slot);
        }
        if self.waited_on.iter().any(|waited_on| waited_on.load(Ordering::Relaxed)) {
            let refused = scheduler.current.borrow().as_ref().map(|record| record.describe()).unwrap_or_default();
            return Err(SimultaneousError { operation: name, waiting: None, refused }.into());
        }
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.leave_reactor();
        let registered = scheduler.register(self.descriptor);
        if let Ok(slot) = registered {
            self.home.store((u64::from(scheduler.id) << 32) | u64::from(slot), Ordering::SeqCst);
        }
        drop(moving);
        tell_of_leaving(left);
        registered
    }

    fn would_block(&self, direction: Direction, name: &'static str) -> io::Result<()> {
        scheduler::with(|scheduler| match self.known_slot(scheduler) {
            Some(slot) => {
                scheduler.slots.clear_all(slot, direction);
                Ok(())
            }
            // The reactor's first event will tell of what comes from now on, and of what has come since the attempt.
            None => self.slot(scheduler, name).map(drop),
        })
        .unwrap_or_else(|| Err(not_in_runtime()))
    }

    fn drained(&self, direction: Direction) {
        scheduler::with(|scheduler| {
            if let Some(slot) = self.known_slot(scheduler) {
                scheduler.slots.clear(slot, direction);
            }
        });
    }

    /// Parks until an event, once for all the reasons there may be to look again.
    fn wait(
        &self,
        record: &Rc<Record>,
        direction: Direction,
        name: &'static str,
        limit: WaitLimit,
        deadline: &mut Option<u64>,
    ) -> io::Result<()> {
        if thread::panicking() {
            return Err(RefusedError::new(name).into());
        }
        let slot = scheduler::with(|scheduler| {
            // Released by another thread just now: the caller looks again.
            let Some(slot) = self.known_slot(scheduler) else { return Ok(None) };
            if let Some(other) = scheduler.slots.waiter(slot, direction) {
                let (waiting, refused) = (Some(other.record.describe()), record.describe());
                return Err(SimultaneousError { operation: name, waiting, refused }.into());
            }
            if deadline.is_none() {
                *deadline = match limit {
                    WaitLimit::Never => None,
                    WaitLimit::After(timeout) => Some(scheduler.clock.after(timeout)),
                    WaitLimit::At(at) => Some(scheduler.clock.to_nanos(at)),
                };
            }
            Ok(Some(slot))
        })
        .unwrap_or_else(|| Err(not_in_runtime()))?;
        let Some(slot) = slot else { return Ok(()) };
        let waited_on = &self.waited_on[direction as usize];
        waited_on.store(true, Ordering::Relaxed);
        let outcome = park::wait(
            record,
            Reason::Io { operation: name, descriptor: self.descriptor },
            *deadline,
            Cut::Short,
            |unparker| {
                scheduler::with(|scheduler| scheduler.slots.set_waiter(slot, direction, unparker));
            },
            || {
                scheduler::with(|scheduler| scheduler.slots.withdraw(slot, direction, record));
                Withdrawal::Withdrawn
            },
        );
        waited_on.store(false, Ordering::Relaxed);
        match outcome {
            Outcome::Woken => {
                // The attempt that follows is the first of the new budget.
                record.budget.set(record.full_budget.get() - 1);
                Ok(())
            }
            Outcome::TimedOut => Err(timed_out(name)),
            Outcome::Cancelled => cancel::raise(record),
        }
    }

    /// Forgets the registration and wakes whoever waits, to find out why.
    fn release(&self) {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.leave_reactor();
        drop(moving);
        tell_of_leaving(left);
    }

    /// Takes the descriptor out of the reactor it is in, if any, and answers which place it had there.
    fn leave_reactor(&self) -> Option<Left> {
        let home = self.home.swap(0, Ordering::SeqCst);
        let (runtime, slot) = ((home >> 32) as u32, home as u32);
        if runtime == 0 {
            return None;
        }
        if with_runtime(runtime, |scheduler| scheduler.deregister(self.descriptor)).is_none() {
            Inbox::deregister(runtime, self.descriptor);
        }
        Some(Left { runtime, slot })
    }
}

/// The place a descriptor had in a runtime that it has left.
struct Left {
    runtime: u32,
    slot: u32,
}

/// Wakes whoever waits at a place that is no more.
fn tell_of_leaving(left: Option<Left>) {
    let Some(Left { runtime, slot }) = left else { return };
    if with_runtime(runtime, |scheduler| scheduler.close_slot(slot)).is_none() {
        Inbox::release(runtime, slot);
    }
}

/// Reaches the runtime of that number, if this thread runs it.
fn with_runtime<R>(runtime: u32, f: impl FnOnce(&Scheduler) -> R) -> Option<R> {
    scheduler::with(|scheduler| (scheduler.id == runtime).then(|| f(scheduler))).flatten()
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.release();
    }
}

fn poll_blocking(
    descriptor: BorrowedFd<'_>,
    direction: Direction,
    name: &'static str,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let timeout = match deadline {
        None => None,
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timed_out(name));
            }
            rustix::time::Timespec::try_from(left).ok()
        }
    };
    match rustix::event::poll(&mut [PollFd::new(&descriptor, flags)], timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn timed_out(operation: &'static str) -> io::Error {
    OperationTimedOut::new(operation).into()
}

fn not_in_runtime() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, scheduler::NotInRuntime)
}
