//! Waiting without a stack (DESIGN §3; the ancestor's handlers, POL-5).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, ClosedError, Coroutine, Direction, Hibernation, Reason, Source, State, Turn, Unparked, WaitLimit,
    coroutines, current, in_coroutine, now, set_panic_notifier, sleep, spawn, stats, with_timeout, yield_now,
    yield_slice,
};

const SECOND: Duration = Duration::from_secs(1);

type Stream = Source<UnixStream>;

fn pair() -> (Rc<Stream>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (Rc::new(Source::new(near)), far)
}

fn read(source: &Stream) -> io::Result<Vec<u8>> {
    let mut buf = [0; 64];
    let operation = |mut stream: &UnixStream| stream.read(&mut buf);
    let read = source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, operation)?;
    Ok(buf[..read].to_vec())
}

fn hibernate(
    source: &Rc<Stream>,
    deadline: Option<Instant>,
    then: impl FnOnce(Rc<Stream>, Unparked) -> Turn + 'static,
) -> Turn {
    Turn::Wait(Hibernation::until_readable(source.clone(), |source| source, "read", deadline, then).unwrap())
}

/// A coroutine that hibernates at once, and notes what woke it.
fn sleeper(source: &Rc<Stream>, deadline: Option<Instant>, log: &Log) -> Coroutine {
    let (source, log) = (source.clone(), log.clone());
    Builder::new()
        .name("sleeper")
        .spawn_turns(move || {
            hibernate(&source, deadline, move |_, unparked| {
                log.add(format!("{unparked:?}"));
                Turn::Done
            })
        })
        .unwrap()
}

#[test]
fn data_wakes_it() {
    test::run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        let sleeper = sleeper(&near, None, &log);
        sleep(SECOND);
        assert_eq!(sleeper.info().state, State::Hibernating);
        far.write_all(b"x").unwrap();
        sleeper.wait_finished().unwrap();
        assert_eq!(log.take(), ["Woken"]);
        assert_eq!(read(&near).unwrap(), b"x");
    });
}

#[test]
fn data_that_came_before_wakes_it() {
    for registered in [false, true] {
        test::run(move || {
            let ((near, mut far), log) = (pair(), Log::new());
            if registered {
                with_timeout(SECOND, || read(&near)).unwrap_err();
            }
            far.write_all(b"x").unwrap();
            yield_slice();
            sleeper(&near, None, &log).wait_finished().unwrap();
            assert_eq!(log.take(), ["Woken"]);
        });
    }
}

#[test]
fn the_end_of_the_stream_wakes_it() {
    test::run(|| {
        let ((near, far), log) = (pair(), Log::new());
        let sleeper = sleeper(&near, None, &log);
        sleep(SECOND);
        drop(far);
        sleeper.wait_finished().unwrap();
        assert_eq!(read(&near).unwrap(), b"");
        assert_eq!(log.take(), ["Woken"]);
    });
}

#[test]
fn its_deadline_wakes_it_and_leaves_its_place_to_others() {
    test::run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        let started = now();
        let sleeper = sleeper(&near, Some(started + 5 * SECOND), &log);
        sleeper.wait_finished().unwrap();
        assert_eq!((log.take(), now() - started), (vec!["TimedOut".to_owned()], 5 * SECOND));
        far.write_all(b"x").unwrap();
        assert_eq!(read(&near).unwrap(), b"x");
    });
}

#[test]
fn data_in_time_takes_the_deadline_away() {
    test::run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        let sleeper = sleeper(&near, Some(now() + 5 * SECOND), &log);
        sleep(SECOND);
        assert_eq!(stats().timers, 1);
        far.write_all(b"x").unwrap();
        sleeper.wait_finished().unwrap();
        assert_eq!(stats().timers, 0);
    });
}

/// Notes where it is dropped.
struct Cargo(Log);

impl Drop for Cargo {
    fn drop(&mut self) {
        self.0.add(if in_coroutine() { "dropped in a coroutine" } else { "dropped outside" });
    }
}

