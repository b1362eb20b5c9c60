//! Generators: iterators written as loops, over the same coroutines (BEA-20).
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are parts of tests")]

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::generator::{Generator, Yielder};
use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{Reason, WaitQueue, now, random_u64, shield, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Notes that it was dropped.
struct Noted(Rc<Cell<bool>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn numbers() -> Generator<u32> {
    Generator::new(|yielder| (0..u32::MAX).for_each(|number| yielder.yield_item(number)))
}

/// BEA-20
#[test]
fn a_helper_deep_in_the_calls_can_yield() {
    /// In-order walk of the tree whose nodes are `from..to`.
    fn walk(from: u32, to: u32, yielder: &Yielder<u32>) {
        if from < to {
            let middle = from + (to - from) / 2;
            walk(from, middle, yielder);
            yielder.yield_item(middle);
            walk(middle + 1, to, yielder);
        }
    }
    test::run(|| {
        let items = Generator::new(|yielder| walk(0, 100, yielder));
        assert!(items.eq(0..100));
    });
}

/// BEA-20
#[test]
fn generators_feed_generators() {
    fn even(source: impl Iterator<Item = u32> + 'static) -> Generator<u32> {
        Generator::new(move |yielder| {
            for item in source.filter(|item| item % 2 == 0) {
                yielder.yield_item(item);
            }
        })
    }
    test::run(|| {
        let piped = even(numbers()).map(|item| item * 10);
        assert_eq!(piped.take(3).collect::<Vec<_>>(), [0, 20, 40]);
    });
}

/// BEA-20
#[test]
fn values_are_sent_in_and_the_first_needs_no_priming() {
    test::run(|| {
        let mut echo = Generator::receiving(|yielder, first: String| {
            let mut said = first;
            while said != "end" {
                said = yielder.yield_item(format!("{said}, {said}"));
            }
        });
        assert_eq!(echo.resume("hey".to_owned()).unwrap(), "hey, hey");
        assert_eq!(echo.resume("ho".to_owned()).unwrap(), "ho, ho");
        assert_eq!(echo.resume("end".to_owned()), None);
        assert_eq!(echo.resume("more".to_owned()), None);
    });
}

#[test]
fn a_body_runs_only_when_asked_and_not_ahead() {
    test::run(|| {
        let log = Log::new();
        let told = log.clone();
        let mut items = Generator::new(move |yielder| {
            told.add("started");
            yielder.yield_item(1);
            told.add("resumed");
            yielder.yield_item(2);
        });
        yield_now();
        assert_eq!(log.take(), [""; 0]);
        assert_eq!(items.next(), Some(1));
        yield_now();
        assert_eq!(log.take(), ["started"]);
        assert_eq!(items.next(), Some(2));
        assert_eq!(items.next(), None);
        assert_eq!(items.next(), None);
        assert_eq!(log.take(), ["resumed"]);
    });
}

#[test]
fn a_body_may_wait_and_others_run_meanwhile() {
    test::run(|| {
        let began = now();
        let log = Log::new();
        let told = log.clone();
        let other = spawn(move || {
            for _ in 0..3 {
                sleep(SECOND);
                told.add("other");
            }
        });
        let slow = Generator::new(|yielder| {
            for number in 1..=2 {
                sleep(SECOND * 7 / 5);
                yielder.yield_item(number);
            }
        });
        for number in slow {
            log.add(format!("item {number}"));
        }
        other.join().unwrap();
        assert_eq!(log.take(), ["other", "item 1", "other", "item 2", "other"]);
        assert_eq!(now() - began, SECOND * 3);
    });
}

#[test]
fn a_panic_of_the_body_reaches_next() {
    test::run(|| {
        let mut items = Generator::new(|yielder| {
            yielder.yield_item(1);
            panic!("no second item");
        });
        assert_eq!(items.next(), Some(1));
        let payload = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"no second item"));
        assert_eq!(items.next(), None);
    });
}

#[test]
fn a_generator_dropped_half_way_unwinds_its_body() {
    test::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let noted = Noted(dropped.clone());
        let mut items = Generator::new(move |yielder| {
            let _noted = noted;
            (0..u32::MAX).for_each(|number| yielder.yield_item(number));
        });
        assert_eq!(items.next(), Some(0));
        drop(items);
        assert!(!dropped.get(), "it unwinds on its own stack");
        yield_now();
        assert!(dropped.get());
    });
}

#[test]
fn closing_waits_for_destructors_and_raises_their_panic() {
    test::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let noted = Noted(dropped.clone());
        let mut items = Generator::new(move |yielder| {
            let _noted = noted;
            yielder.yield_item(1);
        });
        items.next();
        items.close();
        assert!(dropped.get());

        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "it is dropped by unwinding");
            }
        }
        let mut bad = Generator::new(|yielder| {
            let _bad = Bad;
            let _ = catch_unwind(AssertUnwindSafe(|| yielder.yield_item(1)));
            panic!("at the end");
        });
        bad.next();
        assert!(catch_unwind(AssertUnwindSafe(|| bad.close())).is_err());
    });
}

#[test]
fn a_generator_that_never_ran_is_dropped_without_running() {
    test::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let noted = Noted(dropped.clone());
        drop(Generator::new(move |_: &Yielder<u32>| {
            drop(noted);
            panic!("it ran");
        }));
        assert!(dropped.get());
    });
}

