//! What is said of a coroutine that holds the loop, and to whom.

use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::time::Duration;

use super::watch;
use crate::identity::CoroutineId;
use crate::panics::{contain, in_one_line, print_line};
use crate::scheduler::{self, NotInRuntime};
use crate::symbols::StackTrace;

/// Told of every coroutine that holds the loop: see [`set_latency_notifier`].
pub type LatencyNotifier = Arc<dyn Fn(&LatencyWarning) + Send + Sync>;

/// A coroutine holds the loop, or has held it, for longer than the runtime's limit.
///
/// Each hold gives one while it lasts, with the stack, and one when it is over, with the time it took.
///
/// To find the names for the stack takes milliseconds, but up to two seconds the first time in a program with
/// debug information. If it takes more than 0.1 s, the holder is named without, and the same warning
/// comes once more with the stack when the names are found; `is_over` then says whether the hold has ended meanwhile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LatencyWarning {
    /// Who; `None` when it was the loop itself, or a thread that the system would not interrupt.
    pub coroutine: Option<CoroutineId>,
    /// Its name, if it has one; its first 64 bytes.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned_at: Option<&'static Location<'static>>,
    /// For how long so far, or in all; it may be short by a quarter of the limit.
    ///
    /// The limit is compared with less: time in which the thread could have run, and others were given the processor,
    /// is not the coroutine's fault.
    pub held: Duration,
    /// How much of that the thread spent on a processor, where the system says so: little of it means a blocking call.
    pub on_processor: Option<Duration>,
    /// Whether it has let go.
    pub is_over: bool,
    /// Where it is stuck, or was: empty where no stack could be taken, where its names come later, and in the warning
    /// that says that the hold is over.
    pub stack: StackTrace,
}

impl fmt::Display for LatencyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.coroutine {
            Some(id) => write!(f, "coroutine {id}")?,
            None => f.write_str("the loop's thread, in no coroutine that could be named,")?,
        }
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        if let Some(spawned_at) = self.spawned_at {
            write!(f, " spawned at {}:{}", spawned_at.file(), spawned_at.line())?;
        }
        let held = self.held.as_secs_f64();
        let (has, is) = if self.is_over { ("", "was") } else { ("has ", "is") };
        write!(f, " {has}held the loop for {held:.3} s")?;
        if let Some(on_processor) = self.on_processor.filter(|_| !self.is_over) {
            write!(f, ", {:.3} s of it on a processor", on_processor.as_secs_f64())?;
        }
        if let Some(innermost) = self.stack.innermost() {
            write!(f, ", and {is} in {innermost}")?;
        }
        let calls = self.stack.to_string();
        if calls.is_empty() { Ok(()) } else { write!(f, ": {calls}") }
    }
}

/// Gives a warning to the notifier, or to stderr if there is none or it panics.
pub(super) fn report(notifier: Option<LatencyNotifier>, warning: &LatencyWarning) {
    let Some(notifier) = notifier else { return report_by_default(warning) };
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| notifier(warning))) {
        contain(|| drop(payload));
        print_line(number_of(warning), "the latency notifier panicked; what it was to report:");
        report_by_default(warning);
    }
}

fn report_by_default(warning: &LatencyWarning) {
    print_line(number_of(warning), &in_one_line(&warning.to_string()));
}

fn number_of(warning: &LatencyWarning) -> u64 {
    warning.coroutine.map_or(0, CoroutineId::as_u64)
}

/// Sets for how long a coroutine may hold the loop before the watchdog names it; `None` for as long as it likes (DIA-1).
///
/// Returns the limit before. Never suspends. See [`Runtime::latency_warning`](crate::Runtime::latency_warning).
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{set_latency_warning, test};
///
/// test::run(|| {
///     // A test under virtual time has no watchdog unless it asks for one.
///     assert_eq!(set_latency_warning(Some(Duration::from_secs(2))), None);
///     assert_eq!(set_latency_warning(None), Some(Duration::from_secs(2)));
/// });
/// ```
#[track_caller]
pub fn set_latency_warning(limit: Option<Duration>) -> Option<Duration> {
    let Some(scheduler) = scheduler::current() else { panic!("set_latency_warning: {NotInRuntime}") };
    if limit.is_some() {
        watch(&scheduler, None);
    }
    scheduler.pulse.set_limit(limit)
}

/// Sets what is told of coroutines that hold the loop, instead of a line on stderr; returns the one set before.
///
/// It is called on the watchdog's own thread while the loop is stuck, so it must not wait for the loop;
/// the run does not end before it returns. If it panics, the warning goes to stderr.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{print_stderr, restore_latency_notifier, set_latency_notifier, test};
///
/// test::run(|| {
///     let before = set_latency_notifier(|warning| print_stderr(&format!("slow: {warning}")));
///     restore_latency_notifier(before);
/// });
/// ```
#[track_caller]
pub fn set_latency_notifier(notifier: impl Fn(&LatencyWarning) + Send + Sync + 'static) -> Option<LatencyNotifier> {
    replace("set_latency_notifier", Some(Arc::new(notifier)))
}

/// Puts back what [`set_latency_notifier`] returned: another notifier, or the line on stderr.
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn restore_latency_notifier(previous: Option<LatencyNotifier>) {
    replace("restore_latency_notifier", previous);
}

#[track_caller]
fn replace(called: &str, notifier: Option<LatencyNotifier>) -> Option<LatencyNotifier> {
    match scheduler::with(|scheduler| scheduler.pulse.clone()) {
        Some(pulse) => pulse.replace_notifier(notifier),
        None => panic!("{called}: {NotInRuntime}"),
    }
}
