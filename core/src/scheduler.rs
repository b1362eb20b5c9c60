//! The scheduler of one thread: the run queue, the passes of the event loop, and the way to reach both.
//!
//! ```text
//!  ┌► time ─► due timers ─► drain the run queue (bounded) ─► leave? ─► poll ─► wake whom events name ─┐
//!  └────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - The run queue is first in, first out; there are no priorities (SCH-1).
//! - A drain gives everyone who was runnable when it began a turn, and then goes on with those made runnable since,
//!   up to a bound, so coroutines that wake each other cannot starve the poller (SCH-2, DESIGN §9).
//! - Events are taken in before the timers of the same pass: what has arrived wins over the limit on its arrival.
//! - No borrow of a field is alive while a coroutine runs.
//! - The loop never waits in a process forked from its own: both would take events from one epoll instance.

mod polling;
mod turns;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, getpid};

use crate::cancel::{self, Frame};
use crate::clock::Clock;
use crate::coroutine::prefetch;
use crate::identity::CoroutineId;
use crate::panics::{Details, PanicNotifier};
use crate::park::Outcome;
use crate::reactor::{Event, Reactor};
use crate::record::Record;
use crate::slots::Slots;
use crate::stack::StackPool;
use crate::stack_walk::Walks;
use crate::sweep::Sweeper;
use crate::threads::{Inbox, Kept, Mail, Tickets};
use crate::timer_wheel::TimerWheel;
use crate::watchdog::{Pulse, Watchdog};

/// How many more coroutines a drain resumes after all that were runnable when it began.
const EXTRA_RESUMES: usize = 256;

/// How many turns ahead the record of a coroutine, and then its stack, is fetched into the cache.
const RECORD_AHEAD: usize = 8;
const STACK_AHEAD: usize = 4;

/// The token of the pipe that signals arrive on; slots count from zero and never get there.
pub(crate) const SIGNAL_TOKEN: usize = usize::MAX - 1;

/// What a timer does.
pub(crate) enum Timer {
    /// Ends the wait of a coroutine, if its deadline has come.
    Wait(Rc<Record>),
    /// Cancels a limited piece of work.
    Limit(Rc<Frame>),
    /// Makes the loop look around.
    Reminder,
}

pub(crate) struct Scheduler {
    pub(crate) id: u32,
    /// The process that made the reactor; a test claims another.
    pub(crate) process: Cell<Pid>,
    pub(crate) clock: Clock,
    /// The clock as of this pass (SCH-10).
    pub(crate) now: Cell<u64>,
    /// The same, as the callers of [`now`] get it.
    instant: Cell<Instant>,
    pub(crate) current: RefCell<Option<Rc<Record>>>,
    pub(crate) ready: RefCell<VecDeque<Rc<Record>>>,
    /// Those who go through the poller before their next turn.
    pub(crate) after_poll: RefCell<Vec<Rc<Record>>>,
    pub(crate) live: RefCell<Vec<Rc<Record>>>,
    pub(crate) timers: RefCell<TimerWheel<Timer>>,
    /// The coroutine that runs has set a time limit for which there is no timer yet.
    pub(crate) limits_without_timer: Cell<bool>,
    /// How many of the timers are left from waits that are over (see `wait_timer.rs`).
    pub(crate) idle_timers: Cell<usize>,
    pub(crate) slots: Slots,
    pub(crate) stacks: StackPool,
    pub(crate) sweeper: Sweeper,
    pub(crate) exit: Cell<Option<u8>>,
    /// The run is over and everything is being ended.
    pub(crate) leaving: Cell<Leaving>,
    /// The pipe that signals arrive on has something.
    pub(crate) signalled: Cell<bool>,
    pub(crate) selfishness: Cell<u16>,
    pub(crate) max_coroutines: usize,
    pub(crate) default_stack_size: u32,
    /// Chooses the next coroutine at random, for tests of schedules.
    pub(crate) shuffle: RefCell<Option<fastrand::Rng>>,
    pub(crate) random: RefCell<fastrand::Rng>,
    pub(crate) notifier: RefCell<Option<PanicNotifier>>,
    /// What the panic hook saw, until the coroutine's end is reported.
    pub(crate) panic_details: RefCell<HashMap<CoroutineId, Details>>,
    pub(crate) crashes: Cell<usize>,
    pub(crate) inbox: OnceCell<Arc<Inbox>>,
    /// What the watchdog sees of the loop.
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) watchdog: RefCell<Option<Watchdog>>,
    /// Stacks that somebody wants to know.
    pub(crate) walks: Walks,
    /// Whether the processor time of each turn is counted.
    pub(crate) cpu_times: Cell<bool>,
    /// Waits that other threads may end.
    pub(crate) tickets: Tickets,
    /// The signal of the next `block_on`.
    pub(crate) kept_signal: Cell<Option<Kept>>,
    /// Room for what comes in, kept for its allocations.
    mail: RefCell<Mail>,
    reactor: RefCell<Box<dyn Reactor>>,
    events: RefCell<Vec<Event>>,
    next_id: Cell<u64>,
    pub(crate) passes: Cell<u64>,
}

