//! One registration's ear for one signal: a pipe that the signal's handler writes to.

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
    handler: SigId,
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
        Ok(Listener { signal, received: Source::new(received), handler })
    }

    /// Waits until the signal has come since it was last waited for.
    pub(super) fn wait(&self) -> io::Result<()> {
        self.received.attempt(Direction::Read, "wait for a signal", WaitLimit::Never, |()| false, drain)
    }

    /// Waits in a coroutine that has nobody to give an error to.
    ///
    /// # Panics
    ///
    /// When the reactor refuses the pipe, for want of memory; the notifier then tells of it.
    pub(super) fn expect(&self) {
        if let Err(error) = self.wait() {
            panic!("{} cannot be waited for: {error}", name(self.signal));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        disposition::unregister(self.signal, self.handler);
    }
}

/// Takes all bytes that are there, and at least one.
fn drain(mut received: &UnixStream) -> io::Result<()> {
    let mut bytes = [0; 64];
    let mut read = received.read(&mut bytes)?;
    while read == bytes.len() {
        read = match received.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            more => more?,
        };
    }
    Ok(())
}
