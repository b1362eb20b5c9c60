//! Waiting for something that threads and coroutines of any runtime share.
//!
//! The state is in a `Mutex`, held for a few instructions at a time, with a [`WaitList`] beside it.
//! A coroutine that waits parks; a plain thread blocks.
//!
//! ```text
//!   attempt ── done ──► Ready
//!     │ not yet   ▲
//!     ▼           │ woken
//!   in the list ──┤
//!                 │ deadline, cancelled: out of the list, or if no longer in it, the next one is woken
//!                 ▼
//!              TimedOut, unwinds
//! ```
//!
//! # Invariants
//!
//! - Whoever makes progress possible pops one waiter under the same lock, and wakes it after letting go of the lock.
//! - A wake is a hint: who is woken attempts again, and another may have been quicker.
//! - A waiter that is out of the list has been woken; if it leaves without attempting, it wakes the next one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::cancel;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park};
use crate::scheduler::{self, Scheduler};
use crate::threads::inbox::Inbox;
use crate::threads::tickets::Ticket;

/// Locks without heed to poison: nothing that can panic runs under these locks.
pub(crate) fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends one wait of a coroutine or a thread, from any thread.
#[derive(Clone)]
pub(crate) enum RemoteUnparker {
    Coroutine(Arc<Inbox>, Ticket),
    Thread(Arc<BlockedThread>),
}

/// A thread that waits without a runtime.
pub(crate) struct BlockedThread {
    thread: Thread,
    woken: AtomicBool,
}

impl RemoteUnparker {
    /// Ends the wait; false if there is surely nobody left to be woken.
    ///
    /// On the loop's own thread the coroutine is queued at once, elsewhere through its inbox.
    pub(crate) fn unpark(&self) -> bool {
        match self {
            RemoteUnparker::Coroutine(inbox, ticket) => {
                let here = scheduler::with(|scheduler| {
                    (scheduler.id == inbox.runtime()).then(|| scheduler.end_foreign_wait(*ticket))
                });
                here.flatten().unwrap_or_else(|| inbox.wake(*ticket))
            }
            RemoteUnparker::Thread(blocked) => {
                blocked.woken.store(true, Ordering::Release);
                blocked.thread.unpark();
                true
            }
        }
    }
}

impl Scheduler {
    /// Ends the wait that a ticket names; false if nobody waits under it.
    pub(crate) fn end_foreign_wait(&self, ticket: Ticket) -> bool {
        let waiter = self.tickets.close(ticket);
        waiter.is_some_and(|waiter| self.unpark(&waiter, crate::park::Outcome::Woken).is_ok())
    }
}

/// Those who wait for a shared state, first come, first woken.
#[derive(Default)]
pub(crate) struct WaitList {
    /// Sorted by place.
    waiting: VecDeque<(u64, RemoteUnparker)>,
    next: u64,
}

impl WaitList {
    pub(crate) const fn new() -> WaitList {
        WaitList { waiting: VecDeque::new(), next: 0 }
    }

    pub(super) fn enter(&mut self, waiter: RemoteUnparker) -> u64 {
        let place = self.next;
        self.next += 1;
        self.waiting.push_back((place, waiter));
        place
    }

    /// Whether the waiter was still in the list.
    pub(super) fn leave(&mut self, place: u64) -> bool {
        match self.waiting.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(index) => self.waiting.remove(index).is_some(),
            Err(_) => false,
        }
    }

    /// Takes the first out, to be woken once the lock is free.
    pub(crate) fn pop(&mut self) -> Option<RemoteUnparker> {
        self.waiting.pop_front().map(|(_, waiter)| waiter)
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = RemoteUnparker> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, waiter)| waiter)
    }
}

/// Wakes the first of a list who is still there to be woken.
pub(crate) fn wake_one<S>(state: &Mutex<S>, list: impl Fn(&mut S) -> &mut WaitList) {
    let first = list(&mut lock(state)).pop();
    wake_or_next(state, list, first);
}

/// Wakes `first`, which has just been popped, or if its runtime has ended the next one.
pub(crate) fn wake_or_next<S>(
    state: &Mutex<S>,
    list: impl Fn(&mut S) -> &mut WaitList,
    mut first: Option<RemoteUnparker>,
) {
    while let Some(waiter) = first
        && !waiter.unpark()
    {
        first = list(&mut lock(state)).pop();
    }
}

