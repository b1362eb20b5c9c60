//! Panics of coroutines: caught at the root, carried to the joiner, or reported in one line.
//!
//! ```text
//!   panic ─► hook notes message, place and frames ─► unwinds ─► root ─┬─ joined: JoinError::Panicked
//!                                                                     └─ not: notifier, one line on stderr
//! ```
//!
//! The hook is the process's panic hook, set by the first `run`; outside coroutines it calls the one it replaced.
//! Frames are only walked when a panic happens and only turned into names when it is reported.
//! A panic that user code catches with `catch_unwind` is reported by nobody.
//!
//! **Known weakness.** The names are found on the loop, so that the line is out before anything else happens. The first
//! time reads the program's debug information: 0.5 to 2 s for a debug build, in which the watchdog warns of
//! nobody, as it is no coroutine's fault.

use std::any::Any;
use std::fmt;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::rc::Rc;
use std::sync::{Mutex, Once, PoisonError};
use std::time::SystemTime;

use backtrace::Backtrace;

use crate::identity::CoroutineId;
use crate::listing::CoroutineInfo;
use crate::record::Record;
use crate::scheduler::{self, Scheduler};
use crate::spawn::Coroutine;
use crate::stack::StackError;
use crate::trace;
use crate::watchdog::excused;

/// Told of every panic that nobody joins: see [`set_panic_notifier`].
pub type PanicNotifier = Rc<dyn Fn(&CoroutineInfo, &Panic)>;

/// What the hook saw of a panic.
pub(crate) struct Details {
    message: String,
    location: Option<String>,
    trace: Backtrace,
}

/// A panic that ended a coroutine.
pub struct Panic {
    // Boxed, because every coroutine has room for the panic that it may come to.
    inner: Box<Inner>,
}

struct Inner {
    message: String,
    location: Option<String>,
    // In mutexes, so that an error that carries a panic is `Sync`, as most ways to pass errors on ask for.
    trace: Mutex<Option<Backtrace>>,
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    fn new(message: String, seen: Option<(Option<String>, Backtrace)>, payload: Box<dyn Any + Send>) -> Panic {
        let (location, trace) = seen.map_or((None, None), |(location, trace)| (location, Some(trace)));
        Panic { inner: Box::new(Inner { message, location, trace: Mutex::new(trace), payload: Mutex::new(payload) }) }
    }

    /// Puts a caught payload together with what the hook saw.
    pub(crate) fn caught(id: CoroutineId, payload: Box<dyn Any + Send>) -> Panic {
        let details = scheduler::with(|scheduler| scheduler.take_panic_details(id)).flatten();
        let message = message_of(&*payload);
        match details.filter(|details| details.message == message) {
            Some(Details { message, location, trace }) => Panic::new(message, Some((location, trace)), payload),
            // Raised with `resume_unwind`, which calls no hook, perhaps after the coroutine caught another.
            None => Panic::new(message, None, payload),
        }
    }

    /// Takes charge of a payload that `std::panic::catch_unwind` caught in the running coroutine,
    /// with the place and frames of the panic, as for [`report_panic`].
    pub fn from_payload(payload: Box<dyn Any + Send>) -> Panic {
        match scheduler::with(|scheduler| scheduler.current.borrow().as_ref().map(|record| record.id())).flatten() {
            Some(id) => Panic::caught(id, payload),
            None => Panic::new(message_of(&*payload), None, payload),
        }
    }

    /// What it panicked with.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Where, as `file:line:column`.
    pub fn location(&self) -> Option<&str> {
        self.inner.location.as_deref()
    }

    /// The functions it was in, innermost first, in one line: `[dir/file.rs function|line] […]` (DIA-3).
    ///
    /// The first call in a process reads the program's debug information, and so does the first report on stderr.
    /// That holds the loop, for 0.5 to 2 s in a debug build, and the watchdog does not warn of it. What was read is kept:
    /// the next ones take about a millisecond.
    pub fn trace(&self) -> String {
        let mut trace = self.inner.trace.lock().unwrap_or_else(PoisonError::into_inner);
        trace.as_mut().map(|trace| excused(|| trace::compact(trace))).unwrap_or_default()
    }

