//! The peer's calls: those that wait for a worker, and those that run.
//!
//! # Invariants
//!
//! - Jobs are started in the order in which they came, a notification's among them.
//! - While a notification runs nothing that came after it is started, so that a request sees what the notification did.
//!   The exception: while this side waits for an answer of the peer, which may not come before that later request is served.
//! - None is started while the answers of others wait for the peer to read, once they are larger than a limit together.
//! - At most `in_flight` jobs run; what waits is bounded in bytes by whoever adds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::{TimeLimit, random_u64};

use super::streams::OpenFlow;
use crate::proto::Meta;
use crate::stream::Flow;

/// How many buffers of past jobs are kept for later ones, and how large one may be.
const KEPT_BUFFERS: usize = 128;
const KEPT_BYTES: usize = 4 << 10;

/// What a waiting job costs beside its bytes.
const JOB_BYTES: usize = 128;

/// A call of the peer.
pub(super) struct Job {
    /// `None` for a notification.
    pub(super) id: Option<u32>,
    frame: Vec<u8>,
    method: Range<usize>,
    params: Range<usize>,
    pub(super) meta: Option<Box<Meta<'static>>>,
    /// When the caller stops waiting, if it said so.
    pub(super) deadline: Option<Instant>,
}

impl Job {
    pub(super) fn method(&self) -> &str {
        // It was UTF-8 when the message was parsed.
        std::str::from_utf8(self.method_bytes()).unwrap_or_default()
    }

    pub(super) fn method_bytes(&self) -> &[u8] {
        &self.frame[self.method.clone()]
    }

    pub(super) fn params(&self) -> &[u8] {
        &self.frame[self.params.clone()]
    }

    /// What it takes of the memory for calls of the peer.
    pub(super) fn cost(&self) -> usize {
        self.frame.len() + JOB_BYTES
    }
}

/// A request that was not answered yet.
#[derive(Default)]
pub(super) struct Active {
    /// What cuts the method off, once it runs.
    pub(super) limit: Option<TimeLimit>,
    /// The caller no longer waits.
    pub(super) cancelled: bool,
    /// The streams beside it, if the caller opened any.
    flow: Option<OpenFlow>,
}

/// The calls of the peer.
pub(super) struct Jobs {
    queue: RefCell<VecDeque<Job>>,
    queued_bytes: Cell<usize>,
    /// Of the jobs that wait and of those that run.
    held_bytes: Cell<usize>,
    active: RefCell<HashMap<u32, Active, Seeded>>,
    running: Cell<usize>,
    /// Bytes of answers whose workers wait for the peer to read.
    answer_bytes: Cell<usize>,
    most_answer_bytes: usize,
    /// How many of those that run are notifications.
    notifications: Cell<usize>,
    in_flight: usize,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Jobs {
    pub(super) fn new(in_flight: usize, most_answer_bytes: usize) -> Jobs {
        Jobs {
            queue: RefCell::default(),
            queued_bytes: Cell::new(0),
            held_bytes: Cell::new(0),
            active: RefCell::new(HashMap::with_hasher(Seeded(random_u64()))),
            running: Cell::new(0),
            answer_bytes: Cell::new(0),
            most_answer_bytes,
            notifications: Cell::new(0),
            in_flight: in_flight.max(1),
            spare: RefCell::default(),
        }
    }

    /// Makes a job of a message's parts, which lie in `frame`.
    pub(super) fn job(&self, id: Option<u32>, frame: &[u8], method: &str, params: &[u8]) -> Job {
        let mut kept = self.spare.borrow_mut().pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(frame);
        let (method, params) = (range_within(frame, method.as_bytes()), range_within(frame, params));
        Job { id, frame: kept, method, params, meta: None, deadline: None }
    }

    /// Takes a job's buffer back.
    pub(super) fn recycle(&self, job: Job) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < KEPT_BUFFERS && job.frame.capacity() <= KEPT_BYTES {
            spare.push(job.frame);
        }
    }

    /// Gives back what past jobs took, if there are none now.
    pub(super) fn shrink(&self) {
        if self.is_idle() {
            self.queue.borrow_mut().shrink_to_fit();
            self.active.borrow_mut().shrink_to_fit();
            self.spare.take();
        }
    }

