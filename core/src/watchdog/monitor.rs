//! The watchdog's thread: it looks at the pulse, and says who holds the loop.
//!
//! ```text
//!             beat stands still            for the limit               beat moves
//!   watching ───────────────────► counting ──────────────► reported ───────────────► watching
//!      ▲ ◄──────────────────────────┘ beat moves                       "held the loop for 5.449 s"
//!      └─ asleep while the loop waits in its poller
//! ```
//!
//! # Invariants
//!
//! - A hold is reported once while it lasts, and once when it is over; once more if the names of its stack come late.
//! - From the report on it looks every millisecond, so what it says of the end is right: names are found elsewhere.
//! - Time in which the whole process stood still (a stopped process, a debugger) is not held against anyone.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::names::{Late, Names};
use super::report::{LatencyWarning, report};
use super::unwind::{Addresses, StackUnwinder};
use super::{Holder, Pulse, Sample, install_handler, install_sample, own_thread};
use crate::panics::print_stderr;
use crate::scheduler::Scheduler;
use crate::symbols::StackTrace;

/// How many looks the watchdog takes within the limit.
const LOOKS: u32 = 4;

/// How many looks must find the loop waiting before the watchdog sleeps.
const IDLE_LOOKS: u32 = 8;

/// The pause between two looks: not shorter, nor longer, whatever the limit.
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often it looks whether a reported hold is over.
const REPORTED_PAUSE: Duration = Duration::from_millis(1);

/// How long it waits for the handler's answer before it reports without one.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
const ANSWER_PAUSE: Duration = Duration::from_micros(50);

/// How long it waits for the names of a stack before it reports without them.
const NAMES_LIMIT: Duration = Duration::from_millis(100);

/// One sample in this many has its names looked up when samples are taken for the sake of it.
const NAMED_SAMPLES: u64 = 64;

/// How many stacks have been taken for the sake of it.
static SAMPLED: AtomicU64 = AtomicU64::new(0);

/// The watchdog of one runtime; it must be dropped on the thread it watches.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    pulse: Arc<Pulse>,
    sample: Sample,
    /// The loop's thread.
    thread: libc::pid_t,
    /// Takes stacks at this pace whether anybody holds the loop or not.
    sampling: Option<Duration>,
}

impl Watchdog {
    /// Starts to watch the calling thread.
    pub(crate) fn start(pulse: Arc<Pulse>, sampling: Option<Duration>) -> io::Result<Watchdog> {
        install_handler()?;
        let shared = Arc::new(Shared { pulse, sample: Sample::new(), thread: own_thread(), sampling });
        let watcher = shared.clone();
        // Before anybody can ask: a signal that finds no sample is not ours, and the question would stay open.
        install_sample(&shared.sample);
        let mut watchdog = Watchdog { shared, thread: None };
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || keep_watch(&watcher))?;
        watchdog.shared.pulse.watched_by(thread.thread().clone());
        watchdog.thread = Some(thread);
        Ok(watchdog)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.pulse.stop();
        match self.thread.take() {
            // In a forked child, whose one thread has another number, there is no watchdog, and to join it would panic.
            Some(thread) if own_thread() != self.shared.thread => std::mem::forget(thread),
            // It can only have failed in printing.
            Some(thread) => _ = thread.join(),
            None => {}
        }
        // A signal that is still on its way finds none, and the sample may go.
        install_sample(std::ptr::null());
    }
}

/// Starts the watchdog of the runtime of this thread, if it has none yet; one that cannot have it runs without.
pub(crate) fn watch(scheduler: &Scheduler, sampling: Option<Duration>) {
    if scheduler.watchdog.borrow().is_some() {
        return;
    }
    match Watchdog::start(scheduler.pulse.clone(), sampling) {
        Ok(watchdog) => *scheduler.watchdog.borrow_mut() = Some(watchdog),
        Err(error) => print_stderr(&format!("nobody will warn of a coroutine that holds the loop: {error}")),
    }
}

/// How many stacks the watchdogs of the process have taken at the pace of `Runtime::sample_stacks_every`.
#[doc(hidden)]
pub fn stacks_sampled() -> u64 {
    SAMPLED.load(Ordering::Relaxed)
}

