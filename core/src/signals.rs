//! SIGINT and SIGTERM: the first ends `run`, the second ends the process.
//!
//! A signal writes a byte to a pipe that the reactor watches.
//! While no runtime listens, and once one signal has come, a signal has its default effect:
//! the handler itself sees to that, so that it also ends a program whose loop is stuck.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// How many runtimes of the process listen.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// Whether signals have their default effect. The first signal to come sets it.
fn by_default() -> io::Result<Arc<AtomicBool>> {
    static BY_DEFAULT: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut known = BY_DEFAULT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(flag) = &*known {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(true));
    for signal in ENDING {
        // In this order, in which they are run: a signal looks at the flag first, and sets it for the next one.
        signal_hook::flag::register_conditional_default(signal, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(known.insert(flag).clone())
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
        LISTENING.fetch_add(1, Ordering::SeqCst);
        for signal in ENDING {
            signals.handlers.push(signal_hook::low_level::pipe::register(signal, sent.try_clone()?)?);
        }
        flag.store(false, Ordering::SeqCst);
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
