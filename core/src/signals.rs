//! SIGINT and SIGTERM: the first ends `run`, the second ends the process.
//!
//! A signal writes a byte to a pipe that the reactor watches.
//! While no runtime listens, and once one has been told, a signal has its default effect again.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// How many runtimes of the process listen.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// Lets signals have their default effect.
fn by_default() -> io::Result<&'static Arc<AtomicBool>> {
    static BY_DEFAULT: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(flag) = BY_DEFAULT.get() {
        return Ok(flag);
    }
    let flag = Arc::new(AtomicBool::new(true));
    for signal in ENDING {
        signal_hook::flag::register_conditional_default(signal, flag.clone())?;
    }
    Ok(BY_DEFAULT.get_or_init(|| flag))
}

/// A runtime's ear for the signals that end it.
pub(crate) struct Signals {
    received: UnixStream,
    handlers: Vec<SigId>,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        let flag = by_default()?;
        let (received, sent) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        let mut signals = Signals { received, handlers: Vec::new() };
        for signal in ENDING {
            signals.handlers.push(signal_hook::low_level::pipe::register(signal, sent.try_clone()?)?);
        }
        LISTENING.fetch_add(1, Ordering::SeqCst);
        flag.store(false, Ordering::SeqCst);
        Ok(signals)
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.received.as_raw_fd()
    }

    /// Whether a signal has come; the next one then has its default effect.
    pub(crate) fn take(&self) -> bool {
        let came = matches!((&self.received).read(&mut [0; 64]), Ok(1..));
        if came && let Ok(flag) = by_default() {
            flag.store(true, Ordering::SeqCst);
        }
        came
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
        if LISTENING.fetch_sub(1, Ordering::SeqCst) == 1
            && let Ok(flag) = by_default()
        {
            flag.store(true, Ordering::SeqCst);
        }
    }
}
