//! Where calls go, and what is counted of them.

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{scope, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::balance::{Balancer, EndpointState, MAX_KEPT_TEXT, Policy, Standing};
use grapeshot_rpc::{CallOptions, Caller as _, Request, Value};

use super::support::*;

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
            let in_flight = |state: EndpointState| state.in_flight;
            assert_eq!(balancer.endpoints().into_iter().map(in_flight).collect::<Vec<_>>(), [1, 0]);
            assert_eq!(names(&balancer, 5), ["quick"; 5]);
        });
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
fn of_what_an_endpoint_says_a_little_is_kept_and_the_caller_gets_it_all() {
    test::run(|| {
        let world = World::default();
        let balancer = Balancer::new(["a"], world.make());
        world.set("a", Does::Rants);
        let error = call(&balancer).unwrap_err();
        assert_eq!(error.failure().unwrap().message.len(), 2 << 16);
        let kept = balancer.endpoints().remove(0).last_error.unwrap();
        let kept = kept.failure().unwrap();
        assert_eq!((kept.message.as_str(), &kept.data), ("é".repeat(MAX_KEPT_TEXT / 2).as_str(), &Value::Nil));
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
