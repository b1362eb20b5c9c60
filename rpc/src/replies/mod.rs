//! Replies that are kept, so that a call which comes again is answered and not run again: [`AtMostOnce`].
//!
//! A caller that got no answer cannot tell a lost request from a lost reply (BEA-15).
//! It makes the call again under the same number, and this is where the number is known again.
//!
//! ```text
//!   $/sequence.begin ──► a new client id, which nobody else has
//!
//!   call under (id, number):
//!     id not given out here, or forgotten ──► UNKNOWN_CLIENT, not run
//!     number below the lowest wanted, or its reply was dropped ──► REPLY_GONE, not run
//!     number runs now ──► waits for it, and gets the same reply
//!     number has run ──► the kept reply
//!     number is new ──► runs in a coroutine of its own; its reply is kept, a refusal is not
//! ```
//!
//! # The promise, and what it rests on
//!
//! A number of a client runs once at most, for ever: not twice after its reply was dropped, not after the client was
//! forgotten, not on another server and not on the same one after it was started anew.
//! It rests on no clock. Ids are given out by the one who keeps the replies, 128 random bits each,
//! and an id that is not known is refused; so forgetting, by age, by a limit or by a crash, makes a call that may have run
//! one whose caller is told so ([`CallError::OutcomeUnknown`](crate::CallError::OutcomeUnknown)), never one that runs again.
//! The other half of the promise is the caller's: a call that may have run is not made again under another id.
//!
//! A method that has begun is not cancelled by the loss of its caller's connection or the end of that caller's patience,
//! as the caller may come again: it ends by itself or after [`ReplyLimits::run_time`], and its
//! [`deadline`](crate::Context::deadline) says the latter.
//! Whatever it ends with is its reply: a result, a failure, a panic (`INTERNAL`), the end of its time (`DEADLINE`).
//! A failure that says the method did not run ([`Failure::is_refusal`](crate::Failure::is_refusal)) is passed on and not
//! kept, and the number may then run.
//!
//! # Which replies go
//!
//! Those below the lowest number that the client still wants, at once; and all after [`ReplyLimits::age`].
//! Of a client with more than [`ReplyLimits::replies_per_client`], the one whose method ended longest ago of those that
//! a caller was there for; a reply for which none was there is still to be fetched, and is spared
//! while such ones are no more than half of all: beyond, the one of them that ended longest ago goes.
//! How low its number is does not count: a call in several attempts, beside which a thousand others are made,
//! has the lowest, and is the one whose reply is still wanted.
//! Of all clients with more than [`ReplyLimits::bytes`], the one that ended longest ago.
//! A number whose reply has gone stays known as one that has run: rows of such numbers take two words each,
//! and gaps between them are numbers that run or were not seen, bounded by [`ReplyLimits::running`] and
//! [`ReplyLimits::stretches_per_client`].
//!
//! # Where it stands
//!
//! One [`AtMostOnce`] serves all connections of a server, so that a caller may come again on another one:
//! it belongs into [`Server::service`](crate::Server::service), and not into `service_with`, which makes one for each.
//! What sets something for the coroutine of a method, such as the trace it belongs to, goes inside it.
//! It belongs to its thread: of a server in several shards each shard has its own, and knows no ids of the others.
//! What decides who may call belongs around it, since a kept reply is given to whoever has id and number,
//! and must allow `$/sequence.begin`, or calls come without numbers;
//! an id that was given to a peer who proved a key is good for that key only.
//!
//! # Invariants
//!
//! - Clients, numbers and bytes are bounded by [`ReplyLimits`], and running methods too; nothing grows with time.
//! - Of a number that has run something is known as long as its client is: its reply, that there was one, or that it is low.
//! - Whoever waits for a running number is woken in every case, by a panic and by the end of everything too.

mod at_most_once;
mod limits;
mod store;
mod client;
mod kept;
mod running;
mod number_set;
mod opening;

pub use self::at_most_once::AtMostOnce;
pub use self::limits::{ReplyCounts, ReplyLimits};
pub use self::opening::BEGIN;
pub(crate) use self::opening::{PROBE, read_client_id};
