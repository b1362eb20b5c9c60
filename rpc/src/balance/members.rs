//! The endpoints of a balancer as they come and go, and the calls in flight at each.
//!
//! # Invariants
//!
//! - An endpoint that is found no more gets no new calls, and its caller lives until the last one in flight has ended.
//! - An endpoint that is found again is the same one, with its calls, its breaker and its connections.
//! - Nothing is borrowed while a caller is made, used or dropped.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use grapeshot_core::{current_deadline, now, read_clock};

use super::balancer::BalancerOptions;
use super::breaker::{Breaker, BreakerState, Pass, Verdict};
use super::endpoint::{Endpoint, MAX_ENDPOINTS};
use super::error::kept;
use super::policy::Load;
use super::state::{EndpointState, Standing};
use crate::error::CallError;

/// One endpoint, and the caller that leads there.
pub(crate) struct Member<C> {
    pub(crate) address: String,
    pub(crate) caller: C,
    pub(crate) load: Load,
    pub(crate) breaker: Breaker,
    priority: Cell<u16>,
    calls: Cell<u64>,
    failures: Cell<u64>,
    /// A moving average over calls with a result.
    latency: Cell<Option<Duration>>,
    /// Of the last call, if it failed in a way that tells against the endpoint.
    pub(crate) last_error: RefCell<Option<CallError>>,
}

pub(crate) struct Members<C> {
    present: RefCell<Vec<Rc<Member<C>>>>,
    /// Those found no more, which may have calls in flight.
    leaving: RefCell<Vec<Weak<Member<C>>>>,
    pub(crate) options: BalancerOptions,
}

impl<C> Members<C> {
    pub(crate) fn new(options: BalancerOptions) -> Members<C> {
        Members { present: RefCell::default(), leaving: RefCell::default(), options }
    }

    /// Makes these the endpoints that calls go to.
    pub(crate) fn replace(&self, mut found: Vec<Endpoint>, make: &dyn Fn(&Endpoint) -> C) {
        // Stable: within a priority the source's order counts.
        found.sort_by_key(|endpoint| endpoint.priority);
        found.truncate(MAX_ENDPOINTS);
        let mut present: Vec<Rc<Member<C>>> = Vec::with_capacity(found.len());
        for endpoint in &found {
            if present.iter().any(|member| member.address == endpoint.address) {
                continue;
            }
            let member = self.named(&endpoint.address).unwrap_or_else(|| self.new_member(endpoint, make));
            member.priority.set(endpoint.priority);
            member.load.weight.set(endpoint.weight);
            present.push(member);
        }
        let is_present = |member: &Rc<Member<C>>| present.iter().any(|other| Rc::ptr_eq(other, member));
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|member| member.upgrade().is_some_and(|member| !is_present(&member)));
        leaving.extend(self.present.borrow().iter().filter(|member| !is_present(member)).map(Rc::downgrade));
        drop(leaving);
        let old = self.present.replace(present);
        drop(old);
    }

    fn new_member(&self, endpoint: &Endpoint, make: &dyn Fn(&Endpoint) -> C) -> Rc<Member<C>> {
        Rc::new(Member {
            address: endpoint.address.clone(),
            caller: make(endpoint),
            load: Load::new(endpoint.weight),
            breaker: Breaker::new(self.options.breaker.clone()),
            priority: Cell::new(endpoint.priority),
            calls: Cell::new(0),
            failures: Cell::new(0),
            latency: Cell::new(None),
            last_error: RefCell::new(None),
        })
    }

    /// The endpoint with an address, also when it is about to leave.
    pub(crate) fn named(&self, address: &str) -> Option<Rc<Member<C>>> {
        let is_named = |member: &Rc<Member<C>>| member.address == address;
        let present = self.present.borrow().iter().find(|member| is_named(member)).cloned();
        present.or_else(|| self.leaving.borrow().iter().filter_map(Weak::upgrade).find(is_named))
    }

    /// Chooses where a call goes; `None` when no endpoint takes calls.
    pub(crate) fn choose(&self) -> Option<Rc<Member<C>>> {
        self.choose_but(None)
    }

    /// Chooses another endpoint of the same priority, a backup being none for a call that is only slow.
    pub(crate) fn choose_beside(&self, first: &Rc<Member<C>>) -> Option<Rc<Member<C>>> {
        self.choose_but(Some(first)).filter(|second| second.priority == first.priority)
    }

    fn choose_but(&self, avoided: Option<&Rc<Member<C>>>) -> Option<Rc<Member<C>>> {
        let (present, now) = (self.present.borrow(), now());
        let takes_calls = |member: &&Rc<Member<C>>| {
            member.breaker.may_pass(now) && !avoided.is_some_and(|avoided| Rc::ptr_eq(avoided, member))
        };
        let best = present.iter().filter(takes_calls).map(|member| member.priority.get()).min()?;
        let candidates = || present.iter().filter(takes_calls).filter(|member| member.priority.get() == best);
        candidates().for_each(|member| member.load.penalty.set(member.breaker.recent_failures(now)));
        let chosen = self.options.policy.choose(candidates().map(|member| &member.load))?;
        candidates().nth(chosen).cloned()
    }

    /// Whether one more endpoint may be left out.
    fn may_eject(&self) -> bool {
        let (present, now) = (self.present.borrow(), now());
        let ejected = present.iter().filter(|member| member.breaker.state(now) != BreakerState::Closed).count();
        (ejected + 1) * 100 <= present.len() * self.options.ejected_percent as usize
    }

    pub(crate) fn len(&self) -> usize {
        self.present.borrow().len()
    }

    /// The last error of each endpoint, if none has worked since its last call.
    pub(crate) fn all_failed(&self) -> Option<Vec<(String, CallError)>> {
        let failed = |member: &Rc<Member<C>>| Some((member.address.clone(), member.last_error.borrow().clone()?));
        self.present.borrow().iter().map(failed).collect()
    }

    pub(crate) fn states(&self) -> Vec<EndpointState> {
        let now = now();
        let present = self.present.borrow();
        let leaving: Vec<_> = self.leaving.borrow().iter().filter_map(Weak::upgrade).collect();
        let with_calls = present.iter().map(|member| member.state(Standing::of(member.breaker.state(now))));
        with_calls.chain(leaving.iter().map(|member| member.state(Standing::Leaving))).collect()
    }
}

