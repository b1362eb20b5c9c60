//! What the process does on each signal, by who listens to it.
//!
//! ```text
//!   nobody ──────► the default effect
//!   runs ────────► the first signal tells every run to end; the next has its default effect,
//!                  seen to by the handler itself, so that it also ends a program whose loop is stuck
//!   registrations ► tells each of them, and no run
//! ```
//!
//! # Invariants
//!
//! - Between two states no signal is lost: the new handlers are in place before the old ones go.
//! - The first of all signals that end runs counts: SIGTERM after SIGINT is the second.
//! - What a handler does on a signal is settled before the signal comes; no lock is taken then.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use signal_hook::low_level::{pipe, signal_name, unregister as remove_handler};
use signal_hook::{SigId, flag};

static DISPOSITIONS: Mutex<BTreeMap<i32, Disposition>> = Mutex::new(BTreeMap::new());

/// Whether the runs have been told to end, so that the next signal has its default effect.
static TOLD: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// A run that a signal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunNumber(u64);

impl RunNumber {
    pub(super) fn new() -> RunNumber {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        RunNumber(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who listens to a signal, and the handlers that are in place for them.
#[derive(Default)]
struct Disposition {
    /// How many registrations there are, which see to their own handlers.
    registrations: usize,
    runs: Vec<Run>,
    /// Whom the handlers below are for.
    listening: Listening,
    handlers: Vec<SigId>,
}

struct Run {
    number: RunNumber,
    sent: UnixStream,
    handler: Option<SigId>,
}

/// For whom a signal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Listening {
    /// It is not known yet to this module, which has not touched it, or it is for registrations.
    #[default]
    Others,
    Runs,
    Nobody,
}

fn with<R>(signal: i32, f: impl FnOnce(&mut Disposition) -> R) -> R {
    let mut dispositions = DISPOSITIONS.lock().unwrap_or_else(PoisonError::into_inner);
    f(dispositions.entry(signal).or_default())
}

/// Adds a registration, which `sent` tells of every signal.
pub(super) fn register(signal: i32, sent: UnixStream) -> io::Result<SigId> {
    with(signal, |disposition| {
        let handler = pipe::register(signal, sent)?;
        disposition.registrations += 1;
        disposition.settle_or_default(signal);
        Ok(handler)
    })
}

/// Ends a registration.
pub(super) fn unregister(signal: i32, handler: SigId) {
    with(signal, |disposition| {
        disposition.registrations -= 1;
        disposition.settle_or_default(signal);
        remove_handler(handler);
    });
}

/// Adds a run, which `sent` tells to end.
pub(super) fn add_run(signal: i32, number: RunNumber, sent: UnixStream) -> io::Result<()> {
    with(signal, |disposition| {
        TOLD.store(false, Ordering::SeqCst);
        disposition.runs.push(Run { number, sent, handler: None });
        let settled = disposition.settle(signal);
        if settled.is_err() {
            disposition.runs.pop().and_then(|run| run.handler).map(remove_handler);
        }
        settled
    })
}

/// Forgets a run, if it was added.
pub(super) fn remove_run(signal: i32, number: RunNumber) {
    with(signal, |disposition| {
        let Some(index) = disposition.runs.iter().position(|run| run.number == number) else { return };
        let run = disposition.runs.remove(index);
        disposition.settle_or_default(signal);
        run.handler.map(remove_handler);
    });
}

impl Disposition {
    /// Puts handlers in place for those who listen now.
    fn settle(&mut self, signal: i32) -> io::Result<()> {
        let listening = match (self.registrations, self.runs.len()) {
            (0, 0) => Listening::Nobody,
            (0, _) => Listening::Runs,
            _ => Listening::Others,
        };
        let handlers = if listening == self.listening { Vec::new() } else { handlers_for(listening, signal)? };
        // After those above, and so run after them: when a run hears of a signal, the next one has its default effect,
        // on whatever thread the first is still being handled.
        if listening == Listening::Runs
            && let Err(error) = self.tell_runs(signal)
        {
            handlers.into_iter().for_each(|handler| _ = remove_handler(handler));
            return Err(error);
        }
        self.switch_to(listening, handlers);
        Ok(())
    }

    fn tell_runs(&mut self, signal: i32) -> io::Result<()> {
        for run in self.runs.iter_mut().filter(|run| run.handler.is_none()) {
            run.handler = Some(pipe::register(signal, run.sent.try_clone()?)?);
        }
        Ok(())
    }

    /// Settles where nobody can be told of an error: for want of a descriptor to tell a run, the signal ends the process.
    fn settle_or_default(&mut self, signal: i32) {
        if self.settle(signal).is_err() {
            // It takes no descriptor, and the signal has had a handler before.
            let handlers = handlers_for(Listening::Nobody, signal).unwrap_or_default();
            self.switch_to(Listening::Nobody, handlers);
        }
    }

    /// Lets the old handlers go, the new ones being in place.
    fn switch_to(&mut self, listening: Listening, handlers: Vec<SigId>) {
        if listening == self.listening {
            return;
        }
        self.listening = listening;
        for old in std::mem::replace(&mut self.handlers, handlers) {
            remove_handler(old);
        }
        if listening != Listening::Runs {
            self.runs.iter_mut().filter_map(|run| run.handler.take()).for_each(|handler| _ = remove_handler(handler));
        }
    }
}

/// Puts the handlers in place that see to the default effect.
fn handlers_for(listening: Listening, signal: i32) -> io::Result<Vec<SigId>> {
    // A real-time signal is not known by name, nor is its default effect.
    let has_default = signal_name(signal).is_some();
    Ok(match listening {
        Listening::Nobody if has_default => {
            vec![flag::register_conditional_default(signal, Arc::new(AtomicBool::new(true)))?]
        }
        // In this order, in which they are run: a signal looks at the flag first, and sets it for the next one.
        Listening::Runs if has_default => {
            vec![flag::register_conditional_default(signal, TOLD.clone())?, flag::register(signal, TOLD.clone())?]
        }
        _ => Vec::new(),
    })
}
