//! A runtime seen from other threads: coroutines spawned in it, and the end of it.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    Handle, JoinError, NotInRuntime, Reason, RemoteSpawnError, Runtime, coroutines, current, offload,
    set_panic_notifier, sleep, spawn, stats, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// BEA-7: what another thread asks for is done on the loop.
#[test]
fn another_thread_spawns_a_coroutine_and_joins_it() {
    test::run(|| {
        let (handle, home) = (Handle::current(), thread::current().id());
        let elsewhere = thread::spawn(move || handle.spawn(|| thread::current().id()).unwrap().join().unwrap());
        assert_eq!(offload(move || elsewhere.join().unwrap()), home);
    });
}

#[test]
fn a_coroutine_of_another_runtime_joins_it_while_others_run() {
    test::run(|| {
        let handle = Handle::current();
        let other_runtime = thread::spawn(move || {
            test::run(move || {
                let remote = handle.spawn(yield_now).unwrap();
                let neighbour = spawn(|| sleep(SECOND));
                remote.join().unwrap();
                neighbour.join().unwrap();
            });
        });
        offload(move || other_runtime.join().unwrap());
    });
}

#[test]
fn the_spawn_site_is_where_the_handle_was_used() {
    test::run(|| {
        let line = line!() + 1;
        let remote = Handle::current().spawn(|| current().info().spawned_at.line()).unwrap();
        assert_eq!(remote.join().unwrap(), line);
    });
}

#[test]
fn a_panic_reaches_whoever_joins() {
    test::run(|| {
        let remote = Handle::current().spawn(|| -> u8 { panic!("far away") }).unwrap();
        let JoinError::Panicked(panic) = remote.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "far away");
        assert!(panic.location().unwrap().contains("handles.rs"));
    });
}

#[test]
fn a_panic_that_nobody_will_join_goes_to_the_notifier_of_its_runtime() {
    Test::new().allow_crashes().run(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let noted = seen.clone();
        set_panic_notifier(move |_, panic| noted.borrow_mut().push(panic.message().to_owned()));
        drop(Handle::current().spawn(|| panic!("unheard")).unwrap());
        sleep(SECOND);
        assert_eq!(seen.take(), ["unheard"]);
    });
}

#[test]
fn cancelling_from_another_thread_unwinds_the_coroutine() {
    test::run(|| {
        let (handle, (begin, begun)) = (Handle::current(), mpsc::channel());
        let elsewhere = thread::spawn(move || {
            let remote = handle
                .spawn(move || {
                    begin.send(()).unwrap();
                    grapeshot_core::WaitQueue::new().wait(Reason::Other("nothing"));
                })
                .unwrap();
            begun.recv().unwrap();
            remote.cancel();
            remote.join()
        });
        assert!(matches!(offload(move || elsewhere.join().unwrap()), Err(JoinError::Cancelled)));
    });
}

#[test]
fn one_cancelled_before_its_first_turn_does_not_run() {
    test::run(|| {
        let remote = Handle::current().spawn(|| panic!("it ran")).unwrap();
        remote.cancel();
        assert!(matches!(remote.join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_joiner_that_is_cancelled_leaves_the_coroutine_running() {
    test::run(|| {
        let (told, tell) = (Rc::new(RefCell::new(false)), Handle::current());
        let joiner = spawn(move || {
            let remote = tell.spawn(|| sleep(SECOND)).unwrap();
            remote.join()
        });
        yield_now();
        joiner.cancel();
        assert!(matches!(joiner.join(), Err(JoinError::Cancelled)));
        sleep(SECOND * 2);
        assert_eq!((stats().coroutines, *told.borrow()), (1, false));
    });
}

#[test]
fn a_coroutine_that_joins_itself_is_told_so() {
    test::run(|| {
        let (give, given) = mpsc::channel::<grapeshot_core::RemoteJoinHandle<()>>();
        let (answer, answered) = mpsc::channel();
        let remote = Handle::current()
            .spawn(move || {
                let own = given.recv().unwrap();
                answer.send(own.join().unwrap_err().to_string()).unwrap();
            })
            .unwrap();
        give.send(remote).unwrap();
        let answer = offload(move || answered.recv().unwrap());
        assert!(answer.contains(" joins itself, which would never end"), "{answer}");
    });
}

#[test]
fn a_runtime_that_has_ended_takes_nothing() {
    let handle = test::run(Handle::current);
    assert!(handle.has_ended());
    assert_eq!(handle.spawn(|| ()).unwrap_err(), RemoteSpawnError::Ended);
    assert!(!handle.set_exit(3));
}

#[test]
fn what_a_runtime_has_not_begun_when_it_ends_is_cancelled() {
    let (give, given) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let remote: grapeshot_core::RemoteJoinHandle<()> = given.recv().unwrap();
        remote.join()
    });
    test::run(move || give.send(Handle::current().spawn(|| panic!("it ran")).unwrap()).unwrap());
    assert!(matches!(waiting.join().unwrap(), Err(JoinError::Cancelled)));
}

/// A coroutine that its runtime gives up on never ends, and neither would whoever joins it.
#[test]
fn a_coroutine_left_behind_counts_as_cancelled() {
    let (give, given) = mpsc::channel();
    let runtime = Runtime::new().signals(false).exit_deadline(Duration::ZERO);
    runtime
        .run(move || {
            let remote = Handle::current()
                .spawn(|| {
                    loop {
                        let _ = std::panic::catch_unwind(|| sleep(SECOND));
                    }
                })
                .unwrap();
            grapeshot_core::yield_slice();
            grapeshot_core::yield_slice();
            give.send(remote).unwrap();
        })
        .unwrap();
    assert!(matches!(given.recv().unwrap().join(), Err(JoinError::Cancelled)));
}

#[test]
fn another_thread_ends_the_run() {
    let (give, given) = mpsc::channel::<Handle>();
    let other = thread::spawn(move || assert!(given.recv().unwrap().set_exit(7)));
    let exit = Runtime::new()
        .signals(false)
        .run(move || {
            give.send(Handle::current()).unwrap();
            sleep(Duration::from_secs(3600));
        })
        .unwrap();
    assert!(matches!(exit, grapeshot_core::Exit::Requested(7)));
    other.join().unwrap();
}

#[test]
fn outside_a_runtime_there_is_no_handle() {
    assert_eq!(Handle::try_current().unwrap_err(), NotInRuntime);
}

#[test]
fn many_threads_spawn_more_than_the_loop_takes_at_a_time() {
    test::run(|| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handle = Handle::current();
                thread::spawn(move || {
                    let remote: Vec<_> = (0..1500).map(|index| handle.spawn(move || index).unwrap()).collect();
                    remote.into_iter().map(|remote| remote.join().unwrap()).sum::<usize>()
                })
            })
            .collect();
        let sums = offload(move || threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>());
        assert_eq!(sums, [1499 * 750; 4]);
        assert_eq!(coroutines().len(), 1);
    });
}
