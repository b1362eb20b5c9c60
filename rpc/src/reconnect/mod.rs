//! A caller that connects when it is called, and again when its connection is lost: [`Reconnecting`].
//!
//! ```text
//!           a call                 connected
//!   Idle ────────────► Connecting ───────────► Up ── lost ──► Idle
//!                        ▲     │ failed        └── lost at once ──┐
//!      a call, and the   │     ▼                                  │
//!      time has come     └── Down { error, until } ◄──────────────┘
//! ```
//!
//! Calls in flight on a connection that is lost fail as that connection says, and it is left to
//! [`Retrying`](crate::retry::Retrying) to make them again; the next call goes to a new connection.
//! While one is being made, all who call wait for it, each within its own time.
//! After a failure the next attempt waits for a [`Backoff`](crate::retry::Backoff), and meanwhile a call is told the
//! error at once, or waits too: that is [`WhenDown`].
//!
//! # Invariants
//!
//! - One attempt to connect at a time, in a coroutine of its own: nobody's leaving cuts it off for the others.
//! - A call that finds no connection was not sent, and its error tells why there was none, if any attempt has failed.
//! - A connection that neither answers a call nor lasts as long as [`ReconnectOptions::steady`] counts as a failure,
//!   so that a peer that accepts and hangs up is not called in a loop.
//! - Dropped or closed, it leaves neither coroutines nor connections behind.

mod reconnecting;
mod link;
mod dialing;
mod options;

pub use self::link::LinkState;
pub use self::options::{ReconnectOptions, WhenDown};
pub use self::reconnecting::Reconnecting;
