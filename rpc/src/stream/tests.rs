//! A flow against another one over a wire that holds each message until the test lets it through, and against a model.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::{spawn, test, with_timeout, yield_now};
use proptest::prelude::*;

use super::flow::{Flow, Opening, Outlet, Side};
use super::incoming::ITEM_COST;
use super::{Budget, OVERSHOOT_MESSAGES, Share};
use crate::error::{Failure, StreamError};
use crate::limits::Limits;
use crate::proto::{self, Message};

const CALL: u32 = 7;

/// One direction of a connection.
#[derive(Default)]
struct Wire {
    messages: RefCell<VecDeque<Vec<u8>>>,
    is_full: Cell<bool>,
}

impl Outlet for Wire {
    fn wait_for_room(&self, _: Option<Instant>) -> bool {
        while self.is_full.get() {
            yield_now();
        }
        true
    }

    fn has_room(&self) -> bool {
        !self.is_full.get()
    }

    fn add(&self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut message = Vec::new();
        write(&mut message);
        self.messages.borrow_mut().push_back(message);
    }
}

impl Wire {
    fn len(&self) -> usize {
        self.messages.borrow().len()
    }

    /// Lets the next message through; false when there is none.
    fn deliver(&self, to: &Flow) -> bool {
        let Some(message) = self.messages.borrow_mut().pop_front() else { return false };
        match Message::parse(&message).unwrap() {
            Message::CallerItem { id: CALL, item } | Message::CalleeItem { id: CALL, item } => to.items([item]),
            Message::CallerEnd { id: CALL, error } => {
                to.end(error.map(proto::read_failure));
            }
            Message::GrantToCaller { id: CALL, bytes } | Message::GrantToCallee { id: CALL, bytes } => to.grant(bytes),
            other => panic!("{other:?} is not of this call's streams"),
        }
        true
    }

    fn deliver_all(&self, to: &Flow) {
        while self.deliver(to) {}
    }
}

/// Both ends of a call's streams.
struct Call {
    caller: Rc<Flow>,
    callee: Rc<Flow>,
    to_callee: Rc<Wire>,
    to_caller: Rc<Wire>,
    budget: Rc<Budget>,
}

fn limits(window_bytes: usize) -> Limits {
    Limits { window_bytes, in_flight: 1, frame_bytes: 1000, ..Limits::default() }
}

fn call(window: usize) -> Call {
    let (to_callee, to_caller) = (Rc::new(Wire::default()), Rc::new(Wire::default()));
    let (here, there) = (Rc::new(Budget::new(&limits(window))), Rc::new(Budget::new(&limits(window))));
    Call {
        caller: flow(Side::Caller, &here, window, &to_callee),
        callee: flow(Side::Callee, &there, window, &to_caller),
        to_callee,
        to_caller,
        budget: there,
    }
}

fn flow(side: Side, budget: &Rc<Budget>, window: usize, wire: &Rc<Wire>) -> Rc<Flow> {
    let share = Share::reserve(budget, window).unwrap();
    let opening = Opening { side, id: CALL, share, window: window as u64, item_bytes: 900, deadline: None };
    Rc::new(Flow::new(opening, wire.clone()))
}

/// An item of so many bytes, two at least, that can be told from others.
fn item(number: u8, len: usize) -> Vec<u8> {
    let mut item = vec![0xc4, (len - 2) as u8];
    item.resize(len, number);
    item
}

fn next(flow: &Flow) -> Result<Option<Vec<u8>>, StreamError> {
    let mut item = None;
    flow.read_item(&mut |bytes| item = Some(bytes.to_vec()))?;
    Ok(item)
}

#[test]
fn items_arrive_in_order_and_then_the_end() {
    test::run(|| {
        let call = call(1000);
        for number in 0..3 {
            call.caller.send_item(&item(number, 10)).unwrap();
        }
        call.caller.end_items(None);
        call.to_callee.deliver_all(&call.callee);
        for number in 0..3 {
            assert_eq!(next(&call.callee).unwrap(), Some(item(number, 10)));
        }
        assert!(next(&call.callee).unwrap().is_none());
        assert!(next(&call.callee).unwrap().is_none());
    });
}

#[test]
fn a_whole_item_goes_into_the_last_byte_of_a_window_and_the_next_one_waits() {
    test::run(|| {
        let call = call(10 + ITEM_COST + 1);
        call.callee.send_item(&item(1, 10)).unwrap();
        call.callee.send_item(&item(2, 200)).unwrap();
        with_timeout(Duration::from_secs(1), || call.callee.send_item(&item(3, 2))).unwrap_err();
        call.to_caller.deliver_all(&call.caller);
        assert_eq!(next(&call.caller).unwrap(), Some(item(1, 10)));
        assert_eq!(next(&call.caller).unwrap(), Some(item(2, 200)));
        call.to_callee.deliver_all(&call.callee);
        call.callee.send_item(&item(4, 2)).unwrap();
    });
}

