//! Streams of items beside a call: from the callee, from the caller, or both ways at once, each with a window.
//!
//! ```text
//!   caller                                                 callee
//!   CallerStreaming, BothStreaming ── items ──► window ──► Items      the method reads
//!   CalleeStreaming, BothStreaming ◄── window ◄── items ── Sink       the method sends
//!                                  ◄────── the answer ends both
//! ```
//!
//! An item is any serde value. The sender waits while the reader's window is full, and the reader gives the window back
//! as it takes items, so a slow reader holds back its own stream and nothing else on the connection.
//! The callee's stream ends with its answer; the caller's ends by itself, whole or with a failure.
//!
//! A call with streams has the time limits of any other call. One that shall last longer than
//! [`Limits::call_timeout`](crate::Limits::call_timeout) says so with [`CallOptions::timeout`](crate::CallOptions::timeout).
//!
//! # Invariants
//!
//! - A coroutine that is cancelled while it receives has lost no item; while it sends, it has sent all of one or none.
//! - What waits for a reader is bounded by the window and one item, and over a connection by
//!   [`Limits::in_flight`](crate::Limits::in_flight) windows and [`OVERSHOOT_MESSAGES`] messages of the longest kind.
//!   A call with streams for which there is no room is refused: here with [`CallError::Refused`](crate::CallError::Refused),
//!   by the callee with [`Failure::BUSY`](crate::Failure::BUSY).
//! - Who sends beyond its window ends its own stream, with an error that says so.
//!
//! # On the wire
//!
//! | message | means |
//! |---|---|
//! | `[4, id, item]` | an item from the caller of call `id` |
//! | `[5, id, error]` | the end of the caller's stream; nil when it is whole |
//! | `[6, id, item]` | an item from the callee; its stream ends with the answer |
//! | `[7, id, bytes]`, `[8, id, bytes]` | the caller, or the callee, may send so many bytes more |
//!
//! An item costs its bytes and 16 more, so that empty ones are bounded too. A sender may send a whole item while its window
//! is above zero. A callee says in its hello with what window each caller's stream begins, and a caller says with its call
//! with what window the callee's does; that it says so makes the call one with streams.
//!
//! # What is absent
//!
//! Streams need a peer that knows them: a plain one is refused when the call is made.
//! Retries: a call with streams is made once.

mod callee_streaming;
mod caller_streaming;
mod both_streaming;
mod items;
mod sink;
mod handle;
mod item;
mod direct;
mod flow;
mod incoming;
mod places;
mod outgoing;
mod budget;
#[cfg(test)]
mod tests;

pub use self::both_streaming::{BothStreaming, CallerSink};
pub use self::budget::OVERSHOOT_MESSAGES;
pub(crate) use self::budget::{Budget, Share};
pub use self::callee_streaming::CalleeStreaming;
pub use self::caller_streaming::CallerStreaming;
pub use self::direct::DirectItems;
pub(crate) use self::flow::{Flow, Opening, Outlet, Side};
pub use self::items::Items;
pub use self::sink::Sink;
