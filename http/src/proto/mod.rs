//! The server half of HTTP/1.1 (RFC 9110, RFC 9112) as bytes to meaning and back, without I/O; [`client`] is the other.
//!
//! ```text
//!             buffer of the connection                          buffer of the connection
//!  bytes in -------------------------> HeadParser                       |
//!                  |                       | RequestHead                |
//!                  |                       v                            |
//!                  |                   HeadView ----> handler ----> ResponseHead
//!                  |                       | BodyFraming                | ResponsePlan
//!                  |                       v                            v
//!                  +-----------------> BodyDecoder                 ChunkEncoder
//! ```
//!
//! Nothing here reads, writes, waits, or looks at a clock, and nothing but a reused vector of header
//! positions and the output buffer is allocated for a request.
//!
//! It is strict. Where RFC 9112 leaves a recipient the choice between repair and refusal, and
//! two choices by two recipients would let one request be smuggled in another, it refuses.
//! Every refusal says what, where and by which rule, and carries the status to answer.
//!
//! Absent: HTTP/0.9, HTTP/2, transfer codings other than `chunked`, and obsolete line folding.
//!
//! The modules in reading order: `head` and `view` are what a request is; `parse` finds it, with
//! `lines`, `target`, `framing` and `keep_alive` for what httparse leaves open and `diagnose` for
//! what it refuses; `body`, `chunked` and `trailers` decode what follows; `response`,
//! `chunk_encoder` and `standing` write the answer; `error` is what can go wrong.

mod head;
mod view;

mod diagnose;
mod framing;
mod keep_alive;
mod lines;
mod parse;
mod target;

mod body;
mod chunked;
mod trailers;

mod chunk_encoder;
mod response;
mod standing;

pub mod client;

mod classes;
mod decimal;
mod error;
mod span;

#[cfg(test)]
mod tests;

pub use self::body::BodyDecoder;
pub use self::chunk_encoder::ChunkEncoder;
pub use self::chunked::{ChunkedDecoder, Step};
pub use self::error::{BodyError, HeadError, ResponseError, SyntaxFault, TargetFault};
pub use self::framing::BodyFraming;
pub use self::head::{MethodKind, RequestHead, Version};
pub use self::parse::{HeadParser, Parsed};
pub use self::response::{BodyLength, CONTINUE, ReplyTo, ResponseFraming, ResponseHead, ResponsePlan};
pub use self::standing::StandingHeaders;
pub use self::target::TargetForm;
pub use self::view::HeadView;
