//! The calls of this side that wait for an answer.
//!
//! ```text
//!   begin ──► waiting ──┬─ answered ──► taken
//!                       └─ given up ──► a late answer is expected, and dropped when it comes
//! ```
//!
//! # Invariants
//!
//! - No id names two calls in flight. It is made of a place in the table and of how often the place was used, and the place
//!   of a call that was given up is kept from use until its answer comes, or a thousand later ones were given up as well:
//!   a late answer is not taken for that of another call.
//! - An answer wakes the one coroutine that waits for it; answers come in any order.
//! - Answers that nobody ever asked for are counted, and a peer is allowed few.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use grapeshot_core::{Reason, Unparked, Unparker, WaitQueue, Withdrawal, park};

use crate::error::{CallError, StreamError};
use crate::stream::Flow;
use crate::value::Encoded;

/// How many answers nobody asked for a peer may send before the connection ends.
const MOST_STRAYS: u32 = 16;

/// As many calls as a connection has at most in flight, whatever its limits say.
const MOST_CALLS: usize = 1 << 15;

/// How many calls that were given up keep their ids, in case their answers come after all.
const MOST_KEPT: usize = 1 << 10;

/// As many places as there can be: more than the two together. The rest of an id says how often its place was used.
const PLACES: u32 = 1 << 16;

pub(super) type Answer = Result<Encoded, CallError>;

/// The table of calls in flight.
pub(super) struct Calls {
    places: RefCell<Places>,
    waiting: Cell<usize>,
    limit: Cell<usize>,
    /// The peer has said that it runs no calls at all.
    peer_runs_none: Cell<bool>,
    freed: WaitQueue,
    /// Calls that were given up so long ago that their ids are used again, and whose answers may yet come.
    forgotten: Cell<u32>,
    strays: Cell<u32>,
}

#[derive(Default)]
struct Places {
    all: Vec<Place>,
    /// The first of the free places, each of which names the next.
    free: Option<u32>,
    /// Calls that were given up, oldest first; those whose answers have come since among them.
    given_up: VecDeque<u32>,
}

impl Places {
    fn at(&mut self, id: u32) -> Option<&mut Place> {
        self.all.get_mut((id % PLACES) as usize).filter(|place| place.id == id)
    }

    /// Lets a place be used again.
    fn release(&mut self, id: u32) {
        let next = self.free.replace(id % PLACES);
        self.all[(id % PLACES) as usize].state = State::Free { next };
    }

    /// Keeps the place of a call from use; says whether another had to be let go of whose answer may yet come.
    fn keep(&mut self, id: u32) -> bool {
        self.all[(id % PLACES) as usize].state = State::GivenUp;
        self.given_up.push_back(id);
        if self.given_up.len() <= MOST_KEPT {
            return false;
        }
        let oldest = self.given_up.pop_front();
        match oldest.filter(|&id| self.at(id).is_some_and(|place| matches!(place.state, State::GivenUp))) {
            Some(oldest) => {
                self.release(oldest);
                true
            }
            None => false,
        }
    }
}

struct Place {
    id: u32,
    state: State,
}

enum State {
    Free {
        next: Option<u32>,
    },
    Waiting(Waiting),
    /// Nobody waits any more.
    GivenUp,
}

/// One call in flight.
struct Waiting {
    /// Where in the output its request begins.
    position: u64,
    unparker: Option<Unparker>,
    answer: Option<Answer>,
    /// Its streams, if it has any.
    flow: Option<Rc<Flow>>,
}

impl Calls {
    pub(super) fn new(limit: usize) -> Calls {
        Calls {
            places: RefCell::default(),
            waiting: Cell::new(0),
            limit: Cell::new(limit.clamp(1, MOST_CALLS)),
            peer_runs_none: Cell::new(false),
            freed: WaitQueue::new(),
            forgotten: Cell::new(0),
            strays: Cell::new(0),
        }
    }

    /// Lowers the limit to what the peer takes. One place stays for the connection's own requests, such as a proof.
    pub(super) fn lower_limit(&self, limit: usize) {
        self.peer_runs_none.set(limit == 0);
        self.limit.set(self.limit.get().min(limit.max(1)));
    }

    /// Whether waiting for a place would be in vain.
    pub(super) fn peer_runs_none(&self) -> bool {
        self.peer_runs_none.get()
    }

