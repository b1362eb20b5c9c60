//! Who may wait, and what ends a wait.

use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use grapeshot_core::test;
use grapeshot_core::{
    Builder, ClosedError, Direction, JoinError, OperationTimedOut, Reason, RefusedError, SimultaneousError, State,
    WaitLimit, coroutines, now, shield, sleep, spawn, stats, with_timeout, yield_now, yield_slice,
};

use super::*;

/// POL-1.
#[test]
fn one_coroutine_reads_a_descriptor_while_another_writes_it() {
    test::run(|| {
        let (near, far) = pair();
        fill(&near);
        let reader = spawn({
            let near = near.clone();
            move || read(&near).unwrap()
        });
        let writer = spawn({
            let near = near.clone();
            move || write(&near, b"more").unwrap()
        });
        sleep(SECOND);
        assert_eq!(coroutines().iter().filter(|info| matches!(info.reason, Some(Reason::Io { .. }))).count(), 2);
        write(&far, b"answer").unwrap();
        assert_eq!(reader.join().unwrap(), b"answer");
        while far.inner().read(&mut [0; 65536]).is_ok() {}
        assert_eq!(writer.join().unwrap(), 4);
    });
}

/// POL-1.
#[test]
fn a_second_reader_is_refused_with_the_names_and_spawn_sites_of_both() {
    test::run(|| {
        let (near, far) = pair();
        let waiting = near.clone();
        let first = Builder::new().name("patient").spawn(move || read(&waiting)).unwrap();
        yield_now();
        let waiting = near.clone();
        let second = Builder::new().name("pushy").spawn(move || read(&waiting)).unwrap();
        let error = second.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(inside::<SimultaneousError>(&error).is_some());
        let text = error.to_string();
        for part in ["read", "\"patient\" spawned at", "\"pushy\" spawned at"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("waiting.rs:").count(), 2, "{text}");
        // The first never noticed.
        write(&far, b"x").unwrap();
        assert_eq!(first.join().unwrap().unwrap(), b"x");
    });
}

/// The reason that listings show.
#[test]
fn a_wait_is_listed_with_its_operation_and_descriptor() {
    test::run(|| {
        let (near, _far) = pair();
        let descriptor = near.as_fd().as_raw_fd();
        let reader = Builder::new().name("reader").spawn(move || read(&near)).unwrap();
        sleep(SECOND);
        let info = reader.coroutine().info();
        assert_eq!(info.state, State::Parked);
        assert_eq!(info.waited(), Some(SECOND));
        assert!(info.to_string().contains(&format!("for read on descriptor {descriptor}")), "{info}");
    });
}

/// POL-3, which the ancestor's test of repeated `with_timeout(1, accept)` is about.
#[test]
fn after_a_wait_that_was_cut_off_another_may_wait() {
    test::run(|| {
        let (near, far) = pair();
        for _ in 0..3 {
            with_timeout(SECOND, || read(&near)).unwrap_err();
            read_within(&near, WaitLimit::After(SECOND)).unwrap_err();
            let cancelled = spawn({
                let near = near.clone();
                move || read(&near)
            });
            yield_now();
            cancelled.cancel();
            cancelled.join().unwrap_err();
        }
        write(&far, b"x").unwrap();
        assert_eq!(read(&near).unwrap(), b"x");
    });
}

/// POL-3: the place of one that is cancelled and has not run since is free, and stays with who took it.
#[test]
fn another_may_wait_while_one_that_was_cancelled_is_on_its_way_out() {
    test::run(|| {
        let (near, far) = pair();
        let cancelled = spawn({
            let near = near.clone();
            move || read(&near)
        });
        sleep(SECOND);
        cancelled.cancel();
        let writer = spawn(move || {
            sleep(SECOND);
            write(&far, b"x").unwrap();
        });
        assert_eq!(read_within(&near, WaitLimit::After(10 * SECOND)).unwrap(), b"x");
        writer.join().unwrap();
    });
}

/// POL-3: the two races of DESIGN §4, for a descriptor.
#[test]
fn data_that_arrives_together_with_a_cancellation_is_left_to_the_next_reader() {
    for data_first in [true, false] {
        test::run(move || {
            let (near, far) = pair();
            let reader = spawn({
                let near = near.clone();
                move || read(&near)
            });
            sleep(SECOND);
            if data_first {
                write(&far, b"x").unwrap();
                // The event is taken in, and the reader runnable, when the cancellation comes.
                yield_slice();
                reader.cancel();
            } else {
                reader.cancel();
                write(&far, b"x").unwrap();
            }
            match reader.join() {
                Ok(read) => assert_eq!(read.unwrap(), b"x"),
                Err(_) => assert_eq!(read(&near).unwrap(), b"x"),
            }
        });
    }
}

/// The ancestor's `wait_for_interrupted_fired`.
#[test]
fn of_two_woken_together_the_first_may_cancel_the_second() {
    test::run(|| {
        let ((near, far), (other_near, other_far)) = (pair(), pair());
        let second = spawn(move || read(&other_near));
        let cancel_second = second.coroutine();
        let first = spawn(move || {
            let data = read(&near).unwrap();
            cancel_second.cancel();
            data
        });
        sleep(SECOND);
        write(&far, b"x").unwrap();
        write(&other_far, b"y").unwrap();
        assert_eq!(first.join().unwrap(), b"x");
        // It was runnable already: it has its data, or was caught before it took it.
        let _ = second.join();
    });
}

