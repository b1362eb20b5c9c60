//! Endpoints that fail: when they are left out, and how they come back.

use std::io;
use std::rc::Rc;

use grapeshot_core::{now, scope, sleep, spawn, test, with_timeout};
use grapeshot_rpc::balance::{AllEndpointsFailed, Balancer, Endpoint, Standing};
use grapeshot_rpc::{CallError, CallOptions, Caller, Failure, Outcome, Request};

use super::support::*;

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
fn at_most_a_share_of_the_endpoints_is_left_out_and_the_error_says_all_of_them() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::with_options(["a", "b", "c"], round_robin(), world.make());
        ["a", "b", "c"].iter().for_each(|address| world.set(address, Does::Refuses));
        (0..30).for_each(|_| assert!(call(&balancer).is_err()));
        let ejected = ["a", "b", "c"].iter().filter(|address| is_ejected(&balancer, address)).count();
        assert_eq!(ejected, 2);
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
fn an_endpoint_that_fails_at_once_and_may_not_be_left_out_does_not_draw_all_calls_to_itself() {
    test::run(|| {
        let world = World::default();
        // Nobody may be left out, and `a` fails at once where `b` takes a while.
        let options = options(|options| options.ejected_percent = 0);
        let balancer = Balancer::with_options(["a", "b"], options, world.make());
        world.set("a", Does::Refuses);
        world.set("b", Does::AnswersAfter(SECOND / 10));
        scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| drop(call(&balancer))));
            }
        });
        let (failed, answered) = (world.calls("a"), world.calls("b"));
        assert!(failed < answered / 2, "{failed} failed, {answered} answered");
        world.set("a", Does::Answers);
        sleep(SECOND);
        assert!(names(&balancer, 4).contains(&"a".to_owned()), "it is tried again");
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
