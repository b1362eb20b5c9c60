//! MessagePack-RPC for Grapeshot coroutines: a call blocks its coroutine and nobody else, and says honestly how it failed.
//!
//! ```text
//!   Caller ── request ──► connection ══ transport ══ connection ──► Service
//!     ▲                    │  many calls in flight, replies in any order  │   one coroutine a call
//!     └──── Encoded ◄──────┘  either side may call the other              └── Encoded or Failure
//! ```
//!
//! # Reading order
//!
//! `caller.rs` and `service.rs`, which everything else is made of or wraps; `error.rs`; then `proto/`, `connection/`,
//! `client.rs` and `server/`.
#![forbid(unsafe_code)]

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
pub mod proto;
pub mod stream;

pub use self::attribute::{ServiceError, service};
pub use self::caller::{CallOptions, Caller, CallerExt, OpenCall, Repeat, Request, Sequence};
pub use self::client::{Client, ClientBuilder};
pub use self::connect::{Connect, Connected};
pub use self::connection::{CallEntry, CloseReason, Connection, Extensions, Setup};
pub use self::error::{CallError, Failure, Outcome, StreamError};
pub use self::limits::Limits;
pub use self::router::{ParamList, Router};
pub use self::server::{Listening, Server, ServerHandle};
pub use self::service::{CalleeStreams, Context, MethodInfo, MethodKind, Service};
pub use self::transport::{Credentials, Identity, Transport};
pub use self::value::{Encoded, EncodeError, Value};
