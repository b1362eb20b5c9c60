//! Ending a server from elsewhere.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{Reason, TimeLimit, WaitQueue};

/// What the server and its handles share.
#[derive(Default)]
pub(super) struct Control {
    pub(super) asked: Cell<bool>,
    ended: Cell<bool>,
    /// The limit on the accept loop: it has none until a drain is asked for.
    pub(super) accepting: RefCell<Option<TimeLimit>>,
    finished: WaitQueue,
}

/// Says that the server is over when it is dropped, served or not.
pub(super) struct Ending(pub(super) Rc<Control>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.set(true);
        self.0.finished.wake_all();
    }
}

/// Ends a server from another coroutine.
#[derive(Clone)]
pub struct ServerHandle {
    pub(super) control: Rc<Control>,
}

impl ServerHandle {
    /// Asks the server to drain; `serve` returns when it has. Never suspends.
    pub fn drain(&self) {
        self.control.asked.set(true);
        if let Some(accepting) = &*self.control.accepting.borrow() {
            accepting.change(Duration::ZERO);
        }
    }

    /// Waits until `serve` is over, or the server was dropped without it.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait(&self) {
        while !self.control.ended.get() && self.control.finished.wait(Reason::Other("a server to finish")) {}
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("ended", &self.control.ended.get()).finish()
    }
}
