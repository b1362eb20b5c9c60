//! When the system is asked again, and when a coroutine gives way although it need not wait.
//!
//! POL-2: the reactor is edge-triggered, so a readiness flag is kept for each direction, cleared by would-block and by a
//! short read, and a ready descriptor is tried without waiting for an edge that will not come.
//! The ancestor re-armed a descriptor before each wait instead.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use grapeshot_core::test::{self, Log};
use grapeshot_core::{
    Direction, Source, WaitLimit, set_own_selfishness, set_selfishness, sleep, spawn, stats, with_timeout, yield_now,
};

use super::*;

/// DESIGN §9.
#[test]
fn a_drained_descriptor_is_waited_for_without_asking_the_system_again() {
    test::run(|| {
        let (near, far) = pair();
        let counted = Counted::new(near);
        let reader = spawn({
            let counted = counted.clone();
            move || (0..100).map(|_| counted.read(8).unwrap()).sum::<usize>()
        });
        for _ in 0..100 {
            sleep(SECOND);
            write(&far, b"ping").unwrap();
        }
        assert_eq!(reader.join().unwrap(), 400);
        // One a message, and the very first, which found nothing and registered the descriptor.
        assert_eq!(counted.calls.get(), 101);
    });
}

/// DESIGN §9: what is not known to be drained is read until it would block.
#[test]
fn a_full_read_is_followed_by_another_attempt() {
    test::run(|| {
        let (near, far) = pair();
        let counted = Counted::new(near);
        let reader = spawn({
            let counted = counted.clone();
            move || (counted.read(4).unwrap(), counted.read(4).unwrap(), counted.read(4).unwrap())
        });
        sleep(SECOND);
        assert_eq!(counted.calls.get(), 1);
        write(&far, b"pingpong").unwrap();
        sleep(SECOND);
        // Both halves, and one that would have blocked.
        assert_eq!(counted.calls.get(), 4);
        write(&far, b"bang").unwrap();
        assert_eq!(reader.join().unwrap(), (4, 4, 4));
    });
}

/// DESIGN §9: no second event comes for the close.
#[test]
fn data_followed_by_a_close_is_read_to_its_end() {
    test::run(|| {
        let (near, far) = pair();
        let counted = Counted::new(near);
        let reader = spawn({
            let counted = counted.clone();
            move || (counted.read(8).unwrap(), counted.read(8).unwrap(), counted.read(8).unwrap())
        });
        sleep(SECOND);
        write(&far, b"bye").unwrap();
        drop(far);
        assert_eq!(reader.join().unwrap(), (3, 0, 0));
    });
}

/// DESIGN §9: the error bit sticks as well, for both directions.
#[test]
fn a_broken_pipe_ends_a_blocked_writer() {
    test::run(|| {
        let (reading, writing) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writing, true).unwrap();
        let writing = Rc::new(Source::new(OwnedFd::from(writing)));
        let write = {
            let writing = writing.clone();
            move || {
                writing.attempt(
                    Direction::Write,
                    "write",
                    WaitLimit::Never,
                    |_| false,
                    |descriptor| rustix::io::write(descriptor, &[0; 4096]).map_err(io::Error::from),
                )
            }
        };
        let writer = spawn(move || (loop_until_error(&write), loop_until_error(&write)));
        sleep(SECOND);
        assert!(!writer.is_finished());
        drop(reading);
        let (first, second) = writer.join().unwrap();
        assert_eq!((first.kind(), second.kind()), (io::ErrorKind::BrokenPipe, io::ErrorKind::BrokenPipe));
    });
}

fn loop_until_error<T>(operation: impl Fn() -> io::Result<T>) -> io::Error {
    loop {
        if let Err(error) = operation() {
            return error;
        }
    }
}

