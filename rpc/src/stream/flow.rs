//! Both streams of one call on one side of it, between the connection and whoever reads and sends.
//!
//! ```text
//!   connection ── item, end, grant ──► Flow ◄── send_item, read_item ── a method, or a call under way
//!        ▲                              │
//!        └──── Outlet ◄── items, grants ┘
//! ```
//!
//! The connection hands over what comes and never waits here. The call's end closes the flow, whoever still holds it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::yield_now;

use crate::error::{Failure, StreamError};
use crate::proto;
use crate::service::CalleeStreams;
use crate::stream::budget::Share;
use crate::stream::incoming::{self, Incoming};
use crate::stream::outgoing::Outgoing;
use crate::value::Encoded;

/// Where the messages of a flow go: the output of its connection.
pub(crate) trait Outlet {
    /// Waits until there is room for one more message; false when there was none by the deadline, or will be none.
    fn wait_for_room(&self, deadline: Option<Instant>) -> bool;

    /// Whether a message can be added without a wait.
    fn has_room(&self) -> bool;

    /// Adds a message, which goes behind all that were added before. Never suspends; nothing happens on a connection
    /// that is over.
    fn add(&self, write: &mut dyn FnMut(&mut Vec<u8>));
}

/// Whose end of the call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This side made the call.
    Caller,
    /// This side runs the method.
    Callee,
}

/// What a flow is made of.
pub(crate) struct Opening {
    pub(crate) side: Side,
    /// The number of the call.
    pub(crate) id: u32,
    /// What is reserved for what comes.
    pub(crate) share: Share,
    /// What the peer lets this side send before it says more.
    pub(crate) window: u64,
    /// The longest item in bytes.
    pub(crate) item_bytes: usize,
    /// When every wait ends; `None` where a limit around the coroutine sees to that.
    pub(crate) deadline: Option<Instant>,
}

/// Both streams of one call.
pub(crate) struct Flow {
    side: Side,
    id: u32,
    incoming: Incoming,
    outgoing: Outgoing,
    item_bytes: usize,
    deadline: Option<Instant>,
    /// A grant waits to be written.
    has_granted: Cell<bool>,
    outlet: Rc<dyn Outlet>,
}

impl Flow {
    pub(crate) fn new(opening: Opening, outlet: Rc<dyn Outlet>) -> Flow {
        Flow {
            side: opening.side,
            id: opening.id,
            incoming: Incoming::new(opening.share),
            outgoing: Outgoing::new(opening.window),
            item_bytes: opening.item_bytes,
            deadline: opening.deadline,
            has_granted: Cell::new(false),
            outlet,
        }
    }

