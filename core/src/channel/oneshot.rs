//! A channel for one item: an answer, handed to whoever asked.
//!
//! ```text
//!   send ──► a receiver waits? ──yes──► it is woken, and takes the item
//!        │         └──no──► kept until it asks
//!        └─► the receiver is gone, or is being cancelled: the item goes back
//! ```
//!
//! # Invariants
//!
//! - One allocation, shared by both ends.
//! - The item is in the channel or with one of the ends; a receiver that is dropped takes it with it.
//! - At most one coroutine waits at each end, since waiting takes the end or borrows it mutably.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::error::{RecvError, TryRecvError};
use super::queue::checkpoint;
use crate::park::{Reason, Unparked, Unparker, Withdrawal, park_for};

const RECEIVING: Reason = Reason::Other("the item of a oneshot channel");
const CLOSING: Reason = Reason::Other("the receiver of a oneshot channel to go");

/// Makes a channel for one item. Never suspends.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{channel, spawn, test};
///
/// test::run(|| {
///     let (sender, receiver) = channel::oneshot();
///     spawn(move || sender.send(42));
///     assert_eq!(receiver.recv(), Ok(42));
/// });
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        item: Cell::new(None),
        sender: Cell::new(true),
        receiver: Cell::new(true),
        receiving: Cell::new(None),
        closing: Cell::new(None),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    item: Cell<Option<T>>,
    /// Whether the sender is there and has not sent.
    sender: Cell<bool>,
    /// Whether the receiver is there.
    receiver: Cell<bool>,
    receiving: Cell<Option<Waiting>>,
    closing: Cell<Option<Unparker>>,
}

/// Who waits for the item.
enum Waiting {
    /// A `recv`, with which the receiver ends.
    ToTheEnd(Unparker),
    /// A select, which the receiver outlives.
    ForNow(Unparker),
}

/// The end that the item goes into.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the item. Never suspends.
    ///
    /// # Errors
    ///
    /// The item, when the receiver is gone, or is being cancelled while it waits.
    #[inline]
    pub fn send(self, item: T) -> Result<(), T> {
        let shared = &self.shared;
        if !shared.receiver.get() {
            return Err(item);
        }
        match shared.receiving.take() {
            Some(Waiting::ToTheEnd(receiver)) if receiver.unpark().is_err() => return Err(item),
            Some(Waiting::ForNow(receiver)) => {
                // A select that another arm has ended finds the item at its next turn.
                let _ = receiver.unpark();
            }
            Some(Waiting::ToTheEnd(_)) | None => {}
        }
        shared.item.set(Some(item));
        Ok(())
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        !self.shared.receiver.get()
    }

    /// Waits until the receiver is gone, so that work for nobody can be given up.
    ///
    /// In a coroutine that unwinds it returns at once.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, unless the receiver is gone.
    #[track_caller]
    pub fn closed(&mut self) {
        checkpoint();
        if self.is_closed() {
            return;
        }
        let withdraw = || {
            drop(self.shared.closing.take());
            Withdrawal::Withdrawn
        };
        // Refused or woken, there is no more to be waited for.
        let _ = park_for(
            "oneshot::Sender::closed",
            CLOSING,
            None,
            |unparker| self.shared.closing.set(Some(unparker)),
            withdraw,
        );
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender.set(false);
        match self.shared.receiving.take() {
            Some(Waiting::ToTheEnd(receiver) | Waiting::ForNow(receiver)) => {
                // One that has ended its wait finds out by itself.
                let _ = receiver.unpark();
            }
            None => {}
        }
    }
}

/// The end that the item comes out of.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Waits for the item.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] when the sender was dropped without having sent, or the item has been taken;
    /// [`RecvError::Refused`] when it would have to wait in a coroutine that unwinds.
    ///
    /// # Cancellation
    ///
    /// Unwinds; the sender gets its item back, as from a receiver that is gone.
    ///
    /// # Panics
    ///
    /// Outside a coroutine, if it must wait.
    // As in `park`: a return after the switch would be predicted wrongly.
    #[inline(always)]
    #[track_caller]
    pub fn recv(mut self) -> Result<T, RecvError> {
        checkpoint();
        match self.try_recv() {
            Ok(item) => return Ok(item),
            Err(TryRecvError::Disconnected) => return Err(RecvError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let shared = &*self.shared;
        let withdraw = || {
            drop(shared.receiving.take());
            Withdrawal::Withdrawn
        };
        match park_for(
            "oneshot::Receiver::recv",
            RECEIVING,
            None,
            |unparker| shared.receiving.set(Some(Waiting::ToTheEnd(unparker))),
            withdraw,
        ) {
            Unparked::Refused => Err(RecvError::Refused),
            Unparked::Woken | Unparked::TimedOut => shared.item.take().ok_or(RecvError::Disconnected),
        }
    }

    /// Takes the item if it is there. Never suspends.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]; `Disconnected` also when the item has been taken.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.shared.item.take() {
            Some(item) => Ok(item),
            None if self.shared.sender.get() => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Disconnected),
        }
    }

    /// Whether the sender is gone: it has sent, or never will.
    pub fn is_closed(&self) -> bool {
        !self.shared.sender.get()
    }

    /// Leaves an unparker for a select.
    pub(crate) fn enter(&self, unparker: Unparker) {
        self.shared.receiving.set(Some(Waiting::ForNow(unparker)));
    }

    pub(crate) fn leave(&self) {
        drop(self.shared.receiving.take());
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receiver.set(false);
        if let Some(sender) = self.shared.closing.take() {
            let _ = sender.unpark();
        }
        // Nobody will take it; its destructor may do as it likes, for both ends know by now.
        drop(self.shared.item.take());
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("closed", &self.is_closed()).finish()
    }
}
