//! The caller that stands before several endpoints.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::breaker::BreakerOptions;
use super::endpoint::{Endpoint, EndpointSource};
use super::error;
use super::hedge::{HedgeCounts, HedgeOptions, Hedging};
use super::members::{Attempt, Members};
use super::policy::Policy;
use super::refresh::Refresher;
use super::state::EndpointState;
use crate::accompanied::{Accompanied, Companion};
use crate::caller::{Caller, OpenCall, Request};
use crate::error::{CallError, Failure};
use crate::own_limit::OwnLimit;
use crate::value::Encoded;

/// How a [`Balancer`] goes about it.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct BalancerOptions {
    /// How it chooses; [`Policy::LeastLoaded`] unless set.
    pub policy: Policy,
    /// When an endpoint is ejected, and for how long.
    pub breaker: BreakerOptions,
    /// How many percent of the endpoints may be ejected at a time; 67 unless set, and so two of three.
    ///
    /// When more than these fail, the others get calls all the same: one that is wrongly suspected is better than none.
    /// A single endpoint is ejected at 100 only.
    pub ejected_percent: u32,
    /// A second attempt for calls that take long; `None`, and so none, unless set.
    pub hedge: Option<HedgeOptions>,
    /// How long a call waits, when no endpoint has been found yet; 10 s unless set.
    pub find_timeout: Duration,
}

impl Default for BalancerOptions {
    fn default() -> BalancerOptions {
        BalancerOptions {
            policy: Policy::default(),
            breaker: BreakerOptions::default(),
            ejected_percent: 67,
            hedge: None,
            find_timeout: Duration::from_secs(10),
        }
    }
}

/// A caller over several endpoints, each of which has a caller of its own.
///
/// It looks for the endpoints with its first call. Each call goes to one of them, and its failure is the call's:
/// to go on to another is the part of [`Retrying::across`](crate::retry::Retrying::across) around it.
/// All methods of [`Caller`] suspend.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, OpenCall, Request};
/// use grapeshot_rpc::balance::{Balancer, Endpoint};
///
/// /// Stands in for a connection: it answers with its address.
/// struct Named(String);
///
/// impl Caller for Named {
///     fn exchange(&self, _: &Request<'_>) -> Result<Encoded, CallError> {
///         Ok(Encoded::of(&self.0)?)
///     }
///     fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
///         Ok(())
///     }
///     fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
///         Err(CallError::Refused { reason: "no streams here".into() })
///     }
/// }
///
/// test::run(|| {
///     let balancer = Balancer::new(["calc1:7000", "calc2:7000"], |endpoint| Named(endpoint.address.clone()));
///     let request = Request { method: "name", params: &[0x90], options: &CallOptions::default() };
///     let first: String = balancer.exchange(&request).unwrap().decode().unwrap();
///     let second: String = balancer.exchange(&request).unwrap().decode().unwrap();
///     assert_eq!((first.as_str(), second.as_str()), ("calc1:7000", "calc2:7000"));
/// });
/// ```
pub struct Balancer<C: Caller + 'static> {
    pub(super) members: Rc<Members<C>>,
    refresher: Refresher<C>,
    hedging: Option<Hedging>,
}

