//! Cancel scopes: limits on a piece of work, and how cancellation travels.
//!
//! Each coroutine carries a stack of frames; the coroutine as a whole is the frame below them all.
//! A cancelled frame makes the next suspension point inside it *unwind* up to the frame's edge, running destructors.
//!
//! ```text
//!   coroutine │ with_timeout │ shield │ with_timeout │  ◄─ the code that runs
//!             └─ hidden by the shield ─┘└── visible ──┘
//! ```
//!
//! # Invariants
//!
//! - Level-triggered: while a visible frame is cancelled, every suspension point raises again.
//!   From the second time on the coroutine first goes to the tail of the run queue,
//!   so that code which catches in a loop cannot hold the thread.
//! - The outermost visible cancelled frame is raised, and only its owner turns it into a [`TimedOut`].
//! - `Record::interrupted` is true exactly when some visible frame is cancelled.
//! - It is raised with `resume_unwind`: no panic message, no panic hook.
//! - A coroutine that is already runnable when its limit passes runs first; work that ends before the next
//!   suspension point has won.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::park::{self, Cut, Outcome, Reason};
use crate::record::{Record, State};
use crate::scheduler::{self, Scheduler, Timer};
use crate::timer_wheel::TimerKey;

/// A limit passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    limit: Option<Duration>,
}

impl TimedOut {
    /// The time the work was given, as last set; `None` if the limit was a point in time.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "not done within the time limit of {limit:?}"),
            None => f.write_str("not done by its deadline"),
        }
    }
}

impl std::error::Error for TimedOut {}

impl From<TimedOut> for std::io::Error {
    fn from(timed_out: TimedOut) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::TimedOut, timed_out)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Cancels what is inside it.
    Limit,
    /// Hides what is outside it, and may have a limit of its own.
    Shield,
}

/// One cancel scope of one coroutine.
pub(crate) struct Frame {
    owner: Rc<Record>,
    kind: Kind,
    cancelled: Cell<bool>,
    raised: Cell<bool>,
    limit: Cell<Option<Duration>>,
    deadline: Cell<Option<u64>>,
    timer: Cell<Option<TimerKey>>,
}

impl Frame {
    /// Opens a frame around what the running coroutine does next.
    pub(crate) fn enter(record: &Rc<Record>, kind: Kind) -> Rc<Frame> {
        let frame = Rc::new(Frame {
            owner: record.clone(),
            kind,
            cancelled: Cell::new(false),
            raised: Cell::new(false),
            limit: Cell::new(None),
            deadline: Cell::new(None),
            timer: Cell::new(None),
        });
        record.frames.borrow_mut().push(frame.clone());
        refresh(record);
        frame
    }

    /// Closes the frame and everything opened inside it.
    pub(crate) fn leave(self: &Rc<Frame>) {
        self.clear_deadline();
        let mut frames = self.owner.frames.borrow_mut();
        if let Some(position) = frames.iter().rposition(|frame| Rc::ptr_eq(frame, self)) {
            frames.truncate(position);
        }
        drop(frames);
        refresh(&self.owner);
    }

    /// Whose frame it is.
    pub(crate) fn owner(&self) -> &Rc<Record> {
        &self.owner
    }

    /// Whether the frame is still around code that runs.
    fn is_open(self: &Rc<Frame>) -> bool {
        self.owner.frames.borrow().iter().any(|frame| Rc::ptr_eq(frame, self))
    }

    /// Cancels what runs inside the frame.
    pub(crate) fn cancel(self: &Rc<Frame>) {
        self.cancelled.set(true);
        interrupt(&self.owner);
    }

    fn set_deadline(self: &Rc<Frame>, at: u64) {
        self.clear_deadline();
        self.deadline.set(Some(at));
        // Much of what has a limit ends without having waited, and a limit is noticed by nobody before.
        match self.owner.state.get() {
            State::Running => {
                scheduler::with_runtime_of(&self.owner, |scheduler| scheduler.limits_without_timer.set(true));
            }
            _ => self.set_timer(),
        }
    }

