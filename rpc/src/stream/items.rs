//! The items that a caller sends to a method.

use std::cell::Cell;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::error::{Failure, StreamError};
use crate::service::{CalleeStreams, Context};
use crate::stream::item;
use crate::value;

/// Receives the caller's items of type `T`: an iterator that ends with the caller's stream.
///
/// A method that drops it before the end leaves the caller waiting for its window, until the method answers.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::{StreamError, stream::Items};
///
/// /// The sum of what the caller sends.
/// fn sum(numbers: Items<u64>) -> Result<u64, StreamError> {
///     let mut total = 0;
///     for number in numbers {
///         total += number?;
///     }
///     Ok(total)
/// }
/// ```
pub struct Items<T> {
    streams: Rc<dyn CalleeStreams>,
    ended: Cell<bool>,
    items: PhantomData<fn() -> T>,
}

impl<T> Items<T> {
    /// The stream of the call that a method runs for.
    ///
    /// # Errors
    ///
    /// [`Failure::INVALID_REQUEST`] when the caller opened no streams, as one that knows none.
    pub fn of(context: &Context) -> Result<Items<T>, Failure> {
        streams_of(context).map(Items::new)
    }

    /// A stream over these.
    pub fn new(streams: Rc<dyn CalleeStreams>) -> Items<T> {
        Items { streams, ended: Cell::new(false), items: PhantomData }
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// Waits for the next item; `None` when the caller has ended its stream.
    /// Lets others run once in a while although one is there.
    ///
    /// # Errors
    ///
    /// [`StreamError::Failed`] when the caller ended it with a failure, which includes going away in the middle;
    /// [`StreamError::Malformed`] for an item that is no `T`, after which others may follow; else as [`StreamError`] says.
    ///
    /// # Cancellation
    ///
    /// Unwinds, and no item was taken.
    pub fn recv(&self) -> Result<Option<T>, StreamError> {
        item::decoded(item::read_shown(|show| self.streams.read_item(show), |bytes| value::decode(bytes)))
    }
}

impl<T: DeserializeOwned> Iterator for Items<T> {
    type Item = Result<T, StreamError>;

    fn next(&mut self) -> Option<Result<T, StreamError>> {
        if self.ended.get() {
            return None;
        }
        let received = self.recv();
        self.ended.set(item::is_last(&received));
        received.transpose()
    }
}

impl<T: DeserializeOwned> FusedIterator for Items<T> {}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("ended", &self.ended.get()).finish()
    }
}

/// The streams beside a call, or why there are none.
pub(super) fn streams_of(context: &Context) -> Result<Rc<dyn CalleeStreams>, Failure> {
    context.streams().cloned().ok_or_else(|| {
        Failure::new(
            Failure::INVALID_REQUEST,
            "this method has streams of items, and the call was made without any: its caller must know streams",
        )
    })
}
