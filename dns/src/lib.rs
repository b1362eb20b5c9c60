//! A stub resolver for Grapeshot coroutines.
#![forbid(unsafe_code)]

pub mod proto;
mod config;
mod system;
mod error;
mod flight;
pub mod transport;

pub use self::config::{Config, DNS_OVER_TLS_PORT, DNS_PORT, EDNS_SIZE, NameServer};
pub use self::error::{Asked, LookupError, LookupErrorKind, Said};
pub use self::system::{
    CHECK_INTERVAL, MAX_FILE, MAX_HOSTS_FILE, ResolverEnvironment, System, SystemConfig, SystemFiles,
};
