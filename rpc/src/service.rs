//! The side that is called: one small trait, which typed services, routers and middleware all are.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use crate::caller::{Caller, Sequence};
use crate::error::{Failure, StreamError};
use crate::proto::{Metadata, TraceContext};
use crate::transport::Identity;
use crate::value::Encoded;

/// Something that answers calls. Each call runs in a coroutine of its own and blocks as it likes.
///
/// When it has ended its coroutine may serve another call of the same connection: what a method leaves in a
/// [`CoroLocal`](grapeshot_core::CoroLocal) is still there.
///
/// Calls and notifications of one connection begin in the order in which they came. What came after a notification begins when
/// that has ended, so that a call sees what the notification did; unless this side waits for an answer of the same
/// peer meanwhile.
///
/// A notification that is refused is lost, as nobody is told but the log: at a limit on calls or bytes, and when
/// [`Limits::in_flight`](crate::Limits::in_flight) methods run that may all wait for their caller's answers in turn.
pub trait Service {
    /// Runs a method. A notification's result is dropped, and its failure only logged.
    ///
    /// `params` is one whole MessagePack array. A panic becomes [`Failure::INTERNAL`].
    /// The caller's deadline is a limit around this call, and a caller that goes away cancels it: both unwind.
    ///
    /// # Errors
    ///
    /// Whatever the caller shall see; [`Failure::METHOD_NOT_FOUND`] for a name it does not know.
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure>;

    /// The methods, for `$/methods`.
    fn methods(&self) -> Vec<MethodInfo> {
        Vec::new()
    }

    /// The name under which limits, rights and counts know a method: its own where it was called by another one (an `alias`).
    /// `None` for one that is not there.
    ///
    /// As it is here each name is a method's own. Whatever wraps a service passes the question on. Never suspends.
    fn canonical<'a>(&'a self, method: &'a str) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(method))
    }
}

impl<S: Service + ?Sized> Service for Rc<S> {
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        (**self).call(method, params, context)
    }

    fn methods(&self) -> Vec<MethodInfo> {
        (**self).methods()
    }

    fn canonical<'a>(&'a self, method: &'a str) -> Option<Cow<'a, str>> {
        (**self).canonical(method)
    }
}

/// What a method can know of the call it runs for.
#[derive(Clone)]
pub struct Context {
    pub(crate) peer: Rc<Identity>,
    pub(crate) caller: Option<Rc<dyn Caller>>,
    pub(crate) metadata: Metadata,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) streams: Option<Rc<dyn CalleeStreams>>,
    pub(crate) is_notification: bool,
}

impl Context {
    /// A context of no connection, for tests of a service by itself.
    pub fn detached() -> Context {
        Context {
            peer: Rc::new(Identity::default()),
            caller: None,
            metadata: Metadata::new(),
            trace: None,
            deadline: None,
            sequence: None,
            streams: None,
            is_notification: false,
        }
    }

    /// The same under a sequence number, for tests of what knows numbers again.
    pub fn with_sequence(self, sequence: Sequence) -> Context {
        Context { sequence: Some(sequence), ..self }
    }

    /// The same with these streams, for tests and for what carries calls in another way.
    pub fn with_streams(mut self, streams: Rc<dyn CalleeStreams>) -> Context {
        self.streams = Some(streams);
        self
    }

    /// Who calls.
    pub fn peer(&self) -> &Identity {
        &self.peer
    }

    /// Calls back, over the connection that the call came on; `None` where there is none.
    pub fn caller(&self) -> Option<&Rc<dyn Caller>> {
        self.caller.as_ref()
    }

    /// What travelled with the call.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The trace it belongs to.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// When the caller stops waiting, if it said so.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The sequence number that it carries.
    pub fn sequence(&self) -> Option<Sequence> {
        self.sequence
    }

    /// The streams beside it, if the caller opened any.
    pub fn streams(&self) -> Option<&Rc<dyn CalleeStreams>> {
        self.streams.as_ref()
    }

    /// Whether nobody waits for an answer.
    pub fn is_notification(&self) -> bool {
        self.is_notification
    }
}

/// The streams of a call, seen from the method.
pub trait CalleeStreams {
    /// Sends an item to the caller, and waits while its window is full.
    ///
    /// # Errors
    ///
    /// See [`StreamError`].
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError>;

    /// Waits for the caller's next item; `None` at the end of its stream.
    ///
    /// # Errors
    ///
    /// See [`StreamError`].
    fn next_item(&self) -> Result<Option<Encoded>, StreamError>;

    /// Waits as [`next_item`](CalleeStreams::next_item) and shows the item instead of giving it away, which can save a
    /// copy of it; false when there is none.
    ///
    /// # Errors
    ///
    /// As [`next_item`](CalleeStreams::next_item).
    fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        let item = self.next_item()?;
        Ok(item.inspect(|item| read(item.as_bytes())).is_some())
    }
}

/// A method, described for a person or a tool (`$/methods`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// Its name on the wire.
    pub name: String,
    /// Names and types of its parameters, in order.
    pub params: Vec<(String, String)>,
    /// The type of its result.
    pub result: String,
    /// What travels besides them.
    pub kind: MethodKind,
    /// Since which version of the service it is there; 1 unless said.
    pub version: u32,
    /// What it does.
    pub doc: String,
}

/// What travels in a call of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// Parameters there, an answer back.
    Call,
    /// Parameters there, and no answer.
    Notification,
    /// Items back before the answer.
    CalleeStream,
    /// Items there after the parameters.
    CallerStream,
    /// Items both ways.
    BothStreams,
}
