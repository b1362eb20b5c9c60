//! Keeps the endpoints up to date: a coroutine that asks their source again and again.
//!
//! ```text
//!   first call ──► ask the source ──┬─ found ──► use them, and wait as long as they are good ──┐
//!                       ▲           └─ failed ──► keep the old ones, and wait a little longer ──┤
//!                       └───────────────────── time is over, or a call reached nobody ◄────────┘
//! ```
//!
//! # Invariants
//!
//! - The source is asked by one coroutine at a time, and no two questions are closer than [`MIN_FIND_PAUSE`].
//! - The coroutine ends with its balancer, and when the source says that nothing will change.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{Builder, Group, Reason, Unparked, WaitQueue, now, read_clock, sleep_until, with_timeout};

use super::endpoint::{Endpoint, EndpointSource};
use super::error;
use super::members::Members;
use crate::error::CallError;
use crate::retry::Backoff;

/// How far two questions to a source are apart at least.
pub const MIN_FIND_PAUSE: Duration = Duration::from_secs(1);

/// How long a source may take, before it is cut off and counts as failed.
pub const MAX_FIND_TIME: Duration = Duration::from_secs(60);

/// How long to wait after a source has failed.
const AFTER_FAILURE: Backoff = Backoff { first: Duration::from_secs(2), most: Duration::from_secs(30) };

const FINDING: Reason = Reason::Other("the endpoints of a balancer to be found");
const PAUSING: Reason = Reason::Other("the time to look for endpoints again");

pub(crate) struct Refresher<C> {
    work: Rc<Work<C>>,
    /// Its one member runs [`Work::run`].
    group: Group,
}

struct Work<C> {
    members: Rc<Members<C>>,
    source: Rc<dyn EndpointSource>,
    make: Rc<dyn Fn(&Endpoint) -> C>,
    stage: Cell<Stage>,
    /// Whether a question is under way, or about to be.
    is_asking: Cell<bool>,
    /// Of the last question, if it failed.
    error: RefCell<Option<Arc<io::Error>>>,
    /// Calls, for the end of the first question.
    asked: WaitQueue,
    /// The coroutine, for the time of the next question.
    next: WaitQueue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No coroutine runs.
    Idle,
    /// One does, and nothing was found yet.
    First,
    /// One does, and something was found.
    Kept,
    /// Something was found, and the coroutine has come to no good end.
    Lapsed,
    /// None is needed any more.
    Final,
}

impl<C: 'static> Refresher<C> {
    pub(crate) fn new(
        members: Rc<Members<C>>,
        source: Rc<dyn EndpointSource>,
        make: Rc<dyn Fn(&Endpoint) -> C>,
    ) -> Refresher<C> {
        let work = Work {
            members,
            source,
            make,
            stage: Cell::new(Stage::Idle),
            is_asking: Cell::new(false),
            error: RefCell::new(None),
            asked: WaitQueue::new(),
            next: WaitQueue::new(),
        };
        Refresher { work: Rc::new(work), group: Group::new() }
    }

    /// Whether there is something to do before a call can be made.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.work.stage.get(), Stage::Idle | Stage::First | Stage::Lapsed)
    }

    /// Waits until endpoints were found once. When the last question has failed, and the next one is not due yet,
    /// it says so at once.
    pub(crate) fn wait_for_first(&self, limit: Duration) -> Result<(), CallError> {
        let deadline = read_clock().checked_add(limit);
        self.start()?;
        while self.work.stage.get() == Stage::First {
            if !self.work.is_asking.get() {
                self.ask_soon();
                return Err(error::none_found(self.last_error()));
            }
            match self.work.asked.wait_until(FINDING, deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(CallError::TimedOut { limit, sent: false }),
                Unparked::Refused => {
                    let reason = "the endpoints are not known yet, and the coroutine unwinds".to_owned();
                    return Err(CallError::Refused { reason });
                }
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<(), CallError> {
        let before = self.work.stage.get();
        match before {
            Stage::Idle => self.work.stage.set(Stage::First),
            Stage::Lapsed => self.work.stage.set(Stage::Kept),
            Stage::First | Stage::Kept | Stage::Final => return Ok(()),
        }
        self.work.is_asking.set(true);
        let work = self.work.clone();
        let builder = Builder::new().spanless().name("rpc endpoints");
        let started = self.group.spawn(builder, move || Running(&work).0.run());
        started.map(drop).map_err(|error| {
            self.work.stage.set(before);
            CallError::NotSent { cause: Arc::new(error) }
        })
    }

    pub(crate) fn ask_soon(&self) {
        self.work.next.wake_one();
    }

    pub(crate) fn last_error(&self) -> Option<Arc<io::Error>> {
        self.work.error.borrow().clone()
    }
}

/// Lets the next call start the coroutine again, should the source panic; those who wait are told that nothing was found.
struct Running<'a, C>(&'a Work<C>);

impl<C> Drop for Running<'_, C> {
    fn drop(&mut self) {
        let Running(work) = self;
        work.is_asking.set(false);
        match work.stage.get() {
            Stage::First => work.stage.set(Stage::Idle),
            Stage::Kept => work.stage.set(Stage::Lapsed),
            Stage::Idle | Stage::Lapsed | Stage::Final => return,
        }
        let error = io::Error::other("looking for them came to no end");
        drop(work.error.replace(Some(Arc::new(error))));
        work.asked.wake_all();
    }
}

impl<C> Work<C> {
    fn run(&self) {
        let mut failures = 0;
        loop {
            let began = now();
            self.is_asking.set(true);
            let found = with_timeout(MAX_FIND_TIME, || self.source.find());
            let pause = match found.unwrap_or_else(|timed_out| Err(timed_out.into())) {
                Ok(found) => {
                    failures = 0;
                    drop(self.error.take());
                    self.members.replace(found.endpoints, &*self.make);
                    self.stage.set(if found.good_for.is_some() { Stage::Kept } else { Stage::Final });
                    found.good_for
                }
                Err(error) => {
                    failures += 1;
                    drop(self.error.replace(Some(Arc::new(error))));
                    Some(MIN_FIND_PAUSE + AFTER_FAILURE.delay(failures))
                }
            };
            self.is_asking.set(false);
            self.asked.wake_all();
            let Some(pause) = pause else { return };
            let _ = self.next.wait_until(PAUSING, now().checked_add(pause));
            sleep_until(began + MIN_FIND_PAUSE);
        }
    }
}
