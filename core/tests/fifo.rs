//! The ancestor's queue: unbounded, first in, first out.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::Fifo;
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinError, JoinHandle, random_u64, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn popper(queue: &Rc<Fifo<u32>>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (queue, log) = (queue.clone(), log.clone());
    spawn(move || {
        let item = queue.pop().unwrap();
        log.add(format!("{name} {item}"));
    })
}

fn queue_and_log() -> (Rc<Fifo<u32>>, Log) {
    (Rc::new(Fifo::new()), Log::new())
}

/// SYN-6.
#[test]
fn items_come_out_in_the_order_they_went_in() {
    test::run(|| {
        let queue = Fifo::new();
        (1..=3).for_each(|item| queue.push(item));
        assert_eq!(queue.len(), 3);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Ok(1), Ok(2), Ok(3)]);
        assert!(queue.is_empty());
        assert_eq!(queue.try_pop(), None);
    });
}

/// SYN-6.
#[test]
fn an_item_put_first_comes_out_first() {
    test::run(|| {
        let queue = Fifo::new();
        queue.push(2);
        queue.push_front(1);
        assert_eq!(queue.pop_all().unwrap(), [1, 2]);
    });
}

/// SYN-6: where the ancestor raises an IndexError there is nothing.
#[test]
fn the_top_is_looked_at_and_stays() {
    let queue = Fifo::new();
    assert_eq!(queue.top(), None);
    queue.push(1);
    queue.push(2);
    assert_eq!((queue.top(), queue.len()), (Some(1), 2));
    assert_eq!(queue.iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(queue.len(), 2);
}

/// SYN-6.
#[test]
fn an_item_pushed_wakes_one_popper() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let poppers = ["a", "b"].map(|name| popper(&queue, &log, name));
        yield_now();
        assert_eq!(queue.waiting(), 2);
        queue.push(1);
        yield_now();
        assert_eq!((log.take(), queue.waiting()), (vec!["a 1".to_owned()], 1));
        queue.push(2);
        poppers.into_iter().for_each(|popper| popper.join().unwrap());
        assert_eq!(log.take(), ["b 2"]);
    });
}

/// SYN-6.
#[test]
fn all_items_are_popped_at_once_when_there_is_at_least_one() {
    test::run(|| {
        let (queue, _) = queue_and_log();
        let all = spawn({
            let queue = queue.clone();
            move || queue.pop_all().unwrap()
        });
        yield_now();
        assert!(!all.is_finished());
        (1..=3).for_each(|item| queue.push(item));
        assert_eq!(all.join().unwrap(), [1, 2, 3]);
        assert!(queue.is_empty());
    });
}

/// SYN-6: the ancestor's idiom.
#[test]
fn none_ends_a_loop_of_pops_by_agreement() {
    test::run(|| {
        let queue = Rc::new(Fifo::new());
        let consumer = spawn({
            let queue = queue.clone();
            move || std::iter::from_fn(|| queue.pop().unwrap()).sum::<i32>()
        });
        (&*queue).extend([Some(1), Some(2)]);
        yield_now();
        (&*queue).extend([Some(4), None, Some(8)]);
        assert_eq!(consumer.join().unwrap(), 7);
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn nobody_overtakes_a_popper_that_was_given_an_item() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let waiting = popper(&queue, &log, "a");
        yield_now();
        queue.push(1);
        assert!(queue.is_empty());
        assert_eq!(queue.try_pop(), None);
        waiting.join().unwrap();
        assert_eq!(log.take(), ["a 1"]);
    });
}

/// "Cancelled, then woken".
#[test]
fn an_item_pushed_after_a_cancel_goes_to_the_next_popper() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let [first, second] = ["a", "b"].map(|name| popper(&queue, &log, name));
        yield_now();
        first.cancel();
        queue.push(1);
        second.join().unwrap();
        assert_eq!(log.take(), ["b 1"]);
        assert!(matches!(first.join(), Err(JoinError::Cancelled)));
    });
}