    /// The value given to `panic!`, for `std::panic::resume_unwind`.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.inner.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on panicking, in the running coroutine.
    pub(crate) fn resume(self) -> ! {
        let Inner { message, location, trace, payload } = *self.inner;
        scheduler::with(|scheduler| {
            let current = scheduler.current.borrow();
            let trace = trace.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let (Some(record), Some(trace)) = (current.as_ref(), trace) {
                let details = Details { message, location, trace };
                scheduler.panic_details.borrow_mut().insert(record.id(), details);
            }
        });
        panic::resume_unwind(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self.location() {
            Some(location) => write!(f, ", at {location}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

const NO_TEXT: &str = "a value that is no text";

fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| NO_TEXT.to_owned())
}

/// Sets the process's panic hook, once.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !note(info) {
                previous(info);
            }
        }));
    });
}

/// Keeps what there is to know of a coroutine's panic; false if it is not a coroutine's, or is about to abort.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let message = message_of(info.payload());
    let noted = scheduler::with(|scheduler| {
        // The panic may come from inside the runtime, with anything borrowed.
        let current = scheduler.current.try_borrow().ok()?;
        let record = current.as_ref()?;
        let mut all = scheduler.panic_details.try_borrow_mut().ok()?;
        if aborts(&message) {
            explain_abort(record, all.remove(&record.id()));
            return None;
        }
        let location = info.location().map(ToString::to_string);
        // It waits while another thread looks for names, which is not the coroutine's fault.
        let trace = scheduler.pulse.wait(Backtrace::new_unresolved);
        all.insert(record.id(), Details { message, location, trace });
        Some(())
    });
    noted.flatten().is_some()
}

/// Reports the panic of the running coroutine that came through its root, as only a fault of the runtime's can.
pub(crate) fn report_escaped(scheduler: &Scheduler) {
    if let Some(record) = scheduler.current.take() {
        explain_abort(&record, scheduler.take_panic_details(record.id()));
    }
}

/// Says what core does not say of an abort that is to come: which unwinding led to it.
fn explain_abort(record: &Rc<Record>, last: Option<Details>) {
    match last {
        Some(Details { message, location, trace }) => {
            let panic = Panic::new(message, Some((location, trace)), Box::new(()));
            report_by_default(&Coroutine { record: record.clone() }.info(), &panic);
        }
        None if record.interrupted.get() => print_stderr(
            "cancelled beneath a function that cannot unwind: callbacks from C that wait belong under a shield",
        ),
        None => {}
    }
}

/// The two messages with which core says that the process is about to abort.
fn aborts(message: &str) -> bool {
    message.starts_with("panic in a function that cannot unwind")
        || message.starts_with("panic in a destructor during cleanup")
}

/// Reports the panic of a coroutine that ended and that nobody will join.
pub(crate) fn report_unjoined(record: &Rc<Record>) {
    if let Some(panic) = record.body.take_panic() {
        report_and_drop(record, panic);
    }
}

/// Reports a panic and drops it, whatever the destructor of its payload does.
pub(crate) fn report_and_drop(record: &Rc<Record>, panic: Panic) {
    report(record, &panic);
    contain(|| drop(panic));
}

/// Runs a destructor of the user's where its panic would end somebody else.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(f)) {
        // The payload's own destructor may panic as well.
        std::mem::forget(payload);
    }
}

