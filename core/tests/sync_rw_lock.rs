//! The locks for many readers or one writer.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{ReentrantRwLock, RwLock, WaitError};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinError, JoinHandle, now, sleep, spawn, stats, yield_now};

const SECOND: Duration = Duration::from_secs(1);

type Shared = Rc<RwLock<u32>>;

/// Spawns a coroutine that logs its name while it reads.
fn reader(lock: &Shared, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    spawn(move || {
        let _value = lock.read();
        log.add(name);
        yield_now();
    })
}

/// Spawns a coroutine that logs its name while it writes.
fn writer(lock: &Shared, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (lock, log) = (lock.clone(), log.clone());
    spawn(move || {
        let _value = lock.write();
        log.add(name);
        yield_now();
    })
}

fn lock_and_log() -> (Shared, Log) {
    (Rc::new(RwLock::new(0)), Log::new())
}

fn what_it_said(joined: Result<(), JoinError>) -> String {
    let Err(JoinError::Panicked(panic)) = joined else { panic!("it did not panic") };
    panic.to_string()
}

/// `SYN-4`: many readers, one writer.
#[test]
fn many_read_at_once_or_one_writes() {
    test::run(|| {
        let lock = RwLock::new(1);
        let first = lock.read();
        let second = lock.try_read().unwrap();
        assert_eq!((*first, *second, lock.readers()), (1, 1, 2));
        assert!(lock.try_write().is_none());
        drop((first, second));
        *lock.try_write().unwrap() += 1;
        let mut written = lock.write();
        *written += 1;
        assert!(lock.is_writing() && lock.try_read().is_none() && lock.try_write().is_none());
        assert_eq!(format!("{lock:?}"), "RwLock(writing, 0 waiting)");
        drop(written);
        assert_eq!((lock.into_inner(), stats().passes), (3, 1));
    });
}

/// `SYN-4`: writer preference, which is that a reader waits as soon as a writer does.
#[test]
fn a_reader_does_not_pass_a_writer_that_waits() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let _writer = writer(&lock, &log, "writer");
        yield_now();
        let late = reader(&lock, &log, "reader");
        yield_now();
        assert!(lock.try_read().is_none());
        assert_eq!(lock.waiters(), 2);
        drop(reading);
        late.join().unwrap();
        assert_eq!(log.take(), ["writer", "reader"]);
    });
}

/// `SYN-4`: a writer hands to the next writer, and only the last of them wakes all readers.
#[test]
fn a_writer_is_followed_by_the_next_writer_and_then_by_all_readers() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let writing = lock.write();
        let readers = ["first reader", "second reader"].map(|name| reader(&lock, &log, name));
        let writers = ["first writer", "second writer"].map(|name| writer(&lock, &log, name));
        yield_now();
        drop(writing);
        assert!(lock.is_writing(), "it is the next writer's before that one has run");
        readers.into_iter().chain(writers).for_each(|handle| handle.join().unwrap());
        assert_eq!(log.take(), ["first writer", "second writer", "first reader", "second reader"]);
        assert_eq!((lock.readers(), lock.is_writing()), (0, false));
    });
}

/// `SYN-4`, DESIGN §4, cancelled and then woken, writers.
#[test]
fn a_cancelled_writer_is_passed_over() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let cancelled = ["a", "b"].map(|name| writer(&lock, &log, name));
        let last = writer(&lock, &log, "last");
        yield_now();
        cancelled.iter().for_each(|writer| writer.cancel());
        drop(reading);
        last.join().unwrap();
        assert_eq!(log.take(), ["last"]);
    });
}

/// `SYN-4`, DESIGN §4, woken and then cancelled, writers.
#[test]
fn a_writer_that_is_cancelled_after_the_hand_over_hands_on() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let writers = ["first", "second"].map(|name| writer(&lock, &log, name));
        let reader = reader(&lock, &log, "reader");
        yield_now();
        drop(reading);
        writers[0].cancel();
        reader.join().unwrap();
        assert_eq!(log.take(), ["first", "second", "reader"]);
        assert!(writers.iter().all(|writer| writer.is_finished()));
    });
}

/// `SYN-4`, DESIGN §4, cancelled and then woken, readers.
#[test]
fn a_cancelled_reader_does_not_count() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let writing = lock.write();
        let readers = ["a", "b", "c"].map(|name| reader(&lock, &log, name));
        yield_now();
        readers[0].cancel();
        readers[1].cancel();
        drop(writing);
        assert_eq!(lock.readers(), 1);
        sleep(SECOND);
        assert_eq!(log.take(), ["c"]);
        assert_eq!(lock.readers(), 0);
    });
}

