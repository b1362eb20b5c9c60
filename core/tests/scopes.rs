//! Scopes: children that borrow, and the failure that ends them all.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, JoinError, Reason, WaitQueue, coroutines, current, now, random_u64, scope, set_panic_notifier, shield,
    sleep, spawn, stats, try_scope, with_timeout, yield_now,
};

use self::support::{Note, in_child, run_alone};

const SIGABRT: i32 = 6;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What `f` panics with.
fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    match panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => "nothing".to_owned(),
        Err(payload) => match payload.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => *payload.downcast::<String>().unwrap(),
        },
    }
}

#[test]
fn children_borrow_from_their_parent_and_from_each_other() {
    test::run(|| {
        let mut words = vec!["round", "chain", "grape"];
        let lengths = RefCell::new(Vec::new());
        let total = scope(|scope| {
            let lengths = &lengths;
            let counters: Vec<_> = words
                .iter()
                .map(|word| {
                    scope.spawn(move || {
                        sleep(SECOND);
                        lengths.borrow_mut().push(word.len());
                        word.len()
                    })
                })
                .collect();
            counters.into_iter().map(|counter| counter.join().unwrap()).sum::<usize>()
        });
        words.push("shot");
        assert_eq!((total, lengths.take()), (15, vec![5, 5, 5]));
    });
}

#[test]
fn a_child_may_write_to_what_it_borrows() {
    test::run(|| {
        let mut counts = [0; 4];
        scope(|scope| {
            for count in &mut counts {
                scope.spawn(move || {
                    yield_now();
                    *count += 1;
                });
            }
        });
        assert_eq!(counts, [1; 4]);
    });
}

#[test]
fn a_scope_waits_for_children_whose_handles_were_dropped() {
    test::run(|| {
        let began = now();
        scope(|scope| {
            scope.spawn(|| sleep(2 * SECOND));
            scope.spawn(|| sleep(SECOND));
        });
        assert_eq!(now() - began, 2 * SECOND);
        assert_eq!(stats().coroutines, 1);
    });
}

#[test]
fn children_may_spawn_siblings() {
    test::run(|| {
        let log = Log::new();
        scope(|scope| {
            scope.spawn(|| {
                sleep(SECOND);
                scope.spawn(|| {
                    sleep(SECOND);
                    log.add("grandchild");
                });
                log.add("child");
            });
        });
        assert_eq!(log.take(), ["child", "grandchild"]);
    });
}

