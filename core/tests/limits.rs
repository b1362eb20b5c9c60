//! Limits on a piece of work: `with_timeout` and its kin.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Direction, JoinError, JoinHandle, Reason, RefusedError, Source, State, TimeLimit, TimedOut, Unparked, WaitLimit,
    WaitQueue, Withdrawal, current, current_deadline, in_parallel, now, park, random_u64, shield, sleep, sleep_until,
    spawn, stats, with_deadline, with_time_limit, with_timeout, yield_now, yield_slice,
};

use self::support::Note;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `TMO-1`
#[test]
fn work_within_its_limit_returns_its_value() {
    test::run(|| {
        let value = with_timeout(seconds(2), || {
            sleep(SECOND);
            7
        });
        assert_eq!(value, Ok(7));
    });
}

/// `TMO-1`
#[test]
fn work_past_its_limit_is_cut_off_when_the_limit_passes() {
    test::run(|| {
        let began = now();
        let log = Log::new();
        let cut = with_timeout(seconds(2), || {
            let _note = Note(log.clone(), "unwound");
            sleep(HOUR);
        });
        let error = cut.unwrap_err();
        assert_eq!(now() - began, seconds(2));
        assert_eq!(error.limit(), Some(seconds(2)));
        assert_eq!(error.to_string(), "not done within the time limit of 2s");
        assert_eq!(log.take(), ["unwound"]);
    });
}

/// `TMO-1`
#[test]
fn errors_and_panics_of_the_work_come_through() {
    test::run(|| {
        assert_eq!(with_timeout(SECOND, || Err::<(), _>("no route")), Ok(Err("no route")));
        let caught = panic::catch_unwind(AssertUnwindSafe(|| with_timeout(SECOND, || panic!("powder wet"))));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "powder wet");
        assert_eq!(stats().timers, 0);
    });
}

#[test]
fn a_limit_that_passed_is_an_io_error_of_kind_timed_out() {
    test::run(|| {
        let error: io::Error = with_timeout(Duration::ZERO, || sleep(SECOND)).unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.get_ref().unwrap().is::<TimedOut>());
    });
}

#[test]
fn a_deadline_cuts_work_off_at_a_point_in_time() {
    test::run(|| {
        let deadline = now() + seconds(3);
        let error = with_deadline(deadline, || sleep(HOUR)).unwrap_err();
        assert_eq!(now(), deadline);
        assert_eq!(error.limit(), None);
        assert_eq!(error.to_string(), "not done by its deadline");
        assert!(with_deadline(deadline - SECOND, || sleep(Duration::ZERO)).is_err());
    });
}

/// `TMO-2`
#[test]
fn an_outer_limit_passes_through_inner_ones_untouched() {
    test::run(|| {
        let inner_saw = Rc::new(Cell::new(None));
        let outer = with_timeout(SECOND, || {
            let inner = with_timeout(seconds(2), || sleep(HOUR));
            inner_saw.set(Some(inner));
        });
        assert_eq!(outer.unwrap_err().limit(), Some(SECOND));
        assert_eq!(inner_saw.get(), None);
    });
}

/// `TMO-2`
#[test]
fn an_inner_limit_is_told_to_its_owner_and_the_outer_goes_on() {
    test::run(|| {
        let outer = with_timeout(seconds(3), || {
            let inner = with_timeout(SECOND, || sleep(HOUR));
            assert_eq!(inner.unwrap_err().limit(), Some(SECOND));
            sleep(SECOND);
            7
        });
        assert_eq!(outer, Ok(7));
    });
}

/// `TMO-2`: which of two the ancestor leaves open; here the outer has more to say.
#[test]
fn of_two_limits_that_pass_at_the_same_instant_the_outer_counts() {
    test::run(|| {
        let outer = with_timeout(SECOND, || with_timeout(SECOND, || sleep(HOUR)));
        assert!(outer.is_err());
        // However the inner one was the first to be set.
        let outer = with_time_limit(HOUR, |outer| {
            with_timeout(SECOND, || {
                outer.change(SECOND);
                sleep(HOUR)
            })
        });
        assert!(outer.is_err());
    });
}

