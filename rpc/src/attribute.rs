//! The attribute that makes a service of a trait, and the derive that lets its errors travel: what is to know of both.
//!
//! They are written in the crate `grapeshot-rpc-macros`; what can be tried out in examples is told here.

/// Makes a server and a client of a trait: the trait's methods are what travels.
///
/// The trait stays as it is written, and whoever implements it is the service. Beside it appear, for a trait `Calculator`:
///
/// - `CalculatorService(implementation)`, a [`Service`](crate::Service) that answers calls with the implementation;
/// - `CalculatorClient::new(caller)`, with the same methods and the same parameters over any [`Caller`](crate::Caller),
///   each of which returns a `Result` with a [`CallError`](crate::CallError).
///   `client.with(options)` and `client.with_timeout(duration)` make calls in another way.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::{Context, Encoded, Failure, Service};
///
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// pub trait Calculator {
///     /// Adds.
///     #[rpc(idempotent)]
///     fn add(&self, a: i64, b: i64) -> i64;
///
///     /// Divides, and rounds towards zero.
///     #[rpc(idempotent)]
///     fn divide(&self, a: i64, b: i64) -> Result<i64, Failure>;
/// }
///
/// struct Exact;
///
/// impl Calculator for Exact {
///     fn add(&self, a: i64, b: i64) -> i64 {
///         a + b
///     }
///
///     fn divide(&self, a: i64, b: i64) -> Result<i64, Failure> {
///         a.checked_div(b).ok_or_else(|| Failure::new(1, "there is no such number"))
///     }
/// }
///
/// let service = CalculatorService(Exact);
/// let params = Encoded::of(&(7, 2))?;
/// let answer = service.call("divide", params.as_bytes(), &Context::detached())?;
/// assert_eq!(answer.decode::<i64>()?, 3);
/// assert_eq!(service.methods()[0].to_string(), "add(a: i64, b: i64) -> i64");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Arguments of `#[service]`
///
/// - `crate = grapeshot_rpc`: where this crate is found. Without it the code refers to `::grapeshot::rpc`, the crate
///   that most programs depend on.
/// - `name = "calc"`: the methods are called `calc.add` and so on. Without it they have their bare names, which are
///   easier to type for plain peers. One that gets a name later keeps its former ones by `full_alias`.
///
/// # Arguments of `#[rpc]`, above a method
///
/// - `idempotent`: running it twice does what running it once does, so a call whose outcome is unknown may be made again
///   ([`Repeat::Idempotent`](crate::Repeat::Idempotent)).
/// - `sequenced`: such a call may be made again as well, under a number by which the callee runs it once at most
///   ([`Repeat::Sequenced`](crate::Repeat::Sequenced)). Without either it is never made again, whatever the client's
///   options say.
/// - `notification`: nobody waits for an answer, and there is none, nor word of one that was refused
///   ([`CallerExt::notify`](crate::CallerExt::notify)).
/// - `name = "nvim_command"`: its name on the wire, where the trait's is another one.
/// - `alias = "sum"`: a former name, to which it still answers; there may be several. The service's `name` stands before it
///   as it does before the method's own: under `name = "calc"` it is `calc.sum`.
/// - `full_alias = "sum"`: a former name with nothing before it, for a service that had no `name`, or another one.
/// - `since = 2`: the version of the service that first had it, for the list of methods.
///
/// # What a method takes
///
/// `&self`, then any of these, each with a name:
///
/// - Values of owned types that serde can write and read. A reference is lent: the client writes what it points to, and
///   the server reads a value of its own for the call (`&[T]` into a `Vec`; `&str` costs nothing, it lies in the message).
/// - `Option`s at the end, which may be absent on the wire; the client leaves them out where they are `None`. So a later
///   version can add one, and both sides of both versions understand each other.
/// - `context: &Context`, which does not travel: the server has it from the connection, and the client does not ask for it.
/// - A [`Sink<T>`](crate::stream::Sink), which sends items to the caller. The client's method returns a
///   [`CalleeStreaming`](crate::stream::CalleeStreaming), from which it takes the items and then the result.
/// - An [`Items<T>`](crate::stream::Items) of what the caller sends. The client's method returns a
///   [`CallerStreaming`](crate::stream::CallerStreaming), or with both a [`BothStreaming`](crate::stream::BothStreaming).
///
/// A macro sees names alone: `Context`, `Sink`, `Items`, `Option` and `Result` count by the last word of their path.
///
/// A call with the wrong number of parameters, or one that does not fit, is answered with
/// [`Failure::INVALID_PARAMS`](crate::Failure::INVALID_PARAMS) and a sentence that names the parameter and its type.
///
/// # What a method returns
///
/// An owned value, or a `Result` of one whose error becomes a [`Failure`](crate::Failure); [`ServiceError`] lets an enum
/// travel and come back.
///
/// # What is refused
///
/// When the program is built, with a sentence that says what to write instead. A method that changes its service:
///
/// ```compile_fail
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// trait Counter {
///     fn bump(&mut self) -> u64;
/// }
/// ```
///
/// One that is asynchronous:
///
/// ```compile_fail
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// trait Slow {
///     async fn wait(&self);
/// }
/// ```
///
/// Generics, for the method or the trait:
///
/// ```compile_fail
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// trait Echo {
///     fn echo<T>(&self, value: T) -> T;
/// }
/// ```
///
/// A reference that nobody could own at the other end:
///
/// ```compile_fail
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// trait Filler {
///     fn fill(&self, buffer: &mut Vec<u8>);
/// }
/// ```
///
/// An error that is no [`Failure`](crate::Failure) and does not become one:
///
/// ```compile_fail
/// struct Oops;
///
/// #[grapeshot_rpc::service(crate = grapeshot_rpc)]
/// trait Fails {
///     fn fail(&self) -> Result<u64, Oops>;
/// }
/// ```
pub use grapeshot_rpc_macros::service;

