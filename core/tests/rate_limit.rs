//! The limit on how often something happens.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    JoinHandle, RateLimitError, RateLimiter, now, random_u64, sleep, spawn, stats, with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn taker(limiter: &Rc<RateLimiter>, log: &Log, name: &'static str, units: u32) -> JoinHandle<()> {
    let (limiter, log) = (limiter.clone(), log.clone());
    spawn(move || {
        limiter.acquire(units).unwrap();
        log.add(name);
    })
}

#[test]
fn a_burst_passes_at_once_and_then_one_unit_at_a_time() {
    test::run(|| {
        let limiter = RateLimiter::new(5, SECOND);
        let began = now();
        let passed: Vec<_> = (0..8).map(|_| limiter.until_ready().map(|()| (now() - began).as_millis())).collect();
        assert_eq!(passed, [0, 0, 0, 0, 0, 200, 400, 600].map(Ok));
    });
}

#[test]
fn the_bucket_refills_over_time_and_not_beyond_the_burst() {
    test::run(|| {
        let limiter = RateLimiter::new(10, SECOND).burst(4);
        assert_eq!(limiter.available(), 4);
        limiter.acquire(3).unwrap();
        assert_eq!(limiter.available(), 1);
        sleep(250 * MILLISECOND);
        assert_eq!(limiter.available(), 3);
        sleep(10 * SECOND);
        assert_eq!(limiter.available(), 4);
    });
}

/// Three in a second do not divide evenly into nanoseconds.
#[test]
fn a_rate_that_does_not_divide_evenly_does_not_drift() {
    test::run(|| {
        let limiter = RateLimiter::new(3, SECOND).burst(1);
        limiter.until_ready().unwrap();
        let began = now();
        (0..3000).for_each(|_| limiter.until_ready().unwrap());
        assert_eq!(now() - began, 1000 * SECOND);
    });
}

#[test]
fn more_units_than_nanoseconds_may_pass() {
    test::run(|| {
        let limiter = RateLimiter::new(4_000_000_000, SECOND).burst(1);
        let began = now();
        (0..4001).for_each(|_| limiter.until_ready().unwrap());
        assert_eq!(now() - began, Duration::from_micros(1));
    });
}

#[test]
fn waiters_are_served_in_the_order_they_came_whatever_they_ask_for() {
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(1, SECOND).burst(3));
        limiter.acquire(3).unwrap();
        let log = Log::new();
        let began = now();
        let takers = [("a", 3), ("b", 1), ("c", 2)].map(|(name, units)| taker(&limiter, &log, name, units));
        yield_now();
        assert_eq!(limiter.waiting(), 3);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!((log.take(), now() - began), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 6 * SECOND));
        assert_eq!(limiter.waiting(), 0);
    });
}

#[test]
fn an_attempt_does_not_wait_overtakes_nobody_and_says_when_to_come_back() {
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(1, SECOND).burst(2));
        assert_eq!(limiter.try_acquire(2), Ok(()));
        let not_yet = |retry_after| Err(RateLimitError::NotYet { retry_after });
        assert_eq!(limiter.try_acquire(1), not_yet(SECOND));
        let taker = taker(&limiter, &Log::new(), "a", 2);
        yield_now();
        sleep(SECOND);
        // One unit is there, but it is waited for.
        assert_eq!((limiter.available(), limiter.try_acquire(1)), (1, not_yet(2 * SECOND)));
        taker.join().unwrap();
        sleep(SECOND);
        assert_eq!(limiter.try_acquire(1), Ok(()));
    });
}

#[test]
fn more_than_a_burst_is_refused_since_it_would_wait_for_ever() {
    test::run(|| {
        let limiter = RateLimiter::new(1, SECOND).burst(2);
        let error = limiter.acquire(3).unwrap_err();
        assert_eq!(error, RateLimitError::TooMany { asked: 3, burst: 2 });
        assert_eq!(limiter.try_acquire(3), Err(error));
        assert_eq!(error.to_string(), "3 units at once will never be within a rate limit with bursts of 2");
    });
}

