//! Work with a life: it is made, started, told to stop, and cleaned up after, and its failure is kept to be looked at.
//!
//! ```text
//!            start              run returned,              finalized, dropped
//!   Init ────────────► Running ─────────────────► Exit ────────────────────► Final
//!     │   (spawned)             failed, panicked         (always)              ▲
//!     └──────────────────────────── stop ──────────────────────────────────────┘
//! ```
//!
//! Stopping is cooperative: a flag that [`TaskContext`] shows, that ends the waits it offers, and that calls what was
//! left with [`TaskContext::on_stop`]. For work that must end at any wait, cancel its coroutine.
//!
//! # Invariants
//!
//! - States only go forward, and every task that is started or stopped reaches the final one: also one whose coroutine
//!   is cancelled, even before its first turn.
//! - When the state is final the task's own value is gone, and with it what it held.
//! - `finalize` runs exactly once for each task that has begun to run, whatever became of the run.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::channel::instant_after;
use crate::panics::{Panic, is_cancellation, report_panic};
use crate::park::{Reason, Unparked};
use crate::spawn::{Builder, Coroutine};
use crate::wait_queue::WaitQueue;
use crate::work::callbacks::Callbacks;

/// What a task's run fails with: any error.
pub type TaskError = Box<dyn Error>;

/// Something to be run as a task (BEA-1). A closure `FnMut(&TaskContext) -> Result<(), TaskError>` is one.
pub trait Task: 'static {
    /// Does the work, and returns when it is done or when the context says that it is to stop.
    ///
    /// # Errors
    ///
    /// [`Stopped`] counts as an orderly end; anything else is kept as the [last error](TaskHandle::last_error).
    fn run(&mut self, context: &TaskContext) -> Result<(), TaskError>;

    /// Cleans up after the run, whatever became of it.
    ///
    /// After a cancellation each of its waits unwinds at once, unless it is under a [`shield`](crate::shield).
    fn finalize(&mut self) {}
}

impl<F: FnMut(&TaskContext) -> Result<(), TaskError> + 'static> Task for F {
    fn run(&mut self, context: &TaskContext) -> Result<(), TaskError> {
        self(context)
    }
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// It was made, and not started.
    Init,
    /// It was started.
    Running,
    /// Its run is over, and it cleans up.
    Exit,
    /// It is gone.
    Final,
}

/// The way to a task; a clone leads to the same one. Dropping it changes nothing for a task that runs.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{sleep, test, work::{TaskContext, TaskHandle, TaskState}};
///
/// test::run(|| {
///     let clock = TaskHandle::new("clock", |context: &TaskContext| {
///         loop {
///             // Ends with the error that says "stopped", which is no failure.
///             context.sleep(Duration::from_secs(1))?;
///         }
///     });
///     clock.start().unwrap();
///     sleep(Duration::from_secs(10));
///     clock.stop();
///     clock.join().unwrap();
///     assert_eq!(clock.state(), TaskState::Final);
/// });
/// ```
#[derive(Clone)]
pub struct TaskHandle {
    shared: Rc<Shared>,
}

struct Shared {
    name: Rc<str>,
    state: Cell<TaskState>,
    /// Until it is started.
    task: RefCell<Option<Box<dyn Task>>>,
    coroutine: RefCell<Option<Coroutine>>,
    stopping: Cell<bool>,
    /// Those who wait in the context, for the flag.
    stop: WaitQueue,
    on_stop: Callbacks<()>,
    failure: RefCell<Option<TaskFailure>>,
    /// Those who join.
    ended: WaitQueue,
}

impl TaskHandle {
    /// Makes a task that waits to be started.
    pub fn new(name: &str, task: impl Task) -> TaskHandle {
        let shared = Shared {
            name: name.into(),
            state: Cell::new(TaskState::Init),
            task: RefCell::new(Some(Box::new(task))),
            coroutine: RefCell::new(None),
            stopping: Cell::new(false),
            stop: WaitQueue::new(),
            on_stop: Callbacks::new(),
            failure: RefCell::new(None),
            ended: WaitQueue::new(),
        };
        TaskHandle { shared: Rc::new(shared) }
    }

