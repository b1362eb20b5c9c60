//! Where parked coroutines are: asked without disturbing what they wait for.

mod support;

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    Builder, NoBacktrace, Reason, StackTrace, State, Unparked, Unparker, Withdrawal, backtraces, coroutines, current,
    now, park, random_u64, sleep, spawn, stats, with_timeout, yield_now,
};

use self::support::{Bell, on_every_schedule};

#[inline(never)]
fn wait_at_the_breech(bell: &Bell) {
    // What comes after keeps the call from being the last thing done, and so in sight.
    let ended = bell.wait();
    assert_eq!(black_box(ended), Unparked::Woken);
}

fn has(trace: &StackTrace, function: &str) -> bool {
    trace.frames().iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains(function)))
}

/// `DIA-4`: from the innermost function of the program to the root of the coroutine.
#[test]
fn a_parked_coroutine_says_where_it_is() {
    test::run(|| {
        let bell = Bell::new();
        let waiter = spawn({
            let bell = bell.clone();
            move || wait_at_the_breech(&bell)
        });
        yield_now();
        let trace = waiter.coroutine().backtrace().unwrap();
        assert!(has(&trace, "wait_at_the_breech"), "{trace:?}");
        assert!(!has(&trace, "Scheduler>::pass"), "beyond the root: {trace:?}");
        assert!(trace.to_string().contains("where_all::wait_at_the_breech|"), "{trace}");
        assert!(!trace.is_cut());
        bell.unparker().unpark().unwrap();
        waiter.join().unwrap();
    });
}

/// `DIA-4`: all that are parked, with who they are; the caller among them.
#[test]
fn all_coroutines_say_where_they_are() {
    test::run(|| {
        let bells: Vec<_> = (0..100).map(|_| Bell::new()).collect();
        let waiters: Vec<_> = bells
            .iter()
            .cloned()
            .enumerate()
            .map(|(number, bell)| {
                Builder::new().name(format!("waiter {number}")).spawn(move || wait_at_the_breech(&bell)).unwrap()
            })
            .collect();
        yield_now();
        let all = backtraces().unwrap();
        assert_eq!(all.len(), 101);
        assert_eq!(all[0].info.id, current().id());
        assert!(has(all[0].trace.as_ref().unwrap(), "all_coroutines_say_where_they_are"));
        for (number, found) in all[1..].iter().enumerate() {
            assert_eq!(found.info.name, Some(format!("waiter {number}")));
            assert!(has(found.trace.as_ref().unwrap(), "wait_at_the_breech"), "{found}");
        }
        for (bell, waiter) in bells.iter().zip(waiters) {
            bell.unparker().unpark().unwrap();
            waiter.join().unwrap();
        }
    });
}

/// `DIA-4`: in slices, between which others have their turns.
#[test]
fn a_walk_over_many_lets_others_run() {
    test::run(|| {
        let waiters: Vec<_> = (0..200).map(|_| spawn(|| sleep(Duration::from_secs(60)))).collect();
        yield_now();
        let turns = Rc::new(Cell::new(0));
        let over = Rc::new(Cell::new(false));
        let other = spawn({
            let (turns, over) = (turns.clone(), over.clone());
            move || {
                while !over.get() {
                    turns.set(turns.get() + 1);
                    yield_now();
                }
            }
        });
        assert_eq!(backtraces().unwrap().len(), 202);
        over.set(true);
        assert!(turns.get() >= 200 / 32, "{} turns", turns.get());
        other.join().unwrap();
        waiters.iter().for_each(|waiter| waiter.cancel());
    });
}

/// `DIA-4`: each reason why there is none.
#[test]
fn a_coroutine_that_is_not_parked_has_no_backtrace() {
    test::run(|| {
        let unstarted = Builder::new().unstarted(|| ()).unwrap();
        assert_eq!(unstarted.coroutine().backtrace(), Err(NoBacktrace::NotStarted));
        let ended = spawn(|| ()).coroutine();
        yield_now();
        assert_eq!(ended.backtrace(), Err(NoBacktrace::Ended));
        let over = Rc::new(Cell::new(false));
        let busy = spawn({
            let over = over.clone();
            move || {
                while !over.get() {
                    yield_now();
                }
            }
        });
        yield_now();
        assert_eq!(busy.coroutine().backtrace(), Err(NoBacktrace::Ready));
        over.set(true);
        assert_eq!(NoBacktrace::Ready.to_string(), "it is about to run");
        unstarted.start().join().unwrap();
    });
}

/// `DIA-4`
#[test]
fn a_stack_that_is_nearly_full_is_not_walked() {
    #[inline(never)]
    fn descend(bell: &Bell) -> u8 {
        let ballast = black_box([0_u8; 256]);
        let info = current().info();
        let left = info.stack_size.unwrap() - info.stack_used.unwrap();
        if left < 7 << 10 {
            wait_at_the_breech(bell)
        } else {
            black_box(descend(bell));
        }
        ballast[7]
    }
    test::run(|| {
        let bell = Bell::new();
        let deep = Builder::new().stack_size(128 << 10).spawn({
            let bell = bell.clone();
            move || descend(&bell)
        });
        let deep = deep.unwrap();
        yield_now();
        assert_eq!(deep.coroutine().info().state, State::Parked);
        assert_eq!(deep.coroutine().backtrace(), Err(NoBacktrace::StackTooFull));
        bell.unparker().unpark().unwrap();
        assert_eq!(deep.join().unwrap(), 0);
    });
}

