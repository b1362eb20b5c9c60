//! Who holds the loop: named while it does, and let alone when nobody does.

mod support;

use std::cell::RefCell;
use std::env;
use std::hint::black_box;
use std::panic;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use grapeshot_core::test::Test;
use grapeshot_core::{
    Builder, Exit, LatencyWarning, Runtime, coroutines, current, restore_latency_notifier, set_latency_notifier,
    set_latency_warning, set_panic_notifier, sleep, spawn, stacks_sampled, with_timeout, yield_now,
};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::SIGURG;

use self::support::{in_child, run_alone};

/// A run in real time whose warnings come through a channel.
fn warned<T: 'static>(limit: Duration, body: impl FnOnce(Receiver<LatencyWarning>) -> T + 'static) -> T {
    Test::new().real_time().latency_warning(Some(limit)).run(move || {
        let (sender, receiver) = channel();
        set_latency_notifier(move |warning| {
            let _ = sender.send(warning.clone());
        });
        body(receiver)
    })
}

/// Holds the loop until the first warning comes, which it returns.
#[inline(never)]
fn compute_until_warned(warnings: &Receiver<LatencyWarning>) -> LatencyWarning {
    let mut sum = 0_u64;
    loop {
        sum = black_box(sum.wrapping_add(1));
        if let Ok(warning) = warnings.try_recv() {
            return warning;
        }
    }
}

/// Blocks the thread in the system until the first warning comes, which it returns.
#[inline(never)]
fn block_until_warned(warnings: &Receiver<LatencyWarning>) -> LatencyWarning {
    warnings.recv().unwrap_or_else(|error| panic!("{error}"))
}

/// Blocks the thread until the stack of the first warning has come as well, whose names may take a while to find.
fn with_stack(first: LatencyWarning, warnings: &Receiver<LatencyWarning>) -> LatencyWarning {
    if !first.stack.frames().is_empty() {
        return first;
    }
    warnings.recv_timeout(Duration::from_secs(10)).unwrap_or(first)
}

fn functions(warning: &LatencyWarning) -> Vec<&str> {
    warning.stack.frames().iter().filter_map(|frame| frame.function.as_deref()).collect()
}

/// `DIA-1`: who, for how long so far, and where it was spawned, while it is stuck.
#[test]
fn a_coroutine_that_holds_the_loop_is_named_while_it_does() {
    let limit = Duration::from_millis(50);
    warned(limit, move |warnings| {
        let holder = Builder::new().name("gunner").spawn(move || (compute_until_warned(&warnings), current().id()));
        let (warning, id) = holder.unwrap().join().unwrap();
        assert_eq!((warning.coroutine, warning.name.as_deref()), (Some(id), Some("gunner")));
        assert_eq!(warning.spawned_at.unwrap().file(), file!());
        assert!(warning.held >= limit, "{warning}");
        assert!(!warning.is_over);
    });
}

/// `DIA-1`: the stack is that of the coroutine, from where it is stuck to its root.
#[test]
fn the_stack_is_taken_where_the_coroutine_is_stuck() {
    #[inline(never)]
    fn fire(warnings: &Receiver<LatencyWarning>) -> LatencyWarning {
        let warning = with_stack(compute_until_warned(warnings), warnings);
        black_box(warning)
    }
    warned(Duration::from_millis(50), |warnings| {
        let warning = spawn(move || fire(&warnings)).join().unwrap();
        let names = functions(&warning);
        let at =
            |name: &str| names.iter().position(|found| found.contains(name)).unwrap_or_else(|| panic!("{names:?}"));
        assert!(at("compute_until_warned") < at("fire"), "{names:?}");
        assert!(!warning.stack.is_cut(), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("Scheduler>::pass")), "beyond the root: {names:?}");
        assert!(warning.to_string().contains("[tests/watchdog.rs watchdog::"), "{warning}");
    });
}