    /// Starts the task in a coroutine of its name. Never waits.
    ///
    /// # Errors
    ///
    /// [`StartError::Started`] when it was started or stopped before;
    /// [`StartError::NoCoroutine`] when it cannot be spawned, and is gone.
    #[track_caller]
    pub fn start(&self) -> Result<(), StartError> {
        let shared = &self.shared;
        let Some(task) = shared.task.take() else {
            return Err(StartError::Started { task: shared.name.clone(), state: shared.state.get() });
        };
        shared.state.set(TaskState::Running);
        let life = Life { task, ended: Ended(shared.clone()) };
        match Builder::new().name(&*shared.name).spawn(move || life.bootstrap()) {
            Ok(handle) => {
                shared.coroutine.replace(Some(handle.coroutine()));
                Ok(())
            }
            Err(error) => Err(StartError::NoCoroutine { task: shared.name.clone(), error }),
        }
    }

    /// Tells the task to stop; one that was not started is gone at once. Never waits.
    pub fn stop(&self) {
        let shared = &self.shared;
        if shared.stopping.replace(true) {
            return;
        }
        if let Some(unstarted) = shared.task.take() {
            drop(Life { task: unstarted, ended: Ended(shared.clone()) });
        }
        shared.stop.wake_all();
        shared.on_stop.call(&());
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it is in its life.
    pub fn state(&self) -> TaskState {
        self.shared.state.get()
    }

    /// What it failed of; the first, if cleaning up failed as well. `None` while it has not failed.
    pub fn last_error(&self) -> Option<TaskFailure> {
        self.shared.failure.borrow().clone()
    }

    /// The coroutine it runs in, once it was started.
    pub fn coroutine(&self) -> Option<Coroutine> {
        self.shared.coroutine.borrow().clone()
    }

    /// Waits until the task is final; for one that was not started, until somebody has started it and it has ended.
    ///
    /// Any number may wait.
    ///
    /// # Errors
    ///
    /// [`TaskJoinError::Failed`] when it failed; [`TaskJoinError::WouldDeadlock`] when it joins itself;
    /// [`TaskJoinError::Refused`] when it has not ended and the caller unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the task runs on.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn join(&self) -> Result<(), TaskJoinError> {
        let shared = &*self.shared;
        cancel::checkpoint_current();
        while shared.state.get() != TaskState::Final {
            if shared.runs_here() {
                return Err(TaskJoinError::WouldDeadlock { task: shared.name.clone() });
            }
            if shared.ended.wait_for("TaskHandle::join", Reason::Other("the end of a task"), None) != Unparked::Woken {
                return Err(TaskJoinError::Refused { task: shared.name.clone() });
            }
        }
        match self.last_error() {
            Some(failure) => Err(TaskJoinError::Failed { task: shared.name.clone(), failure }),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn runs_here(&self) -> bool {
        crate::in_coroutine() && self.coroutine.borrow().as_ref().is_some_and(|own| *own == crate::current())
    }

    fn keep(&self, failure: TaskFailure) {
        let mut kept = self.failure.borrow_mut();
        if kept.is_none() {
            *kept = Some(failure);
        }
    }

    /// Runs a part of the task; returns the cancellation that cut it off, to be raised when all parts have run.
    fn attempt(&self, part: impl FnOnce() -> Result<(), TaskError>) -> Option<Box<dyn Any + Send>> {
        match panic::catch_unwind(AssertUnwindSafe(part)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is::<Stopped>() => {}
            Ok(Err(error)) => {
                // It goes the way of all failures that nobody joins: to the notifier.
                report_panic(&Panic::from_payload(Box::new(format!("the task {} failed: {error}", self.name))));
                self.keep(TaskFailure::Failed(error.into()));
            }
            Err(payload) if is_cancellation(&*payload) => {
                self.keep(TaskFailure::Cancelled);
                return Some(payload);
            }
            Err(payload) => {
                let panic = Panic::from_payload(payload);
                report_panic(&panic);
                let (message, location) = (panic.message().into(), panic.location().map(Into::into));
                self.keep(TaskFailure::Panicked { message, location });
            }
        }
        None
    }
}

/// A task that was started. Dropped without running, as its coroutine was cancelled before, it ends too.
struct Life {
    task: Box<dyn Task>,
    // After the task, so that it is dropped after it.
    ended: Ended,
}

impl Life {
    fn bootstrap(self) {
        let Life { mut task, ended } = self;
        let shared = ended.0.clone();
        let context = TaskContext { shared: shared.clone() };
        let run = shared.attempt(|| task.run(&context));
        shared.state.set(TaskState::Exit);
        let finalized = shared.attempt(|| {
            task.finalize();
            Ok(())
        });
        let dropped = shared.attempt(|| {
            drop(task);
            shared.on_stop.clear();
            Ok(())
        });
        drop(ended);
        if let Some(cancellation) = run.or(finalized).or(dropped) {
            panic::resume_unwind(cancellation);
        }
    }
}

/// Makes the state final when it is dropped.
struct Ended(Rc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if self.0.state.replace(TaskState::Final) == TaskState::Running {
            self.0.keep(TaskFailure::Cancelled);
        }
        self.0.ended.wake_all();
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskHandle({}, {:?})", self.name(), self.state())
    }
}

/// What a task sees of its own life while it runs.
pub struct TaskContext {
    shared: Rc<Shared>,
}

impl TaskContext {
    /// The task's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether it is to stop.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.get()
    }

