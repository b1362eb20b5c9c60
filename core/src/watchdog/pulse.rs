//! The loop's sign of life, and what the watchdog of a runtime is told to do.
//!
//! # Invariants
//!
//! - A beat names one stretch of the loop: from one resume, or one return from the poller, to the next.
//! - The loop never waits for the watchdog. It wakes it, once, when it comes back to work and finds it asleep.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use super::report::LatencyNotifier;
use crate::scheduler;

/// What the loop's thread and its watchdog share.
#[derive(Default)]
pub(crate) struct Pulse {
    beat: AtomicU64,
    /// The loop is in its poller, or does something long that is nobody's fault.
    waiting: AtomicBool,
    /// The watchdog sleeps until the loop has something to do.
    asleep: AtomicBool,
    stopped: AtomicBool,
    /// In nanoseconds; zero for no warnings.
    limit: AtomicU64,
    watcher: OnceLock<Thread>,
    notifier: Mutex<Option<LatencyNotifier>>,
}

impl Pulse {
    pub(crate) fn new(limit: Option<Duration>) -> Pulse {
        Pulse { limit: AtomicU64::new(to_nanos(limit)), ..Pulse::default() }
    }

    /// Begins a stretch. Only the loop's thread writes the beat, so it takes no atomic addition.
    ///
    /// Among 1 to 10,000 coroutines that give way the yield table shows no cost of it.
    #[inline(always)]
    pub(crate) fn beat(&self) {
        self.beat.store(self.beat.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Runs what is long and nobody's fault, such as the wait in the poller.
    pub(crate) fn wait<R>(&self, f: impl FnOnce() -> R) -> R {
        let waited = self.waiting.swap(true, Ordering::SeqCst);
        let result = f();
        self.beat();
        // In one total order with `asleep`: either the watchdog sees that the loop works, or it is woken here.
        self.waiting.swap(waited, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        result
    }

    /// The stretch the loop is in; `None` while it waits.
    pub(super) fn stretch(&self) -> Option<u64> {
        let beat = self.beat.load(Ordering::Relaxed);
        (!self.waiting.load(Ordering::SeqCst)).then_some(beat)
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Sets the limit; returns the one before.
    pub(super) fn set_limit(&self, limit: Option<Duration>) -> Option<Duration> {
        let before = self.limit();
        self.limit.store(to_nanos(limit), Ordering::Relaxed);
        self.wake();
        before
    }

    pub(super) fn notifier(&self) -> Option<LatencyNotifier> {
        self.notifier.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace_notifier(&self, notifier: Option<LatencyNotifier>) -> Option<LatencyNotifier> {
        std::mem::replace(&mut *self.notifier.lock().unwrap_or_else(PoisonError::into_inner), notifier)
    }

    /// Says which thread watches; called by it, once.
    pub(super) fn watched_by(&self, watcher: Thread) {
        // Nobody else can have set it.
        let _ = self.watcher.set(watcher);
    }

    /// Sleeps, in the watchdog's thread, until the loop works again.
    pub(super) fn sleep_while_idle(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        // As long as nobody is to be warned of, it makes no difference what the loop does.
        while !self.is_stopped() && (self.limit().is_none() || self.stretch().is_none()) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    #[cold]
    fn wake(&self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.unpark();
        }
    }
}

/// Zero stands for no limit, so a limit of nothing is one of a nanosecond.
fn to_nanos(limit: Option<Duration>) -> u64 {
    limit.map_or(0, |limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(1))
}

/// Runs what the runtime itself does for long on the loop, without a warning: it is no coroutine's fault.
pub(crate) fn excused<R>(f: impl FnOnce() -> R) -> R {
    match scheduler::with(|scheduler| scheduler.pulse.clone()) {
        Some(pulse) => pulse.wait(f),
        None => f(),
    }
}
