//! What stands around every call of a caller or a service: logs, numbers, traces, rights, limits, and what a program writes itself.
//!
//! ```text
//!   caller.with(Logging)                                      service.with(MethodLimits).with(Metrics)
//!   Request ──► Logging ──► connection ═══════ connection ──► Metrics ──► MethodLimits ──► service
//!   Reply   ◄── Logging ◄── connection ═══════ connection ◄── Metrics ◄── MethodLimits ◄── Encoded or Failure
//! ```
//!
//! [`ServiceWith`] puts a [`ServiceMiddleware`] around a service and [`CallerWith`] a [`CallerMiddleware`] around a caller;
//! the result is a service or a caller again, and what was put around last is asked first.
//! A closure is enough for one's own: [`ServiceWith::around`] and [`CallerWith::around`].
//! A middleware runs in the coroutine of the call, may wait, and is unwound when the call is cut off.
//!
//! | middleware | caller | service |
//! |---|---|---|
//! | [`Logging`]: a hook for each call | yes | yes |
//! | [`Metrics`]: counts and latencies by method | yes | yes |
//! | `Tracing` (feature `tracing`): spans, and the W3C trace context | yes | yes |
//! | [`Authorize`]: who may call what | | yes |
//! | [`MethodLimits`]: in flight, a second, bytes, time | | yes |
//!
//! # Invariants
//!
//! - A call passes each middleware once, and without any nothing is paid.
//! - What is kept for each method is bounded, whatever names the peer makes up.
//! - A call that is cut off, by its caller, its time limit or a panic, is counted and logged as such.
//!
//! # What is absent
//!
//! `$/hello`, `$/auth.*` and `$/methods` are the connection's own and pass no middleware: see
//! [`Server::authorize`](crate::Server::authorize) for who may see the methods.

mod service_side;
mod caller_side;
mod ending;
mod watch;
mod logging;
mod metrics;
mod histogram;
mod authorize;
mod method_limits;
#[cfg(feature = "tracing")]
mod spans;
#[cfg(feature = "tracing")]
mod trace_context;
#[cfg(feature = "tracing")]
mod ambient;

pub use self::authorize::{Authorize, Who};
pub use self::caller_side::{AroundCaller, CallKind, CallerClosure, CallerMiddleware, CallerWith, NextCaller, Reply};
pub use self::ending::Ending;
pub use self::histogram::Histogram;
pub use self::logging::{LoggedCall, Logging};
pub use self::method_limits::{MethodLimit, MethodLimits};
pub use self::metrics::{MAX_METHODS, MAX_NAME_BYTES, MethodMetrics, Metrics};
pub use self::service_side::{AroundService, Incoming, NextService, ServiceClosure, ServiceMiddleware, ServiceWith};
#[cfg(feature = "tracing")]
pub use self::{ambient::current_trace, spans::Tracing};
