//! A stub resolver for Grapeshot coroutines.
#![forbid(unsafe_code)]

pub mod proto;
mod config;
pub mod transport;

pub use self::config::{Config, DNS_OVER_TLS_PORT, DNS_PORT, EDNS_SIZE, NameServer};
