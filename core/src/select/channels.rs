//! The arms that send to a channel or receive from one.

use super::{Arm, IntoArm, Selectable, not_selected};
use crate::channel::{Channel, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, oneshot};
use crate::park::Unparker;

/// What an attempt to receive comes to; `None` if there is something to wait for.
pub(crate) fn received<T>(attempt: Result<T, TryRecvError>) -> Option<Result<T, RecvError>> {
    match attempt {
        Ok(item) => Some(Ok(item)),
        Err(TryRecvError::Disconnected) => Some(Err(RecvError::Disconnected)),
        Err(TryRecvError::Empty) => None,
    }
}

/// The arm of a [`Receiver`]: completes with an item, or an error once there will be none.
#[must_use = "an arm does nothing until it is selected"]
pub struct Receiving<'a, T> {
    channel: &'a Channel<T>,
    ticket: u64,
    output: Option<Result<T, RecvError>>,
}

impl<'a, T> IntoArm for &'a Receiver<T> {
    type Arm = Receiving<'a, T>;

    fn into_arm(self) -> Receiving<'a, T> {
        Receiving { channel: &self.channel, ticket: 0, output: None }
    }
}

impl<T> Selectable for Receiving<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = received(self.channel.try_recv());
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = match &self.channel.meeting {
            Some(meeting) => meeting.enter_request(unparker),
            None => self.channel.receiving.enter(unparker),
        };
    }

    fn disarm(&mut self) {
        match &self.channel.meeting {
            Some(meeting) => meeting.leave_request(self.ticket),
            None => {
                self.channel.receiving.give_up(self.ticket);
            }
        }
    }

    fn complete_woken(&mut self) -> bool {
        let Some(meeting) = &self.channel.meeting else { return self.try_complete() };
        self.output = Some(meeting.take_handed(self.ticket).ok_or(RecvError::Disconnected));
        true
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(RecvError::Refused));
        true
    }
}

impl<T> Arm for Receiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn into_output(self) -> Result<T, RecvError> {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm that [`Sender::sending`] makes: completes when the item has been sent, or cannot be.
#[must_use = "an arm does nothing until it is selected"]
pub struct Sending<'a, T> {
    channel: &'a Channel<T>,
    ticket: u64,
    item: Option<T>,
    output: Option<Result<(), SendError<T>>>,
}

impl<T> Sender<T> {
    /// An arm of a select that sends `item`.
    ///
    /// When another arm is selected the item has not been sent; [`Sending::into_item`] gives it back.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_core::{channel, select, test};
    ///
    /// test::run(|| {
    ///     let (requests, _) = channel::bounded::<&str>(1);
    ///     let (answers, inbox) = channel::bounded(1);
    ///     let sent = select! {
    ///         sent = answers.sending("hello") => sent.is_ok(),
    ///     };
    ///     assert!(sent && inbox.recv() == Ok("hello") && requests.is_closed());
    /// });
    /// ```
    pub fn sending(&self, item: T) -> Sending<'_, T> {
        Sending { channel: &self.channel, ticket: 0, item: Some(item), output: None }
    }
}

impl<T> Sending<'_, T> {
    /// The item, unless it has been sent.
    pub fn into_item(self) -> Option<T> {
        self.item.or_else(|| self.output?.err().map(SendError::into_inner))
    }
}

impl<T> Selectable for Sending<'_, T> {
    fn try_complete(&mut self) -> bool {
        let Some(item) = self.item.take() else { return self.output.is_some() };
        match self.channel.try_send(item) {
            Ok(()) => self.output = Some(Ok(())),
            Err(TrySendError::Disconnected(item)) => self.output = Some(Err(SendError::Disconnected(item))),
            Err(TrySendError::Full(item)) if !self.channel.waits_when_full() => {
                self.output = Some(Err(SendError::Full(item)));
            }
            Err(TrySendError::Full(item)) => self.item = Some(item),
        }
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = match (&self.channel.meeting, self.item.take()) {
            (Some(meeting), Some(item)) => meeting.enter_offer(item, unparker),
            (_, item) => {
                self.item = item;
                self.channel.sending.enter(unparker)
            }
        };
    }

    fn disarm(&mut self) {
        match &self.channel.meeting {
            Some(meeting) => self.item = meeting.leave_offer(self.ticket),
            None => {
                self.channel.sending.give_up(self.ticket);
            }
        }
    }

    fn complete_woken(&mut self) -> bool {
        let Some(meeting) = &self.channel.meeting else { return self.try_complete() };
        self.output = Some(match meeting.leave_offer(self.ticket) {
            Some(item) => Err(SendError::Disconnected(item)),
            None => Ok(()),
        });
        true
    }

    fn refuse(&mut self) -> bool {
        self.output = self.item.take().map(|item| Err(SendError::Refused(item)));
        self.output.is_some()
    }
}

impl<T> Arm for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn into_output(self) -> Result<(), SendError<T>> {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm of a [`oneshot::Receiver`]: completes with the item, or an error when its sender is gone.
#[must_use = "an arm does nothing until it is selected"]
pub struct OnceReceiving<'a, T> {
    receiver: &'a mut oneshot::Receiver<T>,
    output: Option<Result<T, RecvError>>,
}

impl<'a, T> IntoArm for &'a mut oneshot::Receiver<T> {
    type Arm = OnceReceiving<'a, T>;

    fn into_arm(self) -> OnceReceiving<'a, T> {
        OnceReceiving { receiver: self, output: None }
    }
}

impl<T> Selectable for OnceReceiving<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = received(self.receiver.try_recv());
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.receiver.enter(unparker);
    }

    fn disarm(&mut self) {
        self.receiver.leave();
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(RecvError::Refused));
        true
    }
}

impl<T> Arm for OnceReceiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn into_output(self) -> Result<T, RecvError> {
        self.output.unwrap_or_else(|| not_selected())
    }
}