/// Calls everything that waits, if it is dropped by unwinding: there it must not switch.
struct WaitsWhenUnwound {
    log: Log,
    socket: Rc<Source<UnixStream>>,
    other: Cell<Option<JoinHandle<()>>>,
}

impl Drop for WaitsWhenUnwound {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let began = now();
        sleep(HOUR);
        sleep_until(now() + HOUR);
        yield_now();
        yield_slice();
        assert_eq!(with_timeout(SECOND, || sleep(HOUR)), Ok(()));
        assert_eq!(shield(None, || sleep(HOUR)), Ok(()));
        assert!(!WaitQueue::new().wait(Reason::Other("never")));
        assert_eq!(park(Reason::Other("never"), None, |_| (), || Withdrawal::Withdrawn), Unparked::Refused);
        assert!(matches!(self.other.take().unwrap().join(), Err(JoinError::Refused)));
        assert!(matches!(in_parallel([|| ()]).unwrap_err().outcomes[0], Err(JoinError::Refused)));
        let error = read(&self.socket).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.get_ref().unwrap().is::<RefusedError>());
        // What needs no wait is done.
        assert_eq!(write(&self.socket).unwrap(), 1);
        assert_eq!(now(), began);
        self.log.add("unwound");
    }
}

fn read(socket: &Source<UnixStream>) -> io::Result<usize> {
    let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
    socket.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, read)
}

fn write(socket: &Source<UnixStream>) -> io::Result<usize> {
    let write = |mut stream: &UnixStream| stream.write(b"!");
    socket.attempt(Direction::Write, "write", WaitLimit::Never, |_| false, write)
}

fn sockets() -> (Source<UnixStream>, Source<UnixStream>) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (Source::new(one), Source::new(other))
}

/// Runs three nested limits, of which one passes after a second; says which told so and how many frames were unwound.
fn three_nested_limits(passing: usize) -> (Vec<usize>, usize) {
    let log = Log::new();
    let (ours, _theirs) = sockets();
    let socket = Rc::new(ours);
    let guard = || WaitsWhenUnwound {
        log: log.clone(),
        socket: socket.clone(),
        other: Cell::new(Some(spawn(|| sleep(seconds(2))))),
    };
    let limits: Vec<_> = (0..3).map(|index| if index == passing { SECOND } else { HOUR }).collect();
    let mut told = Vec::new();
    let outer = with_timeout(limits[0], || {
        let _guard = guard();
        let middle = with_timeout(limits[1], || {
            let _guard = guard();
            let inner = with_timeout(limits[2], || {
                let _guard = guard();
                sleep(HOUR);
            });
            told.extend(inner.err().map(|_| 2));
        });
        told.extend(middle.err().map(|_| 1));
    });
    told.extend(outer.err().map(|_| 0));
    (told, log.take().len())
}

/// `TMO-2`, DESIGN §5
#[test]
fn of_three_nested_limits_the_one_that_passes_is_told_whatever_the_destructors_call() {
    for (passing, unwound) in [(0, 3), (1, 2), (2, 1)] {
        test::run(move || assert_eq!(three_nested_limits(passing), (vec![passing], unwound)));
    }
}

/// `TMO-3`
#[test]
fn work_that_ends_before_its_limit_is_noticed_has_won() {
    test::run(|| {
        assert_eq!(with_timeout(Duration::ZERO, || 7), Ok(7));
        assert_eq!(stats().timers, 0);
        sleep(SECOND);
    });
    Test::new().real_time().run(|| {
        let value = with_timeout(Duration::from_nanos(1), || {
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(10) {}
            7
        });
        assert_eq!(value, Ok(7));
    });
}

