//! What a program says of itself: reports of panics, lines on stderr.

mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Builder, JoinError, Panic, Runtime, State, is_cancellation, print_stderr, report_panic, set_panic_notifier, sleep,
    spawn, yield_now,
};

use self::support::{Child, in_child, run_alone};

/// A test in which coroutines may crash, with their reports in a log.
fn reported(body: impl FnOnce(Log) + 'static) {
    Test::new().allow_crashes().run(move || {
        let log = Log::new();
        let notified = log.clone();
        set_panic_notifier(move |info, panic| notified.add(format!("{}: {}", info.id, panic.message())));
        body(log);
    });
}

/// `THR-9`
#[test]
fn the_panic_of_a_coroutine_that_nobody_joins_goes_to_the_notifier() {
    reported(|log| {
        drop(spawn(|| panic!("powder wet")));
        yield_now();
        assert_eq!(log.take(), ["2: powder wet"]);
    });
}

/// `THR-9`
#[test]
fn a_panic_that_is_joined_is_not_reported() {
    reported(|log| {
        let handle = spawn(|| panic!("powder wet"));
        assert!(matches!(handle.join(), Err(JoinError::Panicked(_))));
        assert!(log.take().is_empty());
    });
}

/// `THR-9`
#[test]
fn a_panic_is_reported_when_the_last_chance_to_join_it_is_dropped() {
    reported(|log| {
        let handle = spawn(|| panic!("powder wet"));
        yield_now();
        assert!(log.take().is_empty());
        drop(handle);
        assert_eq!(log.take(), ["2: powder wet"]);
    });
}

/// `THR-9`
#[test]
fn a_panic_never_stops_the_loop() {
    reported(|log| {
        for _ in 0..3 {
            drop(spawn(|| panic!("powder wet")));
        }
        assert_eq!(spawn(|| 7).join().unwrap(), 7);
        assert_eq!(log.take().len(), 3);
    });
}

/// `DIA-2`
#[test]
fn the_notifier_is_told_who_panicked_and_where() {
    Test::new().allow_crashes().run(|| {
        let told = Rc::new(Cell::new(false));
        set_panic_notifier({
            let told = told.clone();
            move |info, panic| {
                assert_eq!((info.name.as_deref(), info.state), (Some("gunner"), State::Done));
                assert_eq!(info.spawned_at.file(), file!());
                assert!(panic.location().unwrap().starts_with(file!()));
                assert!(panic.to_string().starts_with("powder wet, at "));
                told.set(true);
            }
        });
        drop(Builder::new().name("gunner").spawn(|| panic!("powder {}", "wet")));
        yield_now();
        assert!(told.get());
    });
}

/// `DIA-2`
#[test]
fn setting_the_notifier_returns_the_one_before() {
    Test::new().allow_crashes().run(|| {
        let log = Log::new();
        let first = log.clone();
        assert!(set_panic_notifier(move |_, panic| first.add(panic.message())).is_none());
        let previous = set_panic_notifier(|_, _| ()).unwrap();
        set_panic_notifier(move |info, panic| previous(info, panic));
        drop(spawn(|| panic!("powder wet")));
        yield_now();
        assert_eq!(log.take(), ["powder wet"]);
    });
}

/// `DIA-2`
#[test]
fn a_notifier_outside_a_runtime_is_refused() {
    let payload = panic::catch_unwind(|| set_panic_notifier(|_, _| ()).is_some()).unwrap_err();
    let text = payload.downcast::<String>().unwrap();
    assert_eq!(*text, "set_panic_notifier: not inside a coroutine: is the code running under grapeshot::run?");
}

/// `DIA-2`: whoever is told last is told by the notifier that it is.
#[test]
fn a_notifier_may_use_the_runtime() {
    Test::new().allow_crashes().run(|| {
        let spawned = Rc::new(Cell::new(0));
        set_panic_notifier({
            let spawned = spawned.clone();
            move |_, _| {
                let spawned = spawned.clone();
                spawn(move || spawned.set(spawned.get() + 1));
            }
        });
        drop(spawn(|| panic!("on the scheduler's stack")));
        let handle = spawn(|| panic!("on a coroutine's"));
        yield_now();
        drop(handle);
        yield_now();
        assert_eq!(spawned.get(), 2);
    });
}

