//! The arms of what everyone may hear, of what is shared whole, and of results to be.
//!
//! Those whose state says whether there is something ([`Awaiting`]) look at it again when they are woken.
//! Those that hand over with the wake ([`Popping`], [`ReceivingMail`]) are given an item only if their wake was accepted,
//! so an arm that loses was given none.

use super::{Arm, IntoArm, Selectable, not_selected};
use crate::channel::handoff::{End, Handoff};
use crate::channel::{BroadcastReceiver, BroadcastRecvError, Deque, Fifo, WatchError, WatchReceiver};
use crate::park::Unparker;
use crate::source::RefusedError;
use crate::wait_queue::WaitQueue;
use crate::work::{Delivery, FutureError, FutureResult, Mailbox, Recv, Subscription};

/// Something whose state says whether there is something.
pub trait Condition {
    /// What it gives.
    type Output;

    /// Takes what there is; never waits.
    fn attempt(&self) -> Option<Self::Output>;

    /// The error for a coroutine that unwinds.
    fn refused() -> Self::Output;

    #[doc(hidden)]
    fn queue(&self) -> &WaitQueue;
}

impl<T: Clone> Condition for BroadcastReceiver<T> {
    type Output = Result<T, BroadcastRecvError>;

    fn attempt(&self) -> Option<Self::Output> {
        Some(self.try_recv()).filter(|ended| !matches!(ended, Err(BroadcastRecvError::Empty)))
    }

    fn refused() -> Self::Output {
        Err(BroadcastRecvError::Refused)
    }

    fn queue(&self) -> &WaitQueue {
        self.queue()
    }
}

impl<T> Condition for WatchReceiver<T> {
    type Output = Result<(), WatchError>;

    fn attempt(&self) -> Option<Self::Output> {
        self.try_changed()
    }

    fn refused() -> Self::Output {
        Err(WatchError::Refused)
    }

    fn queue(&self) -> &WaitQueue {
        self.queue()
    }
}

impl<M> Condition for Subscription<M> {
    type Output = Result<Delivery<M>, BroadcastRecvError>;

    fn attempt(&self) -> Option<Self::Output> {
        Some(self.try_recv()).filter(|ended| !matches!(ended, Err(BroadcastRecvError::Empty)))
    }

    fn refused() -> Self::Output {
        Err(BroadcastRecvError::Refused)
    }

    fn queue(&self) -> &WaitQueue {
        self.queue()
    }
}

impl<T: Clone, E: Clone> Condition for FutureResult<T, E> {
    type Output = Result<T, FutureError<E>>;

    fn attempt(&self) -> Option<Self::Output> {
        self.is_done().then(|| self.try_get())
    }

    fn refused() -> Self::Output {
        Err(FutureError::Refused)
    }

    fn queue(&self) -> &WaitQueue {
        self.queue()
    }
}

/// The arm of a [`BroadcastReceiver`], a [`WatchReceiver`], a [`Subscription`] or a [`FutureResult`]:
/// completes with what its `recv`, `changed` or `get` would return.
#[must_use = "an arm does nothing until it is selected"]
pub struct Awaiting<'a, S: Condition> {
    state: &'a S,
    ticket: u64,
    output: Option<S::Output>,
}

impl<'a, S: Condition> Awaiting<'a, S> {
    fn new(state: &'a S) -> Awaiting<'a, S> {
        Awaiting { state, ticket: 0, output: None }
    }
}

impl<'a, T: Clone> IntoArm for &'a BroadcastReceiver<T> {
    type Arm = Awaiting<'a, BroadcastReceiver<T>>;

    fn into_arm(self) -> Self::Arm {
        Awaiting::new(self)
    }
}

impl<'a, T> IntoArm for &'a WatchReceiver<T> {
    type Arm = Awaiting<'a, WatchReceiver<T>>;

    fn into_arm(self) -> Self::Arm {
        Awaiting::new(self)
    }
}

impl<'a, M> IntoArm for &'a Subscription<M> {
    type Arm = Awaiting<'a, Subscription<M>>;

    fn into_arm(self) -> Self::Arm {
        Awaiting::new(self)
    }
}

impl<'a, T: Clone, E: Clone> IntoArm for &'a FutureResult<T, E> {
    type Arm = Awaiting<'a, FutureResult<T, E>>;

