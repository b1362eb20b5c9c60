//! What the stacks promise. The tests that need a process of their own, to die in or to count the
//! mappings of, run this program again with one test chosen.

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::rc::Rc;

use corosensei::stack::Stack as _;
use corosensei::{Coroutine, Yielder};

use super::*;

const CHILD: &str = "GRAPESHOT_TEST_CHILD";
const DEFAULT: usize = 256 << 10;

/// Runs one test of this program in a process of its own, where [`in_child`] tells it `what` to do.
pub(crate) fn rerun(module: &str, test: &str, what: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(CHILD, what)
        .output()
        .unwrap()
}

/// What a test is to do in a process of its own, or `None` in the first process.
pub(crate) fn in_child() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// Runs a test again in a process of its own, which must pass.
#[track_caller]
fn passes_alone(test: &str) {
    let output = rerun("stack::tests", test, "alone");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("1 passed"), "{report}");
}

fn pool(guards: Guards) -> StackPool {
    StackPool::new(StackOptions { guards, ..StackOptions::default() }).unwrap()
}

/// The pages that a stack of the default class keeps when it is trimmed.
fn high_water_pages() -> usize {
    StackOptions::default().high_water.div_ceil(page_size())
}

/// Runs a coroutine on the stack that goes 150 KiB deep.
fn go_deep(stack: Stack) -> Stack {
    fn recurse(down_to: usize) -> u8 {
        let frame = black_box([1_u8; 512]);
        let more = (&raw const frame).addr() > down_to;
        frame[7] | if more { recurse(down_to) } else { 0 }
    }
    let down_to = stack.base().get() - (150 << 10);
    let mut coroutine = Coroutine::<(), (), (), _>::with_stack(stack, move |_, ()| {
        black_box(recurse(down_to));
    });
    coroutine.resume(());
    coroutine.into_stack()
}

/// The bytes of address space that the process has mapped.
fn mapped() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}

/// The number of mappings of the process.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

#[test]
fn a_size_is_rounded_up_to_its_class_and_an_excess_is_refused_by_name() {
    let pool = pool(Guards::Auto);
    let sizes = [0, 1, 128 << 10, (128 << 10) + 1, DEFAULT, 1 << 20, 8 << 20];
    let slots = sizes.map(|size| pool.take(size).unwrap().extent().size() >> 10);
    assert_eq!(slots, [128, 128, 128, 256, 256, 1024, 8192]);
    let error = pool.take((8 << 20) + 1).unwrap_err().to_string();
    assert!(error.contains("8388609") && error.contains("the largest has 8388608"), "{error}");
}

#[test]
fn the_whole_stack_above_the_guard_can_be_written() {
    for guards in [Guards::Auto, Guards::Mprotect] {
        let pool = pool(guards);
        let stack = pool.take(DEFAULT).unwrap();
        let extent = stack.extent();
        assert_eq!(extent.guard().len(), 64 << 10);
        assert_eq!(stack.limit().get(), extent.guard().start);
        extent.write(extent.guard().end);
        extent.write(stack.base().get() - size_of::<usize>());
        assert_eq!(extent.resident_pages(), 2);
        pool.give_back(stack);
    }
}

/// A write just below a stack kills; so does one by a frame that jumps 24 KiB, as C code without
/// stack probes does, and one at the far end of the guard.
#[test]
fn a_write_below_the_stack_kills_the_process() {
    if let Some(what) = in_child() {
        let (guards, below) = what.split_once(' ').unwrap();
        let pool = pool(if guards == "auto" { Guards::Auto } else { Guards::Mprotect });
        // Reuse and trimming leave the guard in force.
        let stack = go_deep(pool.take(DEFAULT).unwrap());
        pool.give_back(stack);
        pass_intervals(&pool, 2);
        let extent = pool.take(DEFAULT).unwrap().extent();
        extent.write(extent.floor() - below.parse::<usize>().unwrap());
    }
    for guards in ["auto", "mprotect"] {
        for below in [8, 24 << 10, 64 << 10] {
            let what = format!("{guards} {below}");
            let output = rerun("stack::tests", "a_write_below_the_stack_kills_the_process", &what);
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{what}");
        }
    }
}