/// Lets an enum of errors travel: it becomes a [`Failure`](crate::Failure) where the method runs, and comes back out of
/// the [`CallError`](crate::CallError) where the caller is ([`CallError::service`](crate::CallError::service)).
///
/// Above each variant stands its code, by which programs in other languages know it; a code stays what it is for ever.
/// The codes from -32768 to -32000 belong to the protocol. The failure's message is what the error's `Display` says, and
/// its data are the variant's fields: a map by their names, or a list.
/// `#[rpc(crate = grapeshot_rpc)]` above the enum says where this crate is found; without it, at `::grapeshot::rpc`.
///
/// A failure that is none of these, or whose data do not fit, stays a `Failure`: that is what `TryFrom` gives back.
///
/// # Examples
///
/// ```
/// use std::fmt;
///
/// use grapeshot_rpc::{CallError, Failure, ServiceError};
///
/// #[derive(Debug, PartialEq, ServiceError)]
/// #[rpc(crate = grapeshot_rpc)]
/// enum BankError {
///     #[rpc(code = 1)]
///     Closed,
///     #[rpc(code = 2)]
///     Overdrawn { account: String, cents: u64 },
/// }
///
/// impl fmt::Display for BankError {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         match self {
///             BankError::Closed => f.write_str("the bank is closed"),
///             BankError::Overdrawn { account, cents } => write!(f, "{account} has {cents} cents and no more"),
///         }
///     }
/// }
///
/// let failure = Failure::from(BankError::Overdrawn { account: "ann".into(), cents: 5 });
/// assert_eq!(failure.to_string(), "ann has 5 cents and no more (code 2)");
/// let error = CallError::Failed(failure);
/// assert_eq!(error.service(), Some(BankError::Overdrawn { account: "ann".into(), cents: 5 }));
/// ```
///
/// A variant without a code is refused when the program is built:
///
/// ```compile_fail
/// #[derive(Debug, grapeshot_rpc::ServiceError)]
/// #[rpc(crate = grapeshot_rpc)]
/// enum Oops {
///     NoCode,
/// }
///
/// impl std::fmt::Display for Oops {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("oops")
///     }
/// }
/// ```
pub use grapeshot_rpc_macros::ServiceError;