    /// Notes a request; false when one with this id is in flight already.
    pub(super) fn register(&self, id: u32) -> bool {
        match self.active.borrow_mut().entry(id) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(Active::default());
                true
            }
        }
    }

    /// Gives a request its streams.
    pub(super) fn set_flow(&self, id: u32, flow: OpenFlow) {
        if let Some(active) = self.active.borrow_mut().get_mut(&id) {
            active.flow = Some(flow);
        }
    }

    /// The streams of a request, if it has any.
    pub(super) fn flow(&self, id: u32) -> Option<Rc<Flow>> {
        self.active.borrow().get(&id)?.flow.as_ref().map(|flow| flow.0.clone())
    }

    /// Hands something to the streams of a request; what belongs to none, or to one without streams, is dropped.
    #[inline]
    pub(super) fn with_flow(&self, id: u32, hand_over: impl FnOnce(&Flow)) {
        if let Some(flow) = self.active.borrow().get(&id).and_then(|active| active.flow.as_ref()) {
            hand_over(&flow.0);
        }
    }

    /// Forgets a request, which is answered or needs no answer.
    pub(super) fn unregister(&self, id: u32) -> Option<Active> {
        self.active.borrow_mut().remove(&id)
    }

    /// Notes what cuts a request off; false when its caller has gone already.
    pub(super) fn set_limit(&self, id: u32, limit: &TimeLimit) -> bool {
        match self.active.borrow_mut().get_mut(&id) {
            Some(active) if !active.cancelled => {
                active.limit = Some(limit.clone());
                true
            }
            _ => false,
        }
    }

    /// Notes that the caller has gone, and returns what cuts the method off if it runs.
    pub(super) fn cancel(&self, id: u32) -> Option<TimeLimit> {
        let mut active = self.active.borrow_mut();
        let active = active.get_mut(&id)?;
        active.cancelled = true;
        active.flow = None;
        active.limit.clone()
    }

    /// Cancels every request, and forgets those that wait. Notifications stay: nobody has to be there for them.
    pub(super) fn cancel_requests(&self) -> Vec<TimeLimit> {
        self.queue.borrow_mut().retain(|job| job.id.is_none());
        let left = self.queue.borrow().iter().map(Job::cost).sum();
        self.held_bytes.set(self.held_bytes.get() - (self.queued_bytes.replace(left) - left));
        let mut active = self.active.borrow_mut();
        active
            .values_mut()
            .filter_map(|active| {
                active.cancelled = true;
                active.flow = None;
                active.limit.take()
            })
            .collect()
    }

    pub(super) fn is_cancelled(&self, id: u32) -> bool {
        self.active.borrow().get(&id).is_none_or(|active| active.cancelled)
    }

    pub(super) fn push(&self, job: Job) {
        self.queued_bytes.set(self.queued_bytes.get() + job.cost());
        self.held_bytes.set(self.held_bytes.get() + job.cost());
        self.queue.borrow_mut().push_back(job);
    }

    /// Takes the next job off the line, unless it has to wait; `calls_out` is whether this side waits for the peer.
    /// Whoever takes it says when it is [`done`](Self::done).
    pub(super) fn take(&self, calls_out: bool) -> Option<Job> {
        if !self.may_start(calls_out) {
            return None;
        }
        let job = self.pop_front()?;
        self.running.set(self.running.get() + 1);
        if job.id.is_none() {
            self.notifications.set(self.notifications.get() + 1);
        }
        Some(job)
    }

    /// Takes the next job off the line in order not to run it.
    pub(super) fn pop(&self) -> Option<Job> {
        let job = self.pop_front()?;
        self.held_bytes.set(self.held_bytes.get() - job.cost());
        Some(job)
    }

    fn pop_front(&self) -> Option<Job> {
        let job = self.queue.borrow_mut().pop_front()?;
        self.queued_bytes.set(self.queued_bytes.get() - job.cost());
        Some(job)
    }

    /// Notes the end of a job that ran and had this cost.
    pub(super) fn done(&self, is_notification: bool, cost: usize) {
        self.running.set(self.running.get() - 1);
        self.held_bytes.set(self.held_bytes.get() - cost);
        if is_notification {
            self.notifications.set(self.notifications.get() - 1);
        }
    }

    /// Whether a job that came now could be started.
    pub(super) fn may_start(&self, calls_out: bool) -> bool {
        self.running.get() < self.in_flight
            && self.answer_bytes.get() <= self.most_answer_bytes
            && (self.notifications.get() == 0 || calls_out)
    }

    /// Counts an answer that waits for the peer to read, until what comes back is dropped.
    pub(super) fn hold_answer(&self, bytes: usize) -> HeldAnswer<'_> {
        self.answer_bytes.set(self.answer_bytes.get() + bytes);
        HeldAnswer { jobs: self, bytes }
    }

    /// Whether every job that runs may be waiting for the peer, which then must not wait for them.
    pub(super) fn may_be_stuck(&self, calls_out: usize) -> bool {
        self.running.get() >= self.in_flight && calls_out >= self.running.get()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.get()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.running.get()
    }

    /// Whether no call of the peer waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.get() == 0 && !self.is_waiting()
    }
}

/// An answer that waits for the peer to read.
pub(super) struct HeldAnswer<'a> {
    jobs: &'a Jobs,
    bytes: usize,
}

impl Drop for HeldAnswer<'_> {
    fn drop(&mut self) {
        self.jobs.answer_bytes.set(self.jobs.answer_bytes.get() - self.bytes);
    }
}

/// Where in `whole` the slice `part` of it lies.
fn range_within(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
    start..(start + part.len()).min(whole.len())
}

/// Hashes ids by a multiplication with a number that the peer cannot know.
#[derive(Clone)]
struct Seeded(u64);

struct IdHasher {
    seed: u64,
    hash: u64,
}

impl BuildHasher for Seeded {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { seed: self.0 | 1, hash: 0 }
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        let product = u128::from(self.hash ^ u64::from(id) ^ self.seed) * u128::from(self.seed.rotate_left(32) | 1);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}