#[test]
fn the_stack_returned_last_is_taken_first() {
    let pool = pool(Guards::Auto);
    let [first, second] = [(); 2].map(|()| pool.take(DEFAULT).unwrap());
    let (first_base, second_base) = (first.base(), second.base());
    pool.give_back(first);
    pool.give_back(second);
    assert_eq!(pool.take(DEFAULT).unwrap().base(), second_base);
    assert_eq!(pool.take(DEFAULT).unwrap().base(), first_base);
}

#[test]
fn the_classes_do_not_share_stacks() {
    let pool = pool(Guards::Auto);
    pool.give_back(pool.take(1 << 20).unwrap());
    assert_eq!(pool.take(DEFAULT).unwrap().extent().size(), DEFAULT);
    assert_eq!(pool.stats().pooled, 1);
}

#[test]
fn a_stack_given_to_another_pool_outlives_its_own() {
    let other = pool(Guards::Auto);
    let own = pool(Guards::Auto);
    let stack = own.take(DEFAULT).unwrap();
    let extent = stack.extent();
    other.give_back(stack);
    drop(own);
    // Still mapped, or this would kill the process.
    extent.write(extent.floor());
    drop(other);
    extent.write(extent.floor());
}

#[test]
fn the_counts_follow_every_stack() {
    let pool = pool(Guards::Auto);
    let stacks: Vec<_> = (0..70).map(|_| pool.take(DEFAULT).unwrap()).collect();
    assert_eq!((pool.stats().in_use, pool.stats().pooled), (70, 0));
    assert_eq!(pool.stats().reserved, 64 + 128);
    stacks.into_iter().for_each(|stack| pool.give_back(stack));
    assert_eq!((pool.stats().in_use, pool.stats().pooled), (0, 70));
}

/// As many coroutines as a busy server has, each as deep as a debug build's TLS handshake twice
/// over.
#[test]
fn ten_thousand_stacks_that_went_deep_fall_back_to_the_high_water_mark_and_then_to_nothing() {
    const STACKS: usize = 10_000;
    let pool = pool(Guards::Auto);
    let stacks: Vec<_> = (0..STACKS).map(|_| pool.take(DEFAULT).unwrap()).collect();
    let extents: Vec<_> = stacks.iter().map(Stack::extent).collect();
    let mut deep = 0;
    for stack in stacks {
        let stack = go_deep(stack);
        deep += stack.extent().resident_pages() * page_size();
        pool.give_back(stack);
    }
    assert!(deep / STACKS >= 150 << 10, "{}", deep / STACKS);

    let resident = || extents.iter().map(|extent| extent.resident_pages()).sum::<usize>();
    pass_intervals(&pool, 2);
    assert_eq!(resident(), STACKS * high_water_pages());
    assert_eq!(pool.trim(usize::MAX), 0);
    assert!(pool.holds_memory());
    pass_intervals(&pool, 24);
    assert_eq!(resident(), 0);
    assert!(!pool.holds_memory());
}

/// Lets the pool trim what so many intervals left alone.
fn pass_intervals(pool: &StackPool, count: usize) {
    for _ in 0..count {
        pool.begin_interval();
        pool.trim(usize::MAX);
    }
}

#[test]
fn a_stack_taken_from_the_cold_zones_is_trimmed_again_when_it_has_been_used() {
    let pool = pool(Guards::Auto);
    pool.give_back(pool.take(DEFAULT).unwrap());
    pass_intervals(&pool, 2);
    let stack = go_deep(pool.take(DEFAULT).unwrap());
    let extent = stack.extent();
    pool.give_back(stack);
    assert!(extent.resident_pages() > high_water_pages());
    pass_intervals(&pool, 2);
    assert_eq!(extent.resident_pages(), high_water_pages());
}

