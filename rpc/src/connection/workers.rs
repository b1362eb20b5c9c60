//! The workers: coroutines that run the peer's calls.
//!
//! ```text
//!   request ──► line ──► worker ──► service ──► answer
//!                          │ waits in the service: another worker, woken before, takes the next one
//!                          └ did not wait: takes the next one itself
//! ```
//!
//! A call has a worker to itself until it ends, so calls that wait do so side by side. But many calls do not wait at all:
//! before it runs one, a worker makes sure that another stands behind it in the run queue, and so a batch of such calls
//! takes two switches instead of one for each call.
//!
//! # Invariants
//!
//! - While a job could be started, a worker is on its way to it.
//! - A worker that is cancelled answers its call, and is missed by nobody.

use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::{
    Builder, Panic, Reason, TimedOut, Unparked, current, is_cancellation, now, read_clock, report_panic,
    with_time_limit, yield_now,
};

use super::admission::busy;
use super::builtin::METHODS_METHOD;
use super::jobs::Job;
use super::log::CallEntry;
use super::shared::Shared;
use crate::error::Failure;
use crate::proto::Metadata;
use crate::service::{CalleeStreams, Context, Service};
use crate::value::Encoded;

/// How many calls a worker runs before it gives way to others.
const MOST_IN_A_ROW: usize = 32;

/// How many workers stay for the next calls, and how long.
const MOST_IDLE: usize = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of a method's name is shown in that of its coroutine.
const SHOWN_CHARS: usize = 64;

impl Shared {
    /// Makes sure that a worker is on its way, if a job can be started.
    pub(super) fn call_a_worker(self: &Rc<Shared>) {
        if self.worker_comes.get() || !self.jobs.may_start(self.calls.len() > 0) {
            return;
        }
        self.worker_comes.set(true);
        if self.idle_workers.wake_one() {
            return;
        }
        let shared = self.clone();
        let builder = Builder::new().spanless().name("rpc call");
        if let Err(error) = self.workers.spawn(builder, move || shared.work()) {
            self.worker_comes.set(false);
            self.refuse_waiting(&Failure::new(Failure::BUSY, format!("no coroutine for the call: {error}")));
        }
    }

    /// Looks anew at the requests that wait, and those that the reader waits with, when this side begins to wait for the peer.
    pub(super) fn review_jobs(self: &Rc<Shared>) {
        self.eased.wake_all();
        if self.jobs.may_be_stuck(self.calls.len()) {
            self.refuse_waiting(&busy());
        } else {
            self.call_a_worker();
        }
    }

    /// The peer no longer waits for the answer to a call.
    pub(super) fn cancel_job(&self, id: u32) {
        if let Some(limit) = self.jobs.cancel(id) {
            limit.change(Duration::ZERO);
        }
    }

    /// A worker's life.
    fn work(self: &Rc<Shared>) {
        self.worker_comes.set(false);
        let mut named = Vec::new();
        loop {
            let mut left = MOST_IN_A_ROW;
            while left > 0
                && let Some(job) = self.jobs.take(self.calls.len() > 0)
            {
                left -= 1;
                if self.jobs.is_waiting() {
                    self.call_a_worker();
                }
                self.ease();
                self.show(&job, &mut named);
                self.run(job);
                self.ease();
            }
            if left == 0 {
                yield_now();
                continue;
            }
            if self.idle_workers.len() >= MOST_IDLE {
                return;
            }
            if !self.wait_for_work() {
                if self.idle_workers.is_empty() {
                    self.jobs.shrink();
                }
                return;
            }
            self.worker_comes.set(false);
        }
    }

    /// Names the worker by what it runs, unless it ran the same before.
    fn show(&self, job: &Job, named: &mut Vec<u8>) {
        if named != job.method_bytes() {
            named.clear();
            if job.method_bytes().len() <= 4 * SHOWN_CHARS {
                named.extend_from_slice(job.method_bytes());
            }
            // It is the peer who chose it.
            let method: String = job.method().chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
            current().set_name(format!("rpc call {method} from {}", self.identity()));
        }
    }

    /// Lets the reader go on when there is room again.
    fn ease(&self) {
        if !self.eased.is_empty() && self.jobs.queued_bytes() <= self.limits.waiting_bytes / 2 {
            self.eased.wake_all();
        }
    }

    fn wait_for_work(&self) -> bool {
        let until = Shared::deadline_after(Some(IDLE_TIMEOUT));
        self.idle_workers.wait_until(Reason::Other("a call of the peer"), until) == Unparked::Woken
    }

    /// Runs a job and answers it.
    fn run(self: &Rc<Shared>, job: Job) {
        let running = Running { shared: self, id: job.id, is_notification: job.id.is_none(), cost: job.cost() };
        if job.id.is_some_and(|id| self.jobs.is_cancelled(id)) {
            return;
        }
        let timed = Timed::begin(self, &job);
        let result = self.call_service(&job);
        timed.end(result.as_ref().err());
        self.jobs.recycle(job);
        if running.id.is_some() && self.output.is_full() {
            let _held = self.jobs.hold_answer(result.as_ref().map_or(0, |answer| answer.as_bytes().len()));
            self.output.wait_for_room(None);
        }
        running.answer(&result);
    }

