//! The stacks of coroutines, as a program sees them (DESIGN §3).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::fs;
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{Builder, Exit, Guards, JoinHandle, Runtime, TooManyCoroutines, sleep, spawn, stats, yield_now};

use self::support::{in_child, run_alone};

const SECOND: Duration = Duration::from_secs(1);

/// Goes at least so many bytes down the stack, does something there, and finds its frames as it left them.
fn at_depth(bytes: usize, f: &dyn Fn()) {
    let here = 0_u8;
    go_down_to((&raw const here).addr().saturating_sub(bytes), f);
}

fn go_down_to(address: usize, f: &dyn Fn()) {
    let mark = address as u8;
    let frame = black_box([mark; 256]);
    if (&raw const frame).addr() > address {
        go_down_to(address, f);
    } else {
        f();
    }
    assert!(black_box(&frame).iter().all(|&byte| byte == mark), "a frame has changed");
}

fn nothing() {}

#[test]
fn an_overflow_is_reported_with_name_spawn_site_and_size_and_kills() {
    const TEST: &str = "an_overflow_is_reported_with_name_spawn_site_and_size_and_kills";
    if in_child() {
        test::run(|| {
            let parser = Builder::new().name("parser").stack_size(1 << 20).spawn(|| at_depth(usize::MAX, &nothing));
            parser.unwrap().join().unwrap();
        });
        return;
    }
    let ended = run_alone(TEST);
    assert_eq!(ended.signal(), Some(libc::SIGSEGV), "{ended:?}");
    for part in
        ["'parser' overflowed its stack", "core/tests/stacks.rs:", "stack size 1048576 bytes", "Builder::stack_size"]
    {
        assert!(ended.stderr.contains(part), "{part} in {ended:?}");
    }
}

/// Every coroutine is told apart, also after the loop has run others.
#[test]
fn an_overflow_of_one_among_many_names_that_one() {
    const TEST: &str = "an_overflow_of_one_among_many_names_that_one";
    if in_child() {
        test::run(|| {
            for number in 0..100 {
                let deep = move || at_depth(if number == 41 { usize::MAX } else { 1 << 10 }, &|| sleep(SECOND));
                Builder::new().name(format!("number {number}")).spawn(deep).unwrap();
            }
            sleep(10 * SECOND);
        });
        return;
    }
    let ended = run_alone(TEST);
    assert_eq!(ended.signal(), Some(libc::SIGSEGV), "{ended:?}");
    assert!(ended.stderr.contains("'number 41' overflowed its stack"), "{ended:?}");
}

#[test]
fn a_coroutine_has_the_stack_it_asked_for() {
    test::run(|| {
        for size in [128 << 10, 256 << 10, 1 << 20, 8 << 20] {
            // 64 KiB are the guard, and some is for the frames above and below.
            let deep = move || at_depth((size - (64 << 10)) / 2, &nothing);
            Builder::new().stack_size(size).spawn(deep).unwrap().join().unwrap();
        }
    });
}

#[test]
fn a_stack_beyond_the_largest_is_refused() {
    test::run(|| {
        let error = Builder::new().stack_size((8 << 20) + 1).spawn(nothing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("8388609 bytes was asked for, and the largest has 8388608"), "{error}");
        // Nothing is left of the attempt.
        assert_eq!(stats().coroutines, 1);
    });
}

#[test]
fn the_runtimes_size_is_for_those_that_ask_for_none() {
    let exit = Runtime::new().signals(false).stack_size(1 << 20).run(|| {
        at_depth(512 << 10, &nothing);
        spawn(|| at_depth(512 << 10, &nothing)).join().unwrap();
    });
    assert!(matches!(exit, Ok(Exit::Returned(()))), "{exit:?}");
}

