//! The streams of a connection's calls: what they may hold together, and calls of this side that have some.
//!
//! A flow is made with its call and closed with it. The reader of the connection hands it what comes and waits for nobody,
//! so a stream that is not read holds back itself alone.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::exchange::Pending;
use super::output::Output;
use crate::caller::OpenCall;
use crate::error::{CallError, Failure, StreamError};
use crate::limits::Limits;
use crate::stream::{Budget, Flow, Opening, Outlet, Share, Side};
use crate::value::Encoded;

/// What the head of a message with an item takes at most: the array, its type, and the call's number.
const ITEM_HEAD_BYTES: usize = 7;

/// What the streams of a connection have in common.
pub(super) struct Streams {
    /// For calls of this side.
    calls: Rc<Budget>,
    /// For calls of the peer.
    jobs: Rc<Budget>,
    window: usize,
    /// What the peer lets callers send to it before it says more.
    peer_window: Cell<u64>,
}

impl Streams {
    pub(super) fn new(limits: &Limits) -> Streams {
        Streams {
            calls: Rc::new(Budget::new(limits)),
            jobs: Rc::new(Budget::new(limits)),
            // Nothing could ever be sent into a window of none.
            window: limits.window_bytes.max(1),
            peer_window: Cell::new(0),
        }
    }

    /// Notes what the peer says of its windows. One that says nothing has none until it grants some.
    pub(super) fn set_peer_window(&self, said: u64) {
        self.peer_window.set(if said == u64::MAX { 0 } else { said });
    }

    /// Reserves a window for a call of this side; `None` when as many streams are open as this side takes.
    pub(super) fn reserve_for_call(&self) -> Option<Share> {
        Share::reserve(&self.calls, self.window)
    }

    /// The flow of a call of this side.
    pub(super) fn of_call(&self, id: u32, share: Share, longest: usize, deadline: Option<Instant>) -> Opening {
        let window = self.peer_window.get();
        Opening { side: Side::Caller, id, share, window, item_bytes: item_bytes(longest), deadline }
    }

    /// The flow of a call of the peer, which takes `window` bytes; `None` when as many streams are open as this side takes.
    pub(super) fn of_job(&self, id: u32, window: u64, longest: usize) -> Option<Opening> {
        let share = Share::reserve(&self.jobs, self.window)?;
        Some(Opening { side: Side::Callee, id, share, window, item_bytes: item_bytes(longest), deadline: None })
    }
}

/// The longest item in a message of so many bytes.
fn item_bytes(longest: usize) -> usize {
    longest.saturating_sub(ITEM_HEAD_BYTES)
}

impl Outlet for Output {
    fn wait_for_room(&self, deadline: Option<Instant>) -> bool {
        !self.is_finishing() && self.wait_for_room(deadline) && !self.is_finishing()
    }

    fn has_room(&self) -> bool {
        !self.is_full() && !self.is_finishing()
    }

    fn add(&self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        if self.is_finishing() {
            return;
        }
        let _ = self.append(|out| {
            write(out);
            Ok::<(), ()>(())
        });
    }
}

/// A call of this side with streams, under way. Dropping it closes the streams, and then cancels the call.
pub(super) struct StreamingCall {
    streams: ClosedOnDrop,
    pending: Pending,
}

struct ClosedOnDrop(Rc<Flow>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl StreamingCall {
    pub(super) fn new(pending: Pending, flow: Rc<Flow>) -> StreamingCall {
        StreamingCall { streams: ClosedOnDrop(flow), pending }
    }

    fn flow(&self) -> &Flow {
        &self.streams.0
    }
}

impl OpenCall for StreamingCall {
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        self.flow().send_item(item)
    }

    fn end_items(&self, failure: Option<&Failure>) {
        self.flow().end_items(failure);
    }

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        self.flow().next_item()
    }

    fn read_item(&self, read: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        self.flow().read_item(read)
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        // The callee may be waiting for its window, which nobody else takes from now on.
        loop {
            match self.flow().read_item(&mut |_| {}) {
                Ok(true) => {}
                Err(StreamError::Malformed(reason)) => return Err(CallError::Malformed { reason }),
                Err(StreamError::TooLarge { bytes, limit }) => {
                    return Err(CallError::TooLarge { bytes, limit, sent: true });
                }
                Ok(false) | Err(_) => return self.pending.wait(),
            }
        }
    }
}
