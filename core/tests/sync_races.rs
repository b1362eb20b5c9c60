//! Locks and gates under crowds of coroutines that are cancelled, run out of time and are scheduled at random.
//!
//! Each test runs once for each of a number of seeds, from which follow the order of the run queue and every choice.
//! That nobody waits for ever who could go on is the test runtime's to say: it fails when nothing can run any more.
//!
//! For about ten minutes of it: `GRAPESHOT_SEEDS=40000 cargo test -p grapeshot-core --test sync_races`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are parts of tests")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::sync::{
    Barrier, KeyedLocks, Mutex, Notify, Once, OnceEvent, ReentrantMutex, ReentrantRwLock, RwLock, Semaphore, WaitGroup,
};
use grapeshot_core::test::Test;
use grapeshot_core::{JoinError, JoinHandle, now, random_u64, sleep, spawn, with_timeout, yield_now};

const CROWD: usize = 8;
const ROUNDS: usize = 4;

/// Runs `body` under as many seeds as the environment asks for.
fn on_seeds(body: impl Fn() + Copy + 'static) {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(200, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let told = SaySeed(seed);
        Test::new().seed(seed).run(body);
        drop(told);
    }
}

/// Says on the way out of a failing test which seed it was.
struct SaySeed(u64);

impl Drop for SaySeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with Test::new().seed({})", self.0);
        }
    }
}

fn below(limit: u64) -> u64 {
    random_u64() % limit
}

fn some_time() -> Duration {
    Duration::from_millis(below(5))
}

/// Lets others run, or does not.
fn pause() {
    match below(3) {
        0 => {}
        1 => yield_now(),
        _ => sleep(some_time()),
    }
}

/// Does something, often under a limit; `None` when that passed first.
fn limited<T>(f: impl FnOnce() -> T) -> Option<T> {
    if below(2) == 0 { Some(f()) } else { with_timeout(some_time(), f).ok() }
}

/// Spawns coroutines that do something again and again, cancels some, and waits for all.
///
/// `check` runs between the milliseconds, when everyone has gone as far as they can.
fn crowd(body: impl Fn() + Clone + 'static, check: impl Fn() + 'static) {
    let checker = spawn(move || {
        sleep(Duration::from_micros(500));
        loop {
            check();
            sleep(Duration::from_millis(1));
        }
    });
    let members = members(body);
    cancel_some(&members);
    members.into_iter().for_each(judge);
    checker.cancel();
    judge(checker);
}

fn members(body: impl Fn() + Clone + 'static) -> Vec<JoinHandle<()>> {
    let member = |_| {
        let body = body.clone();
        spawn(move || {
            for _ in 0..ROUNDS {
                pause();
                body();
            }
        })
    };
    (0..CROWD).map(member).collect()
}

fn cancel_some(members: &[JoinHandle<()>]) {
    for _ in 0..below(CROWD as u64) {
        pause();
        members[below(CROWD as u64) as usize].cancel();
    }
}