/// `SYN-4`, DESIGN §4, woken and then cancelled, readers.
#[test]
fn a_reader_that_is_cancelled_after_it_was_woken_ends_its_reading() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let writing = lock.write();
        let readers = ["a", "b"].map(|name| reader(&lock, &log, name));
        yield_now();
        drop(writing);
        readers.iter().for_each(|reader| reader.cancel());
        let mut last = lock.write();
        *last += 1;
        assert_eq!(log.take(), ["a", "b"]);
    });
}

/// `SYN-4`: the ancestor's bug. The only writer in line is interrupted, and the readers behind it must go ahead.
#[test]
fn readers_behind_a_writer_that_gives_up_go_ahead_at_once() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let blocker = writer(&lock, &log, "writer");
        yield_now();
        let _readers = ["a", "b"].map(|name| reader(&lock, &log, name));
        yield_now();
        blocker.cancel();
        sleep(SECOND);
        assert_eq!(log.take(), ["a", "b"], "while the first reader still reads");
        drop(reading);
        assert!(lock.try_write().is_some());
    });
}

/// `SYN-4`: the same bug on the other way: the last reading ends while the interrupted writer is still in line.
#[test]
fn readers_behind_a_cancelled_writer_go_ahead_when_the_last_reading_ends() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let blocker = writer(&lock, &log, "writer");
        yield_now();
        let late = reader(&lock, &log, "a");
        yield_now();
        blocker.cancel();
        drop(reading);
        assert_eq!(lock.readers(), 1, "it is handed over at once");
        late.join().unwrap();
        assert_eq!((lock.readers(), lock.is_writing(), lock.waiters()), (0, false, 0));
    });
}

/// `SYN-4`: as for an interrupt, so for a limit.
#[test]
fn readers_behind_a_writer_whose_deadline_passes_go_ahead() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let reading = lock.read();
        let blocker = spawn({
            let lock = lock.clone();
            move || lock.write_until(now() + SECOND).unwrap_err()
        });
        yield_now();
        let late = reader(&lock, &log, "a");
        late.join().unwrap();
        assert_eq!(blocker.join().unwrap(), WaitError::TimedOut);
        drop(reading);
        let _writing = lock.write();
        let late = spawn({
            let lock = lock.clone();
            move || lock.read_until(now() + SECOND).unwrap_err()
        });
        assert_eq!(late.join().unwrap(), WaitError::TimedOut);
    });
}

#[test]
fn a_downgraded_writer_reads_what_it_wrote_and_lets_readers_in() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let mut writing = lock.write();
        *writing = 7;
        let reader = reader(&lock, &log, "reader");
        yield_now();
        let reading = writing.downgrade();
        reader.join().unwrap();
        assert_eq!((*reading, log.take()), (7, vec!["reader".to_owned()]));
        assert_eq!((lock.readers(), lock.is_writing()), (1, false));
        assert!(lock.try_write().is_none());
        drop(reading);
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn a_downgrade_lets_no_writer_in_between_and_no_reader_before_it() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let writing = lock.write();
        let next = spawn({
            let (lock, log) = (lock.clone(), log.clone());
            move || {
                *lock.write() = 1;
                log.add("writer");
            }
        });
        let late = reader(&lock, &log, "reader");
        yield_now();
        let reading = writing.downgrade();
        sleep(SECOND);
        assert_eq!((*reading, log.take().len()), (0, 0));
        drop(reading);
        next.join().unwrap();
        late.join().unwrap();
        assert_eq!(log.take(), ["writer", "reader"]);
    });
}

