//! What a scope does when a child or the body panics.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{JoinError, now, scope, set_panic_notifier, shield, sleep, spawn, yield_now};

use self::support::Note;

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
fn a_child_that_panics_cancels_its_siblings_and_the_body_and_its_panic_is_raised() {
    test::run(|| {
        let log = Log::new();
        let began = now();
        let message = panic_of(|| {
            scope(|scope| {
                let _note = Note(log.clone(), "body");
                scope.spawn(|| {
                    let _note = Note(log.clone(), "sibling");
                    sleep(HOUR);
                });
                scope.spawn(|| {
                    sleep(SECOND);
                    panic!("powder wet");
                });
                sleep(HOUR);
                log.add("not reached");
            })
        });
        assert_eq!(message, "powder wet");
        assert_eq!(log.take(), ["sibling", "body"]);
        assert_eq!(now() - began, SECOND);
    });
}

#[test]
fn a_child_that_panics_while_the_body_is_done_cancels_its_siblings() {
    test::run(|| {
        let began = now();
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| sleep(HOUR));
                scope.spawn(|| {
                    sleep(SECOND);
                    panic!("powder wet");
                });
            })
        });
        assert_eq!((message.as_str(), now() - began), ("powder wet", SECOND));
    });
}

#[test]
fn a_body_that_panics_cancels_its_children() {
    test::run(|| {
        let log = Log::new();
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| {
                    let _note = Note(log.clone(), "child");
                    sleep(HOUR);
                });
                yield_now();
                panic!("no orders");
            })
        });
        assert_eq!((message.as_str(), log.take()), ("no orders", vec!["child".to_owned()]));
    });
}

/// The first failure is the one reported; a later one goes to the notifier.
#[test]
fn of_two_children_that_panic_the_first_is_raised_and_the_second_reported() {
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        set_panic_notifier(move |_, panic| notified.add(panic.message()));
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| {
                    assert!(panic::catch_unwind(|| sleep(HOUR)).is_err());
                    panic!("second");
                });
                scope.spawn(|| {
                    sleep(SECOND);
                    panic!("first");
                });
            })
        });
        assert_eq!((message.as_str(), reported.take()), ("first", vec!["second".to_owned()]));
    });
}

/// A body that trips over the cancellation of a child must not hide why that was cancelled.
#[test]
fn the_panic_of_a_child_is_raised_and_not_that_of_the_body_which_unwraps_its_join() {
    test::run(|| {
        let message = panic_of(|| {
            scope(|scope| {
                let child = scope.spawn(|| panic!("powder wet"));
                // The child ends while the body does not wait for it.
                let _ = shield(None, yield_now);
                child.join().unwrap();
            })
        });
        assert_eq!(message, "powder wet");
    });
}

#[test]
fn the_panic_of_a_child_is_raised_and_that_of_the_body_after_it_reported() {
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        set_panic_notifier(move |_, panic| notified.add(panic.message()));
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| panic!("first"));
                let _ = shield(None, yield_now);
                panic!("second");
            })
        });
        assert_eq!((message.as_str(), reported.take()), ("first", vec!["second".to_owned()]));
    });
}

#[test]
fn the_panic_of_a_body_is_raised_and_that_of_a_child_after_it_reported() {
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        set_panic_notifier(move |_, panic| notified.add(panic.message()));
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| {
                    assert!(panic::catch_unwind(|| sleep(HOUR)).is_err());
                    panic!("second");
                });
                yield_now();
                panic!("first");
            })
        });
        assert_eq!((message.as_str(), reported.take()), ("first", vec!["second".to_owned()]));
    });
}

#[test]
fn a_panic_that_went_through_a_scope_keeps_its_place() {
    test::run(|| {
        let line = line!() + 1;
        let handle = spawn(|| scope(|scope| drop(scope.spawn(|| panic!("powder wet")))));
        let Err(JoinError::Panicked(panic)) = handle.join() else { panic!("it did not panic") };
        assert!(panic.location().unwrap().starts_with(&format!("{}:{line}:", file!())), "{panic}");
        let body = spawn(|| scope(|_| panic!("no orders")));
        let Err(JoinError::Panicked(panic)) = body.join() else { panic!("it did not panic") };
        assert!(panic.location().unwrap().starts_with(&format!("{}:{}:", file!(), line + 3)), "{panic}");
    });
}

#[test]
fn a_child_spawned_after_a_failure_ends_without_running() {
    test::run(|| {
        let log = Log::new();
        let message = panic_of(|| {
            scope(|scope| {
                scope.spawn(|| panic!("powder wet"));
                assert!(panic::catch_unwind(yield_now_and_again).is_err());
                scope.spawn(|| log.add("ran"));
            })
        });
        assert_eq!((message.as_str(), log.take()), ("powder wet", vec![]));
    });
}

fn yield_now_and_again() {
    yield_now();
    yield_now();
}
