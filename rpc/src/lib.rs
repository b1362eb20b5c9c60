//! MessagePack-RPC for Grapeshot coroutines: a call blocks its coroutine and nobody else, and says honestly how it failed.
//!
//! ```text
//!   typed client ─┐                                                               ┌─► typed service
//!   call by name ─┴─► Caller ──► connection ══ transport ══ connection ──► Service ─┴─► router
//!                       ▲   ◄── answers in any order, streams ──  ▲
//!                       │                                         └ one coroutine a call; it may call back
//!                       └ retries, balancing, reconnecting, middleware: each is a Caller around Callers
//! ```
//!
//! A trait under [`service`](macro@service) becomes a client and a service; [`Router`] makes a service of closures, and
//! [`CallerExt::call`] calls by name. [`Client`] and [`Server`] hold the connections; [`Connection`] runs over any [`Transport`].
//!
//! ```
//! use grapeshot_core::{spawn, test};
//! use grapeshot_rpc::{Client, Failure, Server};
//!
//! #[grapeshot_rpc::service(crate = grapeshot_rpc)]
//! trait Sums {
//!     #[rpc(idempotent)]
//!     fn add(&self, a: i64, b: i64) -> Result<i64, Failure>;
//! }
//!
//! struct Adder;
//!
//! impl Sums for Adder {
//!     fn add(&self, a: i64, b: i64) -> Result<i64, Failure> {
//!         a.checked_add(b).ok_or_else(|| Failure::new(1, "the sum is too large"))
//!     }
//! }
//!
//! test::run(|| {
//!     let server = Server::bind("127.0.0.1:0").unwrap().service(SumsService(Adder));
//!     let address = server.local_addr().unwrap().to_string();
//!     let serving = spawn(move || server.serve());
//!
//!     let sums = SumsClient::new(Client::connect(&address).unwrap());
//!     assert_eq!(sums.add(19, 23).unwrap(), 42);
//!     serving.cancel();
//! });
//! ```
//!
//! # Where to find what
//!
//! | for | see |
//! |---|---|
//! | telling without an answer | [`CallerExt::notify`], `#[rpc(notification)]` in [`service`](macro@service) |
//! | what became of a failed call | [`CallError`], [`CallError::kind`], [`CallError::outcome`], [`Failure`] and its codes |
//! | time limits of a call, and cancelling it | [`CallOptions::timeout`], [`grapeshot_core::with_timeout`]; the method: [`Context::deadline`] |
//! | limits on bytes, depth, calls, time | [`Limits`] |
//! | calling the caller back, or a client that has just come | [`Context::caller`], [`ClientBuilder::service`], [`Server::on_connect`] |
//! | listing a peer's methods | [`CallerExt::methods`], [`MethodInfo`] |
//! | a service in several versions | `since`, `alias` and `Option`s at the end in [`service`](macro@service) |
//! | plain MessagePack-RPC alone | [`Extensions::Off`] |
//! | signs of life of a silent peer | [`Limits::heartbeat`] |
//! | ending a server without losing a call | [`ServerHandle::drain`] |
//! | items beside a call | [`stream`] |
//! | what travels with a call | [`CallOptions::metadata`], [`Context::metadata`] |
//! | carriers: sockets, TLS, a child's pipes, memory for tests | [`transport`], [`Client::over`], [`Connection::over`] |
//! | repeating calls that failed | [`retry`] |
//! | calls that run once, however often they are made | [`replies`] |
//! | connections that come back, several of them, several servers | [`reconnect`], [`pool`], [`balance`] |
//! | servers out of DNS SRV records | [`balance::ServiceRecords`] |
//! | asking a second server when the first is slow | [`balance::HedgeOptions`] |
//! | no calls to a server that fails | [`balance::BreakerOptions`] |
//! | who the peer is: address, certificate, process, key | [`Context::peer`], [`Identity`]; proof of a shared key: `auth` |
//! | who may call what | [`Server::authorize`] for all of a server, [`middleware::Authorize`] by method |
//! | logs, metrics, traces, limits by method | [`Server::log`] for a line a call, [`middleware`] for the rest |
//! | sending objects without calls | `objects` |
//!
//! # Invariants
//!
//! - A call ends once: with its answer, or with an error that says whether its method may have run.
//! - What a peer may use without being read or answered is bounded by [`Limits`], all finite by default.
//! - A message that cannot be read is answered to the one whom it concerns; a connection whose framing is lost is closed,
//!   and no other is touched.
//! - The caller's time limit holds on both sides, and a caller that goes away cancels the method.
//! - A call is repeated only where its method allows that, and a numbered one never runs twice.
//! - The plain protocol always works: everything beyond it is agreed on in a hello, and its absence is no error.
//!
//! # On the wire
//!
//! `[0, id, method, params]` is a request, `[1, id, error, result]` its response, `[2, method, params]` a notification
//! ([MessagePack-RPC](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md)); methods may be called by either side.
//! Parameters are an array, structs are maps with the names of their fields, and a failure is `[code, message]` or
//! `[code, message, data]`, as Neovim reads it.
//! A side that knows more begins with the request `$/hello`, whose parameter names what it knows; the other answers alike.
//! Methods that begin with `$/` are the protocol's own: `$/methods` lists the service's.
//! A peer that ends its side of the stream is gone and waits for no answers, even where it still reads
//! ([`CloseReason::PeerEnded`]).
//!
//! | agreed on | then there is |
//! |---|---|
//! | `meta` | a fifth element of a request: time left, number, trace, metadata, window ([`proto::Meta`]) |
//! | `cancel` | `[3, id]`: the caller has gone away |
//! | `streams` | `[4…8, id, …]`, see [`stream`] |
//! | `ping` | `[9, n]`, answered with `[10, n]` |
//! | `goaway` | `[11]`: no new calls are taken |
//!
//! # What is absent
//!
//! Compression, promise pipelining, and carriers that queue (message brokers), for which [`Transport`] is small enough.
//!
//! # Features
//!
//! `tls` adds calls over TLS; `aws-lc-rs` or `ring` add `auth` and `objects`; `tracing` adds spans.
//!
//! # Reading order
//!
//! `caller.rs` and `service.rs`, which everything else is made of or wraps; `error.rs`; then `proto/`, `connection/`,
//! `client.rs` and `server/`.
#![forbid(unsafe_code)]

mod accompanied;
mod own_limit;
mod caller;
mod service;
mod error;
mod limits;
mod value;
mod attribute;
mod router;
mod signature;
mod params;
pub mod generated;
pub mod transport;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
pub mod auth;
#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
pub mod objects;
mod connect;
mod connection;
mod client;
mod server;
pub mod retry;
pub mod reconnect;
pub mod replies;
pub mod pool;
pub mod balance;
pub mod middleware;
pub mod proto;
pub mod stream;

pub use self::attribute::{ServiceError, service};
pub use self::caller::{CallOptions, Caller, CallerExt, OpenCall, Repeat, Request, Sequence};
pub use self::client::{Client, ClientBuilder};
pub use self::connect::{Connect, Connected};
pub use self::connection::{CallEntry, CloseReason, Connection, Extensions, Setup};
pub use self::error::{CallError, CallErrorKind, Failure, Outcome, StreamError};
pub use self::limits::Limits;
pub use self::router::{ParamList, Router};
pub use self::server::{Listening, Server, ServerHandle};
pub use self::service::{CalleeStreams, Context, MethodInfo, MethodKind, Service};
pub use self::transport::{Credentials, Identity, Transport};
pub use self::value::{EncodeError, Encoded, Value};
