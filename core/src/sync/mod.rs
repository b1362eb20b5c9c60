//! Locks and gates between the coroutines of one thread.
//!
//! ```text
//!   one at a time      Mutex, ReentrantMutex, KeyedLocks      a number at a time   Semaphore
//!   many or one        RwLock, ReentrantRwLock                once                 Once, OnceEvent
//!   a piece of news    Notify                                 all have come        WaitGroup, Barrier
//! ```
//!
//! They cost no atomics, are neither `Send` nor `Sync`, and none of them poisons: a coroutine that is cancelled or
//! panics gives back what it holds, in the state in which it left it.
//!
//! # Limits
//!
//! Every wait can be given a limit from outside, by [`with_timeout`](crate::with_timeout), which unwinds.
//! Where a limit is to be an error instead there is one form for all: the call's name with `_until`, a deadline,
//! and a [`WaitError`].
//!
//! # Invariants
//!
//! - What is released is handed over: the waiter owns it before it runs, and nobody comes in between (SYN-1).
//! - No wake is lost. A waiter that was cancelled before it was woken is passed over; one that was woken and is then
//!   cancelled runs on with what it was given, and gives it back when it unwinds (DESIGN §4).
//! - A waiter that gives up leaves the line, and those whom it alone held up go ahead.
//! - No borrow of a primitive is alive while a coroutine is away, nor while a closure or a destructor of the user runs.
//! - In a coroutine that unwinds, a call that would have to wait fails where it has an error to fail with, and else
//!   aborts with a sentence that names it (DESIGN §5).
//! - A lock counts as held by the coroutine that took it, also when its guard has been given to another.
//!
//! # What is absent
//!
//! Channels, and anything that crosses threads.

mod error;
mod holder;
mod line;
mod mutex;
mod semaphore;
mod raw_rw_lock;
mod rw_lock;
mod reentrant_mutex;
mod reentrant_rw_lock;
mod notify;
mod once_event;
mod once;
mod wait_group;
mod barrier;
mod keyed_locks;
mod deadlock;

pub use self::barrier::{Barrier, BarrierWaitResult};
pub use self::deadlock::{DeadlockError, DeadlockLink};
pub use self::error::{LockError, WaitError};
pub use self::keyed_locks::{AllKeysGuard, KeyGuard, KeyedLocks};
pub use self::mutex::{Mutex, MutexGuard};
pub use self::notify::{Notify, NotifyError};
pub use self::once::Once;
pub use self::once_event::OnceEvent;
pub use self::reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use self::reentrant_rw_lock::{ReentrantReadGuard, ReentrantRwLock, ReentrantWriteGuard};
pub use self::rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use self::semaphore::{OwnedPermit, Permit, Semaphore};
pub use self::wait_group::{WaitGroup, WaitGroupMember};