/// POL-4.
#[test]
fn closing_wakes_reader_and_writer_with_a_closed_error() {
    test::run(|| {
        let (near, _far) = pair();
        fill(&near);
        let reader = spawn({
            let near = near.clone();
            move || read(&near)
        });
        let writer = spawn({
            let near = near.clone();
            move || write(&near, b"x")
        });
        sleep(SECOND);
        assert!(near.close());
        for (error, operation) in
            [(reader.join().unwrap().unwrap_err(), "read"), (writer.join().unwrap().unwrap_err(), "write")]
        {
            assert_eq!(error.kind(), io::ErrorKind::NotConnected);
            assert!(inside::<ClosedError>(&error).is_some());
            assert_eq!(error.to_string(), format!("{operation}: closed by this program"));
        }
        assert_eq!(stats().registrations, 0);
    });
}

/// POL-4, the ancestor's `notify_of_close`: submitted and new waits, closed and cancelled in either order.
#[test]
fn every_order_of_close_and_cancel_ends_a_blocked_reader() {
    for (submitted, close_first) in [(true, true), (true, false), (false, true), (false, false)] {
        test::run(move || {
            let (near, _far) = pair();
            let reader = spawn({
                let near = near.clone();
                move || read(&near)
            });
            if submitted {
                sleep(SECOND);
            } else {
                yield_now();
            }
            if close_first {
                near.close();
                reader.cancel();
            } else {
                reader.cancel();
                near.close();
            }
            match reader.join() {
                Ok(read) => assert!(inside::<ClosedError>(&read.unwrap_err()).is_some()),
                Err(error) => assert!(matches!(error, JoinError::Cancelled), "{error}"),
            }
        });
    }
}

/// POL-4, `notify_of_close` when the event has fired already.
#[test]
fn a_reader_whose_data_has_arrived_finds_the_source_closed() {
    test::run(|| {
        let (near, far) = pair();
        let reader = spawn({
            let near = near.clone();
            move || read(&near)
        });
        sleep(SECOND);
        write(&far, b"x").unwrap();
        let closer = spawn(move || near.close());
        assert!(closer.join().unwrap());
        assert!(inside::<ClosedError>(&reader.join().unwrap().unwrap_err()).is_some());
    });
}

/// SOK-11.
#[test]
fn closing_again_does_nothing_and_every_later_operation_is_refused() {
    test::run(|| {
        let (near, _far) = pair();
        assert!(!near.is_closed());
        assert!(near.close());
        assert!(!near.close());
        assert!(near.is_closed());
        assert!(inside::<ClosedError>(&read(&near).unwrap_err()).is_some());
        assert!(inside::<ClosedError>(&write(&near, b"x").unwrap_err()).is_some());
        assert!(near.wait_ready(Direction::Read, "wait", WaitLimit::Never).is_err());
    });
}

#[test]
fn a_limit_on_one_operation_is_an_error_and_the_source_works_on() {
    test::run(|| {
        let (near, far) = pair();
        let started = now();
        for limit in [WaitLimit::After(SECOND), WaitLimit::At(started + 2 * SECOND)] {
            let error = read_within(&near, limit).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(inside::<OperationTimedOut>(&error).is_some());
            assert_eq!(error.to_string(), "read timed out");
        }
        assert_eq!(now() - started, 2 * SECOND);
        write(&far, b"x").unwrap();
        assert_eq!(read_within(&near, WaitLimit::After(SECOND)).unwrap(), b"x");
        assert_eq!(stats().timers, 0);
    });
}

/// A limit is on the whole operation, however often it has to wait.
#[test]
fn a_wake_without_data_does_not_extend_the_limit() {
    test::run(|| {
        let (near, far) = pair();
        let started = now();
        let reader = spawn(move || {
            let never = |_: &UnixStream| Err::<(), _>(io::ErrorKind::WouldBlock.into());
            near.attempt(Direction::Read, "read", WaitLimit::After(10 * SECOND), |_| false, never)
        });
        for _ in 0..8 {
            sleep(SECOND);
            write(&far, b"x").unwrap();
        }
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(now() - started, 10 * SECOND);
    });
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// DESIGN §5: blocking calls made by destructors try once without waiting.
#[test]
fn a_coroutine_that_unwinds_gets_what_is_there_and_is_refused_a_wait() {
    test::run(|| {
        let (near, far) = pair();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let reader = spawn({
            let seen = seen.clone();
            move || {
                let _clean_up = OnDrop(|| seen.borrow_mut().push(read(&near)));
                let _again = OnDrop(|| seen.borrow_mut().push(read(&near)));
                read(&near)
            }
        });
        sleep(SECOND);
        reader.cancel();
        // Sent before the reader unwinds, and not yet known to the reactor.
        write(&far, b"last words").unwrap();
        reader.join().unwrap_err();
        let seen = seen.take();
        assert_eq!(seen[0].as_ref().unwrap(), b"last words");
        let error = seen[1].as_ref().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(inside::<RefusedError>(error).is_some());
        assert!(error.to_string().starts_with("read: a coroutine that unwinds cannot wait"), "{error}");
    });
}

#[test]
fn a_shield_lets_clean_up_wait_for_a_descriptor() {
    test::run(|| {
        let (near, far) = pair();
        let reader = spawn(move || {
            let farewell = shield(10 * SECOND, || read(&near)).unwrap().unwrap();
            assert_eq!(farewell, b"farewell");
            // The cancellation that the shield held back.
            read(&near)
        });
        sleep(SECOND);
        reader.cancel();
        sleep(SECOND);
        write(&far, b"farewell").unwrap();
        assert!(matches!(reader.join(), Err(JoinError::Cancelled)));
    });
}
