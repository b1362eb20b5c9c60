//! The caller that repeats.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use super::attempts::Attempts;
use super::budget::RetryBudget;
use super::numbers::Numbers;
use super::options::{RetryCounts, RetryOptions};
use crate::caller::{Caller, OpenCall, Request};
use crate::connect::Connected;
use crate::error::CallError;
use crate::value::Encoded;

/// A caller that makes calls again when they may be: see the [module's page](super).
///
/// It suspends while it waits for its next attempt, besides what the caller in it does.
/// A limit around the call ([`grapeshot_core::with_timeout`]) ends it as a whole.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use grapeshot_core::test;
/// use grapeshot_rpc::retry::Retrying;
/// use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, OpenCall, Request};
///
/// /// A server that is not there yet when it is called for the first time.
/// #[derive(Default)]
/// struct Late(Cell<bool>);
///
/// impl Caller for Late {
///     fn exchange(&self, _: &Request<'_>) -> Result<Encoded, CallError> {
///         let there = self.0.replace(true);
///         let refused = || CallError::Refused { reason: "it is not there yet".to_owned() };
///         there.then(Encoded::nil).ok_or_else(refused)
///     }
/// #   fn tell(&self, _: &Request<'_>) -> Result<(), CallError> { Ok(()) }
/// #   fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> { unreachable!() }
///     // …
/// }
///
/// test::run(|| {
///     let retrying = Retrying::new(Late::default());
///     let request = Request { method: "nop", params: &[0x90], options: &CallOptions::default() };
///     assert_eq!(retrying.exchange(&request).unwrap(), Encoded::nil());
///     assert_eq!(retrying.counts().repeats, 1);
/// });
/// ```
pub struct Retrying<C> {
    pub(super) caller: C,
    pub(super) options: RetryOptions,
    pub(super) budget: RetryBudget,
    pub(super) numbers: Option<Numbers>,
    /// Whether all is left to whoever can call another server, but for numbered calls that may have run at this one.
    pub(super) leaves_to_others: bool,
    pub(super) counts: Cell<RetryCounts>,
}

impl<C: Caller> Retrying<C> {
    /// Repeats calls to one server, and gives numbers to those that are to be [`Sequenced`](crate::Repeat::Sequenced).
    pub fn new(caller: C) -> Retrying<C> {
        Retrying { numbers: Some(Numbers::default()), ..Retrying::across(caller) }
    }

    /// Repeats calls to one of several servers, such as a balancer chooses among.
    ///
    /// Numbers mean something to one server only: a sequenced call is repeated here if it certainly did not run.
    pub fn across(caller: C) -> Retrying<C> {
        Retrying {
            caller,
            options: RetryOptions::default(),
            budget: RetryBudget::default(),
            numbers: None,
            leaves_to_others: false,
            counts: Cell::default(),
        }
    }

    /// Repeats calls to one of several servers, beneath a balancer: as [`new`](Self::new), but only numbered calls that may
    /// have run, whose replies no other server has. All others fail at once, so that [`across`](Self::across), around the
    /// balancer, can make them at another server.
    pub fn beneath(caller: C) -> Retrying<C> {
        Retrying { leaves_to_others: true, ..Retrying::new(caller) }
    }

    /// Sets how often and for how long calls are tried.
    pub fn options(mut self, options: RetryOptions) -> Retrying<C> {
        self.options = options;
        self
    }

    /// Sets what the repeats are paid from; clones of one budget share it.
    pub fn budget(mut self, budget: RetryBudget) -> Retrying<C> {
        self.budget = budget;
        self
    }

    /// The caller in it.
    pub fn inner(&self) -> &C {
        &self.caller
    }

    /// What it has done so far.
    pub fn counts(&self) -> RetryCounts {
        self.counts.get()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut RetryCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// How long a call may take with all its attempts.
    pub(super) fn limit(&self, request: &Request<'_>) -> Option<Duration> {
        request.options.timeout.or(self.options.timeout)
    }
}

impl<C: Caller> Caller for Retrying<C> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        Attempts::of_call(self, request).run(|caller, request| caller.exchange(request))
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        Attempts::without_number(self, request).run(|caller, request| caller.tell(request))
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let attempts = Attempts::without_number(self, request);
        let own = attempts.own_limit();
        attempts.run(|caller, request| caller.open(request)).map(|call| own.accompany(call))
    }
}

impl<C: Connected> Connected for Retrying<C> {
    fn is_closed(&self) -> bool {
        self.caller.is_closed()
    }

    fn close(&self) {
        self.caller.close();
    }
}

impl<C> fmt::Debug for Retrying<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying").field("options", &self.options).field("counts", &self.counts.get()).finish()
    }
}
