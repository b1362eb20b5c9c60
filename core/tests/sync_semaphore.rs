//! The semaphore whose units are taken some at a time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{Semaphore, WaitError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinError, JoinHandle, now, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Spawns a coroutine that logs its name once it has its units, and then lets others run while it has them.
fn taker(semaphore: &Rc<Semaphore>, log: &Log, name: &'static str, units: usize) -> JoinHandle<()> {
    let (semaphore, log) = (semaphore.clone(), log.clone());
    spawn(move || {
        let permit = semaphore.acquire(units);
        assert_eq!(permit.units(), units);
        log.add(name);
        yield_now();
    })
}

fn semaphore_and_log(units: usize) -> (Rc<Semaphore>, Log) {
    (Rc::new(Semaphore::new(units)), Log::new())
}

/// `SYN-2`: `.avail`.
#[test]
fn units_are_taken_and_given_back() {
    test::run(|| {
        let semaphore = Semaphore::new(5);
        let three = semaphore.acquire(3);
        assert_eq!(semaphore.available(), 2);
        assert!(semaphore.try_acquire(3).is_none());
        let two = semaphore.try_acquire(2).unwrap();
        assert_eq!(semaphore.available(), 0);
        drop(semaphore.acquire(0));
        drop(three);
        assert_eq!(format!("{semaphore:?}"), "Semaphore(3 available, 0 waiting)");
        drop(two);
        assert_eq!(semaphore.available(), 5);
        assert_eq!(stats().passes, 1);
    });
}

#[test]
fn forgotten_units_come_back_by_a_release() {
    test::run(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        semaphore.acquire(1).forget();
        semaphore.acquire_owned(1).forget();
        assert_eq!(semaphore.available(), 0);
        semaphore.release(2);
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn an_owned_permit_goes_where_its_owner_goes() {
    test::run(|| {
        let semaphore = Rc::new(Semaphore::new(1));
        let permit = semaphore.try_acquire_owned(1).unwrap();
        assert!(semaphore.try_acquire_owned(1).is_none());
        let holder = spawn(move || {
            sleep(SECOND);
            assert_eq!(permit.units(), 1);
        });
        let began = now();
        drop(semaphore.acquire_owned(1));
        assert_eq!(now() - began, SECOND);
        holder.join().unwrap();
    });
}

/// `SYN-2`: a release wakes from the head while requests fit, and stops at the first that does not.
#[test]
fn nobody_in_line_passes_one_who_asks_for_more() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(0);
        let takers = [("one", 1), ("three", 3), ("two", 2)].map(|(name, units)| taker(&semaphore, &log, name, units));
        yield_now();
        semaphore.release(1);
        semaphore.release(0);
        assert_eq!((semaphore.available(), semaphore.waiters()), (0, 2));
        sleep(SECOND);
        assert_eq!(log.take(), ["one"]);
        semaphore.release(1);
        sleep(SECOND);
        assert_eq!((log.take().len(), semaphore.available()), (0, 2), "there are enough for two, but three is first");
        semaphore.release(1);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(log.take(), ["three", "two"]);
        assert_eq!(semaphore.available(), 3);
    });
}

/// `SYN-2`: a new acquirer may take units ahead of the queue.
#[test]
fn a_newcomer_takes_what_the_first_in_line_cannot_use() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(2);
        let three = taker(&semaphore, &log, "three", 3);
        yield_now();
        drop(semaphore.acquire(2));
        assert_eq!(log.take().len(), 0);
        semaphore.release(1);
        three.join().unwrap();
    });
}

/// `SYN-2`: what has been given to a waiter is its own before it runs.
#[test]
fn a_newcomer_does_not_take_what_was_given_to_a_waiter() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(0);
        let waiter = taker(&semaphore, &log, "waiter", 1);
        yield_now();
        semaphore.release(1);
        assert!(semaphore.try_acquire(1).is_none());
        waiter.join().unwrap();
        assert_eq!(log.take(), ["waiter"]);
    });
}

/// `SYN-2`, DESIGN §4, cancelled and then woken: the units pass over all that were cancelled, for one and for many.
#[test]
fn units_pass_over_waiters_that_have_been_cancelled() {
    for units in [1, 5] {
        test::run(move || {
            let (semaphore, log) = semaphore_and_log(0);
            let takers = ["a", "b", "c", "d", "e"].map(|name| taker(&semaphore, &log, name, units));
            let last = taker(&semaphore, &log, "last", units);
            yield_now();
            takers.iter().for_each(|taker| taker.cancel());
            semaphore.release(units);
            assert_eq!(semaphore.waiters(), 0);
            last.join().unwrap();
            assert_eq!(log.take(), ["last"]);
            assert_eq!(semaphore.available(), units);
        });
    }
}

