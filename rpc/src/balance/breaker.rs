//! The circuit breaker of one endpoint: whether calls go there, by what became of the last ones.
//!
//! ```text
//!              too many failures: in a row, or in the window
//!   Closed ─────────────────────────────────────────────► Open, until a time
//!     ▲                                                     │  ▲
//!     │                                         time passes │  │ a probe fails: for twice as long
//!     │          as many probes as asked succeed            ▼  │
//!     └─────────────────────────────────────────────────── HalfOpen, one probe at a time
//! ```
//!
//! # Invariants
//!
//! - A call counts only in the state that let it pass: what was begun before an opening neither prolongs it nor ends it.
//! - In the half-open state one call at a time passes; one that tells nothing makes room for the next, and so does one that
//!   takes as long as the first opening: a slow method is no reason to stay away.
//! - The n-th opening in a row lasts 2ⁿ⁻¹ times the first, within a limit. One that comes when the breaker has been closed
//!   for that limit is a first one again.
//! - Whoever keeps several breakers may forbid an opening; the breaker then asks again at the next failure.
//!
//! Sources: M. Nygard, "Release It!", for the three states; Envoy's documentation on outlier detection, for failures in
//! a row, the success rate and openings that grow.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use grapeshot_core::random_u64;

use super::window::Window;
use crate::error::{CallError, Failure};

/// How long an opening lasts whose end is too far away for the clock: a hundred years.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 100);

/// When a breaker opens, and for how long.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct BreakerOptions {
    /// How many failures in a row open it; 5 unless set, 0 for never.
    pub failures_in_a_row: u32,
    /// The time over which the share of successes is taken; 10 s unless set.
    pub window: Duration,
    /// How many calls there must be in that time for their share to count; 20 unless set.
    pub window_calls: u32,
    /// Below which share of successes, in percent, it opens; 50 unless set, 0 for never.
    pub success_percent: u32,
    /// For how long it opens the first time; 1 s unless set. Up to a tenth is added at random, so that not all who
    /// lost the same endpoint come back to it at once.
    pub open_time: Duration,
    /// For how long it opens at most; 60 s unless set.
    pub max_open_time: Duration,
    /// How many calls must succeed, one after the other, before all may pass again; 1 unless set.
    pub probes: u32,
    /// What a failed call says of the endpoint; [`Verdict::of`] unless set.
    pub judge: fn(&CallError) -> Verdict,
}

impl Default for BreakerOptions {
    fn default() -> BreakerOptions {
        BreakerOptions {
            failures_in_a_row: 5,
            window: Duration::from_secs(10),
            window_calls: 20,
            success_percent: 50,
            open_time: Duration::from_secs(1),
            max_open_time: Duration::from_secs(60),
            probes: 1,
            judge: Verdict::of,
        }
    }
}

/// What a call says of the endpoint that it went to.
///
/// | a call ends with | it is |
/// |---|---|
/// | a result | a success |
/// | a failure of the method's own, a refusal for its name, its parameters or who asks | a success: the endpoint works |
/// | `UNAVAILABLE`, `INTERNAL`, `DEADLINE` | a failure |
/// | a connection that cannot be made or is lost, a time limit, an answer that cannot be read | a failure |
/// | `BUSY` | nothing: it works, and its calls would be heaped on the others |
/// | a refusal on this side, parameters that cannot be encoded, something too large, `CANCELLED` | nothing |
/// | its caller being cancelled | nothing; a failure if a time limit around it had passed |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// Neither.
    Nothing,
}

impl Verdict {
    /// What a failed call says, by the table above.
    pub fn of(error: &CallError) -> Verdict {
        match error {
            CallError::NotSent { .. }
            | CallError::OutcomeUnknown { .. }
            | CallError::TimedOut { .. }
            | CallError::Malformed { .. } => Verdict::Failure,
            CallError::Failed(failure) => match failure.code {
                Failure::UNAVAILABLE | Failure::INTERNAL | Failure::DEADLINE => Verdict::Failure,
                Failure::BUSY | Failure::CANCELLED | Failure::TOO_LARGE => Verdict::Nothing,
                _ => Verdict::Success,
            },
            CallError::Refused { .. } | CallError::TooLarge { .. } | CallError::Encode(_) => Verdict::Nothing,
        }
    }
}

/// Whether calls go to an endpoint: the states of the diagram, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BreakerState {
    Closed,
    Open {
        until: Instant,
    },
    /// Also when the time of an opening is over and no probe has come yet.
    HalfOpen,
}

/// Leave for one call. It belongs to the state that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    generation: u64,
}

pub(crate) struct Breaker {
    options: BreakerOptions,
    state: Cell<State>,
    /// Goes up with each change of the state.
    generation: Cell<u64>,
    failures_in_a_row: Cell<u32>,
    last_failure: Cell<Option<Instant>>,
    window: RefCell<Window>,
    /// How many openings there were in a row.
    openings: Cell<u32>,
}

#[derive(Clone, Copy)]
enum State {
    Closed {
        /// Since when; `None` for ever.
        since: Option<Instant>,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        /// Since when; `None` while no probe is under way.
        probed: Option<Instant>,
        succeeded: u32,
    },
}

