//! Which calls of the peer are taken, and which are refused before they run.
//!
//! ```text
//!   request ──► proven? draining? rate? ──► metadata, streams, id ──► line of jobs ──► too much? the reader waits
//!                 │ no                          │ wrong
//!                 └───────── answered ◄─────────┘
//! ```
//!
//! A request is refused where waiting could be for ever: when every call that runs may itself be waiting for the peer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{Reason, now};

use super::close::CloseReason;
use super::jobs::Job;
use super::log::CallEntry;
use super::shared::Shared;
use crate::error::Failure;
use crate::proto::{Extension, Meta, MetaError, MetaLimits};

/// What came with a call beside its parameters.
#[derive(Default)]
struct Travelling {
    deadline: Option<Instant>,
    window: Option<u64>,
    /// Everything else, if there is anything.
    more: Option<Box<Meta<'static>>>,
}

impl Travelling {
    /// What a method learns that may run for `longest` at most.
    fn of(meta: Meta<'static>, longest: Option<Duration>) -> Travelling {
        let left = meta.remaining.map(|left| longest.map_or(left, |longest| left.min(longest)));
        let deadline = left.and_then(|left| now().checked_add(left));
        let has_more = meta.sequence.is_some() || meta.trace.is_some() || !meta.metadata.is_empty();
        Travelling { deadline, window: meta.window, more: has_more.then(|| Box::new(meta)) }
    }
}

impl Shared {
    /// Takes a request of the peer, and waits while there are too many.
    pub(super) fn take_request(
        self: &Rc<Shared>,
        id: u32,
        method: &str,
        params: &[u8],
        meta: Option<&[u8]>,
        frame: &[u8],
    ) -> Result<(), CloseReason> {
        if (method.starts_with("$/") || !self.is_proven())
            && let Some(answered) = self.answer_itself(id, method, params)
        {
            self.wait_while_overfull();
            return answered;
        }
        let admitted = self.admit(meta).and_then(|travelling| {
            // Before the request is noted: what was noted is answered by a worker.
            let window = travelling.window.filter(|_| self.has_streams());
            let flow = window.map(|window| self.open_job(id, window)).transpose()?;
            if !self.jobs.register(id) {
                let text = format!("a call with the id {id} is in flight already");
                return Err(Failure::new(Failure::INVALID_REQUEST, text));
            }
            if let Some(flow) = flow {
                self.jobs.set_flow(id, flow);
            }
            Ok(travelling)
        });
        match admitted {
            Ok(travelling) => self.enqueue(self.jobs.job(Some(id), frame, method, params), travelling),
            Err(failure) => {
                self.log_refusal(method, false, &failure);
                self.answer(id, Err(&failure));
                self.wait_while_overfull();
            }
        }
        Ok(())
    }

    /// Takes a notification of the peer, and waits while there are too many calls.
    pub(super) fn take_notification(
        self: &Rc<Shared>,
        method: &str,
        params: &[u8],
        meta: Option<&[u8]>,
        frame: &[u8],
    ) -> Result<(), CloseReason> {
        match self.admit(meta) {
            Ok(travelling) => self.enqueue(self.jobs.job(None, frame, method, params), travelling),
            Err(failure) => self.log_refusal(method, true, &failure),
        }
        Ok(())
    }

    /// Whether a call may run at all, and what travels with it.
    fn admit(&self, meta: Option<&[u8]>) -> Result<Travelling, Failure> {
        if !self.is_proven() {
            return Err(Failure::new(Failure::UNAUTHENTICATED, "the caller has not proven who it is"));
        }
        if self.draining.get() {
            return Err(Failure::new(Failure::UNAVAILABLE, "the callee takes no new calls"));
        }
        if self.limits.in_flight == 0 {
            return Err(Failure::new(Failure::UNAVAILABLE, "this side runs no calls"));
        }
        if self.service.is_none() {
            return Err(Failure::new(Failure::METHOD_NOT_FOUND, "this side has no methods"));
        }
        if let Some(rate) = &self.rate
            && rate.try_acquire(1).is_err()
        {
            return Err(Failure::new(Failure::BUSY, "more calls a second than the limit"));
        }
        if self.jobs.may_be_stuck(self.calls.len()) || self.holds_much() {
            return Err(busy());
        }
        let Some(meta) = meta else { return Ok(Travelling::default()) };
        if !self.has(Extension::Meta) {
            return Err(Failure::new(Failure::INVALID_REQUEST, "metadata were not agreed on"));
        }
        let limits = MetaLimits { pairs: self.limits.metadata_pairs, bytes: self.limits.metadata_bytes };
        Meta::decode(meta, limits).map(|meta| Travelling::of(meta, self.limits.longest_method)).map_err(|error| {
            let code = match error {
                MetaError::TooManyBytes { .. } | MetaError::TooManyPairs { .. } => Failure::TOO_LARGE,
                _ => Failure::INVALID_REQUEST,
            };
            Failure::new(code, error.to_string())
        })
    }

    fn enqueue(self: &Rc<Shared>, mut job: Job, travelling: Travelling) {
        job.deadline = travelling.deadline;
        job.meta = travelling.more;
        self.jobs.push(job);
        self.call_a_worker();
        self.wait_while_loaded();
    }

    /// Answers all requests that wait with this failure.
    pub(super) fn refuse_waiting(&self, failure: &Failure) {
        while let Some(job) = self.jobs.pop() {
            self.log_refusal(job.method(), job.id.is_none(), failure);
            if let Some(id) = job.id
                && self.jobs.unregister(id).is_some_and(|active| !active.cancelled)
            {
                self.answer(id, Err(failure));
            }
            self.jobs.recycle(job);
        }
        self.eased.wake_all();
    }

    /// Waits while the peer's requests take too much, unless the peer waits for this side in its turn.
    pub(super) fn wait_while_loaded(&self) {
        while self.is_loaded() && self.is_open() {
            if !self.eased.wait(Reason::Other("the calls of the peer to end")) {
                return;
            }
        }
    }

    fn is_loaded(&self) -> bool {
        self.jobs.queued_bytes() > self.limits.waiting_bytes || self.holds_much() && self.calls.len() == 0
    }

    /// Whether the requests that run and wait take as much as is allowed: the longest one, and what may wait besides.
    pub(super) fn holds_much(&self) -> bool {
        self.jobs.held_bytes() > self.limits.waiting_bytes.saturating_add(self.limits.frame_bytes)
    }

    fn log_refusal(&self, method: &str, is_notification: bool, failure: &Failure) {
        if let Some(log) = &self.log {
            let peer = &self.identity();
            log(&CallEntry { peer, method, is_notification, failure: Some(failure), took: Duration::ZERO });
        }
    }
}

/// Where waiting could be for ever.
pub(super) fn busy() -> Failure {
    Failure::new(Failure::BUSY, "as many calls as the limit run, and they may be waiting for the caller")
}
