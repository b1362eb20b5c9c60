//! The test runtime: virtual time, seeded order, and its verdict on what a test left behind.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, Direction, Reason, Source, Unparker, WaitLimit, WaitQueue, Withdrawal, now, park, random_u64, set_exit,
    sleep, spawn, stats, with_timeout, yield_now,
};

use self::support::{Bell, in_child, run_alone};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Why a test failed.
fn failure(test: Test, body: impl FnOnce() + 'static) -> String {
    let payload = panic::catch_unwind(AssertUnwindSafe(|| test.run(body))).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

fn read(source: &Source<UnixStream>) -> usize {
    let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
    source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, read).unwrap()
}

fn sockets() -> (Source<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Source::new(ours), theirs)
}

/// A child that was killed ends its pipes, which nobody may be waiting for, before its end can be seen.
#[test]
fn an_event_for_which_nobody_waits_is_no_deadlock() {
    const UNHEARD: u32 = 100;
    test::run(|| {
        let (awaited, mut late) = sockets();
        let (unheard, mut noise) = sockets();
        let unheard = Rc::new(unheard);
        let gone = spawn({
            let unheard = unheard.clone();
            move || read(&unheard)
        });
        yield_now();
        gone.cancel();
        gone.join().unwrap_err();
        let other = thread::spawn(move || {
            for _ in 0..UNHEARD {
                noise.write_all(b"x").unwrap();
                thread::yield_now();
            }
            late.write_all(b"end").unwrap();
            (noise, late)
        });
        assert_eq!(read(&awaited), 3);
        drop((other.join().unwrap(), unheard));
    });
}

/// DESIGN §11
#[test]
fn virtual_time_jumps_to_the_next_timer() {
    let began = Instant::now();
    test::run(|| {
        let virtually = now();
        for _ in 0..1000 {
            sleep(DAY);
        }
        assert_eq!(now() - virtually, 1000 * DAY);
    });
    assert!(began.elapsed() < DAY);
}

/// DESIGN §11
#[test]
fn virtual_time_stands_still_while_anything_can_run() {
    test::run(|| {
        let began = now();
        spawn(|| sleep(DAY));
        for _ in 0..1000 {
            yield_now();
        }
        assert_eq!(now(), began);
    });
}

#[test]
fn a_test_returns_what_its_body_returns() {
    assert_eq!(test::run(|| spawn(|| 7).join().unwrap()), 7);
}

#[test]
fn a_test_fails_with_the_panic_of_its_body() {
    assert_eq!(failure(Test::new(), || panic!("powder wet")), "powder wet");
    assert_eq!(failure(Test::new(), || panic!("powder {}", "wet")), "powder wet");
}

/// DESIGN §11
#[test]
fn a_deadlock_is_reported_with_who_waits_for_what() {
    let line = line!() + 2;
    let text = failure(Test::new(), || {
        Builder::new().name("gunner").spawn(|| WaitQueue::new().wait(Reason::Other("orders"))).unwrap();
        sleep(SECOND);
        let _ = spawn(|| Bell::new().wait()).join();
    });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "deadlock: nothing can run, no timer is set, and these wait:");
    let place = |line: u32| format!("spawned at {}:{line}", file!());
    assert!(lines[1].starts_with("  coroutine 1 \"main\" spawned at "), "{text}");
    assert!(lines[1].ends_with(", waiting 0ns for the end of coroutine 3"), "{text}");
    assert_eq!(lines[2], format!("  coroutine 2 \"gunner\" {}, waiting 1s for orders", place(line)));
    assert_eq!(lines[3], format!("  coroutine 3 {}, waiting 0ns for the bell", place(line + 2)));
}

/// Its destructors are run all the same, so that what they hold does not outlive the test.
#[test]
fn a_deadlocked_test_ends_its_coroutines() {
    let log = Log::new();
    let note = support::Note(log.clone(), "freed");
    let text = failure(Test::new(), move || {
        let _note = note;
        let _ = Bell::new().wait();
    });
    assert!(text.starts_with("deadlock: "), "{text}");
    assert_eq!(log.take(), ["freed"]);
}

#[test]
fn a_sleep_without_end_is_a_deadlock() {
    assert!(failure(Test::new(), || sleep(Duration::MAX)).starts_with("deadlock: "));
}

/// `EMU-3`
#[test]
fn a_test_fails_when_a_coroutine_crashed_that_nobody_joined() {
    let text = failure(Test::new(), || {
        grapeshot_core::set_panic_notifier(|_, _| ());
        for _ in 0..2 {
            drop(spawn(|| panic!("powder wet")));
        }
        yield_now();
    });
    assert_eq!(text, "2 coroutines crashed with nobody to join them; see the reports on stderr");
}

/// `EMU-3`
#[test]
fn a_test_fails_when_a_coroutine_crashes_while_the_test_ends() {
    let text = failure(Test::new(), || {
        grapeshot_core::set_panic_notifier(|_, _| ());
        spawn(|| {
            let _ = panic::catch_unwind(|| sleep(DAY));
            panic!("powder wet");
        });
        yield_now();
    });
    assert_eq!(text, "1 coroutines crashed with nobody to join them; see the reports on stderr");
}

/// `EMU-3`
#[test]
fn a_test_of_crashes_may_allow_them_and_a_joined_one_is_none() {
    Test::new().allow_crashes().run(|| {
        grapeshot_core::set_panic_notifier(|_, _| ());
        drop(spawn(|| panic!("powder wet")));
        yield_now();
    });
    test::run(|| assert!(spawn(|| panic!("powder wet")).join().is_err()));
}

