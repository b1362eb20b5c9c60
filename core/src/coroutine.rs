//! The switch: a stack with a suspended computation on it, and the two moves between it and the scheduler.
//!
//! [`Context`] is the only type that owns a corosensei coroutine, and the coroutine stays in its place while it runs:
//! moving it out and back cost as much as the switch itself.
//!
//! ```text
//!            fill                resume                    suspend
//!   vacant ───────────► fresh ────────────► running ◄──────────────► suspended
//!      ▲                                       │        resume
//!      └──── stack, for the pool ◄─────────────┘ entry returns
//! ```
//!
//! # Invariants
//!
//! - A context is resumed by the thread that made it: the type is neither `Send` nor `Sync`.
//! - While it runs, `busy` is set, and every method that would touch the coroutine panics instead.
//! - Dropping a suspended context leaks it. A forced unwind would free locals which parked children still borrow
//!   (DESIGN §3), so the stack stays as it is, for ever, and nothing on it runs again.
//! - `YIELDER` is null except while a coroutine runs, and then names the running coroutine's way back,
//!   which lives at the base of its stack for as long as the coroutine does.
//!
//! Source: corosensei 0.3.4, whose `Coroutine` this wraps.

use std::cell::{Cell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ptr;

use corosensei::{Coroutine as Switch, CoroutineResult, Yielder};

use crate::stack::{Extent, Stack};

thread_local! {
    static YIELDER: Cell<*const Yielder<bool, ()>> = const { Cell::new(ptr::null()) };
}

/// The place of a computation on a stack of its own.
#[derive(Default)]
pub(crate) struct Context {
    switch: UnsafeCell<Option<ManuallyDrop<Switch<bool, (), (), Stack>>>>,
    busy: Cell<bool>,
}

impl Context {
    /// Whether there is no computation in it.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        assert!(!self.busy.get(), "a coroutine that runs was looked into");
        // SAFETY: not busy, so nobody has a reference to what is in the cell; this one ends with the statement.
        unsafe { &*self.switch.get() }.is_none()
    }

    /// Prepares `entry` to run on `stack`; nothing of it runs before the first [`resume`](Self::resume).
    pub(crate) fn fill(&self, stack: Stack, entry: impl FnOnce() + 'static) {
        assert!(self.is_vacant(), "a context was filled twice");
        let switch = Switch::with_stack(stack, move |yielder: &Yielder<bool, ()>, _interrupted| {
            YIELDER.set(yielder);
            entry();
            YIELDER.set(ptr::null());
        });
        // SAFETY: not busy, so nobody has a reference to what is in the cell.
        let place = unsafe { &mut *self.switch.get() };
        *place = Some(ManuallyDrop::new(switch));
    }

    /// Runs the computation until it suspends or ends; gives its stack back if it has ended.
    ///
    /// `interrupted` is what [`suspend`] returns in it.
    ///
    /// # Panics
    ///
    /// If it is vacant or runs already. Re-raises a panic that `entry` let escape; the stack is then lost.
    #[inline]
    pub(crate) fn resume(&self, interrupted: bool) -> Option<Stack> {
        assert!(!self.busy.replace(true), "a coroutine that runs was resumed");
        // SAFETY: it was not busy and is now, so this is the only reference until `busy` is cleared below.
        let place = unsafe { &mut *self.switch.get() };
        let resumed = match place {
            Some(switch) => switch.resume(interrupted),
            None => panic!("a vacant context was resumed"),
        };
        let finished = match resumed {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(()) => place.take(),
        };
        self.busy.set(false);
        finished.map(|switch| ManuallyDrop::into_inner(switch).into_stack())
    }

    /// Gives back the memory of the stack's pages that the suspended computation does not use.
    ///
    /// `parked_at` is what [`stack_pointer`](crate::stack::stack_pointer) said in the function that called [`suspend`],
    /// and `extent` where the stack lies.
    pub(crate) fn release_idle_pages(&self, extent: Extent, parked_at: usize) {
        if self.is_vacant() {
            return;
        }
        // SAFETY: a context that is not vacant and not busy is suspended and owns its mapped stack; everything below
        // the frame that called `suspend` is corosensei's saved registers, for which `release_below` keeps a margin.
        unsafe { extent.release_below(parked_at) };
    }
}

/// Leaves the running coroutine; returns when it is resumed, with what it was resumed with.
///
/// # Panics
///
/// When no coroutine is running on this thread.
#[inline]
pub(crate) fn suspend() -> bool {
    let yielder = YIELDER.replace(ptr::null());
    assert!(!yielder.is_null(), "suspended outside a coroutine");
    // SAFETY: `YIELDER` names the running coroutine's yielder, which lives at the base of the stack we are on.
    let way_back = unsafe { &*yielder };
    let interrupted = way_back.suspend(());
    YIELDER.set(yielder);
    interrupted
}
