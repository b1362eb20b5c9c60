//! A bounded channel between threads, for coroutines of any runtime and threads of none.
//!
//! ```text
//!   ThreadSender ──┐                       ┌──► ThreadReceiver
//!   ThreadSender ──┴──► bounded queue ─────┴──► ThreadReceiver     each item reaches one receiver
//! ```
//!
//! A send that finds a parked receiver wakes its loop. Where the ancestor's workshop put a loopback socket beside a queue,
//! so that one wait covers sockets and the queue, a [`select!`](crate::select!) here takes both as arms.
//!
//! # Invariants
//!
//! - Items come out in the order they went in, each once; a receiver that is cut off has taken none.
//! - A wake given to a wait that ended otherwise goes to the next who waits.
//! - The queue never holds more than its capacity.
//!
//! # What is absent
//!
//! Unbounded queues, since nothing else would slow a sender on another thread down.
//! Rendezvous: a hand-off that one side may still leave needs both sides on one thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::channel::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use crate::scheduler;
use crate::threads::waiting::{RemoteUnparker, WaitList, Waited, lock, wait, wake_all, wake_or_next};

const SENDING: &str = "room in a channel between threads";
const RECEIVING: &str = "an item of a channel between threads";

/// Makes a channel that carries items from any thread to any thread, with room for `capacity` of them.
///
/// A full channel makes senders wait: a coroutine parks, a thread without a runtime blocks. So does an empty one
/// receivers. Both ends can be cloned.
///
/// # Panics
///
/// When `capacity` is zero.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{test, thread_channel};
///
/// test::run(|| {
///     let (sender, receiver) = thread_channel(8);
///     std::thread::spawn(move || (1..=3).for_each(|number| sender.send(number).unwrap()));
///     assert_eq!(receiver.iter().sum::<i32>(), 6);
/// });
/// ```
pub fn thread_channel<T: Send>(capacity: usize) -> (ThreadSender<T>, ThreadReceiver<T>) {
    assert!(capacity > 0, "a channel between threads has room for at least one item");
    let state = State {
        items: VecDeque::new(),
        capacity,
        senders: 1,
        receivers: 1,
        is_closed: false,
        sending: WaitList::default(),
        receiving: WaitList::default(),
    };
    let channel = Arc::new(Mutex::new(state));
    (ThreadSender { channel: channel.clone() }, ThreadReceiver { channel })
}

pub(super) struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receivers: usize,
    is_closed: bool,
    pub(super) sending: WaitList,
    pub(super) receiving: WaitList,
}

/// Why an attempt to send gave the item back.
enum NotSent {
    Full,
    Disconnected,
}

type Woken = Option<RemoteUnparker>;

impl<T> State<T> {
    /// Takes the item out of `item`, and says who is to be woken for it.
    fn push(&mut self, item: &mut Option<T>) -> Result<Woken, NotSent> {
        if self.is_closed || self.receivers == 0 {
            return Err(NotSent::Disconnected);
        }
        if self.items.len() >= self.capacity {
            return Err(NotSent::Full);
        }
        self.items.extend(item.take());
        Ok(self.receiving.pop())
    }

    fn pop(&mut self) -> Result<(T, Woken), TryRecvError> {
        match self.items.pop_front() {
            Some(item) => Ok((item, self.sending.pop())),
            None if self.is_closed || self.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Whether a pop would give something, if only an error.
    pub(super) fn can_pop(&self) -> bool {
        !self.items.is_empty() || self.is_closed || self.senders == 0
    }

    /// Whether a push would come to an end, if only to an error.
    pub(super) fn can_push(&self) -> bool {
        self.items.len() < self.capacity || self.is_closed || self.receivers == 0
    }

    fn close(&mut self) -> Vec<RemoteUnparker> {
        self.is_closed = true;
        let sending = self.sending.take();
        sending.chain(self.receiving.take()).collect()
    }
}

/// The end of a [`thread_channel`] that items go into.
pub struct ThreadSender<T> {
    pub(super) channel: Arc<Mutex<State<T>>>,
}

/// How a send ended, with the item unless it was sent.
enum Sent<T> {
    Done,
    Disconnected(T),
    Timeout(T),
    Refused(T),
}

impl<T> ThreadSender<T> {
    /// Sends an item, waiting while the channel is full.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and the item is dropped unsent.
    ///
    /// # Errors
    ///
    /// [`SendError::Disconnected`] and [`SendError::Refused`], with the item.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        match self.send_until(item, None) {
            Sent::Done => Ok(()),
            Sent::Disconnected(item) => Err(SendError::Disconnected(item)),
            Sent::Timeout(item) | Sent::Refused(item) => Err(SendError::Refused(item)),
        }
    }

    /// Sends an item, waiting up to `limit` while the channel is full.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and the item is dropped unsent.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the item.
    pub fn send_timeout(&self, item: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        match self.send_until(item, deadline_after(limit)) {
            Sent::Done => Ok(()),
            Sent::Disconnected(item) => Err(SendTimeoutError::Disconnected(item)),
            Sent::Timeout(item) => Err(SendTimeoutError::Timeout(item)),
            Sent::Refused(item) => Err(SendTimeoutError::Refused(item)),
        }
    }