    /// How many calls are in flight.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.waiting.get()
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.waiting.get() >= self.limit.get()
    }

    /// Waits until another call may be made, or until `deadline`; says whether one may.
    pub(super) fn wait_for_place(&self, deadline: Option<Instant>) -> bool {
        while self.is_full() {
            let reason = Reason::Other("another call of the connection to end");
            if self.freed.wait_until(reason, deadline) != Unparked::Woken {
                return !self.is_full();
            }
        }
        true
    }

    /// Gives a call its id. Its request has to be appended, or the id given back, before anything else happens.
    pub(super) fn begin(&self) -> u32 {
        self.waiting.set(self.waiting.get() + 1);
        let mut places = self.places.borrow_mut();
        let state = State::Waiting(Waiting { position: 0, unparker: None, answer: None, flow: None });
        if let Some(index) = places.free {
            let place = &mut places.all[index as usize];
            if let State::Free { next } = place.state {
                place.id = place.id.wrapping_add(PLACES);
                place.state = state;
                let id = place.id;
                places.free = next;
                return id;
            }
        }
        let id = places.all.len() as u32;
        places.all.push(Place { id, state });
        id
    }

    /// Notes where in the output the request begins.
    pub(super) fn set_position(&self, id: u32, position: u64) {
        self.with(id, |call| call.position = position);
    }

    /// Gives a call its streams.
    pub(super) fn set_flow(&self, id: u32, flow: &Rc<Flow>) {
        self.with(id, |call| call.flow = Some(flow.clone()));
    }

    /// Whether the answer to a call has come.
    pub(super) fn is_answered(&self, id: u32) -> bool {
        self.with(id, |call| call.answer.is_some()).unwrap_or(false)
    }

    /// Hands something to the streams of a call; what belongs to no call, or to one without streams, is dropped.
    #[inline]
    pub(super) fn with_flow(&self, id: u32, hand_over: impl FnOnce(&Flow)) {
        self.with(id, |call| call.flow.as_deref().map(hand_over));
    }

    fn with<T>(&self, id: u32, f: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
        let mut places = self.places.borrow_mut();
        match &mut places.at(id)?.state {
            State::Waiting(call) => Some(f(call)),
            State::Free { .. } | State::GivenUp => None,
        }
    }

    /// Waits for the answer, or until `deadline`: `None` when it did not come in time.
    #[inline]
    pub(super) fn wait(&self, id: u32, deadline: Option<Instant>) -> Option<Answer> {
        loop {
            if let Some(answer) = self.with(id, |call| call.answer.take()).flatten() {
                return Some(answer);
            }
            let unparked = park(
                Reason::Other("the answer to a call"),
                deadline,
                |unparker| {
                    self.with(id, |call| call.unparker = Some(unparker));
                },
                || {
                    self.with(id, |call| call.unparker = None);
                    Withdrawal::Withdrawn
                },
            );
            match unparked {
                Unparked::Woken => {}
                Unparked::TimedOut => return None,
                Unparked::Refused => return Some(Err(unwinding())),
            }
        }
    }

    /// Hands a call its answer. Never suspends.
    ///
    /// # Errors
    ///
    /// [`Stray`] when the peer has sent too many answers that nobody asked for.
    #[inline]
    pub(super) fn answer(&self, id: u32, answer: impl FnOnce() -> Answer) -> Result<(), Stray> {
        let unparker = self.with(id, |call| {
            // A second answer to the same call changes nothing.
            if call.answer.is_some() {
                return Err(Stray);
            }
            let answer = answer();
            if let Some(flow) = call.flow.take() {
                flow.answered(end_of_items(&answer));
            }
            call.answer = Some(answer);
            Ok(call.unparker.take())
        });
        match unparker {
            Some(Ok(unparker)) => {
                if let Some(unparker) = unparker {
                    // Who is cancelled at this moment gives the call up.
                    let _ = unparker.unpark();
                }
                Ok(())
            }
            Some(Err(Stray)) => self.note_stray(),
            None if self.was_given_up(id) => Ok(()),
            None => self.note_stray(),
        }
    }

    /// Whether an answer is the late one to a call that was given up.
    fn was_given_up(&self, id: u32) -> bool {
        let mut places = self.places.borrow_mut();
        if places.at(id).is_some_and(|place| matches!(place.state, State::GivenUp)) {
            places.release(id);
            return true;
        }
        let forgotten = self.forgotten.get();
        self.forgotten.set(forgotten.saturating_sub(1));
        forgotten > 0
    }

    fn note_stray(&self) -> Result<(), Stray> {
        self.strays.set(self.strays.get() + 1);
        if self.strays.get() > MOST_STRAYS { Err(Stray) } else { Ok(()) }
    }

    /// Forgets a call; says whether no answer to it has come. Never suspends.
    #[inline]
    pub(super) fn end(&self, id: u32, answered: bool) -> bool {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.at(id) else { return false };
        let State::Waiting(call) = std::mem::replace(&mut place.state, State::GivenUp) else { return false };
        let unanswered = !answered && call.answer.is_none();
        if !unanswered {
            places.release(id);
        } else if places.keep(id) {
            self.forgotten.set(self.forgotten.get().saturating_add(1));
        }
        drop(places);
        self.waiting.set(self.waiting.get() - 1);
        self.freed.wake_one();
        unanswered
    }

    /// Ends every call that has no answer yet: `is_unsent` says of a position in the output that nobody saw it.
    pub(super) fn fail_all(&self, cause: &Arc<io::Error>, is_unsent: impl Fn(u64) -> bool) {
        let mut woken = Vec::new();
        for place in &mut self.places.borrow_mut().all {
            let State::Waiting(call) = &mut place.state else { continue };
            if call.answer.is_none() {
                call.answer = Some(Err(match is_unsent(call.position) {
                    true => CallError::NotSent { cause: cause.clone() },
                    false => CallError::OutcomeUnknown { cause: cause.clone() },
                }));
            }
            if let Some(flow) = call.flow.take() {
                flow.lost(StreamError::Lost(cause.clone()));
            }
            woken.extend(call.unparker.take());
        }
        for unparker in woken {
            let _ = unparker.unpark();
        }
        self.freed.wake_all();
    }
}

