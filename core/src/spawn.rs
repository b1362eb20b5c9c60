//! Making coroutines, and the handles to them.
//!
//! # Invariants
//!
//! - A spawned coroutine is queued at the tail and never run at once (THR-1).
//! - A closure and an unwanted result are dropped on the coroutine's own stack, where their destructors may wait.
//! - A panic reaches whoever joins, or else the notifier, and nobody besides.

mod join;
mod handle;
mod circle;
pub(crate) mod select;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;

use crate::cancel;
use crate::family::Family;
use crate::panics::{self, Panic};
use crate::record::{Body, Record, Settings, State};
use crate::scheduler::{self, NotInRuntime, Scheduler};

pub use self::handle::{Coroutine, coroutine, current};
pub use self::join::{JoinError, JoinHandle};

/// Starts a coroutine that runs `f`, and returns a handle to its end.
///
/// It runs when the spawner next waits; it stays on this thread for life, so `f` need not be `Send`.
/// Never suspends. Dropping the handle lets the coroutine run on by itself.
///
/// # Panics
///
/// Outside a runtime, at the limit on coroutines, and when there is no memory for a stack;
/// [`Builder::spawn`] reports these as errors.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test};
///
/// test::run(|| {
///     let answer = spawn(|| 6 * 7);
///     assert_eq!(answer.join().unwrap(), 42);
/// });
/// ```
#[track_caller]
#[inline]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(error) => panic!("spawn: {error}"),
    }
}

/// Settings for a coroutine to be made.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Builder, current, test};
///
/// test::run(|| {
///     let handle = Builder::new().name("greeter").spawn(|| current().name()).unwrap();
///     assert_eq!(handle.join().unwrap().as_deref(), Some("greeter"));
/// });
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Rc<str>>,
    stack_size: Option<usize>,
    /// It begins in no span, whatever its spawner is in.
    spanless: bool,
    pub(crate) family: Option<FamilyRef>,
}

/// A family that prints as nothing, so that the builder can be `Debug`.
pub(crate) struct FamilyRef(pub(crate) Rc<Family>);

impl fmt::Debug for FamilyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Family")
    }
}

impl Builder {
    /// The settings that [`spawn`] uses.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the coroutine in reports.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into().into());
        self
    }

    /// Asks for a stack of at least this many bytes of address space, 64 KiB of which are its guard.
    ///
    /// Rounded up to 128 KiB, 256 KiB, 1 MiB or 8 MiB. Only what is touched costs memory.
    /// The default is the runtime's, 256 KiB unless set.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Has it begin in no `tracing` span, although its spawner may be in one: for a coroutine that works for others as well,
    /// and would keep the span of whoever happened to need it first.
    ///
    /// It makes no difference without the feature `tracing`.
    pub fn spanless(mut self) -> Builder {
        self.spanless = true;
        self
    }

    /// Starts a coroutine, as [`spawn`](crate::spawn) does.
    ///
    /// # Errors
    ///
    /// [`NotInRuntime`] of kind `Unsupported` outside a runtime; [`TooManyCoroutines`] of kind `QuotaExceeded`;
    /// kind `InvalidInput` for a stack of more than 8 MiB; and what the system says when there is no memory for a
    /// stack, or no mapping for its guard.
    #[track_caller]
    #[inline(always)]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.unstarted(f).map(Unstarted::start)
    }

    /// Makes a coroutine that waits for [`Unstarted::start`] (THR-2).
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    #[inline(always)]
    pub fn unstarted<F, T>(self, f: F) -> io::Result<Unstarted<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        self.unstarted_at(Location::caller(), f)
    }

    /// Makes a coroutine as [`unstarted`](Self::unstarted) does, on behalf of somebody elsewhere.
    #[inline(always)]
    pub(crate) fn unstarted_at<F, T>(self, spawned_at: &'static Location<'static>, f: F) -> io::Result<Unstarted<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let work = Work { closure: Cell::new(Some(f)), result: Cell::new(None) };
        let record = self.make(work, spawned_at)?;
        Ok(Unstarted { handle: JoinHandle { record, taken: Cell::new(false) } })
    }

    /// Makes the record of a coroutine, with a stack promised to it.
    ///
    /// Inlined, so that settings nobody set are constants, and the record is not put together from moved pieces.
    #[inline(always)]
    pub(crate) fn make<B>(self, body: B, spawned_at: &'static Location<'static>) -> io::Result<Rc<Record<B>>>
    where
        B: Body + 'static,
    {
        #[cfg(feature = "tracing")]
        let spanless = self.spanless;
        // A body that is refused is dropped out here, where its destructors may wait.
        let mut body = Some(body);
        let made = scheduler::with(|scheduler| {
            scheduler.check_room()?;
            let stack_size =
                self.stack_size.map_or(scheduler.default_stack_size, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
            scheduler.stacks.promise(stack_size as usize).map_err(io::Error::from)?;
            let settings = Settings {
                name: self.name,
                stack_size,
                selfishness: scheduler.selfishness.get(),
                spawned_at,
                family: self.family.map(|family| family.0),
                now: scheduler.now.get(),
            };
            let Some(body) = body.take() else { unreachable!("nobody else takes the body") };
            let record = Rc::new(Record::new(scheduler.new_id(), scheduler.id, settings, body));
            scheduler.adopt(record.clone());
            Ok(record)
        });
        let made = made.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::Unsupported, NotInRuntime)));
        #[cfg(feature = "tracing")]
        if let Ok(record) = &made
            && !spanless
        {
            record.spans.inherit();
        }
        made
    }
}

