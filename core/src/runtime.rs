//! Running a program: a runtime is made, its main coroutine started, the loop driven, and everything ended.
//!
//! ```text
//!   run ─► main coroutine ─► passes ─┬─ main returned ──┐
//!                                    ├─ set_exit ───────┼─► cancel everyone ─► passes ─┬─ all ended ─► Exit
//!                                    └─ SIGINT, SIGTERM ┘      (until the deadline)    └─ report, leak ─► Exit
//! ```
//!
//! # Invariants
//!
//! - A thread has at most one runtime, and `run`'s frame owns it.
//! - A coroutine that has not ended by the deadline never runs again and is never freed: its stack may be borrowed from.
//! - If the scheduler itself panics, everything is leaked, for the same reason.

use std::fmt;
use std::io;
use std::process::{ExitCode, Termination};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::clock::Clock;
use crate::fault;
use crate::listing::coroutines;
use crate::panics::{self, Panic, print_stderr};
use crate::reactor::{MioReactor, Reactor};
use crate::record::Record;
use crate::scheduler::{self, Leaving, Scheduler, Setup};
use crate::signal::Signals;
use crate::spawn::{Builder, JoinError, JoinHandle};
use crate::stack::{Guards, StackOptions, StackPool};
use crate::stats::Stats;
use crate::threads::Inbox;
use crate::watchdog;

#[cfg(test)]
mod tests;

/// How many coroutines a runtime may have, unless set.
const MAX_COROUTINES: usize = 4_000_000;

/// How long coroutines have to end when `run` leaves, unless set.
const EXIT_DEADLINE: Duration = Duration::from_secs(30);

/// How long a coroutine may hold the loop without a warning, unless set.
const LATENCY_LIMIT: Duration = Duration::from_millis(200);

/// How long a test lets the kernel hand over what local sockets have in flight, before time jumps.
const IN_FLIGHT: Duration = Duration::from_millis(2);

/// How long a test under virtual time waits for work on other threads, before it looks whether it is over.
const WORK_SLICE: Duration = Duration::from_millis(100);

/// How long a test under virtual time waits for real input and output before it calls that a deadlock.
const IO_PATIENCE: Duration = Duration::from_secs(30);

