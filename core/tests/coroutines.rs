//! The life of one coroutine: made, named, listed, joined, cancelled, ended.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, Coroutine, JoinError, JoinHandle, Reason, Runtime, State, TooManyCoroutines, Unparked, coroutine,
    coroutines, current, in_parallel, sleep, spawn, stats, with_timeout, yield_now,
};

use self::support::{Bell, Note};

const HOUR: Duration = Duration::from_secs(3600);

/// `THR-1`
#[test]
fn spawn_queues_the_coroutine_and_does_not_run_it() {
    test::run(|| {
        let ran = Rc::new(Cell::new(false));
        let handle = spawn({
            let ran = ran.clone();
            move || ran.set(true)
        });
        assert!(!ran.get());
        assert_eq!(handle.coroutine().info().state, State::Ready);
        handle.join().unwrap();
        assert!(ran.get());
    });
}

/// `THR-2`: that starting consumes it makes starting twice impossible.
#[test]
fn an_unstarted_coroutine_runs_when_it_is_started() {
    test::run(|| {
        let unstarted = Builder::new().unstarted(|| 7).unwrap();
        yield_now();
        assert_eq!(unstarted.coroutine().info().state, State::Unstarted);
        assert_eq!(unstarted.start().join().unwrap(), 7);
    });
}

/// `THR-2`
#[test]
fn an_unstarted_coroutine_that_is_dropped_ends_without_running() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "closure dropped");
        let unstarted = Builder::new().unstarted(move || note.0.add("ran")).unwrap();
        let coroutine = unstarted.coroutine();
        let waiter = spawn({
            let coroutine = coroutine.clone();
            move || coroutine.wait_finished().unwrap()
        });
        yield_now();
        drop(unstarted);
        assert!(coroutine.is_finished());
        waiter.join().unwrap();
        coroutine.cancel();
        yield_now();
        assert_eq!(log.take(), ["closure dropped"]);
    });
}

/// `THR-7`: the ancestor blocks for ever as well.
#[test]
fn to_wait_for_an_unstarted_coroutine_is_to_wait_for_its_start() {
    test::run(|| {
        let unstarted = Builder::new().unstarted(|| sleep(HOUR)).unwrap();
        let coroutine = unstarted.coroutine();
        assert!(with_timeout(HOUR, || coroutine.wait_finished()).is_err());
        let handle = unstarted.start();
        coroutine.wait_finished().unwrap();
        handle.join().unwrap();
    });
}

/// `THR-5`, `THR-6`
#[test]
fn a_cancelled_unstarted_coroutine_dies_without_running() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "closure dropped");
        let unstarted = Builder::new().unstarted(move || note.0.add("ran")).unwrap();
        unstarted.coroutine().cancel();
        let handle = unstarted.start();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["closure dropped"]);
    });
}

/// A stack is set aside for each, and is free for another when it is not needed.
#[test]
fn unstarted_coroutines_that_end_without_running_leave_no_stack_set_aside() {
    test::run(|| {
        for round in 0..100 {
            let unstarted = Builder::new().unstarted(|| ()).unwrap();
            match round % 3 {
                0 => drop(unstarted),
                1 => unstarted.coroutine().cancel(),
                _ => unstarted.start().cancel(),
            }
            yield_now();
        }
        assert_eq!((stats().stacks, stats().pooled_stacks), (1, 1));
    });
}

/// `THR-2`
#[test]
fn an_unstarted_coroutine_counts_against_the_limit() {
    Test::new().max_coroutines(2).run(|| {
        let unstarted = Builder::new().unstarted(|| ()).unwrap();
        assert!(Builder::new().spawn(|| ()).is_err());
        assert_eq!(coroutines().len(), 2);
        drop(unstarted);
        Builder::new().spawn(|| ()).unwrap().join().unwrap();
    });
}

/// `THR-3`
#[test]
fn numbers_start_at_one_and_rise() {
    test::run(|| {
        assert_eq!(current().id().as_u64(), 1);
        let ids = in_parallel((0..3).map(|_| || current().id().as_u64())).unwrap();
        assert_eq!(ids, [2, 3, 4]);
        // None is used twice, where the ancestor's wrap.
        assert_eq!(spawn(|| current().id().as_u64()).join().unwrap(), 5);
    });
}

/// `THR-3`
#[test]
fn a_live_coroutine_is_found_by_its_number_and_a_dead_one_is_not() {
    test::run(|| {
        let handle = spawn(|| sleep(HOUR));
        let id = handle.coroutine().id();
        assert_eq!(coroutine(id.as_u64()), Some(handle.coroutine()));
        handle.join().unwrap();
        assert_eq!(coroutine(id.as_u64()), None);
        assert_eq!(coroutine(0), None);
    });
}

