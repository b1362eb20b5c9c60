//! A call with streams that has somebody count or watch it until it is over.

use crate::caller::OpenCall;
use crate::error::{CallError, Failure, StreamError};
use crate::stream::DirectItems;
use crate::value::Encoded;

/// What a caller in front of others keeps for a call while it is under way. Dropped before the end, the call was cut off.
pub(crate) trait Companion {
    /// What the end is to say instead, when it is an error.
    fn amend(&self, error: CallError) -> CallError {
        error
    }

    /// The call has come to its end, and this is it.
    fn finish(self, result: &Result<Encoded, CallError>);
}

/// A call whose items pass as they are, and whose end its companion is told.
pub(crate) struct Accompanied<C> {
    call: Box<dyn OpenCall>,
    companion: C,
}

impl<C: Companion + 'static> Accompanied<C> {
    pub(crate) fn boxed(call: Box<dyn OpenCall>, companion: C) -> Box<dyn OpenCall> {
        Box::new(Accompanied { call, companion })
    }
}

impl<C: Companion> OpenCall for Accompanied<C> {
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        self.call.send_item(item)
    }

    fn end_items(&self, failure: Option<&Failure>) {
        self.call.end_items(failure);
    }

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        self.call.next_item()
    }

    fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        self.call.read_item(read)
    }

    fn direct_items(&self) -> Option<DirectItems> {
        self.call.direct_items()
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        let Accompanied { call, companion } = *self;
        let result = call.finish().map_err(|error| companion.amend(error));
        companion.finish(&result);
        result
    }
}
