//! Messages without I/O: what is asked, what a reply says, how records are written.

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