#[test]
fn at_the_limit_on_coroutines_spawn_fails_and_names_it() {
    Test::new().max_coroutines(3).run(|| {
        let sleeper = || Builder::new().spawn(|| sleep(SECOND));
        let (first, _second) = (sleeper().unwrap(), sleeper().unwrap());
        let error = sleeper().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert!(error.get_ref().unwrap().is::<TooManyCoroutines>());
        assert_eq!(error.to_string(), "there are 3 coroutines, the limit set by Runtime::max_coroutines");
        first.join().unwrap();
        sleeper().unwrap();
    });
}

#[test]
fn at_the_limit_on_coroutines_the_plain_spawn_panics_with_the_same_words() {
    Test::new().max_coroutines(2).run(|| {
        let parent = spawn(|| spawn(nothing).join().unwrap());
        let Err(error) = parent.join() else { panic!("there was room for a third") };
        assert!(error.to_string().contains("spawn: there are 2 coroutines, the limit set by"), "{error}");
    });
}

/// A stack serves one coroutine after the other.
#[test]
fn coroutines_that_follow_each_other_share_a_stack() {
    test::run(|| {
        for _ in 0..1000 {
            spawn(nothing).join().unwrap();
        }
        assert_eq!((stats().stacks, stats().pooled_stacks), (1, 1));
    });
}

/// Spawns coroutines that park until there is no stack for another.
fn spawn_until_refused() -> (Vec<JoinHandle<()>>, io::Error) {
    let mut parked = Vec::new();
    loop {
        match Builder::new().stack_size(128 << 10).spawn(|| sleep(1000 * SECOND)) {
            Ok(handle) => parked.push(handle),
            Err(error) => return (parked, error),
        }
        if parked.len() % 1000 == 0 {
            yield_now();
        }
    }
}

