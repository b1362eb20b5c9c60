//! The suspension point: every wait in the suite goes through [`park`].
//!
//! A wait has three parts: it is armed (an [`Unparker`] is left with whatever will end it), the coroutine leaves its
//! thread to others, and then exactly one of three things ends it.
//!
//! ```text
//!                    ┌─ Unparker::unpark ──► Unparked::Woken
//!   arm ──► parked ──┼─ deadline passes ──► withdraw ──► Unparked::TimedOut
//!                    └─ cancelled ────────► withdraw ──► unwinds
//! ```
//!
//! # Invariants
//!
//! - The first end counts. A coroutine that has been unparked and is then cancelled runs on with what it was given,
//!   and is caught at its next suspension point; one that has been cancelled refuses the unpark,
//!   so the waker passes it on to the next waiter. No wake is lost in either race (DESIGN §4).
//! - An unparker names one wait: used after that wait it finds nobody, and says so.
//! - A coroutine that unwinds never switches, since the panic count belongs to the thread (DESIGN §5):
//!   `park` then returns [`Unparked::Refused`] at once.
//! - No borrow of runtime state is alive while the coroutine is away.

use std::fmt;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::thread;
use std::time::Instant;

use crate::cancel;
use crate::identity::CoroutineId;
use crate::panics;
use crate::record::{Record, State};
use crate::scheduler::{self, Scheduler};
use crate::spawn::Coroutine;
use crate::stack_walk;

/// What a parked coroutine waits for, in words a person can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It has not had its first turn.
    Starting,
    /// Nothing: it gave its turn away.
    Yielding,
    /// The end of a sleep.
    Sleeping,
    /// A descriptor to become readable or writable.
    Io {
        /// What will be done then, such as `read`.
        operation: &'static str,
        /// The descriptor's number.
        descriptor: RawFd,
    },
    /// The end of another coroutine.
    Joining(CoroutineId),
    /// The end of a scope's children.
    Children,
    /// Anything else, named by who waits.
    Other(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Starting => f.write_str("its first turn"),
            Reason::Yielding => f.write_str("its next turn"),
            Reason::Sleeping => f.write_str("the end of a sleep"),
            Reason::Io { operation, descriptor } => write!(f, "{operation} on descriptor {descriptor}"),
            Reason::Joining(id) => write!(f, "the end of coroutine {id}"),
            Reason::Children => f.write_str("the children of its scope"),
            Reason::Other(what) => f.write_str(what),
        }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Unparked {
    /// Somebody called [`Unparker::unpark`].
    Woken,
    /// The deadline passed first.
    TimedOut,
    /// The coroutine is unwinding and must not switch; nothing was waited for.
    Refused,
}

/// How a wait ended, cancellation included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Woken,
    TimedOut,
    Cancelled,
}

/// What a wait's `withdraw` hook did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// Nothing will unpark this wait any more; it is over.
    Withdrawn,
    /// The withdrawal has been asked for, and an unpark will tell when it has happened; stay parked until then.
    Requested,
}

/// Ends one wait of one coroutine.
///
/// A late unpark is harmless: the wait is named by a generation, and the next wait has another.
#[derive(Clone)]
pub struct Unparker {
    pub(crate) record: Rc<Record>,
    pub(crate) generation: u32,
    /// Which arm of a `select` it was left with; zero for any other wait.
    pub(crate) arm: u16,
}

impl Unparker {
    /// The same wait, left with one of several arms: the wait's record tells which one ended it.
    pub(crate) fn for_arm(&self, arm: u16) -> Unparker {
        Unparker { record: self.record.clone(), generation: self.generation, arm }
    }

    /// Makes the waiting coroutine runnable; it runs in its turn, not now.
    ///
    /// Never suspends.
    ///
    /// # Errors
    ///
    /// [`UnparkError`] when the wait is over already; whoever hands something over must then hand it to another.
    #[inline]
    pub fn unpark(&self) -> Result<(), UnparkError> {
        scheduler::with(|scheduler| scheduler.unpark(self, Outcome::Woken)).unwrap_or(Err(UnparkError::NotInRuntime))
    }

    /// The coroutine that waits.
    pub fn coroutine(&self) -> Coroutine {
        Coroutine { record: self.record.clone() }
    }
}

impl fmt::Debug for Unparker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unparker({}, wait {})", self.record.id(), self.generation)
    }
}