    /// Sets the timer of the frame's deadline, if there is anything for it to do.
    fn set_timer(self: &Rc<Frame>) {
        let awaited = self.deadline.get().filter(|&at| at != u64::MAX && !self.cancelled.get());
        let Some(at) = awaited.filter(|_| self.timer.get().is_none()) else { return };
        scheduler::with_runtime_of(&self.owner, |scheduler| {
            let key = scheduler.timers.borrow_mut().insert(at, Timer::Limit(self.clone()));
            self.timer.set(Some(key));
        });
    }

    fn clear_deadline(&self) {
        self.deadline.set(None);
        if let Some(key) = self.timer.take() {
            // The timer's entry holds a reference to this frame: let it go after the wheel is free again.
            let entry = scheduler::with_runtime_of(&self.owner, |scheduler| scheduler.timers.borrow_mut().cancel(key));
            drop(entry);
        }
    }

    /// The timer of this frame has fired.
    pub(crate) fn expire(self: &Rc<Frame>) {
        self.timer.set(None);
        self.cancel();
    }
}

/// Sets the timers of the limits around a coroutine that is about to leave its thread.
#[inline(always)]
pub(crate) fn set_timers(scheduler: &Scheduler, record: &Record) {
    if scheduler.limits_without_timer.get() {
        set_missing_timers(scheduler, record);
    }
}

fn set_missing_timers(scheduler: &Scheduler, record: &Record) {
    scheduler.limits_without_timer.set(false);
    record.frames.borrow().iter().for_each(Frame::set_timer);
}

/// The payload that unwinds a cancelled coroutine.
struct Cancellation(Target);

// A payload must be `Send`; this one is only ever looked at on the thread that raised it, and so carries a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Coroutine,
    Frame(usize),
}

fn target_of(frame: &Rc<Frame>) -> Target {
    Target::Frame(Rc::as_ptr(frame).addr())
}

/// Whether a caught payload is a cancellation of any kind.
pub(crate) fn is_cancellation(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.is::<Cancellation>()
}

/// Whether a caught payload is the cancellation of this frame.
///
/// One that user code kept may name a frame that is gone, and whose place in memory this one has taken.
pub(crate) fn is_cancellation_of(payload: &(dyn std::any::Any + Send), frame: &Rc<Frame>) -> bool {
    let names_it =
        payload.downcast_ref::<Cancellation>().is_some_and(|cancellation| cancellation.0 == target_of(frame));
    names_it && frame.cancelled.get()
}

impl Record {
    /// Whether what it does now ends at some time, whatever happens.
    pub(crate) fn has_time_limit(&self) -> bool {
        self.frames.borrow().iter().any(|frame| frame.deadline.get().is_some_and(|deadline| deadline != u64::MAX))
    }
}

enum Due {
    Coroutine,
    Frame(Rc<Frame>),
}

/// The outermost cancelled frame that no shield hides.
fn due(record: &Record) -> Option<Due> {
    let frames = record.frames.borrow();
    let visible_from = frames.iter().rposition(|frame| frame.kind == Kind::Shield);
    if visible_from.is_none() && record.root_cancelled.get() {
        return Some(Due::Coroutine);
    }
    let cancelled = frames[visible_from.unwrap_or(0)..].iter().find(|frame| frame.cancelled.get());
    cancelled.cloned().map(Due::Frame)
}

fn refresh(record: &Record) {
    record.interrupted.set(due(record).is_some());
}

/// Lets a coroutine notice that one of its frames was cancelled, waking it if it is parked.
fn interrupt(record: &Rc<Record>) {
    refresh(record);
    if !record.interrupted.get() {
        return;
    }
    let wakes = match record.state.get() {
        State::Parked => !record.held.get(),
        State::Hibernating => true,
        _ => false,
    };
    if wakes {
        scheduler::with_runtime_of(record, |scheduler| scheduler.make_ready(record, Outcome::Cancelled));
    }
}

/// Cancels a whole coroutine: see [`JoinHandle::cancel`](crate::JoinHandle::cancel).
pub(crate) fn cancel_coroutine(record: &Rc<Record>) {
    if record.state.get() == State::Done || record.root_cancelled.replace(true) {
        return;
    }
    if record.state.get() == State::Unstarted {
        scheduler::with_runtime_of(record, |scheduler| scheduler.start(record));
    }
    interrupt(record);
}

