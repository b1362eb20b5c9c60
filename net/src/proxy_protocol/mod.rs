//! The PROXY protocol: a proxy says, before anything else, for whom it connects.
//!
//! ```text
//!   client ──► proxy ──── header, then the client's bytes ────► ProxiedListener::accept ─► Unannounced
//!                                                                     Unannounced::header ─► Proxied
//! ```
//!
//! `header.rs`, `v1.rs` and `v2.rs` turn bytes into meaning without I/O; `listener.rs` moves the bytes.
//!
//! # Invariants
//!
//! - Strict: with this listener every connection begins with a header; one that does not is refused, never guessed.
//! - No byte after the header is taken off the stream.
//! - A header has a limit in bytes and one in time, and a slow one holds up no other connection:
//!   it is read by the coroutine of its own connection.
//!
//! # Trust
//!
//! Whoever can connect can announce any address. Listen where only the proxies can connect, or look at the address
//! that `accept` gives before the header is believed.
//!
//! Source: "The PROXY protocol, versions 1 & 2", as HAProxy publishes it.

mod listener;
mod header;
mod v1;
mod v2;

pub use self::header::{Announced, Header, MalformedHeader, Tlv, Transport, Version, parse};
pub use self::listener::{Limits, Proxied, ProxiedListener, Unannounced, read_header};