/// `THR-8`
#[test]
fn a_coroutine_has_the_name_it_was_given_last() {
    test::run(|| {
        assert_eq!(current().name().as_deref(), Some("main"));
        let handle = Builder::new().name("first").spawn(|| current().set_name("second")).unwrap();
        let coroutine = handle.coroutine();
        assert_eq!(coroutine.name().as_deref(), Some("first"));
        handle.join().unwrap();
        assert_eq!(coroutine.name().as_deref(), Some("second"));
        assert_eq!(spawn(|| current().name()).join().unwrap(), None);
    });
}

/// `THR-8`
#[test]
fn the_list_tells_number_name_birthplace_state_reason_and_time() {
    test::run(|| {
        let line = line!() + 1;
        let handle = Builder::new().name("sleeper").spawn(|| sleep(HOUR)).unwrap();
        sleep(Duration::from_secs(1));
        let all = coroutines();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].id.as_u64(), all[0].state, all[0].reason), (1, State::Running, None));
        let info = &all[1];
        assert_eq!((info.id.as_u64(), info.name.as_deref()), (2, Some("sleeper")));
        assert_eq!((info.spawned_at.file(), info.spawned_at.line()), (file!(), line));
        assert_eq!((info.state, info.reason), (State::Parked, Some(Reason::Sleeping)));
        assert_eq!(info.waited(), Some(Duration::from_secs(1)));
        let text = format!("2 \"sleeper\" spawned at {}:{line}, waiting 1s for the end of a sleep", file!());
        assert_eq!(info.to_string(), text);
        handle.cancel();
    });
}

/// `THR-8`
#[test]
fn a_coroutine_says_what_it_waits_for_and_in_what_state_it_is() {
    test::run(|| {
        let bell = Bell::new();
        let waiter = spawn({
            let bell = bell.clone();
            move || bell.wait()
        });
        let coroutine = waiter.coroutine();
        assert_eq!((coroutine.info().state, coroutine.info().reason), (State::Ready, None));
        yield_now();
        assert_eq!((coroutine.info().state, coroutine.info().reason), (State::Parked, Some(Reason::Other("the bell"))));
        bell.unparker().unpark().unwrap();
        assert_eq!((coroutine.info().state, coroutine.info().reason), (State::Ready, None));
        assert_eq!(waiter.join().unwrap(), Unparked::Woken);
        assert_eq!((coroutine.info().state, coroutine.info().reason), (State::Done, None));
    });
}

/// `THR-7`
#[test]
fn join_returns_what_the_coroutine_returned() {
    test::run(|| {
        assert_eq!(spawn(|| "shot".to_owned()).join().unwrap(), "shot");
        let dead = spawn(|| 7);
        yield_now();
        assert!(dead.is_finished());
        assert_eq!(dead.join().unwrap(), 7);
    });
}

/// `THR-7`
#[test]
fn a_coroutine_cannot_join_itself() {
    test::run(|| {
        let own: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
        let handle = spawn({
            let own = own.clone();
            move || {
                assert!(matches!(current().wait_finished(), Err(JoinError::WouldDeadlock { .. })));
                assert!(matches!(own.take().unwrap().join(), Err(JoinError::WouldDeadlock { .. })));
            }
        });
        let coroutine = handle.coroutine();
        own.set(Some(handle));
        coroutine.wait_finished().unwrap();
    });
}

/// `THR-7`
#[test]
fn any_number_of_coroutines_may_wait_for_one_to_end() {
    test::run(|| {
        let awaited = spawn(|| sleep(HOUR));
        let log = Log::new();
        let waiters: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let (coroutine, log) = (awaited.coroutine(), log.clone());
                spawn(move || {
                    coroutine.wait_finished().unwrap();
                    log.add(name);
                })
            })
            .collect();
        yield_now();
        awaited.join().unwrap();
        log.add("main");
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(log.take(), ["a", "b", "c", "main"]);
    });
}

/// `THR-7`, `THR-9`
#[test]
fn a_panic_reaches_whoever_joins_and_nobody_else() {
    test::run(|| {
        let handle = spawn(|| panic!("powder wet"));
        let waiter = spawn({
            let coroutine = handle.coroutine();
            move || coroutine.wait_finished().unwrap()
        });
        let Err(JoinError::Panicked(panic)) = handle.join() else { panic!("it did not panic") };
        assert_eq!(panic.message(), "powder wet");
        assert!(panic.location().unwrap().starts_with(file!()));
        assert_eq!(*panic.into_payload().downcast::<&str>().unwrap(), "powder wet");
        waiter.join().unwrap();
    });
}

