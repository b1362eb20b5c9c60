//! How a run ends, at its worst (DESIGN §3): every coroutine is cancelled, and what refuses is leaked, never freed.

mod support;

use std::cell::Cell;
use std::panic;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, Coroutine, Exit, Group, JoinHandle, Runtime, State, Unparked, coroutines, current, now, random_u64, run,
    scope, set_exit, shield, sleep, spawn, yield_now, yield_slice,
};

use self::support::{Bell, Note, in_child, run_alone};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn runtime() -> Runtime {
    Runtime::new().signals(false)
}

/// A runtime that does not wait for the stubborn.
fn impatient() -> Runtime {
    runtime().exit_deadline(Duration::ZERO)
}

/// Parks until it is cancelled.
fn park_for_ever() {
    sleep(Duration::MAX);
}

/// Parks for good.
fn refuse_to_end() {
    let _ = shield(None, park_for_ever);
    unreachable!("nobody wakes it");
}

#[test]
fn the_run_ends_with_main_and_what_main_returned() {
    let exit = runtime().run(|| {
        spawn(park_for_ever);
        7
    });
    assert!(matches!(exit, Ok(Exit::Returned(7))), "{exit:?}");
}

#[test]
fn whoever_still_runs_is_cancelled_when_main_returns() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            for name in ["parked", "never run"] {
                let note = Note(log.clone(), name);
                spawn(move || {
                    let _note = note;
                    park_for_ever();
                });
                if name == "parked" {
                    yield_now();
                }
            }
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["never run", "parked"]);
}

#[test]
fn a_cleaning_up_coroutine_is_waited_for() {
    test::run(|| {
        spawn(|| {
            struct CleansUp;
            impl Drop for CleansUp {
                fn drop(&mut self) {
                    assert!(std::thread::panicking());
                }
            }
            let _cleans_up = CleansUp;
            let cut = panic::catch_unwind(park_for_ever);
            shield(None, || sleep(SECOND)).unwrap();
            panic::resume_unwind(cut.unwrap_err());
        });
        yield_now();
    });
}

/// The parent is cancelled with children parked that borrow from it.
#[test]
fn children_that_borrow_have_ended_when_their_cancelled_parent_unwinds() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            spawn(move || borrowing_family(&log, park_for_ever));
            yield_slice();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    assert_eq!(log.take(), ["child", "child", "local"]);
}

/// A parent whose two children borrow a local, and do the same as long as they can.
fn borrowing_family(log: &Log, wait: impl Fn()) {
    let local = Note(log.clone(), "local");
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _child = Note(local.0.clone(), "child");
                wait();
            });
        }
    });
}

#[test]
fn children_that_borrow_have_ended_when_main_is_their_parent_and_set_exit_ends_the_run() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            spawn(|| {
                yield_slice();
                set_exit(3);
            });
            borrowing_family(&log, park_for_ever);
        }
    });
    assert!(matches!(exit, Ok(Exit::Requested(3))), "{exit:?}");
    assert_eq!(log.take(), ["child", "child", "local"]);
}

#[test]
fn children_that_borrow_have_ended_when_main_panics_over_them() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            grapeshot_core::set_panic_notifier(|_, _| ());
            let local = Note(log.clone(), "local");
            scope(|scope| {
                scope.spawn(|| {
                    let _child = Note(local.0.clone(), "child");
                    park_for_ever();
                });
                yield_now();
                panic!("powder wet");
            });
        }
    });
    assert!(matches!(exit, Ok(Exit::Panicked(panic)) if panic.message() == "powder wet"));
    assert_eq!(log.take(), ["child", "local"]);
}