/// A member may be cancelled, but what it asserts must hold.
fn judge(member: JoinHandle<()>) {
    match member.join() {
        Ok(()) | Err(JoinError::Cancelled) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A count that goes up while something is held, however that ends.
#[derive(Clone, Default)]
struct Count(Rc<Cell<usize>>);

impl Count {
    fn up(&self, by: usize) -> Up {
        self.0.set(self.0.get() + by);
        Up(self.clone(), by)
    }

    fn get(&self) -> usize {
        self.0.get()
    }

    /// Counts something that stays.
    fn add(&self, by: usize) {
        self.0.set(self.0.get() + by);
    }
}

struct Up(Count, usize);

impl Drop for Up {
    fn drop(&mut self) {
        self.0.0.set(self.0.get() - self.1);
    }
}

/// `SYN-1`: one holder at a time, and a lock that is free in the end.
#[test]
fn a_mutex_has_one_holder_and_is_never_lost() {
    on_seeds(|| {
        let (lock, inside) = (Rc::new(Mutex::new(0)), Count::default());
        let (shared, watched) = (lock.clone(), lock.clone());
        let body = move || {
            limited(|| {
                let held = match below(3) {
                    0 => shared.try_lock(),
                    1 => shared.lock_until(now() + some_time()).ok(),
                    _ => Some(shared.lock()),
                };
                let Some(mut held) = held else { return };
                let _inside = inside.up(1);
                assert_eq!(inside.get(), 1);
                *held += 1;
                pause();
            });
        };
        crowd(body, move || assert!(watched.is_locked() || watched.waiters() == 0));
        assert_eq!((lock.is_locked(), lock.waiters()), (false, 0));
    });
}

/// `SYN-1`: the same with a lock that is taken several times over.
#[test]
fn a_reentrant_mutex_has_one_holder_and_is_never_lost() {
    on_seeds(|| {
        let (lock, inside) = (Rc::new(ReentrantMutex::new(())), Count::default());
        let (shared, watched) = (lock.clone(), lock.clone());
        let body = move || {
            limited(|| {
                let outer = shared.lock();
                let _inside = inside.up(1);
                assert_eq!(inside.get(), 1);
                pause();
                let inner = shared.lock_until(now()).unwrap();
                pause();
                if below(2) == 0 {
                    drop(outer);
                }
                pause();
                drop(inner);
            });
        };
        crowd(body, move || assert!(watched.is_locked() || watched.waiters() == 0));
        assert_eq!((lock.is_locked(), lock.waiters()), (false, 0));
    });
}

/// `SYN-2`: no more units are out than there are, and all come back.
#[test]
fn a_semaphore_keeps_its_units() {
    const UNITS: usize = 5;
    on_seeds(|| {
        let (semaphore, out) = (Rc::new(Semaphore::new(UNITS)), Count::default());
        let (shared, watched) = (semaphore.clone(), semaphore.clone());
        let line = Line::default();
        let first = line.clone();
        let body = move || {
            limited(|| {
                let units = below(UNITS as u64 + 1) as usize;
                let place = RefCell::new(None);
                let hold = || {
                    place.take();
                    let _out = out.up(units);
                    assert!(out.get() + shared.available() <= UNITS);
                    pause();
                };
                let choice = below(4);
                if choice > 0 {
                    place.replace(Some(line.enter(units)));
                }
                match choice {
                    0 => drop(shared.try_acquire_owned(units).inspect(|_| hold())),
                    1 => drop(shared.acquire_until(units, now() + some_time()).inspect(|_| hold())),
                    2 => {
                        let _permit = shared.acquire_owned(units);
                        hold();
                    }
                    _ => {
                        let _permit = shared.acquire(units);
                        hold();
                    }
                }
            });
            shared.release(0);
        };
        crowd(body, move || assert!(first.first().is_none_or(|units| units > watched.available())));
        assert_eq!((semaphore.available(), semaphore.waiters()), (UNITS, 0));
    });
}

/// Who waits, and for how much, in the order in which they came.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<Vec<Rc<usize>>>>);

impl Line {
    fn enter(&self, units: usize) -> Place {
        let place = Rc::new(units);
        self.0.borrow_mut().push(place.clone());
        Place(self.clone(), place)
    }

    fn first(&self) -> Option<usize> {
        self.0.borrow().first().map(|units| **units)
    }
}

struct Place(Line, Rc<usize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.borrow_mut().retain(|place| !Rc::ptr_eq(place, &self.1));
    }
}

/// `SYN-4`: one writer or many readers, and nobody left behind, whichever of them gives up.
#[test]
fn a_lock_for_readers_and_writers_has_either_and_is_never_lost() {
    on_seeds(|| {
        let (lock, readers, writers) = (Rc::new(RwLock::new(0)), Count::default(), Count::default());
        let (shared, watched) = (lock.clone(), lock.clone());
        let wants = Count::default();
        let wanted = wants.clone();
        let body = move || {
            limited(|| {
                let reading = match below(5) {
                    0 => shared.try_read(),
                    1 => shared.read_until(now() + some_time()).ok(),
                    2 => Some(shared.read()),
                    choice => {
                        let _wants = wants.up(1);
                        let writing = if choice == 3 { Some(shared.write()) } else { None };
                        let writing = writing.or_else(|| shared.write_until(now() + some_time()).ok());
                        let Some(mut writing) = writing else { return };
                        let writes = writers.up(1);
                        *writing += 1;
                        assert_eq!((writers.get(), readers.get()), (1, 0));
                        pause();
                        drop(writes);
                        (below(2) == 0).then(|| writing.downgrade())
                    }
                };
                let Some(seen) = reading else { return };
                let _reads = readers.up(1);
                let before = *seen;
                assert_eq!(writers.get(), 0);
                pause();
                assert_eq!(*seen, before);
            });
        };
        // Whoever waits does so for a writer, or to be one.
        crowd(body, move || assert!(watched.waiters() == 0 || wanted.get() > 0));
        assert_eq!((lock.is_writing(), lock.readers(), lock.waiters()), (false, 0, 0));
    });
}

/// `SYN-4`: the same with a lock that is taken several times over.
#[test]
fn a_reentrant_lock_for_readers_and_writers_has_either_and_is_never_lost() {
    on_seeds(|| {
        let (lock, readers, writers) = (Rc::new(ReentrantRwLock::new(())), Count::default(), Count::default());
        let (shared, watched) = (lock.clone(), lock.clone());
        let wants = Count::default();
        let wanted = wants.clone();
        let body = move || {
            limited(|| {
                if below(2) == 0 {
                    let _wants = wants.up(1);
                    let writing = shared.write();
                    let writes = writers.up(1);
                    assert_eq!((writers.get(), readers.get()), (1, 0));
                    pause();
                    let again = shared.write();
                    let reading = shared.read();
                    pause();
                    drop(writing);
                    pause();
                    drop(writes);
                    drop(again);
                    pause();
                    drop(reading);
                } else {
                    let _reading = shared.read();
                    let _reads = readers.up(1);
                    assert_eq!(writers.get(), 0);
                    pause();
                    let _again = shared.read();
                    pause();
                }
            });
        };
        crowd(body, move || assert!(watched.waiters() == 0 || wanted.get() > 0));
        assert_eq!((lock.is_writing(), lock.readers(), lock.waiters()), (false, 0, 0));
    });
}

/// `SYN-5`: each wake that says it reached somebody did.
#[test]
fn notifications_reach_as_many_as_they_say() {
    on_seeds(|| {
        let (notify, sent, received) = (Rc::new(Notify::new()), Count::default(), Count::default());
        let (shared, counted, arrived) = (notify.clone(), sent.clone(), received.clone());
        let listen = move || {
            let heard = match below(2) {
                0 => limited(|| shared.wait().inspect(|_| arrived.add(1))),
                _ => Some(shared.wait_until(now() + some_time()).inspect(|_| arrived.add(1))),
            };
            drop(heard);
            counted.add(match below(4) {
                0 => usize::from(shared.wake_one(Rc::new(1))),
                1 => shared.wake_n(2, Rc::new(2)),
                2 => shared.wake_all(Rc::new(3)),
                _ => 0,
            });
        };
        let members = members(listen);
        cancel_some(&members);
        while members.iter().any(|member| !member.is_finished()) {
            sleep(Duration::from_millis(1));
            sent.add(usize::from(notify.wake_one(Rc::new(4))));
        }
        members.into_iter().for_each(judge);
        assert_eq!((sent.get(), notify.len()), (received.get(), 0));
    });
}

/// `SYN-3`: who waits for zero goes on when it has been zero, and not before.
#[test]
fn a_wait_for_zero_ends_when_it_was_zero() {
    on_seeds(|| {
        let (group, zeros) = (Rc::new(WaitGroup::new()), Count::default());
        let (shared, watched) = (group.clone(), group.clone());
        let body = move || {
            limited(|| {
                if below(2) == 0 {
                    let member = shared.enter();
                    let last = NoteZero { group: shared.clone(), zeros: zeros.clone() };
                    pause();
                    drop((member, last));
                } else {
                    let (was_zero, before) = (shared.count() == 0, zeros.get());
                    shared.wait();
                    assert!(was_zero || zeros.get() > before);
                }
            });
        };
        crowd(body, move || assert!(watched.count() > 0 || watched.waiters() == 0));
        assert_eq!((group.count(), group.waiters()), (0, 0));
    });
}

/// Counts how often the group has come to zero; dropped right after, or before, a member.
struct NoteZero {
    group: Rc<WaitGroup>,
    zeros: Count,
}

impl Drop for NoteZero {
    fn drop(&mut self) {
        // On unwinding it is dropped first, when the member still counts.
        let left = usize::from(std::thread::panicking());
        if self.group.count() == left {
            self.zeros.add(1);
        }
    }
}

/// `SYN-7`: an event reaches everyone, early or late.
#[test]
fn an_event_leaves_nobody_waiting() {
    on_seeds(|| {
        let event = Rc::new(OnceEvent::new());
        let shared = event.clone();
        let members = members(move || match below(16) {
            0 => drop(shared.fire(7)),
            1..9 => drop(limited(|| assert_eq!(*shared.wait(), 7))),
            _ => drop(shared.wait_until(now() + some_time())),
        });
        cancel_some(&members);
        let _ = event.fire(7);
        members.into_iter().for_each(judge);
        assert_eq!(event.waiters(), 0);
    });
}

/// Of those who have come, as many as a barrier is for go on, and fewer stay.
#[test]
fn a_barrier_lets_exactly_its_number_go_on() {
    on_seeds(|| {
        let (barrier, passed, led) = (Rc::new(Barrier::new(3)), Count::default(), Count::default());
        let (shared, passes, leads) = (barrier.clone(), passed.clone(), led.clone());
        let members = members(move || {
            limited(|| {
                let is_leader = shared.wait().is_leader();
                passes.add(1);
                leads.add(usize::from(is_leader));
            });
        });
        cancel_some(&members);
        sleep(Duration::from_secs(1));
        assert_eq!(passed.get(), led.get() * 3);
        assert!(barrier.waiters() < 3);
        members.iter().for_each(JoinHandle::cancel);
        members.into_iter().for_each(judge);
        assert_eq!(barrier.waiters(), 0);
    });
}

/// One initialiser at a time, one that succeeds, and everyone gets what it made.
#[test]
fn a_value_is_made_once_whoever_fails_to() {
    on_seeds(|| {
        let (once, making, made) = (Rc::new(Once::new()), Count::default(), Count::default());
        let (shared, counted) = (once.clone(), made.clone());
        let (asking, makers) = (Count::default(), making.clone());
        let asked = asking.clone();
        let body = move || {
            let _asks = asking.up(1);
            let make = || {
                let _making = making.up(1);
                assert_eq!(making.get(), 1);
                pause();
                if below(2) == 0 {
                    return Err("not this time");
                }
                counted.add(1);
                Ok(counted.get())
            };
            if let Some(Ok(value)) = limited(|| shared.get_or_try_init(make).copied()) {
                assert_eq!(value, 1);
            }
        };
        crowd(body, move || assert!(asked.get() == 0 || makers.get() == 1));
        assert_eq!(made.get(), once.get().copied().unwrap_or(0));
    });
}

/// `SYN-9`: one holder of each key, nobody else while one holds all, and no circle that stays.
#[test]
fn keyed_locks_have_one_holder_each_and_no_circle_stays() {
    on_seeds(|| {
        let locks = Rc::new(KeyedLocks::new());
        let (shared, watched, all) = (locks.clone(), locks.clone(), Count::default());
        let holds_all = all.clone();
        let holders: Rc<RefCell<HashMap<u64, Count>>> = Rc::default();
        let body = move || {
            limited(|| {
                if below(8) == 0 {
                    let _held = shared.lock_all().unwrap();
                    let _all = all.up(1);
                    assert!(holders.borrow().values().all(|count| count.get() == 0));
                    pause();
                    return;
                }
                let mut held = Vec::new();
                for _ in 0..1 + below(3) {
                    let key = below(3);
                    let Ok(guard) = shared.lock(key) else { return };
                    let count = holders.borrow_mut().entry(key).or_default().clone();
                    held.push((count.up(1), guard));
                    assert_eq!((count.get(), all.get()), (1, 0));
                    pause();
                }
            });
        };
        // Not every minute, which would be a minute of checks; and never between the milliseconds.
        let scans = spawn({
            let locks = locks.clone();
            move || {
                loop {
                    sleep(Duration::from_millis(1));
                    locks.deadlock_scan();
                    assert_eq!(locks.deadlock_scan(), 0);
                }
            }
        });
        crowd(body, move || assert!(!watched.is_empty() || holds_all.get() > 0 || watched.waiters() == 0));
        scans.cancel();
        judge(scans);
        assert_eq!((locks.len(), locks.waiters()), (0, 0));
    });
}