/// "Woken, then cancelled".
#[test]
fn a_popper_cancelled_after_the_push_keeps_its_item() {
    test::run(|| {
        let (queue, log) = queue_and_log();
        let [first, second] = ["a", "b"].map(|name| popper(&queue, &log, name));
        yield_now();
        queue.push(1);
        first.cancel();
        yield_now();
        assert_eq!((log.take(), queue.waiting()), (vec!["a 1".to_owned()], 1));
        second.cancel();
    });
}

#[test]
fn a_pop_that_is_cancelled_leaves_the_item() {
    test::run(|| {
        let queue = Rc::new(Fifo::new());
        assert!(with_timeout(SECOND, || queue.pop()).is_err());
        queue.push(1);
        let cancelled = spawn({
            let queue = queue.clone();
            move || {
                // The limit has passed when the pop begins.
                let _ = with_timeout(Duration::ZERO, || {
                    while queue.len() < 2 {
                        yield_now();
                    }
                    queue.pop()
                });
            }
        });
        cancelled.join().unwrap();
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct PopInDrop(Rc<Fifo<u32>>, Log);
    impl Drop for PopInDrop {
        fn drop(&mut self) {
            self.1.add(format!("{:?}", self.0.pop()));
            self.1.add(self.0.pop().unwrap_err().to_string());
        }
    }
    test::run(|| {
        let (queue, log) = queue_and_log();
        let unwinding = spawn({
            let popping = PopInDrop(queue.clone(), log.clone());
            move || {
                let _popping = popping;
                sleep(SECOND);
            }
        });
        yield_now();
        queue.push(1);
        unwinding.cancel();
        assert!(unwinding.join().is_err());
        assert_eq!(log.take(), ["Ok(1)", "pop: a coroutine that unwinds cannot wait; use shield before it does"]);
    });
}

#[test]
fn a_destructor_of_an_item_may_push() {
    struct PushInDrop(Rc<Fifo<Option<PushInDrop>>>);
    impl Drop for PushInDrop {
        fn drop(&mut self) {
            self.0.push(None);
        }
    }
    test::run(|| {
        let queue = Rc::new(Fifo::new());
        queue.push(Some(PushInDrop(queue.clone())));
        drop(queue.pop());
        assert!(queue.pop().unwrap().is_none());
    });
}

/// SYN-6: no item is lost, none comes twice, and each producer's come in order, whoever is cancelled.
#[test]
fn on_every_schedule_each_item_is_popped_exactly_once() {
    support::on_every_schedule(|| {
        let queue = Rc::new(Fifo::new());
        let popped = Rc::new(RefCell::new(Vec::new()));
        let poppers: Vec<_> = (0..6)
            .map(|index| {
                let (queue, popped) = (queue.clone(), popped.clone());
                spawn(move || {
                    loop {
                        if index % 3 == 0 {
                            let all = queue.pop_all().unwrap();
                            popped.borrow_mut().extend(all);
                        } else if let Ok(item) = with_timeout(SECOND, || queue.pop()) {
                            popped.borrow_mut().push(item.unwrap());
                        }
                        if random_u64().is_multiple_of(4) {
                            sleep(SECOND / 2);
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let queue = queue.clone();
                spawn(move || {
                    for number in 0..20 {
                        queue.push((producer, number));
                        match random_u64() % 4 {
                            0 => yield_now(),
                            1 => sleep(SECOND / 4),
                            _ => {}
                        }
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            sleep(SECOND * (random_u64() % 2) as u32);
            poppers[random_u64() as usize % 6].cancel();
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        poppers.iter().for_each(|popper| popper.cancel());
        poppers.into_iter().for_each(|popper| drop(popper.join()));
        assert_eq!(queue.waiting(), 0);
        let mut all = popped.take();
        all.extend(queue.iter());
        all.sort_unstable();
        let expected: Vec<_> = (0..3).flat_map(|producer| (0..20).map(move |number| (producer, number))).collect();
        assert_eq!(all, expected);
    });
}
