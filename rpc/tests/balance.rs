//! The balancer over stub callers, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{now, scope, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::balance::{
    AllEndpointsFailed, Balancer, BalancerOptions, Endpoint, EndpointSource, Found, MAX_ENDPOINTS, Policy, Standing,
};
use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, Failure, OpenCall, Outcome, Request, StreamError};

const SECOND: Duration = Duration::from_secs(1);

/// What an endpoint does with its calls.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    AnswersAfter(Duration),
    Refuses,
    Loses,
    Fails(i64),
    Hangs,
}

/// One stub endpoint, seen from both sides.
struct Place {
    does: Cell<Does>,
    calls: Cell<usize>,
    running: Cell<usize>,
    most: Cell<usize>,
}

/// All stub endpoints of a test, by their addresses.
#[derive(Clone, Default)]
struct World {
    places: Rc<RefCell<BTreeMap<String, Rc<Place>>>>,
    made: Rc<Cell<usize>>,
    dropped: Rc<RefCell<Vec<String>>>,
}

impl World {
    fn place(&self, address: &str) -> Rc<Place> {
        let new =
            || Place { does: Cell::new(Does::Answers), calls: Cell::new(0), running: Cell::new(0), most: Cell::new(0) };
        self.places.borrow_mut().entry(address.to_owned()).or_insert_with(|| Rc::new(new())).clone()
    }

    fn make(&self) -> impl Fn(&Endpoint) -> Stub + 'static {
        let world = self.clone();
        move |endpoint| {
            world.made.set(world.made.get() + 1);
            let address = endpoint.address.clone();
            Stub { place: world.place(&address), address, dropped: world.dropped.clone() }
        }
    }

    fn set(&self, address: &str, does: Does) {
        self.place(address).does.set(does);
    }

    fn calls(&self, address: &str) -> usize {
        self.place(address).calls.get()
    }
}

struct Stub {
    address: String,
    place: Rc<Place>,
    dropped: Rc<RefCell<Vec<String>>>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.address.clone());
    }
}

struct Running(Rc<Place>);

impl Running {
    fn at(place: &Rc<Place>) -> Running {
        place.running.set(place.running.get() + 1);
        place.most.set(place.most.get().max(place.running.get()));
        Running(place.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

fn io_error(kind: io::ErrorKind, text: String) -> Arc<io::Error> {
    Arc::new(io::Error::new(kind, text))
}

impl Caller for Stub {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.place.calls.set(self.place.calls.get() + 1);
        let _running = Running::at(&self.place);
        match self.place.does.get() {
            Does::Answers => {}
            Does::AnswersAfter(delay) => sleep(delay),
            Does::Refuses => {
                let cause = io_error(io::ErrorKind::ConnectionRefused, format!("{} refused", self.address));
                return Err(CallError::NotSent { cause });
            }
            Does::Loses => {
                let cause = io_error(io::ErrorKind::ConnectionReset, "reset".to_owned());
                return Err(CallError::OutcomeUnknown { cause });
            }
            Does::Fails(code) => return Err(CallError::Failed(Failure::new(code, "as told"))),
            Does::Hangs => {
                let limit = request.options.timeout.unwrap_or(3600 * SECOND);
                sleep(limit);
                return Err(CallError::TimedOut { limit, sent: true });
            }
        }
        Ok(Encoded::of(&self.address).unwrap())
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.exchange(request).map(drop)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let answer = self.exchange(request)?;
        Ok(Box::new(StubCall { answer, _running: Running::at(&self.place) }))
    }
}

struct StubCall {
    answer: Encoded,
    _running: Running,
}

impl OpenCall for StubCall {
    fn send_item(&self, _: &[u8]) -> Result<(), StreamError> {
        Ok(())
    }

    fn end_items(&self, _: Option<&Failure>) {}

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(None)
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        Ok(self.answer)
    }
}

/// A source that says what the test tells it to.
#[derive(Clone, Default)]
struct Told {
    endpoints: Rc<RefCell<Vec<Endpoint>>>,
    error: Rc<RefCell<Option<String>>>,
    good_for: Rc<Cell<Option<Duration>>>,
    takes: Rc<Cell<Duration>>,
    asked: Rc<Cell<usize>>,
}

impl Told {
    fn of(endpoints: &[&str]) -> Told {
        let told = Told::default();
        told.good_for.set(Some(60 * SECOND));
        told.tell(endpoints);
        told
    }