impl<C: Caller + 'static> Balancer<C> {
    /// A balancer over the endpoints that `source` finds, with a caller for each that `make` makes when it is found.
    ///
    /// What `make` makes is to connect by itself, and again when a connection is lost:
    /// a [`Reconnecting`](crate::reconnect::Reconnecting) or a [`Pool`](crate::pool::Pool).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use grapeshot_dns::Resolver;
    /// use grapeshot_rpc::balance::{Balancer, ServiceRecords};
    /// use grapeshot_rpc::reconnect::Reconnecting;
    /// use grapeshot_rpc::retry::Retrying;
    /// use grapeshot_rpc::{CallerExt, Client};
    ///
    /// let calculators = ServiceRecords::new(Resolver::of_thread(), "_calc._tcp.example.com");
    /// let client = Retrying::across(Balancer::new(calculators, |endpoint| {
    ///     let address = endpoint.address.clone();
    ///     Retrying::beneath(Reconnecting::new(move || Client::connect(&address)))
    /// }));
    /// let sum: i64 = client.call("add", &(40, 2))?;
    /// # Ok::<(), grapeshot_rpc::CallError>(())
    /// ```
    pub fn new(source: impl EndpointSource + 'static, make: impl Fn(&Endpoint) -> C + 'static) -> Balancer<C> {
        Balancer::with_options(source, BalancerOptions::default(), make)
    }

    /// As [`new`](Self::new), with options.
    pub fn with_options(
        source: impl EndpointSource + 'static,
        options: BalancerOptions,
        make: impl Fn(&Endpoint) -> C + 'static,
    ) -> Balancer<C> {
        let hedging = options.hedge.clone().map(Hedging::new);
        let members = Rc::new(Members::new(options));
        let refresher = Refresher::new(members.clone(), Rc::new(source), Rc::new(make));
        Balancer { members, refresher, hedging }
    }

    /// The endpoints as they are now: those in use by priority, then those that leave. None before the first call.
    /// Never suspends.
    pub fn endpoints(&self) -> Vec<EndpointState> {
        self.members.states()
    }

    /// Has the source asked for the endpoints soon, though their time is not over. Never suspends.
    ///
    /// A call that could not be sent does the same.
    pub fn refresh(&self) {
        self.refresher.ask_soon();
    }

    /// How many second attempts were made for calls that took long, and what came of them.
    pub fn hedges(&self) -> HedgeCounts {
        self.hedging.as_ref().map(Hedging::counts).unwrap_or_default()
    }

    /// Waits for endpoints if none are known yet, and chooses one.
    fn begin(&self, limit: Option<Duration>) -> Result<Attempt<C>, CallError> {
        if self.refresher.is_due() {
            let find_timeout = self.members.options.find_timeout;
            self.refresher.wait_for_first(limit.map_or(find_timeout, |limit| limit.min(find_timeout)))?;
        }
        let chosen = self.members.choose().ok_or_else(|| self.nobody())?;
        Ok(Attempt::begin(&self.members, chosen))
    }

    /// Why no endpoint takes a call.
    fn nobody(&self) -> CallError {
        self.refresher.ask_soon();
        match self.members.len() {
            0 => error::none_found(self.refresher.last_error()),
            _ => error::all_ejected(&self.members.states()),
        }
    }

    /// Makes a call at the endpoint that was chosen for it.
    pub(super) fn exchange_at(&self, attempt: Attempt<C>, request: &Request<'_>) -> Result<Encoded, CallError> {
        let result = attempt.member.caller.exchange(request);
        self.end(attempt, result)
    }

    /// Counts how an attempt ended, and adds to its error what is known of the other endpoints.
    fn end<T>(&self, attempt: Attempt<C>, result: Result<T, CallError>) -> Result<T, CallError> {
        attempt.end(result.as_ref().err());
        result.map_err(|error| {
            if !is_unreachable(&error) {
                return error;
            }
            self.refresher.ask_soon();
            error::with_all(error, self.members.all_failed())
        })
    }
}

/// Whether an endpoint said, or did not even say, that it takes no calls.
fn is_unreachable(error: &CallError) -> bool {
    match error {
        CallError::NotSent { .. } => true,
        CallError::Failed(failure) => failure.code == Failure::UNAVAILABLE,
        _ => false,
    }
}

impl<C: Caller + 'static> Caller for Balancer<C> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        let own = OwnLimit::of(request.options.timeout);
        let attempt = self.begin(request.options.timeout)?;
        own.within(request, |request| match &self.hedging {
            Some(hedging) if Hedging::allows(request) => self.exchange_hedged(hedging, attempt, own, request),
            _ => self.exchange_at(attempt, request),
        })
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        let own = OwnLimit::of(request.options.timeout);
        let attempt = self.begin(request.options.timeout)?;
        own.within(request, |request| match attempt.member.caller.tell(request) {
            // That it was handed to a connection tells nothing of the endpoint.
            Ok(()) => {
                attempt.end_untold();
                Ok(())
            }
            failed => self.end(attempt, failed),
        })
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let own = OwnLimit::of(request.options.timeout);
        let attempt = self.begin(request.options.timeout)?;
        own.within(request, |request| match attempt.member.caller.open(request) {
            Ok(call) => Ok(Accompanied::boxed(own.accompany(call), attempt)),
            Err(error) => self.end(attempt, Err(error)),
        })
    }
}

impl<C: Caller + 'static> fmt::Debug for Balancer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.endpoints().iter().map(ToString::to_string)).finish()
    }
}

/// A call with streams counts at its endpoint until it is over.
impl<C> Companion for Attempt<C> {
    fn finish(self, result: &Result<Encoded, CallError>) {
        self.end(result.as_ref().err());
    }
}
