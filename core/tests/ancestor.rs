//! What Shrapnel's own tests assert of its core, where no other file shows it; `tests/README.md` has the whole map.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::OnceCell;
use std::fs::{self, File, OpenOptions};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{Mutex, Notify, ReentrantMutex, RwLock, Semaphore, WaitGroup};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    JoinError, JoinHandle, State, file, in_parallel, now, random_u64, sleep, sleep_until, spawn, stats, with_timeout,
    yield_now,
};

use self::support::Note;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Which comes first in the ancestor's two races, `interrupt_schedule` and `schedule_interrupt`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Cancelled,
    Woken,
}

/// Six coroutines wait, and the first five are cancelled before or after `release`.
///
/// Each logs its number when it goes on, and waits once more: there a cancelled one unwinds, whatever it was given.
fn race(first: First, wait: impl Fn(&dyn Fn()) + Clone + 'static, release: impl FnOnce()) -> Vec<String> {
    let log = Log::new();
    let waiters: Vec<JoinHandle<()>> = (1..=6)
        .map(|number| {
            let (log, wait) = (log.clone(), wait.clone());
            spawn(move || {
                wait(&|| {
                    log.add(number.to_string());
                    yield_now();
                });
            })
        })
        .collect();
    yield_now();
    if first == First::Cancelled {
        waiters[..5].iter().for_each(JoinHandle::cancel);
        release();
    } else {
        release();
        waiters[..5].iter().for_each(JoinHandle::cancel);
    }
    let ended: Vec<_> = waiters.into_iter().map(JoinHandle::join).collect();
    assert!(ended[..5].iter().all(|ended| matches!(ended, Err(JoinError::Cancelled))), "{ended:?}");
    assert!(ended[5].is_ok(), "{ended:?}");
    log.take()
}

/// `SYN-1`, the ancestor's `mutex`: exactly the sixth has the lock, but for the one that was handed it first.
#[test]
fn of_six_for_a_mutex_the_five_cancelled_ones_leave_it_to_the_sixth() {
    for (first, expected) in [(First::Cancelled, &["6"][..]), (First::Woken, &["1", "6"])] {
        test::run(move || {
            let lock = Rc::new(Mutex::new(()));
            let held = lock.lock();
            let waiting = lock.clone();
            let wait = move |go_on: &dyn Fn()| {
                let _held = waiting.lock();
                go_on();
            };
            assert_eq!(race(first, wait, || drop(held)), expected);
            assert_eq!((lock.is_locked(), lock.waiters()), (false, 0));
        });
    }
}

/// `SYN-1`: the same with a lock that each takes twice.
#[test]
fn of_six_for_a_reentrant_mutex_the_five_cancelled_ones_leave_it_to_the_sixth() {
    for (first, expected) in [(First::Cancelled, &["6"][..]), (First::Woken, &["1", "6"])] {
        test::run(move || {
            let lock = Rc::new(ReentrantMutex::new(()));
            let held = lock.lock();
            let waiting = lock.clone();
            let wait = move |go_on: &dyn Fn()| {
                let _held = (waiting.lock(), waiting.lock());
                go_on();
            };
            assert_eq!(race(first, wait, || drop(held)), expected);
            assert_eq!((lock.is_locked(), lock.waiters()), (false, 0));
        });
    }
}

/// `SYN-2`, the ancestor's `semaphore`, of one unit and of five.
#[test]
fn of_six_for_a_semaphore_the_five_cancelled_ones_leave_it_to_the_sixth() {
    let cases = [
        (First::Cancelled, 1, &["6"][..]),
        (First::Cancelled, 5, &["6"]),
        (First::Woken, 1, &["1", "6"]),
        (First::Woken, 5, &["1", "2", "3", "4", "5", "6"]),
    ];
    for (first, units, expected) in cases {
        test::run(move || {
            let semaphore = Rc::new(Semaphore::new(units));
            let held = semaphore.acquire(units);
            let waiting = semaphore.clone();
            let wait = move |go_on: &dyn Fn()| {
                let _held = waiting.acquire(1);
                go_on();
            };
            assert_eq!(race(first, wait, || drop(held)), expected);
            assert_eq!((semaphore.available(), semaphore.waiters()), (units, 0));
        });
    }
}

