//! Who does the handshake, who sends, and who waits for them.
//!
//! A stream is `Send`, and what waits in a runtime is not: so those who wait are kept by their thread, under the
//! stream's place in memory. They borrow the stream, so it stays there, and nobody else can have it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::{
    NotInRuntime, OperationTimedOut, Reason, RefusedError, SimultaneousError, Unparked, WaitQueue, coroutine, current,
    in_coroutine,
};

thread_local! {
    static WAITING: RefCell<HashMap<usize, Rc<WaitQueue>>> = RefCell::default();
}

/// What only one coroutine does at a time.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The handshake is being done.
    pub(super) handshake: Cell<bool>,
    /// Records are being sent.
    pub(super) sending: Cell<bool>,
    /// The coroutine that writes.
    writer: Cell<Option<u64>>,
    /// Somebody waits for one of these to end.
    awaited: Cell<bool>,
}

/// One of the turns, which ends with this.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    which: &'a Cell<bool>,
}

impl Turns {
    /// Takes a turn that nobody has.
    pub(super) fn take<'a>(&'a self, which: &'a Cell<bool>) -> Turn<'a> {
        which.set(true);
        Turn { turns: self, which }
    }

    /// Waits until somebody's turn has ended.
    ///
    /// # Errors
    ///
    /// `TimedOut`; and in a coroutine that unwinds, or outside of one, that it cannot wait.
    pub(super) fn wait(&self, operation: &'static str, deadline: Option<Instant>) -> io::Result<()> {
        if !in_coroutine() {
            return Err(io::Error::new(ErrorKind::Unsupported, NotInRuntime));
        }
        let place = self.place();
        let queue = WAITING.with(|waiting| waiting.borrow_mut().entry(place).or_default().clone());
        self.awaited.set(true);
        let _leaving = Leaving { place, queue: &queue, turns: self };
        match queue.wait_until(Reason::Other(operation), deadline) {
            Unparked::Woken => Ok(()),
            Unparked::TimedOut => Err(OperationTimedOut::new(operation).into()),
            Unparked::Refused => Err(RefusedError::new(operation).into()),
        }
    }

    /// Registers the running coroutine as the one that writes.
    ///
    /// # Errors
    ///
    /// [`SimultaneousError`] when another does.
    pub(super) fn write(&self) -> io::Result<Writer<'_>> {
        if let Some(other) = self.writer.get()
            && in_coroutine()
            && let Some(other) = coroutine(other)
        {
            return Err(SimultaneousError::new("write", &other, &current()).into());
        }
        self.writer.set(in_coroutine().then(|| current().id().as_u64()));
        Ok(Writer(self))
    }

    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn ended(&self) {
        if self.awaited.get() {
            let queue = WAITING.with(|waiting| waiting.borrow().get(&self.place()).cloned());
            queue.map(|queue| queue.wake_all());
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.which.set(false);
        self.turns.ended();
    }
}

/// The one that writes, until this is dropped.
pub(super) struct Writer<'a>(&'a Turns);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.0.writer.set(None);
    }
}

/// Takes the queue away with the last that waits.
struct Leaving<'a> {
    place: usize,
    queue: &'a WaitQueue,
    turns: &'a Turns,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // Whoever is woken and has not run yet looks at the stream itself, and finds what it waited for.
        if self.queue.is_empty() {
            WAITING.with(|waiting| waiting.borrow_mut().remove(&self.place));
            self.turns.awaited.set(false);
        }
    }
}