#[test]
fn empty_items_are_bounded_by_the_window_too() {
    test::run(|| {
        let call = call(10 * (1 + ITEM_COST));
        for _ in 0..10 {
            call.caller.send_item(&[0xc0]).unwrap();
        }
        with_timeout(Duration::from_secs(1), || call.caller.send_item(&[0xc0])).unwrap_err();
    });
}

#[test]
fn a_window_is_granted_back_by_halves() {
    test::run(|| {
        let call = call(8 * (10 + ITEM_COST));
        let mut grants = Vec::new();
        for number in 0..8 {
            call.caller.send_item(&item(number, 10)).unwrap();
            call.to_callee.deliver_all(&call.callee);
            next(&call.callee).unwrap();
            grants.push(call.to_caller.len());
        }
        assert_eq!(grants, [0, 0, 0, 1, 1, 1, 1, 2]);
    });
}

#[test]
fn a_grant_is_written_before_the_rest_of_the_window_is_read() {
    test::run(|| {
        let call = call(8 * (10 + ITEM_COST));
        (0..8).for_each(|number| call.callee.items([&*item(number, 10)]));
        let taken = Rc::new(Cell::new(0));
        let reader = spawn({
            let (callee, taken) = (call.callee.clone(), taken.clone());
            move || {
                while taken.get() < 8 {
                    next(&callee).unwrap();
                    taken.set(taken.get() + 1);
                }
            }
        });
        while call.to_caller.len() == 0 {
            yield_now();
        }
        assert_eq!(taken.get(), 4);
        reader.join().unwrap();
    });
}

#[test]
fn others_run_while_much_is_sent_within_a_window() {
    const ITEMS: usize = 1000;
    test::run(|| {
        let call = call(ITEMS * (100 + ITEM_COST));
        let sender = spawn({
            let caller = call.caller.clone();
            move || (0..ITEMS).for_each(|_| caller.send_item(&item(1, 100)).unwrap())
        });
        yield_now();
        let first = call.to_callee.len();
        assert!((1..ITEMS / 20).contains(&first), "{first} were sent at first");
        yield_now();
        let second = call.to_callee.len() - first;
        assert!((first + 1..ITEMS / 2).contains(&second), "{second} were sent then");
        sender.join().unwrap();
        assert_eq!(call.to_callee.len(), ITEMS);
    });
}

#[test]
fn a_grant_waits_for_room_and_the_items_do_not() {
    test::run(|| {
        let call = call(100);
        call.to_caller.is_full.set(true);
        call.callee.items([&*item(1, 90)]);
        assert_eq!(next(&call.callee).unwrap(), Some(item(1, 90)));
        let reader = spawn({
            let callee = call.callee.clone();
            move || next(&callee)
        });
        yield_now();
        assert_eq!(call.to_caller.len(), 0);
        call.to_caller.is_full.set(false);
        yield_now();
        assert_eq!(call.to_caller.len(), 1);
        call.callee.items([&*item(2, 90)]);
        assert_eq!(reader.join().unwrap().unwrap(), Some(item(2, 90)));
    });
}

#[test]
fn nothing_is_granted_for_a_stream_that_has_ended() {
    test::run(|| {
        let call = call(100);
        call.caller.send_item(&item(1, 90)).unwrap();
        call.caller.end_items(None);
        call.to_callee.deliver_all(&call.callee);
        next(&call.callee).unwrap();
        assert_eq!(call.to_caller.len(), 0);
    });
}

#[test]
fn a_receiver_that_is_cancelled_in_the_turn_in_which_an_item_comes_loses_none() {
    for cancels_first in [false, true] {
        test::run(move || {
            let call = call(1000);
            let reader = spawn({
                let callee = call.callee.clone();
                move || next(&callee).map(|item| item.is_some())
            });
            yield_now();
            if cancels_first {
                reader.cancel();
            }
            call.callee.items([&*item(1, 10)]);
            reader.cancel();
            let taken = reader.join().is_ok();
            let left = with_timeout(Duration::from_secs(1), || next(&call.callee)).is_ok();
            assert!(taken != left, "the item was taken: {taken}, and is there: {left}");
        });
    }
}

