//! Waiting for whichever of several events comes first.
//!
//! ```text
//!   try every arm ──one completes──► its index
//!        │ none                          ▲ yes
//!        ▼                               │
//!   park, an unparker in every arm ──► woken: take the others out, complete the woken arm ──no──► try again
//! ```
//!
//! The macro [`select!`](crate::select!) is for arms that are known when the program is written,
//! [`select_any`] for any number of them.
//!
//! # Invariants
//!
//! - At most one arm is woken, and its unparker says which: the wakes of all others are refused, so whoever tried to
//!   wake them passes the wake on to the next waiter, and no wake is lost.
//! - The woken arm is completed before any other is looked at; if somebody else was faster, all are tried again.
//! - When a select ends, however it ends, no arm has a place in any queue, and there is no timer left.
//! - Nothing is allocated, whatever the number of arms, but by the queues that an arm enters.
//!
//! # What is absent
//!
//! Priorities: [`select_in_order`] prefers earlier arms among those that are ready, and can starve the others.

mod channels;
mod events;
mod queues;
mod macros;

use std::cell::RefCell;
use std::time::Instant;

use crate::channel::checkpoint;
use crate::panics;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};
use crate::scheduler;

pub(crate) use self::channels::received;
pub use self::channels::{OnceReceiving, Receiving, Sending};
pub use self::events::{Timer, Turn, after, at};
pub use self::queues::{Awaiting, Popping, ReceivingMail};
pub use crate::source::select::Readiness;
pub use crate::spawn::select::{Ending, Joining};

/// An event that a select can wait for.
///
/// Implement it to add arms of your own. None of its functions may wait, and `arm` and `disarm` must not panic.
///
/// # Examples
///
/// A flag that somebody else raises, with a queue of those who wait for it:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use grapeshot_core::select::{Arm, IntoArm, Selectable, Turn, select_any};
/// use grapeshot_core::{Unparker, WaitQueue, spawn, test};
///
/// struct Raised<'a>(&'a Cell<bool>, Turn<'a>);
///
/// impl Selectable for Raised<'_> {
///     fn try_complete(&mut self) -> bool {
///         self.0.get()
///     }
///     fn arm(&mut self, unparker: Unparker) {
///         self.1.arm(unparker);
///     }
///     fn disarm(&mut self) {
///         self.1.disarm();
///     }
/// }
///
/// test::run(|| {
///     let (flag, queue) = (Rc::new(Cell::new(false)), Rc::new(WaitQueue::new()));
///     spawn({
///         let (flag, queue) = (flag.clone(), queue.clone());
///         move || {
///             flag.set(true);
///             queue.wake_all();
///         }
///     });
///     let mut raised = Raised(&flag, queue.into_arm());
///     assert_eq!(select_any(&mut [&mut raised]), 0);
/// });
/// ```
pub trait Selectable {
    /// Completes the arm if that takes no wait, and says whether it is complete.
    ///
    /// What it completes with stays in the arm.
    fn try_complete(&mut self) -> bool;

    /// Leaves the unparker where the event will find it.
    ///
    /// An event that is there already may unpark at once. Whoever unparks and is refused hands its wake to another.
    fn arm(&mut self, unparker: Unparker);

    /// Takes the unparker back: another arm was woken, or the wait has ended otherwise.
    fn disarm(&mut self);

    /// Completes the arm whose unparker ended the wait, instead of [`disarm`](Self::disarm);
    /// false when there is nothing after all, and everything is to be tried again.
    fn complete_woken(&mut self) -> bool {
        self.try_complete()
    }

    /// When [`try_complete`](Self::try_complete) will succeed by the passing of time alone.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Completes the arm with the error for a coroutine that unwinds and so cannot wait; false if it has none.
    fn refuse(&mut self) -> bool {
        false
    }
}

/// A [`Selectable`] that gives a value when it was selected.
pub trait Arm: Selectable {
    /// What it gives.
    type Output;

    /// Gives what it completed with.
    ///
    /// # Panics
    ///
    /// When it is not complete.
    fn into_output(self) -> Self::Output;
}

/// What an arm of [`select!`](crate::select!) is made from: an [`Arm`], or a reference to something that can be waited for.
pub trait IntoArm {
    /// The arm.
    type Arm: Arm;

    /// Makes the arm.
    fn into_arm(self) -> Self::Arm;
}

impl<A: Arm> IntoArm for A {
    type Arm = A;

    fn into_arm(self) -> A {
        self
    }
}

/// An arm that may be left out: `None` is never ready.
impl<S: Selectable> Selectable for Option<S> {
    fn try_complete(&mut self) -> bool {
        self.as_mut().is_some_and(S::try_complete)
    }

    fn arm(&mut self, unparker: Unparker) {
        if let Some(arm) = self {
            arm.arm(unparker);
        }
    }

    fn disarm(&mut self) {
        if let Some(arm) = self {
            arm.disarm();
        }
    }

    fn complete_woken(&mut self) -> bool {
        self.as_mut().is_some_and(S::complete_woken)
    }

    fn deadline(&self) -> Option<Instant> {
        self.as_ref().and_then(S::deadline)
    }

    fn refuse(&mut self) -> bool {
        self.as_mut().is_some_and(S::refuse)
    }
}

