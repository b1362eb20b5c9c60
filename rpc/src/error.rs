//! How a call fails, in a form that says whether it may have run.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::value::{EncodeError, Value};

/// What the callee says went wrong: a code, a text, and data if it likes.
///
/// The codes of JSON-RPC 2.0 §5.1 keep their meaning, and this crate's own lie between -32099 and -32000;
/// see the constants. All others belong to the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Which failure it is.
    pub code: i64,
    /// A sentence for a person.
    pub message: String,
    /// Whatever else the service says; nil for nothing.
    pub data: Value,
}

impl Failure {
    /// The callee could not read the message.
    pub const PARSE: i64 = -32700;
    /// The message is no valid request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The method failed in a way it does not name, such as by a panic.
    pub const INTERNAL: i64 = -32603;
    /// The callee takes no new calls, as it is about to end. The method did not run.
    pub const UNAVAILABLE: i64 = -32000;
    /// A limit on calls in flight or on calls a second. The method did not run.
    pub const BUSY: i64 = -32001;
    /// The caller's deadline passed while the method ran, or before.
    pub const DEADLINE: i64 = -32002;
    /// The method was cancelled.
    pub const CANCELLED: i64 = -32003;
    /// The caller has not said who it is. The method did not run.
    pub const UNAUTHENTICATED: i64 = -32004;
    /// The caller may not call this. The method did not run.
    pub const FORBIDDEN: i64 = -32005;
    /// A value is larger than a limit.
    pub const TOO_LARGE: i64 = -32006;
    /// The call ran before under its sequence number, and its reply is kept no longer. What the method said, nobody knows.
    pub const REPLY_GONE: i64 = -32007;
    /// The callee has not given out this client id, or has forgotten it, so it cannot say whether the number has run: it did not run it.
    pub const UNKNOWN_CLIENT: i64 = -32008;
    /// The code of a failure that came without one.
    pub const UNNAMED: i64 = 0;

    /// A failure without data.
    pub fn new(code: i64, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), data: Value::Nil }
    }

    /// Adds data.
    pub fn with_data(mut self, data: Value) -> Failure {
        self.data = data;
        self
    }

    /// Which kind of error it is for the caller.
    fn kind(&self) -> CallErrorKind {
        match self.code {
            Failure::UNAVAILABLE
            | Failure::BUSY
            | Failure::UNAUTHENTICATED
            | Failure::FORBIDDEN
            | Failure::UNKNOWN_CLIENT => CallErrorKind::Refused,
            Failure::DEADLINE => CallErrorKind::TimedOut,
            Failure::CANCELLED => CallErrorKind::Cancelled,
            Failure::TOO_LARGE => CallErrorKind::TooLarge,
            Failure::PARSE | Failure::INVALID_REQUEST => CallErrorKind::Malformed,
            _ => CallErrorKind::Failed,
        }
    }

    /// Whether the callee says with it that the method did not run.
    pub fn is_refusal(&self) -> bool {
        const REFUSALS: &[i64] = &[
            Failure::PARSE,
            Failure::INVALID_REQUEST,
            Failure::METHOD_NOT_FOUND,
            Failure::INVALID_PARAMS,
            Failure::UNAVAILABLE,
            Failure::BUSY,
            Failure::UNAUTHENTICATED,
            Failure::FORBIDDEN,
            Failure::UNKNOWN_CLIENT,
        ];
        REFUSALS.contains(&self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Failure::UNNAMED => f.write_str(&self.message),
            code => write!(f, "{} (code {code})", self.message),
        }
    }
}

impl Error for Failure {}

/// Whether the method of a failed call has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not, and never will: the call may be made again.
    NotRun,
    /// Nobody here can tell: only an idempotent call, or one with a sequence number, may be made again.
    Unknown,
    /// It has, and said so.
    Ran,
}

