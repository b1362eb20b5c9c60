//! One registration's ear for one signal: a pipe that the signal's handler writes to.

use std::cell::Cell;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP};

use super::{SignalError, disposition, name};
use crate::slots::Direction;
use crate::source::{Source, WaitLimit};

/// The highest number of a signal on Linux (SIGRTMAX).
const HIGHEST: i32 = 64;

pub(super) struct Listener {
    signal: i32,
    received: Source<UnixStream>,
    /// Until it ends.
    handler: Cell<Option<SigId>>,
}

impl Listener {
    pub(super) fn new(signal: i32) -> io::Result<Listener> {
        match signal {
            SIGKILL | SIGSTOP => return Err(SignalError::Unstoppable(signal).into()),
            SIGSEGV | SIGBUS | SIGILL | SIGFPE => return Err(SignalError::Fault(signal).into()),
            1..=HIGHEST => {}
            _ => return Err(SignalError::Unknown(signal).into()),
        }
        let (received, sent) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        let handler = disposition::register(signal, sent)?;
        Ok(Listener { signal, received: Source::new(received), handler: Cell::new(Some(handler)) })
    }

    /// Waits until the signal has come since it was last waited for; false if it will not come any more.
    pub(super) fn wait(&self) -> io::Result<bool> {
        self.received.attempt(Direction::Read, "wait for a signal", WaitLimit::Never, |_| false, drain)
    }

    /// Waits in a coroutine that has nobody to give an error to.
    ///
    /// # Panics
    ///
    /// When the reactor refuses the pipe, for want of memory; the notifier then tells of it.
    pub(super) fn expect(&self) -> bool {
        self.wait().unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", name(self.signal)))
    }

    /// Hears of no signal from now on, which has the effect that it otherwise has.
    pub(super) fn end(&self) {
        if let Some(handler) = self.handler.take() {
            disposition::unregister(self.signal, handler);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes all bytes that are there, and at least one; false if there will be none, as the handler has gone.
fn drain(mut received: &UnixStream) -> io::Result<bool> {
    let mut bytes = [0; 64];
    let mut read = received.read(&mut bytes)?;
    let came = read > 0;
    while read == bytes.len() {
        read = match received.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            more => more?,
        };
    }
    Ok(came)
}
