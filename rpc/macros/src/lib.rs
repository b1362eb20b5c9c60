//! The attribute of `grapeshot-rpc` that makes a client and a server of a trait.
#![forbid(unsafe_code)]
