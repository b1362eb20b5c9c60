//! The switch: a stack with a suspended computation on it, and the two moves between it and the scheduler.
//!
//! [`Context`] is the only type that owns a corosensei coroutine.
//! It is moved out of its record while it runs, so nothing of the runtime is borrowed across a switch.
//!
//! ```text
//!             Context::new            resume                    suspend
//!   stack ───────────────► fresh ────────────► running ◄──────────────► suspended
//!                                                 │        resume
//!                                                 ▼ entry returns
//!                                              finished ──► stack, for the pool
//! ```
//!
//! # Invariants
//!
//! - A context is resumed by the thread that made it: the type is neither `Send` nor `Sync`.
//! - Dropping a suspended context leaks it. A forced unwind would free locals which parked children still borrow
//!   (DESIGN §3), so the stack stays as it is, for ever, and nothing on it runs again.
//! - `YIELDER` is null except while a coroutine runs, and then names the running coroutine's way back,
//!   which lives at the base of its stack for as long as the coroutine does.
//!
//! Source: corosensei 0.3.4, whose `Coroutine` this wraps.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;

use corosensei::{Coroutine as Switch, CoroutineResult, Yielder};

use crate::stack::{Extent, Stack};

thread_local! {
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
}

/// A computation on a stack of its own, not running at the moment.
pub(crate) struct Context {
    switch: ManuallyDrop<Switch<(), (), (), Stack>>,
}

/// Where a resumed computation got to.
pub(crate) enum Resumed {
    /// It called [`suspend`] and can be resumed.
    Suspended(Context),
    /// Its entry returned; the stack is free.
    Finished(Stack),
}

impl Context {
    /// Prepares `entry` to run on `stack`; nothing of it runs before the first [`resume`](Self::resume).
    pub(crate) fn new(stack: Stack, entry: impl FnOnce() + 'static) -> Context {
        let switch = Switch::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            YIELDER.set(yielder);
            entry();
            YIELDER.set(ptr::null());
        });
        Context { switch: ManuallyDrop::new(switch) }
    }

    /// Runs the computation until it suspends or ends.
    ///
    /// # Panics
    ///
    /// Re-raises a panic that `entry` let escape; the stack is then lost.
    pub(crate) fn resume(mut self) -> Resumed {
        match self.switch.resume(()) {
            CoroutineResult::Yield(()) => Resumed::Suspended(self),
            CoroutineResult::Return(()) => Resumed::Finished(ManuallyDrop::into_inner(self.switch).into_stack()),
        }
    }

    /// Gives back the memory of the stack's pages that the suspended computation does not use.
    ///
    /// `parked_at` is what [`stack_pointer`](crate::stack::stack_pointer) said in the function that called [`suspend`],
    /// and `extent` where the stack lies.
    pub(crate) fn release_idle_pages(&self, extent: Extent, parked_at: usize) {
        debug_assert!(!self.switch.done());
        // SAFETY: a `Context` in hand is suspended and owns its mapped stack; everything below the frame that called
        // `suspend` is corosensei's saved registers, for which `release_below` keeps a margin.
        unsafe { extent.release_below(parked_at) };
    }
}

/// Leaves the running coroutine; returns when it is resumed.
///
/// # Panics
///
/// When no coroutine is running on this thread.
pub(crate) fn suspend() {
    let yielder = YIELDER.replace(ptr::null());
    assert!(!yielder.is_null(), "suspended outside a coroutine");
    // SAFETY: `YIELDER` names the running coroutine's yielder, which lives at the base of the stack we are on.
    let way_back = unsafe { &*yielder };
    way_back.suspend(());
    YIELDER.set(yielder);
}
