//! A channel on which every receiver sees every message, in bounded memory.
//!
//! ```text
//!   send ──► [ 17 | 18 | 19 | 20 ] ──► receiver at 20   up to date soon
//!             ▲ the oldest kept  └───► receiver at 12   is told: lagged by 5
//! ```
//!
//! Sending never waits. At most `capacity` messages are kept; when one more is sent the oldest goes,
//! and a receiver that had not seen it is told how many it missed before it goes on with what is left.
//! A message that all have seen goes at once.
//!
//! # Invariants
//!
//! - Messages are numbered; a receiver is a number, that of the message it will see next.
//! - `unread` of a kept message counts the receivers whose number is not beyond it.
//!   It never falls from one message to a later one, so messages go from the front only.
//! - A receiver that is cancelled has not moved: the message is still there for its next receive.
//! - No borrow is alive while a message is cloned or dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::channel::instant_after;
use crate::park::{Reason, Unparked};
use crate::wait_queue::WaitQueue;

const REASON: Reason = Reason::Other("a broadcast message");

/// Makes a channel on which every receiver sees every message, with at most `capacity` messages kept.
///
/// The receiver sees what is sent from now on; [`BroadcastSender::subscribe`] makes more.
///
/// # Panics
///
/// When `capacity` is zero.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel, test};
///
/// test::run(|| {
///     let (sender, first) = channel::broadcast(16);
///     let second = sender.subscribe();
///     sender.send("news").unwrap();
///     assert_eq!(first.recv(), Ok("news"));
///     assert_eq!(second.recv(), Ok("news"));
/// });
/// ```
#[track_caller]
pub fn broadcast<T>(capacity: usize) -> (BroadcastSender<T>, BroadcastReceiver<T>) {
    assert!(capacity > 0, "a broadcast channel keeps at least one message, not 0");
    let shared = Rc::new(Shared {
        kept: RefCell::default(),
        next: Cell::new(0),
        capacity,
        senders: Cell::new(1),
        receivers: Cell::new(0),
        closed: Cell::new(false),
        waiting: WaitQueue::new(),
    });
    let receiver = shared.subscribe();
    (BroadcastSender { shared }, receiver)
}

struct Shared<T> {
    kept: RefCell<VecDeque<Kept<T>>>,
    /// The number of the next message to be sent.
    next: Cell<u64>,
    capacity: usize,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    closed: Cell<bool>,
    waiting: WaitQueue,
}

struct Kept<T> {
    message: Rc<T>,
    unread: usize,
}

impl<T> Shared<T> {
    fn subscribe(self: &Rc<Self>) -> BroadcastReceiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        BroadcastReceiver { shared: self.clone(), next: Cell::new(self.next.get()) }
    }

    /// The number of the oldest message kept.
    fn oldest(&self) -> u64 {
        self.next.get() - self.kept.borrow().len() as u64
    }

    fn close(&self) {
        self.closed.set(true);
        self.waiting.wake_all();
    }

    /// Marks a kept message as read by one receiver, and takes it, and what it held up, out of the channel.
    fn read(&self, number: u64) -> Option<Rc<T>> {
        let oldest = self.oldest();
        let mut kept = self.kept.borrow_mut();
        let entry = kept.get_mut(usize::try_from(number.checked_sub(oldest)?).ok()?)?;
        entry.unread -= 1;
        if entry.unread > 0 {
            return Some(entry.message.clone());
        }
        // Whoever has not seen an older message has not seen this one, so this is the oldest.
        kept.pop_front().map(|read| read.message)
    }
}

/// The end that sends; a clone sends to the same receivers.
pub struct BroadcastSender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> BroadcastSender<T> {
    /// Sends a message to all receivers there are now, and says how many. Never waits.
    ///
    /// # Errors
    ///
    /// [`Unheard`], with the message, when there is no receiver or the channel was closed.
    pub fn send(&self, message: T) -> Result<usize, Unheard<T>> {
        let shared = &*self.shared;
        let receivers = shared.receivers.get();
        if receivers == 0 || shared.closed.get() {
            return Err(Unheard(message));
        }
        let mut kept = shared.kept.borrow_mut();
        let missed = if kept.len() == shared.capacity { kept.pop_front() } else { None };
        kept.push_back(Kept { message: Rc::new(message), unread: receivers });
        drop(kept);
        shared.next.set(shared.next.get() + 1);
        shared.waiting.wake_all();
        drop(missed);
        Ok(receivers)
    }

    /// A receiver of what is sent from now on.
    pub fn subscribe(&self) -> BroadcastReceiver<T> {
        self.shared.subscribe()
    }

    /// Ends the channel: receivers still get what was sent, and then [`BroadcastRecvError::Closed`].
    ///
    /// Dropping the last sender does the same.
    pub fn close(&self) {
        self.shared.close();
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }

    /// How many messages are kept because a receiver has not seen them.
    pub fn len(&self) -> usize {
        self.shared.kept.borrow().len()
    }

