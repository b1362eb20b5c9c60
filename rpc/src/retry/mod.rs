//! Calls that are made again when they may be: [`Retrying`], a caller around a caller.
//!
//! ```text
//!   one server       Retrying::new ──► Reconnecting ──► connection
//!
//!   several          Retrying::across ──► balancer ──┬──► Retrying::beneath ──► Reconnecting ──► connection
//!                                                    └──► Retrying::beneath ──► …
//! ```
//!
//! # What is repeated
//!
//! | the attempt failed with | has it run? | repeated |
//! |---|---|---|
//! | `Refused`, `NotSent` | no | always |
//! | `Failed` with `UNAVAILABLE` or `BUSY` | no | always |
//! | `TimedOut`, not sent | no | always, while the call has time left |
//! | `OutcomeUnknown` | perhaps | if [`Repeat::Idempotent`] or [`Repeat::Sequenced`] |
//! | `TimedOut`, sent | perhaps | likewise, while the call has time left |
//! | `Failed` with `DEADLINE` or `CANCELLED` | perhaps | likewise |
//! | `Failed` with `UNKNOWN_CLIENT` | not this time | under a new number, unless an earlier attempt may have run |
//! | any other `Failed` | yes, or never will | no: that is the answer |
//! | `Malformed`, `TooLarge`, `Encode` | | no: it would be the same again |
//!
//! Between attempts lies a [`Backoff`]; there is a bound on the attempts, on the time of the whole call, and, with the
//! [`RetryBudget`], on the share of all attempts that are repeats.
//! By default it is the time that ends a call, so a server that is away for less is not noticed but by the wait.
//! With more than some ten calls waiting at once the budget may end them before: a client with many calls to one server lets
//! them wait for the connection instead ([`WhenDown::WaitAtMost`](crate::reconnect::WhenDown::WaitAtMost)), which repeats nothing.
//! When one attempt may have run and the later ones certainly did not, the error is that of the one which may have.
//! Notifications are repeated as calls are, and have no numbers.
//! A call with streams is repeated only as long as it cannot be opened:
//! once an item may be on its way, only the program knows what to do.
//!
//! # Numbered calls
//!
//! A call with [`Repeat::Sequenced`] is made under a client id, which the server gives out once (`$/sequence.begin`),
//! and a number, the same for every attempt (BEA-15). A server with [`AtMostOnce`](crate::replies::AtMostOnce)
//! runs a number once and answers the attempts after it with the reply that it kept.
//! A server that did not give out the id refuses it: one that has been started anew, another one, or another thread of the
//! same one. So a number never runs twice, whatever is lost or restarted in between, and nothing rests on how long
//! anybody remembers: in doubt the error says that the call may have run.
//! A server without `$/sequence.begin`, and a peer to which numbers cannot travel, gets the call without a number,
//! and it is then not repeated when it may have run.
//!
//! The id belongs to one server, so `Retrying::new` stands before one server; before several, [`Retrying::across`] gives
//! numbers to nothing, repeats only what certainly did not run or is idempotent, and leaves numbered calls to those below it.
//! These, [`Retrying::beneath`], repeat nothing but numbered calls that may have run.
//!
//! # Examples
//!
//! ```
//! use std::cell::Cell;
//! use grapeshot_core::{spawn, test};
//! use grapeshot_rpc::reconnect::Reconnecting;
//! use grapeshot_rpc::replies::AtMostOnce;
//! use grapeshot_rpc::retry::Retrying;
//! use grapeshot_rpc::{CallOptions, CallerExt, Client, Repeat, Router, Server};
//!
//! test::run(|| {
//!     let server = Server::bind("127.0.0.1:0").unwrap();
//!     let address = server.local_addr().unwrap().to_string();
//!     let balance = Cell::new(0);
//!     let account = Router::new().method("pay_in", move |(amount,): (i64,)| {
//!         balance.set(balance.get() + amount);
//!         Ok(balance.get())
//!     });
//!     let server = server.service(AtMostOnce::new(account));
//!     spawn(move || server.serve());
//!
//!     let client = Retrying::new(Reconnecting::new(move || Client::connect(&address)));
//!     let once = CallOptions { repeat: Repeat::Sequenced, ..CallOptions::default() };
//!     assert_eq!(client.call_with::<i64>(&once, "pay_in", &(50,)).unwrap(), 50);
//! });
//! ```
//!
//! # Invariants
//!
//! - No attempt is made that the table does not allow, and none after the call's time.
//! - All attempts of a numbered call have the same client id and number, unless none before could have run.
//! - Whoever is cancelled gives its number back; the server may then forget its reply.

mod retrying;
mod attempts;
mod verdict;
mod numbers;
mod options;
mod backoff;
mod budget;

pub use self::backoff::Backoff;
pub use self::budget::{BudgetOptions, RetryBudget};
pub use self::options::{RetryCounts, RetryOptions};
pub use self::retrying::Retrying;

#[cfg(doc)]
use crate::Repeat;
