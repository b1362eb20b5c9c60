//! The queue that every lock, channel and join is built on.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    JoinError, JoinHandle, Reason, Unparked, WaitQueue, now, random_u64, sleep, spawn, stats, with_timeout, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);
const REASON: Reason = Reason::Other("a turn");

/// Spawns a coroutine that waits in the queue and logs its name when it is woken.
fn waiter(queue: &Rc<WaitQueue>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (queue, log) = (queue.clone(), log.clone());
    spawn(move || {
        assert!(queue.wait(REASON));
        log.add(name);
    })
}

fn queue_and_log() -> (Rc<WaitQueue>, Log) {
    (Rc::new(WaitQueue::new()), Log::new())
}

#[test]
fn waiters_are_woken_one_by_one_in_the_order_they_came() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let _waiters = ["a", "b", "c"].map(|name| waiter(&queue, &log, name));
        yield_now();
        assert_eq!(queue.len(), 3);
        for (name, left) in [("a", 2), ("b", 1), ("c", 0)] {
            assert!(queue.wake_one());
            yield_now();
            assert_eq!((log.take(), queue.len()), (vec![name.to_owned()], left));
        }
        assert!(!queue.wake_one());
        assert!(queue.is_empty());
    });
}

#[test]
fn several_waiters_are_woken_at_once_and_counted() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let _waiters = ["a", "b", "c", "d"].map(|name| waiter(&queue, &log, name));
        yield_now();
        assert_eq!(queue.wake_many(0), 0);
        assert_eq!(queue.wake_many(2), 2);
        yield_now();
        assert_eq!(log.take(), ["a", "b"]);
        assert_eq!(queue.wake_all(), 2);
        yield_now();
        assert_eq!(log.take(), ["c", "d"]);
        assert_eq!(queue.wake_all(), 0);
    });
}

/// Its user keeps the state that says what there is to wait for.
#[test]
fn a_wake_that_finds_nobody_is_not_remembered() {
    test::run(|| {
        let queue = WaitQueue::new();
        assert!(!queue.wake_one());
        assert!(with_timeout(SECOND, || queue.wait(REASON)).is_err());
    });
}

#[test]
fn a_wait_ends_at_its_deadline_and_gives_its_place_up() {
    test::run(|| {
        let queue = WaitQueue::new();
        let began = now();
        assert_eq!(queue.wait_until(REASON, Some(began + SECOND)), Unparked::TimedOut);
        assert_eq!(now() - began, SECOND);
        assert!(queue.is_empty());
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn those_woken_while_others_wake_do_not_take_a_second_wake() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        spawn({
            let (queue, log) = (queue.clone(), log.clone());
            move || {
                for _ in 0..2 {
                    assert!(queue.wait(REASON));
                    log.add("again");
                }
            }
        });
        let _waiters = ["a", "b"].map(|name| waiter(&queue, &log, name));
        yield_now();
        assert_eq!(queue.wake_all(), 3);
        yield_now();
        assert_eq!(log.take(), ["again", "a", "b"]);
        assert_eq!(queue.len(), 1);
        queue.wake_one();
    });
}

/// The ancestor's `schedule_interrupt`: five are woken and then cancelled; each has had its wake.
#[test]
fn waiters_woken_and_then_cancelled_keep_their_wakes() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let waiters = ["a", "b", "c", "d", "e"].map(|name| waiter(&queue, &log, name));
        let last = waiter(&queue, &log, "last");
        yield_now();
        assert_eq!(queue.wake_many(5), 5);
        waiters.iter().for_each(|waiter| waiter.cancel());
        yield_now();
        assert_eq!(log.take(), ["a", "b", "c", "d", "e"]);
        assert_eq!(queue.len(), 1);
        last.cancel();
    });
}

/// The ancestor's `interrupt_schedule`: five are cancelled and then one is woken; it is exactly the sixth.
#[test]
fn a_wake_passes_over_waiters_that_have_been_cancelled() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let waiters = ["a", "b", "c", "d", "e"].map(|name| waiter(&queue, &log, name));
        let last = waiter(&queue, &log, "last");
        yield_now();
        waiters.iter().for_each(|waiter| waiter.cancel());
        assert!(queue.wake_one());
        last.join().unwrap();
        assert_eq!(log.take(), ["last"]);
        assert!(queue.is_empty());
        for waiter in waiters {
            assert!(matches!(waiter.join(), Err(JoinError::Cancelled)));
        }
    });
}

#[test]
fn a_place_given_up_in_the_middle_leaves_the_others_in_order() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let waiters = ["a", "b", "c", "d", "e"].map(|name| waiter(&queue, &log, name));
        yield_now();
        for index in [1, 3, 4] {
            waiters[index].cancel();
        }
        yield_now();
        assert_eq!(queue.len(), 2);
        let _more = waiter(&queue, &log, "f");
        yield_now();
        assert_eq!(queue.wake_all(), 3);
        yield_now();
        assert_eq!(log.take(), ["a", "c", "f"]);
    });
}

#[test]
fn a_queue_says_how_many_wait() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let _waiter = waiter(&queue, &log, "a");
        yield_now();
        assert_eq!(format!("{queue:?}"), "WaitQueue(1 waiting)");
        queue.wake_all();
    });
}

/// DESIGN §4: a token that goes round by wakes is never lost, whoever is cancelled or gives up.
#[test]
fn on_every_schedule_a_token_handed_over_by_wakes_is_never_lost() {
    support::on_every_schedule(|| {
        let queue = Rc::new(WaitQueue::new());
        let free = Rc::new(Cell::new(true));
        let taken = Rc::new(Cell::new(0));
        let takers: Vec<_> = (0..8)
            .map(|index| {
                let (queue, free, taken) = (queue.clone(), free.clone(), taken.clone());
                spawn(move || {
                    // As a lock does it: the flag is the state, the queue only says that it may have changed.
                    while !free.get() {
                        let deadline = (index % 3 == 0).then(|| now() + SECOND);
                        if queue.wait_until(REASON, deadline) == Unparked::TimedOut {
                            return;
                        }
                    }
                    free.set(false);
                    let given_back = GiveBack { queue, free };
                    taken.set(taken.get() + 1);
                    sleep(SECOND);
                    drop(given_back);
                })
            })
            .collect();
        sleep(SECOND * (random_u64() % 3) as u32);
        takers[random_u64() as usize % 8].cancel();
        takers[random_u64() as usize % 8].cancel();
        takers.into_iter().for_each(|taker| drop(taker.join()));
        assert!(free.get());
        assert!(queue.is_empty());
        assert!(taken.get() > 0);
    });
}

/// Gives the token back, also when its holder is cancelled.
struct GiveBack {
    queue: Rc<WaitQueue>,
    free: Rc<Cell<bool>>,
}

impl Drop for GiveBack {
    fn drop(&mut self) {
        self.free.set(true);
        self.queue.wake_one();
    }
}
