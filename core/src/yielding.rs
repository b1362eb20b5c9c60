//! Giving way: for a turn, through the poller, or for a time.

use std::thread;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::coroutine;
use crate::park::{self, Cut, Outcome, Reason, Withdrawal};
use crate::record::{Queue, State};
use crate::scheduler;

/// Lets everyone else who can run have a turn first.
///
/// The coroutine goes to the tail of the run queue. In a coroutine that unwinds, nothing happens;
/// outside a coroutine it is `std::thread::yield_now`.
///
/// # Cancellation
///
/// Unwinds.
#[inline]
pub fn yield_now() {
    give_way(Queue::Tail);
}

/// Leaves the thread to others and takes a place in a queue.
///
/// It does by itself what a wait through `park` would come to, since nothing can end it early:
/// a hundred thousand coroutines that take turns are limited by the memory each turn touches.
/// Inlined into the caller, it leaves no return between the switches, which the processor would predict wrongly twice.
#[inline(always)]
fn give_way(queue: Queue) {
    let step = scheduler::with(|scheduler| match &*scheduler.current.borrow() {
        None => Step::Outside,
        Some(_) if thread::panicking() => Step::Stay,
        Some(record) if record.interrupted.get() => Step::Unwind,
        Some(record) => {
            park::refuse_inside_a_hook(record);
            cancel::set_timers(scheduler, record);
            record.state.set(State::Ready);
            record.queue.set(queue);
            Step::Leave
        }
    });
    match step {
        Some(Step::Leave) => {
            if coroutine::suspend() {
                unwind();
            }
        }
        Some(Step::Unwind) => unwind(),
        Some(Step::Stay) => {}
        Some(Step::Outside) | None => thread::yield_now(),
    }
}

/// What a coroutine that gives way does.
enum Step {
    Leave,
    Unwind,
    Stay,
    Outside,
}

#[cold]
fn unwind() {
    if let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() {
        cancel::raise(&record);
    }
}

/// Gives way until descriptors and timers have been looked at once more.
///
/// Stronger than [`yield_now`]: the coroutine runs again in the next pass of the loop, after a poll (SCH-3).
/// Long computations call it now and then. In a coroutine that unwinds, nothing happens.
///
/// # Cancellation
///
/// Unwinds.
#[inline]
pub fn yield_slice() {
    give_way(Queue::AfterPoll);
}

/// Waits for `duration`, letting others run.
///
/// Zero still gives way once (TMO-5). In a coroutine that unwinds it returns at once;
/// outside a coroutine it is `std::thread::sleep`.
///
/// # Cancellation
///
/// Unwinds, and leaves no timer behind.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{now, sleep, test};
///
/// test::run(|| {
///     let before = now();
///     sleep(Duration::from_secs(3600));
///     assert_eq!(now() - before, Duration::from_secs(3600));
/// });
/// ```
pub fn sleep(duration: Duration) {
    match scheduler::with(|scheduler| scheduler.clock.after(duration)) {
        Some(deadline) if scheduler::in_coroutine() => sleep_until_nanos(deadline),
        _ => thread::sleep(duration),
    }
}

/// Waits until `deadline`, letting others run; as [`sleep`] otherwise.
///
/// # Cancellation
///
/// Unwinds, and leaves no timer behind.
pub fn sleep_until(deadline: Instant) {
    match scheduler::with(|scheduler| scheduler.clock.to_nanos(deadline)) {
        Some(deadline) if scheduler::in_coroutine() => sleep_until_nanos(deadline),
        _ => thread::sleep(deadline.saturating_duration_since(Instant::now())),
    }
}

fn sleep_until_nanos(deadline: u64) {
    if thread::panicking() {
        return;
    }
    let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() else { return };
    cancel::checkpoint(&record);
    let outcome = park::wait(&record, Reason::Sleeping, Some(deadline), Cut::Short, |_| {}, || Withdrawal::Withdrawn);
    if outcome == Outcome::Cancelled {
        cancel::raise(&record);
    }
}

/// Sets how many operations in a row a coroutine may do without waiting, for coroutines spawned from now on.
///
/// After that many, and data or not, an operation first goes through the poller (`yield_slice`),
/// so a fast peer cannot keep the loop to itself. The default is 4. A wait refills the budget.
///
/// Returns the old value; 0 outside a runtime.
///
/// # Panics
///
/// Unless `operations` is in 1..=32768.
pub fn set_selfishness(operations: u16) -> u16 {
    check_selfishness(operations);
    scheduler::with(|scheduler| scheduler.selfishness.replace(operations)).unwrap_or(0)
}

/// Sets how many operations in a row the running coroutine may do without waiting; see [`set_selfishness`].
///
/// Returns the old value; 0 outside a coroutine.
///
/// # Panics
///
/// Unless `operations` is in 1..=32768.
pub fn set_own_selfishness(operations: u16) -> u16 {
    check_selfishness(operations);
    let current = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten();
    current.map_or(0, |record| {
        record.budget.set(operations);
        record.full_budget.replace(operations)
    })
}

fn check_selfishness(operations: u16) {
    assert!((1..=32768).contains(&operations), "selfishness is 1 to 32768 operations, not {operations}");
}