#[test]
fn only_the_one_whose_turn_it_is_has_a_timer() {
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(1, SECOND));
        limiter.until_ready().unwrap();
        let takers: Vec<_> = (0..10).map(|_| taker(&limiter, &Log::new(), "one", 1)).collect();
        yield_now();
        assert_eq!(stats().timers, 1);
        takers.iter().for_each(|taker| taker.cancel());
        yield_now();
        assert_eq!((stats().timers, limiter.waiting()), (0, 0));
    });
}

/// "Cancelled, then woken".
#[test]
fn the_turn_of_a_waiter_that_was_cancelled_goes_to_the_next_and_takes_no_units() {
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(1, SECOND));
        limiter.until_ready().unwrap();
        let (log, began) = (Log::new(), now());
        let [first, second, third] = ["a", "b", "c"].map(|name| taker(&limiter, &log, name, 1));
        yield_now();
        first.cancel();
        second.cancel();
        third.join().unwrap();
        assert_eq!((log.take(), now() - began), (vec!["c".to_owned()], SECOND));
    });
}

/// "Woken, then cancelled".
#[test]
fn a_waiter_cancelled_when_its_turn_has_come_passes_it_on() {
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(1, SECOND));
        limiter.until_ready().unwrap();
        let (log, began) = (Log::new(), now());
        let [first, second, third] = ["a", "b", "c"].map(|name| taker(&limiter, &log, name, 1));
        yield_now();
        first.coroutine().wait_finished().unwrap();
        // The turn is the second's already, which has not run since.
        second.cancel();
        third.join().unwrap();
        assert_eq!(log.take(), ["a", "c"]);
        assert_eq!(now() - began, 2 * SECOND);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct AcquireInDrop(Rc<RateLimiter>, Rc<Cell<Option<RateLimitError>>>);
    impl Drop for AcquireInDrop {
        fn drop(&mut self) {
            self.1.set(self.0.acquire(2).err());
        }
    }
    test::run(|| {
        let limiter = Rc::new(RateLimiter::new(2, 10 * SECOND));
        limiter.acquire(2).unwrap();
        let seen = Rc::new(Cell::new(None));
        let acquiring = AcquireInDrop(limiter.clone(), seen.clone());
        let ended = with_timeout(SECOND, move || {
            let _acquiring = acquiring;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!((seen.get(), limiter.waiting()), (Some(RateLimitError::Refused), 0));
    });
}

/// No stretch of time lets more pass than the rate and the burst allow,
/// and nobody is left waiting, whoever is cancelled.
#[test]
fn on_every_schedule_the_rate_is_kept_and_nobody_is_forgotten() {
    support::on_every_schedule(|| {
        const BURST: u32 = 3;
        let limiter = Rc::new(RateLimiter::new(4, SECOND).burst(BURST));
        let passed = Rc::new(RefCell::new(Vec::new()));
        let takers: Vec<_> = (0..10)
            .map(|_| {
                let (limiter, passed) = (limiter.clone(), passed.clone());
                spawn(move || {
                    for _ in 0..3 {
                        let units = 1 + (random_u64() % u64::from(BURST)) as u32;
                        let limit = SECOND * (1 + random_u64() % 8) as u32;
                        match with_timeout(limit, || limiter.acquire(units)) {
                            Ok(taken) => {
                                taken.unwrap();
                                passed.borrow_mut().push((now(), units));
                            }
                            Err(_) => yield_now(),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            sleep(SECOND / 3 * (random_u64() % 4) as u32);
            takers[random_u64() as usize % 10].cancel();
        }
        takers.into_iter().for_each(|taker| drop(taker.join()));
        assert_eq!((limiter.waiting(), stats().timers), (0, 0));
        let passed = passed.take();
        for (start, &(began, _)) in passed.iter().enumerate() {
            let mut units = 0;
            for &(at, more) in &passed[start..] {
                units += more;
                assert!(f64::from(units - BURST.min(units)) <= (at - began).as_secs_f64() * 4.0 + 1e-6);
            }
        }
    });
}