/// The wake race "cancelled, then woken": the item is kept for whoever asks next.
#[test]
fn an_item_that_comes_too_late_is_kept() {
    test::run(|| {
        let mut items = Generator::new(|yielder| {
            for number in 1..=2 {
                sleep(SECOND);
                yielder.yield_item(number);
            }
        });
        assert!(with_timeout(SECOND / 2, || items.next()).is_err());
        assert!(items.is_owed());
        sleep(SECOND);
        assert_eq!(items.next(), Some(1));
        assert!(!items.is_owed());
        assert!(with_timeout(SECOND / 2, || items.next()).is_err());
        assert_eq!((items.next(), items.next()), (Some(2), None));
    });
}

/// The wake race "woken, then cancelled": who was given the item has it.
#[test]
fn a_consumer_that_is_cancelled_once_woken_has_its_item() {
    test::run(|| {
        let taken = Rc::new(Cell::new(None));
        let (noted, gate) = (taken.clone(), Rc::new(WaitQueue::new()));
        let waiting = gate.clone();
        let consumer = spawn(move || {
            let mut items = Generator::new(move |yielder| {
                waiting.wait(Reason::Other("the test"));
                yielder.yield_item(7);
            });
            noted.set(items.next());
            sleep(SECOND);
            noted.set(None);
        });
        sleep(SECOND);
        // The body runs next and wakes the consumer; this coroutine runs before the consumer does.
        let cancelling = spawn({
            let gate = gate.clone();
            move || {
                gate.wake_one();
                yield_now();
                consumer.cancel();
                let _ = consumer.join();
            }
        });
        cancelling.join().unwrap();
        assert_eq!(taken.get(), Some(7));
    });
}

#[test]
fn a_generator_may_change_hands() {
    test::run(|| {
        let mut items = numbers();
        assert_eq!(items.next(), Some(0));
        let mut items = spawn(move || (items.next(), items).1).join().unwrap();
        assert_eq!(items.next(), Some(2));
    });
}

#[test]
fn the_end_of_a_run_leaves_a_generator_to_its_consumer() {
    let items = Rc::new(Cell::new(0));
    let taken = items.clone();
    test::run(move || {
        spawn(move || {
            let slow = Generator::new(|yielder| {
                for number in 0..5 {
                    sleep(SECOND);
                    yielder.yield_item(number);
                }
            });
            shield(None, || slow.for_each(|_| taken.set(taken.get() + 1)))
        });
        yield_now();
    });
    assert_eq!(items.get(), 5);
}

#[test]
fn a_generator_that_nobody_holds_on_to_ends_with_the_run() {
    test::run(|| {
        let mut items = numbers();
        items.next();
        // Never dropped: a consumer that was leaked.
        std::mem::forget(items);
    });
}

/// It could not wait for the item, and an answer of `None` would say that there is none.
#[test]
fn a_destructor_that_asks_while_its_coroutine_unwinds_aborts_and_names_the_generator() {
    struct Asks(Generator<u32>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.next();
        }
    }
    if support::in_child() {
        test::run(|| {
            let unwound = spawn(|| {
                let _asks = Asks(numbers());
                sleep(SECOND * 10);
            });
            yield_now();
            unwound.cancel();
            drop(unwound.join());
        });
        return;
    }
    let ended = support::run_alone("a_destructor_that_asks_while_its_coroutine_unwinds_aborts_and_names_the_generator");
    assert_eq!(ended.signal(), Some(6), "{ended:?}");
    assert!(ended.stderr.contains("Generator("), "{ended:?}");
    assert!(ended.stderr.contains("resumed by a coroutine that unwinds"), "{ended:?}");
}

#[test]
fn a_destructor_that_asks_a_generator_whose_body_is_over_gets_none() {
    struct Asks(Generator<u32>, Rc<Cell<bool>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.1.set(self.0.next().is_none());
        }
    }
    test::run(|| {
        let was_none = Rc::new(Cell::new(false));
        let mut asks = Asks(Generator::new(|yielder| yielder.yield_item(1)), was_none.clone());
        let unwound = spawn(move || {
            assert_eq!((asks.0.next(), asks.0.next()), (Some(1), None));
            sleep(SECOND * 10);
        });
        yield_now();
        sleep(SECOND);
        unwound.cancel();
        assert!(unwound.join().is_err());
        assert!(was_none.get());
    });
}

#[test]
fn no_item_is_lost_or_doubled_under_random_schedules_and_cancels() {
    for seed in 0..200 {
        Test::new().seed(seed).run(|| {
            let some_time = || Duration::from_millis(random_u64() % 4);
            let mut items = Generator::new(move |yielder| {
                for number in 0..30 {
                    sleep(some_time());
                    yielder.yield_item(number);
                }
            });
            let bystander = spawn(|| (0..50).for_each(|_| yield_now()));
            let mut expected = 0;
            loop {
                match with_timeout(some_time(), || items.next()) {
                    Ok(Some(number)) => {
                        assert_eq!(number, expected);
                        expected += 1;
                    }
                    Ok(None) => break,
                    Err(_) => {}
                }
            }
            assert_eq!(expected, 30);
            bystander.join().unwrap();
        });
    }
}