/// Whether a run is over, and to whom that leaves the coroutines that are spawned from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    No,
    /// Those of scopes and groups run on; others end at once.
    ToTheirOwners,
    /// All end at once.
    Nobody,
}

/// What decides how a scheduler works.
pub(crate) struct Setup {
    pub(crate) clock: Clock,
    pub(crate) reactor: Box<dyn Reactor>,
    pub(crate) stacks: StackPool,
    pub(crate) max_coroutines: usize,
    pub(crate) selfishness: u16,
    pub(crate) seed: Option<u64>,
    pub(crate) shuffle: bool,
    pub(crate) latency_limit: Option<Duration>,
    pub(crate) cpu_times: bool,
}

thread_local! {
    // `run` takes the scheduler out before it returns, so there is never one for a destructor to drop; that there is
    // no destructor makes the variable cheaper to reach, and reachable from those of others.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Scheduler>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

static NEXT_RUNTIME: AtomicU32 = AtomicU32::new(1);

/// There is no running coroutine, or no runtime, on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInRuntime;

impl fmt::Display for NotInRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not inside a coroutine: is the code running under grapeshot::run?")
    }
}

impl std::error::Error for NotInRuntime {}

/// Reaches the thread's scheduler; `None` when there is none. `f` must not switch, nor run code of the user's.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Scheduler) -> R) -> Option<R> {
    CURRENT.with(|current| current.borrow().as_deref().map(f))
}

/// Reaches the scheduler that runs a coroutine, as [`with`] does; `None` where another runs, or none.
///
/// A handle may outlive its runtime, whose coroutines must not run again.
pub(crate) fn with_runtime_of<R>(record: &Record, f: impl FnOnce(&Scheduler) -> R) -> Option<R> {
    with(|scheduler| (scheduler.id == record.runtime).then(|| f(scheduler))).flatten()
}

/// The thread's scheduler, for callers that may switch.
pub(crate) fn current() -> Option<Rc<Scheduler>> {
    CURRENT.with_borrow(|current| Option::clone(current))
}

/// The thread's scheduler, seen from inside a coroutine.
///
/// # Panics
///
/// Outside a coroutine, naming what was called (SCH-8).
#[track_caller]
pub(crate) fn expect_coroutine(called: &str) -> Rc<Scheduler> {
    match current() {
        Some(scheduler) if scheduler.current.borrow().is_some() => scheduler,
        _ => panic!("{called}: {NotInRuntime}"),
    }
}

pub(crate) fn install(scheduler: &Rc<Scheduler>) -> bool {
    CURRENT.with_borrow_mut(|current| {
        let vacant = current.is_none();
        if vacant {
            **current = Some(scheduler.clone());
        }
        vacant
    })
}

pub(crate) fn uninstall() {
    drop(CURRENT.with_borrow_mut(|current| current.take()));
}

impl Scheduler {
    pub(crate) fn new(setup: Setup) -> Scheduler {
        let seed = setup.seed.unwrap_or_else(|| fastrand::u64(..));
        Scheduler {
            id: NEXT_RUNTIME.fetch_add(1, Ordering::Relaxed),
            process: Cell::new(getpid()),
            now: Cell::new(setup.clock.nanos()),
            instant: Cell::new(setup.clock.to_instant(setup.clock.nanos())),
            clock: setup.clock,
            current: RefCell::new(None),
            ready: RefCell::default(),
            after_poll: RefCell::default(),
            live: RefCell::default(),
            timers: RefCell::new(TimerWheel::new()),
            limits_without_timer: Cell::new(false),
            idle_timers: Cell::new(0),
            slots: Slots::default(),
            default_stack_size: u32::try_from(setup.stacks.default_size()).unwrap_or(u32::MAX),
            stacks: setup.stacks,
            sweeper: Sweeper::default(),
            exit: Cell::new(None),
            leaving: Cell::new(Leaving::No),
            signalled: Cell::new(false),
            selfishness: Cell::new(setup.selfishness),
            max_coroutines: setup.max_coroutines,
            shuffle: RefCell::new(setup.shuffle.then(|| fastrand::Rng::with_seed(seed))),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            notifier: RefCell::new(None),
            panic_details: RefCell::default(),
            crashes: Cell::new(0),
            inbox: OnceCell::new(),
            pulse: Arc::new(Pulse::new(setup.latency_limit)),
            watchdog: RefCell::new(None),
            walks: Walks::default(),
            cpu_times: Cell::new(setup.cpu_times),
            tickets: Tickets::default(),
            kept_signal: Cell::new(None),
            mail: RefCell::default(),
            reactor: RefCell::new(setup.reactor),
            events: RefCell::default(),
            next_id: Cell::new(1),
            passes: Cell::new(0),
        }
    }

    /// The running coroutine.
    ///
    /// # Panics
    ///
    /// When the scheduler itself runs; callers come through [`expect_coroutine`].
    pub(crate) fn current_record(&self) -> Rc<Record> {
        match &*self.current.borrow() {
            Some(record) => record.clone(),
            None => panic!("{NotInRuntime}"),
        }
    }

