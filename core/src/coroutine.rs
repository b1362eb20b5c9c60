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
//! - While it runs, `left_at` is [`RUNNING`], and every method that would touch the coroutine panics instead.
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

use crate::stack::{Extent, Stack, stack_pointer};

thread_local! {
    static YIELDER: Cell<*const Yielder<bool, ()>> = const { Cell::new(ptr::null()) };
    /// The stack pointer with which the coroutine that was last left, left.
    static LEFT_AT: Cell<usize> = const { Cell::new(0) };
}

/// Stands for the stack pointer of a computation that is not suspended.
const RUNNING: usize = usize::MAX;

/// A corosensei coroutine that no destructor unwinds.
type Suspended = ManuallyDrop<Switch<bool, (), (), Stack>>;

/// The place of a computation on a stack of its own.
#[derive(Default)]
pub(crate) struct Context {
    switch: UnsafeCell<Option<Suspended>>,
    /// The stack pointer in [`suspend`], zero before the first, or [`RUNNING`].
    left_at: Cell<usize>,
}

impl Context {
    /// Whether there is no computation in it.
    #[inline(always)]
    pub(crate) fn is_vacant(&self) -> bool {
        assert!(self.left_at.get() != RUNNING, "a coroutine that runs was looked into");
        // SAFETY: it does not run, so nobody has a reference to what is in the cell; this one ends with the statement.
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
        // SAFETY: it does not run, so nobody has a reference to what is in the cell.
        let place = unsafe { &mut *self.switch.get() };
        *place = Some(ManuallyDrop::new(switch));
        self.left_at.set(0);
    }

    /// Runs the computation until it suspends or ends; gives its stack back if it has ended.
    ///
    /// `interrupted` is what [`suspend`] returns in it.
    ///
    /// # Panics
    ///
    /// If it is vacant or runs already. Re-raises a panic that `entry` let escape; the stack is then lost.
    #[inline(always)]
    pub(crate) fn resume(&self, interrupted: bool) -> Option<Stack> {
        assert!(self.left_at.replace(RUNNING) != RUNNING, "a coroutine that runs was resumed");
        // SAFETY: it did not run and does now, so this is the only reference until `left_at` is set below.
        let place = unsafe { &mut *self.switch.get() };
        let resumed = match place {
            Some(switch) => switch.resume(interrupted),
            None => panic!("a vacant context was resumed"),
        };
        let finished = match resumed {
            CoroutineResult::Yield(()) => None,
            CoroutineResult::Return(()) => place.take(),
        };
        self.left_at.set(LEFT_AT.get());
        finished.map(|switch| ManuallyDrop::into_inner(switch).into_stack())
    }

    /// Gives back the memory of the stack's pages that the suspended computation does not use.
    ///
    /// `extent` is where its stack lies.
    pub(crate) fn release_idle_pages(&self, extent: Extent) {
        if self.is_vacant() || self.left_at.get() == 0 {
            return;
        }
        // SAFETY: a context that is not vacant and does not run is suspended and owns its mapped stack; everything
        // below the frame of `suspend` is corosensei's saved registers, for which `release_below` keeps a margin.
        unsafe { extent.release_below(self.left_at.get()) };
    }

    /// How much of its stack the computation has not used, where it runs on the calling thread or was last left.
    pub(crate) fn room_left(&self, extent: Extent) -> usize {
        let stack = extent.usable();
        match self.left_at.get() {
            0 => stack.len(),
            RUNNING => stack_pointer().clamp(stack.start, stack.end) - stack.start,
            left_at => left_at.clamp(stack.start, stack.end) - stack.start,
        }
    }

    /// Lets the processor fetch the end of the suspended stack, which a resume will need.
    #[inline(always)]
    pub(crate) fn prefetch_stack(&self) {
        let end = ptr::without_provenance::<u8>(self.left_at.get());
        prefetch(end.wrapping_sub(64));
        prefetch(end);
        prefetch(end.wrapping_add(64));
    }
}

/// Lets the processor fetch a line of memory that will be needed soon. Any address will do.
#[inline(always)]
pub(crate) fn prefetch<T: ?Sized>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program could see, and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Shows the return address and the stack pointer of each frame on the stack this thread runs on, innermost first,
/// for as long as `look` asks for more.
pub(crate) fn walk(mut look: impl FnMut(usize, usize) -> bool) {
    // Not the function that takes the crate's lock: another thread may be finding names under it for a second.
    // SAFETY: the lock guards what only the walk of Windows shares; on Unix the walk is the unwinder's own, which any
    // number of threads may use.
    unsafe { backtrace::trace_unsynchronized(|frame| look(frame.ip().addr(), frame.sp().addr())) };
}

/// Leaves the running coroutine; returns when it is resumed, with what it was resumed with.
///
/// # Panics
///
/// When no coroutine is running on this thread.
#[inline(always)]
pub(crate) fn suspend() -> bool {
    let yielder = YIELDER.replace(ptr::null());
    assert!(!yielder.is_null(), "suspended outside a coroutine");
    LEFT_AT.set(stack_pointer());
    // SAFETY: `YIELDER` names the running coroutine's yielder, which lives at the base of the stack we are on.
    let way_back = unsafe { &*yielder };
    let interrupted = way_back.suspend(());
    YIELDER.set(yielder);
    interrupted
}
