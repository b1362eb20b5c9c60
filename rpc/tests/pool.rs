//! The pool over stub callers, under virtual time.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{scope, sleep, spawn, test, with_timeout};
use grapeshot_rpc::pool::{Pool, PoolOptions};
use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, Failure, OpenCall, Request, StreamError};

const SECOND: Duration = Duration::from_secs(1);

/// How many connections were opened, and how many there are.
#[derive(Clone, Default)]
struct Counts {
    opened: Rc<Cell<usize>>,
    alive: Rc<Cell<usize>>,
}

/// Answers each call with its number, after as many milliseconds as its parameter says.
struct Stub {
    number: usize,
    counts: Counts,
}

impl Counts {
    fn open(&self) -> impl Fn() -> Stub + 'static {
        let counts = self.clone();
        move || {
            counts.opened.set(counts.opened.get() + 1);
            counts.alive.set(counts.alive.get() + 1);
            Stub { number: counts.opened.get(), counts: counts.clone() }
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.counts.alive.set(self.counts.alive.get() - 1);
    }
}

impl Caller for Stub {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        let [millis] = Encoded::from_bytes(request.params.to_vec()).decode::<[u64; 1]>().unwrap();
        sleep(Duration::from_millis(millis));
        Ok(Encoded::of(&self.number).unwrap())
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.exchange(request).map(drop)
    }

    fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        Ok(Box::new(StubCall))
    }
}

struct StubCall;

impl OpenCall for StubCall {
    fn send_item(&self, _: &[u8]) -> Result<(), StreamError> {
        Ok(())
    }

    fn end_items(&self, _: Option<&Failure>) {}

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(None)
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        Ok(Encoded::nil())
    }
}

fn pool(counts: &Counts, change: impl FnOnce(&mut PoolOptions)) -> Pool<Stub> {
    let mut options = PoolOptions::default();
    options.calls_per_connection = 2;
    options.max = 3;
    change(&mut options);
    Pool::with_options(options, counts.open())
}

/// Calls the pool for so many milliseconds, and says which connection answered.
fn call(pool: &Pool<Stub>, millis: u64) -> usize {
    let params = Encoded::of(&[millis]).unwrap();
    let request = Request { method: "wait", params: params.as_bytes(), options: &CallOptions::default() };
    pool.exchange(&request).unwrap().decode().unwrap()
}

fn in_flight(pool: &Pool<Stub>) -> Vec<usize> {
    pool.connections().iter().map(|connection| connection.in_flight).collect()
}

#[test]
fn calls_one_after_the_other_use_one_connection() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |_| {});
        assert_eq!(counts.opened.get(), 0);
        assert!((0..10).all(|_| call(&pool, 1) == 1));
    });
}

#[test]
fn another_connection_is_opened_when_all_are_full_and_no_more_than_allowed() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |_| {});
        scope(|scope| {
            let mut opened = Vec::new();
            for _ in 0..9 {
                scope.spawn(|| call(&pool, 1000));
                sleep(SECOND / 100);
                opened.push(counts.opened.get());
            }
            assert_eq!(opened, [1, 1, 2, 2, 3, 3, 3, 3, 3]);
            assert_eq!(in_flight(&pool), [3, 3, 3], "beyond the limit the least loaded gets them");
        });
        assert_eq!(in_flight(&pool), [0, 0, 0]);
    });
}

#[test]
fn idle_connections_are_closed_by_a_timer_down_to_the_minimum() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |_| {});
        scope(|scope| (0..6).for_each(|_| drop(scope.spawn(|| call(&pool, 1000)))));
        assert_eq!(counts.alive.get(), 3);
        sleep(59 * SECOND);
        assert_eq!(counts.alive.get(), 3);
        sleep(2 * SECOND);
        assert_eq!(counts.alive.get(), 1);
        sleep(3600 * SECOND);
        assert_eq!(counts.alive.get(), 1);
    });
}

#[test]
fn a_minimum_of_none_closes_all() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |options| options.min = 0);
        call(&pool, 1);
        sleep(61 * SECOND);
        assert_eq!((counts.alive.get(), pool.connections().len()), (0, 0));
        assert_eq!(call(&pool, 1), 2);
    });
}

#[test]
fn a_connection_in_use_is_not_closed_however_long_its_call_takes() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |options| options.min = 0);
        assert_eq!(call(&pool, 600_000), 1);
        assert_eq!(counts.alive.get(), 1);
        sleep(SECOND * 59);
        assert_eq!(counts.alive.get(), 1, "it has been idle since its call ended");
        sleep(SECOND * 62);
        assert_eq!(counts.alive.get(), 0);
    });
}

#[test]
fn a_call_with_streams_counts_until_it_is_over() {
    test::run(|| {
        let counts = Counts::default();
        let pool = pool(&counts, |_| {});
        let request = Request { method: "wait", params: &[0x90], options: &CallOptions::default() };
        let open = pool.open(&request).unwrap();
        let dropped = pool.open(&request).unwrap();
        assert_eq!(in_flight(&pool), [2]);
        drop(dropped);
        assert_eq!(in_flight(&pool), [1]);
        open.finish().unwrap();
        assert_eq!(in_flight(&pool), [0]);
    });
}

#[test]
fn a_call_that_is_cut_off_counts_no_longer() {
    test::run(|| {
        let counts = Counts::default();
        let pool = Rc::new(pool(&counts, |_| {}));
        let other = pool.clone();
        let cancelled = spawn(move || call(&other, 10_000));
        assert!(with_timeout(SECOND, || call(&pool, 10_000)).is_err());
        assert_eq!(in_flight(&pool), [1]);
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert_eq!(in_flight(&pool), [0]);
    });
}
