//! A number runs once, and whoever comes again gets its reply or hears that it is gone.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::replies::{AtMostOnce, BEGIN, ReplyLimits};
use grapeshot_rpc::{Context, Encoded, Failure, Sequence, Service, Value};

const SECOND: Duration = Duration::from_secs(1);
const NO_PARAMS: &[u8] = &[0x90];

/// Counts what it runs, and says how often it ran.
#[derive(Default)]
struct Counter {
    runs: Cell<u64>,
    /// How many methods have come to their end.
    ended: Cell<u64>,
    seen: RefCell<Vec<Context>>,
}

impl Service for Counter {
    fn call(&self, method: &str, _params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        self.runs.set(self.runs.get() + 1);
        self.seen.borrow_mut().push(context.clone());
        let run = self.runs.get();
        match method {
            "bump" => {}
            "slow" => sleep(SECOND * 10),
            "endless" => sleep(SECOND * 86_400),
            "large" => return Ok(Encoded::of(&vec![0_u32; 1000]).unwrap()),
            "busy" => return Err(Failure::new(Failure::BUSY, "not now")),
            "fail" => return Err(Failure::new(7, format!("failed, run {run}"))),
            "panic" => panic!("it was told to"),
            _ => return Err(Failure::new(Failure::METHOD_NOT_FOUND, method)),
        }
        self.ended.set(self.ended.get() + 1);
        Ok(Encoded::of(&run).unwrap())
    }
}

type Shared = Rc<AtMostOnce<Counter>>;

fn service() -> Shared {
    Rc::new(AtMostOnce::new(Counter::default()))
}

fn service_with(change: impl FnOnce(&mut ReplyLimits)) -> Shared {
    let mut limits = ReplyLimits::default();
    change(&mut limits);
    Rc::new(AtMostOnce::with_limits(Counter::default(), limits))
}

fn try_begin(service: &Shared) -> Result<[u8; 16], Failure> {
    let probe = Sequence { client: [0; 16], number: 0, lowest: 0 };
    let reply = service.call(BEGIN, NO_PARAMS, &Context::detached().with_sequence(probe))?;
    match reply.decode::<Value>().unwrap() {
        Value::Binary(id) => Ok(id.try_into().unwrap()),
        other => panic!("no id: {other}"),
    }
}

fn begin(service: &Shared) -> [u8; 16] {
    try_begin(service).unwrap()
}

fn call_from(service: &Shared, method: &str, sequence: Sequence) -> Result<u64, Failure> {
    let reply = service.call(method, NO_PARAMS, &Context::detached().with_sequence(sequence))?;
    Ok(reply.decode().unwrap_or(0))
}

fn call(service: &Shared, method: &str, client: [u8; 16], number: u64) -> Result<u64, Failure> {
    call_from(service, method, Sequence { client, number, lowest: 1 })
}

fn code(result: Result<u64, Failure>) -> i64 {
    result.unwrap_err().code
}

#[test]
fn a_number_that_comes_again_gets_the_same_reply_and_does_not_run() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        assert_eq!(call(&service, "bump", client, 1), Ok(1));
        assert_eq!(call(&service, "bump", client, 2), Ok(2));
        assert_eq!(call(&service, "bump", client, 1), Ok(1));
        assert_eq!(service.inner().runs.get(), 2);
        assert_eq!(service.counts().answered_again, 1);
    });
}

#[test]
fn calls_without_a_number_run_as_often_as_they_come() {
    test::run(|| {
        let service = service();
        for run in 1..=3 {
            let reply = service.call("bump", NO_PARAMS, &Context::detached()).unwrap();
            assert_eq!(reply.decode::<u64>().unwrap(), run);
        }
    });
}

#[test]
fn the_numbers_of_two_clients_are_not_the_same() {
    test::run(|| {
        let service = service();
        let (one, other) = (begin(&service), begin(&service));
        assert_ne!(one, other);
        assert_eq!(call(&service, "bump", one, 1), Ok(1));
        assert_eq!(call(&service, "bump", other, 1), Ok(2));
    });
}

