//! The two ends of a channel, and how channels are made.

use std::fmt;
use std::iter::FusedIterator;
use std::rc::Rc;
use std::time::Duration;

use super::error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use super::queue::{Channel, Overflow, Unreceived};
use super::rendezvous::{Meeting, Prefer};

/// Makes a channel that holds up to `capacity` items; a send to a full one waits.
///
/// A capacity of zero makes a [`rendezvous`], as std's `sync_channel` does. Never suspends.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel, spawn, test};
///
/// test::run(|| {
///     let (sender, receiver) = channel::bounded(2);
///     let producer = spawn(move || (0..10).try_for_each(|number| sender.send(number)));
///     assert_eq!(receiver.iter().sum::<i32>(), 45);
///     producer.join().unwrap().unwrap();
/// });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    if capacity == 0 { rendezvous() } else { pair(Channel::new(capacity, Overflow::Wait, None)) }
}

/// Makes a channel that holds up to `capacity` items and does what `overflow` says with one more.
///
/// Never suspends.
///
/// # Panics
///
/// When `capacity` is zero: there is nothing to overflow.
///
/// # Examples
///
/// ```
/// use grapeshot_core::channel::{self, Overflow};
///
/// let (sender, receiver) = channel::bounded_with(2, Overflow::DropOldest);
/// (1..=5).for_each(|number| sender.try_send(number).unwrap());
/// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [4, 5]);
/// ```
pub fn bounded_with<T>(capacity: usize, overflow: Overflow) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "bounded_with: a channel that can overflow holds at least one item");
    pair(Channel::new(capacity, overflow, None))
}

/// Makes a channel that holds any number of items; a send never waits.
///
/// What its senders send ahead of its receivers is limited by memory alone: prefer [`bounded`] wherever the sender
/// can wait. Never suspends.
///
/// # Examples
///
/// ```
/// use grapeshot_core::channel;
///
/// let (sender, receiver) = channel::unbounded();
/// sender.try_send("a").unwrap();
/// assert_eq!(receiver.try_recv().unwrap(), "a");
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(Channel::new(usize::MAX, Overflow::Wait, None))
}

/// Makes a channel that holds nothing: a send waits until a receiver has taken the item (SYL-3).
///
/// Who runs first after the two have met is left to the run queue; see [`rendezvous_with`]. Never suspends.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel, spawn, test};
///
/// test::run(|| {
///     let (sender, receiver) = channel::rendezvous();
///     let receiver = spawn(move || receiver.recv());
///     sender.send("taken").unwrap();
///     assert_eq!(receiver.join().unwrap(), Ok("taken"));
/// });
/// ```
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    rendezvous_with(Prefer::Neither)
}

/// Makes a [`rendezvous`] that says which side runs first after the two have met.
///
/// The preference holds for `send` and `recv` and their forms with a time limit;
/// a `try_send`, a `try_recv` and an arm of a select never give way. Never suspends.
pub fn rendezvous_with<T>(prefer: Prefer) -> (Sender<T>, Receiver<T>) {
    pair(Channel::new(0, Overflow::Wait, Some(Box::new(Meeting::new(prefer)))))
}

fn pair<T>(channel: Channel<T>) -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(channel);
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// The end that items go into. Clones send into the same channel.
///
/// When the last one is dropped, receivers get what is in the channel, and then [`RecvError::Disconnected`].
pub struct Sender<T> {
    pub(crate) channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends an item, waiting for room if the channel was made to wait.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and drops the item without having sent it.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it must wait.
    #[inline]
    #[track_caller]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.channel.send("Sender::send", item, None).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => unreachable!("a send without a limit has timed out"),
            SendTimeoutError::Disconnected(item) => SendError::Disconnected(item),
            SendTimeoutError::Full(item) => SendError::Full(item),
            SendTimeoutError::Refused(item) => SendError::Refused(item),
        })
    }

    /// Sends an item if that takes no wait. Never suspends.
    ///
    /// Into a rendezvous it succeeds only when a receiver waits.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the item.
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.channel.try_send(item)
    }

    /// Sends an item, waiting no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the item.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and drops the item without having sent it.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it must wait.
    #[track_caller]
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.channel.send("Sender::send_timeout", item, Some(timeout))
    }

    /// How many senders the channel has.
    pub fn sender_count(&self) -> usize {
        self.channel.senders.get()
    }
}

/// The end that items come out of. Clones receive from the same channel, each item one of them.
///
/// When the last one is dropped, what is in the channel is dropped, and senders get their items back.
pub struct Receiver<T> {
    pub(crate) channel: Rc<Channel<T>>,
}

impl<T> Receiver<T> {
    /// Receives the next item, waiting until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    ///
    /// # Cancellation
    ///
    /// Unwinds, and takes nothing out of the channel.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it must wait.
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.channel.recv("Receiver::recv", None).map_err(|error| match error {
            Unreceived::Timeout => unreachable!("a receive without a limit has timed out"),
            Unreceived::Disconnected => RecvError::Disconnected,
            Unreceived::Refused => RecvError::Refused,
        })
    }

    /// Receives the next item if there is one. Never suspends.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv()
    }

    /// Receives the next item, waiting no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    ///
    /// # Cancellation
    ///
    /// Unwinds, and takes nothing out of the channel.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it must wait.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.channel.recv("Receiver::recv_timeout", Some(timeout)).map_err(|error| match error {
            Unreceived::Timeout => RecvTimeoutError::Timeout,
            Unreceived::Disconnected => RecvTimeoutError::Disconnected,
            Unreceived::Refused => RecvTimeoutError::Refused,
        })
    }

    /// The items to come, until the channel is empty and disconnected. Its `next` waits as [`recv`](Self::recv) does.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The items that are there, until there is none. Never suspends.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// How many receivers the channel has.
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers.get()
    }
}

/// What both ends of a channel can say and do.
macro_rules! both_ends {
    ($end:ident, $count:ident, $last:expr) => {
        impl<T> $end<T> {
            /// How many items the channel holds.
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Whether the channel holds no items.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many items it can hold: zero for a rendezvous, and none if there is no limit.
            pub fn capacity(&self) -> Option<usize> {
                self.channel.capacity()
            }

            /// Whether nothing more can be sent: it has been closed, or one of its ends is gone.
            pub fn is_closed(&self) -> bool {
                self.channel.is_closed()
            }

            /// Lets nothing more in: senders get their items back, receivers what is there and then an error.
            ///
            /// Answers whether it was open. Never suspends.
            pub fn close(&self) -> bool {
                self.channel.close()
            }

            /// Whether both are ends of one channel.
            pub fn same_channel(&self, other: &$end<T>) -> bool {
                Rc::ptr_eq(&self.channel, &other.channel)
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> $end<T> {
                self.channel.$count.set(self.channel.$count.get() + 1);
                $end { channel: self.channel.clone() }
            }
        }

        impl<T> Drop for $end<T> {
            fn drop(&mut self) {
                let left = self.channel.$count.get() - 1;
                self.channel.$count.set(left);
                if left == 0 {
                    let last: fn(&Channel<T>) = $last;
                    last(&self.channel);
                }
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("closed", &self.is_closed())
                    .finish()
            }
        }
    };
}

both_ends!(Sender, senders, |channel| {
    channel.close();
});
both_ends!(Receiver, receivers, |channel| {
    channel.close();
    channel.discard();
});

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// The items to come, owned; made by `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for IntoIter<T> {}
impl<T> FusedIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}
