//! A pool of threads of the user's own, with as many workers as it was made with.
//!
//! Threads and not coroutines: workers share a processor only if they wait, and for work that waits there are
//! [`spawn`](crate::spawn), [`Group`](crate::Group) and channels. The ancestor's workers are threads as well.
//!
//! ```text
//!   apply, apply_async, map ──► one queue ──► n threads ──► results, each to its own handle
//!                                  ▲
//!   close: no more jobs, and the end for every worker once the queue is empty
//!   terminate: the queue is emptied first
//! ```
//!
//! Jobs may bring jobs to their own pool and wait for them: a worker does not wait for a job that has not begun, but
//! does it itself. What they cannot do is to wait for the pool's end, which theirs is a part of.
//!
//! # What is absent
//!
//! Seeing through others: a job that waits for a thread or a coroutine that waits for its pool waits for ever.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::spawn::JoinError;
use crate::threads::join::{CancelOnDrop, RemoteJoinHandle};
use crate::threads::offload::submit;
use crate::threads::pool::{Bounds, Pool, PoolError};

/// How many jobs may wait for a worker, unless set.
const QUEUE: usize = 1024;

/// How many chunks a worker gets of what [`WorkerPool::map`] maps.
const CHUNKS_PER_WORKER: usize = 4;

/// Threads that do jobs from one queue (BEA-5).
///
/// Usable from any thread, and from coroutines, which park where a thread would block. Clones name the same pool;
/// when the last is dropped the pool is closed. Threads are started as jobs come and stay until then.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{WorkerPool, test};
///
/// test::run(|| {
///     let pool = WorkerPool::new(4);
///     assert_eq!(pool.map(|number| number * number, 1..=5), [1, 4, 9, 16, 25]);
/// });
/// ```
#[derive(Clone)]
pub struct WorkerPool {
    owned: Arc<Owned>,
}

struct Owned {
    pool: Arc<Pool>,
    workers: usize,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl WorkerPool {
    /// Makes a pool of `workers` threads, with room for 1024 jobs that wait for one.
    ///
    /// # Panics
    ///
    /// When `workers` is zero.
    pub fn new(workers: usize) -> WorkerPool {
        WorkerPool::with_queue(workers, QUEUE)
    }

    /// Makes a pool of `workers` threads, with room for `queue` jobs; whoever brings more waits.
    ///
    /// # Panics
    ///
    /// When either is zero.
    pub fn with_queue(workers: usize, queue: usize) -> WorkerPool {
        assert!(workers > 0 && queue > 0, "a pool has at least one worker and room for one job");
        let pool = Arc::new(Pool::new("grapeshot-worker", Bounds { threads: workers, queue, idle: None }));
        WorkerPool { owned: Arc::new(Owned { pool, workers }) }
    }

    /// Has a worker run `f`, and waits for what it returns.
    ///
    /// In a job of this same pool, `f` runs right here unless another worker has been quicker: so a job may wait for
    /// another, be there but one worker.
    ///
    /// # Cancellation
    ///
    /// Unwinds at once; `f` runs on if a worker has begun it, and its result is dropped.
    ///
    /// # Errors
    ///
    /// [`PoolError`] when the pool does not take the job, or was terminated before it was begun.
    ///
    /// # Panics
    ///
    /// With whatever `f` panics with.
    pub fn apply<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        let handle = self.apply_async(f)?;
        match CancelOnDrop::new(handle).join() {
            Ok(value) => Ok(value),
            Err(JoinError::Panicked(panic)) => panic.resume(),
            Err(JoinError::Refused) => Err(PoolError::Refused),
            Err(_) => Err(PoolError::Closed),
        }
    }

    /// Has a worker run `f`, and returns the way to its result. Waits only while the queue is full.
    ///
    /// In a job of this same pool it does not wait for room, but runs `f` right here if there is none.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and `f` is dropped.
    ///
    /// # Errors
    ///
    /// [`PoolError`] when the pool does not take the job.
    pub fn apply_async<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Result<RemoteJoinHandle<T>, PoolError> {
        submit(&self.owned.pool, "the result of a worker", f)
    }

    /// Has the workers run `f` on every item, and returns the results in the items' order.
    ///
    /// Items are handed out in chunks, four for each worker. A job of this same pool takes part in the work.
    ///
    /// # Cancellation
    ///
    /// Unwinds at once; chunks that no worker has begun are left undone.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with for the first of the items for which it did; and when the pool does not take a job.
    /// Chunks that no worker has begun are then left undone.
    pub fn map<A, R>(&self, f: impl Fn(A) -> R + Send + Sync + 'static, items: impl IntoIterator<Item = A>) -> Vec<R>
    where
        A: Send + 'static,
        R: Send + 'static,
    {
        let items: Vec<A> = items.into_iter().collect();
        let chunk = items.len().div_ceil(self.owned.workers * CHUNKS_PER_WORKER).max(1);
        self.map_chunked(chunk, f, items)
    }

    /// Does as [`map`](Self::map), in chunks of `chunk` items.
    ///
    /// # Cancellation
    ///
    /// Unwinds at once; chunks that no worker has begun are left undone.
    ///
    /// # Panics
    ///
    /// As [`map`](Self::map), and when `chunk` is zero.
    pub fn map_chunked<A, R>(
        &self,
        chunk: usize,
        f: impl Fn(A) -> R + Send + Sync + 'static,
        items: impl IntoIterator<Item = A>,
    ) -> Vec<R>
    where
        A: Send + 'static,
        R: Send + 'static,
    {
        assert!(chunk > 0, "a chunk has at least one item");
        let f = Arc::new(f);
        let mut items = items.into_iter();
        let mut handles = VecDeque::new();
        loop {
            let part: Vec<A> = items.by_ref().take(chunk).collect();
            if part.is_empty() {
                break;
            }
            let f = f.clone();
            match self.apply_async(move || part.into_iter().map(|item| f(item)).collect::<Vec<R>>()) {
                Ok(handle) => handles.push_back(CancelOnDrop::new(handle)),
                Err(error) => panic!("map: {error}"),
            }
        }
        let mut results = Vec::new();
        while let Some(handle) = handles.pop_front() {
            match handle.join() {
                Ok(part) => results.extend(part),
                Err(JoinError::Panicked(panic)) => panic.resume(),
                Err(error) => panic!("map: {error}"),
            }
        }
        results
    }

    /// Takes no more jobs. Every worker ends once the queue is empty. Never suspends.
    pub fn close(&self) {
        self.owned.pool.close();
    }

    /// Closes the pool and drops the jobs that no worker has begun; their handles say that they were cancelled.
    ///
    /// Never suspends; jobs that have begun run to their end.
    pub fn terminate(&self) {
        self.owned.pool.close();
        self.owned.pool.clear();
    }

    /// Closes the pool and waits until every worker has ended.
    ///
    /// Answers whether they have: not if the caller unwinds, and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// In a job of this same pool, which is then not closed: the job would wait for its own end. While it unwinds,
    /// the pool is closed and the answer is false.
    pub fn join(&self) -> bool {
        let waits_for_itself = self.owned.pool.is_worked_here();
        assert!(
            !waits_for_itself || std::thread::panicking(),
            "join of a {self:?} by a job of its own, which would wait for its own end: join it from outside, or close it"
        );
        self.close();
        !waits_for_itself && self.owned.pool.wait_ended()
    }

    /// How many threads run now.
    pub fn threads(&self) -> usize {
        self.owned.pool.load().0
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, queued) = self.owned.pool.load();
        write!(f, "WorkerPool({threads} of {} threads, {queued} jobs queued)", self.owned.workers)
    }
}
