//! The bridge to futures: a coroutine parks until a future's waker fires.
//!
//! ```text
//!            ┌──────────────── wake ◄─── any thread, at any time
//!            ▼
//!   Idle ─► Notified ─► poll again            (the wake came while it was polled)
//!     │
//!     └──► Parked(ticket) ── wake ──► Notified, and the wait is ended
//! ```
//!
//! # Invariants
//!
//! - A wake since the last poll began is never lost: the next poll follows.
//! - A waker may be used from any thread, after the future is done, and after the runtime has ended.
//! - The signal behind the wakers serves one `block_on` at a time, and another one only when no waker is left outside.
//!
//! # What is absent
//!
//! Timers and sockets for futures: those of another runtime need that runtime.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::panics;
use crate::park::{Reason, Unparked, Withdrawal, park};
use crate::scheduler;
use crate::threads::inbox::Inbox;
use crate::threads::tickets::Ticket;
use crate::threads::waiting::{RemoteUnparker, open_ticket};
use crate::yielding::yield_now;

const IDLE: u64 = 0;
const NOTIFIED: u64 = 1;
/// With the bits of a ticket above it.
const PARKED: u64 = 2;

/// What a waker reaches.
struct Signal {
    state: AtomicU64,
    home: Home,
}

/// Where the future is polled.
enum Home {
    Runtime(Arc<Inbox>),
    Thread(Thread),
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl Signal {
    fn notify(&self) {
        let before = self.state.swap(NOTIFIED, Ordering::AcqRel);
        match &self.home {
            Home::Thread(thread) => thread.unpark(),
            Home::Runtime(inbox) if before & PARKED != 0 => {
                let ticket = Ticket::from_bits(before >> 2);
                RemoteUnparker::Coroutine(inbox.clone(), ticket).unpark();
            }
            Home::Runtime(_) => {}
        }
    }

    /// Takes the wakes since the last poll began.
    fn take_wakes(&self) -> bool {
        self.state.swap(IDLE, Ordering::AcqRel) == NOTIFIED
    }
}

/// A signal and a waker of it, which a runtime keeps from one `block_on` to the next.
pub(crate) struct Kept {
    signal: Arc<Signal>,
    waker: Waker,
}

impl Kept {
    /// A signal whose home is where this is called.
    #[inline]
    fn take() -> Kept {
        let kept = scheduler::with(|scheduler| {
            let in_coroutine = scheduler.current.borrow().is_some();
            if in_coroutine { scheduler.kept_signal.take() } else { None }
        });
        kept.flatten().unwrap_or_else(Kept::new)
    }

    #[cold]
    fn new() -> Kept {
        let inbox = scheduler::with(|scheduler| {
            scheduler.current.borrow().is_some().then(|| scheduler.inbox.get().cloned()).flatten()
        });
        let home = inbox.flatten().map_or_else(|| Home::Thread(thread::current()), Home::Runtime);
        let signal = Arc::new(Signal { state: AtomicU64::new(IDLE), home });
        Kept { waker: Waker::from(signal.clone()), signal }
    }

    /// Keeps the signal for the next future, if nobody else can reach it any more.
    #[inline]
    fn give_back(self) {
        if Arc::strong_count(&self.signal) != 2 || matches!(self.signal.home, Home::Thread(_)) {
            return;
        }
        self.signal.state.store(IDLE, Ordering::Relaxed);
        // A coroutine ends where it began, in the runtime whose signal this is.
        let before = scheduler::with(|scheduler| scheduler.kept_signal.replace(Some(self)));
        drop(before);
    }
}

/// Runs a future to its end, while other coroutines run.
///
/// The coroutine parks when the future is pending and goes on when its waker fires; a future that wakes itself gives
/// way to others in between. Outside a coroutine the thread blocks.
/// A future that needs a runtime of its own, such as a timer or a socket of tokio's, does not find it here.
///
/// # Cancellation
///
/// Unwinds, and drops the future in place.
///
/// # Panics
///
/// With whatever the future panics with. In a coroutine that unwinds, a future that is not ready at once aborts the
/// process, with a sentence that says so: there is neither a way to wait nor a result to return.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{block_on, test};
///
/// test::run(|| {
///     let answer = block_on(async { 6 * std::future::ready(7).await });
///     assert_eq!(answer, 42);
/// });
/// ```
#[inline]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let kept = Kept::take();
    let mut context = Context::from_waker(&kept.waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => {
                kept.give_back();
                return output;
            }
            Poll::Pending => wait_for(&kept.signal),
        }
    }
}

/// Returns when there has been a wake.
fn wait_for(signal: &Signal) {
    match &signal.home {
        Home::Thread(_) => {
            while !signal.take_wakes() {
                thread::park();
            }
        }
        Home::Runtime(_) if thread::panicking() => {
            panics::abort("block_on in a coroutine that unwinds: the future is not ready, and there is no way to wait");
        }
        Home::Runtime(_) if signal.take_wakes() => yield_now(),
        Home::Runtime(_) => {
            while !park_until_woken(signal) {}
            signal.take_wakes();
        }
    }
}

/// Parks until a wake; false if it was something else that ended the wait.
fn park_until_woken(signal: &Signal) -> bool {
    let opened = Cell::new(None);
    let ended = park(
        Reason::Other("a future"),
        None,
        |unparker| {
            let Some((_, ticket)) = open_ticket(unparker) else { return };
            opened.set(Some(ticket));
            let parked = (ticket.to_bits() << 2) | PARKED;
            if signal.state.compare_exchange(IDLE, parked, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // Woken in this very moment.
                scheduler::with(|scheduler| scheduler.end_foreign_wait(ticket));
            }
        },
        || {
            signal.state.store(IDLE, Ordering::Release);
            if let Some(ticket) = opened.take() {
                scheduler::with(|scheduler| scheduler.tickets.close(ticket));
            }
            Withdrawal::Withdrawn
        },
    );
    ended == Unparked::Woken
}