#[test]
fn a_number_that_runs_is_waited_for_even_if_its_first_caller_has_gone() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        let first = spawn({
            let service = service.clone();
            move || call(&service, "slow", client, 1)
        });
        sleep(SECOND);
        first.cancel();
        yield_now();
        let began = now();
        assert_eq!(call(&service, "slow", client, 1), Ok(1));
        assert_eq!(now() - began, SECOND * 9);
        assert_eq!((service.inner().runs.get(), service.counts().joined), (1, 1));
    });
}

#[test]
fn a_caller_whose_time_is_over_leaves_the_method_running() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        let waited = with_timeout(SECOND, || call(&service, "slow", client, 1));
        assert!(waited.is_err());
        assert_eq!(service.counts().running, 1);
        assert!(service.wait_idle(None));
        assert_eq!(service.inner().ended.get(), 1);
        assert_eq!(call(&service, "slow", client, 1), Ok(1));
    });
}

#[test]
fn many_who_wait_for_one_number_all_get_its_reply() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let service = service.clone();
                spawn(move || call(&service, "slow", client, 1))
            })
            .collect();
        assert!(waiting.into_iter().all(|handle| handle.join().unwrap() == Ok(1)));
        assert_eq!(service.inner().runs.get(), 1);
    });
}

#[test]
fn a_failure_is_a_reply() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        let first = call(&service, "fail", client, 1).unwrap_err();
        assert_eq!(first.message, "failed, run 1");
        assert_eq!(call(&service, "fail", client, 1).unwrap_err(), first);
        assert_eq!(service.inner().runs.get(), 1);
    });
}

#[test]
fn a_panic_is_a_reply() {
    test::Test::new().allow_crashes().run(|| {
        let service = service();
        let client = begin(&service);
        assert_eq!(code(call(&service, "panic", client, 1)), Failure::INTERNAL);
        assert_eq!(code(call(&service, "panic", client, 1)), Failure::INTERNAL);
        assert_eq!(service.inner().runs.get(), 1);
    });
}

#[test]
fn a_refusal_is_not_kept_and_the_number_may_run() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        assert_eq!(code(call(&service, "busy", client, 1)), Failure::BUSY);
        assert_eq!(call(&service, "bump", client, 1), Ok(2));
        assert_eq!(call(&service, "bump", client, 1), Ok(2));
    });
}

#[test]
fn a_number_below_the_lowest_wanted_is_not_run() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        call(&service, "bump", client, 1).unwrap();
        call_from(&service, "bump", Sequence { client, number: 5, lowest: 5 }).unwrap();
        assert_eq!(service.counts().replies, 1, "those that are not wanted are let go");
        for number in [0, 1, 2, 4] {
            assert_eq!(code(call(&service, "bump", client, number)), Failure::REPLY_GONE);
        }
        assert_eq!(service.inner().runs.get(), 2);
        // A request that was overtaken tells a lower one, and changes nothing.
        call_from(&service, "bump", Sequence { client, number: 6, lowest: 2 }).unwrap();
        assert_eq!(code(call(&service, "bump", client, 4)), Failure::REPLY_GONE);
    });
}

#[test]
fn a_number_whose_reply_was_dropped_is_not_run_again() {
    test::run(|| {
        let few = service_with(|limits| limits.replies_per_client = 2);
        let small = service_with(|limits| limits.reply_bytes = 1000);
        let client = begin(&few);
        for number in 1..=3 {
            call(&few, "bump", client, number).unwrap();
        }
        assert_eq!(few.counts().replies, 2);
        assert_eq!(code(call(&few, "bump", client, 1)), Failure::REPLY_GONE);
        assert_eq!(call(&few, "bump", client, 3), Ok(3));

        let client = begin(&small);
        call(&small, "large", client, 1).unwrap();
        assert_eq!(code(call(&small, "large", client, 1)), Failure::REPLY_GONE);
        assert_eq!((few.inner().runs.get(), small.inner().runs.get()), (3, 1));
    });
}

/// Makes a call and leaves it at once; the method runs on.
fn call_and_leave(service: &Shared, method: &str, client: [u8; 16], number: u64) {
    assert!(with_timeout(SECOND, || call(service, method, client, number)).is_err());
}