fn laden_sleeper(source: &Rc<Stream>, log: &Log) -> Coroutine {
    let (source, cargo) = (source.clone(), Cargo(log.clone()));
    Builder::new()
        .spawn_turns(move || {
            hibernate(&source, None, move |_, _| {
                cargo.0.add("ran");
                Turn::Done
            })
        })
        .unwrap()
}

/// What it keeps has destructors that may wait, so they run on a stack.
#[test]
fn a_cancelled_one_drops_what_it_kept_on_a_stack_and_runs_no_more() {
    test::run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        let sleeper = laden_sleeper(&near, &log);
        sleep(SECOND);
        sleeper.cancel();
        // Its place is free although the source lives on.
        far.write_all(b"x").unwrap();
        assert_eq!(read(&near).unwrap(), b"x");
        sleeper.wait_finished().unwrap();
        assert_eq!(log.take(), ["dropped in a coroutine"]);
    });
}

#[test]
fn one_that_is_cancelled_before_its_first_turn_does_not_run() {
    test::run(|| {
        let ((near, _far), log) = (pair(), Log::new());
        let sleeper = laden_sleeper(&near, &log);
        sleeper.cancel();
        sleeper.wait_finished().unwrap();
        assert_eq!(log.take(), ["dropped in a coroutine"]);
    });
}

#[test]
fn one_that_is_cancelled_during_a_turn_does_not_hibernate_again() {
    test::run(|| {
        let ((near, _far), log) = (pair(), Log::new());
        let cargo = Cargo(log.clone());
        let turns = Builder::new().spawn_turns(move || {
            current().cancel();
            hibernate(&near, None, move |_, _| {
                cargo.0.add("ran");
                Turn::Done
            })
        });
        turns.unwrap().wait_finished().unwrap();
        assert_eq!(log.take(), ["dropped in a coroutine"]);
    });
}

#[test]
fn leaving_the_run_ends_it() {
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = log.clone();
    struct Tell(std::sync::Arc<std::sync::Mutex<Vec<bool>>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(in_coroutine());
        }
    }
    test::run(move || {
        let (near, far) = pair();
        let kept = (Tell(seen), far);
        let turns = Builder::new().spawn_turns(move || {
            hibernate(&near, None, move |_, _| {
                drop(kept);
                Turn::Done
            })
        });
        turns.unwrap();
        sleep(SECOND);
    });
    assert_eq!(*log.lock().unwrap(), [true]);
}

/// DESIGN §3.
#[test]
fn it_holds_no_stack_and_keeps_its_number_name_and_place_in_listings() {
    test::run(|| {
        let sleepers: Vec<_> = (0..100)
            .map(|_| {
                let (near, far) = pair();
                (sleeper(&near, None, &Log::new()), near, far)
            })
            .collect();
        sleep(SECOND);
        let held = stats();
        assert_eq!((held.coroutines, held.stacks, held.registrations), (101, 1, 100));
        let (sleeper, near, far) = &sleepers[41];
        let info = coroutines().into_iter().find(|info| info.id == sleeper.id()).unwrap();
        assert_eq!(info.name.as_deref(), Some("sleeper"));
        assert_eq!(info.state, State::Hibernating);
        assert_eq!(info.waited(), Some(SECOND));
        assert!(matches!(info.reason, Some(Reason::Io { operation: "read", .. })), "{info}");
        assert!(info.spawned_at.file().ends_with("hibernation.rs"), "{info}");
        (&*far).write_all(b"x").unwrap();
        sleeper.wait_finished().unwrap();
        assert_eq!(read(near).unwrap(), b"x");
    });
}

