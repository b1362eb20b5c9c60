//! Calls of this side: from the request's bytes to the answer.
//!
//! ```text
//!   wait for a place ──► wait for room ──► append ──► wait for the answer
//!        │ limit              │ limit                    │ limit, cancelled
//!        └───── not sent ─────┘                          └─► cancel goes out, a late answer is dropped
//! ```

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::{current_deadline, now, read_clock};

use super::calls::unwinding;
use super::shared::Shared;
use crate::caller::{CallOptions, Request};
use crate::error::CallError;
use crate::proto::{self, Extension, Meta};
use crate::value::Encoded;

/// A call in flight. Dropped before its answer has come, it tells the callee that nobody waits.
pub(crate) struct Pending {
    pub(super) shared: Rc<Shared>,
    pub(super) id: u32,
    patience: Patience,
    answered: Cell<bool>,
}

/// How long a call may take.
#[derive(Clone, Copy)]
struct Patience {
    limit: Option<Duration>,
    began: Instant,
    deadline: Option<Instant>,
}

impl Patience {
    fn of(shared: &Shared, options: &CallOptions) -> Patience {
        let limit = options.timeout.or(shared.limits.call_timeout);
        // Read anew: the caller may have computed for a while since its thread's clock was, and its time begins now.
        let began = read_clock();
        Patience { limit, began, deadline: limit.and_then(|limit| began.checked_add(limit)) }
    }

    fn timed_out(self, sent: bool) -> CallError {
        CallError::TimedOut { limit: self.limit.unwrap_or_default(), sent }
    }

    /// What is left of the nearer of this limit and those around the call.
    fn remaining(self) -> Option<Duration> {
        let nearest = match (self.deadline, current_deadline()) {
            (Some(own), Some(ambient)) => Some(own.min(ambient)),
            (own, ambient) => own.or(ambient),
        };
        nearest.map(|deadline| deadline.saturating_duration_since(now().max(self.began)))
    }
}

impl Shared {
    /// Makes a call and waits for the answer.
    pub(super) fn exchange(self: &Rc<Shared>, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.begin(request, None)?.wait()
    }

    /// Sends a notification.
    pub(super) fn tell(self: &Rc<Shared>, request: &Request<'_>) -> Result<(), CallError> {
        self.check_served(request.method)?;
        let patience = Patience::of(self, request.options);
        self.wait_for_room(patience)?;
        let meta = self.meta(request.options, None, None);
        self.append_within_limit(false, |out| {
            proto::append_notification(out, request.method, request.params, meta.as_ref());
        })?;
        Ok(())
    }

    /// Sends a request; `window` is how much of a stream of the callee's the caller takes.
    pub(super) fn begin(self: &Rc<Shared>, request: &Request<'_>, window: Option<u64>) -> Result<Pending, CallError> {
        self.check_number(request.options)?;
        self.check_served(request.method)?;
        let patience = Patience::of(self, request.options);
        self.wait_for_place(patience)?;
        self.wait_for_room(patience)?;
        let remaining = if self.has(Extension::Meta) { patience.remaining() } else { None };
        let meta = self.meta(request.options, remaining, window);
        let id = self.calls.begin();
        let pending = Pending { shared: self.clone(), id, patience, answered: Cell::new(true) };
        // The only call of the connection: nothing is to be expected that could leave with it. With streams, items follow.
        let is_alone = self.calls.len() == 1 && self.jobs.is_idle() && window.is_none();
        let position = self.append_within_limit(is_alone, |out| {
            proto::append_request(out, id, request.method, request.params, meta.as_ref());
        })?;
        pending.answered.set(false);
        self.calls.set_position(id, position);
        if self.jobs.is_waiting() || !self.eased.is_empty() {
            self.review_jobs();
        }
        Ok(pending)
    }

