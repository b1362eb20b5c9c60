//! SIGINT and SIGTERM (`SCH-9`), each in a process of its own.

mod support;

use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grapeshot_core::{Runtime, run, shield, sleep, spawn, yield_slice};
use rustix::process::Signal;

use self::support::{Child, in_child, say};

/// Waits for a signal in the way a program does.
fn wait_for_ever() {
    sleep(Duration::MAX);
}

/// Has the child run under a runtime, and sends it a signal when it is ready.
fn ends_with_code_0_on(signal: Signal, test: &str) {
    if in_child() {
        support::exit(run(|| {
            say("ready");
            wait_for_ever();
        }));
    }
    let mut child = Child::start(test);
    child.wait_for("ready");
    child.signal(signal);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

#[test]
fn sigint_ends_the_run_with_code_0() {
    ends_with_code_0_on(Signal::INT, "sigint_ends_the_run_with_code_0");
}

#[test]
fn sigterm_ends_the_run_with_code_0() {
    ends_with_code_0_on(Signal::TERM, "sigterm_ends_the_run_with_code_0");
}

#[test]
fn a_signal_runs_the_destructors_of_every_coroutine() {
    if in_child() {
        struct SaysGoodbye;
        impl Drop for SaysGoodbye {
            fn drop(&mut self) {
                say("goodbye");
            }
        }
        support::exit(run(|| {
            spawn(|| {
                let _says_goodbye = SaysGoodbye;
                say("ready");
                wait_for_ever();
            });
            wait_for_ever();
        }));
    }
    let mut child = Child::start("a_signal_runs_the_destructors_of_every_coroutine");
    child.wait_for("ready");
    child.signal(Signal::INT);
    child.wait_for("goodbye");
    assert_eq!(child.end().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_process_that_takes_its_time_to_leave() {
    if in_child() {
        support::exit(run(|| {
            spawn(|| {
                let _ = shield(None, || {
                    say("ready");
                    wait_for_ever();
                });
            });
            struct SaysLeaving;
            impl Drop for SaysLeaving {
                fn drop(&mut self) {
                    say("leaving");
                }
            }
            let _says_leaving = SaysLeaving;
            wait_for_ever();
        }));
    }
    let mut child = Child::start("a_second_signal_ends_a_process_that_takes_its_time_to_leave");
    child.wait_for("ready");
    child.signal(Signal::INT);
    child.wait_for("leaving");
    child.signal(Signal::TERM);
    let ended = child.end();
    assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()), "{ended:?}");
}

#[test]
fn a_signal_while_the_run_ends_does_not_change_how_it_ended() {
    if in_child() {
        support::exit(run(|| {
            let came = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(Signal::INT.as_raw(), came.clone()).unwrap();
            spawn(move || {
                let cut = panic::catch_unwind(wait_for_ever);
                say("leaving");
                let _ = shield(None, || {
                    while !came.load(Ordering::SeqCst) {
                        yield_slice();
                    }
                    // The poller tells the loop now, if it has not yet.
                    (0..3).for_each(|_| yield_slice());
                });
                panic::resume_unwind(cut.unwrap_err());
            });
            yield_slice();
            ExitCode::from(3)
        }));
    }
    let mut child = Child::start("a_signal_while_the_run_ends_does_not_change_how_it_ended");
    child.wait_for("leaving");
    child.signal(Signal::INT);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
}

/// A loop that is stuck never looks at the first signal.
#[test]
fn a_second_signal_ends_a_process_whose_coroutine_holds_the_thread() {
    if in_child() {
        support::exit(run(|| {
            let came = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(Signal::INT.as_raw(), came.clone()).unwrap();
            say("ready");
            while !came.load(Ordering::SeqCst) {}
            say("came");
            loop {
                std::hint::spin_loop();
            }
        }));
    }
    let mut child = Child::start("a_second_signal_ends_a_process_whose_coroutine_holds_the_thread");
    child.wait_for("ready");
    child.signal(Signal::INT);
    child.wait_for("came");
    child.signal(Signal::INT);
    let ended = child.end();
    assert_eq!(ended.signal(), Some(Signal::INT.as_raw()), "{ended:?}");
}

#[test]
fn a_runtime_without_signals_leaves_them_alone() {
    if in_child() {
        let _ = Runtime::new().signals(false).run(|| {
            say("ready");
            wait_for_ever();
        });
        unreachable!("nothing ends the run");
    }
    let mut child = Child::start("a_runtime_without_signals_leaves_them_alone");
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ended = child.end();
    assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()), "{ended:?}");
}

#[test]
fn a_signal_has_its_default_effect_again_when_the_run_is_over() {
    if in_child() {
        run(|| ());
        say("ready");
        loop {
            std::thread::park();
        }
    }
    let mut child = Child::start("a_signal_has_its_default_effect_again_when_the_run_is_over");
    child.wait_for("ready");
    child.signal(Signal::INT);
    let ended = child.end();
    assert_eq!(ended.signal(), Some(Signal::INT.as_raw()), "{ended:?}");
}

/// `SCH-7`
#[test]
fn a_second_run_listens_again() {
    if in_child() {
        run(|| ());
        support::exit(run(|| {
            say("ready");
            wait_for_ever();
        }));
    }
    let mut child = Child::start("a_second_run_listens_again");
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}
