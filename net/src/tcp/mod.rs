//! TCP.

mod listener;
mod options;
mod settings;
mod stream;

pub use self::listener::{Incoming, TcpListener};
pub use self::options::ListenOptions;
pub use self::settings::Keepalive;
pub use self::stream::TcpStream;
