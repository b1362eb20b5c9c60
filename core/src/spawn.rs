//! Making coroutines, and the handles to them.
//!
//! # Invariants
//!
//! - A spawned coroutine is queued at the tail and never run at once (THR-1).
//! - A closure and an unwanted result are dropped on the coroutine's own stack, where their destructors may wait.
//! - A panic reaches whoever joins, or else the notifier, and nobody besides.

pub(crate) mod select;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;

use crate::cancel;
use crate::family::Family;
use crate::identity::CoroutineId;
use crate::panics::{self, Panic};
use crate::park::{Reason, Unparked};
use crate::record::{Body, Record, Settings, State};
use crate::scheduler::{self, NotInRuntime, Scheduler};

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
        if let Ok(record) = &made {
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

/// The way to a coroutine's result.
///
/// Dropping it detaches the coroutine, which runs on; a panic of it is then reported to the panic notifier.
pub struct JoinHandle<T> {
    record: Rc<Record<dyn Joinable<T>>>,
    /// A select has given the result out.
    taken: Cell<bool>,
}

impl<T> JoinHandle<T> {
    /// Waits for the coroutine to end and returns what it returned.
    ///
    /// Coroutines that wait for each other in a circle wait until one of them is cancelled: only who joins itself is
    /// refused. So a child must not wait for the end of the coroutine whose scope waits for the child.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] when it panicked, [`JoinError::Cancelled`] when it was cancelled,
    /// [`JoinError::WouldDeadlock`] when the coroutine joins itself,
    /// [`JoinError::LeftBehind`] when its runtime is over and it never ended,
    /// [`JoinError::Taken`] when a select has given its result out,
    /// [`JoinError::Refused`] when the caller unwinds and so cannot wait.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the handle is dropped and the coroutine runs on.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, unless the coroutine has ended.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        wait_finished(&self.erased(), "JoinHandle::join")?;
        self.take_result()
    }

    /// The result of a coroutine that has ended.
    fn take_result(&self) -> Result<T, JoinError> {
        match self.record.body.take_result() {
            _ if self.taken.replace(true) => Err(JoinError::Taken),
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => Err(JoinError::Panicked(panic)),
            None => Err(JoinError::Cancelled),
        }
    }

    /// Ends the coroutine: its next suspension point unwinds it. Never fails, and never suspends.
    ///
    /// One that has not had its first turn ends without running (THR-6).
    pub fn cancel(&self) {
        cancel::cancel_coroutine(&self.erased());
    }

    /// Whether the coroutine has ended.
    pub fn is_finished(&self) -> bool {
        self.record.state.get() == State::Done
    }

    /// The coroutine, for its number, its name, and waiting for its end without taking the result.
    pub fn coroutine(&self) -> Coroutine {
        Coroutine { record: self.erased() }
    }

    pub(crate) fn erased(&self) -> Rc<Record> {
        self.record.clone()
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let record = self.erased();
        record.detached.set(true);
        match record.state.get() {
            State::Done => {
                panics::report_unjoined(&record);
                drop(self.record.body.take_result());
            }
            State::Unstarted => {
                scheduler::with_runtime_of(&record, |scheduler| scheduler.abandon(&record));
                record.body.discard();
            }
            _ => {}
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({})", self.record.describe())
    }
}

#[inline]
#[track_caller]
fn wait_finished(record: &Rc<Record>, called: &str) -> Result<(), JoinError> {
    if record.state.get() == State::Done {
        return Ok(());
    }
    let scheduler = scheduler::expect_coroutine(called);
    if scheduler.id != record.runtime {
        return Err(JoinError::LeftBehind { coroutine: record.describe() });
    }
    if Rc::ptr_eq(&scheduler.current_record(), record) {
        return Err(JoinError::WouldDeadlock { coroutine: record.describe() });
    }
    drop(scheduler);
    match record.joiners.wait_until(Reason::Joining(record.id()), None) {
        Unparked::Woken | Unparked::TimedOut => Ok(()),
        Unparked::Refused => Err(JoinError::Refused),
    }
}

/// Why a join has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The coroutine was cancelled before it was done.
    Cancelled,
    /// The coroutine panicked.
    Panicked(Panic),
    /// The coroutine tried to join itself, which would never end.
    WouldDeadlock {
        /// Its number, and its name if it has one.
        coroutine: String,
    },
    /// The coroutine belongs to another runtime, which is over: it will never end.
    LeftBehind {
        /// Its number, and its name if it has one.
        coroutine: String,
    },
    /// The coroutine has ended, and a select has given its result out already.
    Taken,
    /// The caller unwinds, and so cannot wait.
    Refused,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled => f.write_str("the coroutine was cancelled"),
            JoinError::Panicked(panic) => write!(f, "the coroutine panicked: {panic}"),
            JoinError::WouldDeadlock { coroutine } => {
                write!(f, "coroutine {coroutine} joins itself, which would never end")
            }
            JoinError::LeftBehind { coroutine } => {
                write!(f, "coroutine {coroutine} belongs to a runtime that does not run here, and would never end")
            }
            JoinError::Taken => f.write_str("the coroutine has ended, and its result was taken before"),
            JoinError::Refused => f.write_str("a coroutine that unwinds cannot wait for another"),
        }
    }
}

impl std::error::Error for JoinError {}

/// A coroutine, to be named, looked at, cancelled or waited for; the counterpart of `std::thread::Thread`.
#[derive(Clone)]
pub struct Coroutine {
    pub(crate) record: Rc<Record>,
}

impl Coroutine {
    /// Its number.
    pub fn id(&self) -> CoroutineId {
        self.record.id()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<String> {
        self.record.identity.name.borrow().as_deref().map(str::to_owned)
    }

    /// Gives it a name, to be shown in reports.
    pub fn set_name(&self, name: impl Into<String>) {
        *self.record.identity.name.borrow_mut() = Some(name.into().into());
    }

    /// Ends it, as [`JoinHandle::cancel`] does.
    pub fn cancel(&self) {
        cancel::cancel_coroutine(&self.record);
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.record.state.get() == State::Done
    }

    /// Waits for its end; any number of coroutines may (THR-7).
    ///
    /// Coroutines that wait for each other in a circle, such as a child of a scope and the scope's owner, are not found
    /// out: see [`JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`], [`JoinError::LeftBehind`] and [`JoinError::Refused`], as for [`JoinHandle::join`].
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, unless it has ended.
    #[track_caller]
    pub fn wait_finished(&self) -> Result<(), JoinError> {
        wait_finished(&self.record, "Coroutine::wait_finished")
    }
}

impl fmt::Debug for Coroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coroutine({}, {:?})", self.record.describe(), self.record.state.get())
    }
}

impl PartialEq for Coroutine {
    fn eq(&self, other: &Coroutine) -> bool {
        Rc::ptr_eq(&self.record, &other.record)
    }
}

impl Eq for Coroutine {}

/// The running coroutine.
///
/// # Panics
///
/// Outside a coroutine.
#[track_caller]
pub fn current() -> Coroutine {
    Coroutine { record: scheduler::expect_coroutine("current").current_record() }
}

/// The live coroutine with this number (THR-3). Looks through all of them.
pub fn coroutine(id: u64) -> Option<Coroutine> {
    let found =
        scheduler::with(|scheduler| scheduler.live.borrow().iter().find(|record| record.id().as_u64() == id).cloned());
    found.flatten().map(|record| Coroutine { record })
}
