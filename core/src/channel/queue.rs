//! What the two ends of a channel share: its items, who waits at which end, and whether it is open.
//!
//! # Invariants
//!
//! - Nothing is handed over outside the queue: a wake says that it may have changed, and who is woken looks again.
//!   So an item is always in the queue or with one owner, and cancelling anybody loses none.
//! - A wake is used up only by a wait that was still on (park's first end counts); it then looks before it can be
//!   cut off, so no wake is lost either.
//! - No borrow is alive while an item is dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::error::{SendTimeoutError, TryRecvError, TrySendError};
use super::rendezvous::Meeting;
use crate::cancel;
use crate::park::{Reason, Unparked};
use crate::scheduler;
use crate::wait_queue::WaitQueue;

pub(crate) const SENDING: Reason = Reason::Other("room in a channel");
pub(crate) const RECEIVING: Reason = Reason::Other("an item of a channel");

/// What a send does when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits for room.
    #[default]
    Wait,
    /// It fails and gives the item back.
    Refuse,
    /// It makes room by dropping the item that has been in the queue longest.
    DropOldest,
    /// It drops the item that was to be sent, and succeeds.
    DropNewest,
}

pub(crate) struct Channel<T> {
    items: RefCell<VecDeque<T>>,
    capacity: usize,
    overflow: Overflow,
    /// No more items come in: it was closed, or one end is gone.
    closed: Cell<bool>,
    pub(super) senders: Cell<usize>,
    pub(super) receivers: Cell<usize>,
    pub(crate) receiving: WaitQueue,
    pub(crate) sending: WaitQueue,
    /// Where the ends of a rendezvous meet; its queue stays empty.
    pub(crate) meeting: Option<Box<Meeting<T>>>,
}

/// Why a receive that may wait has no item.
pub(super) enum Unreceived {
    Timeout,
    Disconnected,
    Refused,
}

impl<T> Channel<T> {
    pub(super) fn new(capacity: usize, overflow: Overflow, meeting: Option<Box<Meeting<T>>>) -> Channel<T> {
        Channel {
            items: RefCell::default(),
            capacity,
            overflow,
            closed: Cell::new(false),
            senders: Cell::new(1),
            receivers: Cell::new(1),
            receiving: WaitQueue::new(),
            sending: WaitQueue::new(),
            meeting,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Lets nothing more in and tells everyone who waits.
    pub(super) fn close(&self) -> bool {
        let was_open = !self.closed.replace(true);
        self.receiving.wake_all();
        self.sending.wake_all();
        if let Some(meeting) = &self.meeting {
            meeting.wake_all();
        }
        was_open
    }

    /// Drops what nobody will receive, outside of any borrow: the items may hold ends of this very channel.
    pub(super) fn discard(&self) {
        let items = self.items.take();
        drop(items);
    }

    /// Sends without waiting.
    #[inline]
    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        if self.closed.get() {
            return Err(TrySendError::Disconnected(item));
        }
        if let Some(meeting) = &self.meeting {
            return meeting.hand_over(item).map_err(TrySendError::Full);
        }
        let mut items = self.items.borrow_mut();
        if items.len() >= self.capacity {
            drop(items);
            return self.overflow(item);
        }
        items.push_back(item);
        drop(items);
        self.receiving.wake_one();
        Ok(())
    }

    /// Does with an item for which there is no room what the channel was made to do.
    fn overflow(&self, item: T) -> Result<(), TrySendError<T>> {
        match self.overflow {
            Overflow::Wait | Overflow::Refuse => Err(TrySendError::Full(item)),
            Overflow::DropNewest => {
                drop(item);
                Ok(())
            }
            Overflow::DropOldest => {
                let mut items = self.items.borrow_mut();
                let oldest = items.pop_front();
                items.push_back(item);
                drop(items);
                drop(oldest);
                Ok(())
            }
        }
    }

    /// Whether a send that finds no room waits for it.
    pub(crate) fn waits_when_full(&self) -> bool {
        self.overflow == Overflow::Wait
    }

    /// Receives without waiting.
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let item = self.items.borrow_mut().pop_front();
        match item {
            Some(item) => {
                self.sending.wake_one();
                Ok(item)
            }
            None => self.try_recv_without_queue(),
        }
    }

