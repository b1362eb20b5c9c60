//! Signals handled in coroutines (`SIG-1`), each test in a process of its own.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and some of these are parts of tests")]

mod support;

use std::cell::{Cell, RefCell};
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::signal::{self, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SignalError};
use grapeshot_core::test::Test;
use grapeshot_core::{Exit, Runtime, coroutines, run, sleep, spawn, stats, test, yield_slice};
use rustix::process::{Signal, getpid, kill_process};

use self::support::{Child, in_child, run_alone, say};

/// Runs a test's body under the test runtime, in a process of its own.
fn alone(test: &str, body: impl FnOnce() + 'static) {
    alone_under(test, Test::new(), body);
}

fn alone_under(test: &str, runtime: Test, body: impl FnOnce() + 'static) {
    if in_child() {
        runtime.run(body);
    } else {
        let ended = run_alone(test);
        assert!(ended.status.success(), "{ended:?}");
    }
}

/// Sends this process a signal.
fn raise(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// Looks, without waiting, until it is so.
fn look_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        yield_slice();
    }
}

type Seen = Rc<RefCell<Vec<i32>>>;

fn note(seen: &Seen) -> impl FnMut(i32) + 'static {
    let seen = seen.clone();
    move |signal| seen.borrow_mut().push(signal)
}

/// `SIG-1`
#[test]
fn a_function_is_called_with_the_number_in_a_coroutine_of_its_own() {
    alone("a_function_is_called_with_the_number_in_a_coroutine_of_its_own", || {
        let seen = Seen::default();
        let registration = signal::on(SIGUSR1, note(&seen)).unwrap();
        assert_eq!(registration.coroutine().name().unwrap(), "on SIGUSR1");
        for count in 1..=3 {
            raise(Signal::USR1);
            look_until(|| seen.borrow().len() == count);
        }
        assert_eq!(*seen.borrow(), [SIGUSR1; 3]);
    });
}

/// `SIG-1`: upstream refuses the second on some systems.
#[test]
fn all_registrations_of_a_signal_are_called() {
    alone("all_registrations_of_a_signal_are_called", || {
        let (first, second, other) = (Seen::default(), Seen::default(), Seen::default());
        let _first = signal::on(SIGUSR1, note(&first)).unwrap();
        let _second = signal::on(SIGUSR1, note(&second)).unwrap();
        let _other = signal::on(SIGUSR2, note(&other)).unwrap();
        raise(Signal::USR1);
        look_until(|| first.borrow().len() + second.borrow().len() == 2);
        raise(Signal::USR2);
        look_until(|| !other.borrow().is_empty());
        assert_eq!((&**first.borrow(), &**other.borrow()), (&[SIGUSR1][..], &[SIGUSR2][..]));
    });
}