#[test]
fn a_join_error_can_be_passed_on_between_threads_and_says_what_happened() {
    fn is_passed_on<T: std::error::Error + Send + Sync + 'static>(error: T) -> String {
        error.to_string()
    }
    test::run(|| {
        let handle = spawn(|| sleep(HOUR));
        handle.cancel();
        assert_eq!(is_passed_on(handle.join().unwrap_err()), "the coroutine was cancelled");
        let line = line!() + 1;
        let text = is_passed_on(spawn(|| panic!("powder wet")).join().unwrap_err());
        assert!(text.starts_with("the coroutine panicked: powder wet, at "), "{text}");
        assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
    });
}

/// `THR-5`, and the ancestor's `interrupt: sleeping_coro`.
#[test]
fn a_cancelled_sleeper_is_unwound() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "unwound");
        let sleeper = spawn(move || {
            let _note = note;
            sleep(HOUR);
        });
        yield_now();
        sleeper.cancel();
        assert!(matches!(sleeper.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["unwound"]);
        assert_eq!(stats().timers, 0);
    });
}

/// `THR-6`, and the ancestor's `interrupt: scheduled_pending`.
#[test]
fn a_coroutine_cancelled_before_its_first_turn_ends_without_running() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "closure dropped");
        let handle = spawn(move || note.0.add("ran"));
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["closure dropped"]);
    });
}

/// Its closure is dropped on its own stack, where destructors may wait: it is not unwinding.
#[test]
fn the_closure_of_a_coroutine_cancelled_before_its_first_turn_is_dropped_by_that_coroutine() {
    struct Waits(Log);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.add(format!("coroutine {}", current().id()));
            let _ = grapeshot_core::shield(None, || sleep(HOUR));
            self.0.add("waited");
        }
    }
    test::run(|| {
        let log = Log::new();
        let waits = Waits(log.clone());
        let handle = spawn(move || drop(waits));
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["coroutine 2", "waited"]);
    });
}

/// `THR-5`: the ancestor takes the wake back when it is told to use force; here the wake counts, and the cancel follows.
#[test]
fn a_runnable_coroutine_that_is_cancelled_runs_to_its_next_suspension_point() {
    test::run(|| {
        let (bell, log) = (Bell::new(), Log::new());
        let handle = spawn({
            let (bell, log) = (bell.clone(), log.clone());
            move || {
                let _ = bell.wait();
                log.add("woken");
                yield_now();
                log.add("not reached");
            }
        });
        yield_now();
        bell.unparker().unpark().unwrap();
        handle.cancel();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["woken"]);
    });
}

/// `THR-6`
#[test]
fn cancelling_the_dead_and_cancelling_twice_does_nothing() {
    test::run(|| {
        let dead = spawn(|| 7);
        yield_now();
        dead.cancel();
        dead.coroutine().cancel();
        assert_eq!(dead.join().unwrap(), 7);

        let sleeper = spawn(|| sleep(HOUR));
        yield_now();
        sleeper.cancel();
        sleeper.cancel();
        assert!(matches!(sleeper.join(), Err(JoinError::Cancelled)));
    });
}

/// The ancestor refuses to raise an exception on the current coroutine (`THR-5`); here its next wait notices.
#[test]
fn a_coroutine_may_cancel_itself() {
    test::run(|| {
        let log = Log::new();
        let handle = spawn({
            let log = log.clone();
            move || {
                current().cancel();
                log.add("still here");
                yield_now();
                log.add("not reached");
            }
        });
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(log.take(), ["still here"]);
    });
}

#[test]
fn a_cancelled_coroutine_that_never_waits_again_has_won() {
    test::run(|| {
        let handle = spawn(|| {
            current().cancel();
            7
        });
        assert_eq!(handle.join().unwrap(), 7);
    });
}

#[test]
fn a_coroutine_whose_handle_is_dropped_runs_on_and_its_result_is_dropped() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "result dropped");
        drop(spawn(move || {
            yield_now();
            note
        }));
        yield_now();
        assert!(log.take().is_empty());
        yield_now();
        assert_eq!(log.take(), ["result dropped"]);
    });
}

#[test]
fn a_result_that_nobody_takes_is_dropped_with_its_handle() {
    test::run(|| {
        let log = Log::new();
        let note = Note(log.clone(), "result dropped");
        let handle = spawn(move || note);
        yield_now();
        assert!(log.take().is_empty());
        drop(handle);
        assert_eq!(log.take(), ["result dropped"]);
    });
}

