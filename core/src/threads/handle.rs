//! A runtime's address, for other threads to spawn coroutines in it.

use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;

use crate::cancel;
use crate::panics::{Panic, print_stderr};
use crate::scheduler::{self, NotInRuntime};
use crate::spawn::{Builder, JoinError, coroutine, current};
use crate::threads::inbox::{CallError, Inbox};
use crate::threads::join::{self, Promise, RemoteJoinHandle};

/// A runtime, seen from any thread (BEA-7).
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Handle, coroutines, offload, test};
///
/// test::run(|| {
///     let handle = Handle::current();
///     let elsewhere = std::thread::spawn(move || {
///         let count = handle.spawn(|| coroutines().len()).unwrap();
///         count.join().unwrap()
///     });
///     assert_eq!(offload(move || elsewhere.join().unwrap()), 2);
/// });
/// ```
#[derive(Clone)]
pub struct Handle {
    inbox: Arc<Inbox>,
}

impl Handle {
    /// The runtime of this thread.
    ///
    /// # Panics
    ///
    /// Outside a runtime; [`try_current`](Self::try_current) reports this as an error.
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("Handle::current: {error}"),
        }
    }

    /// The runtime of this thread.
    ///
    /// # Errors
    ///
    /// [`NotInRuntime`] outside a runtime.
    pub fn try_current() -> Result<Handle, NotInRuntime> {
        let inbox = scheduler::with(|scheduler| scheduler.inbox.get().cloned()).flatten();
        inbox.map(|inbox| Handle { inbox }).ok_or(NotInRuntime)
    }

    /// Starts a coroutine in that runtime, which runs `f`, and returns the way to its end.
    ///
    /// Waits only while 1024 such calls are on their way to the loop: a coroutine parks, a plain thread blocks.
    /// A panic that nobody joins is reported by that runtime, as any other.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and `f` is dropped.
    ///
    /// # Errors
    ///
    /// [`RemoteSpawnError`]. When the runtime ends later the handle says that the coroutine was cancelled;
    /// so it does when there is no stack for it or there are too many coroutines, and that runtime says so on stderr.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> Result<RemoteJoinHandle<T>, RemoteSpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawned_at = Location::caller();
        let (promise, handle) = join::promise("the end of a coroutine of another runtime");
        let inbox = self.inbox.clone();
        let call = move || {
            inbox.vouch_for(promise.orphan());
            let spawned = Builder::new().unstarted_at(spawned_at, move || run(&inbox, promise, f));
            match spawned {
                Ok(coroutine) => drop(coroutine.start()),
                // The promise went with the closure, and so was broken.
                Err(error) => print_stderr(&format!("Handle::spawn at {spawned_at}: {error}")),
            }
        };
        self.inbox.call(Box::new(call)).map_err(RemoteSpawnError::from)?;
        Ok(handle)
    }

    /// Asks that runtime to end with `code`, as [`set_exit`](crate::set_exit) does in it.
    ///
    /// Answers whether it still ran. Never suspends.
    pub fn set_exit(&self, code: u8) -> bool {
        self.inbox.call_at_once(Box::new(move || scheduler::set_exit(code)))
    }

    /// Whether the runtime has ended.
    pub fn has_ended(&self) -> bool {
        self.inbox.is_closed()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.has_ended() { "ended" } else { "running" };
        write!(f, "Handle(runtime {}, {state})", self.inbox.runtime())
    }
}

/// The root of a coroutine that another thread asked for.
fn run<T: Send + 'static>(inbox: &Arc<Inbox>, promise: Promise<T>, f: impl FnOnce() -> T) {
    let id = current().id();
    let home = inbox.clone();
    let canceller = move || {
        home.call_at_once(Box::new(move || {
            if let Some(coroutine) = coroutine(id.as_u64()) {
                coroutine.cancel();
            }
        }));
    };
    if !promise.begin((inbox.runtime(), id), Box::new(canceller)) {
        return;
    }
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => drop(promise.keep(Ok(value))),
        Err(payload) if cancel::is_cancellation(&*payload) => {
            drop(promise);
            panic::resume_unwind(payload);
        }
        Err(payload) => {
            let unwanted = promise.keep(Err(JoinError::Panicked(Panic::from_payload(payload))));
            if let Some(Err(JoinError::Panicked(panic))) = unwanted {
                panic.resume();
            }
        }
    }
}

/// Why another runtime did not take a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteSpawnError {
    /// It has ended.
    Ended,
    /// Too many calls are on their way to it, and the caller cannot wait: it unwinds, or is a loop itself.
    Refused,
}

impl From<CallError> for RemoteSpawnError {
    fn from(error: CallError) -> RemoteSpawnError {
        match error {
            CallError::Ended => RemoteSpawnError::Ended,
            CallError::Full => RemoteSpawnError::Refused,
        }
    }
}

impl fmt::Display for RemoteSpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RemoteSpawnError::Ended => "the runtime that was to run the coroutine has ended",
            RemoteSpawnError::Refused => {
                "too many calls are on their way to the runtime that was to run the coroutine, and the caller cannot wait"
            }
        })
    }
}

impl std::error::Error for RemoteSpawnError {}
