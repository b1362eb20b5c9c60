//! What a client or a server is told before its first handshake.
//!
//! ```text
//!   PEM files, bytes ──► Identity ──┐                        ┌── Reloader, when the files change
//!   system, PEM, built in ► Roots ──┼──► builder ──► ClientConfig / ServerConfig ──► TlsStream
//!   pins, ALPN, limits … ───────────┘                        └── rustls(): the whole of it, for who needs more
//! ```
//!
//! # Invariants
//!
//! - The provider of the algorithms is always named, never the process's default: two of them may be compiled in.
//! - Verification is on. What weakens it has `danger` in its name, and there is one such call.
//! - What is wrong with a file is said when the configuration is made, with the file and the line.
//!
//! # What is absent
//!
//! Nothing here talks to a peer. Early data (RFC 8446 section 2.3) is off, since it can be replayed.

mod client;
mod server;
mod identity;
mod names;
mod reload;
mod client_certificates;
mod roots;
mod revocation;
mod pinned;
mod danger;
mod alpn;
mod version;
mod limits;
mod signing;
mod off_loop;
mod key_log;
mod provider;
mod pem;
mod error;

pub use self::client::{ClientBuilder, ClientConfig};
pub use self::client_certificates::ClientCertificates;
pub(crate) use self::error::IN_ASCII;
pub use self::error::{ConfigError, Place};
pub use self::identity::Identity;
pub use self::key_log::KeyLog;
pub use self::limits::Limits;
pub use self::pinned::Pin;
pub use self::provider::provider;
pub use self::reload::{Reload, Reloader};
pub use self::revocation::RevocationLists;
pub use self::roots::Roots;
pub use self::server::{ServerBuilder, ServerConfig};
pub use self::signing::Signing;
pub use self::version::Version;
