//! Several runtimes, each on its own thread, run as one program.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use grapeshot_core::{Runtime, Shards, set_exit, sleep, spawn, test};
use rustix::process::Signal;

use self::support::{Child, exit, in_child, say};

const HOUR: Duration = Duration::from_secs(3600);

fn shards(count: usize) -> Shards {
    Shards::new(count).runtime(Runtime::new().signals(false))
}

/// Adds to a count when it is dropped.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_index_runs_once_on_a_thread_of_its_own_the_first_on_the_callers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let exits = shards(4).run(move |index| noted.lock().unwrap().push((index, thread::current().id()))).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_by_key(|(index, _)| *index);
    assert!(seen.iter().map(|(index, _)| *index).eq(0..4));
    assert_eq!(seen.iter().map(|(_, thread)| thread).collect::<HashSet<_>>().len(), 4);
    assert_eq!(seen[0].1, thread::current().id());
    assert_eq!(exits.codes(), [ExitCode::SUCCESS; 4]);
    assert!(exits.is_success());
}

#[test]
fn the_shards_run_at_the_same_time() {
    let meeting = Arc::new(Barrier::new(3));
    assert!(
        shards(3)
            .run(move |_| {
                meeting.wait();
            })
            .unwrap()
            .is_success()
    );
}

/// The others are cancelled, and their destructors run.
#[test]
fn the_first_failure_stops_all() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let exits = shards(3).run(move |index| {
        if index == 1 {
            return ExitCode::from(9);
        }
        let _ended = Ended(count.clone());
        sleep(HOUR);
        ExitCode::SUCCESS
    });
    assert_eq!(exits.unwrap().codes(), [ExitCode::SUCCESS, ExitCode::from(9), ExitCode::SUCCESS]);
    // One that had not begun when the failure came does not begin.
    assert!(ended.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_panic_in_one_stops_all() {
    let ready = Arc::new(Barrier::new(3));
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let exits = shards(3).run(move |index| {
        let _ended = Ended(count.clone());
        ready.wait();
        assert_ne!(index, 2, "shard two has had enough");
        sleep(HOUR);
    });
    assert_eq!(exits.unwrap().codes(), [ExitCode::SUCCESS, ExitCode::SUCCESS, ExitCode::from(101)]);
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

#[test]
fn one_that_returns_successfully_ends_alone() {
    let meeting = Arc::new(Barrier::new(2));
    let exits = shards(3).run(move |index| {
        // The other two meet only if neither was stopped.
        if index > 0 {
            let meeting = meeting.clone();
            grapeshot_core::offload(move || {
                meeting.wait();
            });
        }
    });
    assert!(exits.unwrap().is_success());
}

#[test]
fn an_exit_asked_for_in_one_is_for_all() {
    let exits = shards(3).run(|index| {
        if index == 0 {
            spawn(|| set_exit(5));
        }
        sleep(HOUR);
    });
    let exits = exits.unwrap();
    assert_eq!(exits.codes(), [ExitCode::from(5), ExitCode::SUCCESS, ExitCode::SUCCESS]);
    assert_eq!(std::process::Termination::report(exits), ExitCode::from(5));
}

#[test]
fn a_thread_that_has_a_runtime_cannot_run_shards() {
    test::run(|| {
        let error = shards(2).run(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "this thread already has a runtime");
    });
}

/// SIG-1 and SCH-9: a signal reaches all of them, and each has its time to end.
#[test]
fn a_signal_stops_all() {
    if in_child() {
        let ended = Arc::new(AtomicUsize::new(0));
        let ready = Arc::new(Barrier::new(3));
        let count = ended.clone();
        let exits = Shards::new(3).run(move |_| {
            let _ended = Ended(count.clone());
            if ready.wait().is_leader() {
                say("ready");
            }
            sleep(HOUR);
        });
        let success = exits.unwrap().is_success() && ended.load(Ordering::SeqCst) == 3;
        exit(ExitCode::from(if success { 0 } else { 1 }));
    }
    let mut child = Child::start("a_signal_stops_all");
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
#[should_panic(expected = "at least one shard")]
fn no_shards_at_all_are_refused() {
    let _ = Shards::new(0);
}