    fn into_arm(self) -> Self::Arm {
        Awaiting::new(self)
    }
}

impl<S: Condition> Selectable for Awaiting<'_, S> {
    fn try_complete(&mut self) -> bool {
        self.output = self.state.attempt();
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.state.queue().enter(unparker);
    }

    fn disarm(&mut self) {
        self.state.queue().give_up(self.ticket);
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(S::refused());
        true
    }
}

impl<S: Condition> Arm for Awaiting<'_, S> {
    type Output = S::Output;

    fn into_output(self) -> S::Output {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm of a [`Fifo`], and those that [`Deque::popping`] and [`Deque::popping_left`] make:
/// completes with what the `pop` would return.
#[must_use = "an arm does nothing until it is selected"]
pub struct Popping<'a, T> {
    items: &'a Handoff<T>,
    end: End,
    operation: &'static str,
    ticket: u64,
    output: Option<Result<T, RefusedError>>,
}

impl<'a, T> IntoArm for &'a Fifo<T> {
    type Arm = Popping<'a, T>;

    fn into_arm(self) -> Popping<'a, T> {
        Popping::new(&self.items, End::Front, "pop")
    }
}

impl<T> Deque<T> {
    /// An arm of a select that takes the item at the right end, as [`pop`](Deque::pop) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::{channel::Deque, select, test};
    ///
    /// test::run(|| {
    ///     let deque = Deque::new();
    ///     deque.append("bottom");
    ///     deque.append("top");
    ///     let taken = select! { item = deque.popping() => item.unwrap() };
    ///     assert_eq!(taken, "top");
    /// });
    /// ```
    pub fn popping(&self) -> Popping<'_, T> {
        Popping::new(&self.items, End::Back, "pop")
    }

    /// An arm of a select that takes the item at the left end, as [`pop_left`](Deque::pop_left) does.
    pub fn popping_left(&self) -> Popping<'_, T> {
        Popping::new(&self.items, End::Front, "pop_left")
    }
}

impl<'a, T> Popping<'a, T> {
    fn new(items: &'a Handoff<T>, end: End, operation: &'static str) -> Popping<'a, T> {
        Popping { items, end, operation, ticket: 0, output: None }
    }
}

impl<T> Selectable for Popping<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = self.items.try_take(self.end).map(Ok);
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.items.enter(unparker);
    }

    fn disarm(&mut self) {
        self.items.leave(self.ticket);
    }

    fn complete_woken(&mut self) -> bool {
        self.output = self.items.take_given(self.ticket).map(Ok);
        self.output.is_some()
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(RefusedError { operation: self.operation }));
        true
    }
}

impl<T> Arm for Popping<'_, T> {
    type Output = Result<T, RefusedError>;

    fn into_output(self) -> Self::Output {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm of a [`Mailbox`]: completes with what its `recv` would return.
#[must_use = "an arm does nothing until it is selected"]
pub struct ReceivingMail<'a, M> {
    mailbox: &'a Mailbox<M>,
    ticket: u64,
    output: Option<Recv<M>>,
}

impl<'a, M> IntoArm for &'a Mailbox<M> {
    type Arm = ReceivingMail<'a, M>;

    fn into_arm(self) -> ReceivingMail<'a, M> {
        ReceivingMail { mailbox: self, ticket: 0, output: None }
    }
}

impl<M> Selectable for ReceivingMail<'_, M> {
    fn try_complete(&mut self) -> bool {
        self.output = self.mailbox.try_recv();
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.mailbox.messages().enter(unparker);
    }

    fn disarm(&mut self) {
        self.mailbox.messages().leave(self.ticket);
    }

    fn complete_woken(&mut self) -> bool {
        // Only the stop wakes without giving.
        let given = self.mailbox.messages().take_given(self.ticket);
        self.output = Some(given.map_or(Recv::Exit, Recv::Message));
        true
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Recv::Exit);
        true
    }
}

impl<M> Arm for ReceivingMail<'_, M> {
    type Output = Recv<M>;

    fn into_output(self) -> Recv<M> {
        self.output.unwrap_or_else(|| not_selected())
    }
}
