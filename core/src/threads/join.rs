//! The way to the result of work on another thread.
//!
//! One side holds a [`Promise`] and keeps it, or drops it; the other holds a [`RemoteJoinHandle`].
//!
//! # Invariants
//!
//! - A handle always learns of the end: a promise that is dropped counts as cancelled.
//! - A result that nobody will take is dropped where it was made.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::identity::CoroutineId;
use crate::panics;
use crate::scheduler;
use crate::spawn::{JoinError, current};
use crate::threads::pool::Pool;
use crate::threads::waiting::{WaitList, Waited, lock, wait, wake_all};

struct Shared<T> {
    progress: Mutex<Progress<T>>,
    cancelled: AtomicBool,
}

pub(super) struct Progress<T> {
    result: Option<Result<T, JoinError>>,
    pub(super) is_finished: bool,
    /// The handle is gone.
    is_unwanted: bool,
    /// The runtime and the coroutine that do the work, where a coroutine does it and has begun.
    worker: Option<(u32, CoroutineId)>,
    pub(super) waiting: WaitList,
    canceller: Option<Box<dyn FnOnce() + Send>>,
}

impl<T> Progress<T> {
    /// The end of the work, seen from the coroutine `own`.
    fn take(&mut self, own: Option<(u32, CoroutineId)>) -> Option<Result<T, JoinError>> {
        match self.result.take() {
            None if self.is_finished => Some(Err(JoinError::Taken)),
            None if own.is_some() && self.worker == own => Some(Err(JoinError::of_itself(&current().record))),
            result => result,
        }
    }
}

/// The runtime and the coroutine that run here.
fn running() -> Option<(u32, CoroutineId)> {
    scheduler::with(|scheduler| {
        let current = scheduler.current.borrow();
        current.as_ref().map(|record| (scheduler.id, record.id()))
    })
    .flatten()
}

/// Makes both sides of a piece of work, and says in `waiting_for` what its joiners wait for.
pub(crate) fn promise<T>(waiting_for: &'static str) -> (Promise<T>, RemoteJoinHandle<T>) {
    let progress = Progress {
        result: None,
        is_finished: false,
        is_unwanted: false,
        worker: None,
        waiting: WaitList::default(),
        canceller: None,
    };
    let shared = Arc::new(Shared { progress: Mutex::new(progress), cancelled: AtomicBool::new(false) });
    (Promise { shared: shared.clone() }, RemoteJoinHandle { shared, waiting_for, job: None })
}

/// The side that does the work.
pub(crate) struct Promise<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Promise<T> {
    /// Whether the work is to be left undone, if it has not begun.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Acquire)
    }

    /// Notes which coroutine does the work, and how it is cancelled from another thread.
    ///
    /// False if it was cancelled before.
    pub(crate) fn begin(&self, worker: (u32, CoroutineId), canceller: Box<dyn FnOnce() + Send>) -> bool {
        let mut progress = lock(&self.shared.progress);
        progress.worker = Some(worker);
        progress.canceller = Some(canceller);
        drop(progress);
        !self.is_cancelled()
    }

    /// Hands the result over; gives it back if nobody wants it.
    pub(crate) fn keep(self, result: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        self.shared.finish(result)
    }
}

impl<T: Send + 'static> Promise<T> {
    /// The promise, for whoever knows of the end of who gave it.
    pub(crate) fn orphan(&self) -> Weak<dyn Orphan> {
        let shared: Arc<dyn Orphan> = self.shared.clone();
        Arc::downgrade(&shared)
    }
}

/// A promise that can be broken on behalf of who gave it.
pub(crate) trait Orphan: Send + Sync {
    /// Counts as cancelled, unless it was kept before.
    fn orphan(&self);
}

impl<T: Send> Orphan for Shared<T> {
    fn orphan(&self) {
        drop(self.finish(Err(JoinError::Cancelled)));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        drop(self.shared.finish(Err(JoinError::Cancelled)));
    }
}

impl<T> Shared<T> {
    /// The first end counts.
    fn finish(&self, result: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        let mut progress = lock(&self.progress);
        if std::mem::replace(&mut progress.is_finished, true) {
            return Some(result);
        }
        let unwanted = if progress.is_unwanted { Some(result) } else { progress.result.replace(result) };
        let waiting = progress.waiting.take();
        let canceller = progress.canceller.take();
        drop(progress);
        drop(canceller);
        wake_all(waiting);
        unwanted
    }
}