/// Unwinds if the running coroutine is cancelled; every call that may wait begins with this.
#[inline]
pub(crate) fn checkpoint(record: &Rc<Record>) {
    if record.interrupted.get() && !thread::panicking() {
        raise(record);
    }
}

/// [`checkpoint`] of the coroutine that runs, if one does.
pub(crate) fn checkpoint_current() {
    if let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() {
        checkpoint(&record);
    }
}

/// Unwinds the running coroutine to the edge of its outermost cancelled frame.
#[cold]
pub(crate) fn raise(record: &Rc<Record>) -> ! {
    let raised_before = match due(record) {
        Some(Due::Frame(frame)) => frame.raised.replace(true),
        Some(Due::Coroutine) | None => record.root_raised.replace(true),
    };
    // In a hook that arms a wait there is nowhere to wait, and its caller is about to.
    if raised_before && record.state.get() == State::Running {
        park::wait(record, Reason::Yielding, None, Cut::Never, requeue, || park::Withdrawal::Withdrawn);
    }
    let target = match due(record) {
        Some(Due::Frame(frame)) => target_of(&frame),
        Some(Due::Coroutine) | None => Target::Coroutine,
    };
    panic::resume_unwind(Box::new(Cancellation(target)))
}

/// Arms a wait that is over at once: the coroutine goes to the tail of the run queue.
pub(crate) fn requeue(unparker: park::Unparker) {
    // It is parked this very moment, under this very generation, so the unpark cannot fail.
    let _ = unparker.unpark();
}

/// A running limit, to be changed or called off while the work goes on.
///
/// Clones name the same limit, so another coroutine may hold one.
#[derive(Clone)]
pub struct TimeLimit {
    frame: Rc<Frame>,
}

impl TimeLimit {
    /// Gives the work `limit` from now on, instead of what it had.
    ///
    /// Answers whether that was in time: false when the limit has passed or the work is over, and nothing changes.
    pub fn change(&self, limit: Duration) -> bool {
        if self.frame.cancelled.get() || !self.frame.is_open() {
            return false;
        }
        self.frame.limit.set(Some(limit));
        self.frame.set_deadline(deadline_after(limit));
        true
    }

    /// Calls off the limit, not the work, which may then take as long as it needs.
    ///
    /// To end the work, cancel its coroutine: [`Coroutine::cancel`](crate::Coroutine::cancel).
    /// Answers whether that was in time, as [`change`](Self::change) does.
    #[doc(alias = "lift")]
    #[doc(alias = "disarm")]
    pub fn cancel(&self) -> bool {
        if self.frame.cancelled.get() || !self.frame.is_open() {
            return false;
        }
        self.frame.clear_deadline();
        true
    }

    /// When the limit passes; `None` when it never does.
    pub fn deadline(&self) -> Option<Instant> {
        let at = self.frame.deadline.get().filter(|&at| at != u64::MAX)?;
        scheduler::with(|scheduler| scheduler.clock.to_instant(at))
    }
}

impl fmt::Debug for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeLimit").field("deadline", &self.deadline()).finish()
    }
}

fn deadline_after(limit: Duration) -> u64 {
    scheduler::with(|scheduler| scheduler.clock.after(limit)).unwrap_or(u64::MAX)
}

/// Runs `f`, cutting it off when it takes longer than `limit`.
///
/// When the limit passes, the next suspension point inside `f` unwinds to here, running destructors on the way.
/// A function that returns before that has won, however late it is.
/// Of nested limits the outer passes through the inner untouched.
/// A limit of zero lets `f` run up to its first wait.
///
/// # Errors
///
/// [`TimedOut`] when `f` was cut off.
///
/// # Panics
///
/// Outside a coroutine; and whatever `f` panics with.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{sleep, test, with_timeout};
///
/// test::run(|| {
///     let slow = with_timeout(Duration::from_secs(1), || sleep(Duration::from_secs(5)));
///     assert!(slow.is_err());
///     let quick = with_timeout(Duration::from_secs(5), || 7);
///     assert_eq!(quick, Ok(7));
/// });
/// ```
#[doc(alias = "timeout")]
pub fn with_timeout<T>(limit: Duration, f: impl FnOnce() -> T) -> Result<T, TimedOut> {
    with_time_limit(limit, |_| f())
}

