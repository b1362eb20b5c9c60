//! What the coroutines of one connection share: its reader, its writer, its workers, and whoever calls through it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{Group, RateLimiter, Reason, TimeLimit, Unparked, WaitQueue, now};

use super::calls::Calls;
use super::close::CloseReason;
use super::jobs::Jobs;
use super::output::Output;
use super::proof::Proof;
use super::setup::{Settings, Setup};
use super::streams::Streams;
use crate::caller::Caller;
use crate::error::Failure;
use crate::limits::Limits;
use crate::proto::{self, Extension, ExtensionSet, Hello};
use crate::service::{Context, Service};
use crate::transport::{Identity, Transport};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Calls are made and served.
    Open,
    /// No call is made or served any more; what has been said is written.
    Closing,
    /// The transport is closed.
    Closed,
}

/// Says whether a caller may call a method.
pub(super) type Authorize = Rc<dyn Fn(&Context, &str) -> Result<(), Failure>>;

/// The state of one connection.
pub(crate) struct Shared {
    pub(super) transport: Box<dyn Transport>,
    pub(super) service: Option<Rc<dyn Service>>,
    pub(super) limits: Limits,
    pub(super) name: String,
    /// Which extensions this side would use.
    pub(super) offered: ExtensionSet,
    /// Which of them both use.
    pub(super) agreed: Cell<ExtensionSet>,
    /// The longest message that the peer takes and this side sends.
    pub(super) longest: Cell<usize>,
    identity: RefCell<Rc<Identity>>,
    pub(super) proof: Proof,
    pub(super) authorize: Option<Authorize>,
    pub(super) log: Option<super::log::Log>,
    pub(super) rate: Option<RateLimiter>,
    pub(super) closes_when_idle: bool,
    pub(super) output: Rc<Output>,
    pub(super) calls: Calls,
    pub(super) jobs: Jobs,
    pub(super) streams: Streams,
    pub(super) crew: Group,
    pub(super) workers: Group,
    pub(super) idle_workers: WaitQueue,
    /// A worker has been woken, and has not come to its turn.
    pub(super) worker_comes: Cell<bool>,
    /// The reader waits here until fewer requests wait.
    pub(super) eased: WaitQueue,
    /// This side has called or told something since the reader last looked.
    pub(super) spoke: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    /// This side takes no new calls.
    pub(super) draining: Cell<bool>,
    /// The peer takes no new calls.
    pub(super) peer_drains: Cell<bool>,
    /// Why it is over, once it is.
    reason: RefCell<Option<CloseReason>>,
    /// The limit on reading: it has none until somebody stops the connection.
    pub(super) reading: RefCell<Option<TimeLimit>>,
    /// Whoever waits for calls of the peer to end.
    changed: WaitQueue,
    /// Whoever waits for the end: apart, as a call is no news to them.
    over: WaitQueue,
    back: RefCell<Option<Rc<dyn Caller>>>,
}

impl Shared {
    pub(super) fn new(setup: Setup) -> Rc<Shared> {
        let Setup { transport, settings } = setup;
        let offered = settings.offered();
        let proof = settings.proof();
        let Settings { service, limits, name, authorize, log, closes_when_idle, .. } = settings;
        let rate = limits
            .calls_per_second
            .map(|rate| RateLimiter::new(rate.max(1), Duration::from_secs(1)).burst(rate.max(1).saturating_mul(2)));
        let identity = RefCell::new(Rc::new(transport.identity()));
        let shared = Rc::new(Shared {
            output: Rc::new(Output::new(limits.unsent_bytes)),
            calls: Calls::new(limits.calls),
            jobs: Jobs::new(limits.in_flight, limits.answer_bytes),
            streams: Streams::new(&limits),
            longest: Cell::new(limits.frame_bytes),
            agreed: Cell::new(ExtensionSet::PLAIN),
            transport,
            service,
            limits,
            name,
            offered,
            identity,
            proof,
            authorize,
            log,
            rate,
            closes_when_idle,
            crew: Group::new(),
            workers: Group::new(),
            idle_workers: WaitQueue::new(),
            worker_comes: Cell::new(false),
            eased: WaitQueue::new(),
            spoke: Cell::new(false),
            phase: Cell::new(Phase::Open),
            draining: Cell::new(false),
            peer_drains: Cell::new(false),
            reason: RefCell::default(),
            reading: RefCell::default(),
            changed: WaitQueue::new(),
            over: WaitQueue::new(),
            back: RefCell::default(),
        });
        let back: Rc<dyn Caller> = Rc::new(Back(Rc::downgrade(&shared)));
        shared.back.replace(Some(back));
        shared
    }

    /// Who is at the other end.
    pub(super) fn identity(&self) -> Rc<Identity> {
        self.identity.borrow().clone()
    }

    /// Looks anew who is at the other end: the transport knows more after it is established.
    pub(super) fn refresh_identity(&self) {
        let known = self.transport.identity();
        self.identity.replace(Rc::new(Identity { key: self.proof.key(), ..known }));
    }

    /// A way to call the peer that does not keep the connection.
    pub(super) fn back(&self) -> Option<Rc<dyn Caller>> {
        self.back.borrow().clone()
    }

