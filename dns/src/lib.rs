//! A stub resolver for Grapeshot coroutines.
#![forbid(unsafe_code)]

pub mod proto;
mod config;
mod system;
mod resolver;
mod builder;
mod host;
mod connect;
mod lookup;
mod question;
mod exchange;
mod servers;
mod flight;
mod trace;
mod stats;
mod error;
mod transports;
pub mod transport;
pub mod differences;

pub use self::config::{Config, DNS_OVER_TLS_PORT, DNS_PORT, EDNS_SIZE, NameServer};
pub use self::connect::{ConnectError, ConnectErrorKind, ConnectOptions, FailedAttempt, connect};
pub use self::error::{Asked, LookupError, LookupErrorKind, Said};
pub use self::system::{
    CHECK_INTERVAL, MAX_FILE, MAX_HOSTS_FILE, ResolverEnvironment, System, SystemConfig, SystemFiles,
};
pub use self::builder::{CALL_LIMIT, ResolverBuilder};
pub use self::exchange::{MAX_ROUNDS, MAX_TRIES_IN_A_TURN};
pub use self::host::Host;
pub use self::lookup::{Lookup, Origin};
pub use self::question::STALE_TTL;
pub use self::resolver::{Resolver, ToName};
pub use self::servers::{MAX_SILENCE_REMEMBERED, NO_EDNS_REMEMBERED, SILENCE_REMEMBERED};
pub use self::stats::ResolverStats;
pub use self::trace::{MAX_STEPS, Trace, TraceEvent, TraceStep};
