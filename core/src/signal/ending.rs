//! SIGINT and SIGTERM: the first ends `run`, the second ends the process.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::disposition::{self, RunNumber};

const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// A runtime's ear for the signals that end it.
pub(crate) struct Signals {
    received: UnixStream,
    number: RunNumber,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        let (received, sent) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        let signals = Signals { received, number: RunNumber::new() };
        for signal in ENDING {
            disposition::add_run(signal, signals.number, sent.try_clone()?)?;
        }
        Ok(signals)
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.received.as_raw_fd()
    }

    /// Whether a signal has come.
    pub(crate) fn take(&self) -> bool {
        matches!((&self.received).read(&mut [0; 64]), Ok(1..))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for signal in ENDING {
            disposition::remove_run(signal, self.number);
        }
    }
}
