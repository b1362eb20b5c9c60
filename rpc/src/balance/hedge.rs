//! A second attempt for a call that takes long, at another endpoint: the first answer counts, the other call is cancelled.
//!
//! ```text
//!   first attempt ────────── answer ─────────────► done
//!        │ the delay passes, and the budget allows it
//!        ├──► second attempt at another endpoint ─► the first answer of the two ──► the other is cancelled
//!        └──► none: no other endpoint of the same priority takes calls, or too many were made lately
//! ```
//!
//! Only calls that may run twice are hedged, since both attempts may run: [`Repeat::Idempotent`](crate::Repeat::Idempotent).
//! A sequence number does not help here, as each server keeps the replies of its own calls only.
//! The loser tells nothing of its endpoint, and a call whose delay passes without a second attempt is as any other.
//!
//! Sources: J. Dean and L. A. Barroso, "The Tail at Scale", 2013, which sends the second request after the 95th percentile
//! and so adds some 5 % of load.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{Builder, Reason, Scope, Unparked, WaitQueue, current_deadline, now, read_clock, scope};

use super::balancer::Balancer;
use super::latency::Latencies;
use super::members::Attempt;
use crate::caller::{CallOptions, Caller, Repeat, Request};
use crate::error::{CallError, Outcome};
use crate::own_limit::OwnLimit;
use crate::retry::{BudgetOptions, RetryBudget};
use crate::value::Encoded;

/// Of how many methods the latencies are kept apart; all others are taken together.
pub const MAX_HEDGED_METHODS: usize = 64;

/// A delay from observation is no shorter than this: below, a second attempt costs more than it saves.
pub const MIN_HEDGE_DELAY: Duration = Duration::from_millis(1);

const ANSWERING: Reason = Reason::Other("the first answer to a hedged call");

/// When a second attempt is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HedgeOptions {
    /// How long the first one has before that; [`HedgeDelay::Percentile`] of 95 unless set.
    pub delay: HedgeDelay,
    /// How many second attempts there may be; for 5 % of the calls that succeed, and one a second, unless set.
    pub budget: BudgetOptions,
}

impl Default for HedgeOptions {
    fn default() -> HedgeOptions {
        let budget = BudgetOptions { percent: 5, minimum_per_second: 1, ..BudgetOptions::default() };
        HedgeOptions { delay: HedgeDelay::Percentile(95), budget }
    }
}

/// How long a call may take before it gets a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeDelay {
    /// This long.
    Fixed(Duration),
    /// As long as it took for so many percent of the calls of the same method in the last half minute or minute to
    /// have a result. With fewer than twenty of them no second attempt is made.
    Percentile(u32),
}

/// What came of second attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HedgeCounts {
    /// How many were made.
    pub made: u64,
    /// How many of them had a result before the first attempt.
    pub won: u64,
}

pub(crate) struct Hedging {
    delay: HedgeDelay,
    budget: RetryBudget,
    latencies: RefCell<HashMap<String, Latencies>>,
    counts: Cell<HedgeCounts>,
}

/// The name under which the methods beyond the limit are kept. A method that is called so is one of them.
const OTHERS: &str = "";

impl Hedging {
    pub(crate) fn new(options: HedgeOptions) -> Hedging {
        Hedging {
            delay: options.delay,
            budget: RetryBudget::new(options.budget),
            latencies: RefCell::default(),
            counts: Cell::default(),
        }
    }

    /// Whether a call may have a second attempt, and this coroutine make one.
    pub(crate) fn allows(request: &Request<'_>) -> bool {
        // A scope would abort the process there.
        request.options.repeat == Repeat::Idempotent && !std::thread::panicking()
    }

    pub(crate) fn counts(&self) -> HedgeCounts {
        self.counts.get()
    }

