//! TCP.

mod listener;
mod options;
mod stream;

pub use self::listener::{Incoming, TcpListener};
pub use self::options::ListenOptions;
pub use self::stream::TcpStream;