#[test]
fn a_low_number_that_ended_last_keeps_its_reply() {
    test::run(|| {
        let service = service_with(|limits| limits.replies_per_client = 4);
        let client = begin(&service);
        let slow = spawn({
            let service = service.clone();
            move || call(&service, "slow", client, 1)
        });
        sleep(SECOND);
        for number in 2..=9 {
            call(&service, "bump", client, number).unwrap();
        }
        assert_eq!(slow.join().unwrap(), Ok(1));
        assert_eq!(call(&service, "slow", client, 1), Ok(1), "it was the last to end");
        for number in 2..=6 {
            assert_eq!(code(call(&service, "bump", client, number)), Failure::REPLY_GONE);
        }
        assert_eq!(call(&service, "bump", client, 7), Ok(7));
        assert_eq!((service.inner().runs.get(), service.counts().replies), (9, 4));
    });
}

#[test]
fn a_reply_that_nobody_was_there_for_outlives_those_that_were_handed_out() {
    test::run(|| {
        let service = service_with(|limits| limits.replies_per_client = 4);
        let client = begin(&service);
        call_and_leave(&service, "slow", client, 1);
        assert!(service.wait_idle(None));
        for number in 2..=100 {
            call(&service, "bump", client, number).unwrap();
        }
        assert_eq!(call(&service, "slow", client, 1), Ok(1));
        // Now it is one that was handed out, and the one that ended first.
        call(&service, "bump", client, 101).unwrap();
        assert_eq!(code(call(&service, "slow", client, 1)), Failure::REPLY_GONE);
        assert_eq!((service.inner().runs.get(), service.counts().replies), (101, 4));
    });
}

#[test]
fn replies_that_nobody_comes_for_leave_half_of_the_places_to_others() {
    test::run(|| {
        let service = service_with(|limits| limits.replies_per_client = 4);
        let client = begin(&service);
        for number in 1..=6 {
            call_and_leave(&service, "slow", client, number);
            assert!(service.wait_idle(None));
        }
        for number in 7..=8 {
            call(&service, "bump", client, number).unwrap();
        }
        for number in 1..=4 {
            assert_eq!(code(call(&service, "slow", client, number)), Failure::REPLY_GONE);
        }
        for number in 5..=8 {
            assert_eq!(call(&service, "bump", client, number), Ok(number));
        }
        assert_eq!((service.inner().runs.get(), service.counts().replies), (8, 4));
    });
}

#[test]
fn the_oldest_replies_of_all_go_when_their_bytes_are_too_many() {
    test::run(|| {
        let service = service_with(|limits| limits.bytes = 3000);
        let (one, other) = (begin(&service), begin(&service));
        call(&service, "large", one, 1).unwrap();
        call(&service, "large", other, 1).unwrap();
        call(&service, "large", other, 2).unwrap();
        let counts = service.counts();
        assert!(counts.bytes <= 3000, "{counts:?}");
        assert_eq!(counts.replies, 2);
        assert_eq!(code(call(&service, "large", one, 1)), Failure::REPLY_GONE);
        assert!(call(&service, "large", other, 1).is_ok());
        assert_eq!(service.inner().runs.get(), 3);
    });
}

#[test]
fn replies_and_clients_that_are_too_old_go_and_nothing_runs_again() {
    test::run(|| {
        let service = service();
        let (idle, busy) = (begin(&service), begin(&service));
        call(&service, "bump", idle, 1).unwrap();
        for number in 1..=4 {
            call(&service, "bump", busy, number).unwrap();
            sleep(SECOND * 200);
        }
        assert_eq!(code(call(&service, "bump", busy, 1)), Failure::REPLY_GONE);
        assert_eq!(code(call(&service, "bump", idle, 1)), Failure::UNKNOWN_CLIENT);
        assert_eq!(code(call(&service, "bump", idle, 2)), Failure::UNKNOWN_CLIENT);
        assert_eq!(service.counts().clients, 1);
        assert_eq!(service.inner().runs.get(), 5);
    });
}

#[test]
fn what_another_instance_gave_out_is_not_known_and_not_run() {
    test::run(|| {
        let (before, after) = (service(), service());
        let client = begin(&before);
        call(&before, "bump", client, 1).unwrap();
        assert_eq!(code(call(&after, "bump", client, 1)), Failure::UNKNOWN_CLIENT);
        assert_eq!(code(call(&after, "bump", [0; 16], 1)), Failure::UNKNOWN_CLIENT);
        assert_eq!(after.inner().runs.get(), 0);
    });
}

