//! Work that would hold up the loop, done by a few threads while the coroutine waits.
//!
//! The pool is the process's, shared by its runtimes: blocking calls are bounded by the machine, not by the runtime.
//! Threads start on demand and end when they have been idle for a while.
//!
//! # What is absent
//!
//! Borrowing from the caller's stack: a cancelled caller unwinds while its closure still runs,
//! and could not take its borrows back.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::panics::Panic;
use crate::scheduler;
use crate::spawn::JoinError;
use crate::threads::join::{self, CancelOnDrop, RemoteJoinHandle};
use crate::threads::pool::{Bounds, Job, Pool, PoolError};

/// The bounds of the threads that [`offload`] uses.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{OffloadLimits, set_offload_limits};
///
/// let before = set_offload_limits(OffloadLimits { threads: 16, ..OffloadLimits::default() });
/// assert_eq!(before, OffloadLimits::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffloadLimits {
    /// How many closures run at a time; 8 unless set, and at least 1.
    pub threads: usize,
    /// How many closures may wait for a thread before callers wait; 1024 unless set, and at least 1.
    pub queue: usize,
    /// How long a thread without work stays; 10 s unless set.
    pub idle: Duration,
}

impl Default for OffloadLimits {
    fn default() -> OffloadLimits {
        OffloadLimits { threads: 8, queue: 1024, idle: Duration::from_secs(10) }
    }
}

impl OffloadLimits {
    fn bounds(self) -> Bounds {
        Bounds { threads: self.threads.max(1), queue: self.queue.max(1), idle: Some(self.idle) }
    }
}

static POOL: LazyLock<Arc<Pool>> =
    LazyLock::new(|| Arc::new(Pool::new("grapeshot-offload", OffloadLimits::default().bounds())));

/// Sets the bounds of [`offload`] for the whole process, and returns those before. Never suspends.
pub fn set_offload_limits(limits: OffloadLimits) -> OffloadLimits {
    let before = POOL.set_bounds(limits.bounds());
    OffloadLimits { threads: before.threads, queue: before.queue, idle: before.idle.unwrap_or(Duration::MAX) }
}

/// Runs `f` on another thread while this coroutine waits, and returns what it returns.
///
/// For what blocks or computes for long. Waits also while the queue of such work is full (see [`OffloadLimits`]).
/// Under the virtual time of a test, the clock stands still while `f` runs: `f` must not wait for it.
/// Outside a coroutine, and in one that unwinds and so cannot wait, `f` runs right here.
///
/// # Cancellation
///
/// Unwinds at once. A closure that runs already runs on, and its result is dropped on its thread;
/// one that still waits for a thread is dropped without being run.
///
/// # Panics
///
/// With whatever `f` panics with; and when not one thread can be started.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{offload, test};
///
/// test::run(|| {
///     let sum = offload(|| (1..=1000).sum::<u64>());
///     assert_eq!(sum, 500_500);
/// });
/// ```
#[doc(alias = "spawn_blocking")]
pub fn offload<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    match try_offload(f) {
        Ok(value) => value,
        Err(panic) => panic.resume(),
    }
}

/// Runs `f` on another thread as [`offload`] does, and returns its panic instead of going on panicking.
///
/// # Cancellation
///
/// Unwinds at once, as [`offload`] does.
///
/// # Errors
///
/// The panic of `f`.
///
/// # Panics
///
/// When not one thread can be started.
pub fn try_offload<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Panic> {
    if !scheduler::in_coroutine() || std::thread::panicking() {
        return panic::catch_unwind(AssertUnwindSafe(f)).map_err(Panic::from_payload);
    }
    let handle = match submit(&POOL, "offloaded work", f) {
        Ok(handle) => handle,
        Err(error) => panic!("offload: {error}"),
    };
    let unless_cancelled = CancelOnDrop::new(handle);
    match unless_cancelled.join() {
        Ok(value) => Ok(value),
        Err(JoinError::Panicked(panic)) => Err(panic),
        // The pool is never closed, so the closure was dropped because no thread could be started.
        Err(error) => panic!("offload: the work was given up: {error}"),
    }
}

/// Queues a closure, and returns the way to its result.
pub(crate) fn submit<T: Send + 'static>(
    pool: &Arc<Pool>,
    waiting_for: &'static str,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<RemoteJoinHandle<T>, PoolError> {
    let (promise, mut handle) = join::promise(waiting_for);
    let counted = scheduler::with(|scheduler| scheduler.inbox.get().and_then(|inbox| inbox.count_work())).flatten();
    let job: Job = Box::new(move || {
        // Dropped last.
        let _counted = counted;
        if promise.is_cancelled() {
            return;
        }
        let result = panic::catch_unwind(AssertUnwindSafe(f))
            .map_err(|payload| JoinError::Panicked(Panic::from_payload(payload)));
        drop(promise.keep(result));
    });
    let number = pool.submit(job)?;
    handle.set_job(pool, number);
    Ok(handle)
}