#[test]
fn a_sender_that_is_cancelled_has_sent_nothing_and_gives_its_turn_to_the_next() {
    test::run(|| {
        let call = call(1);
        call.caller.send_item(&item(1, 10)).unwrap();
        let [first, second] = [2, 3].map(|number| {
            let caller = call.caller.clone();
            let sender = spawn(move || caller.send_item(&item(number, 10)));
            yield_now();
            sender
        });
        call.to_callee.is_full.set(true);
        call.caller.grant(26);
        yield_now();
        first.cancel();
        yield_now();
        call.to_callee.is_full.set(false);
        assert!(first.join().is_err());
        second.join().unwrap().unwrap();
        call.to_callee.deliver_all(&call.callee);
        assert_eq!(next(&call.callee).unwrap(), Some(item(1, 10)));
    });
}

#[test]
fn two_readers_get_each_item_once() {
    test::run(|| {
        let call = call(1000);
        let readers = [0, 1].map(|_| {
            let callee = call.callee.clone();
            let reader = spawn(move || next(&callee).unwrap().unwrap());
            yield_now();
            reader
        });
        call.callee.items([&*item(1, 10)]);
        call.callee.items([&*item(2, 10)]);
        assert_eq!(readers.map(|reader| reader.join().unwrap()), [item(1, 10), item(2, 10)]);
    });
}

#[test]
fn an_item_can_be_read_within_the_reading_of_another() {
    test::run(|| {
        let call = call(1000);
        call.callee.items([&*item(1, 10)]);
        let mut inner = Vec::new();
        call.callee
            .read_item(&mut |outer| {
                for number in 2..4 {
                    call.callee.items([&*item(number, 10)]);
                    inner.push(next(&call.callee).unwrap().unwrap());
                }
                assert_eq!(outer, item(1, 10));
            })
            .unwrap();
        assert_eq!(inner, [item(2, 10), item(3, 10)]);
    });
}

#[test]
fn an_item_beyond_the_window_ends_the_stream_behind_what_came_within_it() {
    test::run(|| {
        let call = call(20);
        call.callee.items([&*item(1, 10)]);
        call.callee.items([&*item(2, 2)]);
        call.callee.items([&*item(3, 2)]);
        assert_eq!(next(&call.callee).unwrap(), Some(item(1, 10)));
        call.callee.items([&*item(4, 2)]);
        let Err(StreamError::Malformed(reason)) = next(&call.callee) else { panic!("the stream goes on") };
        assert_eq!(reason, "an item came for which there was no window");
    });
}

#[test]
fn an_item_after_the_end_of_its_stream_is_an_error() {
    test::run(|| {
        let call = call(1000);
        call.callee.end(None);
        call.callee.items([&*item(1, 10)]);
        assert!(matches!(next(&call.callee), Err(StreamError::Malformed(_))));
    });
}

#[test]
fn a_failure_comes_behind_the_items_that_came_before_it() {
    test::run(|| {
        let call = call(1000);
        call.caller.send_item(&item(1, 10)).unwrap();
        call.caller.end_items(Some(&Failure::new(42, "no more")));
        call.caller.end_items(None);
        call.to_callee.deliver_all(&call.callee);
        assert!(next(&call.callee).unwrap().is_some());
        let Err(StreamError::Failed(failure)) = next(&call.callee) else { panic!("the stream is whole") };
        assert_eq!(failure, Failure::new(42, "no more"));
        assert!(matches!(call.caller.send_item(&item(2, 10)), Err(StreamError::Over)));
    });
}

#[test]
fn a_connection_that_is_lost_ends_every_wait() {
    test::run(|| {
        let call = call(1);
        call.caller.send_item(&item(1, 10)).unwrap();
        let sender = spawn({
            let caller = call.caller.clone();
            move || caller.send_item(&item(2, 10))
        });
        let reader = spawn({
            let caller = call.caller.clone();
            move || next(&caller)
        });
        yield_now();
        call.caller.lost(StreamError::Lost(Arc::new(io::ErrorKind::ConnectionReset.into())));
        assert!(matches!(sender.join().unwrap(), Err(StreamError::Lost(_))));
        assert!(matches!(reader.join().unwrap(), Err(StreamError::Lost(_))));
    });
}

#[test]
fn a_callee_that_has_answered_ends_the_sends_and_leaves_what_has_come() {
    test::run(|| {
        let call = call(100);
        call.caller.items([&*item(1, 10)]);
        call.caller.answered(Ok(()));
        assert!(matches!(call.caller.send_item(&item(1, 10)), Err(StreamError::Over)));
        assert!(next(&call.caller).unwrap().is_some());
        assert!(next(&call.caller).unwrap().is_none());
    });
}

#[test]
fn an_item_longer_than_a_message_may_be_is_refused_and_costs_nothing() {
    test::run(|| {
        let call = call(10);
        let sent = call.caller.send_item(&[0; 901]);
        assert!(matches!(sent, Err(StreamError::TooLarge { bytes: 901, limit: 900 })));
        call.caller.send_item(&item(1, 10)).unwrap();
    });
}

