//! The streams of a connection's calls: what they may hold together, and calls of this side that have some.
//!
//! A flow is made with its call and closed with it. The reader of the connection hands it what comes and waits for nobody,
//! so a stream that is not read holds back itself alone.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::exchange::Pending;
use super::output::Output;
use super::shared::Shared;
use crate::caller::{OpenCall, Request};
use crate::error::{CallError, Failure, StreamError};
use crate::limits::Limits;
use crate::proto::{Extension, ItemRun, Message};
use crate::stream::{Budget, DirectItems, Flow, Opening, Outlet, Share, Side};
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

/// The flow of a call that is under way: it is closed when the call ends, whoever still has a part in it.
pub(super) struct OpenFlow(pub(super) Rc<Flow>);

impl Drop for OpenFlow {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    /// Makes a call with streams.
    pub(super) fn open(self: &Rc<Shared>, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        if !self.has_streams() {
            return Err(CallError::Refused { reason: "the peer knows no streams".into() });
        }
        let too_many = || CallError::Refused { reason: "as many streams are open as this side can hold".into() };
        let share = Share::reserve(&self.streams.calls, self.streams.window).ok_or_else(too_many)?;
        let pending = self.begin(request, Some(share.window() as u64))?;
        let opening = Opening {
            side: Side::Caller,
            id: pending.id,
            share,
            window: self.streams.peer_window.get(),
            item_bytes: self.longest_item(),
            deadline: pending.deadline(),
        };
        let flow = Rc::new(Flow::new(opening, self.output.clone()));
        self.calls.set_flow(pending.id, &flow);
        Ok(Box::new(StreamingCall { flow: OpenFlow(flow), pending }))
    }

    /// The flow of a call of the peer, which takes `window` bytes.
    pub(super) fn open_job(&self, id: u32, window: u64) -> Result<OpenFlow, Failure> {
        let too_many = || Failure::new(Failure::BUSY, "as many streams are open as this side can hold");
        let opening = Opening {
            side: Side::Callee,
            id,
            share: Share::reserve(&self.streams.jobs, self.streams.window).ok_or_else(too_many)?,
            window,
            item_bytes: self.longest_item(),
            deadline: None,
        };
        Ok(OpenFlow(Rc::new(Flow::new(opening, self.output.clone()))))
    }

    /// Whether calls with streams can be made and served. What a caller takes travels as metadata.
    pub(super) fn has_streams(&self) -> bool {
        self.has(Extension::Streams) && self.has(Extension::Meta)
    }

    /// Hands items to the stream that they belong to, and says how many bytes their messages take. Never suspends.
    #[inline]
    pub(super) fn take_items(&self, mut run: ItemRun<'_>) -> usize {
        match run.is_from_callee() {
            true => self.calls.with_flow(run.id(), |flow| flow.items(&mut run)),
            false => self.jobs.with_flow(run.id(), |flow| flow.items(&mut run)),
        }
        // Those that belong to none are dropped.
        run.by_ref().for_each(drop);
        run.passed()
    }

    /// Hands an item to the stream that it belongs to. Never suspends.
    pub(super) fn take_item(&self, item: &Message<'_>) {
        match *item {
            Message::CalleeItem { id, item } => self.calls.with_flow(id, |flow| flow.items([item])),
            Message::CallerItem { id, item } => self.jobs.with_flow(id, |flow| flow.items([item])),
            _ => {}
        }
    }

    fn longest_item(&self) -> usize {
        self.longest.get().saturating_sub(ITEM_HEAD_BYTES)
    }
}

/// A call of this side with streams, under way. Dropping it closes the streams, and then cancels the call.
struct StreamingCall {
    flow: OpenFlow,
    pending: Pending,
}

impl Drop for StreamingCall {
    fn drop(&mut self) {
        // Where no cancel goes out, this is all that the callee hears of it.
        if !self.pending.shared.has(Extension::Cancel) {
            self.end_items(Some(&Failure::new(Failure::CANCELLED, "the caller has gone away")));
        }
    }
}

impl StreamingCall {
    fn flow(&self) -> &Flow {
        &self.flow.0
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

    fn direct_items(&self) -> Option<DirectItems> {
        Some(DirectItems::of(&self.flow.0))
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        // The callee may be waiting for its window, which nobody else takes from now on.
        let end = loop {
            match self.flow().read_item(&mut |_| {}) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match end {
            _ if self.pending.shared.calls.is_answered(self.pending.id) => self.pending.wait(),
            Err(StreamError::Malformed(reason)) => Err(CallError::Malformed { reason }),
            Err(StreamError::TooLarge { bytes, limit }) => Err(CallError::TooLarge { bytes, limit, sent: true }),
            Err(StreamError::Over) if self.pending.is_late() => Err(self.pending.timed_out()),
            Ok(()) | Err(_) => self.pending.wait(),
        }
    }
}
