//! The arms that wait for a time, and for a turn in a wait queue.

use std::time::{Duration, Instant};

use super::{Arm, IntoArm, Selectable, not_selected};
use crate::channel::instant_after;
use crate::park::Unparker;
use crate::scheduler::now;
use crate::wait_queue::WaitQueue;

/// The arm that [`after`] and [`at`] make: completes when its time has come.
#[derive(Clone, Copy, Debug)]
#[must_use = "an arm does nothing until it is selected"]
pub struct Timer {
    deadline: Instant,
}

/// An arm that completes when `timeout` has passed since this call; at once when it is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::select::after;
/// use grapeshot_core::{channel, select, test};
///
/// test::run(|| {
///     let (_sender, receiver) = channel::unbounded::<u32>();
///     let in_time = select! {
///         _ = receiver => true,
///         () = after(Duration::from_secs(1)) => false,
///     };
///     assert!(!in_time);
/// });
/// ```
pub fn after(timeout: Duration) -> Timer {
    if timeout.is_zero() { at(now()) } else { at(instant_after(timeout)) }
}

/// An arm that completes at `deadline`; at once when that has passed.
pub fn at(deadline: Instant) -> Timer {
    Timer { deadline }
}

impl Selectable for Timer {
    fn try_complete(&mut self) -> bool {
        self.deadline <= now()
    }

    // Its wake is the deadline of the whole wait.
    fn arm(&mut self, _unparker: Unparker) {}

    fn disarm(&mut self) {}

    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

impl Arm for Timer {
    type Output = ();

    fn into_output(self) {}
}

/// The arm of a [`WaitQueue`]: completes when it is woken there, and never before it has waited.
///
/// It also completes when a wake came while it could not be accepted, since another arm had been woken to find nothing:
/// that wake went to the next in the queue, or to nobody. So look at what you wait for, as after any wake of a queue.
#[must_use = "an arm does nothing until it is selected"]
pub struct Turn<'a> {
    queue: &'a WaitQueue,
    ticket: u64,
    woken: bool,
}

impl<'a> IntoArm for &'a WaitQueue {
    type Arm = Turn<'a>;

    fn into_arm(self) -> Turn<'a> {
        Turn { queue: self, ticket: 0, woken: false }
    }
}

impl Selectable for Turn<'_> {
    fn try_complete(&mut self) -> bool {
        self.woken
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.queue.enter(unparker);
    }

    fn disarm(&mut self) {
        // Out of the queue without a wake of its own: whoever offered one may have found nobody else.
        self.woken |= !self.queue.give_up(self.ticket);
    }

    fn complete_woken(&mut self) -> bool {
        self.woken = true;
        true
    }
}

impl Arm for Turn<'_> {
    type Output = ();

    fn into_output(self) {
        if !self.woken {
            not_selected()
        }
    }
}