/// `SYN-3`, the ancestor's `isemaphore`: zero wakes all that wait at that moment.
#[test]
fn of_six_for_a_count_of_zero_only_those_cancelled_before_it_do_not_go_on() {
    for (first, expected) in [(First::Cancelled, &["6"][..]), (First::Woken, &["1", "2", "3", "4", "5", "6"])] {
        test::run(move || {
            let group = Rc::new(WaitGroup::new());
            group.add(1);
            let waiting = group.clone();
            let wait = move |go_on: &dyn Fn()| {
                waiting.wait();
                go_on();
            };
            assert_eq!(race(first, wait, || group.done(1)), expected);
            assert_eq!(group.waiters(), 0);
        });
    }
}

/// `SYN-5`, the ancestor's `condition_variable`.
#[test]
fn of_six_for_news_only_those_cancelled_before_it_are_not_told() {
    for (first, reached, expected) in
        [(First::Cancelled, 1, &["6"][..]), (First::Woken, 6, &["1", "2", "3", "4", "5", "6"])]
    {
        test::run(move || {
            let notify = Rc::new(Notify::new());
            let waiting = notify.clone();
            let wait = move |go_on: &dyn Fn()| {
                waiting.wait().unwrap();
                go_on();
            };
            assert_eq!(race(first, wait, || assert_eq!(notify.wake_all(()), reached)), expected);
            assert_eq!(notify.len(), 0);
        });
    }
}

/// `SYN-4`, the ancestor's `rw_lock`, readers behind a writer.
#[test]
fn of_six_readers_only_those_cancelled_before_the_writer_ends_do_not_read() {
    for (first, expected) in [(First::Cancelled, &["6"][..]), (First::Woken, &["1", "2", "3", "4", "5", "6"])] {
        test::run(move || {
            let lock = Rc::new(RwLock::new(()));
            let held = lock.write();
            let waiting = lock.clone();
            let wait = move |go_on: &dyn Fn()| {
                let _held = waiting.read();
                go_on();
            };
            assert_eq!(race(first, wait, || drop(held)), expected);
            assert_eq!((lock.readers(), lock.is_writing(), lock.waiters()), (0, false, 0));
        });
    }
}

/// `SYN-4`, the ancestor's `rw_lock`, writers behind a reader and behind a writer.
#[test]
fn of_six_writers_the_five_cancelled_ones_leave_the_lock_to_the_sixth() {
    for (first, expected) in [(First::Cancelled, &["6"][..]), (First::Woken, &["1", "6"])] {
        for behind_a_reader in [true, false] {
            test::run(move || {
                let lock = Rc::new(RwLock::new(()));
                let reading = behind_a_reader.then(|| lock.read());
                let writing = (!behind_a_reader).then(|| lock.write());
                let waiting = lock.clone();
                let wait = move |go_on: &dyn Fn()| {
                    let _held = waiting.write();
                    go_on();
                };
                assert_eq!(race(first, wait, || drop((reading, writing))), expected);
                assert_eq!((lock.readers(), lock.is_writing(), lock.waiters()), (0, false, 0));
            });
        }
    }
}

/// The ancestor's `multiple_interrupts`: a cancellation stays the one it is, whatever comes behind it.
#[test]
fn of_a_cancellation_and_a_limit_that_passes_behind_it_the_first_counts() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                let _note = Note(log.clone(), "unwound");
                let _ = with_timeout(SECOND, || sleep(HOUR));
                log.add("not reached");
            }
        });
        yield_now();
        handle.cancel();
        handle.cancel();
        sleep(2 * SECOND);
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["unwound"]);
        assert_eq!(stats().timers, 0);
    });
}