/// Neither the child, nor what it borrows, nor the parent is touched again: the memory stays as it was.
#[test]
fn a_child_that_refuses_to_end_is_leaked_with_everything_it_borrows() {
    let log = Log::new();
    let exit = impatient().run({
        let log = log.clone();
        move || {
            spawn(move || borrowing_family(&log, refuse_to_end));
            yield_slice();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    assert!(log.take().is_empty());
    // And the thread is as good as new.
    test::run(|| spawn(|| ()).join().unwrap());
    assert!(log.take().is_empty());
}

#[test]
fn a_coroutine_that_catches_every_unwinding_is_given_up_at_the_deadline() {
    let log = Log::new();
    let exit = runtime().exit_deadline(Duration::from_millis(10)).run({
        let log = log.clone();
        move || {
            let note = Note(log.clone(), "freed");
            spawn(move || {
                let _note = note;
                loop {
                    let _ = panic::catch_unwind(|| sleep(HOUR));
                }
            });
            yield_now();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    assert!(log.take().is_empty());
}

/// Under virtual time as well, which stands still for a coroutine that spins.
#[test]
fn a_test_fails_with_a_coroutine_that_catches_every_unwinding() {
    let failed = panic::catch_unwind(|| {
        Test::new().exit_deadline(Duration::from_millis(10)).run(|| {
            spawn(|| {
                loop {
                    let _ = panic::catch_unwind(|| sleep(HOUR));
                }
            });
            yield_now();
        });
    });
    let text = *failed.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(text, "the test left behind: 1 coroutines that did not end, 1 stacks in use");
}

/// A deadline of nothing is one last turn for everybody.
#[test]
fn everyone_has_a_turn_to_end_however_short_the_deadline() {
    let log = Log::new();
    let exit = impatient().run({
        let log = log.clone();
        move || {
            let group = Group::new();
            for _ in 0..2 {
                let log = log.clone();
                group
                    .spawn(Builder::new(), move || {
                        let _note = Note(log, "member");
                        park_for_ever();
                    })
                    .unwrap();
            }
            spawn(move || {
                // The group's owner refuses, so nobody cancels its members before the deadline.
                let _group = group;
                refuse_to_end();
            });
            spawn(move || borrowing_family(&log, park_for_ever));
            yield_now();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["child", "child", "local", "member", "member"]);
}

#[test]
fn the_deadline_may_be_any_duration() {
    let exit = runtime().exit_deadline(Duration::MAX).run(|| drop(spawn(park_for_ever)));
    assert!(matches!(exit, Ok(Exit::Returned(()))));
}

#[test]
fn a_coroutine_spawned_while_the_run_ends_ends_without_running() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            spawn(move || {
                let cut = panic::catch_unwind(park_for_ever);
                let note = Note(log.clone(), "dropped");
                spawn(move || note.0.add("ran"));
                panic::resume_unwind(cut.unwrap_err());
            });
            yield_now();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_scope_under_a_shield_works_while_the_run_ends() {
    let log = Log::new();
    let exit = runtime().run({
        let log = log.clone();
        move || {
            spawn(move || {
                let cut = panic::catch_unwind(park_for_ever);
                shield(None, || {
                    scope(|scope| {
                        scope.spawn(|| {
                            yield_slice();
                            log.add("cleaned up");
                        });
                    });
                })
                .unwrap();
                panic::resume_unwind(cut.unwrap_err());
            });
            yield_now();
        }
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))));
    assert_eq!(log.take(), ["cleaned up"]);
}

/// A server answers for its connections, and may let them finish.
#[test]
fn members_of_a_group_are_left_to_its_owner() {
    test::run(|| {
        let log = Log::new();
        let (member_log, owner_log) = (log.clone(), log.clone());
        spawn(move || {
            let group = Group::new();
            group
                .spawn(Builder::new(), move || {
                    sleep(SECOND);
                    member_log.add("member finished");
                })
                .unwrap();
            let cut = panic::catch_unwind(park_for_ever);
            shield(None, || assert!(group.wait_empty(Some(now() + HOUR)))).unwrap();
            owner_log.add("owner finished");
            assert_eq!(owner_log.take(), ["member finished", "owner finished"]);
            panic::resume_unwind(cut.unwrap_err());
        });
        yield_now();
    });
}

#[test]
fn members_of_a_group_that_nobody_owns_any_more_are_cancelled() {
    thread_local!(static GROUP: Group = Group::new());
    test::run(|| {
        GROUP.with(|group| group.spawn(Builder::new(), park_for_ever).unwrap());
        yield_now();
    });
}

#[test]
fn main_leaked_is_an_end_all_the_same() {
    let exit = impatient().run(|| {
        set_exit(4);
        refuse_to_end();
    });
    assert!(matches!(exit, Ok(Exit::Requested(4))), "{exit:?}");
}

#[test]
fn a_panic_of_main_is_told_and_exits_with_101() {
    if in_child() {
        support::exit(run(|| panic!("powder wet")));
    }
    let ended = run_alone("a_panic_of_main_is_told_and_exits_with_101");
    assert_eq!(ended.status.code(), Some(101), "{ended:?}");
    assert!(ended.stderr.contains("coroutine 1 (main) panicked: powder wet, at core/tests/teardown.rs:"), "{ended:?}");
}

#[test]
fn the_exit_code_is_that_of_what_main_returns() {
    if in_child() {
        support::exit(run(|| ExitCode::from(42)));
    }
    assert_eq!(run_alone("the_exit_code_is_that_of_what_main_returns").status.code(), Some(42));
}

#[test]
fn what_is_leaked_is_named_on_stderr() {
    if in_child() {
        let exit = impatient().run(|| {
            Builder::new().name("stubborn").spawn(refuse_to_end).unwrap();
            yield_now();
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("what_is_leaked_is_named_on_stderr");
    assert_eq!(ended.status.code(), Some(0));
    let line = ended.stderr.lines().find(|line| line.contains("leaked")).unwrap();
    assert!(line.contains("leaked coroutine 2 \"stubborn\" spawned at core/tests/teardown.rs:"), "{line}");
    assert!(line.ends_with(" for the end of a sleep: it did not end by the exit deadline"), "{line}");
}

/// Main was spawned by whoever runs it.
#[test]
fn main_has_the_birthplace_of_the_run() {
    test::run(|| {
        let spawned_at = current().info().spawned_at;
        assert_eq!(spawned_at.file(), file!());
        assert_eq!(coroutines()[0].spawned_at, spawned_at);
    });
}

/// The destructor of a panic's payload is the user's code, and may itself panic.
#[test]
fn a_payload_that_panics_when_it_is_dropped_does_not_stop_the_loop() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic::panic_any(Grenade);
        }
    }
    Test::new().allow_crashes().run(|| {
        drop(spawn(|| panic::panic_any(Grenade)));
        drop(spawn(|| {
            struct ThrowsInDrop;
            impl Drop for ThrowsInDrop {
                fn drop(&mut self) {
                    panic::panic_any(Grenade);
                }
            }
            ThrowsInDrop
        }));
        yield_now();
        yield_now();
    });
}

#[test]
fn a_result_whose_destructor_panics_is_reported_and_ends_nobody() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("powder wet");
        }
    }
    Test::new().allow_crashes().run(|| {
        let reported = Log::new();
        let notified = reported.clone();
        grapeshot_core::set_panic_notifier(move |info, panic| {
            notified.add(format!("{}: {}", info.id, panic.message()))
        });
        drop(spawn(|| Panics));
        yield_now();
        assert_eq!(reported.take(), ["2: powder wet"]);
        // A closure that never runs is dropped by its own coroutine.
        let panics = Panics;
        let handle = spawn(move || drop(panics));
        handle.cancel();
        assert!(handle.join().is_err());
        assert_eq!(reported.take(), ["3: powder wet"]);
    });
}

/// What main returned outlives the runtime.
#[test]
fn handles_returned_from_the_run_can_be_looked_at_and_dropped() {
    let (handle, coroutine): (JoinHandle<i32>, Coroutine) = test::run(|| {
        let handle = spawn(|| 7);
        let coroutine = handle.coroutine();
        yield_now();
        (handle, coroutine)
    });
    assert_eq!((coroutine.info().state, coroutine.info().since), (State::Done, None));
    assert_eq!(coroutine.wait_finished().ok(), Some(()));
    assert_eq!(handle.join().unwrap(), 7);
}

/// `THR-9`: also when there is no notifier left to tell.
#[test]
fn a_panic_that_nobody_joined_by_the_end_of_the_run_is_reported() {
    if in_child() {
        let exit = runtime().run(|| {
            let handle = spawn(|| panic!("powder wet"));
            yield_now();
            handle
        });
        drop(exit);
        support::exit(());
    }
    let ended = run_alone("a_panic_that_nobody_joined_by_the_end_of_the_run_is_reported");
    assert!(
        ended.stderr.contains("coroutine 2 (unnamed) panicked: powder wet, at core/tests/teardown.rs:"),
        "{ended:?}"
    );
}

/// DESIGN §3: whatever waits on whatever when the run ends, all of it ends.
#[test]
fn on_every_schedule_everything_ends_with_the_run() {
    let alive = Rc::new(Cell::new(0));
    struct Counted(Rc<Cell<i32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    fn counted(alive: &Rc<Cell<i32>>) -> Counted {
        alive.set(alive.get() + 1);
        Counted(alive.clone())
    }
    fn busy(alive: Rc<Cell<i32>>, depth: u32) {
        let _counted = counted(&alive);
        match random_u64() % 6 {
            0 => park_for_ever(),
            1 => assert_eq!(Bell::new().wait(), Unparked::Woken),
            2 => yield_slice(),
            3 if depth < 3 => drop(spawn(move || busy(alive, depth + 1)).join()),
            4 if depth < 3 => scope(|scope| {
                let _counted = counted(&alive);
                scope.spawn(|| busy(alive.clone(), depth + 1));
                scope.spawn(|| busy(alive.clone(), depth + 1));
                yield_now();
            }),
            _ => loop {
                yield_now();
            },
        }
    }
    for seed in 0..200 {
        let running = alive.clone();
        Test::new().seed(seed).run(move || {
            for _ in 0..10 {
                let alive = running.clone();
                spawn(move || busy(alive, 0));
            }
            for _ in 0..random_u64() % 20 {
                yield_now();
            }
        });
        assert_eq!(alive.get(), 0, "seed {seed}");
    }
}
