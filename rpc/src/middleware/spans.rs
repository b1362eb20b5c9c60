//! Spans of the crate `tracing` around calls, and the trace that travels with them.

use tracing::field::{Empty, display};
use tracing::subscriber::NoSubscriber;
use tracing::{Span, info_span};

use super::ambient;
use super::caller_side::{CallerMiddleware, NextCaller, Reply};
use super::service_side::{Incoming, NextService, ServiceMiddleware};
use super::trace_context::Trace;
use super::watch::{self, Watch, Watched};
use crate::caller::{CallOptions, Request};
use crate::error::{CallError, Failure};
use crate::value::Encoded;

/// Spans around calls, of level info: `rpc.call` around a caller, `rpc.serve` around a service (feature `tracing`).
///
/// | field | value |
/// |---|---|
/// | `method`, `peer` | what is called; who calls, on the service's side |
/// | `trace_id`, `span_id`, `parent_id` | in hexadecimal digits; the parent is on either side of the wire |
/// | `ending`, `code` | `ok`, `refused`, `failed` or `cut off`; the failure's code |
/// | `took_us` | how long it took in microseconds |
///
/// A call carries its span as `traceparent` (W3C Trace Context) where the peers have agreed on more than plain
/// MessagePack-RPC. Whose call it is: that of [`CallOptions::trace`] if it is set, else of the method that the coroutine
/// runs, else of nobody, and a new trace begins.
/// So a method that calls another continues its caller's trace by itself, and so does a coroutine that it spawned,
/// where the subscriber has [`CoroutineSpans`](grapeshot_core::CoroutineSpans) in it. That layer belongs in any
/// subscriber used with this one: without it, what other coroutines do while one waits in its span is said to be part of it.
///
/// Where nobody records the spans, traces that come in are passed on as they are, and none is begun.
/// Around a caller that repeats calls it makes one span of all attempts; within it, one of each.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{CoroutineSpans, test};
/// use grapeshot_net::memory;
/// use grapeshot_rpc::middleware::{CallerWith, ServiceWith, Tracing, current_trace};
/// use grapeshot_rpc::{CallerExt, Connection, Router};
/// use tracing_subscriber::prelude::*;
///
/// let subscriber = tracing_subscriber::registry().with(CoroutineSpans::new());
/// let _default = tracing::subscriber::set_default(subscriber);
/// test::run(|| {
///     let (near, far) = memory::pair();
///     let service = Router::new()
///         .method("parent", |()| Ok(current_trace().map(|trace| trace.parent)))
///         .with(Tracing::new());
///     let _far = Connection::over(far).service(service).accept().unwrap();
///     let near = Connection::over(near).open().unwrap().with(Tracing::new());
///     let parent: Option<String> = near.call("parent", &()).unwrap();
///     assert!(parent.unwrap().starts_with("00-"));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing(());

impl Tracing {
    /// Spans of the subscriber that is the default when a call is made.
    pub fn new() -> Tracing {
        Tracing(())
    }
}

impl ServiceMiddleware for Tracing {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        let span = info_span!(
            "rpc.serve",
            method = call.method,
            peer = %call.context.peer(),
            trace_id = Empty,
            span_id = Empty,
            parent_id = Empty,
            ending = Empty,
            code = Empty,
            took_us = Empty,
        );
        let parent = call.context.trace().and_then(Trace::parse);
        let _within = ambient::enter(begin(&span, parent));
        let _entered = span.enter();
        // Where nobody records the span, nobody is to pay for the time in it.
        if !is_recorded(&span) {
            return next.call(call);
        }
        watch::serve(&Spanned(span.clone()), call, next)
    }
}

impl CallerMiddleware for Tracing {
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
        let span = info_span!(
            "rpc.call",
            method = request.method,
            trace_id = Empty,
            span_id = Empty,
            parent_id = Empty,
            ending = Empty,
            code = Empty,
            took_us = Empty,
        );
        let parent = match &request.options.trace {
            Some(trace) => Trace::parse(trace),
            None => ambient::current(),
        };
        let Some(trace) = begin(&span, parent) else { return next.call(request) };
        let options = CallOptions { trace: Some(trace.to_context()), ..request.options.clone() };
        let _entered = span.enter();
        let request = Request { options: &options, ..*request };
        if !is_recorded(&span) {
            return next.call(&request);
        }
        watch::call(&Spanned(span.clone()), &request, next)
    }
}

/// The place in the trace that a span has: below its parent, or where nobody records it, the parent's own.
fn begin(span: &Span, parent: Option<Trace>) -> Option<Trace> {
    if !is_recorded(span) {
        return parent;
    }
    let trace = Trace::below(parent.as_ref());
    span.record("trace_id", display(format_args!("{:032x}", trace.trace_id)));
    span.record("span_id", display(format_args!("{:016x}", trace.span_id)));
    if let Some(parent) = parent {
        span.record("parent_id", display(format_args!("{:016x}", parent.span_id)));
    }
    ambient::attach(span, &trace);
    Some(trace)
}

/// Whether some subscriber has the span.
///
/// One that another thread has lets spans be made here too, of a subscriber that keeps none.
fn is_recorded(span: &Span) -> bool {
    span.with_subscriber(|(_, dispatch)| !dispatch.is::<NoSubscriber>()).unwrap_or(false)
}

/// Writes into the span how its call ended.
#[derive(Clone)]
struct Spanned(Span);

impl Watch for Spanned {
    fn ended(&self, call: &Watched<'_>) {
        self.0.record("ending", call.ending.word());
        if let Some(code) = call.ending.code() {
            self.0.record("code", code);
        }
        self.0.record("took_us", u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX));
    }
}
