//! Calls with streams of items, over a pair in memory and in virtual time: what travels, and how much at a time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod streams_support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{now, scope, sleep, spawn};
use grapeshot_net::memory;
use grapeshot_rpc::balance::Balancer;
use grapeshot_rpc::middleware::{CallerWith as _, Logging};
use grapeshot_rpc::pool::Pool;
use grapeshot_rpc::stream::{CalleeStreaming, CallerStreaming, Items, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Connection, Context, Extensions, Failure, Limits, Request, StreamError,
};
use streams_support::{
    Methods, answer, arithmetic, connect_with, cut_off, nop, open_count, open_double, open_sum, window_of,
};

#[test]
fn the_callee_sends_items_and_then_its_answer() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = open_count(&caller);
        let numbers: Vec<u64> = call.items().map(Result::unwrap).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(call.finish().unwrap(), 100);
    });
}

#[test]
fn callers_in_front_of_a_connection_keep_the_short_way_to_its_items() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let pool = Pool::new({
            let caller = caller.clone();
            move || caller.clone()
        });
        let balancer = Balancer::new(["one:1"], {
            let caller = caller.clone();
            move |_| caller.clone()
        });
        let logged = caller.clone().with(Logging::new(|_| ()));
        let request = Request { method: "count", params: &[0x90], options: &CallOptions::default() };
        let callers: [&dyn Caller; 4] = [&caller, &pool, &balancer, &logged];
        for caller in callers {
            let call = caller.open(&request).unwrap();
            assert!(call.direct_items().is_some());
            assert!(call.next_item().unwrap().is_some());
            assert_eq!(call.finish().unwrap().decode::<u64>().unwrap(), 100);
        }
    });
}

#[test]
fn the_caller_sends_items_and_gets_an_answer_to_them() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = open_sum(&caller);
        (1..=100).for_each(|number| call.send(&number).unwrap());
        assert_eq!(call.finish().unwrap(), 5050);
    });
}

#[test]
fn both_send_in_turns() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = open_double(&caller);
        for number in 0..10 {
            call.send(&number).unwrap();
            assert_eq!(call.recv().unwrap(), Some(2 * number));
        }
        assert_eq!(call.finish().unwrap(), 10);
    });
}

#[test]
fn an_item_is_sent_for_each_that_comes() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = open_double(&caller);
        call.send(&1).unwrap();
        let mut came = Vec::new();
        for number in call.items().map(Result::unwrap).take(5) {
            came.push(number);
            call.send(&number).unwrap();
        }
        assert_eq!(came, [2, 4, 8, 16, 32]);
        assert_eq!(call.finish().unwrap(), 6);
    });
}

#[test]
fn both_send_at_once_from_two_coroutines_through_windows_of_one_item() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(1), arithmetic);
        let (sink, doubled) = open_double(&caller).split();
        scope(|scope| {
            scope.spawn(move || {
                (0..200).for_each(|number| sink.send(&number).unwrap());
                sink.finish();
            });
            let numbers: Vec<u64> = doubled.items().map(Result::unwrap).collect();
            assert_eq!(numbers, (0..200).map(|number| 2 * number).collect::<Vec<_>>());
            assert_eq!(doubled.finish().unwrap(), 200);
        });
    });
}

#[test]
fn every_item_comes_through_a_window_of_one_byte() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(1), arithmetic);
        let call = open_count(&caller);
        assert_eq!(call.items().map(Result::unwrap).sum::<u64>(), 4950);
        assert_eq!(call.finish().unwrap(), 100);
        let call = open_sum(&caller);
        (1..=100).for_each(|number| call.send(&number).unwrap());
        assert_eq!(call.finish().unwrap(), 5050);
    });
}

#[test]
fn a_sender_is_ahead_of_its_reader_by_the_window_and_no_more() {
    test::run(|| {
        let sent = Rc::new(Cell::new(0));
        let (caller, _callee) = connect_with(window_of(10 * 17), {
            let sent = sent.clone();
            move |_, context| {
                let items = Sink::<()>::of(context)?;
                while items.send(&()).is_ok() {
                    sent.set(sent.get() + 1);
                }
                answer(())
            }
        });
        let call = open_count(&caller);
        sleep(Duration::from_secs(1));
        assert_eq!(sent.get(), 10);
        drop(call);
    });
}

#[test]
fn a_slow_reader_holds_up_no_other_call_and_no_other_stream() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(100), arithmetic);
        let slow = open_count(&caller);
        let began = now();
        for _ in 0..100 {
            nop(&caller).unwrap();
        }
        assert_eq!(open_count(&caller).finish().unwrap(), 100);
        assert_eq!(now(), began);
        assert_eq!(slow.items().count(), 100);
    });
}

