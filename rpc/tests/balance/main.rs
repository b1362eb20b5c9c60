//! The balancer over stub callers, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod choice;
mod ejection;
mod source;
mod support;
