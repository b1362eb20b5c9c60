//! What the first bytes of a connection say, without I/O.

mod first_bytes;
mod client_hello;
mod date;
mod validity;

pub(crate) use self::client_hello::{Hello, look};
pub(crate) use self::date::{Date, Span};
pub use self::first_bytes::Protocol;
pub(crate) use self::validity::validity;
