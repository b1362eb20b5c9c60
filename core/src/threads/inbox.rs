//! What other threads bring to a runtime: released descriptors, ended waits, and calls to be made on the loop.
//!
//! ```text
//!   bringer: put mail in ─► set has_mail ─► was polling set? ── yes ──► clear it, wake the poller
//!   loop:    set polling ─► has_mail? ── yes ──► poll without waiting
//! ```
//!
//! # Invariants
//!
//! - The two flags are written before the other is read, by both sides and in one total order:
//!   either the loop sees the mail, or whoever brought it sees that the loop sleeps.
//! - Between two polls the poller is woken at most once.
//! - A closed inbox takes nothing, and says so to whoever brings.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::reactor::Remote;
use crate::threads::tickets::Ticket;

/// Something to be done by the loop; must not wait, nor run code of the user's.
pub(crate) type Call = Box<dyn FnOnce() + Send>;

/// What has been brought.
#[derive(Default)]
pub(crate) struct Mail {
    /// Slots of sources that other threads dropped.
    pub(crate) released: Vec<u32>,
    /// Waits that have ended.
    pub(crate) woken: Vec<Ticket>,
    pub(crate) calls: VecDeque<Call>,
}

impl Mail {
    fn swap(&mut self, other: &mut Mail) {
        std::mem::swap(self, other);
    }
}

/// A runtime's address for other threads.
pub(crate) struct Inbox {
    runtime: u32,
    /// `None` once the runtime has ended.
    mail: Mutex<Option<Mail>>,
    has_mail: AtomicBool,
    /// The loop waits in the poller, or is about to, and nobody has woken it.
    polling: AtomicBool,
    /// Pieces of work that other threads do for this runtime; counted under virtual time only.
    work: AtomicUsize,
    counts_work: bool,
    remote: Box<dyn Remote>,
}

static INBOXES: Mutex<Vec<Arc<Inbox>>> = Mutex::new(Vec::new());

fn inboxes() -> MutexGuard<'static, Vec<Arc<Inbox>>> {
    INBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// Makes the inbox of a runtime known to all threads. Under virtual time it counts the work done elsewhere.
    pub(crate) fn open(runtime: u32, remote: Box<dyn Remote>, counts_work: bool) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox {
            runtime,
            mail: Mutex::new(Some(Mail::default())),
            has_mail: AtomicBool::new(false),
            polling: AtomicBool::new(false),
            work: AtomicUsize::new(0),
            counts_work,
            remote,
        });
        inboxes().push(inbox.clone());
        inbox
    }

    /// Takes nothing from now on, and drops what nobody will look at.
    pub(crate) fn close(&self) {
        inboxes().retain(|inbox| inbox.runtime != self.runtime);
        let left = self.lock().take();
        // Its destructors tell others that their calls will not be made, who may come here again.
        crate::panics::contain(|| drop(left));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mail>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn runtime(&self) -> u32 {
        self.runtime
    }

    /// Puts something in and sees to it that the loop looks; false, and nothing was done, if the runtime has ended.
    fn bring(&self, put: impl FnOnce(&mut Mail)) -> bool {
        match &mut *self.lock() {
            Some(mail) => put(mail),
            None => return false,
        }
        self.announce();
        true
    }

    fn announce(&self) {
        self.has_mail.store(true, Ordering::SeqCst);
        if self.polling.swap(false, Ordering::SeqCst) {
            self.remote.wake();
        }
    }

    /// Ends the wait that `ticket` names; false if the runtime has ended.
    pub(crate) fn wake(&self, ticket: Ticket) -> bool {
        self.bring(|mail| mail.woken.push(ticket))
    }

    /// Releases a slot of another thread's runtime, if that still runs.
    pub(crate) fn release(runtime: u32, index: u32, descriptor: RawFd) {
        let Some(inbox) = inboxes().iter().find(|inbox| inbox.runtime == runtime).cloned() else { return };
        inbox.remote.deregister(descriptor);
        // Whoever waits on the slot must hear of it now, and not when something else happens.
        inbox.bring(|mail| mail.released.push(index));
    }

    /// How long the loop may wait in the poller: not at all when there is mail.
    pub(crate) fn before_poll(&self, timeout: Duration) -> Duration {
        if timeout.is_zero() {
            return timeout;
        }
        self.polling.store(true, Ordering::SeqCst);
        if self.has_mail.load(Ordering::SeqCst) { Duration::ZERO } else { timeout }
    }

    /// Notes that the loop is awake, and fetches the mail into `into`, which is empty; false if there is none.
    pub(crate) fn collect(&self, into: &mut Mail) -> bool {
        if self.polling.load(Ordering::Relaxed) {
            self.polling.store(false, Ordering::SeqCst);
        }
        if !self.has_mail() {
            return false;
        }
        // In this order: what is brought from here on is announced again.
        self.has_mail.store(false, Ordering::SeqCst);
        if let Some(mail) = &mut *self.lock() {
            mail.swap(into);
        }
        true
    }

    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::SeqCst)
    }

    /// Keeps virtual time from jumping until the result is dropped; `None` under real time.
    pub(crate) fn count_work(self: &Arc<Inbox>) -> Option<ForeignWork> {
        self.counts_work.then(|| {
            self.work.fetch_add(1, Ordering::SeqCst);
            ForeignWork(self.clone())
        })
    }

    /// Whether another thread works for this runtime.
    pub(crate) fn awaits_work(&self) -> bool {
        self.work.load(Ordering::SeqCst) > 0
    }
}

/// A piece of work that another thread does for a runtime under virtual time.
///
/// Dropped after its result has been brought, so that who finds no work finds the mail.
pub(crate) struct ForeignWork(Arc<Inbox>);

impl Drop for ForeignWork {
    fn drop(&mut self) {
        self.0.work.fetch_sub(1, Ordering::SeqCst);
        self.0.announce();
    }
}
