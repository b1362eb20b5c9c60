//! Threads that do jobs from one queue.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{JoinError, PoolError, WorkerPool, sleep, spawn, yield_now, yield_slice};

/// BEA-5: a request and its result.
#[test]
fn a_worker_runs_a_job_and_its_result_comes_back() {
    test::run(|| {
        let pool = WorkerPool::new(2);
        let here = thread::current().id();
        assert_ne!(pool.apply(|| thread::current().id()).unwrap(), here);
        assert_eq!(pool.apply_async(|| 6 * 7).unwrap().join().unwrap(), 42);
    });
}

/// BEA-5: `map(f, seq)` in order.
#[test]
fn results_of_a_map_are_in_the_order_of_the_items() {
    test::run(|| {
        let pool = WorkerPool::new(3);
        let squares: Vec<u64> = (0..1000).map(|number| number * number).collect();
        assert_eq!(pool.map(|number: u64| number * number, 0..1000), squares);
        for chunk in [1, 7, 1000, 5000] {
            assert_eq!(pool.map_chunked(chunk, |number: u64| number * number, 0..1000), squares);
        }
        assert_eq!(pool.map(|number: u8| number, []), []);
    });
}

#[test]
fn there_are_never_more_threads_than_asked_for() {
    test::run(|| {
        let pool = WorkerPool::new(2);
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let noted = seen.clone();
        pool.map_chunked(1, move |_| noted.lock().unwrap().insert(thread::current().id()), 0..200);
        assert!((1..=2).contains(&seen.lock().unwrap().len()));
        assert!(pool.threads() <= 2);
    });
}

#[test]
fn a_pool_serves_threads_that_have_no_runtime() {
    let pool = WorkerPool::new(2);
    assert_eq!(pool.apply(|| 7).unwrap(), 7);
    assert_eq!(pool.map(|number| number + 1, [1, 2, 3]), [2, 3, 4]);
    assert!(pool.join());
}

/// BEA-5: the tricky bit of a shutdown is that every worker gets to know.
#[test]
fn after_a_close_the_queue_is_worked_off_and_every_worker_ends() {
    test::run(|| {
        let pool = WorkerPool::new(4);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let done = done.clone();
            drop(pool.apply_async(move || done.fetch_add(1, Ordering::SeqCst)).unwrap());
        }
        assert!(pool.join());
        assert_eq!((done.load(Ordering::SeqCst), pool.threads()), (100, 0));
        assert!(matches!(pool.apply(|| ()), Err(PoolError::Closed)));
        assert!(matches!(pool.apply_async(|| ()), Err(PoolError::Closed)));
    });
}

/// BEA-5: terminate.
#[test]
fn a_terminated_pool_leaves_what_waits_undone() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let running = pool
            .apply_async(move || {
                begin.send(()).unwrap();
                released.recv()
            })
            .unwrap();
        let waiting = pool.apply_async(|| "never").unwrap();
        grapeshot_core::offload(move || begun.recv().unwrap());
        pool.terminate();
        assert!(matches!(waiting.join(), Err(JoinError::Cancelled)));
        release.send(()).unwrap();
        assert!(running.join().unwrap().is_ok());
        assert!(pool.join());
    });
}

#[test]
fn dropping_the_last_clone_closes_the_pool() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let clone = pool.clone();
        drop(pool);
        let handle = clone.apply_async(|| "still done").unwrap();
        drop(clone);
        assert_eq!(handle.join().unwrap(), "still done");
    });
}

#[test]
fn a_panic_reaches_who_asked_and_the_worker_goes_on() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let failing = pool.apply_async(|| -> u8 { panic!("bad job") }).unwrap();
        let JoinError::Panicked(panic) = failing.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "bad job");
        assert_eq!(pool.apply(|| 1).unwrap(), 1);
        let caller = spawn({
            let pool = pool.clone();
            move || pool.apply(|| -> u8 { panic!("bad again") })
        });
        let JoinError::Panicked(panic) = caller.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "bad again");
    });
}

#[test]
fn a_map_goes_on_with_the_panic_of_the_first_item_that_has_one() {
    test::run(|| {
        let pool = WorkerPool::new(2);
        let mapping = spawn(move || {
            pool.map_chunked(1, |number| assert!(!matches!(number, 3 | 5), "item {number}"), 0..10);
        });
        let JoinError::Panicked(panic) = mapping.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "item 3");
    });
}

#[test]
fn a_full_queue_makes_the_caller_wait_and_others_run() {
    test::run(|| {
        let pool = WorkerPool::with_queue(1, 1);
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let first = pool
            .apply_async(move || {
                begin.send(()).unwrap();
                released.recv()
            })
            .unwrap();
        begun.recv().unwrap();
        let second = pool.apply_async(|| 2).unwrap();
        let log = Log::new();
        let noted = log.clone();
        let waiting = spawn({
            let pool = pool.clone();
            move || {
                let third = pool.apply_async(|| 3).unwrap();
                noted.add("there was room");
                third.join().unwrap()
            }
        });
        yield_now();
        assert!(log.take().is_empty());
        release.send(()).unwrap();
        assert_eq!(waiting.join().unwrap(), 3);
        assert_eq!(second.join().unwrap(), 2);
        assert!(first.join().unwrap().is_ok());
    });
}

