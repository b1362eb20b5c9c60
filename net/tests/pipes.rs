//! Pipes, and any other descriptor that epoll takes.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::rc::Rc;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{ClosedError, Direction, OperationTimedOut, SimultaneousError};
use grapeshot_core::{now, random_u64, sleep, spawn, stats, with_timeout};
use grapeshot_net::{PipeReader, PipeWriter, Pollable, pipe};
use rustix::event::{EventfdFlags, eventfd};

use self::support::*;

#[test]
fn megabytes_go_through_a_pipe_to_a_slow_reader() {
    test::run(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        let writing = spawn(move || writer.write_all(&pattern(MIB)).unwrap());
        sleep(SECOND);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert!(all == pattern(MIB));
        writing.join().unwrap();
    });
}

/// SOK-3, SOK-4, SOK-5: the whole amounts are those of every stream.
#[test]
fn whole_amounts_go_through_a_pipe() {
    test::run(|| {
        let (reader, writer) = pipe().unwrap();
        assert_eq!(writer.writev(&[b"gra", b"peshot", b"!!"]).unwrap(), 11);
        drop(writer);
        assert_eq!(reader.recv_exact(5).unwrap(), b"grape");
        assert_eq!(reader.readv(&[4, 5]).unwrap(), [&b"shot"[..], b"!!"]);
        assert_eq!(reader.recv_exact(1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_pipe_without_a_reader_is_broken() {
    test::run(|| {
        let (reader, mut writer) = pipe().unwrap();
        let writing = spawn(move || writer.write_all(&vec![0; MIB]).unwrap_err());
        sleep(SECOND);
        drop(reader);
        assert_eq!(writing.join().unwrap().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn both_directions_have_limits() {
    test::run(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        reader.set_read_timeout(Some(5 * SECOND)).unwrap();
        writer.set_write_timeout(Some(7 * SECOND)).unwrap();
        let started = now();
        assert!(is::<OperationTimedOut>(&reader.read(&mut [0; 8]).unwrap_err()));
        assert!(is::<OperationTimedOut>(&writer.write_all(&vec![0; MIB]).unwrap_err()));
        assert_eq!(now() - started, 12 * SECOND);
        assert_eq!(reader.try_clone().unwrap().read_timeout().unwrap(), Some(5 * SECOND));
        assert_eq!(writer.try_clone().unwrap().write_timeout().unwrap(), Some(7 * SECOND));
    });
}

#[test]
fn a_second_reader_is_refused_and_closing_ends_the_first() {
    test::run(|| {
        let (reader, _writer) = pipe().unwrap();
        let reader = Rc::new(reader);
        let first = spawn({
            let reader = reader.clone();
            move || (&*reader).read(&mut [0; 8])
        });
        sleep(SECOND);
        assert!(is::<SimultaneousError>(&(&*reader).read(&mut [0; 8]).unwrap_err()));
        assert!(reader.close());
        assert!(!reader.close());
        assert!(is::<ClosedError>(&first.join().unwrap().unwrap_err()));
        assert_eq!(stats().registrations, 0);
    });
}

/// The child sees a pipe that blocks, or `cat` would fail on its empty input.
#[test]
fn both_ends_go_to_a_child_process() {
    Test::new().real_time().run(|| {
        let ((child_in, mut near_out), (mut near_in, child_out)) = (pipe().unwrap(), pipe().unwrap());
        let mut command = Command::new("cat");
        command.stdin(child_in.into_stdio().unwrap()).stdout(child_out.into_stdio().unwrap());
        let mut child = command.spawn().unwrap();
        // The command keeps the ends that it was given.
        drop(command);
        sleep(SECOND / 20);
        near_out.write_all(b"meow").unwrap();
        drop(near_out);
        let mut answer = String::new();
        near_in.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "meow");
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn an_end_goes_to_std_and_back() {
    test::run(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let (mut reader, mut writer) = (PipeReader::from_std(reader).unwrap(), PipeWriter::from_std(writer).unwrap());
        let reading = spawn(move || {
            let read = reader.read(&mut [0; 8]).unwrap();
            (read, reader.into_std())
        });
        sleep(SECOND);
        writer.write_all(b"std").unwrap();
        assert_eq!(reading.join().unwrap().0, 3);
        drop(OwnedFd::from(writer));
    });
}

fn event() -> Pollable<OwnedFd> {
    Pollable::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap()
}

#[test]
fn an_eventfd_is_waited_for() {
    test::run(|| {
        let event = Rc::new(event());
        let waiting = spawn({
            let event = event.clone();
            move || {
                event.wait_readable().unwrap();
                let mut count = [0; 8];
                (&*event).read_exact(&mut count).unwrap();
                u64::from_ne_bytes(count)
            }
        });
        sleep(SECOND);
        event.wait_writable().unwrap();
        (&*event).write_all(&7_u64.to_ne_bytes()).unwrap();
        assert_eq!(waiting.join().unwrap(), 7);
    });
}

#[test]
fn any_operation_can_be_attempted_within_the_limits() {
    test::run(|| {
        let event = event();
        event.set_read_timeout(Some(5 * SECOND)).unwrap();
        let take = |event: &Pollable<OwnedFd>| {
            event.attempt(Direction::Read, "take", |fd| {
                let mut count = [0; 8];
                rustix::io::read(fd, &mut count)?;
                Ok(u64::from_ne_bytes(count))
            })
        };
        let started = now();
        let error = take(&event).unwrap_err();
        assert_eq!((error.to_string().as_str(), now() - started), ("take timed out", 5 * SECOND));
        event.set_write_timeout(Some(SECOND)).unwrap();
        (&event).write_all(&(u64::MAX - 1).to_ne_bytes()).unwrap();
        // It is full: one more would have to wait.
        assert_eq!((&event).write(&1_u64.to_ne_bytes()).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(take(&event).unwrap(), u64::MAX - 1);
        assert!(event.close());
        assert!(is::<ClosedError>(&take(&event).unwrap_err()));
    });
}

/// epoll takes no files; they are always ready, and never get that far.
#[test]
fn a_file_is_read_at_once() {
    test::run(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let mut file = Pollable::new(File::open(manifest).unwrap()).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert!(text.contains("grapeshot-net"));
        assert_eq!(stats().registrations, 0);
        drop(file.into_inner());
    });
}

/// Under every schedule each byte arrives once and in order, however often its reader was cut off.
#[test]
fn no_byte_is_lost_to_cancelled_readers_under_many_schedules() {
    for seed in 0..50 {
        Test::new().seed(seed).run(|| {
            let (reader, mut writer) = pipe().unwrap();
            let writing = spawn(move || {
                for number in 0..40_u8 {
                    writer.write_all(&[number]).unwrap();
                    sleep(SECOND * (random_u64() % 3) as u32);
                }
            });
            let mut seen = Vec::new();
            while seen.len() < 40 {
                let mut buf = [0; 3];
                match with_timeout(SECOND * (random_u64() % 3) as u32, || (&reader).read(&mut buf)) {
                    Ok(read) => seen.extend_from_slice(&buf[..read.unwrap()]),
                    Err(_) => sleep(SECOND * (random_u64() % 2) as u32),
                }
            }
            assert_eq!(seen, (0..40).collect::<Vec<u8>>());
            writing.join().unwrap();
        });
    }
}

/// The marks that the documents promise, looked at by the compiler.
#[test]
fn ends_can_be_sent_and_shared() {
    fn sendable<T: Send + Sync>() {}
    sendable::<PipeReader>();
    sendable::<PipeWriter>();
    sendable::<Pollable<OwnedFd>>();
}
