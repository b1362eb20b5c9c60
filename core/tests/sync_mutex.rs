//! The lock that is handed over from each holder to the next.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{Mutex, WaitError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{Builder, JoinError, JoinHandle, now, scope, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Spawns a coroutine that logs its name once it has the lock, and then lets others run while it holds it.
fn taker(lock: &Rc<Mutex<()>>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    spawn(move || {
        let _held = lock.lock();
        log.add(name);
        yield_now();
    })
}

#[test]
fn a_free_lock_is_taken_without_waiting_inside_and_outside_coroutines() {
    let lock = Mutex::new(1);
    *lock.lock() += 1;
    assert!(!lock.is_locked());
    test::run(|| {
        let mut lock = Mutex::new(3);
        {
            let held = lock.lock();
            assert_eq!((*held, lock.is_locked()), (3, true));
            assert!(lock.try_lock().is_none());
            assert_eq!(format!("{lock:?}"), "Mutex(locked, 0 waiting)");
        }
        *lock.try_lock().unwrap() += 1;
        *lock.get_mut() += 1;
        assert_eq!(format!("{lock:?}"), "Mutex(5)");
        assert_eq!(lock.into_inner(), 5);
        assert_eq!(stats().passes, 1);
    });
}

/// `SYN-1`: unlocking gives the lock to the first waiter, and one who comes between then and its turn waits.
#[test]
fn unlocking_hands_the_lock_to_whoever_has_waited_longest() {
    test::run(|| {
        let (lock, log) = (Rc::new(Mutex::new(())), Log::new());
        let held = lock.lock();
        let takers = ["a", "b", "c"].map(|name| taker(&lock, &log, name));
        yield_now();
        assert_eq!(lock.waiters(), 3);
        drop(held);
        assert!(lock.is_locked(), "it is a's before a has run");
        assert!(lock.try_lock().is_none());
        drop(lock.lock());
        assert_eq!(log.take(), ["a", "b", "c"]);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert!(!lock.is_locked());
    });
}

/// `SYN-1`, DESIGN §4, cancelled and then woken: of six waiters five are cancelled, and the lock goes to the sixth.
#[test]
fn a_cancelled_waiter_is_passed_over() {
    test::run(|| {
        let (lock, log) = (Rc::new(Mutex::new(())), Log::new());
        let held = lock.lock();
        let takers = ["a", "b", "c", "d", "e"].map(|name| taker(&lock, &log, name));
        let last = taker(&lock, &log, "last");
        yield_now();
        takers.iter().for_each(|taker| taker.cancel());
        drop(held);
        last.join().unwrap();
        assert_eq!(log.take(), ["last"]);
        assert_eq!((lock.is_locked(), lock.waiters()), (false, 0));
    });
}

/// `SYN-1`, DESIGN §4, woken and then cancelled: who was handed the lock passes it on when it unwinds.
#[test]
fn a_waiter_that_is_cancelled_after_the_hand_over_passes_the_lock_on() {
    test::run(|| {
        let (lock, log) = (Rc::new(Mutex::new(())), Log::new());
        let held = lock.lock();
        let first = taker(&lock, &log, "first");
        let second = taker(&lock, &log, "second");
        yield_now();
        drop(held);
        first.cancel();
        assert!(matches!(first.join(), Err(JoinError::Cancelled)));
        second.join().unwrap();
        assert_eq!(log.take(), ["first", "second"]);
        assert!(!lock.is_locked());
    });
}