    pub(crate) fn new_id(&self) -> CoroutineId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        match std::num::NonZeroU64::new(id) {
            Some(id) => CoroutineId(id),
            None => unreachable!("2^64 coroutines have been spawned"),
        }
    }

    /// Counts a coroutine that has been made among those that have not ended.
    pub(crate) fn adopt(&self, record: Rc<Record>) {
        let mut live = self.live.borrow_mut();
        record.position.set(live.len() as u32);
        live.push(record);
    }

    /// Gives a coroutine its first turn, from the tail of the queue (THR-1).
    pub(crate) fn start(&self, record: &Rc<Record>) {
        self.make_ready(record, Outcome::Woken);
        // Nobody is left to end it later.
        let is_cancelled = match self.leaving.get() {
            Leaving::No => false,
            Leaving::ToTheirOwners => record.family.is_none(),
            Leaving::Nobody => true,
        };
        if is_cancelled {
            cancel::cancel_coroutine(record);
        }
    }

    /// One pass of the event loop. `may_wait`, asked after the drain, lets it wait in the poller.
    pub(crate) fn pass(&self, may_wait: impl FnOnce() -> bool) -> io::Result<()> {
        self.passes.set(self.passes.get() + 1);
        self.now.set(self.clock.nanos());
        self.instant.set(self.clock.to_instant(self.now.get()));
        self.fire_due_timers();
        self.drain();
        if !self.walks.is_empty() {
            self.walk_a_slice();
        }
        let timeout = if self.has_runnable() || !may_wait() { Duration::ZERO } else { self.poll_timeout() };
        let polled = self.poll(timeout);
        self.ready.borrow_mut().extend(self.after_poll.borrow_mut().drain(..));
        polled?;
        self.sweeper.sweep(self);
        Ok(())
    }

    pub(crate) fn has_runnable(&self) -> bool {
        !self.ready.borrow().is_empty() || !self.after_poll.borrow().is_empty() || !self.walks.is_empty()
    }

    fn fire_due_timers(&self) {
        let now = self.now.get();
        loop {
            let due = self.timers.borrow_mut().expire(now);
            match due {
                None => return,
                Some((_, Timer::Wait(record))) => self.time_out(&record),
                Some((_, Timer::Limit(frame))) => frame.expire(),
                Some((_, Timer::Reminder)) => {}
            }
        }
    }

    fn drain(&self) {
        let mut left = self.ready.borrow().len() + EXTRA_RESUMES;
        while left > 0 {
            let Some(record) = self.next_runnable() else { return };
            self.resume(record);
            left -= 1;
        }
    }

    fn next_runnable(&self) -> Option<Rc<Record>> {
        let mut ready = self.ready.borrow_mut();
        match &mut *self.shuffle.borrow_mut() {
            Some(random) if !ready.is_empty() => {
                let chosen = random.usize(..ready.len());
                ready.swap_remove_front(chosen)
            }
            _ => {
                // Among many coroutines nothing of the next ones is in the cache: have it fetched meanwhile.
                if let Some(soon) = ready.get(RECORD_AHEAD) {
                    prefetch(Rc::as_ptr(soon));
                }
                if let Some(sooner) = ready.get(STACK_AHEAD) {
                    sooner.context.prefetch_stack();
                }
                ready.pop_front()
            }
        }
    }

    pub(crate) fn take_panic_details(&self, id: CoroutineId) -> Option<Details> {
        let mut details = self.panic_details.borrow_mut();
        if details.is_empty() { None } else { details.remove(&id) }
    }
}

/// The runtime's time as of this pass of the loop: cheap, and virtual under a test's clock.
///
/// Outside a runtime it is `Instant::now()`.
pub fn now() -> Instant {
    with(|scheduler| scheduler.instant.get()).unwrap_or_else(Instant::now)
}

/// The runtime's time, read anew, to measure what may take less than a pass of the loop. Virtual under a test's clock.
///
/// Costs a reading of the system's clock, some 25 ns; [`now`] costs next to nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{read_clock, sleep, test};
///
/// test::run(|| {
///     let began = read_clock();
///     sleep(Duration::from_secs(1));
///     assert_eq!(read_clock() - began, Duration::from_secs(1));
/// });
/// ```
pub fn read_clock() -> Instant {
    with(|scheduler| scheduler.clock.to_instant(scheduler.clock.nanos())).unwrap_or_else(Instant::now)
}

/// Whether a coroutine runs on this thread now.
pub fn in_coroutine() -> bool {
    with(|scheduler| scheduler.current.borrow().is_some()).unwrap_or(false)
}

/// Asks [`run`](crate::run) to end with `code`.
///
/// Coroutines that are already runnable get their turn first, and then everything is cancelled.
/// Does nothing outside a runtime. Of several codes the last counts.
pub fn set_exit(code: u8) {
    with(|scheduler| scheduler.exit.set(Some(code)));
}

/// A random number from the runtime's generator, which a test can seed.
///
/// Not for secrets.
pub fn random_u64() -> u64 {
    with(|scheduler| scheduler.random.borrow_mut().u64(..)).unwrap_or_else(|| fastrand::u64(..))
}