    /// Fails when it is to stop, so that `?` ends the run. Never waits.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_stopping() { Err(Stopped) } else { Ok(()) }
    }

    /// Waits for `duration`, or until the task is to stop.
    ///
    /// # Errors
    ///
    /// [`Stopped`], at once if it is to stop already; also in a coroutine that unwinds, which ends anyway.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        self.wait_for("TaskContext::sleep", Reason::Sleeping, Some(instant_after(duration)))
    }

    /// Waits until the task is to stop; returns at once in a coroutine that unwinds, which ends anyway.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    #[track_caller]
    pub fn wait_stop(&self) {
        // Without a deadline it ends in no other way.
        let _ = self.wait_for("TaskContext::wait_stop", Reason::Other("the word to stop"), None);
    }

    #[track_caller]
    fn wait_for(&self, called: &str, reason: Reason, deadline: Option<Instant>) -> Result<(), Stopped> {
        cancel::checkpoint_current();
        self.check()?;
        match self.shared.stop.wait_for(called, reason, deadline) {
            Unparked::TimedOut => Ok(()),
            Unparked::Woken | Unparked::Refused => Err(Stopped),
        }
    }

    /// Calls `callback` when the task is told to stop, or at once if it was: for waits that others offer.
    ///
    /// Such as `context.on_stop(move || mailbox.stop())`. It runs in the coroutine that calls [`TaskHandle::stop`];
    /// if it panics there, that is reported and keeps
    /// nobody else from running. When the task has ended it is dropped uncalled.
    pub fn on_stop(&self, callback: impl FnOnce() + 'static) {
        if self.is_stopping() {
            return callback();
        }
        self.shared.on_stop.add(|()| callback());
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskContext({})", self.name())
    }
}

/// The task is to stop: the error that ends a run without having failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was told to stop")
    }
}

impl Error for Stopped {}

/// What a task failed of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskFailure {
    /// Its run returned this error.
    Failed(Rc<dyn Error>),
    /// It panicked.
    Panicked {
        /// What it panicked with.
        message: Rc<str>,
        /// Where, as `file:line:column`.
        location: Option<Rc<str>>,
    },
    /// Its coroutine was cancelled.
    Cancelled,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskFailure::Failed(error) => write!(f, "failed: {error}"),
            TaskFailure::Panicked { message, location: Some(location) } => {
                write!(f, "panicked: {message}, at {location}")
            }
            TaskFailure::Panicked { message, location: None } => write!(f, "panicked: {message}"),
            TaskFailure::Cancelled => f.write_str("was cancelled"),
        }
    }
}

/// Why a task was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It was started before, or stopped.
    Started {
        /// Its name.
        task: Rc<str>,
        /// Where it is.
        state: TaskState,
    },
    /// Its coroutine could not be spawned.
    NoCoroutine {
        /// Its name.
        task: Rc<str>,
        /// Why not.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Started { task, state } => {
                write!(f, "the task {task} cannot be started: it is in state {state:?}, and starts once")
            }
            StartError::NoCoroutine { task, error } => write!(f, "the task {task} cannot be started: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Started { .. } => None,
            StartError::NoCoroutine { error, .. } => Some(error),
        }
    }
}

/// Why a join does not say that all is well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskJoinError {
    /// The task has ended, and had failed.
    Failed {
        /// Its name.
        task: Rc<str>,
        /// What it failed of.
        failure: TaskFailure,
    },
    /// The task joins itself, which would never end.
    WouldDeadlock {
        /// Its name.
        task: Rc<str>,
    },
    /// The task has not ended, and the caller unwinds and so cannot wait.
    Refused {
        /// Its name.
        task: Rc<str>,
    },
}

impl fmt::Display for TaskJoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskJoinError::Failed { task, failure } => write!(f, "the task {task} {failure}"),
            TaskJoinError::WouldDeadlock { task } => write!(f, "the task {task} joins itself, which would never end"),
            TaskJoinError::Refused { task } => {
                write!(f, "a coroutine that unwinds cannot wait for the end of the task {task}")
            }
        }
    }
}

impl Error for TaskJoinError {}