/// The kinds of errors of a call: each [`CallError`] is of exactly one, whichever side noticed it ([`CallError::kind`]).
///
/// | kind | this side says | the callee says |
/// |---|---|---|
/// | [`Refused`](CallErrorKind::Refused) | [`CallError::Refused`] | [`UNAVAILABLE`](Failure::UNAVAILABLE), [`BUSY`](Failure::BUSY), [`UNAUTHENTICATED`](Failure::UNAUTHENTICATED), [`FORBIDDEN`](Failure::FORBIDDEN), [`UNKNOWN_CLIENT`](Failure::UNKNOWN_CLIENT) |
/// | [`NotSent`](CallErrorKind::NotSent) | [`CallError::NotSent`] | |
/// | [`OutcomeUnknown`](CallErrorKind::OutcomeUnknown) | [`CallError::OutcomeUnknown`] | |
/// | [`TimedOut`](CallErrorKind::TimedOut) | [`CallError::TimedOut`] | [`DEADLINE`](Failure::DEADLINE) |
/// | [`Cancelled`](CallErrorKind::Cancelled) | | [`CANCELLED`](Failure::CANCELLED) |
/// | [`Failed`](CallErrorKind::Failed) | | every other code, the service's own among them |
/// | [`Malformed`](CallErrorKind::Malformed) | [`CallError::Malformed`] | [`PARSE`](Failure::PARSE), [`INVALID_REQUEST`](Failure::INVALID_REQUEST) |
/// | [`TooLarge`](CallErrorKind::TooLarge) | [`CallError::TooLarge`] | [`TOO_LARGE`](Failure::TOO_LARGE) |
/// | [`Encode`](CallErrorKind::Encode) | [`CallError::Encode`] | |
///
/// A kind does not tell whether the method has run: that is [`CallError::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallErrorKind {
    /// Somebody did not let the call pass: a limit, a breaker, a server that ends, a missing right. It did not run.
    Refused,
    /// The connection was lost before the call was sent, or there was none. It did not run.
    NotSent,
    /// The connection was lost, and nobody knows whether the call has run.
    OutcomeUnknown,
    /// A time limit passed.
    TimedOut,
    /// The callee cancelled the method. A caller that is cancelled itself unwinds, and sees no error.
    Cancelled,
    /// The server's error, with its code and data: [`CallError::failure`] has them. It is an answer;
    /// only [`Failure::REPLY_GONE`] says that there was one, and that nobody knows it any more.
    Failed,
    /// One side cannot read what the other sent.
    Malformed,
    /// The request or its answer is larger than a limit.
    TooLarge,
    /// The parameters cannot be encoded.
    Encode,
}

/// Why a call has no result.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum CallError {
    /// The call was refused on this side, by a limit, a circuit breaker or a connection that is closing. It did not run.
    Refused {
        /// Who refused, and why.
        reason: String,
    },
    /// The connection could not be made or was lost before any of the request was handed to it. It did not run.
    NotSent {
        /// What happened to the connection.
        cause: Arc<io::Error>,
    },
    /// The connection was lost after the request was handed to it and before the answer came. It may have run.
    OutcomeUnknown {
        /// What happened to the connection.
        cause: Arc<io::Error>,
    },
    /// The time limit of the call passed first. It may have run, unless `sent` is false.
    TimedOut {
        /// The limit.
        limit: Duration,
        /// Whether the request was handed to the connection.
        sent: bool,
    },
    /// The callee answered with a failure: the code tells which.
    Failed(Failure),
    /// The answer cannot be read as the type that was asked for, or the peer broke the protocol. It may have run.
    Malformed {
        /// What was wrong with it.
        reason: String,
    },
    /// The request or its answer is larger than a limit.
    TooLarge {
        /// The size in bytes, as far as it was read.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
        /// Whether the request was handed to the connection.
        sent: bool,
    },
    /// The parameters cannot be encoded. The caller's fault; it did not run.
    Encode(EncodeError),
}

impl CallError {
    /// Which kind of error it is, whichever side noticed it.
    ///
    /// # Examples
    ///
    /// ```
    /// use grapeshot_rpc::{CallError, CallErrorKind, Failure};
    ///
    /// fn advice(error: &CallError) -> &'static str {
    ///     match error.kind() {
    ///         CallErrorKind::Refused | CallErrorKind::NotSent => "it did not run; try again later",
    ///         CallErrorKind::OutcomeUnknown | CallErrorKind::TimedOut | CallErrorKind::Cancelled => "it may have run",
    ///         CallErrorKind::Failed => "that is the answer",
    ///         CallErrorKind::Malformed | CallErrorKind::TooLarge | CallErrorKind::Encode => "mend the program",
    ///     }
    /// }
    ///
    /// let busy = CallError::Failed(Failure::new(Failure::BUSY, "64 calls run already"));
    /// assert_eq!(advice(&busy), "it did not run; try again later");
    /// ```
    pub fn kind(&self) -> CallErrorKind {
        match self {
            CallError::Refused { .. } => CallErrorKind::Refused,
            CallError::NotSent { .. } => CallErrorKind::NotSent,
            CallError::OutcomeUnknown { .. } => CallErrorKind::OutcomeUnknown,
            CallError::TimedOut { .. } => CallErrorKind::TimedOut,
            CallError::Failed(failure) => failure.kind(),
            CallError::Malformed { .. } => CallErrorKind::Malformed,
            CallError::TooLarge { .. } => CallErrorKind::TooLarge,
            CallError::Encode(_) => CallErrorKind::Encode,
        }
    }