/// A stretch of the loop that has lasted for more than one look.
struct Hold {
    stretch: u64,
    since: Instant,
    usage: Option<Usage>,
    reported: Option<Reported>,
}

/// What was said of a hold.
struct Reported {
    holder: Option<Holder>,
    /// The handler had not answered by then.
    is_owed: bool,
}

fn keep_watch(shared: &Shared) {
    let mut unwinder = StackUnwinder::new();
    if let Some(pause) = shared.sampling {
        return sample_for_ever(shared, &mut unwinder, pause);
    }
    let mut names = Names::default();
    let mut hold: Option<Hold> = None;
    let mut idle = 0;
    while !shared.pulse.is_stopped() {
        let limit = shared.pulse.limit();
        let is_reported = hold.as_ref().is_some_and(|hold| hold.reported.is_some());
        if !is_reported && !names.are_owed() && (limit.is_none() || idle >= IDLE_LOOKS) {
            shared.pulse.sleep_while_idle();
            (hold, idle) = (None, 0);
            continue;
        }
        let limit = limit.unwrap_or(Duration::MAX);
        let pause = if is_reported { REPORTED_PAUSE } else { (limit / LOOKS).clamp(SHORTEST_PAUSE, LONGEST_PAUSE) };
        let before = Instant::now();
        thread::park_timeout(pause);
        let stood_still = before.elapsed() > pause.saturating_add(limit.max(LONGEST_PAUSE / 4));
        let stretch = shared.pulse.stretch();
        idle = if stretch.is_none() { idle + 1 } else { 0 };
        hold = shared.look(hold, stretch, stood_still, limit, &mut unwinder, &mut names);
        shared.report_late(&mut names, false);
    }
    if let Some(hold) = hold {
        shared.report_end(&hold, &mut names);
    }
    // What held the loop last may be what the program died of.
    shared.report_late(&mut names, true);
}

impl Shared {
    /// Compares what the loop does with what it did at the last look.
    fn look(
        &self,
        hold: Option<Hold>,
        stretch: Option<u64>,
        stood_still: bool,
        limit: Duration,
        unwinder: &mut StackUnwinder,
        names: &mut Names,
    ) -> Option<Hold> {
        match (hold, stretch) {
            (Some(mut hold), Some(stretch)) if hold.stretch == stretch => {
                if hold.reported.is_none() && stood_still {
                    return Some(self.begin(stretch));
                }
                let usage = Usage::read(self.thread);
                if hold.reported.is_none() && hold.own_length(usage) >= limit {
                    hold.reported = self.report_hold(&hold, usage, unwinder, names);
                }
                Some(hold)
            }
            (before, stretch) => {
                if let Some(hold) = before {
                    self.report_end(&hold, names);
                }
                stretch.map(|stretch| self.begin(stretch))
            }
        }
    }

    fn begin(&self, stretch: u64) -> Hold {
        Hold { stretch, since: Instant::now(), usage: Usage::read(self.thread), reported: None }
    }

    /// Says who holds the loop, and where; nothing if it has just let go, or a debugger is at work.
    fn report_hold(
        &self,
        hold: &Hold,
        usage: Option<Usage>,
        unwinder: &mut StackUnwinder,
        names: &mut Names,
    ) -> Option<Reported> {
        if is_traced() {
            return Some(Reported { holder: None, is_owed: false });
        }
        let held = hold.since.elapsed();
        let seen = self.take_stack(unwinder);
        // What the handler saw is of this hold only if that still lasts.
        if self.pulse.stretch() != Some(hold.stretch) {
            return None;
        }
        let is_owed = seen.is_none();
        let (holder, addresses) = seen.unwrap_or((None, Addresses { addresses: Vec::new(), is_cut: false }));
        let mut warning = warning_of(holder.as_ref(), held);
        warning.on_processor = hold.usage.zip(usage).map(|(before, now)| (now.running - before.running).min(held));
        if names.ask(addresses) {
            let is_worth_it = || self.pulse.stretch() == Some(hold.stretch) && !self.pulse.is_stopped();
            match names.wait(NAMES_LIMIT, is_worth_it) {
                Some(stack) => warning.stack = stack,
                None => names.keep(Late { warning: warning.clone(), stretch: hold.stretch, since: hold.since }),
            }
        }
        report(self.pulse.notifier(), &warning);
        Some(Reported { holder, is_owed })
    }