/// `TMO-4`
#[test]
fn data_that_has_arrived_wins_over_the_limit_on_its_arrival() {
    test::run(|| {
        let (reader, writer) = sockets();
        let log = Log::new();
        let limited = spawn({
            let log = log.clone();
            move || {
                // The limit passes in the next pass of the loop, and the poller is asked before.
                with_timeout(Duration::ZERO, || {
                    log.add(format!("read {}", read(&reader).unwrap()));
                    yield_now();
                    log.add("not reached");
                })
            }
        });
        yield_now();
        write(&writer).unwrap();
        assert!(limited.join().unwrap().is_err());
        assert_eq!(log.take(), ["read 1"]);
    });
}

/// `TMO-4`
#[test]
fn a_coroutine_made_runnable_before_its_limit_passes_runs_first() {
    test::run(|| {
        let (limit, log) = (Rc::new(Cell::new(None::<TimeLimit>)), Log::new());
        let limited = spawn({
            let (limit, log) = (limit.clone(), log.clone());
            move || {
                with_time_limit(HOUR, |own| {
                    limit.set(Some(own.clone()));
                    sleep(SECOND);
                    log.add("slept");
                    yield_now();
                    log.add("not reached");
                })
            }
        });
        yield_now();
        // Set after the sleep for the same instant, so the sleep ends first.
        assert!(limit.take().unwrap().change(SECOND));
        assert!(limited.join().unwrap().is_err());
        assert_eq!(log.take(), ["slept"]);
    });
}

/// Where the ancestor puts the limit off for ever (`TMO-4`), the next wait that really waits is cut.
#[test]
fn a_coroutine_that_never_parks_is_caught_at_its_next_call_that_may_wait() {
    test::run(|| {
        let turns = Cell::new(0);
        let cut = with_timeout(Duration::ZERO, || {
            while turns.get() < 1000 {
                yield_slice();
                turns.set(turns.get() + 1);
            }
        });
        assert!(cut.is_err());
        assert_eq!(turns.get(), 0);

        let (reader, writer) = sockets();
        let read_so_far = Cell::new(0);
        let cut = with_timeout(Duration::ZERO, || {
            while read_so_far.get() < 1000 {
                write(&writer).unwrap();
                read_so_far.set(read_so_far.get() + read(&reader).unwrap());
            }
        });
        assert!(cut.is_err());
        assert!(read_so_far.get() > 0);
    });
}

/// `TMO-5`
#[test]
fn a_sleep_of_nothing_under_a_limit_of_nothing_is_cut_off() {
    test::run(|| assert!(with_timeout(Duration::ZERO, || sleep(Duration::ZERO)).is_err()));
    Test::new().real_time().run(|| assert!(with_timeout(Duration::ZERO, || sleep(Duration::ZERO)).is_err()));
}

/// `TMO-5`, `TMO-7`: the ancestor leaves it open which of a limit and a sleep to the same instant wins.
#[test]
fn of_a_limit_and_a_sleep_to_the_same_instant_the_one_set_first_wins() {
    test::run(|| {
        assert!(with_timeout(SECOND, || sleep(SECOND)).is_err());
        assert!(with_timeout(SECOND, || sleep(SECOND - Duration::from_nanos(1))).is_ok());
        let won = with_time_limit(HOUR, |limit| {
            let changer = spawn({
                let limit = limit.clone();
                move || assert!(limit.change(SECOND))
            });
            sleep(SECOND);
            assert!(changer.is_finished());
            7
        });
        assert_eq!(won, Ok(7));
    });
}

/// `TMO-6`
#[test]
fn work_that_catches_the_unwinding_is_unwound_again_at_its_next_wait() {
    test::run(|| {
        let mut caught = 0;
        let cut = with_timeout(SECOND, || {
            for _ in 0..3 {
                caught += usize::from(panic::catch_unwind(|| sleep(HOUR)).is_err());
            }
            sleep(HOUR);
        });
        assert_eq!(caught, 3);
        assert!(cut.is_err());
    });
}