    fn tell(&self, endpoints: &[&str]) {
        *self.endpoints.borrow_mut() = endpoints.iter().map(|address| Endpoint::new(*address)).collect();
    }
}

impl EndpointSource for Told {
    fn find(&self) -> io::Result<Found> {
        self.asked.set(self.asked.get() + 1);
        sleep(self.takes.get());
        match &*self.error.borrow() {
            Some(error) => Err(io::Error::other(error.clone())),
            None => Ok(Found { endpoints: self.endpoints.borrow().clone(), good_for: self.good_for.get() }),
        }
    }
}

fn options(change: impl FnOnce(&mut BalancerOptions)) -> BalancerOptions {
    let mut options = BalancerOptions::default();
    options.breaker.failures_in_a_row = 3;
    change(&mut options);
    options
}

fn round_robin() -> BalancerOptions {
    options(|options| options.policy = Policy::RoundRobin)
}

fn call<C: Caller>(caller: &C) -> Result<String, CallError> {
    call_within(caller, None)
}

fn call_within<C: Caller>(caller: &C, timeout: Option<Duration>) -> Result<String, CallError> {
    let options = CallOptions { timeout, ..CallOptions::default() };
    let request = Request { method: "name", params: &[0x90], options: &options };
    caller.exchange(&request).map(|answer| answer.decode().unwrap())
}

fn names<C: Caller>(caller: &C, calls: usize) -> Vec<String> {
    (0..calls).map(|_| call(caller).unwrap()).collect()
}

fn standing<C: Caller>(balancer: &Balancer<C>, address: &str) -> Standing {
    balancer.endpoints().into_iter().find(|state| state.endpoint.address == address).unwrap().standing
}

fn is_ejected<C: Caller>(balancer: &Balancer<C>, address: &str) -> bool {
    matches!(standing(balancer, address), Standing::Ejected { .. })
}

#[test]
fn calls_go_round_the_endpoints() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b", "c"], round_robin(), world.make());
        assert_eq!(names(&balancer, 6), ["a", "b", "c", "a", "b", "c"]);
        assert_eq!(world.made.get(), 3);
    });
}

#[test]
fn calls_go_where_the_fewest_are_in_flight() {
    test::run(|| {
        let world = World::default();
        world.set("slow", Does::AnswersAfter(10 * SECOND));
        let balancer = Balancer::new(["slow", "quick"], world.make());
        scope(|scope| {
            scope.spawn(|| call(&balancer).unwrap());
            yield_now();
            sleep(SECOND / 10);
            let in_flight = |state: grapeshot_rpc::balance::EndpointState| state.in_flight;
            assert_eq!(balancer.endpoints().into_iter().map(in_flight).collect::<Vec<_>>(), [1, 0]);
            assert_eq!(names(&balancer, 5), ["quick"; 5]);
        });
    });
}

#[test]
fn a_backup_gets_calls_only_while_no_endpoint_of_the_better_priority_takes_any() {
    test::run(|| {
        let world = World::default();
        let backup = Endpoint { priority: 1, ..Endpoint::new("backup") };
        let source = vec![Endpoint::new("main"), backup];
        let balancer = Balancer::with_options(source, round_robin(), world.make());
        assert_eq!(names(&balancer, 3), ["main"; 3]);
        world.set("main", Does::Refuses);
        (0..3).for_each(|_| assert!(call(&balancer).is_err()));
        assert_eq!(names(&balancer, 3), ["backup"; 3]);
        world.set("main", Does::Answers);
        sleep(2 * SECOND);
        assert_eq!(names(&balancer, 3), ["main"; 3]);
    });
}

#[test]
fn an_endpoint_that_fails_in_a_row_is_left_out_and_comes_back_by_a_probe() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b", "c"], round_robin(), world.make());
        world.set("b", Does::Refuses);
        let failures = (0..9).filter(|_| call(&balancer).is_err()).count();
        assert_eq!(failures, 3);
        assert!(is_ejected(&balancer, "b"));
        assert_eq!(names(&balancer, 4), ["c", "a", "c", "a"]);

        // It still fails: one call finds out, and it is left out for longer.
        sleep(2 * SECOND);
        let failures = (0..9).filter(|_| call(&balancer).is_err()).count();
        assert_eq!(failures, 1);
        sleep(3 * SECOND / 2);
        assert!(is_ejected(&balancer, "b"));

        world.set("b", Does::Answers);
        sleep(SECOND);
        assert_eq!(standing(&balancer, "b"), Standing::Probing);
        let names = names(&balancer, 6);
        assert!(names.iter().filter(|name| *name == "b").count() >= 2, "{names:?}");
        assert_eq!(standing(&balancer, "b"), Standing::Serving);
    });
}