/// `DIA-1`: within half a second, from the limit of 0.2 s that a runtime has unless it is set.
#[test]
fn a_blocking_call_is_named_within_half_a_second() {
    let exit = Runtime::new().signals(false).run(|| {
        let (sender, warnings) = channel();
        set_latency_notifier(move |warning| {
            let _ = sender.send((warning.clone(), Instant::now()));
        });
        let stuck = |warnings: &Receiver<(LatencyWarning, Instant)>| {
            let began = Instant::now();
            let (mut warning, at) = warnings.recv().unwrap();
            assert!(warning.coroutine.is_some() && !warning.is_over, "{warning}");
            // The names for the first stack are looked for in the whole program, and come when they are found.
            if warning.stack.frames().is_empty() {
                (warning, _) = warnings.recv_timeout(Duration::from_secs(10)).unwrap();
            }
            assert!(functions(&warning).iter().any(|name| name.contains("recv")), "{warning}");
            // The hold ends, and is said to have ended.
            let (over, _) = {
                sleep(Duration::from_millis(100));
                warnings.recv().unwrap()
            };
            assert!(over.is_over, "{over}");
            at - began
        };
        [stuck(&warnings), stuck(&warnings)]
    });
    let Ok(Exit::Returned(took)) = exit else { panic!("{exit:?}") };
    assert!(took.iter().all(|took| *took < Duration::from_millis(500)), "{took:?}");
}

/// `DIA-1`: it takes longest the first time in a process.
#[test]
fn the_search_for_names_is_no_part_of_the_hold() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            let (sender, warnings) = channel();
            set_latency_notifier(move |warning| drop(sender.send(warning.clone())));
            let began = Instant::now();
            let first = compute_until_warned(&warnings);
            let named = Instant::now();
            while named.elapsed() < Duration::from_millis(100) {
                black_box(named);
            }
            let held = began.elapsed();
            let mut stacks = usize::from(!first.stack.frames().is_empty());
            let over = loop {
                sleep(Duration::from_millis(1));
                let Ok(warning) = warnings.try_recv() else { continue };
                if warning.is_over && warning.stack.frames().is_empty() {
                    break warning;
                }
                assert_eq!(warning.coroutine, Some(current().id()));
                stacks += usize::from(!warning.stack.frames().is_empty());
            };
            assert!(over.held < held + Duration::from_millis(300), "{over}, and took {held:?}");
            // If the names come after the end, they come with the whole time.
            for _ in 0..10_000 {
                if stacks > 0 {
                    break;
                }
                sleep(Duration::from_millis(1));
                let Ok(late) = warnings.try_recv() else { continue };
                assert_eq!((late.coroutine, late.held, late.is_over), (over.coroutine, over.held, true));
                let told = format!(" held the loop for {:.3} s", late.held.as_secs_f64());
                assert!(late.to_string().contains(&told), "{late}");
                stacks += 1;
            }
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("the_search_for_names_is_no_part_of_the_hold");
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}

/// `DIA-1`: a second line when it lets go, with the time it took, and nothing in between.
#[test]
fn a_hold_is_reported_once_and_once_more_when_it_is_over() {
    let limit = Duration::from_millis(40);
    warned(limit, move |warnings| {
        let holder = spawn(move || {
            let began = Instant::now();
            with_stack(block_until_warned(&warnings), &warnings);
            assert!(warnings.recv_timeout(4 * limit).is_err(), "it was reported twice");
            (warnings, began.elapsed())
        });
        let id = holder.coroutine().id();
        let (warnings, took) = holder.join().unwrap();
        // The loop has moved on, and the watchdog says so without being waited for by the loop.
        sleep(Duration::from_millis(20));
        let over = warnings.recv().unwrap();
        assert_eq!((over.coroutine, over.is_over), (Some(id), true));
        assert!(over.held >= 4 * limit && over.held < took + limit, "{over}, and took {took:?}");
        assert!(over.stack.frames().is_empty());
        let text = over.to_string();
        assert!(text.contains(" held the loop for 0.") && text.ends_with(" s"), "{text}");
    });
}

/// `DIA-1`
#[test]
fn a_loop_that_waits_or_switches_is_nobodys_fault() {
    warned(Duration::from_millis(100), |warnings| {
        let began = Instant::now();
        sleep(Duration::from_millis(300));
        while began.elapsed() < Duration::from_millis(600) {
            yield_now();
        }
        assert!(warnings.try_recv().is_err());
    });
}

/// `DIA-1`: after it slept, the watchdog wakes up.
#[test]
fn a_hold_after_a_long_wait_is_noticed() {
    warned(Duration::from_millis(20), |warnings| {
        // Longer than the watchdog goes on looking at a loop that waits.
        sleep(Duration::from_millis(300));
        assert!(warnings.try_recv().is_err());
        assert_eq!(compute_until_warned(&warnings).coroutine, Some(current().id()));
    });
}

