//! Calls with streams of items, over a pair in memory and in virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{now, scope, sleep, spawn, with_timeout, yield_now};
use grapeshot_net::memory::{self, Faults};
use grapeshot_rpc::stream::{BothStreaming, CalleeStreaming, CallerStreaming, Items, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Connection, Context, Encoded, Extensions, Failure, Limits, Service, StreamError,
};

/// A service that is a function.
struct Methods<F>(F);

impl<F: Fn(&str, &Context) -> Result<Encoded, Failure>> Service for Methods<F> {
    fn call(&self, method: &str, _: &[u8], context: &Context) -> Result<Encoded, Failure> {
        (self.0)(method, context)
    }
}

fn answer<T: serde::Serialize>(value: T) -> Result<Encoded, Failure> {
    Ok(Encoded::of(&value).unwrap())
}

fn cut_off(error: StreamError) -> Failure {
    match error {
        StreamError::Failed(failure) => Failure::new(failure.code, format!("the caller: {}", failure.message)),
        error => Failure::new(1, error.to_string()),
    }
}

/// `count` sends numbers and answers how many; `sum` adds what comes; `double` does both at once.
fn arithmetic(method: &str, context: &Context) -> Result<Encoded, Failure> {
    match method {
        "count" => {
            let numbers = Sink::<u64>::of(context)?;
            (0..100).try_for_each(|number| numbers.send(&number)).map_err(cut_off)?;
            answer(100)
        }
        "sum" => {
            let numbers: Result<Vec<u64>, StreamError> = Items::of(context)?.collect();
            answer(numbers.map_err(cut_off)?.iter().sum::<u64>())
        }
        "double" => {
            let (numbers, doubled) = (Items::<u64>::of(context)?, Sink::<u64>::of(context)?);
            let mut count = 0_u64;
            for number in numbers {
                doubled.send(&(2 * number.map_err(cut_off)?)).map_err(cut_off)?;
                count += 1;
            }
            answer(count)
        }
        "nop" => answer(()),
        _ => Err(Failure::new(Failure::METHOD_NOT_FOUND, "no such method")),
    }
}

fn window_of(window_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.window_bytes = window_bytes;
    limits
}

/// A caller and a callee of these methods.
fn connect_with(
    limits: Limits,
    methods: impl Fn(&str, &Context) -> Result<Encoded, Failure> + 'static,
) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let callee = Connection::over(far).limits(limits.clone()).service(Methods(methods)).accept().unwrap();
    (Connection::over(near).limits(limits).open().unwrap(), callee)
}

fn open_count(caller: &impl Caller) -> CalleeStreaming<u64, u64> {
    CalleeStreaming::open(caller, "count", &(), &CallOptions::default()).unwrap()
}

fn open_sum(caller: &impl Caller) -> CallerStreaming<u64, u64> {
    CallerStreaming::open(caller, "sum", &(), &CallOptions::default()).unwrap()
}

fn open_double(caller: &impl Caller) -> BothStreaming<u64, u64, u64> {
    BothStreaming::open(caller, "double", &(), &CallOptions::default()).unwrap()
}

fn nop(caller: &impl Caller) -> Result<Encoded, CallError> {
    let options = CallOptions::default();
    caller.exchange(&grapeshot_rpc::Request { method: "nop", params: &[0x90], options: &options })
}

/// Says when it goes.
struct Gone(Rc<Cell<bool>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

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
fn items_that_were_not_taken_are_dropped_with_the_answer() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(100), arithmetic);
        let call = open_count(&caller);
        assert_eq!(call.recv().unwrap(), Some(0));
        assert_eq!(call.finish().unwrap(), 100);
    });
}

#[test]
fn a_caller_that_drops_the_call_cuts_off_the_method() {
    test::run(|| {
        let gone = Rc::new(Cell::new(false));
        let (caller, callee) = connect_with(Limits::default(), {
            let gone = gone.clone();
            move |_, context| {
                let _gone = Gone(gone.clone());
                Sink::<u64>::of(context)?.send(&1).unwrap();
                sleep(Duration::from_secs(10));
                answer(())
            }
        });
        let call = open_count(&caller);
        assert_eq!(call.recv().unwrap(), Some(1));
        let began = now();
        drop(call);
        callee.wait_idle(None);
        assert!(gone.get());
        assert_eq!(now(), began);
    });
}