#[test]
fn a_probe_is_one_call_at_a_time() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b"], round_robin(), world.make());
        world.set("b", Does::Refuses);
        (0..6).for_each(|_| drop(call(&balancer)));
        assert!(is_ejected(&balancer, "b"));
        world.set("b", Does::AnswersAfter(SECOND));
        let before = world.calls("b");
        sleep(2 * SECOND);
        scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| call(&balancer).unwrap());
            }
            sleep(SECOND / 2);
            assert_eq!(world.calls("b") - before, 1);
        });
        assert_eq!(standing(&balancer, "b"), Standing::Serving);
    });
}

#[test]
fn at_most_half_of_the_endpoints_are_left_out_and_the_error_says_all_of_them() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b", "c"], round_robin(), world.make());
        ["a", "b", "c"].iter().for_each(|address| world.set(address, Does::Refuses));
        (0..30).for_each(|_| assert!(call(&balancer).is_err()));
        let ejected = ["a", "b", "c"].iter().filter(|address| is_ejected(&balancer, address)).count();
        assert_eq!(ejected, 1);
        let error = call(&balancer).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun);
        let CallError::NotSent { cause } = &error else { panic!("{error}") };
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
        let all: &AllEndpointsFailed = cause.get_ref().unwrap().downcast_ref().unwrap();
        assert_eq!(all.failures().len(), 3);
        assert_eq!(
            error.to_string(),
            "the call was not sent: all 3 endpoints fail: a: a refused; b: b refused; c: c refused"
        );
    });
}

#[test]
fn a_breaker_of_one_endpoint_refuses_at_once_and_says_why() {
    test::run(|| {
        let world = World::default();
        let options = options(|options| options.ejected_percent = 100);
        let balancer = Balancer::with_options(["a"], options, world.make());
        world.set("a", Does::Loses);
        (0..3).for_each(|_| assert!(call(&balancer).is_err()));
        let error = call(&balancer).unwrap_err();
        assert!(matches!(error, CallError::Refused { .. }));
        assert!(error.to_string().contains("no endpoint takes calls: a: ejected for 1."), "{error}");
        assert_eq!(world.calls("a"), 3);
    });
}

#[test]
fn a_method_that_fails_is_no_fault_of_its_endpoint() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b"], round_robin(), world.make());
        for code in [7, Failure::METHOD_NOT_FOUND, Failure::BUSY] {
            world.set("a", Does::Fails(code));
            (0..20).for_each(|_| drop(call(&balancer)));
            assert_eq!(standing(&balancer, "a"), Standing::Serving, "code {code}");
        }
        world.set("a", Does::Fails(Failure::UNAVAILABLE));
        (0..6).for_each(|_| drop(call(&balancer)));
        assert!(is_ejected(&balancer, "a"));
    });
}

#[test]
fn an_endpoint_that_never_answers_is_left_out_also_when_the_limit_is_around_the_call() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b"], round_robin(), world.make());
        world.set("a", Does::Hangs);
        let cut_off = (0..6).filter(|_| with_timeout(SECOND, || call(&balancer)).is_err()).count();
        assert_eq!(cut_off, 3);
        assert!(is_ejected(&balancer, "a"));
        assert_eq!(balancer.endpoints()[0].in_flight, 0);
    });
}

#[test]
fn a_caller_that_changes_its_mind_tells_nothing_of_the_endpoint() {
    test::run(|| {
        let world = World::default();
        let balancer = Rc::new(Balancer::with_options(["a", "b"], round_robin(), world.make()));
        ["a", "b"].iter().for_each(|address| world.set(address, Does::Hangs));
        for _ in 0..10 {
            let balancer = balancer.clone();
            let caller = spawn(move || with_timeout(10 * SECOND, || call(&balancer)));
            sleep(SECOND / 10);
            caller.cancel();
            assert!(caller.join().is_err());
        }
        let states = balancer.endpoints();
        assert!(states.iter().all(|state| state.in_flight == 0 && state.failures == 0 && state.calls == 5));
    });
}

