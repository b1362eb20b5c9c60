//! TCP.

mod stream;
mod listener;
mod timeout;

pub use self::listener::{Incoming, TcpListener};
pub use self::stream::TcpStream;
