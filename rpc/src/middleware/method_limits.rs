//! Limits on single methods of a service, beside those on a whole connection.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use grapeshot_core::{RateLimitError, RateLimiter, with_timeout};

use super::service_side::{Incoming, NextService, ServiceMiddleware};
use crate::error::Failure;
use crate::value::Encoded;

/// Limits methods one by one, over all connections that the service is used on.
///
/// A call above a limit is refused at once and waits for nothing:
///
/// | limit | answer |
/// |---|---|
/// | [`in_flight`](MethodLimit::in_flight), [`per_second`](MethodLimit::per_second) | [`Failure::BUSY`] |
/// | [`params_bytes`](MethodLimit::params_bytes) | [`Failure::INVALID_PARAMS`], which says that the method did not run |
/// | [`timeout`](MethodLimit::timeout) | [`Failure::DEADLINE`]; the method is unwound |
///
/// A method without a limit of its own has that of the [`others`](MethodLimits::others), and else none.
/// A method has one limit, by whichever of its names it is called (an `alias`): that of its own name or, if that has none,
/// the one set for the name it was called by.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_rpc::middleware::{MethodLimit, MethodLimits, ServiceWith};
/// use grapeshot_rpc::Router;
///
/// let limits = MethodLimits::new()
///     .method("report", MethodLimit::new().in_flight(2).timeout(Duration::from_secs(10)))
///     .others(MethodLimit::new().params_bytes(64 << 10));
/// let service = Router::new().method("report", |()| Ok("all is well")).with(limits);
/// ```
#[derive(Default)]
pub struct MethodLimits {
    methods: HashMap<String, Limited>,
    others: Option<Limited>,
}

/// What one method may take; no limit unless set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodLimit {
    in_flight: Option<usize>,
    per_second: Option<u32>,
    params_bytes: Option<usize>,
    timeout: Option<Duration>,
}

impl MethodLimit {
    /// No limit.
    pub fn new() -> MethodLimit {
        MethodLimit::default()
    }

    /// How many calls may run at a time.
    pub fn in_flight(mut self, calls: usize) -> MethodLimit {
        self.in_flight = Some(calls);
        self
    }

    /// How many calls may begin a second, and after a pause at once.
    ///
    /// # Panics
    ///
    /// When it is zero.
    #[track_caller]
    pub fn per_second(mut self, calls: u32) -> MethodLimit {
        assert!(calls > 0, "a rate of no calls would never let one pass");
        self.per_second = Some(calls);
        self
    }

    /// How many bytes the parameters may have in their encoded form.
    pub fn params_bytes(mut self, bytes: usize) -> MethodLimit {
        self.params_bytes = Some(bytes);
        self
    }

    /// How long a call may run; a shorter limit of its caller's holds as well.
    pub fn timeout(mut self, limit: Duration) -> MethodLimit {
        self.timeout = Some(limit);
        self
    }
}

/// A limit, and what is used of it.
struct Limited {
    limit: MethodLimit,
    running: Cell<usize>,
    rate: Option<RateLimiter>,
}

impl MethodLimits {
    /// No limits.
    pub fn new() -> MethodLimits {
        MethodLimits::default()
    }

    /// Limits the method of this name.
    pub fn method(mut self, name: impl Into<String>, limit: MethodLimit) -> MethodLimits {
        self.methods.insert(name.into(), Limited::new(limit));
        self
    }

    /// Limits all methods together that have no limit of their own.
    pub fn others(mut self, limit: MethodLimit) -> MethodLimits {
        self.others = Some(Limited::new(limit));
        self
    }
}

impl ServiceMiddleware for MethodLimits {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        let own = self.methods.get(&*next.canonical(call.method));
        let limited = own.or_else(|| self.methods.get(call.method)).or(self.others.as_ref());
        let Some(limited) = limited else { return next.call(call) };
        let _running = limited.begin(call)?;
        let Some(timeout) = limited.limit.timeout else { return next.call(call) };
        with_timeout(timeout, || next.call(call)).unwrap_or_else(|_| {
            Err(Failure::new(Failure::DEADLINE, format!("{:?} did not end within {timeout:?}", call.method)))
        })
    }
}

impl Limited {
    fn new(limit: MethodLimit) -> Limited {
        let rate = limit.per_second.map(|calls| RateLimiter::new(calls, Duration::from_secs(1)));
        Limited { limit, running: Cell::new(0), rate }
    }

    fn begin(&self, call: &Incoming<'_>) -> Result<Running<'_>, Failure> {
        self.check_params(call)?;
        self.check_in_flight(call)?;
        // Last, so that a call that does not run takes nothing of the rate.
        self.take_of_rate(call)?;
        self.running.set(self.running.get() + 1);
        Ok(Running(self))
    }

    fn check_params(&self, call: &Incoming<'_>) -> Result<(), Failure> {
        let bytes = call.params.len();
        match self.limit.params_bytes {
            Some(limit) if bytes > limit => {
                let reason =
                    format!("the parameters of {:?} have {bytes} bytes, and {limit} are the limit", call.method);
                Err(Failure::new(Failure::INVALID_PARAMS, reason))
            }
            _ => Ok(()),
        }
    }

    fn check_in_flight(&self, call: &Incoming<'_>) -> Result<(), Failure> {
        match self.limit.in_flight {
            Some(limit) if self.running.get() >= limit => Err(busy(call, &format!("{limit} calls of it run already"))),
            _ => Ok(()),
        }
    }

    fn take_of_rate(&self, call: &Incoming<'_>) -> Result<(), Failure> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.try_acquire(1).map_err(|error| match error {
            RateLimitError::NotYet { retry_after } => busy(call, &format!("there will be room in {retry_after:?}")),
            other => busy(call, &other.to_string()),
        })
    }
}

fn busy(call: &Incoming<'_>, why: &str) -> Failure {
    Failure::new(Failure::BUSY, format!("{:?} takes no more calls now: {why}", call.method))
}

/// A call that counts among those in flight.
struct Running<'a>(&'a Limited);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

impl fmt::Debug for MethodLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = self.methods.iter().map(|(name, limited)| (name.as_str(), &limited.limit));
        f.debug_map().entries(methods).finish()?;
        match &self.others {
            Some(others) => write!(f, ", others: {:?}", others.limit),
            None => Ok(()),
        }
    }
}