/// Runs `f`, cutting it off at a point in time; otherwise as [`with_timeout`].
///
/// # Errors
///
/// [`TimedOut`] when `f` was cut off.
///
/// # Panics
///
/// Outside a coroutine; and whatever `f` panics with.
pub fn with_deadline<T>(deadline: Instant, f: impl FnOnce() -> T) -> Result<T, TimedOut> {
    let scheduler = scheduler::expect_coroutine("with_deadline");
    let at = scheduler.clock.to_nanos(deadline);
    run_framed(&scheduler.current_record(), Kind::Limit, None, Some(at), |_| f())
}

/// Runs `f` as [`with_timeout`] does, and hands it the limit to change or call off as it learns more.
///
/// # Errors
///
/// [`TimedOut`] when `f` was cut off.
///
/// # Panics
///
/// Outside a coroutine; and whatever `f` panics with.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{sleep, test, with_time_limit};
///
/// test::run(|| {
///     let patient = with_time_limit(Duration::from_secs(1), |limit| {
///         assert!(limit.change(Duration::from_secs(10)));
///         sleep(Duration::from_secs(5));
///     });
///     assert!(patient.is_ok());
/// });
/// ```
pub fn with_time_limit<T>(limit: Duration, f: impl FnOnce(&TimeLimit) -> T) -> Result<T, TimedOut> {
    let scheduler = scheduler::expect_coroutine("with_timeout");
    let at = scheduler.clock.after(limit);
    run_framed(&scheduler.current_record(), Kind::Limit, Some(limit), Some(at), f)
}

/// Runs `f` with cancellation from outside held back, for clean-up that must wait or for a callback from C.
///
/// What is held back takes effect at the first suspension point after the shield.
/// The limit, which may be none, is the shield's own: pass a duration unless the clean-up surely ends.
///
/// # Errors
///
/// [`TimedOut`] when `f` took longer than `limit`.
///
/// # Panics
///
/// Outside a coroutine; and whatever `f` panics with.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{shield, sleep, test, with_timeout};
///
/// test::run(|| {
///     let mut cleaned_up = false;
///     let work = with_timeout(Duration::from_secs(1), || {
///         let _ = shield(Duration::from_secs(10), || {
///             sleep(Duration::from_secs(5));
///             cleaned_up = true;
///         });
///         sleep(Duration::ZERO);
///     });
///     assert!(work.is_err());
///     assert!(cleaned_up);
/// });
/// ```
pub fn shield<T>(limit: impl Into<Option<Duration>>, f: impl FnOnce() -> T) -> Result<T, TimedOut> {
    let scheduler = scheduler::expect_coroutine("shield");
    let limit = limit.into();
    let at = limit.map(|limit| scheduler.clock.after(limit));
    run_framed(&scheduler.current_record(), Kind::Shield, limit, at, |_| f())
}

fn run_framed<T>(
    record: &Rc<Record>,
    kind: Kind,
    limit: Option<Duration>,
    deadline: Option<u64>,
    f: impl FnOnce(&TimeLimit) -> T,
) -> Result<T, TimedOut> {
    let frame = Frame::enter(record, kind);
    frame.limit.set(limit);
    if let Some(at) = deadline {
        frame.set_deadline(at);
    }
    let handle = TimeLimit { frame: frame.clone() };
    let result = panic::catch_unwind(AssertUnwindSafe(|| f(&handle)));
    frame.leave();
    result.map_err(|payload| {
        if !is_cancellation_of(&*payload, &frame) {
            panic::resume_unwind(payload);
        }
        TimedOut { limit: frame.limit.get() }
    })
}

/// The earliest deadline over the running coroutine: what remains is what a call to another machine may take.
///
/// `None` without a limit, and outside a coroutine.
pub fn current_deadline() -> Option<Instant> {
    scheduler::with(|scheduler| {
        let record = scheduler.current.borrow().clone()?;
        let frames = record.frames.borrow();
        let visible_from = frames.iter().rposition(|frame| frame.kind == Kind::Shield);
        let visible = &frames[visible_from.unwrap_or(0)..];
        let earliest = visible.iter().filter_map(|frame| frame.deadline.get()).min()?;
        (earliest != u64::MAX).then(|| scheduler.clock.to_instant(earliest))
    })
    .flatten()
}
