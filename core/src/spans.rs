//! `tracing` spans that belong to the coroutine that entered them (feature `tracing`).
//!
//! A subscriber keeps the spans that are entered per thread. Many coroutines share one, so without this the events of
//! whoever runs while another waits inside a span would be said to be part of that span.
//!
//! ```text
//!   A enters `a` ──► A waits: exit a ──► B runs, enters `b`, waits: exit b ──► A goes on: enter a ──► …
//! ```
//!
//! [`CoroutineSpans`] is a layer: it notes what each coroutine has entered, by whatever crate and in whatever way, and
//! the scheduler exits those spans when the coroutine leaves the thread and enters them again before its next turn.
//! A span's busy time is then the time that its coroutine ran in it.
//!
//! # Invariants
//!
//! - While a coroutine does not run, none of its spans is entered on the thread.
//! - Each noted span is kept open until it is exited or its coroutine ends.
//! - A coroutine outside any span pays a look at one pointer per turn; without the feature there is nothing.
//!
//! What is absent: `tracing::subscriber::with_default` belongs to the thread, and must not be held over a wait;
//! a guard that is handed to another coroutine leaves its span with the one that entered it.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::sync::OnceLock;

use tracing_core::dispatcher::{Dispatch, WeakDispatch};
use tracing_core::span::Id;
use tracing_core::subscriber::Subscriber;
use tracing_subscriber::layer::{Context, Layer};

use crate::scheduler;

thread_local! {
    /// The scheduler exits and enters, and there is nothing to be noted.
    static SWITCHING: Cell<bool> = const { Cell::new(false) };
}

/// The layer that switches spans with their coroutines; add it to a subscriber whose spans coroutines enter.
///
/// A coroutine begins in the span that its spawner was in, unless [`inherit`](Self::inherit) says otherwise.
/// The subscriber's code then runs in the scheduler as well, when it is told of the switches: it must not wait there.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{CoroutineSpans, spawn, test, yield_now};
/// use tracing_subscriber::prelude::*;
///
/// let subscriber = tracing_subscriber::registry().with(CoroutineSpans::new());
/// let _default = tracing::subscriber::set_default(subscriber);
/// test::run(|| {
///     let span = tracing::info_span!("request").entered();
///     spawn(|| assert_eq!(tracing::Span::current().metadata().unwrap().name(), "request"));
///     yield_now();
///     drop(span);
/// });
/// ```
pub struct CoroutineSpans {
    inherit: bool,
    dispatch: OnceLock<WeakDispatch>,
}

impl CoroutineSpans {
    /// A layer with which a coroutine begins in its spawner's span.
    pub fn new() -> CoroutineSpans {
        CoroutineSpans { inherit: true, dispatch: OnceLock::new() }
    }

    /// Whether a coroutine begins in the span that its spawner was in; true unless set.
    #[must_use]
    pub fn inherit(mut self, inherit: bool) -> CoroutineSpans {
        self.inherit = inherit;
        self
    }
}

impl Default for CoroutineSpans {
    fn default() -> CoroutineSpans {
        CoroutineSpans::new()
    }
}

impl fmt::Debug for CoroutineSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoroutineSpans").field("inherit", &self.inherit).finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for CoroutineSpans {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A subscriber has one dispatch; of several, the first is as good as any.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if SWITCHING.get() {
            return;
        }
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else { return };
        let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() else { return };
        record.spans.push(Entered::new(dispatch, id, self.inherit));
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if SWITCHING.get() {
            return;
        }
        if let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() {
            drop(record.spans.remove(id));
        }
    }
}

/// A span that a coroutine is in, kept open for as long.
struct Entered {
    dispatch: Dispatch,
    id: Id,
    is_inherited: bool,
}

impl Entered {
    fn new(dispatch: Dispatch, id: &Id, is_inherited: bool) -> Entered {
        let id = dispatch.clone_span(id);
        Entered { dispatch, id, is_inherited }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.dispatch.try_close(self.id.clone());
    }
}

/// The spans that one coroutine is in, outermost first, behind one pointer.
#[derive(Default)]
pub(crate) struct Spans {
    entered: OnceCell<Box<RefCell<Vec<Entered>>>>,
}

// No borrow is alive while the subscriber is called, which may enter spans itself.
impl Spans {
    fn push(&self, entered: Entered) {
        self.entered.get_or_init(Box::default).borrow_mut().push(entered);
    }

    fn remove(&self, id: &Id) -> Option<Entered> {
        let mut entered = self.entered.get()?.borrow_mut();
        let position = entered.iter().rposition(|entered| entered.id == *id)?;
        Some(entered.remove(position))
    }

    fn places(&self) -> Vec<(Dispatch, Id)> {
        let Some(entered) = self.entered.get() else { return Vec::new() };
        entered.borrow().iter().map(|entered| (entered.dispatch.clone(), entered.id.clone())).collect()
    }

    /// Enters the spans again, before the coroutine's turn.
    #[inline(always)]
    pub(crate) fn enter_all(&self) {
        if self.entered.get().is_some() {
            self.switch(|places| places.iter().for_each(|(dispatch, id)| dispatch.enter(id)));
        }
    }

    /// Exits the spans, after the coroutine's turn.
    #[inline(always)]
    pub(crate) fn exit_all(&self) {
        if self.entered.get().is_some() {
            self.switch(|places| places.iter().rev().for_each(|(dispatch, id)| dispatch.exit(id)));
        }
    }

    #[cold]
    fn switch(&self, f: impl FnOnce(&[(Dispatch, Id)])) {
        let places = self.places();
        SWITCHING.set(true);
        f(&places);
        SWITCHING.set(false);
    }

    /// Lets go of the spans of a coroutine that has ended.
    pub(crate) fn clear(&self) {
        let left = self.entered.get().map(|entered| entered.take());
        drop(left);
    }

    /// Begins in the span that the running coroutine is in.
    #[inline(always)]
    pub(crate) fn inherit(&self) {
        if let Some(record) = scheduler::with(|scheduler| scheduler.current.borrow().clone()).flatten() {
            let spawner = record.spans.entered.get().and_then(|entered| {
                let entered = entered.borrow();
                let innermost = entered.last().filter(|entered| entered.is_inherited)?;
                Some((innermost.dispatch.clone(), innermost.id.clone()))
            });
            if let Some((dispatch, id)) = spawner {
                self.push(Entered::new(dispatch, &id, true));
            }
        }
    }
}