#[test]
fn a_thousand_cycles_leave_nothing_behind() {
    test::run(|| {
        let (near, mut far) = pair();
        let log = Log::new();
        fn turn(near: Rc<Stream>, log: Log, left: usize) -> Turn {
            if left == 0 {
                return Turn::Done;
            }
            let deadline = Some(now() + 60 * SECOND);
            hibernate(&near, deadline, move |near, unparked| {
                assert_eq!(unparked, Unparked::Woken);
                log.add(format!("{} {:?}", current().id(), current().name()));
                assert_eq!(read(&near).unwrap(), b"x");
                turn(near, log, left - 1)
            })
        }
        let turns = Builder::new().name("cycling").spawn_turns({
            let log = log.clone();
            move || turn(near, log, 1000)
        });
        let turns = turns.unwrap();
        let expected = format!("{} {:?}", turns.id(), turns.name());
        for _ in 0..1000 {
            assert!(!turns.is_finished());
            far.write_all(b"x").unwrap();
            // Through the poller, and for the turn that follows.
            yield_slice();
            yield_now();
        }
        turns.wait_finished().unwrap();
        let lines = log.take();
        assert_eq!(lines.len(), 1000);
        assert!(lines.iter().all(|line| *line == expected));
        let left = stats();
        assert_eq!((left.coroutines, left.stacks, left.timers, left.registrations), (1, 1, 0, 0));
        // One for each that ever was at a time.
        assert!(left.pooled_stacks <= 2, "{left:?}");
    });
}

#[test]
fn closing_the_source_wakes_it_to_find_out() {
    test::run(|| {
        let (near, _far) = pair();
        let log = Log::new();
        let turns = Builder::new().spawn_turns({
            let (near, log) = (near.clone(), log.clone());
            move || {
                hibernate(&near, None, move |near, unparked| {
                    let error = read(&near).unwrap_err();
                    let closed = error.get_ref().is_some_and(|error| error.is::<ClosedError>());
                    log.add(format!("{unparked:?} {closed}"));
                    Turn::Done
                })
            }
        });
        sleep(SECOND);
        near.close();
        turns.unwrap().wait_finished().unwrap();
        assert_eq!(log.take(), ["Woken true"]);
    });
}

#[test]
fn a_closed_source_is_refused() {
    test::run(|| {
        let (near, _far) = pair();
        near.close();
        let refused = Hibernation::until_readable(near, |near| near, "read", None, |_, _| Turn::Done).unwrap_err();
        assert!(refused.get_ref().is_some_and(|error| error.is::<ClosedError>()));
    });
}

/// What was prepared on a slot that has gone to another source neither sleeps for ever nor takes the other's place.
#[test]
fn a_source_closed_between_preparation_and_sleep_wakes_it_at_once() {
    test::run(|| {
        let (near, _far) = pair();
        let (next, mut next_far) = pair();
        let log = Log::new();
        let turns = Builder::new().spawn_turns({
            let (near, log) = (near.clone(), log.clone());
            move || {
                let prepared = hibernate(&near, None, move |_, unparked| {
                    log.add(format!("{unparked:?}"));
                    Turn::Done
                });
                sleep(2 * SECOND);
                prepared
            }
        });
        sleep(SECOND);
        near.close();
        // Takes the slot, and waits on it.
        let reader = spawn(move || read(&next).unwrap());
        turns.unwrap().wait_finished().unwrap();
        assert_eq!(log.take(), ["Woken"]);
        next_far.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap(), b"x");
    });
}

/// POL-1.
#[test]
fn it_does_not_push_aside_a_reader_that_waits_already() {
    test::run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        let reader = spawn({
            let near = near.clone();
            move || read(&near).unwrap()
        });
        yield_now();
        sleeper(&near, None, &log).wait_finished().unwrap();
        assert_eq!(log.take(), ["Woken"]);
        far.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap(), b"x");
    });
}

/// POL-1.
#[test]
fn a_reader_is_refused_while_one_hibernates() {
    test::run(|| {
        let ((near, _far), log) = (pair(), Log::new());
        let sleeper = sleeper(&near, None, &log);
        sleep(SECOND);
        let error = read(&near).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("\"sleeper\""), "{error}");
        sleeper.cancel();
    });
}

#[test]
fn a_panic_in_a_turn_goes_to_the_notifier() {
    Test::new().allow_crashes().run(|| {
        let ((near, mut far), log) = (pair(), Log::new());
        set_panic_notifier({
            let log = log.clone();
            move |info, panic| log.add(format!("{:?}: {}", info.name, panic.message()))
        });
        let turns =
            Builder::new().name("fragile").spawn_turns(move || hibernate(&near, None, |_, _| panic!("dropped")));
        yield_now();
        far.write_all(b"x").unwrap();
        turns.unwrap().wait_finished().unwrap();
        assert_eq!(log.take(), ["Some(\"fragile\"): dropped"]);
    });
}
