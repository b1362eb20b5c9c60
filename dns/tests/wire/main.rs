//! Messages without I/O: what is asked, what a reply says, how records are written.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod messages;

mod query;
mod reply;
mod malformed;
mod outcome;
mod edns;
mod cookie;
mod names;
mod records;
mod services;
mod master;
mod properties;
