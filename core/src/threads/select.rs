//! The arms of a select whose events come from other threads: an item of a channel, the end of work.

use std::sync::Mutex;

use crate::channel::{RecvError, SendError, TrySendError};
use crate::park::Unparker;
use crate::scheduler;
use crate::select::{Arm, IntoArm, Selectable, not_selected, received};
use crate::spawn::JoinError;
use crate::threads::channel::{ThreadReceiver, ThreadSender};
use crate::threads::join::RemoteJoinHandle;
use crate::threads::tickets::Ticket;
use crate::threads::waiting::{RemoteUnparker, WaitList, lock, open_ticket, wake_one};

/// Where an arm waits: its place in a list, and the ticket that names the wait there.
#[derive(Default)]
struct Place(Option<(u64, Ticket)>);

impl Place {
    /// Enters the list, unless what it waits for has come since the arm was tried.
    fn enter<S>(
        &mut self,
        state: &Mutex<S>,
        list: impl Fn(&mut S) -> &mut WaitList,
        unparker: Unparker,
        has_come: impl FnOnce(&mut S) -> bool,
    ) {
        let mut guard = lock(state);
        if has_come(&mut guard) {
            drop(guard);
            // Refused if an arm before this one has come as well.
            let _ = unparker.unpark();
        } else if let Some((inbox, ticket)) = open_ticket(unparker) {
            let place = list(&mut guard).enter(RemoteUnparker::Coroutine(inbox, ticket));
            self.0 = Some((place, ticket));
        }
    }

    /// Leaves the list, and passes the wake on if one has been sent.
    fn leave<S>(&mut self, state: &Mutex<S>, list: impl Fn(&mut S) -> &mut WaitList) {
        let Some((place, ticket)) = self.0.take() else { return };
        scheduler::with(|scheduler| scheduler.tickets.close(ticket));
        let was_woken = !list(&mut lock(state)).leave(place);
        if was_woken {
            wake_one(state, list);
        }
    }
}

/// The arm of a [`ThreadReceiver`]: completes with an item, or an error once there will be none.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::select::after;
/// use grapeshot_core::{select, test, thread_channel};
///
/// test::run(|| {
///     let (sender, receiver) = thread_channel(1);
///     std::thread::spawn(move || sender.send("from afar").unwrap()).join().unwrap();
///     let heard = select! {
///         item = &receiver => item.ok(),
///         _ = after(Duration::from_secs(1)) => None,
///     };
///     assert_eq!(heard, Some("from afar"));
/// });
/// ```
#[must_use = "an arm does nothing until it is selected"]
pub struct ThreadReceiving<'a, T> {
    receiver: &'a ThreadReceiver<T>,
    place: Place,
    output: Option<Result<T, RecvError>>,
}

impl<'a, T> IntoArm for &'a ThreadReceiver<T> {
    type Arm = ThreadReceiving<'a, T>;

    fn into_arm(self) -> ThreadReceiving<'a, T> {
        ThreadReceiving { receiver: self, place: Place::default(), output: None }
    }
}

impl<T> Selectable for ThreadReceiving<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = received(self.receiver.try_recv());
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.place.enter(&self.receiver.channel, |state| &mut state.receiving, unparker, |state| state.can_pop());
    }

    fn disarm(&mut self) {
        self.place.leave(&self.receiver.channel, |state| &mut state.receiving);
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(RecvError::Refused));
        true
    }
}

impl<T> Arm for ThreadReceiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn into_output(self) -> Result<T, RecvError> {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm that [`ThreadSender::sending`] makes: completes when the item has been sent, or cannot be.
#[must_use = "an arm does nothing until it is selected"]
pub struct ThreadSending<'a, T> {
    sender: &'a ThreadSender<T>,
    place: Place,
    item: Option<T>,
    output: Option<Result<(), SendError<T>>>,
}

impl<T> ThreadSender<T> {
    /// An arm of a select that sends `item`.
    ///
    /// When another arm is selected the item has not been sent; [`ThreadSending::into_item`] gives it back.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use grapeshot_core::select::after;
    /// use grapeshot_core::{select, test, thread_channel};
    ///
    /// test::run(|| {
    ///     let (sender, _receiver) = thread_channel(1);
    ///     sender.send("first").unwrap();
    ///     let sent = select! {
    ///         sent = sender.sending("second") => sent.is_ok(),
    ///         _ = after(Duration::from_secs(1)) => false,
    ///     };
    ///     assert!(!sent, "nobody has taken the first");
    /// });
    /// ```
    pub fn sending(&self, item: T) -> ThreadSending<'_, T> {
        ThreadSending { sender: self, place: Place::default(), item: Some(item), output: None }
    }
}

impl<T> ThreadSending<'_, T> {
    /// The item, unless it has been sent.
    pub fn into_item(self) -> Option<T> {
        self.item.or_else(|| self.output?.err().map(SendError::into_inner))
    }
}

impl<T> Selectable for ThreadSending<'_, T> {
    fn try_complete(&mut self) -> bool {
        let Some(item) = self.item.take() else { return self.output.is_some() };
        match self.sender.try_send(item) {
            Ok(()) => self.output = Some(Ok(())),
            Err(TrySendError::Disconnected(item)) => self.output = Some(Err(SendError::Disconnected(item))),
            Err(TrySendError::Full(item)) => self.item = Some(item),
        }
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.place.enter(&self.sender.channel, |state| &mut state.sending, unparker, |state| state.can_push());
    }

    fn disarm(&mut self) {
        self.place.leave(&self.sender.channel, |state| &mut state.sending);
    }

    fn refuse(&mut self) -> bool {
        self.output = self.item.take().map(|item| Err(SendError::Refused(item)));
        self.output.is_some()
    }
}

impl<T> Arm for ThreadSending<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn into_output(self) -> Result<(), SendError<T>> {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm of a [`RemoteJoinHandle`]: completes with the result, as [`RemoteJoinHandle::join`] gives it.
///
/// The handle is borrowed, so that it can be waited for again when another arm was selected.
/// Once selected its result is gone: joining after that gives [`JoinError::Taken`].
#[must_use = "an arm does nothing until it is selected"]
pub struct RemoteJoining<'a, T> {
    handle: &'a RemoteJoinHandle<T>,
    place: Place,
    output: Option<Result<T, JoinError>>,
}

impl<'a, T> IntoArm for &'a RemoteJoinHandle<T> {
    type Arm = RemoteJoining<'a, T>;

    fn into_arm(self) -> RemoteJoining<'a, T> {
        RemoteJoining { handle: self, place: Place::default(), output: None }
    }
}

impl<T> Selectable for RemoteJoining<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = self.handle.try_join();
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        let progress = self.handle.progress();
        self.place.enter(progress, |progress| &mut progress.waiting, unparker, |progress| progress.is_finished);
    }

    fn disarm(&mut self) {
        self.place.leave(self.handle.progress(), |progress| &mut progress.waiting);
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(JoinError::Refused));
        true
    }
}

impl<T> Arm for RemoteJoining<'_, T> {
    type Output = Result<T, JoinError>;

    fn into_output(self) -> Result<T, JoinError> {
        self.output.unwrap_or_else(|| not_selected())
    }
}