/// `DIA-4`: one that unwinds does not switch, and so cannot ask.
#[test]
fn a_coroutine_that_unwinds_cannot_ask() {
    struct Asks(Rc<Cell<Option<NoBacktrace>>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.set(backtraces().err());
        }
    }
    test::run(|| {
        let answer = Rc::new(Cell::new(None));
        let asks = Asks(answer.clone());
        let sleeper = spawn(move || {
            let _asks = asks;
            sleep(Duration::from_secs(60));
        });
        yield_now();
        sleeper.cancel();
        assert!(sleeper.join().is_err());
        assert_eq!(answer.get(), Some(NoBacktrace::Refused));
    });
}

/// `DIA-4`: also where the wait is one that cancellation does not end, such as that for a scope's children.
#[test]
fn a_wait_that_cannot_be_cut_short_can_be_walked() {
    test::run(|| {
        let parent = spawn(|| {
            grapeshot_core::scope(|scope| {
                scope.spawn(|| grapeshot_core::shield(None, || sleep(Duration::from_secs(5))));
                sleep(Duration::from_secs(60));
            });
        });
        yield_now();
        yield_now();
        parent.cancel();
        yield_now();
        yield_now();
        assert_eq!(parent.coroutine().info().reason, Some(Reason::Children));
        let trace = parent.coroutine().backtrace().unwrap();
        assert!(has(&trace, "a_wait_that_cannot_be_cut_short_can_be_walked"), "{trace:?}");
        assert!(parent.join().is_err());
    });
}

/// `DIA-4`: an asker that is cut off leaves nothing behind.
#[test]
fn an_asker_that_is_cancelled_withdraws() {
    on_every_schedule(|| {
        let waiters: Vec<_> = (0..50).map(|_| spawn(|| sleep(Duration::from_secs(1)))).collect();
        let asker = spawn(|| backtraces().map(|all| all.len()));
        for _ in 0..random_u64() % 5 {
            yield_now();
        }
        asker.cancel();
        // It may have had its answer by then.
        let _ = asker.join();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// `DIA-4`: the wait goes on as it was, with the same deadline and since the same moment.
#[test]
fn a_walk_moves_no_timer() {
    test::run(|| {
        let began = now();
        let sleeper = spawn(move || {
            sleep(Duration::from_secs(10));
            now() - began
        });
        sleep(Duration::from_secs(4));
        let (before, timers) = (sleeper.coroutine().info(), stats().timers);
        sleeper.coroutine().backtrace().unwrap();
        let after = sleeper.coroutine().info();
        assert_eq!((after.state, after.since, after.reason), (before.state, before.since, before.reason));
        assert_eq!(stats().timers, timers);
        assert_eq!(sleeper.join().unwrap(), Duration::from_secs(10));
    });
}

/// What the waits of one coroutine came to, and what the others did to them.
#[derive(Default)]
struct Account {
    unparker: RefCell<Option<Unparker>>,
    woken: Cell<u32>,
    timed_out: Cell<u32>,
    accepted: Cell<u32>,
}

/// `DIA-4`: under every schedule, with wakes, deadlines and cancellations at random, and walks all the time:
/// a wake that was accepted arrives, one that was not does not, a deadline is met to the nanosecond.
#[test]
fn walks_lose_no_wake_and_move_no_deadline_on_any_schedule() {
    fn one_wait(account: &Rc<Account>) {
        let deadline = now() + Duration::from_millis(1 + random_u64() % 20);
        let armed = account.clone();
        let ended = park(
            Reason::Other("a wake"),
            Some(deadline),
            |unparker| drop(armed.unparker.replace(Some(unparker))),
            || Withdrawal::Withdrawn,
        );
        match ended {
            Unparked::Woken => account.woken.set(account.woken.get() + 1),
            Unparked::TimedOut => {
                assert_eq!(now(), deadline);
                account.timed_out.set(account.timed_out.get() + 1);
            }
            Unparked::Refused => panic!("refused outside an unwinding"),
        }
    }
    fn wait_often(account: &Rc<Account>) {
        for _ in 0..20 {
            // Cut off at random; a wake that came first has arrived first.
            let _ = with_timeout(Duration::from_millis(5 + random_u64() % 20), || one_wait(account));
        }
    }
    on_every_schedule(|| {
        let accounts: Vec<Rc<Account>> = (0..6).map(|_| Rc::default()).collect();
        let waiters: Vec<_> = accounts.iter().cloned().map(|account| spawn(move || wait_often(&account))).collect();
        let asker = spawn(|| {
            loop {
                backtraces().unwrap();
                sleep(Duration::from_millis(random_u64() % 10));
            }
        });
        while waiters.iter().any(|waiter| !waiter.is_finished()) {
            let account = &accounts[random_u64() as usize % accounts.len()];
            let unparker = account.unparker.take();
            if unparker.is_some_and(|unparker| unparker.unpark().is_ok()) {
                account.accepted.set(account.accepted.get() + 1);
            }
            if random_u64().is_multiple_of(40) {
                waiters[random_u64() as usize % waiters.len()].cancel();
            }
            sleep(Duration::from_millis(random_u64() % 3));
        }
        asker.cancel();
        let _ = asker.join();
        for account in &accounts {
            assert_eq!(account.woken.get(), account.accepted.get());
        }
        assert_eq!(coroutines().len(), 1);
    });
}

/// `DIA-4`: in real time too, where the loop sleeps in its poller.
#[test]
fn a_loop_that_has_nothing_else_to_do_walks_at_once() {
    Test::new().real_time().run(|| {
        let sleeper = spawn(|| sleep(Duration::from_secs(600)));
        yield_now();
        assert_eq!(backtraces().unwrap().len(), 2);
        sleeper.cancel();
    });
}
