//! A call whose callee sends items before its answer.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::{CallOptions, Caller, OpenCall};
use crate::error::{CallError, StreamError};
use crate::stream::handle::Handle;
use crate::stream::item;
use crate::value;

/// Items of type `T` from the callee, and then an answer of type `R`. Dropping it cancels the call.
///
/// The items end when the callee has answered. When it has failed, the last of them is the error
/// [`StreamError::Failed`], and [`finish`](Self::finish) has the failure as well, as that of the call.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::stream::CalleeStreaming;
/// use grapeshot_rpc::{CallOptions, Caller};
///
/// fn print_matches(server: &dyn Caller) -> Result<(), Box<dyn std::error::Error>> {
///     let call = CalleeStreaming::<String, u64>::open(server, "grep", &("needle",), &CallOptions::default())?;
///     for line in call.items() {
///         println!("{}", line?);
///     }
///     println!("{} files were searched", call.finish()?);
///     Ok(())
/// }
/// ```
pub struct CalleeStreaming<T, R> {
    handle: Handle,
    types: PhantomData<fn() -> (T, R)>,
}

impl<T, R> CalleeStreaming<T, R> {
    /// Gives types to a call under way, and ends the stream to the callee, which has no item.
    pub fn new(call: Box<dyn OpenCall>) -> CalleeStreaming<T, R> {
        call.end_items(None);
        CalleeStreaming::of(Handle::new(call))
    }

    pub(super) fn of(handle: Handle) -> CalleeStreaming<T, R> {
        CalleeStreaming { handle, types: PhantomData }
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
    ) -> Result<CalleeStreaming<T, R>, CallError> {
        item::open(caller, method, params, options).map(CalleeStreaming::new)
    }
}

impl<T: DeserializeOwned, R> CalleeStreaming<T, R> {
    /// Waits for the next item; `None` when the callee has answered.
    /// Lets others run once in a while although one is there.
    ///
    /// # Errors
    ///
    /// [`StreamError::Failed`] when the callee has failed;
    /// [`StreamError::Malformed`] for an item that is no `T`, after which others may follow; else as [`StreamError`] says.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and no item was taken.
    #[inline]
    pub fn recv(&self) -> Result<Option<T>, StreamError> {
        item::decoded(self.handle.read(|bytes| value::decode(bytes)))
    }

    /// The items from here on; one that breaks off leaves the rest to the next.
    pub fn items(&self) -> impl Iterator<Item = Result<T, StreamError>> + '_ {
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let received = self.recv();
            ended = item::is_last(&received);
            received.transpose()
        })
    }
}

impl<T, R: DeserializeOwned> CalleeStreaming<T, R> {
    /// Waits for the answer; items that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// As [`Caller::exchange`]; [`CallError::Malformed`] when the answer is no `R`.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and the call is cancelled.
    pub fn finish(self) -> Result<R, CallError> {
        item::decode_answer(&self.handle.finish()?)
    }
}

impl<T, R> fmt::Debug for CalleeStreaming<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CalleeStreaming(..)")
    }
}
