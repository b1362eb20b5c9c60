//! TLS for Grapeshot coroutines: rustls over any stream; a handshake suspends only the coroutine that does it.
//!
//! ```text
//!   ClientConfig ──┐                      ┌── reads: one coroutine   ─┐
//!   ServerConfig ──┼──► TlsStream<S> ─────┼── writes: another         ├──► records ──► S: TCP, Unix, memory, TLS …
//!   TlsListener ───┤    rustls's state    └── handshake, key updates ─┘
//!   Sniffed ───────┘    and no more: an idle stream holds no buffers
//! ```
//!
//! A client and a server, whose certificate is made on the spot and believed by this one client:
//!
//! ```
//! # #[cfg(feature = "self-signed")] {
//! use std::io::{Read, Write};
//! use grapeshot_core::{spawn, test};
//! use grapeshot_net::TcpStream;
//! use grapeshot_tls::{SelfSigned, TlsListener, TlsStream};
//!
//! test::run(|| {
//!     let signed = SelfSigned::new(["localhost"]).unwrap();
//!     let listener = TlsListener::bind("127.0.0.1:0", signed.server_config().unwrap()).unwrap();
//!     let address = listener.local_addr().unwrap();
//!     spawn(move || {
//!         let (mut stream, _) = listener.accept().unwrap();
//!         // The first write does the handshake. In a server, a coroutine of the connection's own would.
//!         stream.write_all(b"grape shot").unwrap();
//!         stream.close().unwrap();
//!     });
//!     let config = signed.client_config().unwrap();
//!     let mut stream = TlsStream::client(TcpStream::connect(address).unwrap(), &config, "localhost").unwrap();
//!     let mut text = String::new();
//!     stream.read_to_string(&mut text).unwrap();
//!     assert_eq!(text, "grape shot");
//! });
//! # }
//! ```
//!
//! # Invariants
//!
//! - No coroutine waits for another's handshake: an accepted connection has not begun its own, and slow keys sign
//!   off the loop ([`Signing`]).
//! - One coroutine reads while another writes, as on a socket.
//! - Every handshake has a limit, and so has the last word, close_notify ([`Limits`]).
//! - An end without close_notify is an error, never an end of stream (RFC 8446 section 6.1, RFC 5246 section 7.2.1).
//! - Verification is on. What weakens it has `danger` in its name, and there is one such call.
//! - A mistake in a certificate or key is found when the configuration is made, with file and line.
//! - A renewed certificate is for new connections; those that exist keep theirs. One that has expired renews nothing.
//!
//! # Features
//!
//! `aws-lc-rs` (on) and `ring`: the provider of the algorithms, at least one of them; see [`provider`].
//! `webpki-roots`: Mozilla's roots, built in. `self-signed`: certificates for development, `SelfSigned`.
//!
//! rustls is not hidden: it is re-exported as [`rustls`], and its configurations can be handed in.
//!
//! # What is absent
//!
//! Names are verified and not looked up. Early data (RFC 8446 section 2.3), which can be replayed.
//! A server's own certificate may have expired when it starts: [`Identity::not_after`] says when it does.
//! Versions before 1.2 (RFC 8996) and renegotiation. OCSP is not asked; revocation lists can be given.
//! Encrypted client hello, raw public keys and certificate compression are to be had by way of a configuration of rustls.
//!
//! # Reading order
//!
//! `config/`, above all `client.rs`, `server.rs` and `identity.rs`; then `stream.rs` and what is in `stream/`; `listener.rs`, `sniff.rs`.
//!
//! Sources: RFC 8446, 5246, 6066 (section 3), 7301, 5077, 9525, 5280, 7858 (section 4.2), 8996; requirements 2.8 and SYL-11.
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
mod refusal;
mod proto;

pub use self::acceptor::TlsAcceptor;
pub use self::carrier::{AnyStream, Carrier, Patience};
pub use self::config::{
    ClientBuilder, ClientCertificates, ClientConfig, ConfigError, Identity, KeyLog, Limits, Pin, Place, Reload,
    Reloader, RevocationLists, Roots, ServerBuilder, ServerConfig, Signing, Version, provider,
};
pub use self::error::{Lacking, Peer, TlsError};
pub use self::listener::TlsListener;
pub use self::proto::Protocol;
#[cfg(feature = "self-signed")]
pub use self::self_signed::SelfSigned;
pub use self::sniff::Sniffed;
pub use self::stream::{Buffered, TlsStream};
pub use rustls;
