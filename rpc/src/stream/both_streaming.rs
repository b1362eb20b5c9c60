//! A call with items in both directions before its answer.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::{CallOptions, Caller, OpenCall};
use crate::error::{CallError, Failure, StreamError};
use crate::stream::callee_streaming::CalleeStreaming;
use crate::stream::handle::SendingHalf;
use crate::stream::item::{self, Scratch};

/// Sends items of type `T`, receives items of type `U`, and then an answer of type `R`.
///
/// For two coroutines, one that sends and one that receives, [`split`](Self::split) it.
/// One coroutine alone must not send more than the windows hold without receiving: both ends would wait for each other.
/// Dropping it cancels the call.
///
/// # Examples
///
/// ```
/// use grapeshot_core::scope;
/// use grapeshot_rpc::stream::BothStreaming;
/// use grapeshot_rpc::{CallError, CallOptions, Caller, StreamError};
///
/// fn shout(server: &dyn Caller, words: &[String]) -> Result<Vec<String>, CallError> {
///     let call = BothStreaming::<String, String, ()>::open(server, "shout", &(), &CallOptions::default())?;
///     let (sink, answers) = call.split();
///     scope(|scope| {
///         scope.spawn(move || {
///             words.iter().try_for_each(|word| sink.send(word))?;
///             sink.finish();
///             Ok::<(), StreamError>(())
///         });
///         let loud = answers.items().map_while(Result::ok).collect();
///         answers.finish().map(|()| loud)
///     })
/// }
/// ```
pub struct BothStreaming<T, U, R> {
    sink: CallerSink<T>,
    answers: CalleeStreaming<U, R>,
}

impl<T, U, R> BothStreaming<T, U, R> {
    /// Gives types to a call under way.
    pub fn new(call: Box<dyn OpenCall>) -> BothStreaming<T, U, R> {
        let handle = super::handle::Handle::new(call);
        let sink =
            CallerSink { half: handle.sending_half(), scratch: Scratch::default(), ended: false, items: PhantomData };
        BothStreaming { sink, answers: CalleeStreaming::of(handle) }
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
    ) -> Result<BothStreaming<T, U, R>, CallError> {
        item::open(caller, method, params, options).map(BothStreaming::new)
    }

    /// The half that sends, and the half that receives, which owns the call and has its answer.
    pub fn split(self) -> (CallerSink<T>, CalleeStreaming<U, R>) {
        (self.sink, self.answers)
    }
}

impl<T, U, R> BothStreaming<T, U, R> {
    /// Sends an item: see [`CallerSink::send`].
    ///
    /// # Errors
    ///
    /// As [`CallerSink::send`].
    pub fn send<Q: Serialize + ?Sized>(&self, item: &Q) -> Result<(), StreamError>
    where
        T: Borrow<Q>,
    {
        self.sink.send(item)
    }
}

impl<T, U: DeserializeOwned, R> BothStreaming<T, U, R> {
    /// Waits for the next item: see [`CalleeStreaming::recv`].
    ///
    /// # Errors
    ///
    /// As [`CalleeStreaming::recv`].
    pub fn recv(&self) -> Result<Option<U>, StreamError> {
        self.answers.recv()
    }

    /// The callee's items from here on: see [`CalleeStreaming::items`].
    ///
    /// Others can be sent between two of them.
    pub fn items(&self) -> impl Iterator<Item = Result<U, StreamError>> + '_ {
        self.answers.items()
    }

    /// Ends the stream to the callee, whole, and goes on receiving.
    pub fn finish_sending(self) -> CalleeStreaming<U, R> {
        let (sink, answers) = self.split();
        sink.finish();
        answers
    }
}

impl<T, U, R: DeserializeOwned> BothStreaming<T, U, R> {
    /// Ends the stream to the callee, whole, and waits for the answer; items that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// As [`CalleeStreaming::finish`].
    pub fn finish(self) -> Result<R, CallError> {
        let (sink, answers) = self.split();
        sink.finish();
        answers.finish()
    }
}

impl<T, U, R> fmt::Debug for BothStreaming<T, U, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BothStreaming(..)")
    }
}

/// The sending half of a [`BothStreaming`].
///
/// Dropping it without [`finish`](Self::finish), as a panic does, ends the stream with a failure: the method shall not
/// take half of the items for all.
pub struct CallerSink<T> {
    half: SendingHalf,
    scratch: Scratch,
    ended: bool,
    items: PhantomData<fn(&T)>,
}

impl<T> CallerSink<T> {
    /// Sends an item, and waits while the callee's window is full. Where that is large, it lets others run now and then.
    ///
    /// What borrows as a `T` will do, such as a `str` for a `String`.
    ///
    /// # Errors
    ///
    /// [`StreamError::Over`] when the callee has answered already, or the other half is gone.
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
        self.scratch.encode(item, |bytes| self.half.send_item(bytes))
    }
}

impl<T> CallerSink<T> {
    /// Ends the stream, whole. Never suspends.
    pub fn finish(mut self) {
        self.ended = true;
        self.half.end_items(None);
    }

    /// Ends the stream with a failure, which the method sees behind the items. Never suspends.
    pub fn fail(mut self, failure: &Failure) {
        self.ended = true;
        self.half.end_items(Some(failure));
    }
}

impl<T> Drop for CallerSink<T> {
    fn drop(&mut self) {
        if !self.ended {
            let failure = Failure::new(Failure::CANCELLED, "the caller dropped its stream before the end");
            self.half.end_items(Some(&failure));
        }
    }
}

impl<T> fmt::Debug for CallerSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerSink(..)")
    }
}
