//! An HTTP/1.1 client for Grapeshot coroutines: a request is a call, and the answer's body a reader.
//!
//! ```text
//!   Client ── Request ──► Pool, or Connector ──► Transport (TCP, TLS over it)
//!                                                   │ ▲
//!                        Upload (coroutine) ────────┼─┘ proto: request head, chunks
//!   Response { head, Body } ◄── proto: response head, framing, body ◄──┘
//! ```
//!
//! # Invariants
//!
//! - A body read to its end is whole: an answer that is cut off, or whose framing could be read in two ways, is an error.
//! - What the server sends is bounded in every direction by [`ClientLimits`], and so is every wait.
//! - A connection is used again only when request and answer went over it to their ends, and nothing else came.
//! - A request is sent twice only if that does no harm (RFC 9110 section 9.2.2) and no byte of an answer came.
//!
//! # What is absent
//!
//! Redirects, cookies, proxies, content codings, pipelining and `Expect: 100-continue`, which are to come;
//! HTTP/0.9, which is not.
//!
//! # Reading order
//!
//! The modules below, then `proto/client/`.

mod http_client;
mod request;
mod response;
mod body;
mod exchange;
mod upload;
mod connection;
mod pool;
mod connect;
mod dialer;
mod transport;
mod patience;
mod limits;
mod error;

pub use self::body::Body;
pub use self::connect::Connector;
pub use self::dialer::Dialer;
pub use self::error::{ClientError, Phase};
pub use self::http_client::{Client, ClientBuilder};
pub use self::limits::ClientLimits;
pub use self::request::Request;
pub use self::response::Response;
pub use self::transport::Transport;
pub use crate::proto::client::{Host, MalformedResponse, Origin, RequestError, Scheme, StatusLineFault, Url, UrlError};