    fn count(&self, change: impl FnOnce(&mut HedgeCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn delay(&self, method: &str) -> Option<Duration> {
        match self.delay {
            HedgeDelay::Fixed(delay) => Some(delay),
            HedgeDelay::Percentile(percent) => {
                let mut latencies = self.latencies.borrow_mut();
                let name = if latencies.contains_key(method) { method } else { OTHERS };
                Some(latencies.get_mut(name)?.percentile(percent.min(100), now())?.max(MIN_HEDGE_DELAY))
            }
        }
    }

    fn note(&self, method: &str, took: Duration) {
        self.budget.earn();
        if matches!(self.delay, HedgeDelay::Fixed(_)) {
            return;
        }
        let mut latencies = self.latencies.borrow_mut();
        if let Some(of_method) = latencies.get_mut(method) {
            return of_method.add(took, now());
        }
        let name = if latencies.len() < MAX_HEDGED_METHODS { method } else { OTHERS };
        latencies.entry(name.to_owned()).or_insert_with(Latencies::new).add(took, now());
    }
}

impl<C: Caller + 'static> Balancer<C> {
    /// Makes a call whose first attempt has been chosen, and a second one if that takes long.
    pub(super) fn exchange_hedged(
        &self,
        hedging: &Hedging,
        first: Attempt<C>,
        own: OwnLimit,
        request: &Request<'_>,
    ) -> Result<Encoded, CallError> {
        let began = read_clock();
        // A delay that is too far away for the clock never ends.
        let result = match hedging.delay(request.method).and_then(|delay| began.checked_add(delay)) {
            None => self.exchange_at(first, request),
            Some(delay_ends) => self.race(hedging, first, HedgedCall::new(own, request), delay_ends),
        };
        if result.is_ok() {
            hedging.note(request.method, now().saturating_duration_since(began));
        }
        result
    }

    fn race(
        &self,
        hedging: &Hedging,
        first: Attempt<C>,
        call: HedgedCall<'_>,
        delay_ends: Instant,
    ) -> Result<Encoded, CallError> {
        scope(|scope| {
            let first_member = first.member.clone();
            self.run(scope, &call, first)?;
            if let Some(result) = call.race.wait(1, Some(delay_ends)) {
                return result.1;
            }
            let second = self.members.choose_beside(&first_member).filter(|_| hedging.budget.try_spend());
            let is_run = second.is_some_and(|second| {
                hedging.count(|counts| counts.made += 1);
                self.run(scope, &call, Attempt::begin(&self.members, second)).is_ok()
            });
            let Some((winner, result)) = call.race.wait(1 + usize::from(is_run), None) else {
                let cause = Arc::new(io::Error::other("the coroutine unwinds, and cannot wait for the answer"));
                return Err(CallError::OutcomeUnknown { cause });
            };
            if winner != first_member.address && result.is_ok() {
                hedging.count(|counts| counts.won += 1);
            }
            scope.cancel_children();
            result
        })
    }

    /// Has a child make an attempt with the time that is left.
    fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        call: &'scope HedgedCall<'scope>,
        attempt: Attempt<C>,
    ) -> Result<(), CallError> {
        let HedgedCall { request, race, .. } = call;
        let address = attempt.member.address.clone();
        let options = CallOptions { timeout: call.left(), ..request.options.clone() };
        let runner = move || race.end(address, self.exchange_at(attempt, &Request { options: &options, ..**request }));
        let started = scope.spawn_with(Builder::new().name("rpc hedged call"), runner);
        started.map(drop).map_err(|error| CallError::Refused { reason: error.to_string() })
    }
}

/// A call of which there may be two attempts.
struct HedgedCall<'a> {
    request: &'a Request<'a>,
    own: OwnLimit,
    /// When the limits around it pass, which a child of its coroutine does not see.
    around: Option<Instant>,
    race: Race,
}

impl<'a> HedgedCall<'a> {
    fn new(own: OwnLimit, request: &'a Request<'a>) -> HedgedCall<'a> {
        HedgedCall { request, own, around: current_deadline(), race: Race::default() }
    }

    /// What an attempt may take.
    fn left(&self) -> Option<Duration> {
        let around = self.around.map(|deadline| deadline.saturating_duration_since(now()));
        [self.own.left(), around].into_iter().flatten().min()
    }
}

/// The attempts that have ended.
#[derive(Default)]
struct Race {
    ended: RefCell<Vec<(String, Result<Encoded, CallError>)>>,
    news: WaitQueue,
}

impl Race {
    fn end(&self, address: String, result: Result<Encoded, CallError>) {
        self.ended.borrow_mut().push((address, result));
        self.news.wake_all();
    }

    /// Waits for the first answer of so many attempts, or for all to have failed; `None` if neither came in time.
    fn wait(&self, runners: usize, deadline: Option<Instant>) -> Option<(String, Result<Encoded, CallError>)> {
        loop {
            if let Some(result) = self.decided(runners) {
                return Some(result);
            }
            match self.news.wait_until(ANSWERING, deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut | Unparked::Refused => return self.decided(runners),
            }
        }
    }

    fn decided(&self, runners: usize) -> Option<(String, Result<Encoded, CallError>)> {
        let mut ended = self.ended.borrow_mut();
        let is_answer = |result: &Result<_, CallError>| match result {
            Ok(_) => true,
            Err(error) => error.outcome() == Outcome::Ran,
        };
        if let Some(answer) = ended.iter().position(|(_, result)| is_answer(result)) {
            return Some(ended.swap_remove(answer));
        }
        if ended.len() < runners {
            return None;
        }
        // Of failures one that may have run counts for more than one that did not.
        let outcome = |result: &Result<_, CallError>| result.as_ref().err().map(CallError::outcome);
        let in_doubt = ended.iter().position(|(_, result)| outcome(result) == Some(Outcome::Unknown));
        Some(ended.swap_remove(in_doubt.unwrap_or(0)))
    }
}