    /// Calls the method under its time limit.
    fn call_service(&self, job: &Job) -> Result<Encoded, Failure> {
        let Some(service) = &self.service else {
            return Err(Failure::new(Failure::METHOD_NOT_FOUND, "this side has no methods"));
        };
        let context = self.context(job);
        let left = self.time_left(job.deadline)?;
        let called = panic::catch_unwind(AssertUnwindSafe(|| {
            with_time_limit(left, |limit| {
                if job.id.is_some_and(|id| !self.jobs.set_limit(id, limit)) {
                    return Err(caller_gone());
                }
                self.call_method(&**service, job, &context)
            })
        }));
        match called {
            Ok(Ok(result)) => result,
            Ok(Err(TimedOut { .. })) => Err(self.cut_off(job)),
            Err(payload) if is_cancellation(&*payload) => panic::resume_unwind(payload),
            Err(payload) => {
                report_panic(&Panic::from_payload(payload));
                Err(Failure::new(Failure::INTERNAL, "the method panicked"))
            }
        }
    }

    /// Why a method was cut off. A caller whose own limit has passed cancels its call as well: the limit counts.
    fn cut_off(&self, job: &Job) -> Failure {
        let is_late = job.deadline.is_some_and(|deadline| deadline <= now());
        let is_cancelled = job.id.is_some_and(|id| self.jobs.is_cancelled(id));
        if is_cancelled && !is_late { caller_gone() } else { deadline_passed() }
    }

    fn call_method(&self, service: &dyn Service, job: &Job, context: &Context) -> Result<Encoded, Failure> {
        self.await_trust()?;
        if let Some(authorize) = &self.authorize {
            authorize(context, job.method())?;
        }
        match job.method() {
            METHODS_METHOD => Shared::list_methods(service),
            method => service.call(method, job.params(), context),
        }
    }

    /// Waits until the peer has proven what this side asks of it, if it does.
    ///
    /// It waits rather than refuses: a server may call as soon as it has sent its proof, which may not have been looked at
    /// yet. Whoever asks for the proof has a limit, and the connection ends when it does not come.
    fn await_trust(&self) -> Result<(), Failure> {
        if !self.proof.is_doubtful() {
            return Ok(());
        }
        let reason = Reason::Other("the peer to prove who it is");
        self.wait_until(reason, None, |shared| !shared.proof.is_doubtful() || !shared.is_open());
        match self.proof.is_doubtful() {
            true => Err(Failure::new(Failure::UNAUTHENTICATED, "the peer has not proven who it is")),
            false => Ok(()),
        }
    }

    fn context(&self, job: &Job) -> Context {
        let mut context = Context {
            peer: self.identity(),
            caller: self.back(),
            deadline: job.deadline,
            is_notification: job.id.is_none(),
            metadata: Metadata::new(),
            trace: None,
            sequence: None,
            streams: job.id.and_then(|id| self.jobs.flow(id)).map(|flow| flow as Rc<dyn CalleeStreams>),
        };
        if let Some(meta) = &job.meta {
            context.metadata = (*meta.metadata).clone();
            context.trace = meta.trace.as_deref().cloned();
            context.sequence = meta.sequence;
        }
        context
    }

    /// How long a method may run.
    fn time_left(&self, deadline: Option<Instant>) -> Result<Duration, Failure> {
        let Some(deadline) = deadline else {
            let limits = [self.limits.method_timeout, self.limits.longest_method];
            return Ok(limits.into_iter().flatten().min().unwrap_or(Duration::MAX));
        };
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() { Err(deadline_passed()) } else { Ok(left) }
    }
}

/// A job that runs, however it ends.
struct Running<'a> {
    shared: &'a Rc<Shared>,
    /// The request that is still to be answered.
    id: Option<u32>,
    is_notification: bool,
    cost: usize,
}

impl Running<'_> {
    /// Answers, unless the caller has gone.
    fn answer(mut self, result: &Result<Encoded, Failure>) {
        self.finish(result.as_ref().map(Encoded::as_bytes));
    }

    fn finish(&mut self, answer: Result<&[u8], &Failure>) {
        if let Some(id) = self.id.take()
            && self.shared.jobs.unregister(id).is_some_and(|active| !active.cancelled)
        {
            self.shared.answer(id, answer);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.finish(Err(&cancelled()));
        }
        self.shared.jobs.done(self.is_notification, self.cost);
        self.shared.note_change();
        // Somebody cancelled the worker itself: another takes its place.
        if thread::panicking() && self.shared.jobs.is_waiting() {
            self.shared.call_a_worker();
        }
    }
}

/// A method that runs for the log, however it ends.
struct Timed<'a> {
    shared: &'a Shared,
    job: &'a Job,
    /// When it began, until its end was told; `None` without a log, for which alone the clock is read:
    /// that costs more than a switch.
    began: Option<Instant>,
}

impl<'a> Timed<'a> {
    fn begin(shared: &'a Shared, job: &'a Job) -> Timed<'a> {
        Timed { shared, job, began: shared.log.as_ref().map(|_| read_clock()) }
    }

    fn end(mut self, failure: Option<&Failure>) {
        self.tell(failure);
    }

    fn tell(&mut self, failure: Option<&Failure>) {
        if let (Some(log), Some(began)) = (&self.shared.log, self.began.take()) {
            log(&CallEntry {
                peer: &self.shared.identity(),
                method: self.job.method(),
                is_notification: self.job.id.is_none(),
                failure,
                took: read_clock().saturating_duration_since(began),
            });
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        if self.began.is_none() {
            return;
        }
        // A log that panics while its coroutine is unwound would end the process.
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| self.tell(Some(&cancelled())))) {
            report_panic(&Panic::from_payload(payload));
        }
    }
}

fn cancelled() -> Failure {
    Failure::new(Failure::CANCELLED, "the method was cancelled")
}

fn caller_gone() -> Failure {
    Failure::new(Failure::CANCELLED, "the caller has gone, or no longer waits for the call")
}

fn deadline_passed() -> Failure {
    Failure::new(Failure::DEADLINE, "the time limit of the call passed")
}
