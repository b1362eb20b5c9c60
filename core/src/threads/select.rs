//! The arms of a select whose events come from other threads: an item of a channel, the end of work.

use std::sync::Mutex;

use crate::channel::{RecvError, TryRecvError};
use crate::park::Unparker;
use crate::scheduler;
use crate::select::{Arm, IntoArm, Selectable, not_selected};
use crate::spawn::JoinError;
use crate::threads::channel::ThreadReceiver;
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
        self.output = match self.receiver.try_recv() {
            Ok(item) => Some(Ok(item)),
            Err(TryRecvError::Disconnected) => Some(Err(RecvError::Disconnected)),
            Err(TryRecvError::Empty) => None,
        };
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