/// `DIA-1`: the old limit comes back, and none means none.
#[test]
fn the_limit_can_be_changed_while_the_loop_runs() {
    Test::new().real_time().run(|| {
        let (sender, warnings) = channel();
        set_latency_notifier(move |warning: &LatencyWarning| {
            let _ = sender.send(warning.clone());
        });
        assert_eq!(set_latency_warning(Some(Duration::from_millis(30))), None);
        with_stack(compute_until_warned(&warnings), &warnings);
        yield_now();
        assert_eq!(set_latency_warning(None), Some(Duration::from_millis(30)));
        sleep(Duration::from_millis(20));
        while warnings.try_recv().is_ok() {}
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(150) {
            black_box(began);
        }
        assert!(warnings.try_recv().is_err());
    });
}

/// `DIA-1`
#[test]
fn a_test_under_virtual_time_has_no_watchdog_unless_it_asks() {
    Test::new().run(|| assert_eq!(set_latency_warning(None), None));
}

/// `DIA-1`
#[test]
fn a_limit_outside_a_runtime_is_refused() {
    let payload = panic::catch_unwind(|| set_latency_warning(None)).unwrap_err();
    let text = payload.downcast::<String>().unwrap();
    assert_eq!(*text, "set_latency_warning: not inside a coroutine: is the code running under grapeshot::run?");
}

/// `DIA-1`
#[test]
fn setting_the_latency_notifier_returns_the_one_before() {
    Test::new().run(|| {
        assert!(set_latency_notifier(|_| ()).is_none());
        let before = set_latency_notifier(|_| ());
        assert!(before.is_some());
        restore_latency_notifier(None);
        assert!(set_latency_notifier(|_| ()).is_none());
    });
}

