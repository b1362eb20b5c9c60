//! Where parked coroutines are: each is asked to walk its own stack, and parks again (DIA-4).
//!
//! ```text
//!   asker                     loop, between drain and poll             parked coroutine
//!   ─────                     ────────────────────────────             ────────────────
//!   request, park ──────────► a slice of the request a pass:
//!                               resume, its state still Parked ───────► walk, suspend again
//!                               give the pages back that it touched ◄─┘
//!   find the names    ◄────── unpark
//!   on another thread
//! ```
//!
//! # Invariants
//!
//! - A walk is no wake: state, generation, timer, reason and time of the wait stay as they are, and nothing else runs
//!   between the resume and the suspension, so no event of the wait can come in between.
//! - Only a coroutine whose state is `Parked` is resumed for a walk; it knows a walk from a wake by its state.
//! - Nobody is walked who has less than [`ROOM`] left on the stack; what has none (before the first turn, or in
//!   hibernation) is not given one. One that unwinds is never parked.
//! - A pass walks at most [`PER_PASS`] stacks.
//!
//! # What is absent
//!
//! A coroutine that never gives the loop back: that is for the watchdog, which needs no loop.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::rc::Rc;
use std::thread;

use crate::coroutine;
use crate::fault;
use crate::listing::CoroutineInfo;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park};
use crate::record::{Record, State};
use crate::scheduler::{self, Scheduler};
use crate::spawn::Coroutine;
use crate::symbols::StackTrace;
use crate::threads::offload;

/// How much of its stack a coroutine must have left to be walked: a walk was seen to take 1.7 KiB in release.
const ROOM: usize = 8 << 10;

/// How many stacks are walked in a pass of the loop, at 3 to 9 µs each.
const PER_PASS: usize = 32;

/// The most frames that are reported of one stack.
const MAX_FRAMES: usize = 64;

/// Why there is no backtrace of a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoBacktrace {
    /// It has not had its first turn, so it is nowhere.
    NotStarted,
    /// It is in the run queue: it gave way, or has been woken and will have its turn in this pass or the next.
    Ready,
    /// It hibernates, without a stack.
    Hibernating,
    /// It has ended.
    Ended,
    /// It has less than 8 KiB of its stack left, in which a walk might overflow.
    StackTooFull,
    /// The asker unwinds, and so cannot wait for the answer.
    Refused,
    /// It belongs to a runtime that does not run on this thread.
    NotInRuntime,
}

impl fmt::Display for NoBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoBacktrace::NotStarted => "it has not had its first turn",
            NoBacktrace::Ready => "it is about to run",
            NoBacktrace::Hibernating => "it waits without a stack",
            NoBacktrace::Ended => "it has ended",
            NoBacktrace::StackTooFull => "less than 8 KiB of its stack are left, too little to walk it",
            NoBacktrace::Refused => "a coroutine that unwinds cannot wait for a backtrace",
            NoBacktrace::NotInRuntime => "it belongs to a runtime that is not running on this thread",
        })
    }
}

impl std::error::Error for NoBacktrace {}

/// Where one coroutine is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoroutineBacktrace {
    /// What was known of it when its stack was walked.
    pub info: CoroutineInfo,
    /// Its functions, or why they are not known.
    pub trace: Result<StackTrace, NoBacktrace>,
}

impl fmt::Display for CoroutineBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trace {
            Ok(trace) => write!(f, "{}: {trace}", self.info),
            Err(cause) => write!(f, "{}: no backtrace: {cause}", self.info),
        }
    }
}

impl Coroutine {
    /// Where the coroutine is, from its innermost function on (DIA-4).
    ///
    /// Waits for the loop, which has the coroutine walk its own stack, and for another thread, which finds the names
    /// and the first time may take a second for it. The wait that the coroutine is in goes on as before.
    ///
    /// # Errors
    ///
    /// [`NoBacktrace`] says why there is none.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use grapeshot_core::{sleep, spawn, test, yield_now};
    ///
    /// test::run(|| {
    ///     let sleeper = spawn(|| sleep(Duration::from_secs(60)));
    ///     yield_now();
    ///     println!("{}", sleeper.coroutine().backtrace().unwrap());
    /// });
    /// ```
    #[doc(alias = "where")]
    pub fn backtrace(&self) -> Result<StackTrace, NoBacktrace> {
        let found = ask(vec![self.record.clone()])?;
        named(found).pop().map_or(Err(NoBacktrace::Ended), |answer| answer.trace)
    }
}

