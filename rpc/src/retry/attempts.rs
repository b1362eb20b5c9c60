//! One call and its attempts.
//!
//! ```text
//!   number, if it is to have one ──► attempt ──► answered ──► done
//!          ▲                            └── failed ──► verdict ──► final: the error that says most
//!          └───── wait ◄── time, attempts and budget left? ◄────────┘ repeat
//! ```

use std::time::Duration;

use grapeshot_core::{current_deadline, read_clock, sleep};

use super::numbers::Number;
use super::retrying::Retrying;
use super::verdict::{Verdict, verdict};
use crate::caller::{CallOptions, Caller, Repeat, Request};
use crate::error::{CallError, CallErrorKind, Failure, Outcome};
use crate::own_limit::OwnLimit;

pub(super) struct Attempts<'a, C> {
    retrying: &'a Retrying<C>,
    request: &'a Request<'a>,
    own: OwnLimit,
    numbering: Numbering,
    made: u32,
    /// The first failure after which nobody knows whether the call has run.
    in_doubt: Option<CallError>,
}

/// Whether the call has a number of ours.
enum Numbering {
    /// It wants none, has one of its maker's, or cannot have one.
    Without,
    Wanted,
    Under(Number),
}

impl<'a, C: Caller> Attempts<'a, C> {
    pub(super) fn of_call(retrying: &'a Retrying<C>, request: &'a Request<'a>) -> Attempts<'a, C> {
        let wanted = request.options.repeat == Repeat::Sequenced && request.options.sequence.is_none();
        let numbering = if wanted && retrying.numbers.is_some() { Numbering::Wanted } else { Numbering::Without };
        Attempts { numbering, ..Attempts::without_number(retrying, request) }
    }

    /// Attempts at what can have no number: a notification has no answer to keep, and a stream is no answer.
    pub(super) fn without_number(retrying: &'a Retrying<C>, request: &'a Request<'a>) -> Attempts<'a, C> {
        retrying.count(|counts| counts.calls += 1);
        let own = OwnLimit::of(retrying.limit(request));
        Attempts { retrying, request, own, numbering: Numbering::Without, made: 0, in_doubt: None }
    }

    /// The limit of the call with all its attempts.
    pub(super) fn own_limit(&self) -> OwnLimit {
        self.own
    }

    pub(super) fn run<T>(mut self, attempt: impl Fn(&C, &Request<'_>) -> Result<T, CallError>) -> Result<T, CallError> {
        loop {
            let error = match self.attempt(&attempt) {
                Ok(answer) => {
                    self.retrying.budget.earn();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.outcome() == Outcome::Ran {
                self.retrying.budget.earn();
            }
            if let Some(error) = self.prepare_next(error) {
                if !is_answer(&error) {
                    self.retrying.count(|counts| counts.failed += 1);
                }
                return Err(error);
            }
        }
    }

    fn attempt<T>(&mut self, attempt: impl Fn(&C, &Request<'_>) -> Result<T, CallError>) -> Result<T, CallError> {
        self.made += 1;
        let limit = self.limit();
        if let (Numbering::Wanted, Some(numbers)) = (&self.numbering, &self.retrying.numbers) {
            let number = numbers.take(&self.retrying.caller, limit)?;
            self.numbering = number.map_or(Numbering::Without, Numbering::Under);
        }
        // Asking for an id has taken some of the time, if not all.
        let limit = match self.limit() {
            Some(Duration::ZERO) => return Err(CallError::TimedOut { limit: Duration::ZERO, sent: false }),
            limit => limit,
        };
        let number = match &self.numbering {
            Numbering::Under(number) => Some(number.sequence()),
            Numbering::Without | Numbering::Wanted => None,
        };
        if number.is_none() && limit == self.request.options.timeout {
            return attempt(&self.retrying.caller, self.request);
        }
        let options = self.request.options;
        let options = CallOptions { timeout: limit, sequence: number.or(options.sequence), ..options.clone() };
        attempt(&self.retrying.caller, &Request { options: &options, ..*self.request })
    }

    /// How long the next attempt may take.
    fn limit(&self) -> Option<Duration> {
        [self.own.left(), self.retrying.options.attempt_timeout].into_iter().flatten().min()
    }

    /// Waits until the call may be made again, or says why it has failed.
    fn prepare_next(&mut self, error: CallError) -> Option<CallError> {
        let verdict = verdict(&error, self.is_repeatable());
        let renumbered = verdict == Verdict::Renumber && self.renumber() && self.in_doubt.is_none();
        if self.in_doubt.is_none() && error.outcome() == Outcome::Unknown {
            self.in_doubt = Some(error.clone());
        }
        let is_bound = self.in_doubt.is_some() && matches!(self.numbering, Numbering::Under(_));
        let is_left = self.retrying.leaves_to_others && !is_bound;
        let repeat = (verdict == Verdict::Repeat && !is_left) || renumbered;
        // A new id costs the server no more than any call does, and whoever was forgotten need not wait for it.
        let drawn = if renumbered { Duration::ZERO } else { self.retrying.options.backoff.delay(self.made) };
        let may_repeat = repeat && self.made < self.retrying.options.attempts;
        let Some(delay) = self.fit(drawn).filter(|_| may_repeat) else { return Some(self.conclusion(error)) };
        if !renumbered && !self.retrying.budget.try_spend() {
            self.retrying.count(|counts| counts.out_of_budget += 1);
            return Some(self.conclusion(error));
        }
        self.retrying.count(|counts| counts.repeats += 1);
        sleep(delay);
        None
    }

    /// Whether an attempt may follow one that may have run: the server will know a number again.
    fn is_repeatable(&self) -> bool {
        match self.request.options.repeat {
            Repeat::Never => false,
            Repeat::Idempotent => true,
            Repeat::Sequenced => matches!(self.numbering, Numbering::Under(_)),
        }
    }

    /// Gives up a number that the server does not know, for a new one; false if it is not ours.
    fn renumber(&mut self) -> bool {
        let (Numbering::Under(number), Some(numbers)) = (&self.numbering, &self.retrying.numbers) else { return false };
        numbers.forget(number);
        self.numbering = Numbering::Wanted;
        true
    }

    /// A wait that ends before the call does, and before a limit around it: half of what is left, if the one drawn is longer.
    /// None when too little is left: the error says more now than the passing of the limit would.
    fn fit(&self, drawn: Duration) -> Option<Duration> {
        let Some(deadline) = [self.own.deadline(), current_deadline()].into_iter().flatten().min() else {
            return Some(drawn);
        };
        let left = deadline.saturating_duration_since(read_clock());
        if drawn < left {
            return Some(drawn);
        }
        Some(left / 2).filter(|half| !half.is_zero() && *half >= self.retrying.options.backoff.first)
    }

    /// What the caller is told: an attempt that may have run counts for more than later ones that did not.
    fn conclusion(&mut self, last: CallError) -> CallError {
        let error = match self.in_doubt.take() {
            Some(in_doubt) if last.outcome() == Outcome::NotRun => in_doubt,
            _ => last,
        };
        self.own.amend(error)
    }
}

/// Whether the method said this, and not somebody around it.
fn is_answer(error: &CallError) -> bool {
    error.kind() == CallErrorKind::Failed
        && !matches!(error, CallError::Failed(failure) if failure.code == Failure::REPLY_GONE)
}