/// The same the other way round: a cancellation is the outermost limit of all, and counts over an inner one that passed.
#[test]
fn of_a_limit_that_has_passed_unnoticed_and_a_cancellation_behind_it_the_outer_counts() {
    test::run(|| {
        let log = Log::new();
        let deadline = now() + SECOND;
        let target: Rc<OnceCell<JoinHandle<()>>> = Rc::default();
        // Its timer is the first of the two at that instant, so it runs between the limit and the one cut off.
        let canceller = spawn({
            let target = target.clone();
            move || {
                sleep_until(deadline);
                let target = target.get().unwrap();
                assert_eq!(target.coroutine().info().state, State::Ready, "its limit has passed");
                target.cancel();
            }
        });
        yield_now();
        let set = target.set(spawn({
            let log = log.clone();
            move || {
                let _note = Note(log.clone(), "unwound");
                let _ = with_timeout(SECOND, || sleep(HOUR));
                log.add("not reached");
            }
        }));
        assert!(set.is_ok());
        canceller.join().unwrap();
        let target = Rc::into_inner(target).unwrap().into_inner().unwrap();
        assert!(matches!(target.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["unwound"]);
    });
}

/// The ancestor's `frame_lock`: frames of several coroutines are left in any order.
#[test]
fn coroutines_unwind_in_the_order_of_their_cancellations_and_not_of_their_calls() {
    fn nested(log: &Log, names: &[&'static str]) {
        let Some((name, rest)) = names.split_first() else { return sleep(HOUR) };
        let _note = Note(log.clone(), name);
        yield_now();
        nested(log, rest);
    }
    test::run(|| {
        let log = Log::new();
        let handles = [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]].map(|names| {
            let log = log.clone();
            spawn(move || nested(&log, &names))
        });
        sleep(SECOND);
        for index in [1, 2, 0] {
            handles[index].cancel();
            yield_now();
        }
        assert_eq!(log.take(), ["b2", "b1", "c2", "c1", "a2", "a1"]);
    });
}

/// The ancestor's `test_coro`: what a coroutine has on its stack is there after every turn of the others.
#[test]
fn values_survive_the_turns_of_others_at_every_depth() {
    fn sum_down(own: u64, depth: u64) -> u64 {
        let here = [own * 1000 + depth; 16];
        yield_now();
        let below = if depth == 0 { 0 } else { sum_down(own, depth - 1) };
        yield_now();
        assert!(here.iter().all(|value| *value == own * 1000 + depth));
        here[0] + below
    }
    test::run(|| {
        let sums = in_parallel((0..20).map(|own| move || sum_down(own, 50))).unwrap();
        let expected: Vec<u64> = (0..20).map(|own| (0..=50).map(|depth| own * 1000 + depth).sum()).collect();
        assert_eq!(sums, expected);
    });
}

/// A file of the test's own, which has no name any more.
fn scratch(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("grapeshot-ancestor-{}-{name}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

const MUCH: usize = 5 << 20;

fn much() -> Vec<u8> {
    (0..MUCH).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}

/// `AIO-1`, the ancestor's `aio`, `read_write` and `leak`: one byte, five megabytes, a hundred ranges of them.
#[test]
fn a_byte_and_megabytes_and_any_range_of_them_are_read_as_written() {
    test::run(|| {
        let (open, data) = (scratch("ranges"), much());
        let before = stats();
        assert_eq!(file::write_at(&open, b"x".to_vec(), 0).unwrap(), 1);
        assert_eq!(file::read_at(&open, 1, 0).unwrap(), b"x");
        assert_eq!(file::write_at(&open, data.clone(), 0).unwrap(), MUCH);
        assert!(file::read_at(&open, MUCH, 0).unwrap() == data);
        for _ in 0..100 {
            let start = random_u64() as usize % MUCH;
            let length = random_u64() as usize % (MUCH - start);
            assert!(file::read_at(&open, length, start as u64).unwrap() == data[start..start + length]);
        }
        let after = stats();
        assert_eq!((after.registrations, after.timers), (before.registrations, before.timers));
        assert_eq!(after.coroutines, before.coroutines);
    });
}

/// `LIO-1`, the ancestor's `lio`: a batch is a number of requests at the same time.
#[test]
fn batches_of_blocks_are_written_and_read_in_parallel() {
    const BLOCK: usize = 65_024;
    test::run(|| {
        let (open, data) = (Rc::new(scratch("batches")), much());
        let blocks: Vec<(u64, Vec<u8>)> =
            data.chunks(BLOCK).enumerate().map(|(index, block)| ((index * BLOCK) as u64, block.to_vec())).collect();
        let places: Vec<(u64, usize)> = blocks.iter().map(|(at, block)| (*at, block.len())).collect();
        let written = in_parallel(blocks.into_iter().map(|(at, block)| {
            let open = open.clone();
            move || file::write_at(&open, block, at).unwrap()
        }));
        assert_eq!(written.unwrap().iter().sum::<usize>(), MUCH);
        let read = in_parallel(places.into_iter().map(|(at, length)| {
            let open = open.clone();
            move || file::read_at(&open, length, at).unwrap()
        }));
        assert!(read.unwrap().concat() == data);
    });
}