#[test]
fn a_caller_that_drops_the_call_cuts_off_a_send_that_waits_for_its_window() {
    test::run(|| {
        let (caller, callee) = connect_with(window_of(100), arithmetic);
        let call = open_count(&caller);
        assert_eq!(call.recv().unwrap(), Some(0));
        drop(call);
        assert!(callee.wait_idle(None));
        nop(&caller).unwrap();
    });
}

#[test]
fn a_half_that_sends_and_is_cancelled_is_no_end_of_the_stream() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(100), |_, context| {
            sleep(Duration::from_secs(1));
            let numbers: Result<Vec<u64>, StreamError> = Items::of(context)?.collect();
            answer(numbers.map_err(cut_off)?.len())
        });
        let (sink, answers) = open_double(&caller).split();
        let sender = spawn(move || {
            (0..).try_for_each(|number| sink.send(&number)).unwrap_err();
        });
        yield_now();
        sender.cancel();
        let Err(CallError::Failed(failure)) = answers.finish() else { panic!("the method took it for whole") };
        assert_eq!(
            failure,
            Failure::new(Failure::CANCELLED, "the caller: the caller dropped its stream before the end")
        );
    });
}

#[test]
fn a_receiver_that_is_cancelled_has_taken_nothing() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), |_, context| {
            let numbers = Sink::<u64>::of(context)?;
            for number in 0..10 {
                sleep(Duration::from_secs(1));
                numbers.send(&number).map_err(cut_off)?;
            }
            answer(10)
        });
        let call = open_count(&caller);
        let mut numbers = Vec::new();
        while numbers.len() < 10 {
            // Now and then the item comes at the very moment at which the limit passes.
            if let Ok(number) = with_timeout(Duration::from_millis(500), || call.recv()) {
                numbers.extend(number.unwrap());
            }
        }
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        assert_eq!(call.finish().unwrap(), 10);
    });
}

#[test]
fn a_method_that_fails_ends_its_stream_and_the_call_says_with_what() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), |_, context| {
            Sink::<u64>::of(context)?.send(&1).map_err(cut_off)?;
            Err(Failure::new(42, "out of numbers"))
        });
        let call = open_count(&caller);
        assert_eq!(call.recv().unwrap(), Some(1));
        assert_eq!(call.recv().unwrap(), None);
        let Err(CallError::Failed(failure)) = call.finish() else { panic!("it did not fail") };
        assert_eq!(failure, Failure::new(42, "out of numbers"));
    });
}

#[test]
fn a_caller_that_fails_ends_its_stream_and_the_method_sees_with_what() {
    test::run(|| {
        let (caller, _callee) = connect_with(Limits::default(), arithmetic);
        let call = open_sum(&caller);
        call.send(&1).unwrap();
        let Err(CallError::Failed(failure)) = call.fail(&Failure::new(42, "no more")) else {
            panic!("it did not fail")
        };
        assert_eq!(failure, Failure::new(42, "the caller: no more"));
    });
}

#[test]
fn a_callee_that_answers_early_ends_the_sends() {
    test::run(|| {
        let (caller, _callee) =
            connect_with(window_of(100), |_, context| answer(Items::<u64>::of(context)?.recv().map_err(cut_off)?));
        let call = open_sum(&caller);
        let sent = (7..).try_for_each(|number| call.send(&number));
        assert!(matches!(sent, Err(StreamError::Over)));
        assert_eq!(call.finish().unwrap(), 7);
    });
}

#[test]
fn the_answer_is_there_while_the_other_half_is_in_a_send() {
    test::run(|| {
        let (caller, _callee) = connect_with(window_of(100), |_, context| {
            sleep(Duration::from_secs(1));
            Items::<u64>::of(context)?.recv().map_err(cut_off)?;
            answer(5)
        });
        let (sink, answers) = open_double(&caller).split();
        let sender = spawn(move || (0..).try_for_each(|number| sink.send(&number)));
        assert_eq!(answers.finish().unwrap(), 5);
        assert!(matches!(sender.join().unwrap(), Err(StreamError::Over)));
    });
}

#[test]
fn the_end_of_the_receiving_half_ends_a_send_of_the_other() {
    test::run(|| {
        let (caller, callee) = connect_with(window_of(100), |_, _| {
            sleep(Duration::from_secs(10));
            answer(())
        });
        let began = now();
        let (sink, answers) = open_double(&caller).split();
        let sender = spawn(move || (0..).try_for_each(|number| sink.send(&number)));
        yield_now();
        drop(answers);
        assert!(matches!(sender.join().unwrap(), Err(StreamError::Over)));
        callee.wait_idle(None);
        assert_eq!(now(), began);
    });
}