#[test]
fn a_peer_that_grants_without_end_does_not_overflow_the_window() {
    test::run(|| {
        let call = call(10);
        call.caller.grant(u64::MAX);
        call.caller.grant(u64::MAX);
        call.caller.send_item(&item(1, 10)).unwrap();
    });
}

#[test]
fn what_is_held_beyond_the_windows_is_bounded_over_all_streams() {
    test::run(|| {
        let limits = Limits { in_flight: 100, ..limits(10) };
        let budget = Rc::new(Budget::new(&limits));
        let wire = Rc::new(Wire::default());
        let before = budget.left();
        let flows: Vec<_> = (0..50).map(|_| flow(Side::Callee, &budget, 10, &wire)).collect();
        flows.iter().for_each(|flow| flow.items([&[0; 900][..]]));
        let kept: Vec<_> = flows.into_iter().filter(|flow| next(flow).is_ok()).collect();
        // What the other half of the windows leaves counts too.
        let most = (limits.in_flight * 10 + OVERSHOOT_MESSAGES * limits.frame_bytes) / (900 + ITEM_COST);
        assert!((OVERSHOOT_MESSAGES..=most).contains(&kept.len()), "{} long items were kept", kept.len());
        drop(kept);
        assert_eq!(budget.left(), before);
    });
}

#[test]
fn a_stream_for_whose_window_nothing_is_left_is_not_opened() {
    let limits = limits(1000);
    let budget = Rc::new(Budget::new(&limits));
    let shares: Vec<_> = std::iter::from_fn(|| Share::reserve(&budget, 1000)).collect();
    assert_eq!(shares.len(), 1 + OVERSHOOT_MESSAGES);
}

#[test]
fn a_closed_flow_keeps_nothing_and_takes_nothing() {
    test::run(|| {
        let call = call(100);
        let reserved = call.budget.left();
        call.callee.items([&*item(1, 200)]);
        assert!(call.budget.left() < reserved);
        call.callee.close();
        assert_eq!(call.budget.left(), reserved);
        call.callee.items([&*item(2, 10)]);
        assert!(matches!(next(&call.callee), Err(StreamError::Over)));
        assert!(matches!(call.callee.send_item(&item(1, 10)), Err(StreamError::Over)));
    });
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    DeliverItem,
    DeliverGrant,
    Take,
    TakeInVain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (2usize..120).prop_map(Step::Send),
        4 => Just(Step::DeliverItem),
        2 => Just(Step::DeliverGrant),
        4 => Just(Step::Take),
        1 => Just(Step::TakeInVain),
    ]
}

/// What the two ends of one stream are, without windows in halves, buffers and waits.
#[derive(Default)]
struct Model {
    window: i64,
    sent: u8,
    on_the_way: VecDeque<Vec<u8>>,
    arrived: VecDeque<Vec<u8>>,
    owed: i64,
    grants: VecDeque<i64>,
}

fn run_model(window: usize, steps: Vec<Step>) {
    let call = call(window);
    let mut model = Model { window: window as i64, ..Model::default() };
    for step in steps {
        match step {
            Step::Send(len) => {
                let item = item(model.sent, len);
                let sent = with_timeout(Duration::ZERO, || call.caller.send_item(&item));
                assert_eq!(sent.is_ok(), model.window > 0);
                if sent.is_ok() {
                    model.window -= (len + ITEM_COST) as i64;
                    model.sent = model.sent.wrapping_add(1);
                    model.on_the_way.push_back(item);
                }
            }
            Step::DeliverItem => {
                assert_eq!(call.to_callee.deliver(&call.callee), !model.on_the_way.is_empty());
                model.arrived.extend(model.on_the_way.pop_front());
            }
            Step::DeliverGrant => {
                assert_eq!(call.to_caller.deliver(&call.caller), !model.grants.is_empty());
                model.window += model.grants.pop_front().unwrap_or(0);
            }
            Step::Take | Step::TakeInVain => {
                let taken = with_timeout(Duration::ZERO, || next(&call.callee));
                let expected = model.arrived.pop_front();
                assert_eq!(taken.ok().map(Result::unwrap), expected.clone().map(Some));
                model.owed += expected.map_or(0, |item| (item.len() + ITEM_COST) as i64);
                if model.owed > 0 && model.owed >= window as i64 / 2 {
                    model.grants.push_back(std::mem::take(&mut model.owed));
                }
            }
        }
        assert_eq!(call.to_caller.len(), model.grants.len());
        let held: usize = model.arrived.iter().map(|item| item.len() + ITEM_COST).sum();
        assert!(held < window + 120 + ITEM_COST);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flow_does_what_its_model_does(window in 1usize..400, steps in prop::collection::vec(step(), 0..120)) {
        test::run(move || run_model(window, steps));
    }
}