/// The way to the result of work that another thread, or a coroutine of another runtime, does.
///
/// Usable from any thread. Dropping it lets the work go on by itself; its result is then dropped where it was made.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{WorkerPool, test};
///
/// test::run(|| {
///     let pool = WorkerPool::new(2);
///     let handle = pool.apply_async(|| 6 * 7).unwrap();
///     assert_eq!(handle.join().unwrap(), 42);
/// });
/// ```
pub struct RemoteJoinHandle<T> {
    shared: Arc<Shared<T>>,
    waiting_for: &'static str,
    /// The pool that does the work, and the job's number in it, where a pool does it.
    job: Option<(Weak<Pool>, u64)>,
}

impl<T> RemoteJoinHandle<T> {
    /// Waits for the end of the work and returns what it returned.
    ///
    /// A coroutine parks; a thread without a runtime blocks. A worker of a [`WorkerPool`](crate::WorkerPool) that
    /// joins a job of its own pool which has not begun does it right here.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] when it panicked; [`JoinError::Cancelled`] when it was cancelled, or its runtime or pool
    /// ended first; [`JoinError::WouldDeadlock`] when a coroutine joins itself; [`JoinError::Refused`] when it has not
    /// ended and the caller unwinds, and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the handle is dropped and the work goes on.
    pub fn join(self) -> Result<T, JoinError> {
        self.wait()
    }

    /// [`join`](Self::join), for those who must do something else when they are cut off.
    pub(crate) fn wait(&self) -> Result<T, JoinError> {
        if let Some((pool, number)) = &self.job
            && let Some(pool) = pool.upgrade()
        {
            pool.do_if_worker(*number);
        }
        let own = running();
        let joined = wait(
            &self.shared.progress,
            |progress| &mut progress.waiting,
            self.waiting_for,
            None,
            |progress| progress.take(own),
        );
        match joined {
            Waited::Ready(result) => result,
            Waited::TimedOut | Waited::Refused => Err(JoinError::Refused),
        }
    }

    /// Notes which job of a pool's does the work.
    pub(super) fn set_job(&mut self, pool: &Arc<Pool>, number: u64) {
        self.job = Some((Arc::downgrade(pool), number));
    }

    /// The end of the work, if it has come.
    pub(super) fn try_join(&self) -> Option<Result<T, JoinError>> {
        lock(&self.shared.progress).take(running())
    }

    pub(super) fn progress(&self) -> &Mutex<Progress<T>> {
        &self.shared.progress
    }

    /// Asks for the end of the work; never suspends.
    ///
    /// Work that has not begun is left undone. A coroutine that does it is cancelled; a thread that does it goes on.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        let canceller = lock(&self.shared.progress).canceller.take();
        if let Some(cancel) = canceller {
            cancel();
        }
    }

    /// Whether the work has ended.
    pub fn is_finished(&self) -> bool {
        lock(&self.shared.progress).is_finished
    }
}

impl<T> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        let mut progress = lock(&self.shared.progress);
        progress.is_unwanted = true;
        let result = progress.result.take();
        let reports = progress.worker.is_some();
        drop(progress);
        // A worker thread's panic has been reported by the process's panic hook.
        if let Some(Err(JoinError::Panicked(panic))) = &result
            && reports
        {
            panics::print_stderr(&format!("a coroutine of another runtime panicked, and was not joined: {panic}"));
        }
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteJoinHandle({})", if self.is_finished() { "finished" } else { "running" })
    }
}

/// Calls the work off, if it has not begun, when its caller is cut off.
pub(crate) struct CancelOnDrop<T>(Option<RemoteJoinHandle<T>>);

impl<T> CancelOnDrop<T> {
    pub(crate) fn new(handle: RemoteJoinHandle<T>) -> CancelOnDrop<T> {
        CancelOnDrop(Some(handle))
    }

    pub(crate) fn join(mut self) -> Result<T, JoinError> {
        let Some(handle) = &self.0 else { return Err(JoinError::Cancelled) };
        let result = handle.wait();
        self.0 = None;
        result
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.cancel();
        }
    }
}