#[test]
fn a_stream_that_never_waits_holds_up_no_other_call() {
    const CALLS: usize = 10;
    // An answer goes behind the items that wait to be written, which take no more than a MiB.
    const MOST_ITEMS_A_CALL: usize = (1 << 20) / 64;
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(1 << 20), |method, context| match method {
            "nop" => answer(()),
            _ => {
                let items = Sink::<String>::of(context)?;
                while items.send("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_").is_ok() {}
                answer(())
            }
        });
        let call = CalleeStreaming::<String, ()>::open(&caller, "flood", &(), &CallOptions::default()).unwrap();
        let (taken, over) = (Cell::new(0), Cell::new(false));
        scope(|scope| {
            scope.spawn(|| {
                while !over.get() {
                    call.recv().unwrap().unwrap();
                    taken.set(taken.get() + 1);
                }
            });
            for _ in 0..CALLS {
                nop(&caller).unwrap();
            }
            over.set(true);
        });
        assert!((CALLS..CALLS * MOST_ITEMS_A_CALL).contains(&taken.get()), "{} items were taken", taken.get());
    });
}

#[test]
fn items_that_were_not_taken_are_dropped_with_the_answer() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(100), arithmetic);
        let call = open_count(&caller);
        assert_eq!(call.recv().unwrap(), Some(0));
        assert_eq!(call.finish().unwrap(), 100);
    });
}

#[test]
fn items_without_content_come_one_by_one() {
    test::run(|| {
        let (caller, _callee) =
            connect_with(window_of(40), |_, context| answer(Items::<()>::of(context)?.map(Result::unwrap).count()));
        let call = CallerStreaming::<(), u64>::open(&caller, "sum", &(), &CallOptions::default()).unwrap();
        (0..100).for_each(|_| call.send(&()).unwrap());
        assert_eq!(call.finish().unwrap(), 100);
    });
}

#[test]
fn an_item_of_another_type_is_told_and_the_next_ones_follow() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), |_, context| {
            let items = Sink::<String>::of(context)?;
            items.send("one").map_err(cut_off)?;
            Sink::<u64>::of(context)?.send(&2).map_err(cut_off)?;
            answer(2)
        });
        let call = open_count(&caller);
        let items: Vec<_> = call.items().collect();
        assert!(matches!(items[0], Err(StreamError::Malformed(_))));
        assert!(matches!(items[1], Ok(2)));
        assert_eq!(items.len(), 2);
    });
}

#[test]
fn an_item_longer_than_the_peer_takes_is_refused_here_and_the_next_one_goes() {
    test::run(|| {
        let (near, far) = memory::pair();
        let mut small = Limits::default();
        small.frame_bytes = 1000;
        let lengths = |_: &str, context: &Context| {
            answer(Items::<String>::of(context)?.map(|item| item.unwrap().len()).sum::<usize>())
        };
        let _callee = Connection::over(far).limits(small).service(Methods(lengths)).accept().unwrap();
        let caller = Connection::over(near).open().unwrap();
        let call = CallerStreaming::<String, u64>::open(&caller, "sum", &(), &CallOptions::default()).unwrap();
        assert!(matches!(call.send(&*"x".repeat(1000)), Err(StreamError::TooLarge { bytes: 1003, limit: 993 })));
        call.send(&*"x".repeat(990)).unwrap();
        assert_eq!(call.finish().unwrap(), 990);
    });
}

#[test]
fn an_item_longer_than_a_window_goes_through() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(10), |_, context| {
            answer(Items::<String>::of(context)?.map(|item| item.unwrap().len()).sum::<usize>())
        });
        let call = CallerStreaming::<String, u64>::open(&caller, "sum", &(), &CallOptions::default()).unwrap();
        (0..5).for_each(|_| call.send(&*"x".repeat(100_000)).unwrap());
        assert_eq!(call.finish().unwrap(), 500_000);
    });
}

#[test]
fn a_method_that_takes_items_of_a_caller_that_sends_none_sees_the_end() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = CalleeStreaming::<u64, u64>::open(&caller, "sum", &(), &CallOptions::default()).unwrap();
        assert_eq!(call.finish().unwrap(), 0);
    });
}

#[test]
fn a_caller_without_streams_is_told_why_the_method_does_not_run() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let options = CallOptions::default();
        for method in ["count", "sum", "double"] {
            let request = grapeshot_rpc::Request { method, params: &[0x90], options: &options };
            let Err(CallError::Failed(failure)) = caller.exchange(&request) else { panic!("{method} ran") };
            assert_eq!(failure.code, Failure::INVALID_REQUEST);
        }
    });
}