#[test]
fn a_flapping_endpoint_is_left_out_for_longer_each_time() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b"], round_robin(), world.make());
        let mut left_out = Vec::new();
        for _ in 0..4 {
            world.set("a", Does::Loses);
            while !is_ejected_if_known(&balancer, "a") {
                let _ = call(&balancer);
            }
            world.set("a", Does::Answers);
            let began = now();
            let before = world.calls("a");
            while world.calls("a") == before {
                sleep(SECOND / 100);
                call(&balancer).unwrap();
            }
            left_out.push((now() - began).as_secs_f64());
        }
        for (seconds, at_least) in left_out.iter().zip([1.0, 2.0, 4.0, 8.0]) {
            assert!((at_least..=at_least * 1.1 + 0.05).contains(seconds), "{left_out:?}");
        }
    });
}

fn is_ejected_if_known<C: Caller>(balancer: &Balancer<C>, address: &str) -> bool {
    balancer
        .endpoints()
        .iter()
        .any(|state| state.endpoint.address == address && matches!(state.standing, Standing::Ejected { .. }))
}

#[test]
fn endpoints_come_and_go_while_calls_in_flight_finish() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a", "b"]);
        let balancer = Rc::new(Balancer::with_options(told.clone(), round_robin(), world.make()));
        world.set("a", Does::AnswersAfter(100 * SECOND));
        let slow = spawn({
            let balancer = balancer.clone();
            move || call(&balancer)
        });
        sleep(SECOND);
        told.tell(&["b", "c"]);
        sleep(60 * SECOND);
        assert_eq!(names(&*balancer, 4), ["b", "c", "b", "c"]);
        assert_eq!(standing(&balancer, "a"), Standing::Leaving);
        assert!(world.dropped.borrow().is_empty());
        assert_eq!(slow.join().unwrap().unwrap(), "a");
        assert_eq!(*world.dropped.borrow(), ["a"]);
        assert_eq!(balancer.endpoints().len(), 2);
        assert_eq!(world.made.get(), 3, "b was kept");
    });
}

#[test]
fn an_endpoint_that_returns_before_it_has_left_is_the_same_one() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a", "b"]);
        let balancer = Rc::new(Balancer::with_options(told.clone(), round_robin(), world.make()));
        world.set("a", Does::AnswersAfter(200 * SECOND));
        let slow = spawn({
            let balancer = balancer.clone();
            move || call(&balancer)
        });
        sleep(SECOND);
        told.tell(&["b"]);
        sleep(60 * SECOND);
        told.tell(&["a", "b"]);
        sleep(60 * SECOND);
        assert_eq!(standing(&balancer, "a"), Standing::Serving);
        assert_eq!(balancer.endpoints()[0].in_flight, 1);
        assert_eq!(world.made.get(), 2);
        slow.join().unwrap().unwrap();
    });
}

#[test]
fn weights_that_change_count_from_then_on() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a", "b"]);
        let balancer = Balancer::with_options(told.clone(), round_robin(), world.make());
        assert_eq!(names(&balancer, 2), ["a", "b"]);
        told.endpoints.borrow_mut()[0].weight = 3;
        sleep(61 * SECOND);
        let calls = names(&balancer, 40);
        assert_eq!(calls.iter().filter(|name| *name == "a").count(), 30);
        assert_eq!(world.made.get(), 2);
    });
}

#[test]
fn the_first_calls_wait_for_the_source_and_ask_it_once() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a"]);
        told.takes.set(2 * SECOND);
        let balancer = Balancer::new(told.clone(), world.make());
        scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| call(&balancer).unwrap());
            }
            let began = now();
            let limited = call_within(&balancer, Some(SECOND));
            assert!(matches!(limited, Err(CallError::TimedOut { limit: SECOND, sent: false })));
            assert_eq!(now() - began, SECOND);
        });
        assert_eq!((told.asked.get(), world.calls("a")), (1, 5));
    });
}

#[test]
fn what_is_left_of_a_limit_after_waiting_for_the_source_is_what_the_call_has() {
    test::run(|| {
        let world = World::default();
        world.set("a", Does::Hangs);
        let told = Told::of(&["a"]);
        told.takes.set(2 * SECOND);
        let balancer = Balancer::new(told, world.make());
        let began = now();
        let error = call_within(&balancer, Some(5 * SECOND)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit, sent: true } if limit == 5 * SECOND));
        assert_eq!(now() - began, 5 * SECOND);
    });
}