/// Where all coroutines of this thread's runtime are, by number (DIA-4).
///
/// Of those that are parked, and of the caller, there is a backtrace; of the others it is said why there is none.
/// Waits, as [`Coroutine::backtrace`] does; the loop walks at most 32 stacks in a pass, so that others have their turns
/// meanwhile. A coroutine that ends before it is reached is left out.
/// The names are found by the pool of [`offload`](crate::offload), and wait for a thread of it where all are busy.
///
/// # Errors
///
/// [`NoBacktrace::Refused`] in a coroutine that unwinds.
///
/// # Cancellation
///
/// Unwinds.
///
/// # Panics
///
/// Outside a coroutine.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{backtraces, test};
///
/// test::run(|| {
///     for coroutine in backtraces().unwrap() {
///         println!("{coroutine}");
///     }
/// });
/// ```
#[doc(alias = "where_all")]
pub fn backtraces() -> Result<Vec<CoroutineBacktrace>, NoBacktrace> {
    let live = scheduler::expect_coroutine("backtraces").live.borrow().clone();
    let mut found = ask(live)?;
    found.retain(|walked| walked.stack != Err(NoBacktrace::Ended));
    found.sort_by_key(|walked| walked.info.id);
    Ok(named(found))
}

/// A coroutine, and the addresses on its stack.
struct Walked {
    info: CoroutineInfo,
    stack: Result<Addresses, NoBacktrace>,
}

/// The return addresses on a stack, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Addresses {
    addresses: Vec<usize>,
    is_cut: bool,
}

/// What somebody wants to know, and as much of it as is known.
struct Request {
    asker: Unparker,
    open: RefCell<VecDeque<Rc<Record>>>,
    answers: RefCell<Vec<Walked>>,
}

/// The requests that the loop works on.
#[derive(Default)]
pub(crate) struct Walks {
    requests: RefCell<VecDeque<Rc<Request>>>,
    /// Where a coroutine leaves what it found on its stack.
    found: Cell<Addresses>,
}

impl Walks {
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.borrow().is_empty()
    }
}

/// Has the loop walk these stacks.
fn ask(records: Vec<Rc<Record>>) -> Result<Vec<Walked>, NoBacktrace> {
    let scheduler = scheduler::expect_coroutine("backtrace");
    if thread::panicking() {
        return Err(NoBacktrace::Refused);
    }
    let own = scheduler.current_record();
    let (own, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| Rc::ptr_eq(record, &own));
    let mut answers: Vec<_> = own.iter().map(walk_here).collect();
    if others.is_empty() {
        return Ok(answers);
    }
    let request: RefCell<Option<Rc<Request>>> = RefCell::new(None);
    let arm = |asker| {
        let made = Request { asker, open: RefCell::new(others.into()), answers: RefCell::default() };
        let made = request.borrow_mut().insert(Rc::new(made)).clone();
        scheduler.walks.requests.borrow_mut().push_back(made);
    };
    let withdraw = || {
        let is_ours = |other: &Rc<Request>| request.borrow().as_ref().is_some_and(|ours| Rc::ptr_eq(ours, other));
        let mut requests = scheduler.walks.requests.borrow_mut();
        let withdrawn = requests.iter().position(is_ours).and_then(|position| requests.remove(position));
        drop(requests);
        // It may hold the last of a coroutine, whose destructors are the user's.
        drop(withdrawn);
        Withdrawal::Withdrawn
    };
    match park(Reason::Other("the backtraces of others"), None, arm, withdraw) {
        Unparked::Woken | Unparked::TimedOut => {}
        Unparked::Refused => return Err(NoBacktrace::Refused),
    }
    let answered = request.take().map(|request| request.answers.take()).unwrap_or_default();
    answers.extend(answered);
    Ok(answers)
}

/// Walks the stack of the coroutine that runs.
fn walk_here(record: &Rc<Record>) -> Walked {
    walk_own(record);
    let found = scheduler::with(|scheduler| scheduler.walks.found.take()).unwrap_or_default();
    Walked { info: Coroutine { record: record.clone() }.info(), stack: Ok(found) }
}

/// Walks the stack of the running coroutine and leaves what it finds with the scheduler.
#[cold]
#[inline(never)]
pub(crate) fn walk_own(record: &Record) {
    let Some(extent) = record.identity.stack.get() else { return };
    let mut found = Addresses::default();
    coroutine::walk(|address, stack_pointer| {
        // Beyond the root of the coroutine is whoever resumed it.
        if !extent.usable().contains(&stack_pointer) {
            return false;
        }
        found.is_cut = found.addresses.len() == MAX_FRAMES;
        if !found.is_cut {
            found.addresses.push(address);
        }
        !found.is_cut
    });
    scheduler::with(|scheduler| scheduler.walks.found.set(found));
}