    fn try_recv_without_queue(&self) -> Result<T, TryRecvError> {
        match self.meeting.as_ref().and_then(|meeting| meeting.take_offer()) {
            Some(item) => Ok(item),
            None if self.closed.get() => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Sends, and waits where the channel was made to.
    #[inline]
    #[track_caller]
    pub(super) fn send(&self, called: &str, mut item: T, limit: Option<Duration>) -> Result<(), SendTimeoutError<T>> {
        checkpoint();
        let mut deadline = None;
        loop {
            item = match self.try_send(item) {
                Ok(()) => {
                    self.give_way_to_receiver();
                    return Ok(());
                }
                Err(TrySendError::Disconnected(item)) => return Err(SendTimeoutError::Disconnected(item)),
                Err(TrySendError::Full(item)) if !self.waits_when_full() => return Err(SendTimeoutError::Full(item)),
                Err(TrySendError::Full(item)) => item,
            };
            set_deadline(&mut deadline, limit);
            if let Some(meeting) = &self.meeting {
                return meeting.offer(called, item, deadline);
            }
            match self.sending.wait_for(called, SENDING, deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(SendTimeoutError::Timeout(item)),
                Unparked::Refused => return Err(SendTimeoutError::Refused(item)),
            }
        }
    }

    /// Receives, and waits while there is nothing.
    // As in `park`: a return after the switch would be predicted wrongly.
    #[inline(always)]
    #[track_caller]
    pub(super) fn recv(&self, called: &str, limit: Option<Duration>) -> Result<T, Unreceived> {
        checkpoint();
        let mut deadline = None;
        loop {
            match self.try_recv() {
                Ok(item) => {
                    self.give_way_to_sender();
                    return Ok(item);
                }
                Err(TryRecvError::Disconnected) => return Err(Unreceived::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            set_deadline(&mut deadline, limit);
            if let Some(meeting) = &self.meeting {
                return meeting.request(called, deadline);
            }
            match self.receiving.wait_for(called, RECEIVING, deadline) {
                Unparked::Woken => {}
                Unparked::TimedOut => return Err(Unreceived::Timeout),
                Unparked::Refused => return Err(Unreceived::Refused),
            }
        }
    }

    #[inline]
    fn give_way_to_receiver(&self) {
        if let Some(meeting) = &self.meeting {
            meeting.give_way_to_receiver();
        }
    }

    #[inline]
    fn give_way_to_sender(&self) {
        if let Some(meeting) = &self.meeting {
            meeting.give_way_to_sender();
        }
    }
}

/// Unwinds a cancelled coroutine, as every call that may wait does before anything else.
#[inline]
pub(crate) fn checkpoint() {
    let interrupted =
        scheduler::with(|scheduler| scheduler.current.borrow().as_ref().is_some_and(|record| record.interrupted.get()));
    if interrupted == Some(true) {
        cancel::checkpoint_current();
    }
}

/// Turns a limit into a deadline once, at the first wait: the clock is not read for a call that need not wait.
#[inline]
fn set_deadline(deadline: &mut Option<Instant>, limit: Option<Duration>) {
    if let (None, Some(limit)) = (&deadline, limit) {
        *deadline = Some(instant_after(limit));
    }
}

/// The moment `limit` from now, on the runtime's clock; one that cannot be reached stands for never.
pub(crate) fn instant_after(limit: Duration) -> Instant {
    scheduler::with(|scheduler| scheduler.clock.to_instant(scheduler.clock.after(limit)))
        .unwrap_or_else(|| Instant::now() + limit.min(OUTSIDE_LONGEST))
}

/// Outside a runtime nobody waits; the moment must only exist.
const OUTSIDE_LONGEST: Duration = Duration::from_secs(1 << 32);