/// `SYN-1`: no wait at all is lost on the last of them either.
#[test]
fn a_lock_whose_only_waiter_was_cancelled_is_free() {
    test::run(|| {
        let (lock, log) = (Rc::new(Mutex::new(())), Log::new());
        let held = lock.lock();
        let taker = taker(&lock, &log, "a");
        yield_now();
        taker.cancel();
        drop(held);
        assert!(lock.try_lock().is_some());
        assert!(matches!(taker.join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_wait_for_the_lock_ends_at_its_deadline_and_gives_its_place_up() {
    test::run(|| {
        let lock = Mutex::new(());
        scope(|scope| {
            let held = lock.lock();
            scope.spawn(|| {
                let began = now();
                assert_eq!(lock.lock_until(began + SECOND).unwrap_err(), WaitError::TimedOut);
                assert_eq!(now() - began, SECOND);
                assert_eq!(lock.waiters(), 0);
                assert!(with_timeout(SECOND, || drop(lock.lock())).is_err());
                drop(lock.lock_until(now() + SECOND * 10).unwrap());
            });
            sleep(SECOND * 5);
            drop(held);
        });
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_value_survives_the_panic_of_a_holder() {
    test::run(|| {
        let lock = Rc::new(Mutex::new(1));
        let panics = spawn({
            let lock = lock.clone();
            move || {
                *lock.lock() = 2;
                let _held = lock.lock();
                panic!("while it holds the lock");
            }
        });
        assert!(matches!(panics.join(), Err(JoinError::Panicked(_))));
        assert_eq!(*lock.lock(), 2);
    });
}

/// `SYN-8`: what could only hang is a panic that says who would wait for whom.
#[test]
fn taking_the_lock_twice_panics_and_names_the_coroutine() {
    test::run(|| {
        let lock = Rc::new(Mutex::new(()));
        let twice = Builder::new().name("greedy").spawn({
            let lock = lock.clone();
            move || {
                let _first = lock.lock();
                let _second = lock.lock();
            }
        });
        let Err(JoinError::Panicked(panic)) = twice.unwrap().join() else { panic!("it did not panic") };
        let said = panic.to_string();
        assert!(said.contains("Mutex::lock: coroutine 2 \"greedy\" spawned at"), "{said}");
        assert!(said.contains("holds the lock already, and would wait for itself"), "{said}");
        assert!(!lock.is_locked());
    });
}

struct LocksWhenDropped(Rc<Mutex<u32>>);

impl Drop for LocksWhenDropped {
    fn drop(&mut self) {
        *self.0.lock() += 1;
    }
}

struct TriesWhenDropped(Rc<Mutex<u32>>, Log);

impl Drop for TriesWhenDropped {
    fn drop(&mut self) {
        self.1.add(format!("{:?}", self.0.lock_until(now() + SECOND).map(|_| ())));
    }
}

#[test]
fn a_coroutine_that_unwinds_takes_a_free_lock() {
    test::run(|| {
        let lock = Rc::new(Mutex::new(0));
        let dropped = LocksWhenDropped(lock.clone());
        let cancelled = spawn(move || {
            let _dropped = dropped;
            sleep(SECOND);
        });
        yield_now();
        cancelled.cancel();
        yield_now();
        assert_eq!(*lock.lock(), 1);
    });
}

#[test]
fn a_lock_with_a_deadline_is_refused_in_a_coroutine_that_unwinds() {
    test::run(|| {
        let (lock, log) = (Rc::new(Mutex::new(0)), Log::new());
        let dropped = TriesWhenDropped(lock.clone(), log.clone());
        let cancelled = spawn(move || {
            let _dropped = dropped;
            sleep(SECOND);
        });
        yield_now();
        let _held = lock.lock();
        cancelled.cancel();
        yield_now();
        assert_eq!(log.take(), ["Err(Refused)"]);
    });
}

/// DESIGN §5: it could neither wait nor say so.
#[test]
fn a_contended_lock_in_a_coroutine_that_unwinds_aborts_with_a_sentence() {
    const NAME: &str = "a_contended_lock_in_a_coroutine_that_unwinds_aborts_with_a_sentence";
    if !support::in_child() {
        let ended = support::run_alone(NAME);
        assert_eq!(ended.signal(), Some(sigabrt()), "{ended:?}");
        assert!(ended.stderr.contains("Mutex::lock: called while the coroutine unwinds"), "{ended:?}");
        return;
    }
    test::run(|| {
        let lock = Rc::new(Mutex::new(0));
        let dropped = LocksWhenDropped(lock.clone());
        let cancelled = spawn(move || {
            let _dropped = dropped;
            sleep(SECOND);
        });
        yield_now();
        let _held = lock.lock();
        cancelled.cancel();
        yield_now();
    });
}

/// The number of SIGABRT.
fn sigabrt() -> i32 {
    rustix::process::Signal::ABORT.as_raw()
}