#[test]
fn a_connection_that_is_lost_ends_the_stream_behind_what_has_come() {
    test::run(|| {
        let gone = Rc::new(Cell::new(false));
        let (caller, callee) = connect_with(Limits::default(), {
            let gone = gone.clone();
            move |_, context| {
                let _gone = Gone(gone.clone());
                let items = Items::<u64>::of(context)?;
                Sink::<u64>::of(context)?.send(&1).map_err(cut_off)?;
                answer(items.count())
            }
        });
        let (sink, answers) = open_double(&caller).split();
        assert_eq!(answers.recv().unwrap(), Some(1));
        callee.close();
        assert!(matches!(answers.recv(), Err(StreamError::Lost(_))));
        assert!(matches!(sink.send(&1), Err(StreamError::Lost(_))));
        assert!(matches!(answers.finish(), Err(CallError::OutcomeUnknown { .. })));
        assert!(gone.get());
    });
}

#[test]
fn wherever_the_connection_breaks_what_came_is_a_beginning_of_what_was_sent() {
    for position in (150..1500).step_by(7) {
        test::run(move || {
            let (near, far) = memory::Builder::new().to_near(Faults::new().reset_at(position)).pair();
            let _callee = Connection::over(far).service(Methods(arithmetic)).accept().unwrap();
            let Ok(caller) = Connection::over(near).open() else { return };
            let Ok(call) = CalleeStreaming::<u64, u64>::open(&caller, "count", &(), &CallOptions::default()) else {
                return;
            };
            let mut came = Vec::new();
            let broke = loop {
                match call.recv() {
                    Ok(Some(number)) => came.push(number),
                    Ok(None) => break false,
                    Err(error) => {
                        assert!(matches!(error, StreamError::Lost(_)), "{error}");
                        break true;
                    }
                }
            };
            assert_eq!(came, (0..came.len() as u64).collect::<Vec<_>>());
            assert_eq!(call.finish().is_err(), broke);
        });
    }
}

#[test]
fn a_deadline_that_passes_ends_the_stream_on_both_sides() {
    test::run(|| {
        let gone = Rc::new(Cell::new(false));
        let (caller, callee) = connect_with(Limits::default(), {
            let gone = gone.clone();
            move |_, _| {
                let _gone = Gone(gone.clone());
                sleep(Duration::from_secs(10));
                answer(())
            }
        });
        let options = CallOptions { timeout: Some(Duration::from_secs(1)), ..CallOptions::default() };
        let call = CalleeStreaming::<u64, u64>::open(&caller, "count", &(), &options).unwrap();
        assert!(matches!(call.recv(), Err(StreamError::Over)));
        assert!(matches!(call.finish(), Err(CallError::TimedOut { sent: true, .. })));
        callee.wait_idle(None);
        assert!(gone.get());
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
fn a_sink_that_outlives_its_method_sends_nothing() {
    test::run(|| {
        let kept: Rc<RefCell<Option<Sink<u64>>>> = Rc::default();
        let (caller, _callee) = connect_with(Limits::default(), {
            let kept = kept.clone();
            move |_, context| {
                kept.replace(Some(Sink::of(context)?));
                answer(0)
            }
        });
        assert_eq!(open_count(&caller).finish().unwrap(), 0);
        let kept = kept.take().unwrap();
        assert!(matches!(kept.send(&1), Err(StreamError::Over)));
        assert!(!caller.is_closed());
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
fn streams_that_are_cut_off_at_any_moment_leave_the_connection_as_it_was() {
    for millis in 0..40 {
        Test::new().seed(millis).run(move || {
            let (near, far) = memory::Builder::new()
                .to_far(Faults::new().seed(millis).delays(Duration::from_millis(1)..Duration::from_millis(5)))
                .to_near(Faults::new().seed(millis + 1).delays(Duration::from_millis(1)..Duration::from_millis(5)))
                .pair();
            let callee = Connection::over(far).limits(window_of(50)).service(Methods(arithmetic)).accept().unwrap();
            let caller = Connection::over(near).limits(window_of(50)).open().unwrap();
            let cut = with_timeout(Duration::from_millis(millis), || {
                let call = open_double(&caller);
                for number in 0.. {
                    call.send(&number).unwrap();
                    assert_eq!(call.recv().unwrap(), Some(2 * number));
                }
            });
            assert!(cut.is_err());
            assert!(callee.wait_idle(Some(now() + Duration::from_secs(1))));
            assert_eq!(open_count(&caller).finish().unwrap(), 100);
            assert_eq!(caller.calls_in_flight(), 0);
        });
    }
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
