//! TLS for Grapeshot coroutines: rustls over any stream; a handshake suspends only the coroutine that does it.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("grapeshot-tls needs a provider of algorithms: switch on its feature aws-lc-rs (the default) or ring");

mod stream;
mod carrier;
mod close;
mod listener;
mod acceptor;
mod sniff;
mod config;
#[cfg(feature = "self-signed")]
mod self_signed;
mod error;
mod proto;

pub use self::acceptor::TlsAcceptor;
pub use self::carrier::{AnyStream, Carrier, Patience};
pub use self::config::{
    ClientBuilder, ClientCertificates, ClientConfig, ConfigError, Identity, KeyLog, Limits, Pin, Place, Reload,
    Reloader, RevocationLists, Roots, ServerBuilder, ServerConfig, Version, provider,
};
pub use self::error::{Lacking, Peer, TlsError};
pub use self::listener::TlsListener;
pub use self::proto::Protocol;
#[cfg(feature = "self-signed")]
pub use self::self_signed::SelfSigned;
pub use self::sniff::Sniffed;
pub use self::stream::{Buffered, TlsStream};
pub use rustls;