/// Runs `main` in a coroutine on this thread, with everything at its default, and returns the program's exit code.
///
/// It ends when `main` returns or is cancelled (code 1), when [`set_exit`](crate::set_exit) is called,
/// or on SIGINT or SIGTERM (code 0);
/// whatever still runs is then cancelled and has 30 s to end; what is spawned from then on ends without running,
/// unless a scope or a group answers for it. A second signal ends the process at once.
/// A panic of `main` is reported on stderr and gives code 101, as in std.
/// Settings are on [`Runtime`].
///
/// # Examples
///
/// ```
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     grapeshot_core::run(|| {
///         let sum = grapeshot_core::spawn(|| 1 + 1).join().unwrap();
///         assert_eq!(sum, 2);
///     })
/// }
/// ```
#[track_caller]
pub fn run<T: Termination + 'static>(main: impl FnOnce() -> T + 'static) -> ExitCode {
    match Runtime::new().run(main) {
        Ok(exit) => exit.report(),
        Err(error) => {
            print_stderr(&format!("the runtime failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The settings of a runtime, and the way to run a program under them.
///
/// A process that runs one must not be forked and go on in the child: both would share one epoll instance, take each
/// other's events away, and end each other's registrations. A forked child may exec or `_exit`, and nothing else;
/// other programs are started with `grapeshot_net::process::Command`.
/// A child that goes on all the same is aborted with a sentence on stderr when its loop is about to wait for events;
/// what it has done by then, such as to close a socket that is registered, the parent may already feel.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Exit, Runtime};
///
/// let exit = Runtime::new().signals(false).stack_size(1 << 20).run(|| "done").unwrap();
/// assert!(matches!(exit, Exit::Returned("done")));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a runtime does nothing until it runs"]
pub struct Runtime {
    signals: bool,
    stack_size: usize,
    guards: Guards,
    max_coroutines: usize,
    exit_deadline: Duration,
    selfishness: u16,
    seed: Option<u64>,
    latency_limit: Option<Duration>,
    sampling: Option<Duration>,
    cpu_times: bool,
    pub(crate) shuffle: bool,
    pub(crate) virtual_time: bool,
}

impl Default for Runtime {
    fn default() -> Runtime {
        Runtime {
            signals: true,
            stack_size: 256 << 10,
            guards: Guards::Auto,
            max_coroutines: MAX_COROUTINES,
            exit_deadline: EXIT_DEADLINE,
            selfishness: 4,
            seed: None,
            latency_limit: Some(LATENCY_LIMIT),
            sampling: None,
            cpu_times: false,
            shuffle: false,
            virtual_time: false,
        }
    }
}

impl Runtime {
    /// The settings that [`run`] uses.
    pub fn new() -> Runtime {
        Runtime::default()
    }

    /// Whether SIGINT and SIGTERM end the run (SCH-9). On unless set; off leaves the signals alone.
    ///
    /// A registration of the program's own ([`signal::on`](crate::signal::on)) takes its signal over.
    pub fn signals(mut self, signals: bool) -> Runtime {
        self.signals = signals;
        self
    }

    /// The address space of a coroutine's stack in bytes, 64 KiB of which are its guard; 256 KiB unless set.
    pub fn stack_size(mut self, bytes: usize) -> Runtime {
        self.stack_size = bytes;
        self
    }

    /// How the guards of stacks are made.
    pub fn guards(mut self, guards: Guards) -> Runtime {
        self.guards = guards;
        self
    }

    /// How many coroutines there may be at a time; four million unless set.
    pub fn max_coroutines(mut self, limit: usize) -> Runtime {
        self.max_coroutines = limit;
        self
    }

    /// How long coroutines have to end once the run is over; 30 s unless set.
    pub fn exit_deadline(mut self, deadline: Duration) -> Runtime {
        self.exit_deadline = deadline;
        self
    }

    /// How many operations in a row a coroutine may do without waiting: see [`set_selfishness`](crate::set_selfishness).
    ///
    /// # Panics
    ///
    /// Unless it is in 1..=32768.
    pub fn selfishness(mut self, operations: u16) -> Runtime {
        assert!((1..=32768).contains(&operations), "selfishness is 1 to 32768 operations, not {operations}");
        self.selfishness = operations;
        self
    }

    /// Makes every random number the suite draws follow from `seed`.
    pub fn seed(mut self, seed: u64) -> Runtime {
        self.seed = Some(seed);
        self
    }

    /// For how long a coroutine may hold the loop before the watchdog says so, with its name and its stack (DIA-1);
    /// 0.2 s unless set, `None` for as long as it likes.
    ///
    /// A hold is reported while it lasts and once more when it is over, to the notifier that
    /// [`set_latency_notifier`](crate::set_latency_notifier) sets, or in a line on stderr.
    /// The watchdog is a thread of the runtime's; to take the stack it sends the loop's thread a SIGURG,
    /// for which it installs a handler that passes other such signals on to the one before.
    /// While a debugger is attached it says nothing.
    pub fn latency_warning(mut self, limit: Option<Duration>) -> Runtime {
        self.latency_limit = limit;
        self
    }

    /// Whether the processor time of each coroutine's turns is counted from the start, for
    /// [`CoroutineInfo::cpu_time`](crate::CoroutineInfo::cpu_time); off unless set,
    /// see [`set_cpu_times`](crate::set_cpu_times).
    pub fn cpu_times(mut self, on: bool) -> Runtime {
        self.cpu_times = on;
        self
    }

    /// Has the watchdog take the stack of whatever runs at this pace instead of warning, for tests of the watchdog.
    #[doc(hidden)]
    pub fn sample_stacks_every(mut self, pause: Duration) -> Runtime {
        self.sampling = Some(pause);
        self
    }

    /// Runs `main` in a coroutine on this thread and drives the loop until it ends: see [`run`].
    ///
    /// May be called again afterwards, as often as needed (SCH-7).
    ///
    /// # Errors
    ///
    /// When this thread already has a runtime, or the system refuses the reactor, the signal pipe or a first stack.
    #[track_caller]
    pub fn run<T: 'static>(&self, main: impl FnOnce() -> T + 'static) -> io::Result<Exit<T>> {
        self.run_on(Box::new(MioReactor::new()?), main).map(|(exit, _)| exit).map_err(io::Error::from)
    }

    /// Runs `main` on a reactor of the caller's, and says what was left over.
    #[track_caller]
    pub(crate) fn run_on<T: 'static>(
        &self,
        reactor: Box<dyn Reactor>,
        main: impl FnOnce() -> T + 'static,
    ) -> Result<(Exit<T>, Leftovers), RunError> {
        panics::install_hook();
        fault::install();
        fault::ensure_alternate_stack()?;
        let remote = reactor.remote()?;
        let options = StackOptions { default_size: self.stack_size, guards: self.guards, ..StackOptions::default() };
        let scheduler = Rc::new(Scheduler::new(Setup {
            clock: if self.virtual_time { Clock::simulated() } else { Clock::real() },
            reactor,
            stacks: StackPool::new(options).map_err(io::Error::from)?,
            max_coroutines: self.max_coroutines,
            selfishness: self.selfishness,
            seed: self.seed,
            shuffle: self.shuffle,
            latency_limit: self.latency_limit,
            cpu_times: self.cpu_times,
        }));
        if !scheduler::install(&scheduler) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "this thread already has a runtime").into());
        }
        let inbox = Inbox::open(scheduler.id, remote, self.virtual_time);
        // Nobody else can have set it.
        let _ = scheduler.inbox.set(inbox);
        let installed = Installed { scheduler: &scheduler };
        if self.latency_limit.is_some() || self.sampling.is_some() {
            watchdog::watch(&scheduler, self.sampling);
        }
        let signals = self.signals.then(Signals::listen).transpose()?;
        if let Some(signals) = &signals {
            scheduler.register_signals(signals.descriptor())?;
        }
        let main = Builder::new().name("main").spawn(main)?;
        let driven = self.drive(&scheduler, signals.as_ref(), || main.is_finished() || scheduler.exit.get().is_some());
        // After a deadlock as well: destructors are run, and what they hold is given back.
        let ended = self.end_everyone(&scheduler, signals.as_ref());
        let exit = exit_of(&scheduler, main);
        drop(installed);
        driven.and(ended)?;
        if let Exit::Cancelled = exit {
            print_stderr("the run has ended because its main coroutine was cancelled");
        }
        Ok((exit, Leftovers::of(&scheduler)))
    }

    /// Drives the loop until `done`.
    fn drive(&self, scheduler: &Scheduler, signals: Option<&Signals>, done: impl Fn() -> bool) -> Result<(), RunError> {
        while !done() {
            scheduler.pass(|| !self.virtual_time && !done())?;
            let told_to_end = scheduler.signalled.take() && signals.is_some_and(Signals::take);
            // What has ended already keeps the way it ended.
            if told_to_end && scheduler.leaving.get() == Leaving::No && scheduler.exit.get().is_none() {
                scheduler.exit.set(Some(0));
            }
            if self.virtual_time && !scheduler.has_runnable() && !done() {
                advance(scheduler)?;
            }
        }
        Ok(())
    }

    /// Cancels every coroutine and drives the loop until all have ended, or the deadline has passed.
    fn end_everyone(&self, scheduler: &Scheduler, signals: Option<&Signals>) -> Result<(), RunError> {
        scheduler.leaving.set(Leaving::ToTheirOwners);
        // What a scope or a group answers for is left to it, so that a server can let its connections finish.
        cancel_where(scheduler, |record| record.family.is_none());
        // Virtual time stands still for a coroutine that spins, so real time counts as well.
        let (deadline, given_up) =
            (scheduler.clock.after(self.exit_deadline), Instant::now().checked_add(self.exit_deadline));
        let is_over = || {
            let is_late = || scheduler.clock.nanos() >= deadline || given_up.is_some_and(|at| Instant::now() >= at);
            scheduler.live.borrow().is_empty() || is_late()
        };
        // The poller must come back in time to see the deadline.
        let reminder = scheduler.timers.borrow_mut().insert(deadline, scheduler::Timer::Reminder);
        let is_orphaned = || scheduler.live.borrow().iter().all(|record| record.family.is_some());
        let driven = self.drive(scheduler, signals, || is_over() || is_orphaned());
        scheduler.leaving.set(Leaving::Nobody);
        cancel_where(scheduler, |_| true);
        // However late it is, and even if the reactor fails, everyone has a turn in which to end.
        let ended = scheduler.pass(|| false).map_err(RunError::from);
        let ended = ended.and_then(|()| self.drive(scheduler, signals, is_over));
        scheduler.timers.borrow_mut().cancel(reminder);
        driven.and(ended)
    }
}

fn cancel_where(scheduler: &Scheduler, condition: impl Fn(&Record) -> bool) {
    let live = scheduler.live.borrow().clone();
    live.iter().filter(|record| condition(record)).for_each(cancel::cancel_coroutine);
}

/// Moves a virtual clock to the next timer, once nothing can run.
fn advance(scheduler: &Scheduler) -> Result<(), RunError> {
    if let Some(inbox) = scheduler.inbox.get() {
        // In this order: work that is over has brought its result before.
        if inbox.awaits_work() {
            return scheduler.poll_for(WORK_SLICE).map(drop).map_err(RunError::from);
        }
        if inbox.has_mail() {
            return scheduler.poll_for(Duration::ZERO).map(drop).map_err(RunError::from);
        }
    }
    let waits_for_io = scheduler.slots.waiting() > 0 || scheduler.tickets.len() > 0;
    if waits_for_io && scheduler.poll_until_woken(IN_FLIGHT)? {
        return Ok(());
    }
    if let Some(at) = scheduler.next_awaited_timer() {
        scheduler.clock.jump_to(at);
        return Ok(());
    }
    if waits_for_io && scheduler.poll_until_woken(IO_PATIENCE)? {
        return Ok(());
    }
    Err(RunError::Deadlock(Deadlock { waiting: coroutines().iter().map(ToString::to_string).collect() }))
}

fn exit_of<T: 'static>(scheduler: &Scheduler, main: JoinHandle<T>) -> Exit<T> {
    let record = main.erased();
    let requested = scheduler.exit.get().map(Exit::Requested);
    if !main.is_finished() {
        return requested.unwrap_or(Exit::Requested(0));
    }
    match (main.join(), requested) {
        (Err(JoinError::Panicked(panic)), _) => {
            panics::report(&record, &panic);
            Exit::Panicked(panic)
        }
        (_, Some(requested)) => requested,
        (Ok(value), None) => Exit::Returned(value),
        (Err(_), None) => Exit::Cancelled,
    }
}

