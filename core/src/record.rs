//! What the runtime knows of one coroutine: identity, state, wait, cancellation, and the work itself.
//!
//! ```text
//!              start            resume                 park
//!  Unstarted ────────► Ready ───────────► Running ─────────────► Parked
//!                        ▲                   │  │ ◄──────────────┐  │
//!                        │ unpark, cancel,   │  └─► Hibernating ─┘  │
//!                        │ deadline          ▼         (no stack)   │
//!                        └──────────────── Done ◄─ ─ ─ ─ ─ ─ ─ ─ ─ ─┘
//! ```
//!
//! # Invariants
//!
//! - A record sits in the run queue exactly when its state is `Ready`.
//! - `generation` rises with every wait, so an [`Unparker`](crate::Unparker) of a finished wait finds nobody.
//!   It comes round after 2^32 waits: an unparker kept for as long, and used then, could end the wrong one.
//! - The record, the closure and the result are one allocation; the record is the sized head of it.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use crate::cancel::Frame;
use crate::coroutine::Context;
use crate::family::Family;
use crate::identity::{CoroutineId, Identity};
use crate::joiners::Joiners;
use crate::local::Locals;
use crate::panics::Panic;
use crate::park::{Outcome, Reason, Unparker};
use crate::scheduler::Scheduler;
use crate::timer_wheel::TimerKey;

/// Where a coroutine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Made, not yet handed to the scheduler.
    Unstarted,
    /// In the run queue.
    Ready,
    /// Running now.
    Running,
    /// Waiting, on its own stack.
    Parked,
    /// Waiting without a stack.
    Hibernating,
    /// Ended.
    Done,
}

/// Where a coroutine goes that gives way without waiting for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Nowhere: it waits, or has been queued by whoever woke it.
    None,
    /// To the tail of the run queue.
    Tail,
    /// To the tail, once the poller has been asked.
    AfterPoll,
}

/// The work of a coroutine, as the scheduler sees it.
pub(crate) trait Body {
    /// Runs on the coroutine's stack, once for a plain coroutine, once a turn for one that hibernates.
    fn run(&self, record: &Rc<Record>);
    /// Drops what is left of the work without running it.
    fn discard(&self);
    /// The panic the work ended with, if nobody has taken it.
    fn take_panic(&self) -> Option<Panic>;
    /// Whether the last run asked to go on later without a stack.
    fn hibernates(&self) -> bool {
        false
    }
    /// Arms the wait of a hibernating body.
    fn arm(&self, _scheduler: &Scheduler, _unparker: &Unparker) {}
}

/// Everything the runtime keeps of a coroutine; `B` is the closure with its result.
///
/// What a switch touches stands first, so that with the reference counts before it, it fills one cache line:
/// among a hundred thousand coroutines each line more costs more than the switch itself.
#[repr(C)]
pub(crate) struct Record<B: ?Sized = dyn Body> {
    pub(crate) context: Context,
    pub(crate) generation: Cell<u32>,
    pub(crate) state: Cell<State>,
    pub(crate) outcome: Cell<Outcome>,
    /// A cancellation is due at the next suspension point.
    pub(crate) interrupted: Cell<bool>,
    /// Where the scheduler is to put it when it leaves the thread.
    pub(crate) queue: Cell<Queue>,

    /// The wait in progress must not be cut short by cancellation.
    pub(crate) held: Cell<bool>,
    /// Which arm's unparker ended the last wait that was ended by one.
    pub(crate) woken_arm: Cell<u16>,
    /// Nanoseconds since the runtime's start, when the present state began.
    pub(crate) since: Cell<u64>,
    /// Its timer, which may be left from a wait that is over, and the time for which that is set.
    pub(crate) timer: Cell<Option<TimerKey>>,
    pub(crate) timer_at: Cell<u64>,
    /// When the present wait ends by itself; `u64::MAX` for never, and while it does not wait.
    pub(crate) deadline: Cell<u64>,
    pub(crate) reason: Cell<Reason>,
    pub(crate) runtime: u32,
    pub(crate) budget: Cell<u16>,
    pub(crate) full_budget: Cell<u16>,
    /// Its idle pages have been given back during this wait.
    pub(crate) swept: Cell<bool>,
    pub(crate) root_cancelled: Cell<bool>,
    pub(crate) root_raised: Cell<bool>,
    /// Nobody will join: a panic goes to the notifier.
    pub(crate) detached: Cell<bool>,
    /// A stack is set aside for its first turn.
    pub(crate) promised: Cell<bool>,

    /// Index in the scheduler's list of live coroutines.
    pub(crate) position: Cell<u32>,
    pub(crate) stack_size: u32,
    /// The processor time of its turns in nanoseconds, while that is switched on.
    pub(crate) cpu_time: Cell<u64>,
    pub(crate) identity: Identity,
    pub(crate) frames: RefCell<Vec<Rc<Frame>>>,
    pub(crate) joiners: Joiners,
    pub(crate) locals: Locals,
    #[cfg(feature = "tracing")]
    pub(crate) spans: crate::spans::Spans,
    pub(crate) family: Option<Rc<Family>>,
    pub(crate) body: B,
}

impl<B> Record<B> {
    #[inline(always)]
    pub(crate) fn new(id: CoroutineId, runtime: u32, settings: Settings, body: B) -> Record<B> {
        Record {
            identity: Identity {
                id,
                name: RefCell::new(settings.name),
                spawned_at: settings.spawned_at,
                stack: Cell::new(None),
            },
            runtime,
            generation: Cell::new(0),
            state: Cell::new(State::Unstarted),
            outcome: Cell::new(Outcome::Woken),
            interrupted: Cell::new(false),
            held: Cell::new(false),
            woken_arm: Cell::new(0),
            root_cancelled: Cell::new(false),
            root_raised: Cell::new(false),
            detached: Cell::new(false),
            promised: Cell::new(true),
            swept: Cell::new(false),
            budget: Cell::new(settings.selfishness),
            full_budget: Cell::new(settings.selfishness),
            position: Cell::new(u32::MAX),
            stack_size: settings.stack_size,
            cpu_time: Cell::new(0),
            timer: Cell::new(None),
            timer_at: Cell::new(u64::MAX),
            deadline: Cell::new(u64::MAX),
            reason: Cell::new(Reason::Starting),
            since: Cell::new(settings.now),
            context: Context::default(),
            queue: Cell::new(Queue::None),
            frames: RefCell::new(Vec::new()),
            joiners: Joiners::default(),
            locals: Locals::default(),
            #[cfg(feature = "tracing")]
            spans: crate::spans::Spans::default(),
            family: settings.family,
            body,
        }
    }
}

/// What a spawner decides about a coroutine.
pub(crate) struct Settings {
    pub(crate) name: Option<Rc<str>>,
    pub(crate) stack_size: u32,
    pub(crate) selfishness: u16,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) family: Option<Rc<Family>>,
    pub(crate) now: u64,
}

impl<B: ?Sized> Record<B> {
    pub(crate) fn id(&self) -> CoroutineId {
        self.identity.id
    }

    pub(crate) fn describe(&self) -> String {
        self.identity.to_string()
    }
}

impl Record {
    /// Whether a body that has come back from a turn is to have another.
    pub(crate) fn goes_on(&self) -> bool {
        self.body.hibernates() && !self.root_cancelled.get()
    }
}
