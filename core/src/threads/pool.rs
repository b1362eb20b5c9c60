//! Threads that take jobs from one queue: what [`offload`](crate::offload) and [`WorkerPool`](crate::WorkerPool) share.
//!
//! ```text
//!   submit ──► room? ── no ──► wait until a job is taken
//!                │ yes
//!                ▼
//!              queue ──► an idle thread, or a new one up to the limit, or whoever is done next
//! ```
//!
//! # Invariants
//!
//! - There is a thread for every queued job, or as many threads as there may be.
//! - The queue never holds more than its limit.
//! - A job that panics ends nobody but itself.
//! - A thread of the pool never waits for what only the pool's threads could bring about: a job that is queued behind
//!   its own it takes out of the queue and does itself, and one that finds no room it does at once.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::panics;
use crate::threads::waiting::{RemoteUnparker, WaitList, Waited, lock, wait, wake_all, wake_or_next};

/// What a pool's threads do; whoever waits for it hears of its end when it is dropped.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) threads: usize,
    pub(crate) queue: usize,
    /// How long a thread without work stays; `None` is until the pool is closed.
    pub(crate) idle: Option<Duration>,
}

/// A queue of jobs and the threads that do them.
pub(crate) struct Pool {
    name: &'static str,
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    bounds: Bounds,
    /// Sorted by number.
    jobs: VecDeque<(u64, Job)>,
    /// The number of the next job.
    next_job: u64,
    threads: usize,
    idle: usize,
    is_closed: bool,
    /// Who waits for room in the queue.
    room: WaitList,
    /// Who waits for the last thread's end.
    end: WaitList,
}

impl State {
    /// Everyone whom a change of the pool's life concerns.
    fn everyone(&mut self) -> Vec<RemoteUnparker> {
        let waiting = self.room.take();
        waiting.chain(self.end.take()).collect()
    }
}

thread_local! {
    /// The pool whose thread this is. It lives as long as the thread, so its address means no other.
    static WORKS_FOR: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

/// What became of a job that was submitted.
enum Submitted {
    Queued {
        number: u64,
        needs_thread: bool,
    },
    /// There is no room, and the pool's own thread that brings it is to do it.
    ForCaller {
        number: u64,
    },
}

/// Why a pool did not take a job.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// The pool has been closed.
    Closed,
    /// Its queue is full, and the caller unwinds and so cannot wait.
    Refused,
    /// The system refused the pool's first thread.
    NoThread(io::Error),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Closed => f.write_str("the pool of threads is closed"),
            PoolError::Refused => f.write_str("the pool's queue is full, and a coroutine that unwinds cannot wait"),
            PoolError::NoThread(error) => write!(f, "the pool's first thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::NoThread(error) => Some(error),
            PoolError::Closed | PoolError::Refused => None,
        }
    }
}

impl Pool {
    /// A pool without threads as yet, which will carry `name`.
    pub(crate) const fn new(name: &'static str, bounds: Bounds) -> Pool {
        let state = State {
            bounds,
            jobs: VecDeque::new(),
            next_job: 0,
            threads: 0,
            idle: 0,
            is_closed: false,
            room: WaitList::new(),
            end: WaitList::new(),
        };
        Pool { name, state: Mutex::new(state), work: Condvar::new() }
    }

