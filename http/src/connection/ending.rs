//! How a connection ends: whole or broken off, and so that the peer can read the last response.

use std::io::Read;
use std::thread;
use std::time::Duration;

use grapeshot_core::{Direction, now};
use grapeshot_net::{TcpStream, WaitLimit};

use super::{Connection, is_drained};
use crate::answer::Next;
use crate::output::Output;
use crate::stream::Stream;

/// How long, and for how much, the end of a refused connection is waited for, so that the peer can read why.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 256 << 10;

impl Connection {
    /// Sends what has been gathered, and tells the peer how the connection ends.
    #[cold]
    pub(super) fn end(&self, next: &Next, output: &mut Output) {
        match (output.flush(&self.stream), next) {
            (Err(_), _) | (Ok(()), Next::BreakOff) => self.stream.abandon(),
            (Ok(()), Next::CloseGently) => farewell(&self.stream),
            (Ok(()), _) => self.stream.close(),
        }
    }
}

/// Says that a connection ends where none but a cancellation ends it: between two requests.
pub(super) struct Goodbye<'a>(pub(super) &'a Stream);

impl Drop for Goodbye<'_> {
    fn drop(&mut self) {
        if self.0.is_tls() && thread::panicking() {
            self.0.close();
        }
    }
}

/// Lets the peer read the last response before the connection goes.
pub(super) fn farewell(stream: &Stream) {
    if stream.shutdown_write().is_ok() {
        await_end(stream.tcp());
    }
}

/// Waits for the peer to close, whatever it sends until then.
///
/// Closing with unread input makes the kernel send a reset, which may overtake the response (RFC 9112 §9.6).
pub(super) fn await_end(stream: &TcpStream) {
    let deadline = WaitLimit::At(now() + FAREWELL);
    let mut block = [0; 4096];
    let mut seen = 0;
    while seen < FAREWELL_BYTES {
        let read = |mut stream: &std::net::TcpStream| stream.read(&mut block).map(|read| (read, read < block.len()));
        match stream.source().attempt(Direction::Read, "the peer to close", deadline, is_drained, read) {
            Ok((0, _)) | Err(_) => return,
            Ok((read, _)) => seen += read,
        }
    }
}