#[test]
fn a_source_that_fails_at_first_is_named_at_once_and_asked_again() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a"]);
        *told.error.borrow_mut() = Some("no name server".to_owned());
        let balancer = Balancer::new(told.clone(), world.make());
        for _ in 0..3 {
            let began = now();
            let error = call(&balancer).unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotRun);
            assert!(error.to_string().contains("the endpoints cannot be found: no name server"), "{error}");
            assert_eq!(now(), began);
        }
        assert_eq!(told.asked.get(), 1);
        *told.error.borrow_mut() = None;
        sleep(SECOND * 11 / 10);
        assert_eq!(call(&balancer).unwrap(), "a");
    });
}

#[test]
fn what_was_found_stays_while_the_source_fails() {
    test::run(|| {
        let world = World::default();
        let told = Told::of(&["a"]);
        let balancer = Balancer::new(told.clone(), world.make());
        call(&balancer).unwrap();
        *told.error.borrow_mut() = Some("no name server".to_owned());
        sleep(3600 * SECOND);
        assert_eq!(call(&balancer).unwrap(), "a");
        // One to thirty seconds apart, and never a flood.
        assert!((100..2000).contains(&told.asked.get()), "{}", told.asked.get());
    });
}

#[test]
fn a_source_that_finds_nothing_is_believed() {
    test::run(|| {
        let told = Told::of(&[]);
        let balancer = Balancer::new(told.clone(), World::default().make());
        let error = call(&balancer).unwrap_err();
        assert_eq!(error.to_string(), "the call was not sent: there are no endpoints");
        told.tell(&["a"]);
        sleep(SECOND * 11 / 10);
        assert_eq!(call(&balancer).unwrap(), "a", "the call that found nobody had the source asked again");
    });
}

/// Panics when it is asked for these times.
struct Panics(&'static [usize], Cell<usize>);

impl EndpointSource for Panics {
    fn find(&self) -> io::Result<Found> {
        let time = self.1.replace(self.1.get() + 1);
        assert!(!self.0.contains(&time), "no good");
        Ok(Found { endpoints: vec![Endpoint::new(time.to_string())], good_for: Some(10 * SECOND) })
    }
}

#[test]
fn a_source_that_panics_fails_the_calls_that_wait_and_is_asked_by_the_next() {
    test::Test::new().allow_crashes().run(|| {
        let balancer = Balancer::new(Panics(&[0], Cell::new(0)), World::default().make());
        assert_eq!(call(&balancer).unwrap_err().outcome(), Outcome::NotRun);
        assert_eq!(call(&balancer).unwrap(), "1");
    });
}

#[test]
fn a_source_that_panics_later_takes_nothing_away_and_is_asked_by_the_next() {
    test::Test::new().allow_crashes().run(|| {
        let balancer = Balancer::new(Panics(&[1], Cell::new(0)), World::default().make());
        assert_eq!(call(&balancer).unwrap(), "0");
        sleep(11 * SECOND);
        assert_eq!(call(&balancer).unwrap(), "0");
        yield_now();
        assert_eq!(call(&balancer).unwrap(), "2");
    });
}

#[test]
fn a_call_that_reaches_nobody_has_the_source_asked_but_not_more_than_once_a_second() {
    test::run(|| {
        let world = World::default();
        world.set("a", Does::Refuses);
        let told = Told::of(&["a"]);
        let balancer = Balancer::new(told.clone(), world.make());
        for _ in 0..100 {
            assert!(call(&balancer).is_err());
            sleep(SECOND / 10);
        }
        assert!((9..=11).contains(&told.asked.get()), "{}", told.asked.get());
    });
}

#[test]
fn a_list_is_asked_once() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::new(["a", "a", "b"], world.make());
        assert_eq!(names(&balancer, 2).len(), 2);
        sleep(86_400 * SECOND);
        assert_eq!(world.made.get(), 2, "two endpoints with one address are one");
        // No coroutine is left, either: the test's end would say so.
    });
}

#[test]
fn endpoints_beyond_the_limit_are_left_out_by_priority() {
    test::run(|| {
        let world = World::default();
        let all =
            (0..MAX_ENDPOINTS as u16 + 10).map(|n| Endpoint { priority: 9 - n % 10, ..Endpoint::new(n.to_string()) });
        let balancer = Balancer::new(all.collect::<Vec<_>>(), world.make());
        call(&balancer).unwrap();
        let states = balancer.endpoints();
        assert_eq!(states.len(), MAX_ENDPOINTS);
        assert!(states.iter().filter(|state| state.endpoint.priority == 9).count() < 20);
    });
}

