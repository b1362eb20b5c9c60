//! A call under way, shared by the half that receives, which owns it, and the half that sends.
//!
//! # Invariants
//!
//! - The call lives as long as its owner, and through a send that is waiting in it.
//! - The answer is taken when nobody sends any more: by then the callee has answered, and every send ends with an error.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use grapeshot_core::{Reason, WaitQueue};

use crate::caller::OpenCall;
use crate::error::{CallError, Failure, StreamError};
use crate::stream::direct::DirectItems;
use crate::stream::item;
use crate::value::Encoded;

/// What owns the call: dropping it cancels the call.
pub(super) struct Handle {
    shared: Option<Rc<Shared>>,
    direct: Option<DirectItems>,
}

struct Shared {
    call: Box<dyn OpenCall>,
    /// How many sends are under way from the other half.
    sending: Cell<usize>,
    idle: WaitQueue,
}

/// The other half: it sends as long as the call lives.
pub(super) struct SendingHalf {
    shared: Weak<Shared>,
}

impl Handle {
    pub(super) fn new(call: Box<dyn OpenCall>) -> Handle {
        let direct = call.direct_items();
        let shared = Shared { call, sending: Cell::new(0), idle: WaitQueue::new() };
        Handle { shared: Some(Rc::new(shared)), direct }
    }

    pub(super) fn sending_half(&self) -> SendingHalf {
        SendingHalf { shared: self.shared.as_ref().map(Rc::downgrade).unwrap_or_default() }
    }

    pub(super) fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        self.call().ok_or(StreamError::Over)?.send_item(item)
    }

    pub(super) fn end_items(&self, failure: Option<&Failure>) {
        if let Some(call) = self.call() {
            call.end_items(failure);
        }
    }

    /// Waits for the next item and reads it; `None` at the end of the stream.
    #[inline]
    pub(super) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StreamError> {
        match &self.direct {
            Some(direct) => direct.read(read),
            None => item::read_shown(|show| self.call().ok_or(StreamError::Over)?.read_item(show), read),
        }
    }

    fn call(&self) -> Option<&dyn OpenCall> {
        self.shared.as_ref().map(|shared| &*shared.call)
    }

    /// Waits for the answer; items that were not taken are dropped.
    pub(super) fn finish(mut self) -> Result<Encoded, CallError> {
        if let Some(shared) = self.shared.as_ref().filter(|shared| Rc::weak_count(shared) > 0) {
            shared.wait_answered();
        }
        let Some(shared) = self.shared.take() else { return Err(gone()) };
        // Whoever has left its send has let go of the call as well.
        let shared = Rc::into_inner(shared).ok_or_else(gone)?;
        shared.call.finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A send that waits keeps the call alive: this ends it.
        if let Some(shared) = self.shared.as_ref().filter(|shared| shared.sending.get() > 0) {
            shared.call.end_items(Some(&Failure::new(Failure::CANCELLED, "the caller has gone away")));
        }
    }
}

impl Shared {
    /// Lets the other half send until the callee has answered, or cannot any more.
    fn wait_answered(&self) {
        while let Ok(true) = self.call.read_item(&mut |_| {}) {}
        if self.sending.get() > 0 {
            self.call.end_items(Some(&Failure::new(Failure::CANCELLED, "the call is over")));
        }
        while self.sending.get() > 0 && self.idle.wait(Reason::Other("the last item of a call to be given up")) {}
    }
}

/// Only in a coroutine that unwinds, which cannot wait for a send to end.
fn gone() -> CallError {
    CallError::Refused { reason: "a coroutine that unwinds cannot wait for an answer".into() }
}

impl SendingHalf {
    pub(super) fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        let shared = self.shared.upgrade().ok_or(StreamError::Over)?;
        let _sending = Sending::begin(&shared);
        shared.call.send_item(item)
    }

    pub(super) fn end_items(&self, failure: Option<&Failure>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.call.end_items(failure);
        }
    }
}

/// A send under way, however it ends.
struct Sending<'a> {
    shared: &'a Shared,
}

impl Sending<'_> {
    fn begin(shared: &Shared) -> Sending<'_> {
        shared.sending.set(shared.sending.get() + 1);
        Sending { shared }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.shared.sending.set(self.shared.sending.get() - 1);
        self.shared.idle.wake_all();
    }
}