/// `SYN-8`: what could only hang is a panic that says who would wait for whom.
#[test]
fn waiting_for_oneself_panics() {
    test::run(|| {
        type Case = (fn(&RwLock<u32>), &'static str);
        let cases: [Case; 3] = [
            (
                |lock| {
                    let _writing = lock.write();
                    drop(lock.write());
                },
                "RwLock::write: coroutine 2 ",
            ),
            (
                |lock| {
                    let _writing = lock.write();
                    drop(lock.read());
                },
                "RwLock::read: coroutine 3 ",
            ),
            (
                |lock| {
                    let _reading = lock.read();
                    drop(lock.write());
                },
                "RwLock::write: coroutine 4 ",
            ),
        ];
        for (twice, begins) in cases {
            let lock = RwLock::new(0);
            let said = what_it_said(spawn(move || twice(&lock)).join());
            assert!(said.contains(begins) && said.contains("would wait for itself"), "{said}");
        }
    });
}

/// `SYN-8`: the reader waits for the writer in line, and that one for the reader.
#[test]
fn reading_twice_with_a_writer_in_between_panics() {
    test::run(|| {
        let (lock, log) = lock_and_log();
        let twice = spawn({
            let lock = lock.clone();
            move || {
                let _first = lock.read();
                drop(lock.read());
                sleep(SECOND);
                drop(lock.read());
            }
        });
        yield_now();
        let _writer = spawn(move || {
            *lock.write() += 1;
            log.add("writer");
        });
        let said = what_it_said(twice.join());
        assert!(said.contains("holds the lock for reading, for whose end a writer waits, already"), "{said}");
    });
}

/// `SYN-4`: both sides are recursive, and who writes may read.
#[test]
fn a_reentrant_lock_is_taken_again_by_its_holder() {
    test::run(|| {
        let lock = Rc::new(ReentrantRwLock::new(Cell::new(0)));
        let outer = lock.write();
        let inner = lock.write();
        let reading = lock.read();
        inner.set(reading.get() + 1);
        drop(outer);
        let stranger = spawn({
            let lock = lock.clone();
            move || lock.read().get()
        });
        yield_now();
        assert_eq!((lock.is_writing(), lock.waiters()), (true, 1));
        drop(inner);
        assert_eq!((lock.is_writing(), lock.readers()), (false, 2), "what is left of it is a reading");
        assert_eq!(stranger.join().unwrap(), 1);
        assert!(lock.try_write().is_none());
        drop(reading);
        assert!(lock.try_write().is_some());
    });
}

/// `SYN-4`: the reader holds the lock already, so that to wait behind the writer would be to wait for itself.
#[test]
fn a_reentrant_reader_reads_again_although_a_writer_waits() {
    test::run(|| {
        let lock = Rc::new(ReentrantRwLock::new(()));
        let reading = lock.read();
        let writer = spawn({
            let lock = lock.clone();
            move || drop(lock.write())
        });
        yield_now();
        let again = lock.read();
        assert_eq!((lock.readers(), lock.waiters()), (2, 1));
        drop((reading, again));
        writer.join().unwrap();
    });
}

/// `SYN-4`: read→write deadlocks, so it is refused.
#[test]
fn a_reentrant_reader_that_would_write_panics() {
    test::run(|| {
        let joined = spawn(|| {
            let lock = ReentrantRwLock::new(());
            let _reading = lock.read();
            drop(lock.write());
        });
        let said = what_it_said(joined.join());
        assert!(said.contains("ReentrantRwLock::write: coroutine 2"), "{said}");
        assert!(said.contains("holds the lock for reading already, and would wait for itself"), "{said}");
    });
}

#[test]
fn a_stranger_waits_for_a_reentrant_lock_no_longer_than_its_deadline() {
    test::run(|| {
        let lock = Rc::new(ReentrantRwLock::new(()));
        let _writing = lock.write();
        let stranger = spawn({
            let lock = lock.clone();
            move || {
                assert!(lock.try_read().is_none() && lock.try_write().is_none());
                assert_eq!(lock.read_until(now() + SECOND).unwrap_err(), WaitError::TimedOut);
                assert_eq!(lock.write_until(now() + SECOND).unwrap_err(), WaitError::TimedOut);
            }
        });
        stranger.join().unwrap();
        assert_eq!(format!("{lock:?}"), "ReentrantRwLock(writing, 0 reading, 0 waiting)");
    });
}

#[test]
fn a_contended_reading_in_a_coroutine_that_unwinds_aborts_with_a_sentence() {
    struct ReadsWhenDropped(Shared);
    impl Drop for ReadsWhenDropped {
        fn drop(&mut self) {
            drop(self.0.read());
        }
    }
    const NAME: &str = "a_contended_reading_in_a_coroutine_that_unwinds_aborts_with_a_sentence";
    if !support::in_child() {
        let ended = support::run_alone(NAME);
        assert!(ended.stderr.contains("RwLock::read: called while the coroutine unwinds"), "{ended:?}");
        return;
    }
    test::run(|| {
        let lock = Rc::new(RwLock::new(0));
        let reads = ReadsWhenDropped(lock.clone());
        let cancelled = spawn(move || {
            let _reads = reads;
            sleep(SECOND);
        });
        yield_now();
        let _writing = lock.write();
        cancelled.cancel();
        yield_now();
    });
}
