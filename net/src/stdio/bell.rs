//! How the threads of stdin and stdout wake the coroutine that waits for them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use grapeshot_core::events::EventFd;

/// What a handle waits on. The thread has only the rope, so the registration with the loop goes with the handle.
#[derive(Debug)]
pub(super) struct Bell {
    event: EventFd,
    rope: Arc<Rope>,
}

/// What the thread pulls: a second descriptor of the same counter.
#[derive(Debug)]
pub(super) struct Rope(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        let event = EventFd::new(0)?;
        let rope = Arc::new(Rope(event.as_fd().try_clone_to_owned()?));
        Ok(Bell { event, rope })
    }

    /// Waits until it has been rung since the last wait.
    pub(super) fn wait(&self) -> io::Result<()> {
        self.event.wait().map(drop)
    }

    pub(super) fn rope(&self) -> &Arc<Rope> {
        &self.rope
    }
}

impl Rope {
    pub(super) fn ring(&self) {
        // It fails only when the counter is full, and then it rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}
