//! An HTTP/1.1 server for Grapeshot coroutines, and a [`client`].
//!
//! A handler is a plain function from a request to a response, and blocks as it likes: only its own connection waits.
//!
//! ```text
//!   Server ── accepts ──► connection (coroutine) ──► proto: head, framing, body ──► Request ─┐
//!      │                     │      ▲                                                    handler
//!      │                     │      └───────────── proto: response head ◄── Response ────────┘
//!      └ limits, drain       └ hibernates between requests: no stack, no buffers
//! ```
//!
//! With the feature `tls` connections may be TLS below, all of them (`Server::tls`) or as their first byte says
//! (`Server::tls_and_plain`); handshakes are done where requests are, in the connection's own coroutine.
//! Features only add: without `tls` nothing of it is compiled in, and with it plain connections cost what they did.
//!
//! # Invariants
//!
//! - Requests of one connection are answered in order, one at a time.
//! - What the peer sends is bounded in every direction by [`Limits`], all finite by default.
//! - A message whose framing could be read in two ways is refused and its connection closed (RFC 9112 §6).
//! - A handler's panic costs its own connection a 500, and nobody anything else.
//! - An idle connection holds no stack and no buffer, over TLS nothing but the state of rustls besides what it holds without.
//! - Over TLS the peer is told when the end of a connection is meant (close_notify), and only then.
//!
//! # What is absent
//!
//! Routing, HTTP/2 and WebSocket, which are to come; HTTP/0.9, which is not.
//!
//! # Reading order
//!
//! `server.rs`, `connection.rs`, `stream.rs`, `answer.rs`, `request.rs`, `response.rs`, `body.rs`, `writer.rs`, `output.rs`, then `proto/`;
//! `client/` by itself.
#![forbid(unsafe_code)]

mod server;
mod connection;
mod stream;
#[cfg(feature = "tls")]
mod secured;
#[cfg(feature = "tls")]
mod session;
mod answer;
mod refusal;
mod handler;
mod request;
mod response;
mod limits;
mod log;
mod body;
mod writer;
mod output;
mod pace;
mod buffer;
pub mod client;
pub mod proto;

pub use self::body::Body;
pub use self::handler::{Handler, IntoResponse};
pub use self::limits::Limits;
pub use self::log::{LogEntry, RequestLine};
pub use self::request::Request;
pub use self::response::{InvalidHeader, Response, Upgraded};
pub use self::server::{Server, ServerHandle};
#[cfg(feature = "tls")]
pub use self::session::TlsSession;
pub use self::stream::Stream;
pub use self::writer::ResponseWriter;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