#[test]
fn a_call_with_streams_counts_until_it_is_over() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::new(["a", "b"], world.make());
        let options = CallOptions::default();
        let request = Request { method: "name", params: &[0x90], options: &options };
        let open = balancer.open(&request).unwrap();
        let dropped = balancer.open(&request).unwrap();
        let in_flight = || balancer.endpoints().iter().map(|state| state.in_flight).sum::<usize>();
        assert_eq!(in_flight(), 2);
        drop(dropped);
        assert_eq!(in_flight(), 1);
        assert_eq!(open.finish().unwrap().decode::<String>().unwrap(), "a");
        assert_eq!(in_flight(), 0);
    });
}

#[test]
fn a_notification_that_was_sent_tells_nothing_and_one_that_was_not_does() {
    test::run(|| {
        let world = World::default();
        let options = options(|options| options.ejected_percent = 100);
        let balancer = Balancer::with_options(["a"], options, world.make());
        let options = CallOptions::default();
        let request = Request { method: "name", params: &[0x90], options: &options };
        balancer.tell(&request).unwrap();
        world.set("a", Does::Refuses);
        (0..3).for_each(|_| assert!(balancer.tell(&request).is_err()));
        assert!(is_ejected(&balancer, "a"));
    });
}

#[test]
fn states_show_what_is_known() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b"], round_robin(), world.make());
        assert!(balancer.endpoints().is_empty());
        world.set("a", Does::AnswersAfter(SECOND / 4));
        world.set("b", Does::Refuses);
        (0..4).for_each(|_| drop(call(&balancer)));
        let [a, b] = &balancer.endpoints()[..] else { panic!("two endpoints") };
        assert_eq!((a.calls, a.failures, a.latency), (2, 0, Some(SECOND / 4)));
        assert_eq!((b.calls, b.failures, b.failures_in_a_row, b.latency), (2, 2, 2, None));
        assert_eq!(a.to_string(), "a: serving, 0 in flight, 2 calls, 0 failures, 250.0ms on average");
        assert!(b.to_string().ends_with("last: the call was not sent: b refused"), "{b}");
    });
}

#[test]
fn on_every_schedule_no_call_is_lost_and_no_count_is_left() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        test::Test::new().seed(seed).run(move || {
            let world = World::default();
            let told = Told::of(&["a", "b", "c"]);
            told.good_for.set(Some(2 * SECOND));
            let policy = [Policy::RoundRobin, Policy::LeastLoaded, Policy::PowerOfTwo][seed as usize % 3];
            let options = options(|options| options.policy = policy);
            let balancer = Rc::new(Balancer::with_options(told.clone(), options, world.make()));
            let random = |below: u64| grapeshot_core::random_u64() % below;
            let callers: Vec<_> = (0..20)
                .map(|_| {
                    let balancer = balancer.clone();
                    spawn(move || {
                        for _ in 0..20 {
                            sleep(Duration::from_millis(random(300)));
                            let _ = with_timeout(Duration::from_millis(random(2000)), || call(&balancer));
                        }
                    })
                })
                .collect();
            for _ in 0..40 {
                sleep(Duration::from_millis(random(500)));
                let does = [Does::Answers, Does::AnswersAfter(SECOND / 5), Does::Refuses, Does::Loses, Does::Hangs];
                world.set(["a", "b", "c", "d"][random(4) as usize], does[random(5) as usize]);
                told.tell([&["a", "b", "c"][..], &["b", "d"], &["a"], &["a", "b", "c", "d"]][random(4) as usize]);
                if random(4) == 0 {
                    callers[random(20) as usize].cancel();
                }
            }
            callers.into_iter().for_each(|caller| drop(caller.join()));
            let states = balancer.endpoints();
            assert!(states.iter().all(|state| state.in_flight == 0), "{states:?}");
            assert!(world.places.borrow().values().all(|place| place.running.get() == 0));
            // All work again, so all come back.
            told.tell(&["a", "b", "c"]);
            ["a", "b", "c"].iter().for_each(|address| world.set(address, Does::Answers));
            sleep(90 * SECOND);
            (0..50).for_each(|_| drop(call(&*balancer).unwrap()));
            assert!(balancer.endpoints().iter().all(|state| state.standing == Standing::Serving));
        });
    }
}
