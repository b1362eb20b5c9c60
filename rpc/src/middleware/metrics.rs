//! Counts and latencies of calls, by method.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::caller_side::{CallerMiddleware, NextCaller, Reply};
use super::ending::Ending;
use super::histogram::Histogram;
use super::service_side::{Incoming, NextService, ServiceMiddleware};
use super::watch::{self, Watch, Watched};
use crate::caller::Request;
use crate::error::{CallError, Failure};
use crate::value::Encoded;

/// How many methods are counted by themselves; all others together.
pub const MAX_METHODS: usize = 256;

/// How long the name of a method may be that is counted by itself, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The name under which all other methods are printed.
const OTHERS: &str = "(others)";

/// Counts calls by method, around a caller or a service. Clones count into the same.
///
/// A method gets counts of its own with its first call that ends, unless the callee says that there is no such method:
/// what a peer makes up crowds out nothing. On the service's side a method counts under its own name, also where it was called
/// by another one (an `alias`). Notifications count as calls; on the caller's side they have no latency to
/// speak of, as they end when they are handed over. Items of streams are not counted.
///
/// It prints as lines in Prometheus' text format, version 0.0.4.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::middleware::{Metrics, ServiceWith};
/// use grapeshot_rpc::{Context, Encoded, Router, Service};
///
/// let metrics = Metrics::new();
/// let service = Router::new().method("add", |(a, b): (i64, i64)| Ok(a + b)).with(metrics.clone());
/// let params = Encoded::of(&(1, 2)).unwrap();
/// service.call("add", params.as_bytes(), &Context::detached()).unwrap();
///
/// assert_eq!(metrics.method("add").unwrap().succeeded, 1);
/// assert!(metrics.to_string().contains("rpc_calls_total{method=\"add\",ending=\"ok\"} 1\n"));
/// ```
#[derive(Clone, Default)]
pub struct Metrics {
    counts: Rc<Counts>,
}

#[derive(Default)]
struct Counts {
    under_way: Cell<usize>,
    methods: RefCell<HashMap<Box<str>, MethodMetrics>>,
    others: RefCell<MethodMetrics>,
}

/// What was counted of one method.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct MethodMetrics {
    /// Calls with an answer, and notifications that were handed over or whose method returned.
    pub succeeded: u64,
    /// Calls that certainly did not run, such as with wrong parameters or above a limit.
    pub refused: u64,
    /// Calls that failed in another way.
    pub failed: u64,
    /// Calls that were cancelled, were cut off by their time limit, or panicked.
    pub cut_off: u64,
    /// Bytes of parameters.
    pub params_bytes: u64,
    /// Bytes of answers.
    pub answer_bytes: u64,
    /// How long all of them took, however they ended.
    pub latency: Histogram,
}

impl MethodMetrics {
    /// How many calls have ended.
    pub fn calls(&self) -> u64 {
        self.latency.count()
    }

    fn add(&mut self, call: &Watched<'_>) {
        let count = match &call.ending {
            Ending::Succeeded => &mut self.succeeded,
            Ending::CutOff => &mut self.cut_off,
            ending if ending.is_refusal() => &mut self.refused,
            _ => &mut self.failed,
        };
        *count += 1;
        self.params_bytes += call.params_bytes as u64;
        self.answer_bytes += call.answer_bytes as u64;
        self.latency.add(call.took);
    }

    fn endings(&self) -> [(&'static str, u64); 4] {
        [("ok", self.succeeded), ("refused", self.refused), ("failed", self.failed), ("cut off", self.cut_off)]
    }
}

impl Metrics {
    /// Counts from zero.
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// How many calls are under way, of all methods together.
    pub fn under_way(&self) -> usize {
        self.counts.under_way.get()
    }

    /// What was counted of a method so far; `None` when it has no counts of its own.
    pub fn method(&self, name: &str) -> Option<MethodMetrics> {
        self.counts.methods.borrow().get(name).cloned()
    }

    /// All methods with counts of their own, by name.
    pub fn methods(&self) -> Vec<(String, MethodMetrics)> {
        let methods = self.counts.methods.borrow();
        let mut all: Vec<_> = methods.iter().map(|(name, counts)| (name.to_string(), counts.clone())).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// What was counted of all other methods: those beyond [`MAX_METHODS`], and those that do not exist.
    pub fn others(&self) -> MethodMetrics {
        self.counts.others.borrow().clone()
    }
}

impl Watch for Metrics {
    fn begun(&self) {
        self.counts.under_way.set(self.counts.under_way.get() + 1);
    }

    fn ended(&self, call: &Watched<'_>) {
        self.counts.under_way.set(self.counts.under_way.get() - 1);
        let mut methods = self.counts.methods.borrow_mut();
        if let Some(counts) = methods.get_mut(call.method) {
            counts.add(call);
        } else if methods.len() < MAX_METHODS
            && call.method.len() <= MAX_NAME_BYTES
            && call.ending.code() != Some(Failure::METHOD_NOT_FOUND)
        {
            methods.entry(call.method.into()).or_default().add(call);
        } else {
            self.counts.others.borrow_mut().add(call);
        }
    }
}

impl ServiceMiddleware for Metrics {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        watch::serve_as(self, &next.canonical(call.method), call, next)
    }
}

impl CallerMiddleware for Metrics {
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
        watch::call(self, request, next)
    }
}

/// What is printed of the latencies.
const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("1", 1.0)];

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = self.methods();
        let others = self.others();
        if others.calls() > 0 {
            rows.push((OTHERS.to_owned(), others));
        }
        let rows: Vec<_> = rows.iter().map(|(name, counts)| (Label(name), counts)).collect();
        writeln!(f, "# TYPE rpc_calls_under_way gauge\nrpc_calls_under_way {}", self.under_way())?;
        writeln!(f, "# TYPE rpc_calls_total counter")?;
        for (name, counts) in &rows {
            for (ending, count) in counts.endings() {
                writeln!(f, "rpc_calls_total{{method={name},ending=\"{ending}\"}} {count}")?;
            }
        }
        writeln!(f, "# TYPE rpc_bytes_total counter")?;
        for (name, counts) in &rows {
            writeln!(f, "rpc_bytes_total{{method={name},of=\"params\"}} {}", counts.params_bytes)?;
            writeln!(f, "rpc_bytes_total{{method={name},of=\"answers\"}} {}", counts.answer_bytes)?;
        }
        writeln!(f, "# TYPE rpc_call_seconds summary")?;
        rows.iter().try_for_each(|(name, counts)| write_latency(f, name, &counts.latency))
    }
}

fn write_latency(f: &mut fmt::Formatter<'_>, name: &Label<'_>, latency: &Histogram) -> fmt::Result {
    for (label, share) in QUANTILES {
        let seconds = latency.quantile(share).unwrap_or(Duration::ZERO).as_secs_f64();
        writeln!(f, "rpc_call_seconds{{method={name},quantile=\"{label}\"}} {seconds}")?;
    }
    writeln!(f, "rpc_call_seconds_sum{{method={name}}} {}", latency.sum().as_secs_f64())?;
    writeln!(f, "rpc_call_seconds_count{{method={name}}} {}", latency.count())
}

/// A label's value: in quotes, with `\`, `"` and the end of a line escaped, as the text format asks.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.counts.methods.borrow().len();
        f.debug_struct("Metrics").field("under_way", &self.under_way()).field("methods", &methods).finish()
    }
}