impl Breaker {
    pub(crate) fn new(options: BreakerOptions) -> Breaker {
        Breaker {
            window: RefCell::new(Window::new(options.window)),
            options,
            state: Cell::new(State::Closed { since: None }),
            generation: Cell::new(0),
            failures_in_a_row: Cell::new(0),
            last_failure: Cell::new(None),
            openings: Cell::new(0),
        }
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.state.get() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open { until },
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.get()
    }

    /// The failures in a row of an endpoint that is called all the same, if the last one was not long ago.
    pub(crate) fn recent_failures(&self, now: Instant) -> u32 {
        let is_recent = |failure: Instant| now.saturating_duration_since(failure) < self.options.open_time;
        match self.state.get() {
            State::Closed { .. } if self.last_failure.get().is_some_and(is_recent) => self.failures_in_a_row.get(),
            _ => 0,
        }
    }

    pub(crate) fn openings(&self) -> u32 {
        self.openings.get()
    }

    /// Whether [`try_pass`](Self::try_pass) would let a call pass.
    pub(crate) fn may_pass(&self, now: Instant) -> bool {
        match self.state.get() {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::HalfOpen { probed, .. } => self.has_room_for_probe(probed, now),
        }
    }

    fn has_room_for_probe(&self, probed: Option<Instant>, now: Instant) -> bool {
        probed.is_none_or(|since| now.saturating_duration_since(since) >= self.options.open_time)
    }

    /// Leave for a call, which must be [settled](Self::settle).
    pub(crate) fn try_pass(&self, now: Instant) -> Option<Pass> {
        match self.state.get() {
            State::Closed { .. } => {}
            State::Open { until } if now < until => return None,
            State::Open { .. } => self.enter(State::HalfOpen { probed: Some(now), succeeded: 0 }),
            State::HalfOpen { probed, .. } if !self.has_room_for_probe(probed, now) => return None,
            State::HalfOpen { succeeded, .. } => self.state.set(State::HalfOpen { probed: Some(now), succeeded }),
        }
        Some(Pass { generation: self.generation.get() })
    }

    /// Tells what became of a call. `may_open` is asked before the breaker opens that was closed.
    pub(crate) fn settle(&self, pass: Pass, verdict: Verdict, now: Instant, may_open: impl FnOnce() -> bool) {
        if pass.generation != self.generation.get() {
            return;
        }
        match self.state.get() {
            State::Closed { since } => self.count(since, verdict, now, may_open),
            State::HalfOpen { succeeded, .. } => self.settle_probe(succeeded, verdict, now),
            // Nothing passes there.
            State::Open { .. } => {}
        }
    }

    fn count(&self, since: Option<Instant>, verdict: Verdict, now: Instant, may_open: impl FnOnce() -> bool) {
        if verdict == Verdict::Nothing {
            return;
        }
        let is_success = verdict == Verdict::Success;
        self.window.borrow_mut().add(is_success, now);
        self.failures_in_a_row.set(if is_success { 0 } else { self.failures_in_a_row.get().saturating_add(1) });
        if !is_success {
            self.last_failure.set(Some(now));
        }
        if is_success || !self.is_too_bad(now) || !may_open() {
            return;
        }
        if since.is_none_or(|since| now.saturating_duration_since(since) >= self.options.max_open_time) {
            self.openings.set(0);
        }
        self.open(now);
    }

    fn is_too_bad(&self, now: Instant) -> bool {
        let in_a_row = self.options.failures_in_a_row;
        if in_a_row > 0 && self.failures_in_a_row.get() >= in_a_row {
            return true;
        }
        let (successes, failures) = self.window.borrow_mut().counts(now);
        let calls = u64::from(successes) + u64::from(failures);
        calls >= u64::from(self.options.window_calls)
            && u64::from(successes) * 100 < calls * u64::from(self.options.success_percent)
    }

    fn settle_probe(&self, succeeded: u32, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Failure => {
                self.failures_in_a_row.set(self.failures_in_a_row.get().saturating_add(1));
                self.open(now);
            }
            Verdict::Success if succeeded + 1 >= self.options.probes => self.close(now),
            Verdict::Success => self.state.set(State::HalfOpen { probed: None, succeeded: succeeded + 1 }),
            Verdict::Nothing => self.state.set(State::HalfOpen { probed: None, succeeded }),
        }
    }

    fn close(&self, now: Instant) {
        self.failures_in_a_row.set(0);
        self.window.borrow_mut().clear();
        self.enter(State::Closed { since: Some(now) });
    }

    fn open(&self, now: Instant) {
        /// Beyond, the longest opening is reached whatever the first one is: 2³⁰ ns are longer than a second.
        const DOUBLINGS: u32 = 30;
        let doublings = self.openings.get().min(DOUBLINGS);
        self.openings.set(self.openings.get().saturating_add(1));
        let time = self.options.open_time.saturating_mul(1 << doublings).min(self.options.max_open_time);
        let jitter = time.mul_f64(0.1 * (random_u64() >> 11) as f64 / (1u64 << 53) as f64);
        let until = now.checked_add(time.saturating_add(jitter));
        self.enter(State::Open { until: until.unwrap_or_else(|| now + FAR) });
    }

    fn enter(&self, state: State) {
        self.generation.set(self.generation.get() + 1);
        self.state.set(state);
    }
}

#[cfg(test)]
mod tests;
