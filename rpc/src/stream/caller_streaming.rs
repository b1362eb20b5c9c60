//! A call whose caller sends items before its answer.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::{CallOptions, Caller, OpenCall};
use crate::error::{CallError, Failure, StreamError};
use crate::stream::handle::Handle;
use crate::stream::item::{self, Scratch};

/// Sends items of type `T` to the callee, which answers with an `R`. Dropping it cancels the call.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::stream::CallerStreaming;
/// use grapeshot_rpc::{CallError, CallOptions, Caller};
///
/// fn sum(server: &dyn Caller, numbers: &[u64]) -> Result<u64, CallError> {
///     let call = CallerStreaming::<u64, u64>::open(server, "sum", &(), &CallOptions::default())?;
///     // An error means that the callee has answered already, or cannot: `finish` tells.
///     numbers.iter().take_while(|number| call.send(number).is_ok()).for_each(drop);
///     call.finish()
/// }
/// ```
pub struct CallerStreaming<T, R> {
    handle: Handle,
    scratch: Scratch,
    types: PhantomData<fn(&T) -> R>,
}

impl<T, R> CallerStreaming<T, R> {
    /// Gives types to a call under way.
    pub fn new(call: Box<dyn OpenCall>) -> CallerStreaming<T, R> {
        CallerStreaming { handle: Handle::new(call), scratch: Scratch::default(), types: PhantomData }
    }

    /// Makes the call. It waits as far as [`Caller::open`] does.
    ///
    /// # Errors
    ///
    /// As [`Caller::open`]; [`CallError::Encode`] when the parameters cannot be encoded.
    pub fn open<P: Serialize + ?Sized>(
        caller: &(impl Caller + ?Sized),
        method: &str,
        params: &P,
        options: &CallOptions,
    ) -> Result<CallerStreaming<T, R>, CallError> {
        item::open(caller, method, params, options).map(CallerStreaming::new)
    }
}

impl<T, R> CallerStreaming<T, R> {
    /// Sends an item, and waits while the callee's window is full. Where that is large, it lets others run now and then.
    ///
    /// What borrows as a `T` will do, such as a `str` for a `String`.
    ///
    /// # Errors
    ///
    /// [`StreamError::Over`] when the callee has answered already: [`finish`](Self::finish) has the answer.
    /// [`StreamError::Encode`] and [`StreamError::TooLarge`], after which others can be sent; else as
    /// [`StreamError`] says.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and nothing of the item was sent.
    pub fn send<Q: Serialize + ?Sized>(&self, item: &Q) -> Result<(), StreamError>
    where
        T: Borrow<Q>,
    {
        self.scratch.encode(item, |bytes| self.handle.send_item(bytes))
    }
}

impl<T, R: DeserializeOwned> CallerStreaming<T, R> {
    /// Ends the stream, whole, and waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`Caller::exchange`]; [`CallError::Malformed`] when the answer is no `R`.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and the call is cancelled.
    pub fn finish(self) -> Result<R, CallError> {
        self.handle.end_items(None);
        item::decode_answer(&self.handle.finish()?)
    }

    /// Ends the stream with a failure, which the method sees behind the items, and waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    ///
    /// # Cancellation
    ///
    /// Unwinds, and the call is cancelled.
    pub fn fail(self, failure: &Failure) -> Result<R, CallError> {
        self.handle.end_items(Some(failure));
        item::decode_answer(&self.handle.finish()?)
    }
}

impl<T, R> fmt::Debug for CallerStreaming<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerStreaming(..)")
    }
}