impl<C> Member<C> {
    fn state(&self, standing: Standing) -> EndpointState {
        EndpointState {
            endpoint: Endpoint {
                address: self.address.clone(),
                priority: self.priority.get(),
                weight: self.load.weight.get(),
            },
            standing,
            in_flight: self.load.in_flight.get(),
            calls: self.calls.get(),
            failures: self.failures.get(),
            failures_in_a_row: self.breaker.failures_in_a_row(),
            ejections_in_a_row: self.breaker.openings(),
            latency: self.latency.get(),
            last_error: self.last_error.borrow().clone(),
        }
    }

    fn note_latency(&self, took: Duration) {
        let average = match self.latency.get() {
            Some(average) => (average * 7 + took) / 8,
            None => took,
        };
        self.latency.set(Some(average));
    }
}

/// One call at one endpoint, from its choice to its end.
pub(crate) struct Attempt<C> {
    pub(crate) member: Rc<Member<C>>,
    members: Rc<Members<C>>,
    /// `None` once the breaker has been told.
    pass: Option<Pass>,
    began: Instant,
    /// The limit around it, which ends it by unwinding.
    deadline: Option<Instant>,
    is_settled: bool,
}

impl<C> Attempt<C> {
    pub(crate) fn begin(members: &Rc<Members<C>>, member: Rc<Member<C>>) -> Attempt<C> {
        // Read anew: what its caller computed before is no part of its latency.
        let began = read_clock();
        member.calls.set(member.calls.get() + 1);
        member.load.in_flight.set(member.load.in_flight.get() + 1);
        let pass = member.breaker.try_pass(began);
        Attempt { member, members: members.clone(), pass, began, deadline: current_deadline(), is_settled: false }
    }

    /// Counts how it ended.
    pub(crate) fn end(mut self, error: Option<&CallError>) {
        let verdict = error.map_or(Verdict::Success, |error| (self.members.options.breaker.judge)(error));
        if error.is_none() {
            self.member.note_latency(now().saturating_duration_since(self.began));
        }
        match verdict {
            Verdict::Success => drop(self.member.last_error.take()),
            Verdict::Failure => drop(self.member.last_error.replace(error.map(kept))),
            Verdict::Nothing => {}
        }
        self.settle(verdict);
    }

    /// Counts nothing but that it is over.
    pub(crate) fn end_untold(mut self) {
        self.settle(Verdict::Nothing);
    }

    fn settle(&mut self, verdict: Verdict) {
        self.is_settled = true;
        if verdict == Verdict::Failure {
            self.member.failures.set(self.member.failures.get() + 1);
        }
        if let Some(pass) = self.pass.take() {
            self.member.breaker.settle(pass, verdict, now(), || self.members.may_eject());
        }
    }
}

impl<C> Drop for Attempt<C> {
    fn drop(&mut self) {
        self.member.load.in_flight.set(self.member.load.in_flight.get() - 1);
        if self.is_settled {
            return;
        }
        // Unwound. If that was for its time limit, the endpoint was silent; else its caller changed its mind.
        let was_too_slow = self.deadline.is_some_and(|deadline| now() >= deadline);
        self.settle(if was_too_slow { Verdict::Failure } else { Verdict::Nothing });
    }
}
