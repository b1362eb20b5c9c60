//! What clients and servers are told, seen in the handshakes that come of it.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod ends;
mod identity;
mod names;
mod trust;
mod clients;
mod reload;
mod resumption;
mod key_log;
mod options;
mod bad_input;