    /// Refuses a numbered call whose number would not arrive, so that nobody could know it again.
    /// Number 0 may go: it belongs to the question whether numbers arrive (see [`replies`](crate::replies)).
    fn check_number(&self, options: &CallOptions) -> Result<(), CallError> {
        match options.sequence {
            Some(sequence) if sequence.number > 0 && !self.has(Extension::Meta) => {
                Err(CallError::Refused { reason: "sequence numbers do not travel to this peer".into() })
            }
            _ => Ok(()),
        }
    }

    /// Refuses what a peer that runs no calls would never run. The connection's own requests are answered all the same.
    fn check_served(&self, method: &str) -> Result<(), CallError> {
        if self.calls.peer_runs_none() && !method.starts_with("$/") {
            return Err(CallError::Refused { reason: "the peer has said that it runs no calls".into() });
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), CallError> {
        if !self.is_open() || self.reason().is_some() {
            return Err(CallError::NotSent { cause: self.cause() });
        }
        if self.peer_drains.get() {
            return Err(CallError::Refused { reason: "the peer takes no new calls on this connection".into() });
        }
        Ok(())
    }

    fn wait_for_place(&self, patience: Patience) -> Result<(), CallError> {
        loop {
            self.check_open()?;
            if !self.calls.is_full() {
                return Ok(());
            }
            if thread::panicking() {
                return Err(unwinding());
            }
            if self.jobs.running() >= self.calls.len() {
                // Each call in flight may be waiting for one that runs here, and this may be one of those.
                let reason = "as many calls as the peer takes are in flight, and may wait for those that run here";
                return Err(CallError::Refused { reason: reason.into() });
            }
            if !self.calls.wait_for_place(patience.deadline) {
                return Err(patience.timed_out(false));
            }
        }
    }

    fn wait_for_room(&self, patience: Patience) -> Result<(), CallError> {
        loop {
            self.check_open()?;
            if !self.output.is_full() {
                return Ok(());
            }
            if thread::panicking() {
                return Err(unwinding());
            }
            if !self.output.wait_for_room(patience.deadline) {
                return Err(patience.timed_out(false));
            }
        }
    }

    fn meta<'a>(&self, options: &'a CallOptions, remaining: Option<Duration>, window: Option<u64>) -> Option<Meta<'a>> {
        if !self.has(Extension::Meta) {
            return None;
        }
        let meta = Meta {
            remaining,
            sequence: options.sequence,
            trace: options.trace.as_ref().map(Cow::Borrowed),
            metadata: Cow::Borrowed(&options.metadata),
            window,
        };
        (!meta.is_empty()).then_some(meta)
    }

    /// Appends a message, unless it is longer than the peer takes, and writes it at once if that is asked for.
    fn append_within_limit(&self, at_once: bool, append: impl FnOnce(&mut Vec<u8>)) -> Result<u64, CallError> {
        let limit = self.longest.get();
        self.spoke.set(true);
        self.append(at_once, |out| {
            let start = out.len();
            append(out);
            let bytes = out.len() - start;
            if bytes <= limit {
                return Ok(());
            }
            out.truncate(start);
            Err(CallError::TooLarge { bytes, limit, sent: false })
        })
    }
}

impl Pending {
    /// When the call's own limit passes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.patience.deadline
    }

    /// Whether it has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now())
    }

    /// What a call fails with that is late.
    pub(super) fn timed_out(&self) -> CallError {
        self.patience.timed_out(true)
    }

    /// Waits for the answer.
    #[inline]
    pub(super) fn wait(&self) -> Result<Encoded, CallError> {
        match self.shared.calls.wait(self.id, self.patience.deadline) {
            Some(answer) => {
                self.answered.set(true);
                answer
            }
            None => Err(self.patience.timed_out(true)),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let shared = &self.shared;
        let given_up = shared.calls.end(self.id, self.answered.get());
        if given_up && shared.is_open() && shared.has(Extension::Cancel) {
            // It waits for no room: a call in flight adds one of these at most.
            let _ = shared.output.append(|out| {
                proto::append_cancel(out, self.id);
                Ok::<(), ()>(())
            });
        }
        if shared.peer_drains.get() {
            shared.note_change();
        }
    }
}