#[test]
fn stacks_in_use_between_two_intervals_are_not_trimmed() {
    let pool = pool(Guards::Auto);
    let stack = go_deep(pool.take(DEFAULT).unwrap());
    let (extent, pages) = (stack.extent(), stack.extent().resident_pages());
    pool.give_back(stack);
    for _ in 0..100 {
        pool.give_back(pool.take(DEFAULT).unwrap());
        pass_intervals(&pool, 1);
    }
    assert_eq!(extent.resident_pages(), pages);
}

#[test]
fn a_slice_of_trimming_stops_at_its_bound_and_the_next_goes_on() {
    let pool = pool(Guards::Auto);
    let stacks: Vec<_> = (0..10).map(|_| pool.take(DEFAULT).unwrap()).collect();
    stacks.into_iter().for_each(|stack| pool.give_back(stack));
    pool.begin_interval();
    pool.begin_interval();
    assert_eq!(pool.trim(4), 4);
    assert_eq!(pool.trim(4), 4);
    assert_eq!(pool.trim(4), 2);
}

/// Suspends as the runtime's `park` does, from a frame with more in it than that one has.
#[inline(never)]
fn park(yielder: &Yielder<(), ()>, sp: &Cell<usize>) {
    let frame = black_box([1_u8; 2000]);
    sp.set(stack_pointer());
    yielder.suspend(());
    black_box(frame);
}

#[test]
fn a_suspended_coroutine_keeps_its_frames_and_gives_back_what_lies_below() {
    let pool = pool(Guards::Auto);
    // Frames of many sizes, so that the end of what is live falls into many places of its page. The
    // stack was deep before.
    for frame in (0..9000).step_by(112) {
        let stack = go_deep(pool.take(DEFAULT).unwrap());
        let extent = stack.extent();
        let sp = Rc::new(Cell::new(0));
        let shared = Rc::clone(&sp);
        let mut coroutine = Coroutine::<(), (), usize, _>::with_stack(stack, move |yielder, ()| {
            fn with_frame(frame: usize, yielder: &Yielder<(), ()>, sp: &Cell<usize>) -> usize {
                let bytes = black_box([7_u8; 112]);
                let below = match frame {
                    0 => {
                        park(yielder, sp);
                        0
                    }
                    _ => with_frame(frame - 112, yielder, sp),
                };
                below + usize::from(black_box(bytes)[111])
            }
            with_frame(frame, yielder, &shared)
        });
        coroutine.resume(());
        let live = extent.base - page_floor(sp.get() - SUSPEND_MARGIN);
        extent.release(sp.get());
        assert!(extent.resident_pages() <= live / page_size());
        let expected = (frame / 112 + 1) * 7;
        assert_eq!(coroutine.resume(()).as_return(), Some(expected));
        pool.give_back(coroutine.into_stack());
    }
}

#[test]
fn a_suspended_coroutine_uses_less_than_the_margin_below_the_frame_that_suspended() {
    let pool = pool(Guards::Auto);
    let stack = pool.take(DEFAULT).unwrap();
    let extent = stack.extent();
    let sp = Rc::new(Cell::new(0));
    let shared = Rc::clone(&sp);
    let mut coroutine = Coroutine::<(), (), (), _>::with_stack(stack, move |yielder, ()| {
        park(yielder, &shared);
    });
    coroutine.resume(());
    let depth = sp.get() - extent.lowest_used();
    assert!(depth <= SUSPEND_MARGIN, "{depth}");
    coroutine.resume(());
    pool.give_back(coroutine.into_stack());
}

#[test]
fn releasing_below_the_lowest_page_of_a_stack_does_nothing() {
    let pool = pool(Guards::Auto);
    let stack = pool.take(DEFAULT).unwrap();
    let extent = stack.extent();
    extent.write(extent.floor());
    extent.release(extent.floor() + 8);
    assert_eq!(extent.resident_pages(), 1);
    pool.give_back(stack);
}

