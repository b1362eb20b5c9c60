//! How many operations in a row a coroutine may do without giving way (REQUIREMENTS 1.10).
//! Its effect on real sockets is in `descriptors`.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io;
use std::os::unix::net::UnixStream;
use std::panic;
use std::rc::Rc;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    ClosedError, Direction, Runtime, Source, WaitLimit, set_own_selfishness, set_selfishness, spawn, stats, yield_now,
};

/// An operation that never has to wait.
fn operate(source: &Source<UnixStream>) {
    source.attempt(Direction::Read, "nothing", WaitLimit::Never, |()| false, |_| io::Result::Ok(())).unwrap();
}

fn source() -> Source<UnixStream> {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    Source::new(ours)
}

/// How many operations go through between two polls.
fn between_polls(operations: usize) -> Vec<usize> {
    let source = source();
    let mut counts = vec![0];
    let mut pass = stats().passes;
    for _ in 0..operations {
        operate(&source);
        if stats().passes != pass {
            pass = stats().passes;
            counts.push(0);
        }
        *counts.last_mut().unwrap() += 1;
    }
    counts
}

#[test]
fn a_coroutine_does_four_operations_in_a_row_unless_told_otherwise() {
    test::run(|| assert_eq!(between_polls(10), [4, 4, 2]));
}

#[test]
fn a_coroutine_may_be_told_how_many_and_answers_how_many_it_was() {
    test::run(|| {
        assert_eq!(set_own_selfishness(3), 4);
        assert_eq!(between_polls(7), [3, 3, 1]);
        assert_eq!(set_own_selfishness(1), 3);
        assert_eq!(between_polls(3), [1, 1, 1]);
        assert_eq!(set_own_selfishness(4), 1);
    });
}

#[test]
fn a_new_setting_is_for_coroutines_spawned_from_then_on() {
    test::run(|| {
        let before = spawn(|| between_polls(4));
        assert_eq!(set_selfishness(2), 4);
        let after = spawn(|| between_polls(4));
        assert_eq!(between_polls(4), [4]);
        assert_eq!(before.join().unwrap(), [4]);
        assert_eq!(after.join().unwrap(), [2, 2]);
        assert_eq!(set_selfishness(4), 2);
    });
}

#[test]
fn a_runtime_may_be_told_how_many() {
    let exit = Runtime::new().signals(false).selfishness(5).run(|| between_polls(11));
    assert!(matches!(exit, Ok(grapeshot_core::Exit::Returned(counts)) if counts == [5, 5, 1]));
}

/// Another coroutine has its turn in between, and so have timers and descriptors.
#[test]
fn a_coroutine_that_always_succeeds_lets_others_run() {
    Test::new().run(|| {
        let busy = spawn(|| between_polls(100));
        let mut turns = 0;
        while !busy.is_finished() {
            yield_now();
            turns += 1;
        }
        assert!(turns >= 25);
        busy.join().unwrap();
    });
}

#[test]
fn a_source_closed_while_its_user_gives_way_is_not_used_again() {
    test::run(|| {
        let source = Rc::new(source());
        let closer = spawn({
            let source = source.clone();
            move || source.close()
        });
        set_own_selfishness(1);
        operate(&source);
        let nothing = |_: &UnixStream| -> io::Result<()> { unreachable!("it is closed") };
        let error = source.attempt(Direction::Read, "nothing", WaitLimit::Never, |()| false, nothing).unwrap_err();
        assert!(error.get_ref().unwrap().is::<ClosedError>());
        assert!(closer.join().unwrap());
    });
}

#[test]
fn the_bounds_are_1_and_32768() {
    test::run(|| {
        for operations in [1, 32_768] {
            set_selfishness(operations);
            set_own_selfishness(operations);
            let _ = Runtime::new().selfishness(operations);
        }
        for operations in [0, 32_769, u16::MAX] {
            let expected = format!("selfishness is 1 to 32768 operations, not {operations}");
            let refused: [fn(u16); 3] = [
                |operations| _ = set_selfishness(operations),
                |operations| _ = set_own_selfishness(operations),
                |operations| drop(Runtime::new().selfishness(operations)),
            ];
            for set in refused {
                let payload = panic::catch_unwind(|| set(operations)).unwrap_err();
                assert_eq!(*payload.downcast::<String>().unwrap(), expected);
            }
        }
    });
}

#[test]
fn outside_a_runtime_there_is_nothing_to_set() {
    assert_eq!(set_selfishness(7), 0);
    assert_eq!(set_own_selfishness(7), 0);
}