impl Scheduler {
    fn check_room(&self) -> io::Result<()> {
        let limit = self.max_coroutines;
        if self.live.borrow().len() < limit {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, TooManyCoroutines { limit }))
    }
}

/// The runtime has as many coroutines as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCoroutines {
    limit: usize,
}

impl fmt::Display for TooManyCoroutines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} coroutines, the limit set by Runtime::max_coroutines", self.limit)
    }
}

impl std::error::Error for TooManyCoroutines {}

/// A coroutine that has been made and not started.
///
/// Dropped without being started, it ends without running.
#[must_use = "it runs only when started"]
pub struct Unstarted<T> {
    handle: JoinHandle<T>,
}

impl<T> Unstarted<T> {
    /// Queues the coroutine. That it takes `self` is what makes starting twice impossible.
    #[inline]
    pub fn start(self) -> JoinHandle<T> {
        let record = self.handle.erased();
        // Cancelling has started it already, so that it can end.
        if record.state.get() == State::Unstarted {
            scheduler::with_runtime_of(&record, |scheduler| scheduler.start(&record));
        }
        self.handle
    }

    /// The coroutine, for its number and name.
    pub fn coroutine(&self) -> Coroutine {
        self.handle.coroutine()
    }

    pub(crate) fn erased(&self) -> Rc<Record> {
        self.handle.erased()
    }
}

impl<T> fmt::Debug for Unstarted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unstarted({})", self.handle.record.describe())
    }
}

/// The closure of a coroutine and what it returned.
struct Work<F, T> {
    closure: Cell<Option<F>>,
    result: Cell<Option<Result<T, Panic>>>,
}

/// A body whose result somebody can take.
trait Joinable<T>: Body {
    fn take_result(&self) -> Option<Result<T, Panic>>;
}

impl<F: FnOnce() -> T, T> Body for Work<F, T> {
    fn run(&self, record: &Rc<Record>) {
        let Some(closure) = self.closure.take() else { return };
        if record.root_cancelled.get() {
            drop_quietly(record, closure);
            return;
        }
        match catch(record, closure) {
            Some(Ok(value)) if record.detached.get() => drop_quietly(record, value),
            ended => self.result.set(ended),
        }
    }

    fn discard(&self) {
        drop(self.closure.take());
    }

    fn take_panic(&self) -> Option<Panic> {
        match self.result.take() {
            Some(Err(panic)) => Some(panic),
            other => {
                self.result.set(other);
                None
            }
        }
    }
}

impl<F: FnOnce() -> T, T> Joinable<T> for Work<F, T> {
    fn take_result(&self) -> Option<Result<T, Panic>> {
        self.result.take()
    }
}

/// Runs `f` at the root of a coroutine: `None` if it was cancelled.
pub(crate) fn catch<T>(record: &Rc<Record>, f: impl FnOnce() -> T) -> Option<Result<T, Panic>> {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(Ok(value)),
        Err(payload) if cancel::is_cancellation(&*payload) => None,
        Err(payload) => Some(Err(Panic::caught(record.id(), payload))),
    }
}

/// Drops a value on the coroutine's own stack; a panic of its destructor is reported like any other.
pub(crate) fn drop_quietly<T>(record: &Rc<Record>, value: T) {
    if let Some(Err(panic)) = catch(record, move || drop(value)) {
        panics::report_and_drop(record, panic);
    }
}