    fn send_until(&self, item: T, deadline: Option<Instant>) -> Sent<T> {
        let mut item = Some(item);
        let sent = wait(
            &self.channel,
            |state| &mut state.sending,
            SENDING,
            deadline,
            |state| match state.push(&mut item) {
                Err(NotSent::Full) => None,
                done => Some(done),
            },
        );
        match (sent, item) {
            (Waited::Ready(Ok(receiver)), _) => {
                wake_or_next(&self.channel, |state| &mut state.receiving, receiver);
                Sent::Done
            }
            (Waited::Ready(Err(_)), Some(item)) => Sent::Disconnected(item),
            (Waited::TimedOut, Some(item)) => Sent::Timeout(item),
            (Waited::Refused, Some(item)) => Sent::Refused(item),
            (_, None) => unreachable!("the item is taken only by a push that succeeds"),
        }
    }

    /// Sends an item if there is room. Never suspends.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the item.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut item = Some(item);
        let pushed = lock(&self.channel).push(&mut item);
        match (pushed, item) {
            (Ok(receiver), _) => {
                wake_or_next(&self.channel, |state| &mut state.receiving, receiver);
                Ok(())
            }
            (Err(NotSent::Full), Some(item)) => Err(TrySendError::Full(item)),
            (Err(NotSent::Disconnected), Some(item)) => Err(TrySendError::Disconnected(item)),
            (Err(_), None) => unreachable!("the item is taken only by a push that succeeds"),
        }
    }
}

/// The end of a [`thread_channel`] that items come out of.
pub struct ThreadReceiver<T> {
    pub(super) channel: Arc<Mutex<State<T>>>,
}

impl<T> ThreadReceiver<T> {
    /// Takes the next item, waiting while there is none.
    ///
    /// # Cancellation
    ///
    /// Unwinds, having taken nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None).map_err(|error| match error {
            RecvTimeoutError::Disconnected => RecvError::Disconnected,
            RecvTimeoutError::Timeout | RecvTimeoutError::Refused => RecvError::Refused,
        })
    }

    /// Takes the next item, waiting up to `limit` while there is none.
    ///
    /// # Cancellation
    ///
    /// Unwinds, having taken nothing.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(deadline_after(limit))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let received = wait(
            &self.channel,
            |state| &mut state.receiving,
            RECEIVING,
            deadline,
            |state| match state.pop() {
                Err(TryRecvError::Empty) => None,
                done => Some(done),
            },
        );
        match received {
            Waited::Ready(Ok((item, sender))) => {
                wake_or_next(&self.channel, |state| &mut state.sending, sender);
                Ok(item)
            }
            Waited::Ready(Err(_)) => Err(RecvTimeoutError::Disconnected),
            Waited::TimedOut => Err(RecvTimeoutError::Timeout),
            Waited::Refused => Err(RecvTimeoutError::Refused),
        }
    }

    /// Takes the next item if there is one. Never suspends.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let (item, sender) = lock(&self.channel).pop()?;
        wake_or_next(&self.channel, |state| &mut state.sending, sender);
        Ok(item)
    }

    /// The items as they come, until the channel is empty and disconnected. Waits as [`recv`](Self::recv) does.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }
}

fn deadline_after(limit: Duration) -> Option<Instant> {
    let now = if scheduler::in_coroutine() { scheduler::now() } else { Instant::now() };
    now.checked_add(limit)
}

/// What both ends have in common.
macro_rules! end {
    ($end:ident, $count:ident) => {
        impl<T> $end<T> {
            /// Ends the channel for both sides: nothing more goes in, and what is in it can still be taken out.
            ///
            /// Never suspends.
            pub fn close(&self) {
                let waiting = lock(&self.channel).close();
                wake_all(waiting);
            }

            /// How many items are in it.
            pub fn len(&self) -> usize {
                lock(&self.channel).items.len()
            }

            /// Whether it is empty.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many items there is room for.
            pub fn capacity(&self) -> usize {
                lock(&self.channel).capacity
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                lock(&self.channel).$count += 1;
                $end { channel: self.channel.clone() }
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} of {} items)", stringify!($end), self.len(), self.capacity())
            }
        }
    };
}

end!(ThreadSender, senders);
end!(ThreadReceiver, receivers);

impl<T> Drop for ThreadSender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel);
        state.senders -= 1;
        let waiting = if state.senders == 0 { Vec::from_iter(state.receiving.take()) } else { Vec::new() };
        drop(state);
        wake_all(waiting);
    }
}

impl<T> Drop for ThreadReceiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel);
        state.receivers -= 1;
        if state.receivers > 0 {
            return;
        }
        let waiting = Vec::from_iter(state.sending.take());
        // Dropped once the lock is free: their destructors are the user's.
        let unread = std::mem::take(&mut state.items);
        drop(state);
        wake_all(waiting);
        drop(unread);
    }
}
