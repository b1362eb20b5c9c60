//! The items that a method sends to its caller.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;

use crate::error::{Failure, StreamError};
use crate::service::{CalleeStreams, Context};
use crate::stream::item::Scratch;
use crate::stream::items::streams_of;

/// Sends items of type `T` to the caller, before the method's answer, which ends the stream.
///
/// A method that fails ends it with its failure. One that is cancelled because its caller has gone away unwinds from
/// the send it is in, or from the next one that waits.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::{Context, Failure, stream::Sink};
///
/// /// Sends the numbers below `n`, and answers with how many they were.
/// fn count(n: u64, numbers: Sink<u64>) -> Result<u64, Failure> {
///     for number in 0..n {
///         numbers.send(&number).map_err(|error| Failure::new(Failure::CANCELLED, error.to_string()))?;
///     }
///     Ok(n)
/// }
///
/// // A call that was made without streams is refused.
/// assert!(Sink::<u64>::of(&Context::detached()).is_err());
/// ```
pub struct Sink<T> {
    streams: Rc<dyn CalleeStreams>,
    scratch: Scratch,
    items: PhantomData<fn(&T)>,
}

impl<T> Sink<T> {
    /// The stream of the call that a method runs for.
    ///
    /// # Errors
    ///
    /// [`Failure::INVALID_REQUEST`] when the caller opened no streams, as one that knows none.
    pub fn of(context: &Context) -> Result<Sink<T>, Failure> {
        streams_of(context).map(Sink::new)
    }

    /// A stream over these.
    pub fn new(streams: Rc<dyn CalleeStreams>) -> Sink<T> {
        Sink { streams, scratch: Scratch::default(), items: PhantomData }
    }
}

impl<T> Sink<T> {
    /// Sends an item, and waits while the caller's window is full. Where that is large, it lets others run now and then.
    ///
    /// What borrows as a `T` will do, such as a `str` for a `String`.
    ///
    /// # Errors
    ///
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
        self.scratch.encode(item, |bytes| self.streams.send_item(bytes))
    }
}

impl<T> fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink(..)")
    }
}
