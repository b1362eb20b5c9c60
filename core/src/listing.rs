//! The listing of every coroutine: what the runtime knows of each, for next to nothing (THR-8).
//!
//! All of it is kept for the scheduler's own sake, but for the processor time: reading that clock costs more than a
//! switch, so it is kept only while [`set_cpu_times`] says so.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::identity::CoroutineId;
use crate::park::Reason;
use crate::record::State;
use crate::scheduler;
use crate::spawn::Coroutine;

/// What is known of a coroutine at one moment (THR-8).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoroutineInfo {
    /// Its number.
    pub id: CoroutineId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// Where it is in its life.
    pub state: State,
    /// What it waits for, if it waits.
    pub reason: Option<Reason>,
    /// When the present wait began, on the runtime's clock; `None` outside the runtime.
    pub since: Option<Instant>,
    /// The size of its stack in bytes, the guard not counted; `None` while it has none.
    pub stack_size: Option<usize>,
    /// How many bytes of its stack it uses now, or where it was last left: not the most it ever used.
    pub stack_used: Option<usize>,
    /// The processor time of its turns since it was switched on, the present turn not counted;
    /// `None` while it is switched off.
    pub cpu_time: Option<Duration>,
}

impl CoroutineInfo {
    /// How long the present wait has lasted.
    pub fn waited(&self) -> Option<Duration> {
        Some(scheduler::now().saturating_duration_since(self.since?))
    }
}

impl fmt::Display for CoroutineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " spawned at {}:{}, ", self.spawned_at.file(), self.spawned_at.line())?;
        match (self.reason, self.waited()) {
            (Some(reason), Some(waited)) => write!(f, "waiting {waited:?} for {reason}"),
            _ => write!(f, "{:?}", self.state),
        }
    }
}

impl Coroutine {
    /// What is known of it now.
    pub fn info(&self) -> CoroutineInfo {
        let record = &*self.record;
        let seen = scheduler::with_runtime_of(record, |scheduler| {
            let cpu_time = scheduler.cpu_times.get().then(|| Duration::from_nanos(record.cpu_time.get()));
            (scheduler.clock.to_instant(record.since.get()), cpu_time)
        });
        let stack = record.identity.stack.get();
        CoroutineInfo {
            id: record.id(),
            name: self.name(),
            spawned_at: record.identity.spawned_at,
            state: record.state.get(),
            reason: match record.state.get() {
                State::Parked | State::Hibernating | State::Unstarted => Some(record.reason.get()),
                _ => None,
            },
            since: seen.map(|(since, _)| since),
            stack_size: stack.map(|extent| extent.usable().len()),
            stack_used: stack.map(|extent| extent.usable().len() - record.context.room_left(extent)),
            cpu_time: seen.and_then(|(_, cpu_time)| cpu_time),
        }
    }
}

/// All coroutines of this thread's runtime, by number.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Builder, coroutines, sleep, test, yield_now};
/// use std::time::Duration;
///
/// test::run(|| {
///     let sleeper = Builder::new().name("sleeper").spawn(|| sleep(Duration::from_secs(5))).unwrap();
///     yield_now();
///     let listing: Vec<String> = coroutines().iter().map(ToString::to_string).collect();
///     assert!(listing[1].starts_with("2 \"sleeper\" spawned at "));
///     assert!(listing[1].ends_with("for the end of a sleep"));
///     sleeper.join().unwrap();
/// });
/// ```
pub fn coroutines() -> Vec<CoroutineInfo> {
    let records = scheduler::with(|scheduler| scheduler.live.borrow().clone()).unwrap_or_default();
    let mut infos: Vec<_> = records.into_iter().map(|record| Coroutine { record }.info()).collect();
    infos.sort_by_key(|info| info.id);
    infos
}

/// Switches on or off that the processor time of each coroutine's turns is counted; returns what it was.
///
/// It costs two readings of the thread's clock a turn, several times what a switch costs, and is off unless
/// [`Runtime::cpu_times`](crate::Runtime::cpu_times) says otherwise. Off, the count stands still.
/// Does nothing outside a runtime, and returns false.
pub fn set_cpu_times(on: bool) -> bool {
    scheduler::with(|scheduler| scheduler.cpu_times.replace(on)).unwrap_or(false)
}