#[test]
fn readiness_can_be_waited_for_alone() {
    test::run(|| {
        let (near, far) = pair();
        near.wait_ready(Direction::Write, "wait", WaitLimit::Never).unwrap();
        let limit = WaitLimit::After(SECOND);
        assert_eq!(near.wait_ready(Direction::Read, "wait", limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
        write(&far, b"x").unwrap();
        near.wait_ready(Direction::Read, "wait", limit).unwrap();
        // Nothing was taken.
        assert_eq!(read(&near).unwrap(), b"x");
    });
}

/// POL-7, the ancestor's leak test.
#[test]
fn a_thousand_connections_leave_no_registrations() {
    test::run(|| {
        for _ in 0..1000 {
            let (near, far) = pair();
            let reader = spawn(move || read(&near).unwrap());
            yield_now();
            assert_eq!(stats().registrations, 1);
            write(&far, b"x").unwrap();
            reader.join().unwrap();
            assert_eq!(stats().registrations, 0);
        }
    });
}

/// DESIGN §4: a duplicate would otherwise keep sending events, here to whoever has the slot next.
#[test]
fn a_source_given_away_sends_no_ghost_events() {
    test::run(|| {
        let (near, far) = pair();
        with_timeout(SECOND, || read(&near)).unwrap_err();
        let near = Rc::try_unwrap(near).unwrap().into_inner();
        assert_eq!(stats().registrations, 0);
        let duplicate = near.try_clone().unwrap();
        drop(near);
        let (next, next_far) = pair();
        let counted = Counted::new(next);
        let reader = spawn({
            let counted = counted.clone();
            move || counted.read(8)
        });
        sleep(SECOND);
        write(&far, b"for the duplicate").unwrap();
        sleep(SECOND);
        assert_eq!(counted.calls.get(), 1);
        assert_eq!((&duplicate).read(&mut [0; 64]).unwrap(), 17);
        write(&next_far, b"x").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 1);
    });
}

/// REQUIREMENTS 1.10.
#[test]
fn a_reader_that_never_has_to_wait_gives_way_after_its_budget() {
    for (operations, own) in [(4, false), (2, false), (3, true)] {
        test::run(move || {
            let (near, far) = pair();
            write(&far, &[7; 32]).unwrap();
            if !own {
                set_selfishness(operations);
            }
            let log = Log::new();
            let reader = spawn({
                let log = log.clone();
                move || {
                    if own {
                        set_own_selfishness(operations);
                    }
                    for _ in 0..6 {
                        near.attempt(
                            Direction::Read,
                            "read",
                            WaitLimit::Never,
                            |_| false,
                            |mut stream: &UnixStream| stream.read(&mut [0; 1]),
                        )
                        .unwrap();
                        log.add("read");
                    }
                }
            });
            let other = spawn({
                let log = log.clone();
                move || log.add("other")
            });
            reader.join().unwrap();
            other.join().unwrap();
            let turn = log.take().iter().position(|line| line == "other");
            assert_eq!(turn, Some(usize::from(operations)));
        });
    }
}

/// REQUIREMENTS 1.10: giving way means through the poller, not only to those who can run.
#[test]
fn a_reader_out_of_budget_lets_others_see_their_events_first() {
    test::run(|| {
        let (near, far) = pair();
        let (other_near, other_far) = pair();
        write(&far, &[7; 32]).unwrap();
        let log = Log::new();
        let other = spawn({
            let log = log.clone();
            move || {
                read(&other_near).unwrap();
                log.add("other");
            }
        });
        sleep(SECOND);
        write(&other_far, b"x").unwrap();
        for _ in 0..10 {
            near.attempt(
                Direction::Read,
                "read",
                WaitLimit::Never,
                |_| false,
                |mut stream: &UnixStream| stream.read(&mut [0; 1]),
            )
            .unwrap();
            log.add("read");
        }
        other.join().unwrap();
        assert!(log.take()[..8].contains(&"other".to_owned()));
    });
}

#[test]
fn a_regular_file_never_waits() {
    test::run(|| {
        let file = Source::new(std::fs::File::open("/proc/self/status").unwrap());
        let read = file.attempt(
            Direction::Read,
            "read",
            WaitLimit::Never,
            |_| false,
            |mut file: &std::fs::File| file.read(&mut [0; 16]),
        );
        assert_eq!(read.unwrap(), 16);
        assert_eq!(stats().registrations, 0);
    });
}

/// What cannot be registered says so, and leaves nothing behind.
#[test]
fn a_descriptor_that_cannot_be_polled_is_refused_with_the_systems_error() {
    test::run(|| {
        let file = Source::new(std::fs::File::open("/proc/self/status").unwrap());
        let never = |_: &std::fs::File| Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let error = file.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, never).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(stats().registrations, 0);
    });
}
