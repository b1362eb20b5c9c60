//! A letter box: what others want of a coroutine, in the order they asked.
//!
//! ```text
//!   send ──► [ a | b | c ] ──► recv: a, b, c, then Exit for ever
//!                        ▲ stop: nothing is taken in any more
//! ```
//!
//! # Invariants
//!
//! - What was sent before [`Mailbox::stop`] is received before [`Recv::Exit`], and every receiver gets an exit.
//! - In a bounded mailbox nobody waits to send while there is room, and nobody overtakes one who waits:
//!   the room made for one who is woken is reserved for it.
//! - A receive that is cancelled takes no message; a send that is cancelled adds none.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cancel;
use crate::channel::handoff::{End, Handoff, Nothing};
use crate::channel::{RecvTimeoutError, SendError, TrySendError, instant_after};
use crate::park::{Reason, Unparked};
use crate::wait_queue::WaitQueue;

/// A queue of messages that can be told to end (BEA-2). A clone is the same mailbox.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{spawn, test, work::{Mailbox, Recv}};
///
/// test::run(|| {
///     let mailbox = Mailbox::new();
///     let counter = spawn({
///         let mailbox = mailbox.clone();
///         move || {
///             let mut sum = 0;
///             while let Recv::Message(number) = mailbox.recv() {
///                 sum += number;
///             }
///             sum
///         }
///     });
///     mailbox.send(1).unwrap();
///     mailbox.send(2).unwrap();
///     mailbox.stop();
///     assert_eq!(counter.join().unwrap(), 3);
/// });
/// ```
pub struct Mailbox<M> {
    shared: Rc<Shared<M>>,
}

struct Shared<M> {
    messages: Handoff<M>,
    capacity: usize,
    senders: WaitQueue,
    /// Room kept for senders that have been woken and have not had their turn.
    reserved: Cell<usize>,
}

/// What a mailbox gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recv<M> {
    /// A message.
    Message(M),
    /// The mailbox was stopped, and everything sent before has been received: the receiver is to end.
    Exit,
}

impl<M> Recv<M> {
    /// The message; `None` for the exit.
    pub fn message(self) -> Option<M> {
        match self {
            Recv::Message(message) => Some(message),
            Recv::Exit => None,
        }
    }
}

impl<M> Mailbox<M> {
    /// A mailbox in which there is always room: sending never waits.
    ///
    /// Its memory is bounded by its users only; see [`bounded`](Self::bounded).
    pub fn new() -> Mailbox<M> {
        Mailbox::with_capacity(usize::MAX)
    }

    /// A mailbox for `capacity` messages: who sends to a full one waits until there is room.
    ///
    /// Two coroutines that wait for room in each other's mailbox wait for ever: bound one way only.
    ///
    /// # Panics
    ///
    /// When `capacity` is zero.
    #[track_caller]
    pub fn bounded(capacity: usize) -> Mailbox<M> {
        assert!(capacity > 0, "a mailbox has room for at least one message, not for 0");
        Mailbox::with_capacity(capacity)
    }

    fn with_capacity(capacity: usize) -> Mailbox<M> {
        let (messages, senders) = (Handoff::new(), WaitQueue::new());
        Mailbox { shared: Rc::new(Shared { messages, capacity, senders, reserved: Cell::new(0) }) }
    }

