//! Locks by key, and the search for those who wait in circles.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{DeadlockError, KeyedLocks};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{Builder, JoinError, JoinHandle, now, sleep, spawn, stats, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

type Locks = Rc<KeyedLocks<&'static str>>;

/// Spawns a coroutine that takes keys one after the other, lets others run after each, and says how that ended.
fn taker(locks: &Locks, log: &Log, name: &'static str, keys: &'static [&str]) -> JoinHandle<Result<(), DeadlockError>> {
    let (locks, log) = (locks.clone(), log.clone());
    let spawned = Builder::new().name(name).spawn(move || {
        let mut held = Vec::new();
        for &key in keys {
            held.push(locks.lock(key)?);
            log.add(format!("{name} {key}"));
            yield_now();
        }
        Ok(())
    });
    spawned.unwrap()
}

fn locks_and_log() -> (Locks, Log) {
    (Rc::new(KeyedLocks::new()), Log::new())
}

/// `SYN-9`: key → mutex table.
#[test]
fn each_key_has_a_lock_of_its_own_which_is_handed_over() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        assert_eq!((*held.key(), format!("{held:?}")), ("x", "KeyGuard(\"x\")".to_owned()));
        let takers = ["a", "b"].map(|name| taker(&locks, &log, name, &["x"]));
        taker(&locks, &log, "other", &["y"]).join().unwrap().unwrap();
        assert_eq!((locks.len(), locks.waiters()), (1, 2));
        drop(held);
        assert!(locks.try_lock("x").is_none(), "it is a's before a has run");
        takers.into_iter().for_each(|taker| taker.join().unwrap().unwrap());
        assert_eq!(log.take(), ["other y", "a x", "b x"]);
        assert!(locks.is_empty(), "a key that nobody holds is forgotten");
    });
}

/// `SYN-9`: a global lock that excludes all keyed locks.
#[test]
fn the_lock_over_all_keys_excludes_every_one() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        let all = spawn({
            let (locks, log) = (locks.clone(), log.clone());
            move || {
                let _all = locks.lock_all().unwrap();
                log.add("all");
                let _one_of_all = locks.lock("x").unwrap();
                sleep(SECOND);
                assert!(locks.lock_all().is_ok());
            }
        });
        yield_now();
        let late = taker(&locks, &log, "late", &["y"]);
        yield_now();
        assert!(locks.try_lock("z").is_some(), "who holds a key does not wait for one who waits for all");
        assert_eq!(log.take().len(), 0);
        drop(held);
        yield_now();
        assert!(locks.try_lock("z").is_none());
        late.join().unwrap().unwrap();
        all.join().unwrap();
        assert_eq!(log.take(), ["all", "late y"]);
        assert_eq!(format!("{locks:?}"), "KeyedLocks(0 held, 0 waiting)");
    });
}

/// `SYN-9`: every 60 s a scan fails the lock of one of a circle, which then lets go, and the others go on.
#[test]
fn a_circle_is_broken_within_a_minute_by_failing_one_of_its_members() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let began = now();
        let takers = [("a", &["x", "y"]), ("b", &["y", "z"]), ("c", &["z", "x"])]
            .map(|(name, keys)| taker(&locks, &log, name, keys));
        yield_now();
        let outsider = taker(&locks, &log, "outsider", &["x"]);
        let ended = takers.map(|taker| taker.join().unwrap());
        assert_eq!(now() - began, SECOND * 60);
        let failed: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
        assert_eq!(failed.len(), 1);
        outsider.join().unwrap().unwrap();
        let said = failed[0].to_string();
        assert!(said.starts_with("deadlock: coroutine "), "{said}");
        for (waits, wants, holds) in [("a", "y", "b"), ("b", "z", "c"), ("c", "x", "a")] {
            let link = failed[0].circle().iter().find(|link| link.key == format!("{wants:?}")).unwrap();
            assert!(link.coroutine.is_some() && link.description.contains(&format!("\"{waits}\"")), "{said}");
            let (_, holder) = said.split_once(&format!("waits for {wants:?}, held by ")).unwrap();
            assert!(holder.split(';').next().unwrap().contains(&format!("\"{holds}\"")), "{said}");
        }
        assert!(locks.is_empty());
    });
}

