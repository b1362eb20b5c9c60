//! How streams end: by an answer, a failure, a cancel from either side, a deadline, and the loss of the connection.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod streams_support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{now, sleep, spawn, with_timeout, yield_now};
use grapeshot_net::memory::{self, Faults};
use grapeshot_rpc::stream::{CalleeStreaming, Items, Sink};
use grapeshot_rpc::{CallError, CallOptions, Connection, Failure, Limits, StreamError};
use streams_support::{
    Gone, Methods, answer, arithmetic, connect_with, cut_off, nop, open_count, open_double, open_sum, window_of,
};

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
        let Err(StreamError::Failed(failure)) = call.recv() else { panic!("the stream is whole") };
        assert_eq!(failure, Failure::new(42, "out of numbers"));
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
