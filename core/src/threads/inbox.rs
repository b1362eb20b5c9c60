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
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use crate::panics;
use crate::reactor::Remote;
use crate::scheduler;
use crate::threads::join::Orphan;
use crate::threads::tickets::Ticket;
use crate::threads::waiting::{WaitList, Waited, lock, wait, wake_all};

/// How many calls may wait for the loop before those who bring more wait themselves.
const CALLS: usize = 1024;

/// How many promises are kept track of before those that were kept are sorted out for the first time.
const SORT_AT: usize = 64;

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

/// The mail with those concerned by it.
struct Post {
    /// `None` once the runtime has ended.
    mail: Option<Mail>,
    /// Who waits to bring a call.
    room: WaitList,
    /// Promises of this runtime's coroutines to other threads.
    promises: Vec<Weak<dyn Orphan>>,
    /// How many promises there may be before those that were kept are sorted out.
    sort_at: usize,
}

/// A runtime's address for other threads.
pub(crate) struct Inbox {
    runtime: u32,
    post: Mutex<Post>,
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
    lock(&INBOXES)
}

impl Inbox {
    /// Makes the inbox of a runtime known to all threads. Under virtual time it counts the work done elsewhere.
    pub(crate) fn open(runtime: u32, remote: Box<dyn Remote>, counts_work: bool) -> Arc<Inbox> {
        let post =
            Post { mail: Some(Mail::default()), room: WaitList::default(), promises: Vec::new(), sort_at: SORT_AT };
        let inbox = Arc::new(Inbox {
            runtime,
            post: Mutex::new(post),
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
        let mut post = lock(&self.post);
        let left = post.mail.take();
        let (room, promises) = (post.room.take(), std::mem::take(&mut post.promises));
        drop(post);
        // Its destructors tell others that their calls will not be made, who may come here again.
        panics::contain(|| drop(left));
        wake_all(room);
        // What a coroutine that did not end has promised will not come.
        promises.iter().filter_map(Weak::upgrade).for_each(|promise| promise.orphan());
    }

    pub(crate) fn runtime(&self) -> u32 {
        self.runtime
    }

    /// Puts something in and sees to it that the loop looks; false, and nothing was done, if the runtime has ended.
    fn bring(&self, put: impl FnOnce(&mut Mail)) -> bool {
        match &mut lock(&self.post).mail {
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

    /// Has the loop make a call, waiting while it has too many to make.
    ///
    /// Parks a coroutine, which unwinds when cancelled; blocks a thread that has no runtime.
    pub(crate) fn call(&self, call: Call) -> Result<(), CallError> {
        let mut call = Some(call);
        // The loop itself would wait for itself.
        let may_wait = scheduler::in_coroutine() || scheduler::with(|_| ()).is_none();
        let brought = wait(
            &self.post,
            |post| &mut post.room,
            "room for a call to another runtime",
            None,
            |post| {
                let Some(mail) = &mut post.mail else { return Some(Err(CallError::Ended)) };
                if mail.calls.len() >= CALLS {
                    return (!may_wait).then_some(Err(CallError::Full));
                }
                mail.calls.extend(call.take());
                Some(Ok(()))
            },
        );
        match brought {
            Waited::Ready(Ok(())) => {
                self.announce();
                Ok(())
            }
            Waited::Ready(Err(error)) => Err(error),
            Waited::TimedOut | Waited::Refused => Err(CallError::Full),
        }
    }

    /// Has the loop make a call of which there cannot be many; false if the runtime has ended.
    pub(crate) fn call_at_once(&self, call: Call) -> bool {
        self.bring(|mail| mail.calls.push_back(call))
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.post).mail.is_none()
    }

    /// Sees to it that a promise ends with the runtime, if its coroutine does not.
    pub(crate) fn vouch_for(&self, promise: Weak<dyn Orphan>) {
        let mut post = lock(&self.post);
        if post.promises.len() >= post.sort_at {
            post.promises.retain(|promise| promise.strong_count() > 0);
            post.sort_at = SORT_AT.max(post.promises.len() * 2);
        }
        post.promises.push(promise);
    }

    /// Ends the wait that `ticket` names; false if the runtime has ended.
    pub(crate) fn wake(&self, ticket: Ticket) -> bool {
        self.bring(|mail| mail.woken.push(ticket))
    }

    /// Releases a slot of another thread's runtime, if that still runs.
    pub(crate) fn release(runtime: u32, index: u32) {
        let Some(inbox) = Inbox::of(runtime) else { return };
        // Whoever waits on the slot must hear of it now, and not when something else happens.
        inbox.bring(|mail| mail.released.push(index));
    }

    /// Takes a descriptor out of another thread's reactor; its slot is still to be released.
    pub(crate) fn deregister(runtime: u32, descriptor: RawFd) {
        if let Some(inbox) = Inbox::of(runtime) {
            inbox.remote.deregister(descriptor);
        }
    }

    fn of(runtime: u32) -> Option<Arc<Inbox>> {
        inboxes().iter().find(|inbox| inbox.runtime == runtime).cloned()
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
        let mut post = lock(&self.post);
        if let Some(mail) = &mut post.mail {
            std::mem::swap(mail, into);
        }
        let room = post.room.take();
        drop(post);
        wake_all(room);
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

/// Why a call will not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    Ended,
    /// There are too many, and whoever brings this one cannot wait.
    Full,
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
