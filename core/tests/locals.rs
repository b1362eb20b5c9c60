//! Values of which every coroutine has its own (TLS-1).
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are parts of tests")]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{JoinError, LocalError, coro_local, current, sleep, spawn, yield_now};

coro_local! {
    static COUNT: Cell<u32> = Cell::new(7);
    static WORDS: RefCell<Vec<String>> = RefCell::new(Vec::new());
    /// Dropped first: it is made after `OUTER` in the tests.
    static INNER: RefCell<Option<OnDrop>> = RefCell::new(None);
    static OUTER: RefCell<Option<OnDrop>> = RefCell::new(None);
    static SLOW: u64 = { sleep(Duration::from_secs(1)); current().id().as_u64() };
    static SELF_MADE: String = format!("{}!", COUNT.get());
}

/// Calls a function when it is dropped.
struct OnDrop(Option<Box<dyn FnOnce()>>);

impl OnDrop {
    fn new(f: impl FnOnce() + 'static) -> Option<OnDrop> {
        Some(OnDrop(Some(Box::new(f))))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

/// TLS-1
#[test]
fn each_coroutine_has_a_value_of_its_own() {
    test::run(|| {
        let children: Vec<_> = (0..10)
            .map(|number| {
                spawn(move || {
                    assert_eq!(COUNT.get(), 7);
                    COUNT.set(number);
                    WORDS.with_borrow_mut(|words| words.push(format!("word {number}")));
                    yield_now();
                    assert_eq!(COUNT.replace(99), number);
                    WORDS.take()
                })
            })
            .collect();
        for (number, child) in children.into_iter().enumerate() {
            assert_eq!(child.join().unwrap(), [format!("word {number}")]);
        }
        assert_eq!(COUNT.get(), 7);
    });
}

#[test]
fn the_methods_are_those_of_std() {
    test::run(|| {
        COUNT.set(1);
        assert_eq!((COUNT.get(), COUNT.take(), COUNT.replace(3), COUNT.get()), (1, 1, 0, 3));
        WORDS.set(vec!["a".to_owned()]);
        WORDS.set(vec!["b".to_owned()]);
        assert_eq!(WORDS.with_borrow(Vec::len), 1);
        assert_eq!(WORDS.replace(Vec::new()), ["b"]);
        assert_eq!(SELF_MADE.with(String::clone), "3!");
    });
}

#[test]
fn setting_does_not_run_the_initialiser() {
    coro_local!(static NEVER: Cell<u32> = panic!("the initialiser ran"));
    test::run(|| {
        NEVER.set(4);
        assert_eq!(NEVER.get(), 4);
    });
}

#[test]
fn an_initialiser_may_wait_and_runs_once_per_coroutine() {
    test::run(|| {
        let children = [(); 3].map(|()| {
            spawn(|| {
                let id = SLOW.with(|id| *id);
                assert_eq!(SLOW.with(|id| *id), id);
                (id, current().id().as_u64())
            })
        });
        for child in children {
            let (kept, own) = child.join().unwrap();
            assert_eq!(kept, own);
        }
    });
}

#[test]
fn a_wait_inside_with_leaves_other_locals_usable() {
    test::run(|| {
        COUNT.with(|count| {
            sleep(Duration::from_millis(1));
            WORDS.with_borrow_mut(|words| words.push("x".to_owned()));
            count.set(8);
        });
        assert_eq!(COUNT.get(), 8);
    });
}

/// TLS-1
#[test]
fn values_are_dropped_on_the_coroutine_before_its_joiner_is_told() {
    test::run(|| {
        let log = Log::new();
        let told = log.clone();
        let child = spawn(move || {
            let own = current();
            let noted = told.clone();
            OUTER.set(OnDrop::new(move || {
                assert_eq!(current(), own);
                sleep(Duration::from_secs(1));
                noted.add("outer");
            }));
            let noted = told.clone();
            INNER.set(OnDrop::new(move || noted.add("inner")));
            told.add("body");
        });
        child.join().unwrap();
        log.add("joined");
        assert_eq!(log.take(), ["body", "inner", "outer", "joined"]);
    });
}

#[test]
fn values_of_a_coroutine_that_panics_or_is_cancelled_are_dropped() {
    test::run(|| {
        let dropped = Rc::new(Cell::new(0));
        let count = dropped.clone();
        let panicking = spawn(move || {
            OUTER.set(OnDrop::new(move || count.set(count.get() + 1)));
            panic!("on purpose");
        });
        assert!(matches!(panicking.join(), Err(JoinError::Panicked(_))));
        let count = dropped.clone();
        let cancelled = spawn(move || {
            OUTER.set(OnDrop::new(move || count.set(count.get() + 1)));
            sleep(Duration::from_secs(10));
        });
        yield_now();
        cancelled.cancel();
        assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
        assert_eq!(dropped.get(), 2);
    });
}

#[test]
fn a_destructor_sees_the_values_that_are_left_and_none_made_anew() {
    test::run(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let noted = seen.clone();
        let child = spawn(move || {
            COUNT.set(5);
            OUTER.set(OnDrop::new(move || {
                noted.borrow_mut().push(COUNT.try_with(Cell::get));
                noted.borrow_mut().push(OUTER.try_with(|_| 0));
                noted.borrow_mut().push(SLOW.try_with(|_| 0));
            }));
        });
        child.join().unwrap();
        assert_eq!(seen.take(), [Ok(5), Err(LocalError::Destroyed), Err(LocalError::Destroyed)]);
    });
}

#[test]
fn a_destructor_that_panics_is_reported_and_the_others_run() {
    Test::new().allow_crashes().run(|| {
        let dropped = Rc::new(Cell::new(false));
        let noted = dropped.clone();
        let child = spawn(move || {
            OUTER.set(OnDrop::new(move || noted.set(true)));
            INNER.set(OnDrop::new(|| panic!("on purpose")));
            "done"
        });
        assert_eq!(child.join().unwrap(), "done");
        assert!(dropped.get());
    });
}

#[test]
fn outside_a_coroutine_there_is_an_error_or_a_panic_that_says_so() {
    assert_eq!(COUNT.try_with(Cell::get), Err(LocalError::NotInCoroutine));
    let payload = catch_unwind(AssertUnwindSafe(|| COUNT.get())).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.contains("not inside a coroutine"), "{message}");
}