/// Wakes all who were taken from a list.
pub(crate) fn wake_all(waiting: impl IntoIterator<Item = RemoteUnparker>) {
    for waiter in waiting {
        // Those whose runtime has ended need no wake.
        waiter.unpark();
    }
}

/// How a wait for a shared state ended.
#[derive(Debug)]
pub(crate) enum Waited<T> {
    Ready(T),
    TimedOut,
    /// The coroutine unwinds, and the attempt did not succeed at once.
    Refused,
}

/// Waits until `attempt`, made under the lock, gives something.
///
/// `attempt` must not run code of the user's, and after it has given something it is not called again.
/// Parks in a coroutine, blocks the thread elsewhere. Unwinds when cancelled.
pub(crate) fn wait<S, T>(
    state: &Mutex<S>,
    list: impl Fn(&mut S) -> &mut WaitList,
    reason: &'static str,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(&mut S) -> Option<T>,
) -> Waited<T> {
    if !scheduler::in_coroutine() {
        return block(state, list, deadline, attempt);
    }
    cancel::checkpoint_current();
    loop {
        if let Some(value) = attempt(&mut lock(state)) {
            return Waited::Ready(value);
        }
        match park_in(state, &list, reason, deadline, &mut attempt) {
            (Some(value), _) => return Waited::Ready(value),
            (None, Unparked::Woken) => {}
            // What came at the last moment is not refused.
            (None, Unparked::TimedOut) => return attempt(&mut lock(state)).map_or(Waited::TimedOut, Waited::Ready),
            (None, Unparked::Refused) => return Waited::Refused,
        }
    }
}

/// Parks in the list, unless an attempt succeeds in the moment of entering it.
fn park_in<S, T>(
    state: &Mutex<S>,
    list: &impl Fn(&mut S) -> &mut WaitList,
    reason: &'static str,
    deadline: Option<Instant>,
    attempt: &mut impl FnMut(&mut S) -> Option<T>,
) -> (Option<T>, Unparked) {
    let (mut taken, entered) = (None, Cell::new(None));
    let ended = park(
        Reason::Other(reason),
        deadline,
        |unparker| {
            let mut guard = lock(state);
            taken = attempt(&mut guard);
            if taken.is_some() {
                drop(guard);
                // It is parked this very moment, so the unpark cannot fail.
                let _ = unparker.unpark();
            } else if let Some((inbox, ticket)) = open_ticket(unparker) {
                let place = list(&mut guard).enter(RemoteUnparker::Coroutine(inbox, ticket));
                entered.set(Some((place, ticket)));
            }
        },
        || {
            if let Some((place, ticket)) = entered.take() {
                scheduler::with(|scheduler| scheduler.tickets.close(ticket));
                let was_woken = !list(&mut lock(state)).leave(place);
                if was_woken {
                    wake_one(state, list);
                }
            }
            Withdrawal::Withdrawn
        },
    );
    (taken, ended)
}

/// Makes a wait of the running coroutine known to other threads.
pub(crate) fn open_ticket(unparker: Unparker) -> Option<(Arc<Inbox>, Ticket)> {
    scheduler::with(|scheduler| {
        let inbox = scheduler.inbox.get()?.clone();
        Some((inbox, scheduler.tickets.open(unparker)))
    })
    .flatten()
}

fn block<S, T>(
    state: &Mutex<S>,
    list: impl Fn(&mut S) -> &mut WaitList,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(&mut S) -> Option<T>,
) -> Waited<T> {
    loop {
        let blocked = {
            let mut guard = lock(state);
            if let Some(value) = attempt(&mut guard) {
                return Waited::Ready(value);
            }
            let blocked = Arc::new(BlockedThread { thread: thread::current(), woken: AtomicBool::new(false) });
            let place = list(&mut guard).enter(RemoteUnparker::Thread(blocked.clone()));
            (blocked, place)
        };
        let (blocked, place) = blocked;
        if blocked.wait(deadline) {
            continue;
        }
        let mut guard = lock(state);
        let was_woken = !list(&mut guard).leave(place);
        let last = attempt(&mut guard);
        drop(guard);
        if let Some(value) = last {
            return Waited::Ready(value);
        }
        if was_woken {
            wake_one(state, list);
        }
        return Waited::TimedOut;
    }
}

impl BlockedThread {
    /// Whether it was woken by the deadline.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        while !self.woken.load(Ordering::Acquire) {
            match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }
}