    /// Whether every receiver has seen every message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for BroadcastSender<T> {
    fn clone(&self) -> BroadcastSender<T> {
        self.shared.senders.set(self.shared.senders.get() + 1);
        BroadcastSender { shared: self.shared.clone() }
    }
}

impl<T> Drop for BroadcastSender<T> {
    fn drop(&mut self) {
        self.shared.senders.set(self.shared.senders.get() - 1);
        if self.shared.senders.get() == 0 {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for BroadcastSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BroadcastSender({} receivers, {} messages)", self.receivers(), self.len())
    }
}

/// The end that receives: it sees every message sent since it was made, or is told how many it missed.
pub struct BroadcastReceiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the message it will see next.
    next: Cell<u64>,
}

impl<T> BroadcastReceiver<T> {
    /// Takes the next message, and waits while there is none.
    ///
    /// The last receiver to see a message gets the message itself, the others clones.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvError::Lagged`] once after messages were missed, and the next call goes on with the oldest kept;
    /// [`BroadcastRecvError::Closed`] when all that was sent has been seen and no more will come;
    /// [`BroadcastRecvError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv(&self) -> Result<T, BroadcastRecvError>
    where
        T: Clone,
    {
        self.recv_until("BroadcastReceiver::recv", None)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), and [`BroadcastRecvError::TimedOut`].
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, BroadcastRecvError>
    where
        T: Clone,
    {
        self.recv_until("BroadcastReceiver::recv_timeout", Some(instant_after(timeout)))
    }

    #[track_caller]
    fn recv_until(&self, called: &str, deadline: Option<Instant>) -> Result<T, BroadcastRecvError>
    where
        T: Clone,
    {
        cancel::checkpoint_current();
        loop {
            match self.try_recv() {
                Err(BroadcastRecvError::Empty) => {}
                ended => return ended,
            }
            match self.shared.waiting.wait_for(called, REASON, deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(BroadcastRecvError::TimedOut),
                Unparked::Refused => return Err(BroadcastRecvError::Refused),
            }
        }
    }

    /// Takes the next message, if there is one; never waits.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvError::Empty`], [`BroadcastRecvError::Lagged`], [`BroadcastRecvError::Closed`].
    pub fn try_recv(&self) -> Result<T, BroadcastRecvError>
    where
        T: Clone,
    {
        let (number, oldest) = (self.next.get(), self.shared.oldest());
        if number < oldest {
            self.next.set(oldest);
            return Err(BroadcastRecvError::Lagged(oldest - number));
        }
        match self.shared.read(number) {
            Some(message) => {
                self.next.set(number + 1);
                Ok(Rc::unwrap_or_clone(message))
            }
            None if self.shared.closed.get() => Err(BroadcastRecvError::Closed),
            None => Err(BroadcastRecvError::Empty),
        }
    }

    /// Where its waits are, for those that select.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.shared.waiting
    }

    /// Another receiver, of what is sent from now on: it sees nothing of what waits for this one.
    pub fn resubscribe(&self) -> BroadcastReceiver<T> {
        self.shared.subscribe()
    }

    /// How many messages it has yet to see, missed ones not counted.
    pub fn len(&self) -> usize {
        let kept = self.shared.next.get() - self.next.get().max(self.shared.oldest());
        kept as usize
    }

    /// Whether it has seen all there is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for BroadcastReceiver<T> {
    fn drop(&mut self) {
        let shared = &*self.shared;
        shared.receivers.set(shared.receivers.get() - 1);
        for number in self.next.get().max(shared.oldest())..shared.next.get() {
            // A destructor of the message's may come back to the channel: each is dropped with nothing borrowed.
            drop(shared.read(number));
        }
    }
}

impl<T> fmt::Debug for BroadcastReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BroadcastReceiver({} messages)", self.len())
    }
}

/// A message that nobody will receive, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unheard<T>(pub T);

impl<T> fmt::Debug for Unheard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unheard(..)")
    }
}

impl<T> fmt::Display for Unheard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending to nobody: the channel has no receiver, or was closed")
    }
}

impl<T> std::error::Error for Unheard<T> {}

/// Why a receive from a channel that many hear has no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastRecvError {
    /// This many messages were sent and gone before this receiver looked; the next receive goes on after them.
    Lagged(u64),
    /// All that was sent has been seen, and no more will come.
    Closed,
    /// There is no message now.
    Empty,
    /// None came in time.
    TimedOut,
    /// There is no message now, and a coroutine that unwinds cannot wait for one.
    Refused,
}

impl fmt::Display for BroadcastRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastRecvError::Lagged(count) => write!(f, "receiving too slowly: {count} messages were missed"),
            BroadcastRecvError::Closed => f.write_str("receiving from a channel that is closed"),
            BroadcastRecvError::Empty => f.write_str("receiving from a channel without a message"),
            BroadcastRecvError::TimedOut => f.write_str("receiving: no message came in time"),
            BroadcastRecvError::Refused => {
                f.write_str("receiving: a coroutine that unwinds cannot wait; use shield before it does")
            }
        }
    }
}

impl std::error::Error for BroadcastRecvError {}