/// `TMO-6`: an inner limit or scope cannot be used to swallow an outer one.
#[test]
fn work_cannot_shake_a_limit_off_with_a_limit_of_its_own() {
    test::run(|| {
        let mut attempts = 0;
        let cut = with_timeout(SECOND, || {
            while attempts < 10 {
                attempts += 1;
                let _ = with_timeout(SECOND, || sleep(HOUR));
            }
        });
        assert!(cut.is_err());
        assert_eq!(attempts, 1);
    });
}

/// `TMO-7`
#[test]
fn a_sleep_lasts_as_long_as_it_is_told_and_leaves_no_timer_behind() {
    test::run(|| {
        let began = now();
        sleep(SECOND);
        assert_eq!(now() - began, SECOND);
        sleep_until(began + seconds(3));
        assert_eq!(now() - began, seconds(3));
        sleep_until(began);
        assert_eq!(now() - began, seconds(3));
        assert_eq!(stats().timers, 0);
        assert!(with_timeout(SECOND, || sleep(HOUR)).is_err());
        assert_eq!(stats().timers, 0);
        let sleeper = spawn(|| sleep(HOUR));
        yield_now();
        assert_eq!(stats().timers, 1);
        sleeper.cancel();
        let _ = sleeper.join();
        assert_eq!(stats().timers, 0);
    });
}

/// `SYL-4` has a sleep of nothing return at once; as in Shrapnel it gives way here.
#[test]
fn a_sleep_of_nothing_gives_way() {
    test::run(|| {
        let ran = Rc::new(Cell::new(false));
        spawn({
            let ran = ran.clone();
            move || ran.set(true)
        });
        sleep(Duration::ZERO);
        assert!(ran.get());
    });
}

#[test]
fn a_sleep_and_a_limit_may_be_longer_than_the_clock_can_count() {
    test::run(|| {
        let sleeper = spawn(|| sleep(Duration::MAX));
        let cut = with_timeout(SECOND, || {
            with_timeout(Duration::MAX, || {
                assert_eq!(current_deadline(), Some(now() + SECOND));
                sleep(Duration::MAX)
            })
        });
        assert_eq!(cut.unwrap_err().limit(), Some(SECOND));
        assert!(!sleeper.is_finished());
        with_time_limit(Duration::MAX, |limit| {
            assert_eq!(limit.deadline(), None);
            assert_eq!(current_deadline(), None);
        })
        .unwrap();
    });
}

/// `SYL-5`
#[test]
fn a_running_limit_can_be_made_longer_and_shorter() {
    test::run(|| {
        let began = now();
        let patient = with_time_limit(SECOND, |limit| {
            assert!(limit.change(seconds(10)));
            assert_eq!(limit.deadline(), Some(began + seconds(10)));
            sleep(seconds(5));
        });
        assert_eq!(patient, Ok(()));
        let began = now();
        let hasty = with_time_limit(HOUR, |limit| {
            assert!(limit.change(SECOND));
            sleep(HOUR);
        });
        assert_eq!(now() - began, SECOND);
        assert_eq!(hasty.unwrap_err().limit(), Some(SECOND));
        assert_eq!(stats().timers, 0);
    });
}

/// `SYL-5`
#[test]
fn a_running_limit_can_be_called_off() {
    test::run(|| {
        let patient = with_time_limit(SECOND, |limit| {
            assert!(limit.cancel());
            assert_eq!(limit.deadline(), None);
            assert_eq!(stats().timers, 0);
            sleep(HOUR);
            // And be set again.
            assert!(limit.change(SECOND));
            sleep(HOUR);
        });
        assert_eq!(patient.unwrap_err().limit(), Some(SECOND));
    });
}