    /// Items have come. Never suspends.
    #[inline]
    pub(crate) fn items<'i>(&self, items: impl IntoIterator<Item = &'i [u8]>) {
        self.incoming.push(items);
    }

    /// The peer's stream has ended, whole or with a failure. Never suspends.
    pub(crate) fn end(&self, failure: Option<Failure>) {
        self.incoming.end(failure.map_or(Ok(()), |failure| Err(StreamError::Failed(failure))));
    }

    /// The peer lets this side send more. Never suspends.
    pub(crate) fn grant(&self, bytes: u64) {
        self.outgoing.grant(bytes);
    }

    /// The callee has answered, or failed: what has come can still be read, and nothing be sent. Never suspends.
    pub(crate) fn answered(&self, end: Result<(), StreamError>) {
        self.incoming.end(end);
        self.outgoing.close(StreamError::Over);
    }

    /// The connection is lost, or cannot go on. Never suspends.
    pub(crate) fn lost(&self, why: StreamError) {
        self.incoming.end(Err(why.clone()));
        self.outgoing.close(why);
    }

    /// Nobody will read any more, nor send: what has come is dropped. Never suspends.
    pub(crate) fn close(&self) {
        self.incoming.stop(StreamError::Over);
        self.outgoing.close(StreamError::Over);
    }

    /// Sends an item, and waits while the window or the connection's output is full. Now and then it lets others run.
    ///
    /// Whoever is cancelled here has sent nothing of it.
    pub(crate) fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        if item.len() > self.item_bytes {
            return Err(StreamError::TooLarge { bytes: item.len(), limit: self.item_bytes });
        }
        self.outgoing.give_way();
        while !(self.outgoing.is_ready() && self.outlet.has_room()) {
            self.wait_ready()?;
        }
        self.outgoing.spend(incoming::cost(item));
        let append = match self.side {
            Side::Caller => proto::append_caller_item,
            Side::Callee => proto::append_callee_item,
        };
        self.outlet.add(&mut |out| append(out, self.id, item));
        Ok(())
    }

    /// Waits until an item can be sent, as far as that is up to the window and to the room in the output.
    fn wait_ready(&self) -> Result<(), StreamError> {
        let waited = self.outgoing.wait_window(self.deadline);
        if waited.is_ok() && self.outlet.wait_for_room(self.deadline) {
            return Ok(());
        }
        // An item is missing from now on: whoever ends the stream later must not make it look whole.
        if self.side == Side::Caller {
            self.end_items(Some(&Failure::new(Failure::DEADLINE, "the caller's time limit passed within its stream")));
        }
        waited.and(Err(StreamError::Over))
    }

    /// Ends the caller's stream; the first end counts. Never suspends.
    pub(crate) fn end_items(&self, failure: Option<&Failure>) {
        if !self.outgoing.close(StreamError::Over) {
            return;
        }
        self.outlet.add(&mut |out| {
            let mut error = Vec::new();
            let error = failure.map(|failure| {
                proto::append_failure(&mut error, failure);
                &*error
            });
            proto::append_caller_end(out, self.id, error);
        });
    }

    /// Waits for the next item and reads it; `None` at the end of the stream.
    ///
    /// Whoever is cancelled here has taken nothing.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StreamError> {
        if self.has_granted.get() {
            self.let_grant_go();
        }
        if !self.incoming.has_next() && !self.wait_item()? {
            return Ok(None);
        }
        let Some(item) = self.incoming.take() else { return Ok(None) };
        // Before the item is read, which may unwind.
        if self.incoming.owes() && self.outlet.has_room() {
            self.give_back();
        }
        Ok(Some(read(&item)))
    }

    /// Lets the writer run, so that the peer goes on while this side reads the half of the window that is left.
    #[cold]
    fn let_grant_go(&self) {
        self.has_granted.set(false);
        yield_now();
    }

    /// As [`read`](Self::read), for whoever knows no type; false at the end of the stream.
    pub(crate) fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        self.read(read).map(|read| read.is_some())
    }

    /// Waits for the next item, which is seldom: they come many at a time; false at the end of the stream.
    /// What is owed is given back before, since the peer may be waiting for it.
    fn wait_item(&self) -> Result<bool, StreamError> {
        // A peer that sends and reads nothing shall not fill the output with grants.
        if self.incoming.owes() && self.outlet.wait_for_room(self.deadline) {
            self.give_back();
        }
        // The wait lets the writer run.
        self.has_granted.set(false);
        self.incoming.wait(self.deadline)
    }

    fn give_back(&self) {
        let Some(bytes) = self.incoming.take_grant() else { return };
        let append = match self.side {
            Side::Caller => proto::append_grant_to_callee,
            Side::Callee => proto::append_grant_to_caller,
        };
        self.outlet.add(&mut |out| append(out, self.id, bytes));
        self.has_granted.set(true);
    }

    /// As [`read_item`](Self::read_item), with a copy of the item.
    pub(crate) fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        let mut bytes = Vec::new();
        let came = self.read_item(&mut |item| bytes = item.to_vec())?;
        Ok(came.then(|| Encoded::from_bytes(bytes)))
    }
}

impl CalleeStreams for Flow {
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        self.send_item(item)
    }

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        self.next_item()
    }

    fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        self.read_item(read)
    }
}
