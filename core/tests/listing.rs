//! What is known of every coroutine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    Builder, Reason, Runtime, State, coroutines, current, now, set_cpu_times, sleep, spawn, yield_now,
};

/// `THR-8`: number, name, birthplace, state, reason, and since when.
#[test]
fn every_coroutine_is_listed_with_what_it_waits_for() {
    test::run(|| {
        let began = now();
        let sleeper = Builder::new().name("sleeper").spawn(|| sleep(Duration::from_secs(60))).unwrap();
        let ready = spawn(|| ());
        sleep(Duration::from_secs(1));
        drop(ready);
        let unstarted = Builder::new().unstarted(|| ()).unwrap();
        let listed = coroutines();
        let [main, sleeping, new] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((main.id, main.state, main.reason), (current().id(), State::Running, None));
        assert_eq!((sleeping.name.as_deref(), sleeping.state), (Some("sleeper"), State::Parked));
        assert_eq!((sleeping.reason, sleeping.since), (Some(Reason::Sleeping), Some(began)));
        assert_eq!(sleeping.waited(), Some(Duration::from_secs(1)));
        assert_eq!(sleeping.spawned_at.file(), file!());
        assert_eq!((new.state, new.stack_size, new.stack_used), (State::Unstarted, None, None));
        unstarted.start().join().unwrap();
        sleeper.cancel();
    });
}

#[inline(never)]
fn descend(depth: u32) -> u64 {
    let ballast = black_box([u64::from(depth); 128]);
    if depth == 0 {
        sleep(Duration::from_secs(60));
    } else {
        black_box(descend(depth - 1));
    }
    ballast[5]
}

/// How much of its stack a coroutine uses where it waits, and not the most it ever used.
#[test]
fn the_stack_used_is_that_of_the_present_depth() {
    test::run(|| {
        let shallow = spawn(|| {
            let deep = spawn(|| descend(0));
            yield_now();
            deep.cancel();
            sleep(Duration::from_secs(60));
        });
        let deep = spawn(|| descend(40));
        yield_now();
        yield_now();
        let (shallow_info, deep_info) = (shallow.coroutine().info(), deep.coroutine().info());
        assert_eq!(shallow_info.stack_size, Some((256 - 64) << 10));
        let (shallow_used, deep_used) = (shallow_info.stack_used.unwrap(), deep_info.stack_used.unwrap());
        assert!(shallow_used > 0 && deep_used >= shallow_used + 40 * 1024, "{shallow_used}, {deep_used}");
        let own = current().info().stack_used.unwrap();
        assert!(own > 0 && own < 64 << 10, "{own}");
        shallow.cancel();
        deep.cancel();
    });
}

/// Computes until this much processor time must have passed, on a machine that may do other things as well.
fn compute(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        black_box(began);
    }
}

#[test]
fn the_processor_time_is_counted_while_that_is_switched_on() {
    let exit = Runtime::new().signals(false).cpu_times(true).run(|| {
        let busy = spawn(|| {
            compute(Duration::from_millis(30));
            sleep(Duration::from_secs(60));
        });
        let idle = spawn(|| sleep(Duration::from_secs(60)));
        yield_now();
        let busy_time = busy.coroutine().info().cpu_time.unwrap();
        let idle_time = idle.coroutine().info().cpu_time.unwrap();
        assert!(busy_time > Duration::from_micros(500) && busy_time < Duration::from_millis(60), "{busy_time:?}");
        assert!(idle_time < busy_time, "{idle_time:?} and {busy_time:?}");
        assert!(set_cpu_times(false));
        assert_eq!(busy.coroutine().info().cpu_time, None);
        busy.cancel();
        idle.cancel();
    });
    exit.unwrap();
}

#[test]
fn the_processor_time_is_not_counted_unless_it_is_asked_for() {
    Test::new().run(|| {
        assert_eq!(current().info().cpu_time, None);
        assert!(!set_cpu_times(true));
        let busy = spawn(|| compute(Duration::from_millis(5)));
        let coroutine = busy.coroutine();
        busy.join().unwrap();
        assert!(coroutine.info().cpu_time.unwrap() > Duration::ZERO);
    });
    assert!(!set_cpu_times(true));
}