/// `SYN-9`: the member is a random one.
#[test]
fn which_member_fails_is_left_to_chance() {
    let failed_first = (0..20).filter(|&seed| {
        test::Test::new().seed(seed).run(|| {
            let (locks, log) = locks_and_log();
            let takers = [taker(&locks, &log, "a", &["x", "y"]), taker(&locks, &log, "b", &["y", "x"])];
            while locks.waiters() < 2 && !takers.iter().any(JoinHandle::is_finished) {
                yield_now();
            }
            let circles = locks.deadlock_scan();
            let failed = takers.map(|taker| taker.join().unwrap().is_err());
            assert_eq!(failed.iter().filter(|&&failed| failed).count(), circles);
            failed[0]
        })
    });
    assert!((1..20).contains(&failed_first.count()));
}

/// `SYN-9`: each cycle by itself.
#[test]
fn every_circle_loses_one_member_in_the_same_scan() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let keys: [&[&str]; 4] = [&["p", "q"], &["q", "p"], &["r", "s"], &["s", "r"]];
        let takers = keys.map(|keys| taker(&locks, &log, "taker", keys));
        sleep(SECOND);
        assert_eq!((locks.waiters(), locks.deadlock_scan(), locks.deadlock_scan()), (4, 2, 0));
        let ended = takers.map(|taker| taker.join().unwrap().is_ok());
        assert_eq!(ended.iter().filter(|&&went_well| went_well).count(), 2);
        assert!(ended[0] != ended[1] && ended[2] != ended[3]);
    });
}

/// `SYN-9`: one that is being cancelled breaks its circle by itself.
#[test]
fn a_circle_with_a_cancelled_member_is_none() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let takers = [taker(&locks, &log, "a", &["x", "y"]), taker(&locks, &log, "b", &["y", "x"])];
        sleep(SECOND);
        takers[0].cancel();
        assert_eq!(locks.deadlock_scan(), 0);
        let [cancelled, other] = takers;
        assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

/// `SYN-9`: those who wait without a circle are left alone, however long that is, and the scan ends with them.
#[test]
fn a_long_wait_is_no_deadlock_and_the_scan_lasts_as_long_as_there_are_waits() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        assert_eq!(stats().coroutines, 1, "nobody waits, and nobody scans");
        let waiter = taker(&locks, &log, "waiter", &["x"]);
        sleep(SECOND * 300);
        assert_eq!((stats().coroutines, locks.waiters()), (3, 1));
        drop(held);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        yield_now();
        assert_eq!((stats().coroutines, stats().timers), (1, 0));
    });
}

#[test]
fn the_scan_ends_with_the_locks() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        let waiter = taker(&locks, &log, "waiter", &["x"]);
        yield_now();
        drop(held);
        waiter.join().unwrap().unwrap();
        drop(locks);
        yield_now();
        assert_eq!((stats().coroutines, stats().timers), (1, 0));
    });
}

/// `SYN-8`: what could only hang is an error at once.
#[test]
fn waiting_for_oneself_is_a_deadlock_of_one() {
    test::run(|| {
        let locks = KeyedLocks::new();
        let _held = locks.lock(7).unwrap();
        let error = locks.lock(7).unwrap_err();
        assert_eq!(error.circle().len(), 1);
        let said = error.to_string();
        assert!(said.starts_with("deadlock: coroutine 1 \"main\" spawned at "), "{said}");
        assert!(said.contains("waits for 7, held by coroutine 1"), "{said}");
        let said = locks.lock_all().unwrap_err().to_string();
        assert!(said.contains("waits for all keys, held by coroutine 1"), "{said}");
    });
}

/// `SYN-9`, DESIGN §4, both orders.
#[test]
fn a_key_passes_over_the_cancelled_and_comes_back_from_the_woken() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        let takers = ["before", "after", "last"].map(|name| taker(&locks, &log, name, &["x"]));
        yield_now();
        takers[0].cancel();
        drop(held);
        takers[1].cancel();
        let ended = takers.map(|taker| taker.join().is_ok());
        assert_eq!((log.take(), ended), (vec!["after x".to_owned(), "last x".to_owned()], [false, false, true]));
        assert!(locks.is_empty());
    });
}

/// `SYN-9`: as for the lock of readers and writers, those behind one that gives up go ahead.
#[test]
fn those_behind_one_that_gives_up_on_all_keys_go_ahead() {
    test::run(|| {
        let (locks, log) = locks_and_log();
        let held = locks.lock("x").unwrap();
        let all = spawn({
            let locks = locks.clone();
            move || with_timeout(SECOND, || drop(locks.lock_all())).is_err()
        });
        yield_now();
        let late = taker(&locks, &log, "late", &["y"]);
        late.join().unwrap().unwrap();
        assert!(all.join().unwrap());
        drop(held);
    });
}