/// `SYN-2`, DESIGN §4, woken and then cancelled: each has had its units, and gives them back for the next.
#[test]
fn a_waiter_that_is_cancelled_after_it_was_given_units_gives_them_back() {
    for units in [1, 5] {
        test::run(move || {
            let (semaphore, log) = semaphore_and_log(0);
            let takers = ["a", "b", "c", "d", "e"].map(|name| taker(&semaphore, &log, name, units));
            let last = taker(&semaphore, &log, "last", units);
            yield_now();
            semaphore.release(5 * units);
            takers.iter().for_each(|taker| taker.cancel());
            for taker in takers {
                assert!(matches!(taker.join(), Err(JoinError::Cancelled)));
            }
            last.join().unwrap();
            assert_eq!(log.take(), ["a", "b", "c", "d", "e", "last"]);
            assert_eq!(semaphore.available(), 5 * units);
        });
    }
}

/// `SYN-2`, the ancestor's `buildup`: a release leaves nobody in line of whom all have been cancelled.
#[test]
fn cancelled_waiters_do_not_pile_up() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(0);
        for _ in 0..3 {
            let takers = ["a", "b", "c"].map(|name| taker(&semaphore, &log, name, 1));
            yield_now();
            takers.iter().for_each(|taker| taker.cancel());
            semaphore.release(1);
            assert_eq!((semaphore.waiters(), semaphore.available()), (0, 1));
            semaphore.acquire(1).forget();
            yield_now();
        }
        assert_eq!(log.take().len(), 0);
    });
}

/// `SYN-2`: an interrupted waiter wakes the next in line, if its share suffices for that one.
#[test]
fn those_whom_a_waiter_held_up_go_ahead_when_it_gives_up() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(1);
        let kept = semaphore.acquire(1);
        let takers = [("three", 3), ("two", 2), ("one", 1)].map(|(name, units)| taker(&semaphore, &log, name, units));
        yield_now();
        drop(kept);
        takers[0].cancel();
        sleep(SECOND);
        assert_eq!((log.take().len(), semaphore.waiters()), (0, 2), "two is first now, and there is one");
        takers[1].cancel();
        sleep(SECOND);
        assert_eq!((log.take(), semaphore.available()), (vec!["one".to_owned()], 1));
    });
}

/// `SYN-2`: as for an interrupt, so for a limit.
#[test]
fn a_wait_ends_at_its_deadline_and_lets_the_next_go_ahead() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(0);
        let many = spawn({
            let semaphore = semaphore.clone();
            move || semaphore.acquire_until(5, now() + SECOND).unwrap_err()
        });
        yield_now();
        let one = taker(&semaphore, &log, "one", 1);
        yield_now();
        semaphore.release(1);
        yield_now();
        assert_eq!(log.take().len(), 0);
        one.join().unwrap();
        assert_eq!(many.join().unwrap(), WaitError::TimedOut);
        assert_eq!(semaphore.available(), 1);
        assert!(with_timeout(SECOND, || drop(semaphore.acquire(2))).is_err());
        assert_eq!((semaphore.available(), semaphore.waiters()), (1, 0));
        drop(semaphore.acquire_until(1, now()).unwrap());
    });
}

struct ReleasesWhenDropped(Rc<Semaphore>);

impl Drop for ReleasesWhenDropped {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

/// The ancestor's `exception_stomp`: the error that goes through a release is the one that comes out.
#[test]
fn a_release_leaves_the_panic_that_passes_through_it_alone() {
    test::run(|| {
        let (semaphore, log) = semaphore_and_log(0);
        let cancelled = taker(&semaphore, &log, "cancelled", 1);
        let waiter = taker(&semaphore, &log, "waiter", 1);
        yield_now();
        cancelled.cancel();
        let releases = ReleasesWhenDropped(semaphore.clone());
        let panics = spawn(move || {
            let _releases = releases;
            panic!("as it should");
        });
        let Err(JoinError::Panicked(panic)) = panics.join() else { panic!("it did not panic") };
        assert_eq!(panic.message(), "as it should");
        waiter.join().unwrap();
        assert_eq!(log.take(), ["waiter"]);
    });
}

#[test]
fn a_contended_acquire_in_a_coroutine_that_unwinds_aborts_with_a_sentence() {
    struct AcquiresWhenDropped(Rc<Semaphore>);
    impl Drop for AcquiresWhenDropped {
        fn drop(&mut self) {
            drop(self.0.acquire(1));
        }
    }
    const NAME: &str = "a_contended_acquire_in_a_coroutine_that_unwinds_aborts_with_a_sentence";
    if !support::in_child() {
        let ended = support::run_alone(NAME);
        assert!(ended.stderr.contains("Semaphore::acquire: called while the coroutine unwinds"), "{ended:?}");
        return;
    }
    test::run(|| {
        let semaphore = Rc::new(Semaphore::new(0));
        let acquires = AcquiresWhenDropped(semaphore);
        let cancelled = spawn(move || {
            let _acquires = acquires;
            sleep(SECOND);
        });
        yield_now();
        cancelled.cancel();
        yield_now();
    });
}
