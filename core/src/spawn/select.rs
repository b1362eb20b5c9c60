//! The arms of a select that wait for a coroutine to end.

use super::{Coroutine, JoinError, JoinHandle};
use crate::park::Unparker;
use crate::record::{Record, State};
use crate::scheduler;
use crate::select::{Arm, IntoArm, Selectable, not_selected};

/// The arm of a [`Coroutine`]: completes when it has ended.
#[must_use = "an arm does nothing until it is selected"]
pub struct Ending<'a> {
    coroutine: &'a Coroutine,
    ticket: Option<u64>,
    output: Option<Result<(), JoinError>>,
}

impl<'a> IntoArm for &'a Coroutine {
    type Arm = Ending<'a>;

    fn into_arm(self) -> Ending<'a> {
        Ending { coroutine: self, ticket: None, output: None }
    }
}

impl Selectable for Ending<'_> {
    fn try_complete(&mut self) -> bool {
        self.output = try_finished(&self.coroutine.record);
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.coroutine.record.joiners.enter(unparker);
    }

    fn disarm(&mut self) {
        self.coroutine.record.joiners.leave(self.ticket);
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(JoinError::Refused));
        true
    }
}

impl Arm for Ending<'_> {
    type Output = Result<(), JoinError>;

    fn into_output(self) -> Result<(), JoinError> {
        self.output.unwrap_or_else(|| not_selected())
    }
}

/// The arm of a [`JoinHandle`]: completes with the coroutine's result, as [`JoinHandle::join`] gives it.
///
/// The handle is borrowed, so that it can be waited for again when another arm was selected.
/// Once selected its result is gone: joining after that gives [`JoinError::Taken`].
#[must_use = "an arm does nothing until it is selected"]
pub struct Joining<'a, T> {
    handle: &'a JoinHandle<T>,
    ticket: Option<u64>,
    output: Option<Result<(), JoinError>>,
}

impl<'a, T> IntoArm for &'a JoinHandle<T> {
    type Arm = Joining<'a, T>;

    fn into_arm(self) -> Joining<'a, T> {
        Joining { handle: self, ticket: None, output: None }
    }
}

impl<T> Selectable for Joining<'_, T> {
    fn try_complete(&mut self) -> bool {
        self.output = try_finished(&self.handle.record);
        self.output.is_some()
    }

    fn arm(&mut self, unparker: Unparker) {
        self.ticket = self.handle.record.joiners.enter(unparker);
    }

    fn disarm(&mut self) {
        self.handle.record.joiners.leave(self.ticket);
    }

    fn refuse(&mut self) -> bool {
        self.output = Some(Err(JoinError::Refused));
        true
    }
}

impl<T> Arm for Joining<'_, T> {
    type Output = Result<T, JoinError>;

    fn into_output(self) -> Result<T, JoinError> {
        self.output.unwrap_or_else(|| not_selected())?;
        self.handle.take_result()
    }
}

/// Whether there is nothing to wait for: the coroutine has ended, or never would.
fn try_finished<B: ?Sized>(record: &Record<B>) -> Option<Result<(), JoinError>> {
    if record.state.get() == State::Done {
        return Some(Ok(()));
    }
    let describe = || record.identity.to_string();
    let in_vain = scheduler::with(|scheduler| {
        if scheduler.id != record.runtime {
            return Some(JoinError::LeftBehind { coroutine: describe() });
        }
        let itself = scheduler.current.borrow().as_ref().is_some_and(|current| current.id() == record.id());
        itself.then(|| JoinError::of_itself(record))
    });
    in_vain.flatten().map(Err)
}