    /// Adds a message, or gives it to the receiver that has waited longest.
    ///
    /// Waits only while a bounded mailbox is full; of those who wait, the first goes first.
    ///
    /// # Errors
    ///
    /// With the message: [`SendError::Disconnected`] when the mailbox was stopped, be it during the wait;
    /// [`SendError::Refused`] when it would have to wait and the coroutine unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the message is dropped then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        let shared = &*self.shared;
        cancel::checkpoint_current();
        if shared.messages.is_closed() {
            return Err(SendError::Disconnected(message));
        }
        if shared.has_room() {
            shared.messages.put(End::Back, message);
            return Ok(());
        }
        if shared.senders.wait_for("Mailbox::send", Reason::Other("room in a mailbox"), None) != Unparked::Woken {
            return Err(SendError::Refused(message));
        }
        shared.reserved.set(shared.reserved.get() - 1);
        if shared.messages.is_closed() {
            return Err(SendError::Disconnected(message));
        }
        shared.messages.put(End::Back, message);
        // If a receiver took it out of hand, there is room still.
        shared.admit();
        Ok(())
    }

    /// Adds a message if there is room; never waits.
    ///
    /// # Errors
    ///
    /// With the message: [`TrySendError::Full`], [`TrySendError::Disconnected`] when the mailbox was stopped.
    pub fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        if self.is_stopped() {
            return Err(TrySendError::Disconnected(message));
        }
        if !self.shared.has_room() {
            return Err(TrySendError::Full(message));
        }
        self.shared.messages.put(End::Back, message);
        Ok(())
    }

    /// Takes the next message, and waits while there is none and the mailbox has not been stopped.
    ///
    /// In a coroutine that unwinds, and so must end anyway, it returns [`Recv::Exit`] instead of waiting.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv(&self) -> Recv<M> {
        // Without a deadline, nothing else than a message and the two ends can come.
        self.recv_until("Mailbox::recv", None).map_or(Recv::Exit, Recv::Message)
    }

    /// Takes the next message, and waits for it for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`]; and [`RecvTimeoutError::Refused`] when it would have to wait
    /// and the coroutine unwinds. A stopped mailbox is no error, but an exit.
    ///
    /// # Cancellation
    ///
    /// Unwinds; no message is taken then.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it has to wait.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Recv<M>, RecvTimeoutError> {
        match self.recv_until("Mailbox::recv_timeout", Some(instant_after(timeout))) {
            Ok(message) => Ok(Recv::Message(message)),
            Err(Nothing::Closed) => Ok(Recv::Exit),
            Err(Nothing::TimedOut) => Err(RecvTimeoutError::Timeout),
            Err(Nothing::Refused) => Err(RecvTimeoutError::Refused),
        }
    }

    /// Its messages, for those that select.
    pub(crate) fn messages(&self) -> &Handoff<M> {
        &self.shared.messages
    }

    #[track_caller]
    fn recv_until(&self, called: &str, deadline: Option<Instant>) -> Result<M, Nothing> {
        let taken = self.shared.messages.take(called, End::Front, Reason::Other("a message in a mailbox"), deadline);
        self.shared.admit();
        taken
    }

    /// Takes the next message or the exit, if there is one; never waits.
    pub fn try_recv(&self) -> Option<Recv<M>> {
        match self.shared.messages.try_take(End::Front) {
            Some(message) => {
                self.shared.admit();
                Some(Recv::Message(message))
            }
            None => self.is_stopped().then_some(Recv::Exit),
        }
    }

    /// Goes through the messages as they come, until the exit.
    ///
    /// Each step is a [`recv`](Self::recv).
    pub fn iter(&self) -> impl Iterator<Item = M> {
        std::iter::from_fn(|| self.recv().message())
    }

    /// Takes nothing in any more: receivers get what was sent before, and then [`Recv::Exit`], all of them. Never waits.
    ///
    /// Senders that wait for room get their messages back.
    pub fn stop(&self) {
        let shared = &*self.shared;
        shared.messages.close();
        shared.reserved.set(shared.reserved.get() + shared.senders.wake_all());
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.messages.is_closed()
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.shared.messages.len()
    }

    /// Whether no message is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<M> Shared<M> {
    fn has_room(&self) -> bool {
        self.messages.len() + self.reserved.get() < self.capacity
    }

    /// Lets in as many of those who wait as there is room for.
    fn admit(&self) {
        while self.has_room() && self.senders.wake_one() {
            self.reserved.set(self.reserved.get() + 1);
        }
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox { shared: self.shared.clone() }
    }
}

impl<M> Default for Mailbox<M> {
    fn default() -> Mailbox<M> {
        Mailbox::new()
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = if self.is_stopped() { ", stopped" } else { "" };
        write!(f, "Mailbox({} messages, {} receivers waiting{stopped})", self.len(), self.shared.messages.waiting())
    }
}