/// How the items of a call end that has this answer.
fn end_of_items(answer: &Answer) -> Result<(), StreamError> {
    match answer {
        Ok(_) => Ok(()),
        Err(CallError::Failed(failure)) => Err(StreamError::Failed(failure.clone())),
        Err(error) => Err(StreamError::Malformed(error.to_string())),
    }
}

/// An answer that nobody asked for, one more than is allowed.
#[derive(Debug)]
pub(super) struct Stray;

/// What a call fails with that a destructor makes.
pub(super) fn unwinding() -> CallError {
    CallError::Refused { reason: "a coroutine that unwinds cannot wait for an answer".into() }
}

#[cfg(test)]
mod tests {
    use grapeshot_core::test;

    use super::*;

    fn nothing() -> Answer {
        Ok(Encoded::nil())
    }

    #[test]
    fn the_answer_to_a_call_that_was_given_up_is_not_taken_for_that_of_another() {
        test::run(|| {
            let calls = Calls::new(1);
            let given_up = calls.begin();
            assert!(calls.end(given_up, false));
            // As many as it takes for a place that is used every time to come round.
            for _ in 0..=PLACES {
                let id = calls.begin();
                assert_ne!(id, given_up);
                calls.end(id, true);
            }
            let waiting = calls.begin();
            calls.answer(given_up, nothing).unwrap();
            assert!(!calls.is_answered(waiting));
        });
    }

    #[test]
    fn late_answers_are_expected_once_each_and_others_few() {
        test::run(|| {
            let calls = Calls::new(8);
            let late: Vec<u32> = (0..3 * MOST_KEPT as u32)
                .map(|_| {
                    let id = calls.begin();
                    calls.end(id, false);
                    id
                })
                .collect();
            // Few places more than are kept have come into use.
            assert!(calls.places.borrow().all.len() <= MOST_KEPT + 8);
            for &id in &late {
                calls.answer(id, nothing).unwrap();
            }
            for &id in &late[..MOST_STRAYS as usize] {
                calls.answer(id, nothing).unwrap();
            }
            assert!(calls.answer(late[0], nothing).is_err());
        });
    }

    #[test]
    fn ids_in_flight_are_different() {
        test::run(|| {
            let calls = Calls::new(100);
            let mut ids: Vec<u32> = (0..100).map(|_| calls.begin()).collect();
            for &id in ids.iter().step_by(3) {
                calls.end(id, true);
            }
            let again: Vec<u32> = (0..34).map(|_| calls.begin()).collect();
            ids = ids.into_iter().enumerate().filter(|(index, _)| index % 3 != 0).map(|(_, id)| id).collect();
            ids.extend(again);
            ids.sort_unstable();
            ids.dedup();
            assert_eq!((ids.len(), calls.len()), (100, 100));
        });
    }
}
