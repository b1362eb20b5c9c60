//! What can be wrong with a request, and the status that says so to the peer.
//!
//! [`HeadError`] and [`BodyError`] are the peer's fault, [`ResponseError`] is the caller's.
//! After any of the first two nobody knows where the next request would start, so the connection is
//! closed once the answer is sent.
//! Needing more bytes is not an error; the end of the stream in the middle of a message is.
//!
//! The texts name what was seen, where, and the rule it breaks.
//! They never repeat the peer's bytes other than as numbers, so they are safe in a log and in an
//! answer.

mod body;
mod head;
mod response;
mod syntax;
mod target;

pub use body::BodyError;
pub use head::HeadError;
pub use response::ResponseError;
pub use syntax::SyntaxFault;
pub use target::TargetFault;