/// A notifier that waits has the coroutine wait that drops the handle.
#[test]
fn a_notifier_that_is_told_by_a_coroutine_may_even_wait() {
    Test::new().allow_crashes().run(|| {
        set_panic_notifier(|_, _| sleep(Duration::from_secs(1)));
        let handle = spawn(|| panic!("powder wet"));
        yield_now();
        let dropper = spawn(move || drop(handle));
        yield_now();
        assert_eq!(dropper.coroutine().info().state, State::Parked);
        dropper.join().unwrap();
    });
}

/// `DIA-2`, `DIA-3`: one line, the innermost function first, and nothing of the runtime's own.
#[test]
fn a_report_is_one_line_with_a_compact_trace() {
    #[inline(never)]
    fn load() {
        light();
    }
    #[inline(never)]
    fn light() {
        panic!("powder wet");
    }
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            drop(Builder::new().name("gunner").spawn(load));
            yield_now();
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_report_is_one_line_with_a_compact_trace");
    let line = ended.stderr.lines().find(|line| line.contains("panicked")).unwrap_or_else(|| panic!("{ended:?}"));
    let (id, rest) = line.split_once('\t').unwrap();
    assert_eq!(id, "2:");
    let (time, rest) = rest.split_once(' ').unwrap();
    assert_rfc_3339(time);
    let (text, trace) = rest.split_once(" [").unwrap();
    assert!(text.starts_with("coroutine 2 (gunner) panicked: powder wet, at core/tests/diagnostics.rs:"), "{line}");
    let trace: Vec<_> = trace.trim_end_matches(']').split("] [").collect();
    let functions = ["light|", "load|"];
    assert!(trace.len() >= functions.len(), "{line}");
    for (frame, function) in trace.iter().zip(functions) {
        assert!(frame.starts_with("tests/diagnostics.rs diagnostics::"), "{line}");
        assert!(frame.contains(function), "{line}");
        assert!(frame.rsplit_once('|').unwrap().1.parse::<u32>().is_ok(), "{line}");
    }
    for word in ["corosensei", "grapeshot_core::", "std::", "scheduler"] {
        assert!(!line.contains(word), "{word} in {line}");
    }
}

/// `2026-11-21T21:38:07Z`
#[track_caller]
fn assert_rfc_3339(time: &str) {
    let pattern: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(pattern, "0000-00-00T00:00:00Z");
}

/// `DIA-2`: what comes from outside may be in a message, and must not look like another report.
#[test]
fn a_message_of_several_lines_is_reported_in_one() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            drop(spawn(|| panic!("powder\n  wet\r\n\x1b[2J1:\t2026")));
            yield_now();
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_message_of_several_lines_is_reported_in_one");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.contains(r" panicked: powder; wet; \u{1b}[2J1:\t2026, at "), "{ended:?}");
}

/// `DIA-3`
#[test]
fn a_trace_has_a_dozen_frames_at_most() {
    #[inline(never)]
    fn recurse(depth: u32) -> u32 {
        // Else the optimiser makes a loop of it.
        if depth == 0 { panic!("powder wet") } else { black_box(recurse(black_box(depth - 1))) + 1 }
    }
    test::run(|| {
        let Err(JoinError::Panicked(panic)) = spawn(|| recurse(40)).join() else { panic!("it did not panic") };
        let trace = panic.trace();
        assert_eq!(trace.matches('[').count(), 12, "{trace}");
        assert_eq!(panic.trace(), trace);
    });
}

/// `THR-9`: to the default one, and the failure is told as well.
#[test]
fn a_notifier_that_fails_falls_back_to_the_default() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            set_panic_notifier(|_, _| panic!("out of ink"));
            drop(spawn(|| panic!("powder wet")));
            let handle = spawn(|| panic!("cannon cold"));
            yield_now();
            drop(handle);
            yield_now();
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_notifier_that_fails_falls_back_to_the_default");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for (id, text) in [(2, "powder wet"), (3, "cannon cold")] {
        let report = format!("coroutine {id} (unnamed) panicked: {text}, at core/tests/diagnostics.rs:");
        assert!(ended.stderr.contains(&report), "{ended:?}");
        let failure = ended.stderr.lines().find(|line| line.starts_with(&format!("{id}:\t"))).unwrap();
        assert!(failure.contains(" the panic notifier panicked: out of ink"), "{failure}");
        assert!(failure.ends_with("; what it was to report:"), "{failure}");
    }
}

