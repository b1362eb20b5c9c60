//! Counters, timers and changes of files, as descriptors that coroutines wait on (`POL-6`).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and some of these are parts of tests")]

use std::fs;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grapeshot_core::events::watch::{Change, Event, Watcher};
use grapeshot_core::events::{EventFd, TimerFd};
use grapeshot_core::{
    ClosedError, SimultaneousError, TimedOut, WaitLimit, spawn, test, with_timeout, yield_now, yield_slice,
};

const SECOND: Duration = Duration::from_secs(1);

/// Lets others run until they wait, and the poller be asked.
fn settle() {
    (0..3).for_each(|_| yield_slice());
}

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("grapeshot-events-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// `POL-6`
#[test]
fn a_counter_is_taken_whole() {
    test::run(|| {
        let counter = EventFd::new(1).unwrap();
        counter.add(2).unwrap();
        assert_eq!(counter.wait().unwrap(), 3);
        assert_eq!(counter.try_wait().unwrap(), None);
    });
}

#[test]
fn a_counter_wakes_who_waits_for_it() {
    test::run(|| {
        let counter = Rc::new(EventFd::new(0).unwrap());
        let waiter = spawn({
            let counter = counter.clone();
            move || counter.wait().unwrap()
        });
        settle();
        assert!(!waiter.is_finished());
        counter.add(7).unwrap();
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

#[test]
fn a_thread_wakes_a_coroutine_through_a_counter() {
    test::run(|| {
        let counter = Arc::new(EventFd::new(0).unwrap());
        let (near, far) = (counter.clone(), counter);
        let thread = thread::spawn(move || (0..100).for_each(|_| far.add(1).unwrap()));
        let mut taken = 0;
        while taken < 100 {
            taken += near.wait().unwrap();
        }
        assert_eq!(taken, 100);
        thread.join().unwrap();
    });
}

#[test]
fn a_counter_blocks_a_plain_thread() {
    let counter = Arc::new(EventFd::new(0).unwrap());
    let waiter = thread::spawn({
        let counter = counter.clone();
        move || counter.wait().unwrap()
    });
    counter.add(1).unwrap();
    assert_eq!(waiter.join().unwrap(), 1);
}

#[test]
fn a_full_counter_makes_its_adder_wait() {
    test::run(|| {
        let counter = Rc::new(EventFd::new(0).unwrap());
        counter.add(u64::MAX - 1).unwrap();
        let adder = spawn({
            let counter = counter.clone();
            move || counter.add(5).unwrap()
        });
        settle();
        assert!(!adder.is_finished());
        assert_eq!(counter.wait().unwrap(), u64::MAX - 1);
        adder.join().unwrap();
        assert_eq!(counter.wait().unwrap(), 5);
        assert_eq!(counter.add(u64::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

/// Cancelled, then woken: the count is there for the next.
#[test]
fn a_cancelled_wait_leaves_the_count_to_the_next() {
    test::run(|| {
        let counter = Rc::new(EventFd::new(0).unwrap());
        let waiter = spawn({
            let counter = counter.clone();
            move || counter.wait().unwrap()
        });
        settle();
        waiter.cancel();
        counter.add(4).unwrap();
        waiter.join().unwrap_err();
        assert_eq!(counter.wait().unwrap(), 4);
    });
}

/// Woken, then cancelled: what it was given it keeps.
#[test]
fn a_wait_that_was_woken_before_it_was_cancelled_takes_the_count() {
    test::run(|| {
        let counter = Rc::new(EventFd::new(0).unwrap());
        let waiter = spawn({
            let counter = counter.clone();
            move || counter.wait().unwrap()
        });
        settle();
        counter.add(4).unwrap();
        // It is made runnable in the pass that the canceller waits for, ahead of it or behind.
        let canceller = spawn({
            let waiter = waiter.coroutine();
            move || {
                yield_slice();
                waiter.cancel();
            }
        });
        canceller.join().unwrap();
        assert_eq!(waiter.join().unwrap(), 4);
        assert_eq!(counter.try_wait().unwrap(), None);
    });
}

/// Of all that is counted, whoever is cancelled, exactly as much is taken as was added.
#[test]
fn no_count_is_lost_on_any_schedule() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(50, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        test::Test::new().seed(seed).run(|| {
            let counter = Rc::new(EventFd::new(0).unwrap());
            let taken = Rc::new(std::cell::Cell::new(0));
            let adder = spawn({
                let counter = counter.clone();
                move || {
                    for _ in 0..20 {
                        counter.add(1).unwrap();
                        yield_slice();
                    }
                }
            });
            while !(adder.is_finished() && taken.get() == 20) {
                let waiter = spawn({
                    let (counter, taken) = (counter.clone(), taken.clone());
                    move || taken.set(taken.get() + counter.wait().unwrap())
                });
                (0..grapeshot_core::random_u64() % 4).for_each(|_| yield_slice());
                waiter.cancel();
                // Cancelled or not.
                let _ = waiter.join();
            }
            assert_eq!(counter.try_wait().unwrap(), None);
        });
    }
}

#[test]
fn a_second_waiter_is_refused_by_name() {
    test::run(|| {
        let counter = Rc::new(EventFd::new(0).unwrap());
        let waiter = spawn({
            let counter = counter.clone();
            move || counter.wait()
        });
        settle();
        let refused = counter.wait().unwrap_err();
        assert!(refused.get_ref().unwrap().is::<SimultaneousError>());
        counter.close();
        assert!(waiter.join().unwrap().unwrap_err().get_ref().unwrap().is::<ClosedError>());
    });
}

#[test]
fn a_limit_on_a_wait_is_an_error() {
    test::run(|| {
        let counter = EventFd::new(0).unwrap();
        let error = counter.wait_within(WaitLimit::After(SECOND)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let unwound: Result<_, TimedOut> = with_timeout(SECOND, || counter.wait());
        unwound.unwrap_err();
    });
}

/// `POL-6`
#[test]
fn a_timer_fires_once() {
    test::run(|| {
        let timer = TimerFd::once(Duration::from_millis(1)).unwrap();
        assert_eq!(timer.wait().unwrap(), 1);
        with_timeout(SECOND, || timer.wait()).unwrap_err();
    });
}

#[test]
fn an_interval_counts_what_was_missed() {
    test::run(|| {
        let timer = TimerFd::interval(Duration::from_micros(100)).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(1) {
            yield_now();
        }
        assert!(timer.wait().unwrap() >= 10);
    });
}

#[test]
fn a_date_that_has_passed_fires_at_once() {
    test::run(|| {
        assert_eq!(TimerFd::at(SystemTime::now() - SECOND).unwrap().wait().unwrap(), 1);
        assert_eq!(TimerFd::at(UNIX_EPOCH).unwrap().wait().unwrap(), 1);
        assert_eq!(TimerFd::at(SystemTime::now() + Duration::from_millis(1)).unwrap().wait().unwrap(), 1);
    });
}

#[test]
fn a_timer_that_makes_no_sense_is_an_error() {
    for error in [
        TimerFd::once(Duration::ZERO).unwrap_err(),
        TimerFd::interval(Duration::MAX).unwrap_err(),
        TimerFd::at(UNIX_EPOCH - SECOND).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

/// The changes of `count` events, with the names of their files.
fn next(watcher: &Watcher, count: usize) -> Vec<(String, Change)> {
    let name = |event: &Event| event.path.file_name().unwrap().to_str().unwrap().to_owned();
    let event = |_| watcher.next_within(WaitLimit::After(Duration::from_secs(30))).unwrap();
    (0..count).map(event).map(|event| (name(&event), event.change)).collect()
}

/// `POL-6`
#[test]
fn a_watched_directory_reports_what_happens_to_its_files() {
    test::run(|| {
        let directory = Directory::new("directory");
        let watcher = Watcher::new().unwrap();
        watcher.watch(&directory.0).unwrap();
        let file = directory.file("a");
        fs::write(&file, "text").unwrap();
        let a = |change| ("a".to_owned(), change);
        assert_eq!(next(&watcher, 3), [a(Change::Created), a(Change::Modified), a(Change::Closed)]);
        let mut readonly = fs::metadata(&file).unwrap().permissions();
        readonly.set_readonly(true);
        fs::set_permissions(&file, readonly).unwrap();
        assert_eq!(next(&watcher, 1), [a(Change::Attributes)]);
        fs::rename(&file, directory.file("b")).unwrap();
        let moved = next(&watcher, 2);
        let (Change::MovedFrom { cookie: from }, Change::MovedTo { cookie: to }) = (moved[0].1, moved[1].1) else {
            panic!("{moved:?}");
        };
        assert_eq!((&*moved[0].0, &*moved[1].0, from), ("a", "b", to));
        fs::remove_file(directory.file("b")).unwrap();
        assert_eq!(next(&watcher, 1), [("b".to_owned(), Change::Deleted)]);
        fs::create_dir(directory.file("inside")).unwrap();
        let made = watcher.next().unwrap();
        assert_eq!((made.change, made.is_directory), (Change::Created, true));
    });
}

#[test]
fn a_change_wakes_who_waits_for_it() {
    test::run(|| {
        let directory = Directory::new("wakes");
        let watcher = Watcher::new().unwrap();
        watcher.watch(&directory.0).unwrap();
        let waiter = spawn(move || watcher.next().unwrap().change);
        settle();
        fs::create_dir(directory.file("inside")).unwrap();
        assert_eq!(waiter.join().unwrap(), Change::Created);
    });
}

#[test]
fn a_cancelled_wait_loses_no_event() {
    test::run(|| {
        let directory = Directory::new("cancelled");
        let watcher = Watcher::new().unwrap();
        watcher.watch(&directory.0).unwrap();
        with_timeout(SECOND, || watcher.next()).unwrap_err();
        fs::write(directory.file("a"), "text").unwrap();
        assert_eq!(next(&watcher, 3).len(), 3);
    });
}

#[test]
fn a_file_that_is_replaced_can_be_watched_again() {
    test::run(|| {
        let directory = Directory::new("replaced");
        let (file, newer) = (directory.file("settings"), directory.file("newer"));
        fs::write(&file, "old").unwrap();
        let watcher = Watcher::new().unwrap();
        watcher.watch(&file).unwrap();
        fs::write(&newer, "new").unwrap();
        fs::rename(&newer, &file).unwrap();
        let mut ended = false;
        while !ended {
            ended = watcher.next().unwrap().change == Change::WatchEnded;
        }
        watcher.watch(&file).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(next(&watcher, 1), [("settings".to_owned(), Change::Modified)]);
    });
}

#[test]
fn the_watch_of_a_file_that_moves_away_ends() {
    test::run(|| {
        let directory = Directory::new("moved");
        let file = directory.file("here");
        fs::write(&file, "").unwrap();
        let watcher = Watcher::new().unwrap();
        watcher.watch(&file).unwrap();
        fs::rename(&file, directory.file("there")).unwrap();
        let here = |change| ("here".to_owned(), change);
        assert_eq!(next(&watcher, 2), [here(Change::WatchedMoved), here(Change::WatchEnded)]);
        fs::write(directory.file("there"), "not reported").unwrap();
        watcher.next_within(WaitLimit::After(SECOND)).unwrap_err();
        assert!(!watcher.unwatch(&file));
    });
}

#[test]
fn a_path_that_is_no_longer_watched_is_no_longer_reported() {
    test::run(|| {
        let directory = Directory::new("unwatched");
        let watcher = Watcher::new().unwrap();
        watcher.watch(&directory.0).unwrap();
        fs::create_dir(directory.file("before")).unwrap();
        assert!(watcher.unwatch(&directory.0));
        fs::create_dir(directory.file("after")).unwrap();
        assert_eq!(next(&watcher, 1), [("before".to_owned(), Change::Created)]);
        watcher.next_within(WaitLimit::After(SECOND)).unwrap_err();
    });
}

#[test]
fn a_queue_that_ran_over_says_so() {
    test::run(|| {
        let directory = Directory::new("overflow");
        let watcher = Watcher::new().unwrap();
        watcher.watch(&directory.0).unwrap();
        let held: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        let (one, other) = (directory.file("one"), directory.file("other"));
        fs::write(&one, "").unwrap();
        // Two events each, none like the one before it, which the kernel would leave out.
        for _ in 0..held / 4 + 1 {
            fs::rename(&one, &other).unwrap();
            fs::rename(&other, &one).unwrap();
        }
        let mut changes = std::iter::from_fn(|| watcher.next_within(WaitLimit::After(SECOND)).ok());
        let overflow = changes.find(|event| event.change == Change::Overflow).unwrap();
        assert_eq!(overflow.path, PathBuf::new());
    });
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let error = Watcher::new().unwrap().watch("/there/is/no/such/file").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/there/is/no/such/file"), "{error}");
}
