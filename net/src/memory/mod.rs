//! Two ends of a stream without a network: the shape of a socket, virtual time, and faults on request.
//!
//! ```text
//!   near ── write ──► faults ──► buffer (bounded) ──► read ── far
//!        ◄── read ── buffer (bounded) ◄── faults ◄── write ──
//! ```
//!
//! For tests of code that takes `Read + Write`: what a real network does once a year, this does at byte 4711.
//!
//! # Invariants
//!
//! - Bytes arrive in order and, but for what the faults say, unchanged.
//! - A writer waits while the buffer is full, a reader while it is empty; one of each at a time, and a second of either
//!   gets [`SimultaneousError`](grapeshot_core::SimultaneousError).
//! - Under one seed, and one order of calls, the same faults happen at the same bytes.
//! - The state says what a waiter waits for, and a wake carries nothing: a waiter that is cancelled loses no byte.
//!
//! # What is absent
//!
//! Addresses, urgent data, and threads: both ends stay on theirs.

mod stream;
mod link;
mod pipe;
mod faults;
mod settings;

pub use self::faults::Faults;
pub use self::settings::{Builder, pair};
pub use self::stream::MemoryStream;