/// `SYL-5`
#[test]
fn another_coroutine_can_change_a_limit() {
    test::run(|| {
        let began = now();
        let cut = with_time_limit(SECOND, |limit| {
            let limit = limit.clone();
            spawn(move || {
                for _ in 0..5 {
                    sleep(SECOND / 2);
                    assert!(limit.change(SECOND));
                }
            });
            sleep(HOUR);
        });
        assert!(cut.is_err());
        assert_eq!(now() - began, seconds(5) / 2 + SECOND);
    });
}

/// `SYL-5`
#[test]
fn a_limit_that_has_passed_or_whose_work_is_over_cannot_be_changed() {
    test::run(|| {
        let kept = with_time_limit(SECOND, TimeLimit::clone).unwrap();
        assert!(!kept.change(SECOND));
        assert!(!kept.cancel());
        assert_eq!(kept.deadline(), None);
        assert_eq!(stats().timers, 0);

        let late = with_time_limit(SECOND, |limit| {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| sleep(HOUR)));
            assert!(!limit.change(HOUR));
            assert!(!limit.cancel());
        });
        assert_eq!(late, Ok(()));
    });
}

#[test]
fn current_deadline_is_the_earliest_of_the_limits_in_force() {
    test::run(|| {
        let began = now();
        assert_eq!(current_deadline(), None);
        with_timeout(seconds(5), || {
            assert_eq!(current_deadline(), Some(began + seconds(5)));
            with_timeout(seconds(9), || assert_eq!(current_deadline(), Some(began + seconds(5)))).unwrap();
            with_timeout(seconds(2), || assert_eq!(current_deadline(), Some(began + seconds(2)))).unwrap();
            with_time_limit(seconds(1), |limit| {
                limit.cancel();
                assert_eq!(current_deadline(), Some(began + seconds(5)));
            })
            .unwrap();
            assert_eq!(current_deadline(), Some(began + seconds(5)));
            assert_eq!(spawn(current_deadline).join().unwrap(), None);
        })
        .unwrap();
        assert_eq!(current_deadline(), None);
    });
}

#[test]
fn current_deadline_sees_no_limit_beyond_a_shield() {
    test::run(|| {
        let began = now();
        with_timeout(SECOND, || {
            shield(None, || {
                assert_eq!(current_deadline(), None);
                with_timeout(seconds(8), || assert_eq!(current_deadline(), Some(began + seconds(8)))).unwrap();
            })
            .unwrap();
            shield(seconds(5), || assert_eq!(current_deadline(), Some(began + seconds(5)))).unwrap();
        })
        .unwrap();
    });
}

/// The ancestor's test `in_parallel: timeout` in short: a limit may be used over and over.
#[test]
fn a_limit_that_passed_leaves_the_coroutine_as_it_was() {
    test::run(|| {
        for _ in 0..3 {
            assert!(with_timeout(SECOND, || sleep(HOUR)).is_err());
        }
        assert_eq!(with_timeout(seconds(2), || sleep(SECOND)), Ok(()));
        assert_eq!(current().info().state, State::Running);
        assert_eq!(stats().timers, 0);
    });
}

/// `TMO-1`, `TMO-2`: whatever the order, exactly the limits that passed are told, and at their time.
#[test]
fn on_every_schedule_limits_are_told_to_their_owners_at_their_time() {
    support::on_every_schedule(|| {
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let (outer, inner, work) = (random_seconds(), random_seconds(), random_seconds());
                spawn(move || {
                    let began = now();
                    let told = with_timeout(outer, || with_timeout(inner, || sleep(work)));
                    let lasted = now() - began;
                    let expected = if outer <= inner.min(work) {
                        (outer, Err(Some(outer)))
                    } else if inner <= work {
                        (inner, Ok(Err(Some(inner))))
                    } else {
                        (work, Ok(Ok(())))
                    };
                    let limit = |error: TimedOut| error.limit();
                    assert_eq!((lasted, told.map(|told| told.map_err(limit)).map_err(limit)), expected);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

fn random_seconds() -> Duration {
    seconds(random_u64() % 4)
}