/// `DIA-5`
#[test]
fn a_line_on_stderr_has_the_number_of_the_coroutine_and_the_time() {
    if in_child() {
        print_stderr("from outside");
        let exit = Runtime::new().signals(false).run(|| spawn(|| print_stderr("from inside")).join().unwrap());
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_line_on_stderr_has_the_number_of_the_coroutine_and_the_time");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    for (line, (id, text)) in lines.iter().zip([("0:", "from outside"), ("2:", "from inside")]) {
        let (found, rest) = line.split_once('\t').unwrap();
        let (time, rest) = rest.split_once(' ').unwrap();
        assert_eq!((found, rest), (id, text));
        assert_rfc_3339(time);
    }
}

/// `DIA-5`
#[test]
fn errors_of_stderr_are_ignored() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            print_stderr("nobody reads this");
            drop(spawn(|| panic!("nor this")));
            yield_now();
        });
        support::exit(exit.unwrap());
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(Child::with_stderr("errors_of_stderr_are_ignored", full).end().status.code(), Some(0));
}

/// For servers that run other people's code.
#[test]
fn a_panic_that_was_caught_can_be_reported_with_its_place() {
    reported(|log| {
        let handle = spawn(|| {
            let payload = panic::catch_unwind(|| panic!("powder wet")).unwrap_err();
            assert!(!is_cancellation(&*payload));
            let panic = Panic::from_payload(payload);
            assert!(panic.location().unwrap().starts_with(file!()));
            report_panic(&panic);
        });
        handle.join().unwrap();
        assert_eq!(log.take(), ["2: powder wet"]);
    });
}

#[test]
fn a_panic_that_was_caught_and_not_reported_is_reported_by_nobody() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            for _ in 0..3 {
                let _ = panic::catch_unwind(|| panic!("caught"));
            }
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_panic_that_was_caught_and_not_reported_is_reported_by_nobody");
    assert_eq!(ended.stderr, "");
}

/// What the hook saw of one panic is not told of another.
#[test]
fn a_panic_raised_without_the_hook_has_no_place() {
    test::run(|| {
        let handle = spawn(|| {
            let _ = panic::catch_unwind(|| panic!("caught"));
            panic::resume_unwind(Box::new("raised"));
        });
        let Err(JoinError::Panicked(panic)) = handle.join() else { panic!("it did not panic") };
        assert_eq!((panic.message(), panic.location(), panic.trace().as_str()), ("raised", None, ""));
    });
}

#[test]
fn a_payload_that_is_no_text_is_carried_all_the_same() {
    test::run(|| {
        let handle = spawn(|| panic::panic_any(7));
        let Err(JoinError::Panicked(panic)) = handle.join() else { panic!("it did not panic") };
        assert_eq!(panic.message(), "a value that is no text");
        assert_eq!(format!("{panic:?}"), format!("Panic({panic})"));
        assert_eq!(*panic.into_payload().downcast::<i32>().unwrap(), 7);
    });
}

/// Outside coroutines the hook of the program goes on working.
#[test]
fn a_panic_outside_a_coroutine_is_told_by_the_hook_there_was() {
    if in_child() {
        test::run(|| ());
        let _ = panic::catch_unwind(AssertUnwindSafe(|| panic!("powder wet")));
        report_panic(&Panic::from_payload(Box::new("not reported")));
        support::exit(());
    }
    let ended = run_alone("a_panic_outside_a_coroutine_is_told_by_the_hook_there_was");
    assert!(ended.stderr.contains("panicked at core/tests/diagnostics.rs:"), "{ended:?}");
    assert!(!ended.stderr.contains("not reported"), "{ended:?}");
}
