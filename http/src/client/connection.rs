//! A connection to a server, between requests or under one.

use std::rc::Rc;
use std::time::Duration;

use grapeshot_net::WaitLimit;

use super::error::ClientError;
use super::patience::Wait;
use super::transport::Transport;
use crate::buffer::{BLOCK, Buffer};
use crate::proto::client::Origin;

/// Bytes both ways, and those that have been read and not been used.
pub(super) struct Connection {
    pub(super) origin: Origin,
    /// Shared with the coroutine that sends a request's body.
    pub(super) transport: Rc<dyn Transport>,
    pub(super) buffer: Buffer,
}

impl Connection {
    pub(super) fn new(origin: Origin, transport: Rc<dyn Transport>) -> Connection {
        Connection { origin, transport, buffer: Buffer::default() }
    }

    /// Reads more into the buffer, which may grow to `most` bytes; 0 is the end of the stream.
    pub(super) fn fill(&mut self, most: usize, wait: Wait) -> Result<usize, ClientError> {
        let limit = WaitLimit::At(wait.until);
        let filled = self.buffer.fill(most + BLOCK, |room| self.transport.read_within(room, limit));
        filled.map_err(|error| wait.failed(error, ClientError::Receive))
    }

    /// Whether it can carry another request: nobody has closed it, and nothing came that nobody asked for.
    pub(super) fn is_fresh(&self) -> bool {
        let read = self.transport.read_within(&mut [0], WaitLimit::After(Duration::ZERO));
        self.buffer.is_empty() && read.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    }
}

/// Sends all of `bytes`; `wait` says until when each part of them must be taken.
pub(super) fn send_all(
    transport: &dyn Transport,
    mut bytes: &[u8],
    wait: impl Fn() -> Wait,
) -> Result<(), ClientError> {
    while !bytes.is_empty() {
        let wait = wait();
        match transport.write_within(bytes, WaitLimit::At(wait.until)) {
            Ok(0) => return Err(ClientError::Send(std::io::ErrorKind::WriteZero.into())),
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(wait.failed(error, ClientError::Send)),
        }
    }
    Ok(())
}