/// Why an unpark reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnparkError {
    /// The coroutine has ended.
    Dead,
    /// The wait ended before: another unpark, a deadline, or a cancellation came first.
    WaitOver,
    /// This thread does not run the coroutine's runtime.
    NotInRuntime,
}

impl fmt::Display for UnparkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnparkError::Dead => "the coroutine has ended",
            UnparkError::WaitOver => "the wait this unparker names is over",
            UnparkError::NotInRuntime => "the coroutine belongs to a runtime that is not running on this thread",
        })
    }
}

impl std::error::Error for UnparkError {}

/// Parks the running coroutine until it is unparked, the deadline passes, or it is cancelled.
///
/// `arm` is given the unparker of this wait and leaves it where the event will find it; it may unpark at once,
/// and must not wait.
/// `withdraw` is called when the wait is to end without its event.
/// When it answers [`Withdrawal::Requested`] the coroutine stays parked, deaf to deadline and cancellation,
/// until it is unparked; that is for operations the kernel still works on.
/// If the event has come in the meantime, its unpark found nobody: `withdraw` then answers [`Withdrawal::Withdrawn`].
///
/// This is the one suspension point of the suite; use it to build a wait of your own.
///
/// # Cancellation
///
/// Unwinds when the coroutine, or a cancel scope it is in, has been cancelled, before arming or after withdrawing.
///
/// # Panics
///
/// Outside a coroutine, naming the call and its place, and inside the `arm` of another wait.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use grapeshot_core::{Reason, Unparked, Withdrawal, park, spawn, test};
///
/// test::run(|| {
///     let bell = Rc::new(RefCell::new(None));
///     let waiter = spawn({
///         let bell = bell.clone();
///         move || {
///             park(
///                 Reason::Other("the bell"),
///                 None,
///                 |unparker| *bell.borrow_mut() = Some(unparker),
///                 || {
///                     *bell.borrow_mut() = None;
///                     Withdrawal::Withdrawn
///                 },
///             )
///         }
///     });
///     grapeshot_core::yield_now();
///     bell.take().unwrap().unpark().unwrap();
///     assert_eq!(waiter.join().unwrap(), Unparked::Woken);
/// });
/// ```
// Without a return between the switch and the caller's code, which the processor would predict wrongly.
#[inline(always)]
#[track_caller]
pub fn park(
    reason: Reason,
    deadline: Option<Instant>,
    arm: impl FnOnce(Unparker),
    withdraw: impl FnMut() -> Withdrawal,
) -> Unparked {
    park_for("park", reason, deadline, arm, withdraw)
}

/// Parks as [`park`] does, for what the user has `called`, which a panic outside a coroutine names (SCH-8).
#[inline(always)]
#[track_caller]
pub(crate) fn park_for(
    called: &str,
    reason: Reason,
    deadline: Option<Instant>,
    arm: impl FnOnce(Unparker),
    withdraw: impl FnMut() -> Withdrawal,
) -> Unparked {
    let current = scheduler::with(|scheduler| {
        let record = scheduler.current.borrow().clone()?;
        scheduler.note_wait(&record);
        Some((record, deadline.map(|at| scheduler.clock.to_nanos(at))))
    });
    let Some((record, deadline)) = current.flatten() else { not_in_coroutine(called, reason) };
    if thread::panicking() {
        return Unparked::Refused;
    }
    cancel::checkpoint(&record);
    match wait_noted(&record, reason, deadline, Cut::Short, arm, withdraw) {
        Outcome::Woken => Unparked::Woken,
        Outcome::TimedOut => Unparked::TimedOut,
        Outcome::Cancelled => cancel::raise(&record),
    }
}

#[cold]
#[track_caller]
fn not_in_coroutine(called: &str, reason: Reason) -> ! {
    panic!("{called}, which must wait for {reason}: {}", scheduler::NotInRuntime)
}

/// Whether cancellation ends a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Cancellation ends it.
    Short,
    /// The wait must run its course.
    Never,
}

/// The mechanism of [`park`], which reports a cancellation instead of raising it.
#[inline(always)]
pub(crate) fn wait(
    record: &Rc<Record>,
    reason: Reason,
    deadline: Option<u64>,
    cut: Cut,
    arm: impl FnOnce(Unparker),
    withdraw: impl FnMut() -> Withdrawal,
) -> Outcome {
    scheduler::with(|scheduler| scheduler.note_wait(record));
    wait_noted(record, reason, deadline, cut, arm, withdraw)
}

