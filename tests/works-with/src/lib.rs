//! Crates of others on Grapeshot's sockets, unmodified: what the tests of this package share.
//!
//! Each file in `tests/` shows one crate at work, against its real peer or with both ends here.
#![forbid(unsafe_code)]