/// SCH-1's "tens or hundreds of thousands" without a change of the system's settings.
#[test]
fn a_hundred_thousand_guarded_stacks_take_few_mappings() {
    if in_child().is_none() {
        return passes_alone("a_hundred_thousand_guarded_stacks_take_few_mappings");
    }
    let pool = pool(Guards::Auto);
    if pool.stats().guards != GuardKind::Markers {
        // A kernel before 6.13: what it can do is the matter of the test at the limit.
        return;
    }
    let before = mappings();
    let stacks: Vec<_> = (0..100_000).map(|_| pool.take(DEFAULT).unwrap()).collect();
    let (taken, after) = (pool.stats().in_use, mappings());
    assert_eq!(taken, 100_000);
    assert!(after < before + 60, "{before} to {after}");
    stacks.into_iter().for_each(|stack| pool.give_back(stack));
    drop(pool);
    assert!(mappings() <= before + 2, "{before} to {}", mappings());
}

#[test]
fn at_the_limit_on_mappings_the_error_names_the_limit_and_the_remedy() {
    if in_child().is_none() {
        return passes_alone("at_the_limit_on_mappings_the_error_names_the_limit_and_the_remedy");
    }
    let pool = pool(Guards::Mprotect);
    let limit = error::max_map_count().unwrap();
    let mut stacks = Vec::new();
    let error = loop {
        match pool.take(128 << 10) {
            Ok(stack) => stacks.push(stack),
            Err(error) => break error,
        }
    };
    assert!(stacks.len() >= limit / 2 - SPARE_MAPPINGS, "{}", stacks.len());
    let text = error.to_string();
    assert!(text.contains(&format!("vm.max_map_count is {limit}")), "{text}");
    assert!(text.contains(&format!("{} stacks", stacks.len())), "{text}");
    assert!(text.contains("sysctl -w") && text.contains("Guards::Auto"), "{text}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::OutOfMemory);
    // The rest of the program has mappings left, and returned stacks serve on.
    let thread = std::thread::spawn(|| vec![1_u8; 1 << 20].len());
    assert_eq!(thread.join().unwrap(), 1 << 20);
    pool.give_back(stacks.pop().unwrap());
    assert!(pool.take(128 << 10).is_ok());
}

#[test]
fn locked_memory_is_told_from_an_old_kernel_and_still_guarded() {
    if in_child().is_none() {
        return passes_alone("locked_memory_is_told_from_an_old_kernel_and_still_guarded");
    }
    let early = pool(Guards::Auto);
    if early.stats().guards != GuardKind::Markers || !lock_future_memory() {
        // An old kernel, or a user who may not lock memory: nothing to tell.
        return;
    }
    assert_eq!(pool(Guards::Auto).stats().guards, GuardKind::MprotectLockedMemory);
    // The pool that was made before finds out with its first stack, which has a guard all the same.
    let before = mappings();
    let stack = early.take(DEFAULT).unwrap();
    assert_eq!(early.stats().guards, GuardKind::MprotectLockedMemory);
    assert_eq!(mappings(), before + 2);
    early.give_back(stack);
}

#[test]
fn a_pool_unmaps_its_arena_unless_a_stack_is_out() {
    if in_child().is_none() {
        return passes_alone("a_pool_unmaps_its_arena_unless_a_stack_is_out");
    }
    let first = pool(Guards::Auto);
    let stack = first.take(DEFAULT).unwrap();
    let extent = stack.extent();
    drop(first);
    // Still mapped: this would kill the process otherwise.
    extent.write(extent.floor());
    drop(stack);

    let second = pool(Guards::Auto);
    let before = mapped();
    second.give_back(second.take(8 << 20).unwrap());
    assert!(mapped() >= before + FIRST_CHUNK);
    drop(second);
    assert!(mapped() < before + FIRST_CHUNK);
}

#[test]
fn a_refusal_of_address_space_says_how_much_and_why() {
    let error = reserve_at_most(1 << 60, 1 << 50).unwrap_err().to_string();
    assert!(error.contains("1125899906842624 bytes"), "{error}");
    assert!(error.contains("Cannot allocate memory"), "{error}");
}
