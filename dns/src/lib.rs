//! Names for coroutines: a stub resolver as good as the system's, with a cache, and connecting by name.
//!
//! ```text
//!   resolve, connect ─► numbers ─► hosts file ─► special names ─┐        in the order of nsswitch.conf
//!                                                               ▼
//!   lookup, values, service, reverse ──► search list ─► one name, one type
//!                                                               │
//!                             cache ◄──────────────── joined with who asks the same
//!                                                               │
//!   query ─────────────────────────────────────────► exchange: servers, rounds, limits
//!                                                               │
//!                                              UDP ─ TCP ─ TLS, or a Transport of your own
//! ```
//!
//! Nothing here calls getaddrinfo, and nothing blocks the loop but the reading of small local files ([`System`]).
//!
//! # Invariants
//!
//! - `proto` does no I/O: it turns bytes and files into meaning and back.
//! - A lookup ends within its limit, whatever servers do, and its error says whom it asked and what each said.
//! - A reply counts only if it comes from the server that was asked, with the id, the question and the port of the query;
//!   any other is counted and ignored.
//! - The cache is bounded in entries and bytes, and believes TTLs within its limits.
//! - Lookups of one name at one time are one; whoever leads it may be cancelled, and the others lose nothing.
//! - A server that is to prove its name is never asked without TLS.
//!
//! # Features
//!
//! `tls`: DNS over TLS (RFC 7858), to servers with a [`NameServer::tls_name`].
//!
//! # What is absent
//!
//! Asking from the root downwards, zones of one's own, validation of DNSSEC (the AD bit of a trusted server is passed on),
//! Multicast DNS, and DNS over HTTPS, which comes with HTTP through the same [`transport::Transport`].
//!
//! # Reading order
//!
//! The modules below, from top to bottom.
#![forbid(unsafe_code)]

mod resolver;
mod builder;
mod lookup;
mod host;
mod connect;
mod question;
mod flight;
mod exchange;
mod servers;
mod transports;
pub mod transport;
mod error;
mod trace;
mod stats;
mod config;
mod system;
pub mod differences;
pub mod proto;

pub use self::builder::{CALL_LIMIT, ResolverBuilder};
pub use self::config::{Config, DNS_OVER_TLS_PORT, DNS_PORT, EDNS_SIZE, NameServer};
pub use self::connect::{ConnectError, ConnectErrorKind, ConnectOptions, FailedAttempt, connect};
pub use self::error::{Asked, LookupError, LookupErrorKind, Said};
pub use self::exchange::{MAX_ROUNDS, MAX_TRIES_IN_A_TURN};
pub use self::host::Host;
pub use self::lookup::{Lookup, Origin};
pub use self::question::STALE_TTL;
pub use self::resolver::{Resolver, ToName};
pub use self::servers::{MAX_SILENCE_REMEMBERED, NO_EDNS_REMEMBERED, SILENCE_REMEMBERED};
pub use self::stats::ResolverStats;
pub use self::system::{
    CHECK_INTERVAL, MAX_FILE, MAX_HOSTS_FILE, ResolverEnvironment, System, SystemConfig, SystemFiles,
};
pub use self::trace::{MAX_STEPS, Trace, TraceEvent, TraceStep};
