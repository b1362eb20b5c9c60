//! The lock that its holder may take again.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{LockError, ReentrantMutex, WaitError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{Builder, JoinError, JoinHandle, now, sleep, spawn, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Spawns a coroutine that logs its name once it has the lock, twice, and then lets others run while it holds it.
fn taker(lock: &Rc<ReentrantMutex<()>>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    spawn(move || {
        let _held = lock.lock();
        let _again = lock.lock();
        log.add(name);
        yield_now();
    })
}

/// `SYN-1`: recursive; the lock is another's only after the last unlock.
#[test]
fn a_holder_takes_the_lock_again_and_gives_it_back_as_often() {
    test::run(|| {
        let lock = Rc::new(ReentrantMutex::new(Cell::new(0)));
        let outer = lock.lock();
        let inner = lock.try_lock().unwrap();
        inner.set(outer.get() + 1);
        let stranger = spawn({
            let lock = lock.clone();
            move || {
                assert!(lock.try_lock().is_none() && !lock.is_mine());
                assert_eq!(
                    format!("{lock:?}").split(" spawned").next(),
                    Some("ReentrantMutex(locked by coroutine 1 \"main\"")
                );
                assert_eq!(lock.lock_until(now() + SECOND).unwrap_err(), WaitError::TimedOut);
                lock.lock().get()
            }
        });
        sleep(SECOND * 2);
        drop(outer);
        assert!(lock.is_locked() && lock.is_mine());
        drop(inner);
        assert_eq!(stranger.join().unwrap(), 1);
        assert!(!lock.is_locked());
    });
}

/// `SYN-1`, DESIGN §4, cancelled and then woken.
#[test]
fn a_cancelled_waiter_is_passed_over() {
    test::run(|| {
        let (lock, log) = (Rc::new(ReentrantMutex::new(())), Log::new());
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

/// `SYN-1`, DESIGN §4, woken and then cancelled.
#[test]
fn a_waiter_that_is_cancelled_after_the_hand_over_passes_the_lock_on() {
    test::run(|| {
        let (lock, log) = (Rc::new(ReentrantMutex::new(())), Log::new());
        let held = lock.lock();
        let first = taker(&lock, &log, "first");
        let second = taker(&lock, &log, "second");
        yield_now();
        drop(held);
        first.cancel();
        assert!(matches!(first.join(), Err(JoinError::Cancelled)));
        second.join().unwrap();
        assert_eq!(log.take(), ["first", "second"]);
    });
}

/// `SYN-1`: `unlock()` is true if somebody was waiting, false while the lock is still held or nobody waits.
#[test]
fn an_unlock_says_whether_the_lock_was_handed_over() {
    test::run(|| {
        let (lock, log) = (Rc::new(ReentrantMutex::new(())), Log::new());
        lock.lock().keep();
        lock.lock().keep();
        let waiter = taker(&lock, &log, "waiter");
        yield_now();
        assert_eq!(lock.unlock(), Ok(false));
        assert!(lock.is_mine());
        assert_eq!(lock.unlock(), Ok(true));
        assert!(lock.is_locked() && !lock.is_mine());
        waiter.join().unwrap();
        lock.lock().keep();
        assert_eq!(lock.unlock(), Ok(false));
        assert!(!lock.is_locked());
    });
}

/// `SYN-8`: `LockError('mutex unlock when no lock acquired')` and `LockError('Non-owner mutex unlock.')`.
#[test]
fn an_unlock_by_a_stranger_names_both_coroutines() {
    test::run(|| {
        let lock = Rc::new(ReentrantMutex::new(()));
        let error = lock.unlock().unwrap_err();
        assert!(matches!(error, LockError::NotLocked { .. }));
        assert!(error.to_string().starts_with("unlock by coroutine 1 \"main\" spawned at "), "{error}");
        let held = lock.lock();
        let stranger = Builder::new().name("stranger").spawn({
            let lock = lock.clone();
            move || lock.unlock().unwrap_err()
        });
        let error = stranger.unwrap().join().unwrap();
        assert!(matches!(error, LockError::NotOwner { .. }));
        let said = error.to_string();
        assert!(said.starts_with("unlock by coroutine 2 \"stranger\" spawned at "), "{said}");
        assert!(said.contains("the lock is held by coroutine 1 \"main\" spawned at "), "{said}");
        let error = lock.unlock().unwrap_err();
        assert!(matches!(error, LockError::Guarded { .. }));
        assert!(error.to_string().contains("guards give back theirs"), "{error}");
        drop(held);
        assert!(!lock.is_locked());
    });
}
