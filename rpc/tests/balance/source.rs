//! Endpoints as they are found, come and go.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, scope, sleep, spawn, test, yield_now};
use grapeshot_rpc::balance::{Balancer, Endpoint, EndpointSource, Found, MAX_ENDPOINTS, MAX_FIND_TIME, Standing};
use grapeshot_rpc::{CallError, Outcome};

use super::support::*;

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
fn a_source_that_hangs_is_cut_off_and_asked_again() {
    test::run(|| {
        let told = Told::of(&["a"]);
        let balancer = Balancer::new(told.clone(), World::default().make());
        assert_eq!(call(&balancer).unwrap(), "a");
        told.takes.set(86_400 * SECOND);
        told.tell(&["b"]);
        // Its time is over, and it is asked in vain.
        sleep(61 * SECOND);
        told.takes.set(Duration::ZERO);
        assert_eq!(call(&balancer).unwrap(), "a");
        sleep(MAX_FIND_TIME + 10 * SECOND);
        assert_eq!((call(&balancer).unwrap().as_str(), told.asked.get()), ("b", 3));
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
