//! What the first bytes of a connection say, without I/O.

mod first_bytes;
mod client_hello;

pub use self::first_bytes::Protocol;
pub(crate) use self::client_hello::{Hello, look};