#[test]
fn a_test_fails_when_it_leaves_a_coroutine_behind() {
    let text = failure(Test::new(), || {
        spawn(|| grapeshot_core::shield(None, || sleep(Duration::MAX)));
        yield_now();
    });
    assert_eq!(text, "the test left behind: 1 coroutines that did not end, 1 stacks in use");
}

#[test]
fn a_test_fails_when_it_leaves_a_timer_behind() {
    let text = failure(Test::new(), || {
        spawn(|| grapeshot_core::shield(None, || sleep(DAY)));
        yield_now();
    });
    assert_eq!(text, "the test left behind: 1 coroutines that did not end, 1 timers, 1 stacks in use");
}

#[test]
fn a_test_fails_when_it_leaves_a_registered_descriptor_behind() {
    let text = failure(Test::new(), || {
        let (source, mut theirs) = sockets();
        spawn(move || theirs.write_all(b"!").unwrap());
        read(&source);
        std::mem::forget(source);
    });
    assert_eq!(text, "the test left behind: 1 registered descriptors");
}

#[test]
fn a_test_fails_when_its_body_is_ended_from_outside() {
    let text = failure(Test::new(), || {
        set_exit(3);
        let _ = Bell::new().wait();
    });
    assert_eq!(text, "the test's body was ended by set_exit(3)");
}

/// What a test did, as long as its order decides.
fn order(test: Test) -> Vec<String> {
    let log = Log::new();
    let seen = log.clone();
    test.run(move || {
        for index in 0..10 {
            let log = log.clone();
            spawn(move || {
                for _ in 0..3 {
                    log.add(index.to_string());
                    yield_now();
                }
            });
        }
        sleep(SECOND);
    });
    seen.take()
}

/// DESIGN §11
#[test]
fn the_same_seed_gives_the_same_order() {
    for seed in 0..20 {
        assert_eq!(order(Test::new().seed(seed)), order(Test::new().seed(seed)));
    }
}

/// DESIGN §11
#[test]
fn different_seeds_give_different_orders() {
    let mut orders: Vec<_> = (0..20).map(|seed| order(Test::new().seed(seed))).collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 20);
}

/// DESIGN §11
#[test]
fn without_a_seed_the_order_is_first_in_first_out() {
    let in_order: Vec<_> = (0..10).map(|index| index.to_string()).collect();
    assert_eq!(order(Test::new()), [in_order.clone(), in_order.clone(), in_order].concat());
}

/// DESIGN §11
#[test]
fn random_numbers_follow_from_the_seed() {
    let draw = |test: Test| test.run(|| [(); 4].map(|()| random_u64()));
    assert_eq!(draw(Test::new().seed(5)), draw(Test::new().seed(5)));
    assert_ne!(draw(Test::new().seed(5)), draw(Test::new().seed(6)));
    assert_eq!(draw(Test::new()), draw(Test::new()));
}

/// What local sockets have in flight arrives before time jumps.
#[test]
fn input_that_is_on_its_way_comes_before_the_next_timer() {
    test::run(|| {
        let (source, mut theirs) = sockets();
        let reader = spawn(move || read(&source));
        let began = now();
        spawn(move || theirs.write_all(b"!").unwrap());
        let length = with_timeout(DAY, || reader.join().unwrap());
        assert_eq!((length, now()), (Ok(1), began));
    });
}

/// A thread is no coroutine: virtual time cannot know that it will write.
#[test]
fn a_test_without_timers_waits_for_input_from_outside() {
    test::run(|| {
        let (source, mut theirs) = sockets();
        let writer = thread::spawn(move || theirs.write_all(b"!").unwrap());
        assert_eq!(read(&source), 1);
        writer.join().unwrap();
    });
}

#[test]
fn under_real_time_input_from_outside_comes_in_its_time() {
    Test::new().real_time().run(|| {
        let (source, mut theirs) = sockets();
        let began = Instant::now();
        let writer = thread::spawn(move || theirs.write_all(b"!").unwrap());
        let length = with_timeout(DAY, || read(&source));
        assert_eq!(length, Ok(1));
        assert!(began.elapsed() < DAY);
        sleep(Duration::from_millis(1));
        assert!(began.elapsed() >= Duration::from_millis(1));
        writer.join().unwrap();
    });
}

#[test]
fn a_test_does_not_listen_for_signals() {
    if in_child() {
        test::run(|| {
            let id = rustix::process::getpid();
            rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
            let _ = Bell::new().wait();
        });
        unreachable!("the signal should have ended the process");
    }
    let ended = run_alone("a_test_does_not_listen_for_signals");
    assert_eq!(ended.signal(), Some(rustix::process::Signal::TERM.as_raw()), "{ended:?}");
}

/// Wakes from several places in one order, which the seed may change and nothing else.
#[test]
fn on_every_schedule_the_run_queue_holds_each_coroutine_once() {
    support::on_every_schedule(|| {
        let waiting = Rc::new(RefCell::new(Vec::<Unparker>::new()));
        for _ in 0..10 {
            let waiting = waiting.clone();
            spawn(move || {
                for _ in 0..3 {
                    let arm = |unparker| waiting.borrow_mut().push(unparker);
                    let _ = park(Reason::Other("a wake"), None, arm, || Withdrawal::Withdrawn);
                }
            });
        }
        let mut woken = 0;
        while woken < 30 {
            yield_now();
            for unparker in waiting.take() {
                unparker.unpark().unwrap();
                assert!(unparker.unpark().is_err());
                woken += 1;
            }
            assert!(stats().runnable <= 10);
        }
    });
}