impl Scheduler {
    /// Goes on with the first request, for as long as a pass may take.
    pub(crate) fn walk_a_slice(&self) {
        for _ in 0..PER_PASS {
            let Some(request) = self.walks.requests.borrow().front().cloned() else { return };
            let next = request.open.borrow_mut().pop_front();
            match next {
                Some(record) => {
                    let stack = self.walk(&record);
                    let info = Coroutine { record }.info();
                    request.answers.borrow_mut().push(Walked { info, stack });
                }
                None => {
                    self.walks.requests.borrow_mut().pop_front();
                    // An asker that was cancelled has withdrawn the request.
                    let _ = request.asker.unpark();
                }
            }
        }
    }

    /// Has a parked coroutine walk its stack.
    fn walk(&self, record: &Rc<Record>) -> Result<Addresses, NoBacktrace> {
        let extent = match (record.state.get(), record.identity.stack.get()) {
            _ if record.runtime != self.id => return Err(NoBacktrace::NotInRuntime),
            (State::Parked, Some(extent)) => extent,
            (State::Unstarted, _) | (State::Ready, None) => return Err(NoBacktrace::NotStarted),
            (State::Hibernating, _) => return Err(NoBacktrace::Hibernating),
            (State::Done, _) => return Err(NoBacktrace::Ended),
            // Nobody runs while the scheduler does.
            (State::Ready | State::Running | State::Parked, _) => return Err(NoBacktrace::Ready),
        };
        if record.context.room_left(extent) < ROOM {
            return Err(NoBacktrace::StackTooFull);
        }
        let ended = fault::watch(&record.identity, || record.context.resume(false));
        if ended.is_some() {
            crate::panics::abort("a coroutine ended that was only to walk its stack");
        }
        // What the walk has touched would stay for as long as the wait.
        record.context.release_idle_pages(extent);
        Ok(self.walks.found.take())
    }
}

/// Finds the names for what was walked, on another thread, each stack's once.
fn named(walked: Vec<Walked>) -> Vec<CoroutineBacktrace> {
    let mut places: HashMap<Addresses, usize> = HashMap::new();
    let mut distinct: Vec<Addresses> = Vec::new();
    let mut answers = Vec::with_capacity(walked.len());
    for Walked { info, stack } in walked {
        let place = stack.map(|stack| match places.entry(stack) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                distinct.push(new.key().clone());
                *new.insert(distinct.len() - 1)
            }
        });
        answers.push((info, place));
    }
    let traces: Vec<StackTrace> = if distinct.is_empty() { Vec::new() } else { offload(move || resolve(&distinct)) };
    let traced = answers.into_iter().map(|(info, place)| {
        let trace = place.map(|place| traces.get(place).cloned().unwrap_or_default());
        CoroutineBacktrace { info, trace }
    });
    traced.collect()
}

fn resolve(stacks: &[Addresses]) -> Vec<StackTrace> {
    let names = |stack: &Addresses| {
        // Return addresses point behind the call.
        let calls: Vec<_> = stack.addresses.iter().map(|address| address.wrapping_sub(1)).collect();
        StackTrace::resolve(&calls, stack.is_cut).without_the_wait()
    };
    stacks.iter().map(names).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test;
    use crate::{sleep, spawn, yield_now};

    /// `DIA-4`
    #[test]
    fn the_pages_that_a_walk_touches_are_given_back() {
        test::run(|| {
            let sleeper = spawn(|| sleep(Duration::from_secs(60)));
            yield_now();
            let resident = || sleeper.coroutine().record.identity.stack.get().unwrap().resident_pages();
            let before = resident();
            sleeper.coroutine().backtrace().unwrap();
            assert!(resident() <= before, "{} pages, {before} before", resident());
            sleeper.cancel();
        });
    }

    /// `DIA-4`: how much room it takes, with as much again to spare.
    #[test]
    fn a_walk_takes_less_than_half_of_the_room_it_asks_for() {
        test::run(|| {
            let extent = crate::current().record.identity.stack.get().unwrap();
            let here = crate::stack::stack_pointer();
            let mut deepest = here;
            // Called by the unwinder at its depth; what that calls of its own lies a little below.
            coroutine::walk(|_, pointer| {
                deepest = deepest.min(crate::stack::stack_pointer());
                extent.usable().contains(&pointer)
            });
            assert!(here - deepest < ROOM / 2, "{} bytes", here - deepest);
        });
    }

    /// `DIA-4`: the wait is the same one before and after, so that whoever is to end it finds it.
    #[test]
    fn a_walk_leaves_the_generation_of_the_wait() {
        test::run(|| {
            let sleeper = spawn(|| sleep(Duration::from_secs(60)));
            yield_now();
            let record = sleeper.coroutine().record;
            let wait = || (record.generation.get(), record.state.get(), record.held.get(), record.outcome.get());
            let (before, timer) = (wait(), record.timer.get());
            sleeper.coroutine().backtrace().unwrap();
            assert_eq!(wait(), before);
            assert!(record.timer.get() == timer);
            sleeper.cancel();
        });
    }
}