#[test]
fn a_child_may_have_a_name_and_a_stack_of_its_own() {
    test::run(|| {
        scope(|scope| {
            let builder = Builder::new().name("gunner").stack_size(1 << 20);
            let handle = scope.spawn_with(builder, || current().name()).unwrap();
            assert_eq!(handle.join().unwrap().as_deref(), Some("gunner"));
            let error = scope.spawn_with(Builder::new().stack_size(1 << 30), || ()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn nested_scopes_end_from_the_inside_out() {
    test::run(|| {
        let log = Log::new();
        scope(|outer| {
            outer.spawn(|| {
                scope(|inner| {
                    inner.spawn(|| {
                        sleep(2 * SECOND);
                        log.add("innermost");
                    });
                });
                log.add("inner");
            });
            outer.spawn(|| {
                sleep(SECOND);
                log.add("other");
            });
        });
        log.add("outer");
        assert_eq!(log.take(), ["other", "innermost", "inner", "outer"]);
    });
}

fn yield_now_and_again() {
    yield_now();
    yield_now();
}

#[test]
fn a_cancelled_parent_cancels_its_children_and_outwaits_them() {
    test::run(|| {
        let log = Log::new();
        let parent = spawn({
            let log = log.clone();
            move || {
                let _note = Note(log.clone(), "parent");
                let borrowed = String::from("borrowed");
                scope(|scope| {
                    scope.spawn(|| {
                        let _note = Note(log.clone(), "child");
                        let _ = panic::catch_unwind(AssertUnwindSafe(|| sleep(HOUR)));
                        let _ = shield(None, || sleep(SECOND));
                        log.add(borrowed.as_str());
                    });
                });
            }
        });
        yield_now();
        let began = now();
        parent.cancel();
        assert!(matches!(parent.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["borrowed", "child", "parent"]);
        assert_eq!(now() - began, SECOND);
    });
}

#[test]
fn a_limit_around_a_scope_reaches_its_children() {
    test::run(|| {
        let log = Log::new();
        let cut = with_timeout(SECOND, || {
            scope(|scope| {
                scope.spawn(|| {
                    let _note = Note(log.clone(), "child");
                    sleep(HOUR);
                });
            });
        });
        assert!(cut.is_err());
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn a_limit_in_the_body_leaves_the_children_alone() {
    test::run(|| {
        let done = scope(|scope| {
            let child = scope.spawn(|| {
                sleep(2 * SECOND);
                7
            });
            assert!(with_timeout(SECOND, || sleep(HOUR)).is_err());
            child.join().unwrap()
        });
        assert_eq!(done, 7);
    });
}

/// A child that was runnable when its parent was cancelled runs to its next wait, and may spawn before that.
#[test]
fn a_child_spawned_after_the_parent_was_cancelled_does_not_hold_it_up() {
    test::run(|| {
        let began = now();
        let cut = with_timeout(SECOND, || {
            scope(|scope| {
                scope.spawn(|| {
                    assert!(panic::catch_unwind(|| sleep(HOUR)).is_err());
                    scope.spawn(|| sleep(HOUR));
                });
            });
        });
        assert!(cut.is_err());
        assert_eq!(now() - began, SECOND);
    });
}

#[test]
fn a_child_spawned_after_the_body_panicked_does_not_hold_it_up() {
    test::run(|| {
        let began = now();
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| {
                    assert!(panic::catch_unwind(|| sleep(HOUR)).is_err());
                    scope.spawn(|| sleep(HOUR));
                });
                yield_now();
                panic!("no orders");
            });
        });
        assert_eq!((message.as_str(), now() - began), ("no orders", Duration::ZERO));
    });
}

#[test]
fn a_cancelled_child_leaves_its_siblings_and_the_body_alone() {
    test::run(|| {
        let kept = scope(|scope| {
            let cancelled = scope.spawn(|| sleep(HOUR));
            let kept = scope.spawn(|| {
                sleep(SECOND);
                7
            });
            yield_now();
            cancelled.cancel();
            assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
            kept.join().unwrap()
        });
        assert_eq!(kept, 7);
    });
}

#[test]
fn the_children_there_are_can_be_cancelled_while_the_body_goes_on() {
    test::run(|| {
        let began = now();
        let last = scope(|scope| {
            scope.spawn(|| sleep(HOUR));
            scope.spawn(|| sleep(HOUR));
            yield_now();
            scope.cancel_children();
            sleep(SECOND);
            scope.spawn(|| 7).join().unwrap()
        });
        assert_eq!((last, now() - began), (7, SECOND));
    });
}

#[test]
fn a_scope_whose_body_is_woken_and_then_cancelled_is_cancelled_at_its_edge() {
    test::run(|| {
        let queue = Rc::new(WaitQueue::new());
        let log = Log::new();
        let parent = spawn({
            let (queue, log) = (queue.clone(), log.clone());
            move || {
                scope(|_| log.add(format!("{}", queue.wait(Reason::Other("a wake")))));
                log.add("not reached");
            }
        });
        yield_now();
        assert!(queue.wake_one());
        parent.cancel();
        assert!(matches!(parent.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["true"]);
    });
}

/// DESIGN §4: the last child has ended, and then the parent is cancelled.
#[test]
fn a_scope_woken_by_its_last_child_and_then_cancelled_ends() {
    test::run(|| {
        let parent_of_all = Rc::new(RefCell::new(None::<grapeshot_core::Coroutine>));
        let log = Log::new();
        let parent = spawn({
            let (log, own) = (log.clone(), parent_of_all.clone());
            move || {
                scope(|scope| {
                    scope.spawn(|| {
                        // Runs after this child has ended and before its parent.
                        spawn(move || own.take().unwrap().cancel());
                    });
                });
                log.add("not reached");
            }
        });
        *parent_of_all.borrow_mut() = Some(parent.coroutine());
        assert!(matches!(parent.join(), Err(JoinError::Cancelled)));
        assert!(log.take().is_empty());
    });
}

#[test]
fn the_first_error_of_a_try_scope_cancels_the_rest_and_is_returned() {
    test::run(|| {
        let log = Log::new();
        let began = now();
        let failed: Result<(), &str> = try_scope(|scope| {
            scope.spawn(|| {
                let _note = Note(log.clone(), "sibling");
                sleep(HOUR);
                Ok(())
            });
            for (seconds, error) in [(2, "late"), (1, "first")] {
                scope.spawn(move || {
                    sleep(seconds * SECOND);
                    Err::<(), _>(error)
                });
            }
            sleep(HOUR);
            Ok(())
        });
        assert_eq!((failed, now() - began), (Err("first"), SECOND));
        assert_eq!(log.take(), ["sibling"]);
    });
}

#[test]
fn an_error_of_the_body_of_a_try_scope_cancels_the_children() {
    test::run(|| {
        let began = now();
        let failed: Result<(), String> = try_scope(|scope| {
            scope.spawn(|| {
                sleep(HOUR);
                Ok(())
            });
            yield_now();
            Err("no orders".to_owned())
        });
        assert_eq!((failed.unwrap_err().as_str(), now() - began), ("no orders", Duration::ZERO));
    });
}

#[test]
fn a_try_scope_without_errors_returns_the_value_of_its_body() {
    test::run(|| {
        let sum: Result<usize, ()> = try_scope(|scope| {
            let children: Vec<_> = (1..=3).map(|number| scope.spawn(move || Ok(number))).collect();
            Ok(children.into_iter().map(|child| child.join().unwrap()).sum())
        });
        assert_eq!(sum, Ok(6));
    });
}

#[test]
fn an_error_that_comes_while_the_body_is_done_counts() {
    test::run(|| {
        let failed: Result<i32, &str> = try_scope(|scope| {
            scope.spawn(|| {
                sleep(SECOND);
                Err::<(), _>("late")
            });
            Ok(7)
        });
        assert_eq!(failed, Err("late"));
    });
}

#[test]
fn a_panic_in_a_try_scope_is_raised() {
    test::run(|| {
        let message = panic_of(|| {
            try_scope(|scope| {
                scope.spawn(|| -> Result<(), ()> { panic!("powder wet") });
                sleep(HOUR);
                Ok(())
            })
        });
        assert_eq!(message, "powder wet");
    });
}

/// A body that catches the unwinding and returns a value has not made the error undone.
#[test]
fn a_body_that_catches_its_cancellation_does_not_hide_the_error() {
    test::run(|| {
        let failed: Result<i32, &str> = try_scope(|scope| {
            scope.spawn(|| Err::<(), _>("no route"));
            let _ = panic::catch_unwind(|| sleep(HOUR));
            Ok(7)
        });
        assert_eq!(failed, Err("no route"));
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| panic!("powder wet"));
                let _ = panic::catch_unwind(|| sleep(HOUR));
                7
            })
        });
        assert_eq!(message, "powder wet");
    });
}

/// DESIGN §5
#[test]
fn a_scope_in_a_destructor_that_unwinds_aborts_and_says_why() {
    struct Scopes;
    impl Drop for Scopes {
        fn drop(&mut self) {
            scope(|_| ());
        }
    }
    if in_child() {
        test::run(|| {
            let _ = with_timeout(SECOND, || {
                let _scopes = Scopes;
                sleep(HOUR);
            });
        });
        unreachable!("the process should have aborted");
    }
    let ended = run_alone("a_scope_in_a_destructor_that_unwinds_aborts_and_says_why");
    assert_eq!(ended.signal(), Some(SIGABRT), "{ended:?}");
    let sentence = "scope: called while the coroutine unwinds, when it could not wait for its children";
    assert!(ended.stderr.contains(sentence), "{ended:?}");
}

#[test]
fn a_scope_in_a_destructor_that_does_not_unwind_works() {
    struct Scopes(Log);
    impl Drop for Scopes {
        fn drop(&mut self) {
            scope(|scope| drop(scope.spawn(|| self.0.add("child"))));
        }
    }
    test::run(|| {
        let log = Log::new();
        drop(Scopes(log.clone()));
        assert_eq!(log.take(), ["child"]);
    });
}

#[test]
fn the_result_of_a_child_whose_handle_was_dropped_is_dropped_by_the_child() {
    struct TellsWhere<'a>(&'a Log);
    impl Drop for TellsWhere<'_> {
        fn drop(&mut self) {
            self.0.add(format!("dropped by {}", current().id()));
        }
    }
    test::run(|| {
        let log = Log::new();
        scope(|scope| drop(scope.spawn(|| TellsWhere(&log))));
        assert_eq!(log.take(), ["dropped by 2"]);
        scope(|scope| {
            let kept = scope.spawn(|| TellsWhere(&log));
            yield_now();
            drop(kept);
        });
        assert_eq!(log.take(), ["dropped by 1"]);
    });
}

