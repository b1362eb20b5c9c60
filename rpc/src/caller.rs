//! The side that calls: one small trait, which connections, pools, balancers, retries and middleware all are.

use std::cell::RefCell;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::METHODS_METHOD;
use crate::error::{CallError, Failure, StreamError};
use crate::proto::{Metadata, TraceContext};
use crate::service::MethodInfo;
use crate::signature;
use crate::stream::DirectItems;
use crate::value::{self, Encoded};

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

/// Calls with values of any type, for everything that is a [`Caller`].
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::memory;
/// use grapeshot_rpc::{CallerExt, Connection, Router};
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     let service = Router::new().method("add", |(a, b): (i64, i64)| Ok(a + b));
///     let _far = Connection::over(far).service(service).accept().unwrap();
///     let near = Connection::over(near).open().unwrap();
///     let sum: i64 = near.call("add", &(40, 2)).unwrap();
///     assert_eq!(sum, 42);
/// });
/// ```
pub trait CallerExt: Caller {
    /// Calls a method, and reads its answer as a type; as [`Value`](crate::Value), whatever it is.
    ///
    /// `params` are a tuple, a list, or `()` for none: a single one is written `&(x,)`. Suspends.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    fn call<R: DeserializeOwned>(&self, method: &str, params: &(impl Serialize + ?Sized)) -> Result<R, CallError> {
        self.call_with(&CallOptions::default(), method, params)
    }

    /// Calls as [`call`](CallerExt::call) does, with options.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    fn call_with<R: DeserializeOwned>(
        &self,
        options: &CallOptions,
        method: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<R, CallError> {
        let params = EncodedParams::of(params)?;
        let answer = self.exchange(&Request { method, params: params.as_bytes(), options })?;
        drop(params);
        decode_answer(&answer)
    }

    /// Sends a notification, to which no answer comes. Suspends only while the connection has too much to write.
    ///
    /// A callee that refuses it drops it, and only its log tells: one that drains, one that has no such method, one whose
    /// limits on calls or bytes are reached, and one that runs as many methods as it may
    /// ([`Limits::in_flight`](crate::Limits::in_flight)) and waits for as many answers from here.
    /// What has to arrive is a call.
    ///
    /// # Errors
    ///
    /// See [`Caller::tell`].
    fn notify(&self, method: &str, params: &(impl Serialize + ?Sized)) -> Result<(), CallError> {
        let params = EncodedParams::of(params)?;
        self.tell(&Request { method, params: params.as_bytes(), options: &CallOptions::default() })
    }

    /// Asks for the methods of the callee. Suspends.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; a callee that cannot list its methods answers [`Failure::METHOD_NOT_FOUND`].
    fn methods(&self) -> Result<Vec<MethodInfo>, CallError> {
        const NO_PARAMS: &[u8] = &[0x90];
        let options = CallOptions { repeat: Repeat::Idempotent, ..CallOptions::default() };
        let request = Request { method: METHODS_METHOD, params: NO_PARAMS, options: &options };
        signature::decode_methods(&self.exchange(&request)?)
    }
}

impl<C: Caller + ?Sized> CallerExt for C {}

fn decode_answer<R: DeserializeOwned>(answer: &Encoded) -> Result<R, CallError> {
    answer.decode().map_err(|error| CallError::Malformed { reason: error.to_string() })
}

/// Parameters in a buffer that goes back to where it came from.
pub(crate) struct EncodedParams {
    pub(crate) bytes: Vec<u8>,
}

thread_local! {
    /// Buffers for the parameters of calls that are yet to be made.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How many buffers are kept, and how large one may be.
const KEPT_BUFFERS: usize = 128;
const KEPT_BYTES: usize = 4 << 10;

impl EncodedParams {
    /// A buffer to write them to.
    pub(crate) fn empty() -> EncodedParams {
        let mut bytes = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        bytes.clear();
        EncodedParams { bytes }
    }

    fn of<P: Serialize + ?Sized>(params: &P) -> Result<EncodedParams, CallError> {
        let mut encoded = EncodedParams::empty();
        value::encode_params(&mut encoded.bytes, params)?;
        Ok(encoded)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for EncodedParams {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT_BUFFERS && bytes.capacity() <= KEPT_BYTES {
                spare.push(bytes);
            }
        });
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

    /// Waits for the next item from the callee; `None` when it has answered.
    ///
    /// # Errors
    ///
    /// [`StreamError::Failed`] when the callee has failed, as [`finish`](OpenCall::finish) says too;
    /// the others when the connection is lost, or the stream breaks the protocol.
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

    /// The same items, to be read without a call through `dyn` for each; `None` when there is no such way.
    ///
    /// Whoever wraps a call and passes items on as they are passes this on, and else leaves it as it is.
    fn direct_items(&self) -> Option<DirectItems> {
        None
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

/// Names a call for ever, so that the callee knows a repeated one: see [`replies`](crate::replies).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// Who calls: random, given out by the callee, and the same for all calls of one client to it.
    pub client: [u8; 16],
    /// Counts up from 1.
    pub number: u64,
    /// The lowest number whose reply the client may still ask for: those below can be forgotten.
    pub lowest: u64,
}
