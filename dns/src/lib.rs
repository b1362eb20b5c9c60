//! A stub resolver for Grapeshot coroutines.
#![forbid(unsafe_code)]

pub mod proto;