impl<A: Arm> Arm for Option<A> {
    type Output = A::Output;

    fn into_output(self) -> A::Output {
        match self {
            Some(arm) => arm.into_output(),
            None => not_selected(),
        }
    }
}

/// Waits until one of the arms completes, and answers which.
///
/// Among several that are ready it begins to look at one chosen at random, by the runtime's generator.
///
/// In a coroutine that unwinds it does not wait: an arm that has an error for that completes with it,
/// and if none has one the process aborts with a sentence that says so.
///
/// # Cancellation
///
/// Unwinds; no arm has completed then, and none is left waiting.
///
/// # Panics
///
/// Without arms, with more than 65,536, and outside a coroutine if it must wait.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::select::{Arm, IntoArm, Selectable, after, select_any};
/// use grapeshot_core::{channel, test};
///
/// test::run(|| {
///     let channels: Vec<_> = (0..3).map(|_| channel::unbounded()).collect();
///     channels[1].0.send("here").unwrap();
///     let mut arms: Vec<_> = channels.iter().map(|(_, receiver)| receiver.into_arm()).collect();
///     let mut dynamic: Vec<_> = arms.iter_mut().map(|arm| arm as &mut dyn Selectable).collect();
///     let chosen = select_any(&mut dynamic);
///     assert_eq!((chosen, arms.swap_remove(chosen).into_output()), (1, Ok("here")));
/// });
/// ```
#[track_caller]
pub fn select_any(arms: &mut [&mut dyn Selectable]) -> usize {
    // Cheap and fair enough: every arm is as likely as any other to be looked at first.
    let start = if arms.len() > 1 { (u128::from(scheduler::random_u64()) * arms.len() as u128) >> 64 } else { 0 };
    select_from(arms, start as usize)
}

/// Waits as [`select_any`] does, but among several arms that are ready takes the first.
///
/// # Cancellation
///
/// Unwinds; no arm has completed then, and none is left waiting.
///
/// # Panics
///
/// As [`select_any`].
#[track_caller]
pub fn select_in_order(arms: &mut [&mut dyn Selectable]) -> usize {
    select_from(arms, 0)
}

/// Completes one of the arms that are ready, the first in order, and answers which; none if no arm is. Never suspends.
pub fn try_select_any(arms: &mut [&mut dyn Selectable]) -> Option<usize> {
    try_from(arms, 0)
}

fn try_from(arms: &mut [&mut dyn Selectable], start: usize) -> Option<usize> {
    let (before, from) = arms.split_at_mut(start);
    if let Some(index) = from.iter_mut().position(|arm| arm.try_complete()) {
        return Some(start + index);
    }
    before.iter_mut().position(|arm| arm.try_complete())
}

#[track_caller]
fn select_from(arms: &mut [&mut dyn Selectable], start: usize) -> usize {
    assert!(!arms.is_empty(), "select: there are no arms, so it would wait for ever");
    assert!(arms.len() <= 1 << 16, "select: {} arms are more than 65536", arms.len());
    checkpoint();
    loop {
        if let Some(index) = try_from(arms, start) {
            return index;
        }
        match wait(arms) {
            Ended::Woken(woken) => {
                if arms[woken].complete_woken() {
                    return woken;
                }
            }
            Ended::TimedOut => {}
            Ended::Refused => match arms.iter_mut().position(|arm| arm.refuse()) {
                Some(index) => return index,
                None => {
                    panics::abort("select in a coroutine that unwinds, which cannot wait; use shield before it does")
                }
            },
        }
    }
}

/// How the wait of a select ended.
enum Ended {
    /// By the unparker of this arm; all others have been disarmed.
    Woken(usize),
    TimedOut,
    Refused,
}

#[track_caller]
fn wait(arms: &mut [&mut dyn Selectable]) -> Ended {
    let deadline = arms.iter().filter_map(|arm| arm.deadline()).min();
    // Both hooks need the arms; they never run at once.
    let hooked = RefCell::new(&mut *arms);
    let arm = |unparker: Unparker| {
        for (index, arm) in hooked.borrow_mut().iter_mut().enumerate() {
            arm.arm(unparker.for_arm(index as u16));
        }
    };
    let withdraw = || {
        hooked.borrow_mut().iter_mut().for_each(|arm| arm.disarm());
        Withdrawal::Withdrawn
    };
    match park_for("select", Reason::Other("one of several events"), deadline, arm, withdraw) {
        Unparked::TimedOut => Ended::TimedOut,
        Unparked::Refused => Ended::Refused,
        Unparked::Woken => {
            let woken = woken_arm();
            for (index, arm) in arms.iter_mut().enumerate() {
                if index != woken {
                    arm.disarm();
                }
            }
            Ended::Woken(woken)
        }
    }
}

/// The arm whose unparker ended the last wait of the running coroutine.
fn woken_arm() -> usize {
    let woken = scheduler::with(|scheduler| scheduler.current.borrow().as_ref().map(|record| record.woken_arm.get()));
    usize::from(woken.flatten().unwrap_or(0))
}

/// Refuses the output of an arm that is not complete.
#[cold]
pub(crate) fn not_selected() -> ! {
    panic!("the output of an arm that was not selected")
}