/// Gives a panic to the notifier, or to the default one if that panics too (THR-9).
pub(crate) fn report(record: &Rc<Record>, panic: &Panic) {
    let notifier = scheduler::with(|scheduler| {
        scheduler.crashes.set(scheduler.crashes.get() + 1);
        scheduler.notifier.borrow().clone()
    });
    let info = Coroutine { record: record.clone() }.info();
    let Some(notifier) = notifier.flatten() else { return report_by_default(&info, panic) };
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| notifier(&info, panic))) {
        let failure = Panic::from_payload(payload);
        print_line(info.id.as_u64(), &format!("the panic notifier panicked: {failure}; what it was to report:"));
        report_by_default(&info, panic);
        contain(|| drop(failure));
    }
}

/// Reports that a coroutine could not be given a stack.
pub(crate) fn report_stackless(record: &Rc<Record>, error: &StackError) {
    report(record, &Panic::new(format!("no stack to run on: {error}"), None, Box::new(())));
}

fn report_by_default(info: &CoroutineInfo, panic: &Panic) {
    let name = info.name.as_deref().unwrap_or("unnamed");
    let trace = panic.trace();
    let text = format!("coroutine {} ({name}) panicked: {panic} {trace}", info.id);
    print_line(info.id.as_u64(), &in_one_line(text.trim_end()));
}

/// Joins the lines of a text, and makes characters visible with which a message could pass for something else.
pub(crate) fn in_one_line(text: &str) -> String {
    let joined = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    let mut line = String::with_capacity(joined.len());
    for character in joined.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Reports a panic that was caught on the coroutine's behalf, as the end of an unjoined coroutine is reported.
///
/// For servers that run other people's code: see [`Panic::from_payload`].
/// Never suspends. Does nothing outside a coroutine.
pub fn report_panic(panic: &Panic) {
    let current = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten();
    if let Some(record) = current {
        report(&record, panic);
    }
}

/// Whether a payload that `catch_unwind` caught is a cancellation, which must be raised again and never be reported.
pub fn is_cancellation(payload: &(dyn Any + Send)) -> bool {
    crate::cancel::is_cancellation(payload)
}

/// Sets what is told of panics that nobody joins, instead of one line on stderr; returns the one set before.
///
/// It is called on the scheduler's own stack or the coroutine's, and must not wait.
///
/// # Panics
///
/// Outside a runtime.
pub fn set_panic_notifier(notifier: impl Fn(&CoroutineInfo, &Panic) + 'static) -> Option<PanicNotifier> {
    match scheduler::with(|scheduler| scheduler.notifier.replace(Some(Rc::new(notifier)))) {
        Some(previous) => previous,
        None => panic!("set_panic_notifier: {}", scheduler::NotInRuntime),
    }
}

/// Puts back what [`set_panic_notifier`] returned: another notifier, or the line on stderr.
///
/// # Panics
///
/// Outside a runtime.
pub fn restore_panic_notifier(previous: Option<PanicNotifier>) {
    if scheduler::with(|scheduler| scheduler.notifier.replace(previous)).is_none() {
        panic!("restore_panic_notifier: {}", scheduler::NotInRuntime);
    }
}

/// Says why on stderr and aborts, as a panic in a destructor does.
#[cold]
pub(crate) fn abort(sentence: &str) -> ! {
    print_stderr(sentence);
    std::process::abort()
}

/// Writes a line to stderr, after the number of the running coroutine and the time (DIA-5).
///
/// The number is 0 outside coroutines. Errors of stderr are ignored.
pub fn print_stderr(text: &str) {
    let id = scheduler::with(|scheduler| scheduler.current.borrow().as_ref().map(|record| record.id().as_u64()));
    print_line(id.flatten().unwrap_or(0), text);
}

/// [`print_stderr`] in the name of the coroutine with this number.
pub(crate) fn print_line(id: u64, text: &str) {
    let line = format!("{id}:\t{} {text}\n", timestamp(SystemTime::now()));
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// `2026-11-21T21:38:07Z`.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01, by counting in 400-year cycles from March.
///
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms".
fn civil_date(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (cycle, day_of_cycle) = (shifted / 146_097, shifted % 146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * cycle + year_of_cycle + u64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_utc() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_296_487), "2026-11-21T21:28:07Z");
    }
}