/// DESIGN §4: room that was given to one who is cancelled goes to the next.
#[test]
fn whoever_is_cancelled_while_the_queue_is_full_keeps_nobody_else_out() {
    for seed in 0..20 {
        Test::new().seed(seed).run(|| {
            let pool = WorkerPool::with_queue(1, 1);
            let done = Arc::new(AtomicUsize::new(0));
            let callers: Vec<_> = (0..12)
                .map(|_| {
                    let (pool, done) = (pool.clone(), done.clone());
                    spawn(move || pool.apply(move || done.fetch_add(1, Ordering::SeqCst)).unwrap())
                })
                .collect();
            (0..grapeshot_core::random_u64() % 6).for_each(|_| yield_slice());
            for _ in 0..4 {
                callers[grapeshot_core::random_u64() as usize % callers.len()].cancel();
            }
            let ended = callers.into_iter().filter_map(|caller| caller.join().ok()).count();
            assert!(ended >= 8 && done.load(Ordering::SeqCst) >= ended);
            assert!(pool.join());
        });
    }
}

#[test]
fn a_cancelled_job_that_has_not_begun_is_left_undone() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let (release, released) = mpsc::channel::<()>();
        let first = pool.apply_async(move || released.recv()).unwrap();
        let second = pool.apply_async(|| "never").unwrap();
        second.cancel();
        release.send(()).unwrap();
        assert!(matches!(second.join(), Err(JoinError::Cancelled)));
        assert!(first.join().unwrap().is_ok());
    });
}

struct JoinsInDrop(Log, WorkerPool);

impl Drop for JoinsInDrop {
    fn drop(&mut self) {
        let (release, released) = mpsc::channel::<()>();
        let job = self.1.apply_async(move || released.recv());
        self.0.add(format!("{:?}", job.map(|job| job.join().map_err(drop))));
        self.0.add(if self.1.join() { "ended" } else { "could not wait" });
        drop(release);
    }
}

#[test]
fn a_coroutine_that_unwinds_is_refused_instead_of_waiting() {
    test::run(|| {
        let log = Log::new();
        let inner = log.clone();
        let cancelled = spawn(move || {
            let _joins = JoinsInDrop(inner, WorkerPool::new(1));
            sleep(Duration::from_secs(1));
        });
        yield_now();
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert_eq!(log.take(), ["Ok(Err(()))", "could not wait"]);
    });
}

#[test]
fn a_worker_that_joins_its_own_pool_is_told_so() {
    let pool = WorkerPool::new(1);
    let inner = pool.clone();
    let JoinError::Panicked(panic) = pool.apply_async(move || inner.join()).unwrap().join().unwrap_err() else {
        panic!("no panic")
    };
    let message = panic.message();
    assert!(message.contains("WorkerPool(1 of 1 threads") && message.contains("a job of its own"), "{message}");
    assert_eq!(pool.apply(|| "goes on").unwrap(), "goes on");
    assert!(pool.join());
}

struct JoinsPool(WorkerPool, mpsc::Sender<bool>);

impl Drop for JoinsPool {
    fn drop(&mut self) {
        // The test looks at what comes.
        let _ = self.1.send(self.0.join());
    }
}

#[test]
fn a_job_that_unwinds_does_not_wait_for_its_own_pool() {
    let pool = WorkerPool::new(1);
    let (answer, answered) = mpsc::channel();
    let joins = JoinsPool(pool.clone(), answer);
    let job = pool.apply_async(move || {
        let _joins = joins;
        panic!("unwinds")
    });
    let ended: Result<(), JoinError> = job.unwrap().join();
    assert!(matches!(ended, Err(JoinError::Panicked(_))));
    assert!(!answered.recv().unwrap());
    assert!(pool.join());
}

#[test]
fn a_job_may_wait_for_another_on_the_only_worker() {
    test::run(|| {
        let pool = WorkerPool::new(1);
        let (one, two, three) = (pool.clone(), pool.clone(), pool.clone());
        let deeper = pool.clone();
        assert_eq!(pool.apply(move || one.apply(move || deeper.apply(|| 1).unwrap() + 1).unwrap() + 1).unwrap(), 3);
        assert_eq!(pool.apply(move || two.apply_async(|| 2).unwrap().join().unwrap()).unwrap(), 2);
        let failing = pool.apply_async(move || three.apply(|| -> u8 { panic!("inner") }).unwrap()).unwrap();
        let JoinError::Panicked(panic) = failing.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "inner");
        assert!(pool.join());
    });
}

#[test]
fn jobs_that_bring_more_than_the_queue_holds_do_it_themselves() {
    test::run(|| {
        let pool = WorkerPool::with_queue(2, 1);
        let inner = pool.clone();
        let sums = pool.map_chunked(
            1,
            move |number: u64| inner.map_chunked(1, move |more: u64| number * more, 0..10).into_iter().sum::<u64>(),
            0..20,
        );
        assert_eq!(sums, (0..20).map(|number| number * 45).collect::<Vec<_>>());
        let inner = pool.clone();
        let done = pool.apply(move || {
            let handles: Vec<_> = (0..10).map(|number| inner.apply_async(move || number).unwrap()).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(done.unwrap(), (0..10).collect::<Vec<_>>());
        assert!(pool.join());
    });
}

/// What a job takes out of the queue and does itself makes room there.
#[test]
fn a_job_taken_out_of_the_queue_lets_the_next_one_in() {
    test::run(|| {
        let pool = WorkerPool::with_queue(1, 1);
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let inner = pool.clone();
        let nested = pool
            .apply_async(move || {
                let queued = inner.apply_async(|| 1).unwrap();
                begin.send(()).unwrap();
                released.recv().unwrap();
                queued.join().unwrap()
            })
            .unwrap();
        begun.recv().unwrap();
        let waiting = spawn({
            let pool = pool.clone();
            move || pool.apply(|| 2).unwrap()
        });
        yield_now();
        release.send(()).unwrap();
        assert_eq!((nested.join().unwrap(), waiting.join().unwrap()), (1, 2));
        assert!(pool.join());
    });
}