#[test]
fn an_id_is_given_only_to_one_whose_sequences_arrive() {
    test::run(|| {
        let service = service();
        let refused = service.call(BEGIN, NO_PARAMS, &Context::detached()).unwrap_err();
        assert_eq!(refused.code, Failure::INVALID_REQUEST);
        assert_eq!(service.counts().clients, 0);
    });
}

#[test]
fn clients_are_bounded_until_one_has_been_idle() {
    test::run(|| {
        let service = service_with(|limits| limits.clients = 2);
        let first = begin(&service);
        begin(&service);
        assert_eq!(try_begin(&service).unwrap_err().code, Failure::BUSY);
        sleep(SECOND * 500);
        call(&service, "bump", first, 1).unwrap();
        sleep(SECOND * 200);
        begin(&service);
        assert_eq!(call(&service, "bump", first, 1), Ok(1), "the one that was in use is still known");
        assert_eq!(try_begin(&service).unwrap_err().code, Failure::BUSY);
    });
}

#[test]
fn a_client_is_not_forgotten_while_it_has_something_running() {
    test::run(|| {
        let service = service_with(|limits| limits.run_time = SECOND * 10_000);
        let client = begin(&service);
        let _ = with_timeout(SECOND, || call(&service, "endless", client, 1));
        sleep(SECOND * 3000);
        begin(&service);
        assert_eq!(service.counts().clients, 2);
        assert_eq!(code(call(&service, "endless", client, 1)), Failure::DEADLINE);
    });
}

#[test]
fn methods_that_run_are_bounded_and_their_time_too() {
    test::run(|| {
        let service = service_with(|limits| limits.running = 2);
        let client = begin(&service);
        let began = now();
        let running: Vec<_> = (1..=2)
            .map(|number| {
                let service = service.clone();
                spawn(move || call(&service, "endless", client, number))
            })
            .collect();
        yield_now();
        yield_now();
        assert_eq!(code(call(&service, "bump", client, 3)), Failure::BUSY);
        for handle in running {
            assert_eq!(code(handle.join().unwrap()), Failure::DEADLINE);
        }
        assert_eq!(now() - began, SECOND * 60);
        assert_eq!(code(call(&service, "endless", client, 1)), Failure::DEADLINE);
        assert_eq!(call(&service, "bump", client, 3), Ok(3));
        let deadline = service.inner().seen.borrow()[0].deadline();
        assert_eq!(deadline, Some(began + SECOND * 60));
    });
}

#[test]
fn numbers_with_gaps_between_them_are_bounded() {
    test::run(|| {
        let service = service_with(|limits| limits.stretches_per_client = 10);
        let client = begin(&service);
        for number in 1..=10 {
            call(&service, "bump", client, number * 2).unwrap();
        }
        assert_eq!(code(call(&service, "bump", client, 22)), Failure::BUSY);
        // Whoever counts up has one gap for each call under way.
        call_from(&service, "bump", Sequence { client, number: 22, lowest: 22 }).unwrap();
        assert_eq!(service.inner().runs.get(), 11);
    });
}

#[test]
fn dropping_it_cancels_what_runs() {
    test::run(|| {
        let counter = Rc::new(Counter::default());
        let service = AtMostOnce::new(counter.clone());
        let probe = Sequence { client: [0; 16], number: 0, lowest: 0 };
        let reply = service.call(BEGIN, NO_PARAMS, &Context::detached().with_sequence(probe)).unwrap();
        let Ok(Value::Binary(id)) = reply.decode() else { panic!("no id") };
        let sequence = Sequence { client: id.try_into().unwrap(), number: 1, lowest: 1 };
        let context = Context::detached().with_sequence(sequence);
        assert!(with_timeout(SECOND, || service.call("slow", NO_PARAMS, &context)).is_err());
        drop(service);
        sleep(SECOND * 20);
        assert_eq!((counter.runs.get(), counter.ended.get()), (1, 0));
    });
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    test::run(|| {
        let service = service();
        let client = begin(&service);
        for number in 1..=10_000 {
            call_from(&service, "bump", Sequence { client, number, lowest: number }).unwrap();
        }
        let counts = service.counts();
        assert_eq!((counts.clients, counts.replies, counts.running), (1, 1, 0));
        assert!(counts.bytes < 1000);
    });
}
