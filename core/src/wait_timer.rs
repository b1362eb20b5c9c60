//! The one timer that a coroutine has for all its waits.
//!
//! ```text
//!   a wait with a deadline begins ──┬─ a timer is left, set for no later time ──► it serves
//!                                   └─ else ──────────────────────────────────► a new one
//!   the wait ends early ──► its timer is left
//!   the timer comes ──┬─ the deadline of a wait has come ──► the wait ends
//!                     ├─ it is later ──────────────────────► set anew
//!                     └─ there is none ────────────────────► it is gone
//! ```
//!
//! Most waits that have a deadline end before it, and the next one of the same coroutine has a later one: so nearly none
//! of them has to touch the wheel, neither when it begins nor when it ends.
//!
//! # Invariants
//!
//! - A coroutine has a timer for its waits while it waits with a deadline, and it is set for no later time.
//! - `Record::deadline` is `u64::MAX` unless it waits with one.
//! - `Scheduler::idle_timers` counts those that are left from waits that are over.
//! - A timer goes with its coroutine, whose record it would keep.

use std::rc::Rc;

use crate::park::{Outcome, Reason};
use crate::record::{Record, State};
use crate::scheduler::{Scheduler, Timer};

impl Scheduler {
    /// Has the wait that has begun end at `at`; `u64::MAX` for never.
    pub(crate) fn set_deadline(&self, record: &Rc<Record>, at: u64) {
        // Whoever armed the wait may have ended it at once.
        if at == u64::MAX || !matches!(record.state.get(), State::Parked | State::Hibernating) {
            return;
        }
        // A sleep ends by its timer, and sleeps to one instant in the order in which they began (SCH-5).
        let is_sleep = record.reason.get() == Reason::Sleeping;
        if !is_sleep && record.timer.get().is_some() && record.timer_at.get() <= at {
            self.idle_timers.set(self.idle_timers.get() - 1);
        } else {
            self.drop_timer(record);
            let key = self.timers.borrow_mut().insert(at, Timer::Wait(record.clone()));
            record.timer.set(Some(key));
            record.timer_at.set(at);
        }
        record.deadline.set(at);
    }

    /// Forgets the deadline of a wait that is over. Its timer stays, for the next wait.
    #[inline(always)]
    pub(crate) fn clear_deadline(&self, record: &Record) {
        if record.deadline.get() != u64::MAX {
            record.deadline.set(u64::MAX);
            self.idle_timers.set(self.idle_timers.get() + 1);
        }
    }

    /// Takes back the timer that is left from the waits of a coroutine, if one is.
    pub(crate) fn drop_timer(&self, record: &Record) {
        if let Some(timer) = record.timer.take() {
            self.idle_timers.set(self.idle_timers.get() - 1);
            self.timers.borrow_mut().cancel(timer);
        }
    }

    /// The timer of a coroutine has come: ends the wait, if it is this one's deadline that has.
    pub(crate) fn time_out(&self, record: &Rc<Record>) {
        let deadline = record.deadline.get();
        self.clear_deadline(record);
        record.timer.set(None);
        self.idle_timers.set(self.idle_timers.get() - 1);
        if deadline <= self.now.get() {
            self.make_ready(record, Outcome::TimedOut);
        } else {
            self.set_deadline(record, deadline);
        }
    }

    /// When the next timer comes for which somebody waits. Those left from waits that are over are taken back or set anew.
    pub(crate) fn next_awaited_timer(&self) -> Option<u64> {
        loop {
            let mut timers = self.timers.borrow_mut();
            let (at, timer) = timers.peek()?;
            let record = match timer {
                Timer::Wait(record) if record.deadline.get() != at => record.clone(),
                _ => return Some(at),
            };
            drop(timers);
            let deadline = record.deadline.get();
            self.clear_deadline(&record);
            self.drop_timer(&record);
            self.set_deadline(&record, deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Unparked, WaitQueue, now, spawn, stats, test, yield_now};

    /// A timer holds the record, which must not outlive its coroutine until some deadline comes that it once had.
    #[test]
    fn a_timer_that_is_left_from_a_wait_goes_with_its_coroutine() {
        test::run(|| {
            let gate = Rc::new(WaitQueue::new());
            let waiting = spawn({
                let gate = gate.clone();
                move || gate.wait_until(Reason::Other("the gate"), Some(now() + Duration::from_secs(1)))
            });
            yield_now();
            let record = Rc::downgrade(&waiting.coroutine().record);
            assert_eq!(stats().timers, 1);
            gate.wake_one();
            assert_eq!(stats().timers, 0);
            assert_eq!(waiting.join().unwrap(), Unparked::Woken);
            assert_eq!(record.strong_count(), 0);
        });
    }
}