    /// Sets the bounds from now on, and returns those before.
    pub(crate) fn set_bounds(&self, bounds: Bounds) -> Bounds {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut state.bounds, bounds);
        let waiting = state.everyone();
        drop(state);
        // Idle threads look at how long they may be.
        self.work.notify_all();
        wake_all(waiting);
        before
    }

    /// Queues a job, waiting while the queue is full, and returns its number.
    ///
    /// Parks a coroutine, which unwinds when cancelled; blocks a thread without a runtime.
    /// A thread of this pool does not wait, but does the job itself.
    pub(crate) fn submit(self: &Arc<Pool>, job: Job) -> Result<u64, PoolError> {
        let is_worker = self.is_worked_here();
        let mut job = Some(job);
        let submitted = wait(
            &self.state,
            |state| &mut state.room,
            "room in a queue for other threads",
            None,
            |state| {
                if state.is_closed {
                    return Some(Err(PoolError::Closed));
                }
                let is_full = state.jobs.len() >= state.bounds.queue;
                if is_full && !is_worker {
                    return None;
                }
                let number = state.next_job;
                state.next_job += 1;
                if is_full {
                    return Some(Ok(Submitted::ForCaller { number }));
                }
                state.jobs.extend(job.take().map(|job| (number, job)));
                let needs_thread = state.jobs.len() > state.idle && state.threads < state.bounds.threads;
                state.threads += usize::from(needs_thread);
                Some(Ok(Submitted::Queued { number, needs_thread }))
            },
        );
        match submitted {
            Waited::Ready(Ok(Submitted::Queued { number, needs_thread: true })) => self.start_thread().map(|()| number),
            Waited::Ready(Ok(Submitted::Queued { number, needs_thread: false })) => {
                self.work.notify_one();
                Ok(number)
            }
            Waited::Ready(Ok(Submitted::ForCaller { number })) => {
                job.into_iter().for_each(panics::contain);
                Ok(number)
            }
            Waited::Ready(Err(error)) => Err(error),
            Waited::TimedOut | Waited::Refused => Err(PoolError::Refused),
        }
    }

    /// Whether the running thread is one of this pool's.
    pub(crate) fn is_worked_here(&self) -> bool {
        ptr::eq(WORKS_FOR.get(), self)
    }

    /// Does a job that has not begun, if the running thread, which is about to wait for it, is one of this pool's.
    pub(crate) fn do_if_worker(&self, number: u64) {
        if !self.is_worked_here() {
            return;
        }
        let mut state = lock(&self.state);
        let place = state.jobs.binary_search_by_key(&number, |(number, _)| *number);
        let Some((_, job)) = place.ok().and_then(|index| state.jobs.remove(index)) else { return };
        let first = state.room.pop();
        drop(state);
        wake_or_next(&self.state, |state| &mut state.room, first);
        panics::contain(job);
    }

    /// Starts a thread that has been counted already.
    fn start_thread(self: &Arc<Pool>) -> Result<(), PoolError> {
        let pool = self.clone();
        let Err(error) = thread::Builder::new().name(self.name.to_owned()).spawn(move || pool.work()) else {
            return Ok(());
        };
        let mut state = lock(&self.state);
        state.threads -= 1;
        if state.threads > 0 {
            return Ok(());
        }
        // Nobody is left to do them.
        let undone = std::mem::take(&mut state.jobs);
        let waiting = state.everyone();
        drop(state);
        drop(undone);
        wake_all(waiting);
        Err(PoolError::NoThread(error))
    }

    /// The life of a thread.
    fn work(&self) {
        WORKS_FOR.set(self);
        while let Some(job) = self.next() {
            panics::contain(job);
        }
    }

    /// The next job; `None`, and the thread is no longer counted, when it is to end.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            let is_surplus = state.threads > state.bounds.threads;
            if !is_surplus && let Some((_, job)) = state.jobs.pop_front() {
                let first = state.room.pop();
                drop(state);
                wake_or_next(&self.state, |state| &mut state.room, first);
                return Some(job);
            }
            if is_surplus || state.is_closed {
                break;
            }
            state.idle += 1;
            let (woken, is_late) = match state.bounds.idle {
                None => (self.work.wait(state).unwrap_or_else(PoisonError::into_inner), false),
                Some(limit) => {
                    let (state, timeout) = self.work.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
                    (state, timeout.timed_out())
                }
            };
            state = woken;
            state.idle -= 1;
            if is_late && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        let ended = if state.threads == 0 { state.end.take().collect() } else { Vec::new() };
        drop(state);
        wake_all(ended);
        None
    }

    /// Takes no more jobs. Every thread ends once the queue is empty.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let waiting = state.everyone();
        drop(state);
        self.work.notify_all();
        wake_all(waiting);
    }

    /// Drops the jobs that have not begun.
    pub(crate) fn clear(&self) {
        let undone = std::mem::take(&mut lock(&self.state).jobs);
        panics::contain(|| drop(undone));
    }

    /// Waits until the last thread has ended; false when the caller unwinds and cannot wait.
    pub(crate) fn wait_ended(&self) -> bool {
        let ended = wait(
            &self.state,
            |state| &mut state.end,
            "the end of a pool's threads",
            None,
            |state| (state.threads == 0).then_some(()),
        );
        matches!(ended, Waited::Ready(()))
    }

    /// How many threads there are, and how many jobs wait for one.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.threads, state.jobs.len())
    }
}
