//! What the first bytes of a connection say, without I/O.

mod first_bytes;
mod client_hello;

pub(crate) use self::client_hello::{Hello, look};
pub use self::first_bytes::Protocol;