/// Waits, when the scheduler knows already that the coroutine is about to.
#[inline(always)]
fn wait_noted(
    record: &Rc<Record>,
    reason: Reason,
    deadline: Option<u64>,
    cut: Cut,
    arm: impl FnOnce(Unparker),
    mut withdraw: impl FnMut() -> Withdrawal,
) -> Outcome {
    refuse_inside_a_hook(record);
    let generation = record.generation.get().wrapping_add(1);
    record.generation.set(generation);
    record.held.set(cut == Cut::Never);
    record.reason.set(reason);
    record.state.set(State::Parked);
    let started = StartedWait(record);
    arm(Unparker { record: record.clone(), generation, arm: 0 });
    if let Some(at) = deadline {
        scheduler::with(|scheduler| scheduler.set_deadline(record, at));
    }
    let mut outcome = leave(record);
    if outcome != Outcome::Woken && withdraw() == Withdrawal::Requested {
        outcome = wait_for_withdrawal(record, outcome);
    }
    std::mem::forget(started);
    outcome
}

/// Panics in the `arm` hook of a wait, which must not wait itself: the coroutine is parked already, or woken.
#[inline(always)]
pub(crate) fn refuse_inside_a_hook(record: &Record) {
    assert!(
        record.state.get() == State::Running,
        "a wait inside the hook that arms another: the hook of park must not wait"
    );
}

/// Puts the state right when `arm` or `withdraw` panics.
struct StartedWait<'a>(&'a Rc<Record>);

impl Drop for StartedWait<'_> {
    fn drop(&mut self) {
        scheduler::with(|scheduler| scheduler.abandon_wait(self.0));
    }
}

/// Stays parked, under the same generation, until the withdrawal is confirmed by an unpark.
fn wait_for_withdrawal(record: &Rc<Record>, ended_by: Outcome) -> Outcome {
    record.held.set(true);
    record.state.set(State::Parked);
    leave(record);
    ended_by
}

/// Switches away, and takes the outcome when back.
#[inline(always)]
fn leave(record: &Rc<Record>) -> Outcome {
    if record.state.get() == State::Parked || record.state.get() == State::Ready {
        crate::coroutine::suspend();
        // Whoever is resumed without having been woken is to walk its stack.
        while record.state.get() != State::Running {
            stack_walk::walk_own(record);
            crate::coroutine::suspend();
        }
    }
    record.held.set(false);
    record.outcome.get()
}

impl Scheduler {
    /// Notes that a coroutine is about to wait.
    #[inline(always)]
    fn note_wait(&self, record: &Record) {
        // Before that of the wait: of a limit and a wait that end at the same time the limit comes first.
        cancel::set_timers(self, record);
        record.since.set(self.now.get());
        record.swept.set(false);
        self.sweeper.note_parked();
    }

    fn abandon_wait(&self, record: &Rc<Record>) {
        record.generation.set(record.generation.get().wrapping_add(1));
        record.state.set(State::Running);
        record.held.set(false);
        self.ready.borrow_mut().retain(|queued| !Rc::ptr_eq(queued, record));
    }

    /// Ends the wait that `unparker` names.
    pub(crate) fn unpark(&self, unparker: &Unparker, outcome: Outcome) -> Result<(), UnparkError> {
        let record = &unparker.record;
        if record.runtime != self.id {
            return Err(UnparkError::NotInRuntime);
        }
        match record.state.get() {
            State::Parked | State::Hibernating if record.generation.get() == unparker.generation => {
                record.woken_arm.set(unparker.arm);
                self.make_ready(record, outcome);
                Ok(())
            }
            State::Done => Err(UnparkError::Dead),
            _ => Err(UnparkError::WaitOver),
        }
    }

    /// Queues a coroutine whose wait has ended.
    pub(crate) fn make_ready(&self, record: &Rc<Record>, outcome: Outcome) {
        // A coroutine that were queued twice would end twice, and its scope would count a child too few.
        if !matches!(record.state.get(), State::Unstarted | State::Parked | State::Hibernating) {
            panics::abort("a coroutine was to be queued that does not wait");
        }
        self.clear_deadline(record);
        record.outcome.set(outcome);
        record.state.set(State::Ready);
        self.ready.borrow_mut().push_back(record.clone());
    }
}