#[test]
fn a_scope_that_waits_for_its_children_says_so() {
    test::run(|| {
        let parent = spawn(|| scope(|scope| drop(scope.spawn(|| sleep(SECOND)))));
        yield_now_and_again();
        let waits_for: Vec<_> = coroutines().iter().filter_map(|info| info.reason).collect();
        assert_eq!(waits_for, [Reason::Children, Reason::Sleeping]);
        parent.join().unwrap();
    });
}

/// Thousands come and go in one scope: the list of children does not grow with all there ever were.
#[test]
fn a_scope_may_have_any_number_of_children_one_after_the_other() {
    test::run(|| {
        let ended = Cell::new(0);
        scope(|scope| {
            for _ in 0..5000 {
                scope.spawn(|| ended.set(ended.get() + 1));
                yield_now();
            }
        });
        assert_eq!(ended.get(), 5000);
    });
}

/// DESIGN §3: whatever fails or is cancelled, and in whatever order, no child outlives what it borrows.
#[test]
fn on_every_schedule_no_child_outlives_the_locals_of_its_parent() {
    struct Local(Cell<u32>);
    impl Drop for Local {
        fn drop(&mut self) {
            assert_eq!(self.0.get(), 0, "children still borrow this");
        }
    }
    struct Borrowed<'a>(&'a Local);
    impl<'a> Borrowed<'a> {
        fn new(local: &'a Local) -> Borrowed<'a> {
            local.0.set(local.0.get() + 1);
            Borrowed(local)
        }
    }
    impl Drop for Borrowed<'_> {
        fn drop(&mut self) {
            self.0.0.set(self.0.0.get() - 1);
        }
    }
    fn family(depth: u32) {
        let local = Local(Cell::new(0));
        scope(|scope| {
            for _ in 0..3 {
                let borrowed = Borrowed::new(&local);
                scope.spawn(move || {
                    let _borrowed = borrowed;
                    match random_u64() % 6 {
                        0 => yield_now(),
                        1 => sleep(SECOND * (random_u64() % 3) as u32),
                        2 if depth < 3 => family(depth + 1),
                        3 => panic!("powder wet"),
                        4 => drop(shield(None, || sleep(SECOND))),
                        _ => sleep(HOUR),
                    }
                });
            }
            sleep(SECOND * (random_u64() % 3) as u32);
        });
    }
    for seed in 0..200 {
        Test::new().seed(seed).allow_crashes().run(|| {
            set_panic_notifier(|_, _| ());
            let families: Vec<_> = (0..3).map(|_| spawn(|| family(0))).collect();
            sleep(SECOND * (random_u64() % 3) as u32);
            families[0].cancel();
            let _ = panic::catch_unwind(|| with_timeout(SECOND, || family(1)));
            families[1].cancel();
        });
    }
}
