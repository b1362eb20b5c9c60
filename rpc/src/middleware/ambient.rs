//! The trace that the running coroutine works for.
//!
//! A method's own coroutine keeps it itself. One that the method spawned finds it in the span that it began in, where
//! the subscriber has [`CoroutineSpans`](grapeshot_core::CoroutineSpans) in it: the trace lies in the span's extensions.

use std::cell::RefCell;

use grapeshot_core::coro_local;
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

use super::trace_context::Trace;
use crate::proto::TraceContext;

coro_local! {
    /// Set while a method runs in this coroutine.
    static HERE: RefCell<Option<Trace>> = RefCell::new(None);
}

/// The trace that the running coroutine works for, as it would travel with a call; `None` outside a traced method.
///
/// It is that of the method which [`Tracing`](crate::middleware::Tracing) stands around, in the method's coroutine and,
/// where the subscriber has [`CoroutineSpans`](grapeshot_core::CoroutineSpans) in it, in those that it spawned.
pub fn current_trace() -> Option<TraceContext> {
    current().map(|trace| trace.to_context())
}

pub(super) fn current() -> Option<Trace> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten().or_else(of_spans)
}

/// The trace of the innermost span that has one.
fn of_spans() -> Option<Trace> {
    tracing::dispatcher::get_default(|dispatch| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let innermost = registry.span(dispatch.current_span().id()?)?;
        innermost.scope().find_map(|span| span.extensions().get::<Trace>().cloned())
    })
}

/// Lets those find the trace who are in the span.
pub(super) fn attach(span: &Span, trace: &Trace) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
            span.extensions_mut().replace(trace.clone());
        }
    });
}

/// Makes it this coroutine's trace until the guard is dropped.
pub(super) fn enter(trace: Option<Trace>) -> Within {
    // Outside a coroutine, as in a test of a service by itself, nobody looks.
    let former = HERE.try_with(|here| here.replace(trace)).ok().flatten();
    Within { former }
}

/// Puts the former trace back in its place.
pub(super) struct Within {
    former: Option<Trace>,
}

impl Drop for Within {
    fn drop(&mut self) {
        let former = self.former.take();
        let _ = HERE.try_with(|here| here.replace(former));
    }
}
