//! The side that calls: one small trait, which connections, pools, balancers, retries and middleware all are.

use std::time::Duration;

use crate::error::{CallError, Failure, StreamError};
use crate::proto::{Metadata, TraceContext};
use crate::value::Encoded;

/// Something that calls can be made through: a connection, or what stands before one or several.
///
/// Whatever wraps a caller is one itself, so retries, balancing and middleware combine in any order.
/// All methods suspend the calling coroutine. A limit around the call ([`grapeshot_core::with_timeout`]) counts as well as
/// [`CallOptions::timeout`]; what is left of the nearer of the two travels to the callee, if that was agreed on.
/// A caller that is cancelled while it waits tells the callee so.
pub trait Caller {
    /// Makes a call and waits for its answer.
    ///
    /// # Errors
    ///
    /// See [`CallError`], which says of each whether the method may have run.
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError>;

    /// Sends a notification, to which no answer comes. It returns when the message is handed to the connection.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Caller::exchange), as far as it can happen.
    fn tell(&self, request: &Request<'_>) -> Result<(), CallError>;

    /// Makes a call with streams of items besides its parameters and its answer.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Caller::exchange); [`CallError::Refused`] when the peer knows no streams.
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError>;
}

impl<C: Caller + ?Sized> Caller for &C {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        (**self).exchange(request)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        (**self).tell(request)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        (**self).open(request)
    }
}

impl<C: Caller + ?Sized> Caller for std::rc::Rc<C> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        (**self).exchange(request)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        (**self).tell(request)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        (**self).open(request)
    }
}

/// A call with streams, under way. Dropping it cancels the call.
///
/// One coroutine may send while another receives.
pub trait OpenCall {
    /// Sends an item to the callee, and waits while its window is full.
    ///
    /// # Errors
    ///
    /// [`StreamError::Over`] when the callee has answered already, and the others as they say.
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError>;

    /// Ends the stream to the callee, whole or with a failure. A second end is ignored.
    fn end_items(&self, failure: Option<&Failure>);

    /// Waits for the next item from the callee; `None` when it has answered, or failed.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the stream breaks the protocol.
    fn next_item(&self) -> Result<Option<Encoded>, StreamError>;

    /// Waits as [`next_item`](OpenCall::next_item) and shows the item instead of giving it away, which can save a copy
    /// of it; false when there is none.
    ///
    /// # Errors
    ///
    /// As [`next_item`](OpenCall::next_item).
    fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        let item = self.next_item()?;
        Ok(item.inspect(|item| read(item.as_bytes())).is_some())
    }

    /// Waits for the answer; items that were not taken are dropped.
    ///
    /// # Errors
    ///
    /// As [`Caller::exchange`].
    fn finish(self: Box<Self>) -> Result<Encoded, CallError>;
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method's name.
    pub method: &'a str,
    /// The parameters: one MessagePack array.
    pub params: &'a [u8],
    /// Everything else.
    pub options: &'a CallOptions,
}

/// How a call is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// How long the call may take in all; `None` for what the caller has set as its default.
    pub timeout: Option<Duration>,
    /// Whether it may be made again when its outcome is unknown.
    pub repeat: Repeat,
    /// The number under which the callee runs it once at most. Callers that repeat set it themselves.
    pub sequence: Option<Sequence>,
    /// What travels with it.
    pub metadata: Metadata,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

/// Whether a call may be made again when nobody knows whether it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// It may not. A call that certainly did not run may be made again all the same.
    #[default]
    Never,
    /// It may: running it twice does what running it once does.
    Idempotent,
    /// It may, under a sequence number: the callee keeps its reply and runs it once (BEA-15).
    Sequenced,
}

/// Names a call for ever, so that the callee knows a repeated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Who calls: random, and the same for all calls of one client.
    pub client: [u8; 16],
    /// Counts up from 1.
    pub number: u64,
    /// The lowest number whose reply the client may still ask for: those below can be forgotten.
    pub lowest: u64,
}
