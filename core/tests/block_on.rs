//! Futures run to their end by coroutines and by threads.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    JoinError, Reason, block_on, coroutines, offload, random_u64, sleep, spawn, with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// A future that is ready once it has been fired, from any thread.
#[derive(Clone, Default)]
struct Fuse(Arc<Mutex<(bool, Option<Waker>)>>);

impl Fuse {
    fn state(&self) -> MutexGuard<'_, (bool, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self) {
        let waker = {
            let mut state = self.state();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn waker(&self) -> Option<Waker> {
        self.state().1.clone()
    }
}

impl Future for Fuse {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.1 = Some(context.waker().clone());
        if state.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn a_ready_future_gives_its_output() {
    test::run(|| assert_eq!(block_on(async { ready(6).await * 7 }), 42));
}

#[test]
fn a_coroutine_parks_until_its_waker_fires() {
    test::run(|| {
        let fuse = Fuse::default();
        let waiting = spawn({
            let fuse = fuse.clone();
            move || block_on(fuse)
        });
        yield_now();
        let info = coroutines().into_iter().find(|info| info.id == waiting.coroutine().id()).unwrap();
        assert_eq!(info.reason, Some(Reason::Other("a future")));
        fuse.fire();
        waiting.join().unwrap();
    });
}

#[test]
fn a_waker_works_from_another_thread() {
    Test::new().real_time().run(|| {
        let fuse = Fuse::default();
        let elsewhere = thread::spawn({
            let fuse = fuse.clone();
            move || {
                while fuse.waker().is_none() {
                    thread::yield_now();
                }
                fuse.fire();
            }
        });
        block_on(fuse);
        elsewhere.join().unwrap();
    });
}

#[test]
fn a_waker_outlives_the_wait_the_coroutine_and_the_runtime() {
    let fuse = Fuse::default();
    let waker = test::run({
        let fuse = fuse.clone();
        move || {
            let waiting = spawn({
                let fuse = fuse.clone();
                move || block_on(fuse)
            });
            yield_now();
            let waker = fuse.waker().unwrap();
            fuse.fire();
            waiting.join().unwrap();
            waker.wake_by_ref();
            // Nor does it end the wait of another future.
            assert!(with_timeout(SECOND, || block_on(pending::<()>())).is_err());
            waker
        }
    });
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
}

/// A waker kept by the first future must not stand for the second.
#[test]
fn late_wakes_do_not_poll_the_next_future() {
    test::run(|| {
        let fuse = Fuse::default();
        fuse.fire();
        block_on(fuse.clone());
        let polls = Rc::new(Cell::new(0));
        let waiting = spawn({
            let polls = polls.clone();
            move || {
                block_on(poll_fn(|_| {
                    polls.set(polls.get() + 1);
                    Poll::<()>::Pending
                }));
            }
        });
        yield_now();
        fuse.waker().unwrap().wake();
        sleep(SECOND);
        assert_eq!(polls.get(), 1);
        waiting.cancel();
    });
}

#[test]
fn a_wake_during_the_poll_is_not_lost_and_others_get_their_turn() {
    test::run(|| {
        let log = Log::new();
        let noted = log.clone();
        let neighbour = spawn(move || noted.add("neighbour"));
        let mut left = 3;
        block_on(poll_fn(|context| {
            log.add(format!("poll {left}"));
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        neighbour.join().unwrap();
        assert_eq!(log.take(), ["poll 3", "neighbour", "poll 2", "poll 1"]);
    });
}

#[test]
fn a_block_on_inside_a_future_works() {
    test::run(|| {
        let (inner, outer) = (Fuse::default(), Fuse::default());
        let firing = spawn({
            let (inner, outer) = (inner.clone(), outer.clone());
            move || {
                inner.fire();
                sleep(SECOND);
                outer.fire();
            }
        });
        block_on(async move {
            block_on(inner);
            outer.await;
        });
        firing.join().unwrap();
    });
}

struct OnDrop(Log);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add("the future was dropped");
    }
}

#[test]
fn cancelling_drops_the_future_in_place() {
    test::run(|| {
        let log = Log::new();
        let noted = log.clone();
        let waiting = spawn(move || {
            let held = OnDrop(noted.clone());
            block_on(async move {
                let _held = held;
                pending::<()>().await;
            });
            noted.add("not reached");
        });
        yield_now();
        waiting.cancel();
        assert!(matches!(waiting.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["the future was dropped"]);
    });
}

#[test]
fn a_time_limit_cuts_a_future_off() {
    test::run(|| assert!(with_timeout(SECOND, || block_on(pending::<()>())).is_err()));
}

#[test]
fn a_panic_of_the_future_is_the_coroutines() {
    test::run(|| {
        let failing = spawn(|| block_on(async { panic!("inside the future") }));
        let JoinError::Panicked(panic) = failing.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "inside the future");
        assert_eq!(block_on(ready(1)), 1);
    });
}

#[test]
fn a_thread_without_a_runtime_blocks() {
    let fuse = Fuse::default();
    let elsewhere = thread::spawn({
        let fuse = fuse.clone();
        move || fuse.fire()
    });
    block_on(fuse);
    elsewhere.join().unwrap();
}

#[test]
fn one_thread_uses_it_in_and_out_of_runtimes() {
    for _ in 0..3 {
        assert_eq!(block_on(ready(1)), 1);
        test::run(|| assert_eq!(block_on(ready(2)), 2));
    }
}

#[test]
fn a_future_may_wait_on_what_coroutines_wait_on() {
    test::run(|| {
        let value = block_on(async {
            sleep(SECOND);
            offload(|| 7)
        });
        assert_eq!(value, 7);
    });
}

/// No wake is lost, whoever fires it and whenever it comes.
#[test]
fn on_every_schedule_every_future_that_is_fired_ends() {
    for seed in 0..100 {
        Test::new().seed(seed).run(|| {
            let fuses: Vec<Fuse> = (0..12).map(|_| Fuse::default()).collect();
            let ended = Rc::new(RefCell::new(0));
            let waiting: Vec<_> = fuses
                .iter()
                .map(|fuse| {
                    let (fuse, ended) = (fuse.clone(), ended.clone());
                    spawn(move || {
                        block_on(fuse);
                        *ended.borrow_mut() += 1;
                    })
                })
                .collect();
            let elsewhere = thread::spawn({
                let fuses = fuses[..6].to_vec();
                move || fuses.iter().for_each(Fuse::fire)
            });
            (0..random_u64() % 4).for_each(|_| yield_now());
            waiting[random_u64() as usize % 12].cancel();
            waiting[random_u64() as usize % 12].cancel();
            fuses[6..].iter().for_each(Fuse::fire);
            let joined = waiting.into_iter().filter_map(|waiting| waiting.join().ok()).count();
            elsewhere.join().unwrap();
            assert!(joined >= 10 && joined == *ended.borrow());
        });
    }
}

#[test]
fn a_signal_that_is_still_known_outside_is_not_used_again() {
    test::run(|| {
        let fuse = Fuse::default();
        fuse.fire();
        block_on(fuse.clone());
        let first = fuse.waker().unwrap();
        let same = Arc::new(AtomicBool::new(true));
        block_on(poll_fn(|context| {
            same.store(context.waker().will_wake(&first), Ordering::SeqCst);
            Poll::Ready(())
        }));
        assert!(!same.load(Ordering::SeqCst));
    });
}