    /// Says for how long the loop was held, if it was said that it was.
    fn report_end(&self, hold: &Hold, names: &mut Names) {
        let Some(reported) = &hold.reported else { return };
        let held = hold.since.elapsed();
        names.end(hold.stretch, held);
        let late = if reported.is_owed { self.sample.collect(|taken| taken.holder).flatten() } else { None };
        self.sample.withdraw();
        if reported.holder.is_none() && !reported.is_owed {
            return;
        }
        let mut warning = warning_of(reported.holder.or(late).as_ref(), held);
        warning.is_over = true;
        report(self.pulse.notifier(), &warning);
    }

    /// Gives the warnings again whose stacks have got their names, or, with `waits`, will get them.
    fn report_late(&self, names: &mut Names, waits: bool) {
        while let Some(warning) = names.take(waits) {
            report(self.pulse.notifier(), &warning);
        }
    }

    /// Asks the loop's thread who runs, and unwinds the stack it answers with; `None` if it does not answer in time.
    fn take_stack(&self, unwinder: &mut StackUnwinder) -> Option<(Option<Holder>, Addresses)> {
        let asked_at = Instant::now();
        // A question that is still open will do, and an old answer will not.
        self.sample.collect(|_| ());
        self.sample.ask(self.thread);
        while asked_at.elapsed() < ANSWER_LIMIT && !self.pulse.is_stopped() {
            if let Some(seen) = self.sample.collect(|taken| (taken.holder, unwinder.unwind(taken))) {
                return Some(seen);
            }
            thread::sleep(ANSWER_PAUSE);
        }
        // It may be answered yet: a thread in the kernel takes the signal when it comes back.
        None
    }
}

/// Takes stacks as fast as it is told to, to find out whether the loop stands it.
fn sample_for_ever(shared: &Shared, unwinder: &mut StackUnwinder, pause: Duration) {
    while !shared.pulse.is_stopped() {
        thread::park_timeout(pause);
        if let Some((_, taken)) = shared.take_stack(unwinder) {
            let count = SAMPLED.fetch_add(1, Ordering::Relaxed);
            if count.is_multiple_of(NAMED_SAMPLES) {
                StackTrace::resolve(&taken.addresses, taken.is_cut);
            }
        }
    }
}

fn warning_of(holder: Option<&Holder>, held: Duration) -> LatencyWarning {
    LatencyWarning {
        coroutine: holder.map(|holder| holder.id),
        name: holder.and_then(Holder::name),
        spawned_at: holder.map(|holder| holder.spawned_at),
        held,
        on_processor: None,
        is_over: false,
        stack: StackTrace::default(),
    }
}

impl Hold {
    /// How long it has lasted, without the time in which the thread waited for a processor.
    fn own_length(&self, usage: Option<Usage>) -> Duration {
        let delayed = self.usage.zip(usage).map_or(Duration::ZERO, |(before, now)| now.delayed - before.delayed);
        self.since.elapsed().saturating_sub(delayed)
    }
}

/// How a thread has spent its time.
#[derive(Clone, Copy)]
struct Usage {
    running: Duration,
    /// It could have run, and others did.
    delayed: Duration,
}

impl Usage {
    /// `None` where the system keeps no such account.
    fn read(thread: libc::pid_t) -> Option<Usage> {
        Usage::parse(&fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?)
    }

    fn parse(text: &str) -> Option<Usage> {
        let mut nanos = text.split_ascii_whitespace().map(|number| number.parse().map(Duration::from_nanos));
        Some(Usage { running: nanos.next()?.ok()?, delayed: nanos.next()?.ok()? })
    }
}

/// Whether a debugger, or another tool that stops threads, is attached.
fn is_traced() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|pid| pid.trim() != "0")
}
