//! TCP.

mod listener;
mod stream;
mod timeout;

pub use self::listener::{Incoming, TcpListener};
pub use self::stream::TcpStream;
