//! An HTTP/1.1 server for Grapeshot coroutines.
#![forbid(unsafe_code)]

pub mod proto;

mod limits;

pub use limits::Limits;
