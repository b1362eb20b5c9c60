//! Timers in numbers.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    JoinHandle, Reason, Unparked, WaitQueue, now, random_u64, sleep, sleep_until, spawn, stats, with_time_limit,
    with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A build without optimisation takes its time.
const SLEEPERS: u64 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

/// `SCH-5`: whatever the order in which they were set.
#[test]
fn a_million_sleepers_wake_in_the_order_of_their_deadlines() {
    test::run(|| {
        let last = Rc::new(Cell::new(Duration::ZERO));
        let (began, awake) = (now(), Rc::new(Cell::new(0)));
        for _ in 0..SLEEPERS {
            let (last, awake) = (last.clone(), awake.clone());
            let duration = Duration::from_nanos(random_u64() % 10_000_000_000);
            spawn(move || {
                sleep(duration);
                assert_eq!(now() - began, duration);
                assert!(last.replace(duration) <= duration);
                awake.set(awake.get() + 1);
            });
        }
        yield_now();
        assert_eq!(stats().timers as u64, SLEEPERS);
        sleep(10 * SECOND);
        assert_eq!(awake.get(), SLEEPERS);
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_million_cancelled_sleeps_leave_nothing_behind() {
    test::run(|| {
        for _ in 0..SLEEPERS {
            assert!(with_timeout(Duration::from_nanos(random_u64() % 1_000_000), || sleep(SECOND)).is_err());
        }
        assert_eq!(stats().timers, 0);
        with_time_limit(SECOND, |limit| {
            for _ in 0..SLEEPERS {
                assert!(limit.change(SECOND));
            }
            yield_now();
            assert_eq!(stats().timers, 1);
            let other = limit.clone();
            spawn(move || (0..SLEEPERS).for_each(|_| assert!(other.change(SECOND))));
            yield_now();
            assert_eq!(stats().timers, 1);
        })
        .unwrap();
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_limit_that_is_never_reached_costs_a_timer_only_while_its_work_waits() {
    test::run(|| {
        for _ in 0..SLEEPERS {
            with_timeout(SECOND, || assert_eq!(stats().timers, 0)).unwrap();
        }
        for _ in 0..SLEEPERS / 100 {
            with_timeout(SECOND, || {
                yield_now();
                assert_eq!(stats().timers, 1);
            })
            .unwrap();
        }
        assert_eq!(stats().timers, 0);
    });
}

/// `SCH-5`
#[test]
fn thousands_of_sleeps_to_one_instant_end_in_the_order_in_which_they_began() {
    test::run(|| {
        let deadline = now() + SECOND;
        let next = Rc::new(Cell::new(0));
        let handles: Vec<JoinHandle<()>> = (0..10_000)
            .map(|number| {
                let next = next.clone();
                spawn(move || {
                    sleep_until(deadline);
                    assert_eq!(next.replace(number + 1), number);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// `SCH-5`: a timer left from another wait makes no difference.
#[test]
fn sleeps_that_follow_other_waits_end_in_the_order_in_which_they_began() {
    test::run(|| {
        let deadline = now() + 10 * SECOND;
        let gate = Rc::new(WaitQueue::new());
        let (began, ended) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
        let handles: Vec<JoinHandle<()>> = (0..100)
            .map(|number| {
                let (gate, began, ended) = (gate.clone(), began.clone(), ended.clone());
                spawn(move || {
                    if number % 3 == 0 {
                        let limit = now() + SECOND * (1 + number % 7);
                        assert_eq!(gate.wait_until(Reason::Other("the gate"), Some(limit)), Unparked::Woken);
                    }
                    began.borrow_mut().push(number);
                    sleep_until(deadline);
                    ended.borrow_mut().push(number);
                })
            })
            .collect();
        yield_now();
        gate.wake_all();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(began.take(), ended.take());
    });
}

/// Whatever timers are left from earlier waits, which end before their deadlines or have none.
#[test]
fn on_every_schedule_a_wait_ends_exactly_at_its_deadline_unless_it_is_woken_before() {
    support::on_every_schedule(|| {
        let queues: Rc<Vec<WaitQueue>> = Rc::new((0..8).map(|_| WaitQueue::new()).collect());
        let handles: Vec<_> = (0..queues.len())
            .map(|index| {
                let queues = queues.clone();
                spawn(move || {
                    let mut timed_out = 0;
                    for _ in 0..30 {
                        let deadline = (!random_u64().is_multiple_of(4)).then(|| now() + millis(random_u64() % 20));
                        match queues[index].wait_until(Reason::Other("the bell"), deadline) {
                            Unparked::TimedOut => {
                                assert_eq!(Some(now()), deadline);
                                timed_out += 1;
                            }
                            ended => assert!(ended == Unparked::Woken && deadline.is_none_or(|at| now() <= at)),
                        }
                    }
                    timed_out
                })
            })
            .collect();
        while handles.iter().any(|handle| !handle.is_finished()) {
            sleep(millis(random_u64() % 5));
            queues[random_u64() as usize % queues.len()].wake_one();
        }
        let timed_out: i32 = handles.into_iter().map(|handle| handle.join().unwrap()).sum();
        assert!((1..8 * 30).contains(&timed_out));
        assert_eq!(stats().timers, 0);
    });
}

/// No sleep is short, and virtual time is exact.
#[test]
fn on_every_schedule_a_sleep_ends_exactly_on_time() {
    support::on_every_schedule(|| {
        let handles: Vec<_> = (0..20)
            .map(|_| {
                spawn(|| {
                    for _ in 0..5 {
                        let (began, duration) = (now(), Duration::from_nanos(random_u64() % 5_000_000_000));
                        sleep(duration);
                        assert_eq!(now() - began, duration);
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_sleep_by_the_real_clock_is_never_short() {
    Test::new().real_time().run(|| {
        for microseconds in [0, 1, 100, 999, 1500] {
            let (began, duration) = (std::time::Instant::now(), Duration::from_micros(microseconds));
            sleep(duration);
            assert!(began.elapsed() >= duration);
        }
    });
}