/// Takes the runtime off the thread, and leaks what could not be ended.
struct Installed<'a> {
    scheduler: &'a Rc<Scheduler>,
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        drop(self.scheduler.watchdog.take());
        if let Some(inbox) = self.scheduler.inbox.get() {
            inbox.close();
        }
        if thread::panicking() {
            panics::report_escaped(self.scheduler);
        }
        let leftovers = self.scheduler.live.borrow().len();
        if leftovers > 0 {
            report_leaked(thread::panicking());
            // Records and stacks stay as they are, for ever.
            std::mem::forget(self.scheduler.clone());
        }
        scheduler::uninstall();
    }
}

fn report_leaked(panicking: bool) {
    let why = if panicking { "the scheduler panicked" } else { "it did not end by the exit deadline" };
    for info in coroutines().iter().take(20) {
        print_stderr(&format!("leaked coroutine {info}: {why}"));
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum Exit<T> {
    /// `main` returned this.
    Returned(T),
    /// [`set_exit`](crate::set_exit) or a signal asked for this code.
    Requested(u8),
    /// `main` panicked; it has been reported.
    Panicked(Panic),
    /// `main` was cancelled, though nobody had asked for the run to end; a line on stderr says so.
    Cancelled,
}

impl<T: Termination> Termination for Exit<T> {
    fn report(self) -> ExitCode {
        match self {
            Exit::Returned(value) => value.report(),
            Exit::Requested(code) => ExitCode::from(code),
            // What std exits with when the main thread panics.
            Exit::Panicked(_) => ExitCode::from(101),
            Exit::Cancelled => ExitCode::FAILURE,
        }
    }
}

/// What a runtime still held when it was over.
#[derive(Clone, Debug)]
pub(crate) struct Leftovers {
    pub(crate) stats: Stats,
    pub(crate) crashes: usize,
}

impl Leftovers {
    fn of(scheduler: &Scheduler) -> Leftovers {
        Leftovers { stats: scheduler.stats(), crashes: scheduler.crashes.get() }
    }
}

/// Why a run could not go on.
#[derive(Debug)]
pub(crate) enum RunError {
    Io(io::Error),
    Deadlock(Deadlock),
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> RunError {
        RunError::Io(error)
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> io::Error {
        match error {
            RunError::Io(error) => error,
            RunError::Deadlock(deadlock) => io::Error::new(io::ErrorKind::Deadlock, deadlock),
        }
    }
}

/// Nothing can run, and nothing ever will.
#[derive(Clone, Debug)]
pub(crate) struct Deadlock {
    waiting: Vec<String>,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deadlock: nothing can run, no timer is set, and these wait:")?;
        self.waiting.iter().try_for_each(|line| write!(f, "\n  coroutine {line}"))
    }
}

impl std::error::Error for Deadlock {}
