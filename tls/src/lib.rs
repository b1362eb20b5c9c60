//! TLS for Grapeshot coroutines: rustls over any stream; a handshake suspends only the coroutine that does it.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("grapeshot-tls needs a provider of algorithms: switch on its feature aws-lc-rs (the default) or ring");

mod config;

pub use self::config::{
    ClientBuilder, ClientConfig, ConfigError, Identity, Limits, Place, Roots, ServerBuilder, ServerConfig, Version,
    provider,
};
pub use rustls;