#[test]
fn a_plain_peer_is_sent_no_call_with_streams() {
    test::run(|| {
        let (near, far) = memory::pair();
        let callee = Connection::over(far).extensions(Extensions::Off).service(Methods(arithmetic)).accept().unwrap();
        let caller = Connection::over(near).extensions(Extensions::Off).open().unwrap();
        let refused = CalleeStreaming::<u64, u64>::open(&caller, "count", &(), &CallOptions::default()).unwrap_err();
        let CallError::Refused { reason } = refused else { panic!("{refused}") };
        assert_eq!(reason, "the peer knows no streams");
        nop(&caller).unwrap();
        assert!(callee.wait_idle(None));
    });
}

#[test]
fn more_streams_than_may_be_held_are_not_opened() {
    test::run(|| {
        let mut limits = window_of(1000);
        limits.frame_bytes = 1000;
        limits.in_flight = 2;
        let (near, far) = memory::pair();
        let waits = |_: &str, _: &Context| {
            sleep(Duration::from_secs(1));
            answer(0)
        };
        let _callee = Connection::over(far).service(Methods(waits)).accept().unwrap();
        let caller = Connection::over(near).limits(limits).open().unwrap();
        let calls: Vec<_> = (0..6).map(|_| open_count(&caller)).collect();
        let refused = CalleeStreaming::<u64, u64>::open(&caller, "count", &(), &CallOptions::default());
        assert!(matches!(refused, Err(CallError::Refused { .. })));
        calls.into_iter().for_each(|call| assert_eq!(call.finish().unwrap(), 0));
        assert_eq!(open_count(&caller).finish().unwrap(), 0);
    });
}

#[test]
fn a_callee_streams_from_its_caller_over_the_same_connection() {
    test::run(|| {
        let (near, far) = memory::pair();
        let asks_back = |_: &str, context: &Context| {
            let call = open_count(context.caller().unwrap());
            answer(call.items().map(Result::unwrap).sum::<u64>())
        };
        let _callee = Connection::over(far).limits(window_of(50)).service(Methods(asks_back)).accept().unwrap();
        let near = Connection::over(near).limits(window_of(50)).service(Methods(arithmetic));
        let caller = near.open().unwrap();
        assert_eq!(nop(&caller).unwrap().decode::<u64>().unwrap(), 4950);
    });
}

#[test]
fn many_streams_at_once_do_not_mix_in_any_order_of_turns() {
    (0..20).for_each(|seed| Test::new().seed(seed).run(double_in_many_streams));
}

fn double_in_many_streams() {
    let (caller, _callee) = connect_with(window_of(64), arithmetic);
    scope(|scope| {
        for start in 0..50 {
            let caller = &caller;
            scope.spawn(move || {
                let (sink, doubled) = open_double(caller).split();
                let sender = spawn(move || {
                    (start..start + 40).for_each(|number| sink.send(&number).unwrap());
                    sink.finish();
                });
                let came: Vec<u64> = doubled.items().map(Result::unwrap).collect();
                assert_eq!(came, (start..start + 40).map(|number| 2 * number).collect::<Vec<_>>());
                assert_eq!(doubled.finish().unwrap(), 40);
                sender.join().unwrap();
            });
        }
    });
}

#[test]
fn streams_both_ways_and_calls_go_on_through_pipes_that_are_always_full() {
    test::run(|| {
        let mut limits = window_of(1000);
        limits.unsent_bytes = 100;
        let (near, far) = memory::Builder::new().capacity(64).pair();
        let far = Connection::over(far).limits(limits.clone()).service(Methods(arithmetic)).accept().unwrap();
        let near = Connection::over(near).limits(limits).service(Methods(arithmetic)).open().unwrap();
        scope(|scope| {
            for caller in [&near, &near, &far, &far] {
                scope.spawn(move || {
                    let (sink, doubled) = open_double(caller).split();
                    let sender = spawn(move || {
                        (0..300).for_each(|number| sink.send(&number).unwrap());
                        sink.finish();
                    });
                    assert_eq!(doubled.items().map(Result::unwrap).sum::<u64>(), 299 * 300);
                    assert_eq!(doubled.finish().unwrap(), 300);
                    sender.join().unwrap();
                });
                scope.spawn(move || (0..100).for_each(|_| drop(nop(caller).unwrap())));
            }
        });
    });
}
