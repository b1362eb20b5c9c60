//! Bytes to messages and back, without I/O.
//!
//! ```text
//!   bytes in ──► Scanner ──► one frame ──► Message::parse ──► Message, borrowed from it
//!                                                               │ meta: Meta::decode
//!   bytes out ◄── append_request, append_response, …            │ error: read_failure
//! ```
//!
//! Nothing here reads, writes, waits or looks at a clock, and nothing is allocated for a message without metadata.
//! [`Scanner`] guards all that comes after it: what it lets through is one whole value within the limits on bytes and depth,
//! so whoever decodes it, such as serde, cannot be led deeper.
//!
//! The modules in reading order: `message` is what can be said, and `malformed` what can be wrong with it;
//! `scan` finds the messages, and `item` most items of streams sooner, with `head` and `reader` for single values; `encode` writes them;
//! `meta`, `metadata`, `failure` and `hello` are what some of them carry. `framed` is for connections that send no calls,
//! and `auth` is how both sides prove that they know a key.
//!
//! Sources: the [MessagePack-RPC](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md) and
//! [MessagePack](https://github.com/msgpack/msgpack/blob/master/spec.md) specifications; JSON-RPC 2.0 for the codes of failures.

mod message;
mod malformed;
mod scan;
mod item;
mod head;
mod reader;
mod encode;
mod meta;
mod metadata;
mod failure;
mod hello;
mod framed;
pub mod auth;

pub use self::encode::{
    append_callee_item, append_caller_end, append_caller_item, append_cancel, append_error_response, append_go_away,
    append_grant_to_callee, append_grant_to_caller, append_notification, append_ping, append_pong, append_request,
    append_request_with, append_response, append_response_with,
};
pub use self::failure::{MAX_FAILURE_BYTES, append_failure, read_failure};
pub use self::framed::{Framed, FramedError};
pub use self::hello::{
    Agreement, Extension, ExtensionSet, HELLO_METHOD, HELLO_VERSION, Hello, HelloError, HelloLimits, MAX_HELLO_BYTES,
};
pub use self::item::{ItemRun, whole_item};
pub use self::malformed::{Concerns, MalformedMessage, MessageFault};
pub use self::message::{Message, peek_call};
pub use self::meta::{Meta, MetaError, MetaLimits};
pub use self::metadata::{MetaValue, Metadata, TraceContext};
pub use self::scan::{Scan, ScanError, Scanner};