    /// Whether the method has run.
    pub fn outcome(&self) -> Outcome {
        match self {
            CallError::Refused { .. } | CallError::NotSent { .. } | CallError::Encode(_) => Outcome::NotRun,
            CallError::TimedOut { sent, .. } | CallError::TooLarge { sent, .. } if !sent => Outcome::NotRun,
            CallError::Failed(failure) if failure.is_refusal() => Outcome::NotRun,
            CallError::Failed(failure) if matches!(failure.code, Failure::DEADLINE | Failure::CANCELLED) => {
                Outcome::Unknown
            }
            CallError::Failed(_) => Outcome::Ran,
            _ => Outcome::Unknown,
        }
    }

    /// The callee's failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            CallError::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The service's own error, if it is one: see [`ServiceError`](crate::ServiceError).
    pub fn service<E: TryFrom<Failure>>(&self) -> Option<E> {
        self.failure().cloned().and_then(|failure| E::try_from(failure).ok())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused { reason } => write!(f, "the call was refused: {reason}"),
            CallError::NotSent { cause } => write!(f, "the call was not sent: {cause}"),
            CallError::OutcomeUnknown { cause } => {
                write!(f, "the connection was lost before the answer came, so the call may have run: {cause}")
            }
            CallError::TimedOut { limit, sent: true } => write!(f, "no answer within {limit:?}; the call may have run"),
            CallError::TimedOut { limit, sent: false } => write!(f, "not sent within {limit:?}"),
            CallError::Failed(failure) => write!(f, "the callee failed: {failure}"),
            CallError::Malformed { reason } => write!(f, "the answer cannot be read: {reason}"),
            CallError::TooLarge { bytes, limit, sent: true } => {
                write!(f, "the answer has {bytes} bytes or more, and {limit} are the limit")
            }
            CallError::TooLarge { bytes, limit, sent: false } => {
                write!(f, "the request has {bytes} bytes, and {limit} are the limit")
            }
            CallError::Encode(error) => write!(f, "the parameters cannot be encoded: {error}"),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallError::NotSent { cause } | CallError::OutcomeUnknown { cause } => Some(&**cause),
            CallError::Failed(failure) => Some(failure),
            CallError::Encode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EncodeError> for CallError {
    fn from(error: EncodeError) -> CallError {
        CallError::Encode(error)
    }
}

/// A method that fails because its stream does: with the caller's own failure, or a sentence that says what happened.
///
/// No code says that the method did not run, for it did.
impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Failure {
        let code = match &error {
            StreamError::Failed(failure) if !failure.is_refusal() => failure.code,
            StreamError::Failed(_) | StreamError::Over | StreamError::Lost(_) => Failure::CANCELLED,
            StreamError::TooLarge { .. } => Failure::TOO_LARGE,
            StreamError::Malformed(_) | StreamError::Unsupported | StreamError::Encode(_) => Failure::INTERNAL,
        };
        match error {
            StreamError::Failed(failure) => Failure { code, ..failure },
            error => Failure::new(code, error.to_string()),
        }
    }
}

/// Why a stream of items ends before its end.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum StreamError {
    /// The other side ended its stream with a failure.
    Failed(Failure),
    /// The call is over, so nobody reads what would be sent, or nobody sends any more.
    Over,
    /// The connection was lost.
    Lost(Arc<io::Error>),
    /// An item is larger than a limit.
    TooLarge {
        /// The size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// An item cannot be read as its type.
    Malformed(String),
    /// An item cannot be encoded.
    Encode(EncodeError),
    /// Streams are not agreed on with this peer, or the method has none in this direction.
    Unsupported,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Failed(failure) => write!(f, "the stream ended with a failure: {failure}"),
            StreamError::Over => f.write_str("the call is over, and its streams with it"),
            StreamError::Lost(cause) => write!(f, "the connection was lost within the stream: {cause}"),
            StreamError::TooLarge { bytes, limit } => {
                write!(f, "an item has {bytes} bytes, and {limit} are the limit")
            }
            StreamError::Malformed(reason) => write!(f, "an item cannot be read: {reason}"),
            StreamError::Encode(error) => write!(f, "an item cannot be encoded: {error}"),
            StreamError::Unsupported => f.write_str("this call has no stream in this direction"),
        }
    }
}

impl Error for StreamError {}