/// `DIA-1`: without a notifier it is a line on stderr, and another one when the loop is let go.
#[test]
fn a_hold_is_a_line_on_stderr_by_default() {
    if in_child() {
        let limit = Duration::from_millis(100);
        let exit = Runtime::new().signals(false).latency_warning(Some(limit)).run(|| {
            let gunner = Builder::new().name("gunner").spawn(|| {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(1500) {
                    black_box(began);
                }
            });
            gunner.unwrap().join().unwrap();
            sleep(Duration::from_millis(50));
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_hold_is_a_line_on_stderr_by_default");
    let lines: Vec<_> = ended.stderr.lines().collect();
    // Without the stack, if it took long to find the names; then they have a line of their own, before the end or after.
    let (stuck, others) = lines.split_first().unwrap();
    let (stacks, plain): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.contains("[tests/watchdog.rs watchdog::a_hold_is_a_line_on_stderr"));
    assert_eq!(stacks.len(), 1, "{ended:?}");
    let over = plain.iter().find(|line| !line.contains(" has held ")).unwrap();
    assert!(others.contains(over) && lines.len() <= 3, "{ended:?}");
    let who = "coroutine 2 \"gunner\" spawned at core/tests/watchdog.rs:";
    assert!(stuck.starts_with("2:\t") && stuck.contains(who) && stuck.contains(" has held the loop for 0."), "{stuck}");
    assert!(over.starts_with("2:\t") && over.contains(who) && over.contains(" held the loop for "), "{over}");
}

/// `DIA-1`
#[test]
fn a_latency_notifier_that_panics_falls_back_to_stderr() {
    if in_child() {
        let exit = Runtime::new().signals(false).latency_warning(Some(Duration::from_millis(50))).run(|| {
            panic::set_hook(Box::new(|_| ()));
            set_latency_notifier(|_| panic!("out of ink"));
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(1) {
                black_box(began);
            }
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_latency_notifier_that_panics_falls_back_to_stderr");
    assert!(ended.stderr.contains("the latency notifier panicked; what it was to report:"), "{ended:?}");
    assert!(ended.stderr.contains(" has held the loop for "), "{ended:?}");
}

/// `DIA-1`: `GRAPESHOT_SOAK_SECONDS` says for how long, else it is two seconds.
#[test]
fn stacks_are_taken_at_a_high_rate_while_coroutines_switch_unwind_and_allocate() {
    let seconds = env::var("GRAPESHOT_SOAK_SECONDS").ok().map_or(2, |seconds| seconds.parse().unwrap());
    let before = stacks_sampled();
    let pace = Duration::from_micros(200);
    let exit = Runtime::new().signals(false).sample_stacks_every(pace).run(move || {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut rounds = 0_u64;
        while Instant::now() < until {
            let switching: Vec<_> = (0..8).map(|_| spawn(|| (0..200).for_each(|_| yield_now()))).collect();
            let allocating: Vec<_> = (0..8).map(|size| spawn(move || allocate(size))).collect();
            let panicking: Vec<_> = (0..4).map(|depth| spawn(move || panic_at(depth))).collect();
            let cut_off: Vec<_> = (0..4).map(|_| spawn(cut_off)).collect();
            switching.into_iter().for_each(|handle| handle.join().unwrap());
            allocating.into_iter().for_each(|handle| assert!(handle.join().unwrap() > 0));
            panicking.into_iter().for_each(|handle| assert!(handle.join().is_err()));
            cut_off.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(coroutines().len(), 1);
            rounds += 1;
        }
        rounds
    });
    let Ok(Exit::Returned(rounds)) = exit else { panic!("{exit:?}") };
    let taken = stacks_sampled() - before;
    support::say(&format!("{taken} stacks were taken in {seconds} s, in {rounds} rounds"));
    assert!(taken > 100 * seconds, "{taken} stacks in {seconds} s");
}

fn allocate(size: usize) -> usize {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for step in 0..100 {
        held.push(vec![1; (size + 1) * (step + 1) * 37]);
        if step % 7 == 0 {
            held.swap_remove(step % held.len());
            yield_now();
        }
    }
    held.iter().map(Vec::len).sum()
}

#[inline(never)]
fn panic_at(depth: u32) -> u32 {
    if depth == 0 {
        yield_now();
        panic::resume_unwind(Box::new("unwound"));
    }
    let _guard = black_box(Vec::from([depth; 10]));
    black_box(panic_at(black_box(depth - 1))) + 1
}

/// Cancelled in its wait, it unwinds to here.
fn cut_off() {
    let cut = with_timeout(Duration::from_micros(300), || {
        let _held = vec![1_u8; 1000];
        sleep(Duration::from_secs(3600));
    });
    assert!(cut.is_err());
}

/// A program's own handler for the watchdog's signal is called for what others send, whichever came first.
#[test]
fn a_handler_of_the_programs_own_is_called_as_before() {
    if in_child() {
        let (before, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        signal_hook::flag::register(SIGURG, before.clone()).unwrap();
        let limit = Duration::from_millis(50);
        let exit = Runtime::new().signals(false).latency_warning(Some(limit)).run(move || {
            let (sender, warnings) = channel();
            set_latency_notifier(move |warning: &LatencyWarning| drop(sender.send(warning.clone())));
            let named = |warnings| compute_until_warned(warnings).coroutine == Some(current().id());
            assert!(named(&warnings));
            assert!(!before.load(Ordering::SeqCst), "the watchdog's own signal was passed on");
            kill_process(getpid(), Signal::URG).unwrap();
            while !before.load(Ordering::SeqCst) {
                yield_now();
            }
            signal_hook::flag::register(SIGURG, after.clone()).unwrap();
            kill_process(getpid(), Signal::URG).unwrap();
            while !after.load(Ordering::SeqCst) {
                yield_now();
            }
        });
        support::exit(exit.unwrap());
    }
    let ended = run_alone("a_handler_of_the_programs_own_is_called_as_before");
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
}

/// The default of the watchdog's signal is to be ignored.
#[test]
fn a_signal_that_is_not_the_watchdogs_is_ignored_as_before() {
    if in_child() {
        let exit = Runtime::new().signals(false).run(|| {
            kill_process(getpid(), Signal::URG).unwrap();
            spawn(|| 7).join().unwrap()
        });
        let Ok(Exit::Returned(7)) = exit else { panic!("{exit:?}") };
        support::exit(());
    }
    assert_eq!(run_alone("a_signal_that_is_not_the_watchdogs_is_ignored_as_before").status.code(), Some(0));
}

/// `DIA-1`: what runs on the loop's own stack, such as a panic notifier, is in no coroutine.
#[test]
fn a_hold_by_the_loop_itself_is_not_blamed_on_a_coroutine() {
    Test::new().real_time().allow_crashes().latency_warning(Some(Duration::from_millis(40))).run(|| {
        let (sender, warnings) = channel();
        set_latency_notifier(move |warning: &LatencyWarning| drop(sender.send(warning.clone())));
        let told = Rc::new(RefCell::new(None));
        set_panic_notifier({
            let told = told.clone();
            move |_, _| *told.borrow_mut() = Some(compute_until_warned(&warnings))
        });
        drop(spawn(|| panic!("powder wet")));
        yield_now();
        let warning = told.take().unwrap();
        assert_eq!((warning.coroutine, &warning.name), (None, &None));
        assert!(warning.to_string().starts_with("the loop's thread, in no coroutine that could be named, has held"));
    });
}