#[test]
fn a_function_may_wait_and_is_not_called_meanwhile() {
    alone("a_function_may_wait_and_is_not_called_meanwhile", || {
        let (begun, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (begins, ends) = (begun.clone(), ended.clone());
        let _registration = signal::on(SIGUSR1, move |_| {
            begins.set(begins.get() + 1);
            sleep(Duration::from_secs(3600));
            ends.set(ends.get() + 1);
        });
        // Told after it, so what this one has heard of has come to both.
        let heard = Seen::default();
        let _witness = signal::on(SIGUSR1, note(&heard)).unwrap();
        raise(Signal::USR1);
        look_until(|| begun.get() == 1 && heard.borrow().len() == 1);
        // The ones that come while it runs are one.
        for count in 2..=3 {
            raise(Signal::USR1);
            look_until(|| heard.borrow().len() == count);
        }
        (0..5).for_each(|_| yield_slice());
        assert_eq!((begun.get(), ended.get()), (1, 0));
        sleep(Duration::from_secs(3601));
        look_until(|| begun.get() == 2);
        sleep(Duration::from_secs(3601));
        assert_eq!((begun.get(), ended.get()), (2, 2));
    });
}

#[test]
fn a_dropped_registration_ends_its_coroutine_and_leaves_nothing() {
    alone("a_dropped_registration_ends_its_coroutine_and_leaves_nothing", || {
        let before = stats();
        let (seen, heard) = (Seen::default(), Seen::default());
        // One that is left, so that the signal does not end the process.
        let _other = signal::on(SIGUSR1, note(&heard)).unwrap();
        let registration = signal::on(SIGUSR1, note(&seen)).unwrap();
        yield_slice();
        assert_eq!(stats().registrations, before.registrations + 2);
        drop(registration);
        raise(Signal::USR1);
        // It may be another thread that takes it, and later.
        look_until(|| !heard.borrow().is_empty());
        (0..5).for_each(|_| yield_slice());
        assert_eq!((stats().registrations, coroutines().len()), (before.registrations + 1, 2));
        assert!(seen.borrow().is_empty());
    });
}

#[test]
fn a_panic_is_reported_and_the_registration_goes_on() {
    let runtime = Test::new().allow_crashes();
    alone_under("a_panic_is_reported_and_the_registration_goes_on", runtime, || {
        let calls = Rc::new(Cell::new(0));
        let counted = calls.clone();
        let _registration = signal::on(SIGUSR1, move |_| {
            counted.set(counted.get() + 1);
            assert!(counted.get() > 1, "the first goes wrong");
        });
        raise(Signal::USR1);
        look_until(|| calls.get() == 1);
        raise(Signal::USR1);
        look_until(|| calls.get() == 2);
    });
}

#[test]
fn a_registration_can_be_dropped_by_its_own_function() {
    alone("a_registration_can_be_dropped_by_its_own_function", || {
        let held = Rc::new(RefCell::new(None));
        let (drops, waited) = (held.clone(), Rc::new(Cell::new(false)));
        let after = waited.clone();
        let registration = signal::on(SIGUSR1, move |_| {
            drops.borrow_mut().take();
            sleep(Duration::from_secs(1));
            after.set(true);
        });
        let coroutine = registration.as_ref().unwrap().coroutine();
        *held.borrow_mut() = registration.ok();
        raise(Signal::USR1);
        coroutine.wait_finished().unwrap();
        assert!(!waited.get());
    });
}

#[test]
fn once_is_called_once_and_then_the_default_is_back() {
    let test = "once_is_called_once_and_then_the_default_is_back";
    if in_child() {
        test::run(|| {
            let seen = Seen::default();
            let registration = signal::once(SIGUSR1, note(&seen)).unwrap();
            raise(Signal::USR1);
            registration.coroutine().wait_finished().unwrap();
            assert_eq!(*seen.borrow(), [SIGUSR1]);
            say("called");
            raise(Signal::USR1);
            look_until(|| false);
        });
    }
    let mut child = Child::start(test);
    child.wait_for("called");
    let ended = child.end();
    assert_eq!(ended.signal(), Some(SIGUSR1), "{ended:?}");
}

/// A signal whose default is to be ignored is ignored again.
#[test]
fn the_default_of_a_harmless_signal_is_harmless() {
    alone("the_default_of_a_harmless_signal_is_harmless", || {
        drop(signal::on(SIGWINCH, |_| ()).unwrap());
        yield_slice();
        raise(Signal::WINCH);
    });
}

/// `SIG-1`
#[test]
fn a_coroutine_waits_for_a_signal_while_others_run() {
    alone("a_coroutine_waits_for_a_signal_while_others_run", || {
        let waiter = spawn(|| signal::wait(SIGHUP).unwrap());
        sleep(Duration::from_secs(1));
        assert!(!waiter.is_finished());
        assert!(coroutines().iter().any(|info| info.to_string().contains("wait for a signal")));
        raise(Signal::HUP);
        waiter.join().unwrap();
    });
}

/// Woken, then cancelled: what it was given it keeps. Cancelled, then woken: the signal goes to those who are left.
#[test]
fn a_signal_and_a_cancellation_race_harmlessly_on_every_schedule() {
    let test = "a_signal_and_a_cancellation_race_harmlessly_on_every_schedule";
    if !in_child() {
        let ended = run_alone(test);
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(50, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        Test::new().seed(seed).run(|| {
            let seen = Seen::default();
            let _stays = signal::on(SIGUSR1, note(&seen)).unwrap();
            let waiter = spawn(|| signal::wait(SIGUSR1).unwrap());
            let canceller = spawn({
                let waiter = waiter.coroutine();
                move || {
                    (0..grapeshot_core::random_u64() % 4).for_each(|_| yield_slice());
                    waiter.cancel();
                }
            });
            (0..grapeshot_core::random_u64() % 4).for_each(|_| yield_slice());
            raise(Signal::USR1);
            canceller.join().unwrap();
            // Cancelled or not.
            let _ = waiter.join();
            look_until(|| seen.borrow().len() == 1);
        });
    }
}

/// A registration takes SIGINT over from the run, and gives it back.
#[test]
fn who_registers_for_a_signal_that_ends_the_run_takes_it_over() {
    if in_child() {
        support::exit(run(|| {
            let seen = Seen::default();
            let registration = signal::on(SIGINT, note(&seen)).unwrap();
            for count in 1..=3 {
                raise(Signal::INT);
                look_until(|| seen.borrow().len() == count);
            }
            drop(registration);
            yield_slice();
            say("given back");
            sleep(Duration::MAX);
        }));
    }
    let mut child = Child::start("who_registers_for_a_signal_that_ends_the_run_takes_it_over");
    child.wait_for("given back");
    child.signal(Signal::INT);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// `SIG-1`: no turn of the loop lies between the drop and the signal.
#[test]
fn a_signal_right_after_the_drop_of_its_registration_ends_the_run() {
    if in_child() {
        support::exit(run(|| {
            let seen = Seen::default();
            let registration = signal::on(SIGINT, note(&seen)).unwrap();
            yield_slice();
            drop(registration);
            raise(Signal::INT);
            // It is cancelled by the end of the run; else the run goes on, and returns another code.
            sleep(Duration::from_secs(10));
            ExitCode::from(3)
        }));
    }
    let ended = run_alone("a_signal_right_after_the_drop_of_its_registration_ends_the_run");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// The function is still there, and so is its coroutine; neither hears of it.
#[test]
fn a_signal_after_a_function_dropped_its_own_registration_has_the_default_effect() {
    let test = "a_signal_after_a_function_dropped_its_own_registration_has_the_default_effect";
    if in_child() {
        test::run(|| {
            let held = Rc::new(RefCell::new(None));
            let drops = held.clone();
            let registration = signal::on(SIGUSR1, move |_| {
                drops.borrow_mut().take();
                raise(Signal::USR1);
            });
            *held.borrow_mut() = registration.ok();
            raise(Signal::USR1);
            look_until(|| held.borrow().is_none());
            say("survived");
        });
        return;
    }
    let ended = run_alone(test);
    assert_eq!(ended.signal(), Some(SIGUSR1), "{ended:?}");
}

#[test]
fn a_run_without_signals_hears_the_one_it_waits_for() {
    if in_child() {
        // A run before it, which has left the default in place.
        run(|| ());
        let exit = Runtime::new().signals(false).run(|| {
            let waiter = spawn(|| signal::wait(SIGTERM));
            yield_slice();
            say("ready");
            waiter.join().unwrap().unwrap();
        });
        let returned = matches!(exit, Ok(Exit::Returned(())));
        support::exit(ExitCode::from(u8::from(!returned)));
    }
    let mut child = Child::start("a_run_without_signals_hears_the_one_it_waits_for");
    child.wait_for("ready");
    child.signal(Signal::TERM);
    let ended = child.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

/// `SIG-1`
#[test]
fn a_signal_that_nobody_can_handle_is_a_clear_error() {
    test::run(|| {
        let refused = |signal| {
            let error = signal::on(signal, |_| ()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            *error.get_ref().unwrap().downcast_ref::<SignalError>().unwrap()
        };
        assert_eq!(refused(9), SignalError::Unstoppable(9));
        assert_eq!(refused(19), SignalError::Unstoppable(19));
        for fault in [4, 7, 8, 11] {
            assert_eq!(refused(fault), SignalError::Fault(fault));
        }
        for unknown in [-1, 0, 65, 1000] {
            assert_eq!(refused(unknown), SignalError::Unknown(unknown));
        }
        assert_eq!(refused(9).to_string(), "SIGKILL cannot be handled: the system gives it to no program");
        assert!(signal::once(9, |_| ()).is_err() && signal::wait(9).is_err());
    });
}

#[test]
fn a_real_time_signal_is_handled() {
    alone("a_real_time_signal_is_handled", || {
        let seen = Seen::default();
        let _registration = signal::on(40, note(&seen)).unwrap();
        let status = std::process::Command::new("kill").args(["-40", &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
        look_until(|| *seen.borrow() == [40]);
    });
}

#[test]
fn outside_a_runtime_there_is_nobody_to_call_the_function() {
    assert_eq!(signal::on(SIGWINCH, |_| ()).unwrap_err().kind(), io::ErrorKind::Unsupported);
}