#[test]
fn a_coroutine_past_the_limit_is_refused_with_the_limit() {
    Test::new().max_coroutines(2).run(|| {
        let handle = Builder::new().spawn(|| ()).unwrap();
        let error = Builder::new().spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(error.get_ref().unwrap().is::<TooManyCoroutines>());
        assert_eq!(error.to_string(), "there are 2 coroutines, the limit set by Runtime::max_coroutines");
        handle.join().unwrap();
        Builder::new().spawn(|| ()).unwrap().join().unwrap();
    });
}

#[test]
fn a_stack_larger_than_any_is_refused() {
    test::run(|| {
        let error = Builder::new().stack_size(1 << 30).spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(stats().coroutines, 1);
    });
}

#[test]
fn a_default_stack_larger_than_any_is_refused() {
    for bytes in [9 << 20, 1 << 32, usize::MAX] {
        let error = Runtime::new().signals(false).stack_size(bytes).run(|| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

/// A refused closure is dropped by the spawner, in which its destructor may wait.
#[test]
fn the_closure_of_a_coroutine_that_is_refused_may_wait_while_it_is_dropped() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = grapeshot_core::shield(None, || sleep(Duration::MAX));
        }
    }
    let exit = Runtime::new().signals(false).max_coroutines(1).exit_deadline(Duration::ZERO);
    let leaks = Rc::new(Cell::new(None::<Coroutine>));
    let _ = exit.run({
        let leaks = leaks.clone();
        move || {
            leaks.set(Some(current()));
            grapeshot_core::set_exit(0);
            let waits = Waits;
            // It never gets beyond this, and its runtime leaves it behind there.
            let _ = Builder::new().spawn(move || drop(waits));
        }
    });
    assert_eq!(leaks.take().unwrap().info().state, State::Parked);
    test::run(|| ());
}

/// Runs a coroutine that its runtime leaves behind, parked, and hands on what `keep` makes of its handle.
fn leave_behind<K: 'static>(keep: impl FnOnce(JoinHandle<()>) -> K + 'static) -> K {
    let kept = Rc::new(Cell::new(None));
    let exit = Runtime::new().signals(false).exit_deadline(Duration::ZERO).run({
        let kept = kept.clone();
        move || {
            let stubborn = spawn(|| {
                let _ = grapeshot_core::shield(None, || sleep(Duration::MAX));
                unreachable!("it never runs again");
            });
            yield_now();
            kept.set(Some(keep(stubborn)));
        }
    });
    assert!(exit.is_ok());
    kept.take().unwrap()
}

/// Its stack may be borrowed from, so it must not even be unwound (DESIGN §3).
#[test]
fn a_coroutine_left_behind_by_its_runtime_never_runs_again_under_another() {
    let handle = leave_behind(|handle| handle);
    test::run(move || {
        handle.cancel();
        yield_now();
        assert!(!handle.is_finished());
        assert!(matches!(handle.coroutine().wait_finished(), Err(JoinError::LeftBehind { .. })));
        assert!(matches!(handle.join(), Err(JoinError::LeftBehind { .. })));
    });
}

#[test]
fn an_unstarted_coroutine_ends_with_its_runtime() {
    let log = Log::new();
    let note = Note(log.clone(), "closure dropped");
    let unstarted = test::run(|| Builder::new().unstarted(move || note.0.add("ran")).unwrap());
    assert_eq!(log.take(), ["closure dropped"]);
    test::run(move || {
        assert!(unstarted.coroutine().is_finished());
        assert!(matches!(unstarted.start().join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_handle_may_be_dropped_after_the_run() {
    let handle = test::run(|| spawn(|| sleep(HOUR)));
    assert!(handle.is_finished());
    drop(handle);
}

/// `THR-5`, `THR-7`: however they are scheduled.
#[test]
fn on_every_schedule_a_cancelled_coroutine_wakes_everyone_who_waits_for_it() {
    support::on_every_schedule(|| {
        let awaited = spawn(|| sleep(HOUR));
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let coroutine = awaited.coroutine();
                spawn(move || coroutine.wait_finished().unwrap())
            })
            .collect();
        for _ in 0..grapeshot_core::random_u64() % 4 {
            yield_now();
        }
        waiters[2].cancel();
        awaited.cancel();
        let ended: Vec<bool> = waiters.into_iter().map(|waiter| waiter.join().is_ok()).collect();
        assert_eq!(ended.iter().filter(|&&woken| woken).count() + usize::from(!ended[2]), 5);
        assert!(matches!(awaited.join(), Err(JoinError::Cancelled)));
    });
}