    #[inline]
    pub(super) fn has(&self, extension: Extension) -> bool {
        self.agreed.get().contains(extension)
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// What this side says of itself.
    pub(super) fn hello(&self) -> Hello {
        let limits = proto::HelloLimits {
            frame_bytes: self.limits.frame_bytes as u64,
            in_flight: self.limits.in_flight as u64,
            window_bytes: self.limits.window_bytes as u64,
        };
        Hello { name: self.name.clone(), extensions: self.offered, limits, ..Hello::default() }
    }

    /// Uses from now on what both sides know.
    pub(super) fn agree_with(&self, peer: &Hello) {
        self.agreed.set(self.hello().agree(peer).extensions);
        let longest = usize::try_from(peer.limits.frame_bytes).unwrap_or(usize::MAX);
        self.longest.set(self.limits.frame_bytes.min(longest));
        self.streams.set_peer_window(peer.limits.window_bytes);
        self.calls.lower_limit(usize::try_from(peer.limits.in_flight).unwrap_or(usize::MAX));
    }

    /// Ends the connection once what has been said is written. The first reason counts. Never suspends.
    pub(super) fn stop(&self, reason: CloseReason) {
        self.stop_within(Duration::ZERO, reason);
    }

    /// Ends the connection as [`stop`](Self::stop) does, but lets the reader go on for a while with what has come.
    pub(super) fn stop_within(&self, limit: Duration, reason: CloseReason) {
        if self.reason.borrow().is_none() {
            self.reason.replace(Some(reason));
        }
        if let Some(reading) = &*self.reading.borrow() {
            reading.change(limit);
        }
    }

    /// Why it is over or about to be, if it is.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.reason.borrow().clone()
    }

    /// What calls fail with that cannot be sent any more.
    pub(super) fn cause(&self) -> Arc<io::Error> {
        self.reason().unwrap_or(CloseReason::Closed).to_cause()
    }

    /// Lets go of all calls in both directions. Never suspends.
    ///
    /// Notifications that have come still run, unless it is this side that ends the connection: their sender need not
    /// stay for them.
    pub(super) fn begin_closing(&self, reason: CloseReason) {
        self.stop(reason);
        self.phase.set(Phase::Closing);
        self.calls.fail_all(&self.cause(), |position| self.output.is_unsent(position));
        for limit in self.jobs.cancel_requests() {
            limit.change(Duration::ZERO);
        }
        if matches!(self.reason(), Some(CloseReason::Closed)) {
            self.cancel_jobs();
        }
        self.output.finish();
        self.changed.wake_all();
    }

    fn cancel_jobs(&self) {
        while self.jobs.pop().is_some() {}
        self.workers.cancel_all();
    }

    /// Closes the transport and tells whoever waits for it. Never suspends.
    pub(super) fn close_now(&self) {
        if self.is_open() {
            self.begin_closing(CloseReason::Closed);
        }
        self.phase.set(Phase::Closed);
        self.transport.close();
        self.cancel_jobs();
        self.crew.cancel_all();
        self.output.end();
        self.changed.wake_all();
        self.over.wake_all();
    }

    /// Tells whoever waits for a change that there was one. A peer that takes no new calls is left with the last one.
    pub(super) fn note_change(&self) {
        self.changed.wake_all();
        if self.peer_drains.get() && self.calls.len() == 0 && self.jobs.is_idle() {
            self.stop(CloseReason::Drained);
        }
    }

    /// Waits until `is_so`, or until `deadline`; says whether it is.
    pub(super) fn wait_until(
        &self,
        reason: Reason,
        deadline: Option<Instant>,
        is_so: impl Fn(&Shared) -> bool,
    ) -> bool {
        while !is_so(self) {
            if self.changed.wait_until(reason, deadline) != Unparked::Woken {
                return is_so(self);
            }
        }
        true
    }

    /// Waits until the connection is over, or until `deadline`; says whether it is.
    pub(super) fn wait_over(&self, deadline: Option<Instant>) -> bool {
        let is_over = || self.phase.get() == Phase::Closed;
        while !is_over() {
            if self.over.wait_until(Reason::Other("the end of a connection"), deadline) != Unparked::Woken {
                return is_over();
            }
        }
        true
    }

    /// When something that may take `limit` is to end.
    pub(super) fn deadline_after(limit: Option<Duration>) -> Option<Instant> {
        limit.and_then(|limit| now().checked_add(limit))
    }
}

/// Calls the peer as long as the connection is there.
struct Back(Weak<Shared>);

impl Back {
    fn shared(&self) -> Result<Rc<Shared>, crate::CallError> {
        self.0.upgrade().ok_or_else(|| crate::CallError::NotSent { cause: CloseReason::Closed.to_cause() })
    }
}

impl Caller for Back {
    fn exchange(&self, request: &crate::Request<'_>) -> Result<crate::Encoded, crate::CallError> {
        self.shared()?.exchange(request)
    }

    fn tell(&self, request: &crate::Request<'_>) -> Result<(), crate::CallError> {
        self.shared()?.tell(request)
    }

    fn open(&self, request: &crate::Request<'_>) -> Result<Box<dyn crate::OpenCall>, crate::CallError> {
        self.shared()?.open(request)
    }
}