#[test]
fn without_mappings_for_guards_spawn_fails_with_the_remedy_and_the_runtime_lives_on() {
    const TEST: &str = "without_mappings_for_guards_spawn_fails_with_the_remedy_and_the_runtime_lives_on";
    if !in_child() {
        let ended = run_alone(TEST);
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    Test::new().guards(Guards::Mprotect).run(|| {
        let (mut parked, error) = spawn_until_refused();
        let limit: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
        assert!(parked.len() > limit / 2 - 2000, "{}", parked.len());
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let text = error.to_string();
        assert!(text.contains(&format!("vm.max_map_count is {limit}")), "{text}");
        assert!(text.contains("sysctl -w vm.max_map_count=") && text.contains("Guards::Auto"), "{text}");
        // Everybody is alive, the poller works, and a stack that comes free serves again.
        sleep(SECOND);
        assert_eq!(stats().coroutines, parked.len() + 1);
        let last = parked.pop().unwrap();
        last.cancel();
        last.join().unwrap_err();
        assert_eq!(Builder::new().stack_size(128 << 10).spawn(|| 6 * 7).unwrap().join().unwrap(), 42);
    });
}

/// The resident memory of this process in bytes, without its page tables.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Lets time pass in steps, so that the loop turns often.
fn wait(seconds: u32) {
    for _ in 0..seconds * 20 {
        sleep(SECOND / 20);
    }
}

#[test]
fn ten_thousand_that_went_deep_give_their_memory_back_while_they_park_and_when_they_end() {
    const TEST: &str = "ten_thousand_that_went_deep_give_their_memory_back_while_they_park_and_when_they_end";
    const COUNT: usize = 10_000;
    const MIB: usize = 1 << 20;
    if !in_child() {
        let ended = run_alone(TEST);
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    test::run(|| {
        let before = resident();
        let parked: Vec<_> = (0..COUNT)
            .map(|_| {
                spawn(|| {
                    at_depth(100 << 10, &nothing);
                    sleep(10_000 * SECOND);
                })
            })
            .collect();
        yield_now();
        sleep(SECOND);
        let deep = resident() - before;
        assert!(deep > COUNT * (100 << 10), "{} MiB", deep / MIB);
        wait(30);
        let idle = resident() - before;
        // The pages in use, two or three, and what the runtime knows of each.
        assert!(idle < COUNT * (16 << 10), "{} of {} MiB", idle / MIB, deep / MIB);
        parked.iter().for_each(JoinHandle::cancel);
        parked.into_iter().for_each(|handle| drop(handle.join()));
        assert_eq!((stats().coroutines, stats().pooled_stacks), (1, COUNT));
        wait(150);
        let ended = resident().saturating_sub(before);
        assert!(ended < 20 * MIB, "{} of {} MiB", ended / MIB, deep / MIB);
        eprintln!("deep {} MiB, idle {} MiB, ended {} MiB", deep / MIB, idle / MIB, ended / MIB);
    });
}

/// What ended coroutines leave is kept while it is in use again and again, and goes when it is not.
#[test]
fn memory_of_deep_coroutines_that_ended_at_once_is_given_back() {
    const TEST: &str = "memory_of_deep_coroutines_that_ended_at_once_is_given_back";
    const COUNT: usize = 2000;
    const MIB: usize = 1 << 20;
    if !in_child() {
        let ended = run_alone(TEST);
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    test::run(|| {
        let before = resident();
        let all: Vec<_> = (0..COUNT).map(|_| spawn(|| at_depth(100 << 10, &yield_now))).collect();
        all.into_iter().for_each(|handle| handle.join().unwrap());
        let deep = resident() - before;
        assert!(deep > COUNT * (100 << 10), "{} MiB", deep / MIB);
        wait(20);
        let trimmed = resident() - before;
        assert!(trimmed < COUNT * (24 << 10), "{} of {} MiB", trimmed / MIB, deep / MIB);
    });
}

/// What lies above the point where it parked is not touched, whatever its depth and alignment.
#[test]
fn frames_survive_the_sweeping_of_long_parked_stacks() {
    test::run(|| {
        let log = Log::new();
        let parked: Vec<_> = (0..200)
            .map(|number| {
                let log = log.clone();
                spawn(move || {
                    // Deep once, so that there is something to give back.
                    at_depth(80 << 10, &nothing);
                    at_depth(number * 400, &|| {
                        sleep(10 * SECOND);
                        at_depth(16 << 10, &nothing);
                        sleep(10 * SECOND);
                    });
                    log.add("whole");
                })
            })
            .collect();
        wait(15);
        at_depth(80 << 10, &nothing);
        wait(15);
        parked.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(log.take().len(), 200);
    });
}

/// The same for every kind of wait there is.
#[test]
fn every_kind_of_wait_survives_the_sweeping() {
    use grapeshot_core::{Direction, Reason, Source, WaitLimit, WaitQueue, scope, shield, with_timeout};
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let (source, queue) = (Rc::new(Source::new(near)), Rc::new(WaitQueue::new()));
        let read = move || {
            let operation = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
            source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, operation).unwrap();
        };
        let waiting = queue.clone();
        let waits: Vec<Box<dyn Fn()>> = vec![
            Box::new(read),
            Box::new(move || assert!(waiting.wait(Reason::Other("the test")))),
            Box::new(|| spawn(|| sleep(20 * SECOND)).join().unwrap()),
            Box::new(|| {
                scope(|scope| {
                    scope.spawn(|| sleep(20 * SECOND));
                })
            }),
            Box::new(|| shield(None, || sleep(20 * SECOND)).unwrap()),
            Box::new(|| assert!(with_timeout(20 * SECOND, || sleep(1000 * SECOND)).is_err())),
        ];
        let parked: Vec<_> = waits
            .into_iter()
            .map(|wait| {
                spawn(move || {
                    at_depth(80 << 10, &nothing);
                    at_depth(10 << 10, &*wait);
                })
            })
            .collect();
        wait(10);
        drop(far);
        queue.wake_all();
        parked.into_iter().for_each(|handle| handle.join().unwrap());
    });
}
