//! The stream pair in memory: a socket's shape, virtual time, and the faults.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    ClosedError, NotInRuntime, OperationTimedOut, RefusedError, SimultaneousError, now, random_u64, sleep, spawn,
    with_timeout, yield_now,
};
use grapeshot_net::memory::{Builder, Faults, MemoryStream, pair};
use grapeshot_net::{Shutdown, WaitLimit};

use self::support::{SECOND, is, pattern};

const MILLISECOND: Duration = Duration::from_millis(1);

fn read_all(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// What arrives, and the error it ends with.
fn read_to_error(mut stream: impl Read) -> (Vec<u8>, ErrorKind) {
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).unwrap_err();
    (all, error.kind())
}

#[test]
fn bytes_go_both_ways_at_once_through_references() {
    test::run(|| {
        let (near, far) = pair();
        let near = Rc::new(near);
        let echo = spawn(move || io::copy(&mut &far, &mut &far));
        let writer = spawn({
            let near = near.clone();
            move || {
                (&*near).write_all(&pattern(1 << 20)).unwrap();
                near.shutdown(Shutdown::Write).unwrap();
            }
        });
        assert!(read_all(&*near).unwrap() == pattern(1 << 20));
        writer.join().unwrap();
        assert_eq!(echo.join().unwrap().unwrap(), 1 << 20);
    });
}

#[test]
fn a_writer_waits_while_the_buffer_is_full() {
    test::run(|| {
        let (near, mut far) = Builder::new().capacity(10).pair();
        let writer = spawn(move || {
            let began = now();
            (&near).write_all(&pattern(25)).unwrap();
            now() - began
        });
        sleep(SECOND);
        let mut buf = [0; 10];
        far.read_exact(&mut buf).unwrap();
        sleep(SECOND);
        assert_eq!(read_all(far).unwrap(), &pattern(25)[10..]);
        assert_eq!(writer.join().unwrap(), 2 * SECOND);
    });
}

#[test]
fn a_second_reader_is_refused_with_both_named() {
    test::run(|| {
        let (near, far) = pair();
        let near = Rc::new(near);
        let reader = |name: &str| {
            let near = near.clone();
            let read = move || (&*near).read(&mut [0; 8]);
            grapeshot_core::Builder::new().name(name).spawn(read).unwrap()
        };
        let (first, second) = (reader("first"), reader("second"));
        let refused = second.join().unwrap().unwrap_err();
        assert!(is::<SimultaneousError>(&refused));
        let text = refused.to_string();
        assert!(text.contains("first") && text.contains("second"), "{text}");
        (&far).write_all(b"hello").unwrap();
        assert_eq!(first.join().unwrap().unwrap(), 5);
    });
}

/// As for sockets: TMO-4's limit on one operation, after which the stream can be used on.
#[test]
fn a_limit_on_one_operation_is_an_error_and_no_end() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(4).pair();
        near.set_read_timeout(Some(SECOND)).unwrap();
        let error = (&near).read(&mut [0; 8]).unwrap_err();
        assert!(error.kind() == ErrorKind::TimedOut && is::<OperationTimedOut>(&error));
        assert_eq!(near.write_within(b"12345678", WaitLimit::Never).unwrap(), 4);
        near.set_write_timeout(Some(SECOND)).unwrap();
        assert_eq!((&near).write(b"5678").unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.read_within(&mut [0; 8], WaitLimit::At(now())).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
        (&far).write_all(b"back").unwrap();
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 4);
        assert_eq!((near.read_timeout().unwrap(), near.write_timeout().unwrap()), (Some(SECOND), Some(SECOND)));
    });
}

#[test]
fn a_peek_takes_nothing() {
    test::run(|| {
        let (near, mut far) = pair();
        far.write_all(b"look").unwrap();
        let mut buf = [0; 8];
        assert_eq!(near.peek(&mut buf).unwrap(), 4);
        assert_eq!((&near).read(&mut buf).unwrap(), 4);
        assert_eq!(&buf[..4], b"look");
    });
}

#[test]
fn who_shuts_down_or_goes_away_is_noticed() {
    test::run(|| {
        let (near, far) = pair();
        (&near).write_all(b"last").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&near).write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_all(&far).unwrap(), b"last");
        (&far).write_all(b"answer").unwrap();
        near.shutdown(Shutdown::Read).unwrap();
        assert_eq!((&far).write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_all(&near).unwrap(), b"answer");

        let (near, far) = pair();
        (&far).write_all(b"farewell").unwrap();
        drop(far);
        assert_eq!((&near).write(b"too late").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_all(&near).unwrap(), b"farewell");
    });
}

/// POL-4, as for sockets.
#[test]
fn a_close_ends_every_wait_on_either_end() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(1).pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(b"12")
        });
        let peer = spawn(move || (&far).write_all(b"12"));
        yield_now();
        assert!(near.close());
        assert!(!near.close());
        assert!(is::<ClosedError>(&reader.join().unwrap().unwrap_err()));
        assert!(is::<ClosedError>(&writer.join().unwrap().unwrap_err()));
        assert_eq!(peer.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(is::<ClosedError>(&(&*near).read(&mut [0; 8]).unwrap_err()));
    });
}

/// DESIGN §4, "cancelled, then woken": the bytes are for whoever reads next.
#[test]
fn bytes_that_come_for_a_cancelled_reader_are_read_by_the_next() {
    test::run(|| {
        let (near, far) = pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        yield_now();
        reader.cancel();
        (&far).write_all(b"kept").unwrap();
        let mut buf = [0; 8];
        // The cancelled one has not run since, and holds up nobody.
        assert_eq!((&*near).read(&mut buf).unwrap(), 4);
        reader.join().unwrap_err();
    });
}

/// The same for a reader that takes its place in the queue before the cancelled one has left it.
#[test]
fn a_reader_may_wait_before_the_cancelled_one_has_run() {
    test::run(|| {
        let (near, far) = pair();
        let near = Rc::new(near);
        let doomed = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        yield_now();
        doomed.cancel();
        let writer = spawn(move || {
            sleep(SECOND);
            (&far).write_all(b"kept").unwrap();
        });
        assert_eq!((&*near).read(&mut [0; 8]).unwrap(), 4);
        doomed.join().unwrap_err();
        writer.join().unwrap();
    });
}

/// DESIGN §4, "woken, then cancelled": who was woken reads, and is caught at its next wait.
#[test]
fn a_reader_that_was_woken_first_reads_although_it_is_cancelled() {
    test::run(|| {
        let (near, far) = pair();
        let log = test::Log::new();
        let reader = spawn({
            let log = log.clone();
            move || {
                let mut buf = [0; 8];
                let count = (&near).read(&mut buf).unwrap();
                log.add(String::from_utf8_lossy(&buf[..count]));
                let _ = (&near).read(&mut buf);
                log.add("not cut off");
            }
        });
        yield_now();
        (&far).write_all(b"mine").unwrap();
        reader.cancel();
        reader.join().unwrap_err();
        assert_eq!(log.take(), ["mine"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_tries_once_and_does_not_wait() {
    struct Farewell(Rc<MemoryStream>, test::Log);
    impl Drop for Farewell {
        fn drop(&mut self) {
            (&*self.0).write_all(b"bye").unwrap();
            let error = (&*self.0).read(&mut [0; 8]).unwrap_err();
            self.1.add(format!("{}", is::<RefusedError>(&error)));
        }
    }
    test::run(|| {
        let (near, mut far) = pair();
        let log = test::Log::new();
        let farewell = Farewell(Rc::new(near), log.clone());
        let coroutine = spawn(move || {
            let _farewell = farewell;
            sleep(SECOND);
        });
        yield_now();
        coroutine.cancel();
        coroutine.join().unwrap_err();
        assert_eq!(log.take(), ["true"]);
        let mut bye = [0; 3];
        far.read_exact(&mut bye).unwrap();
    });
}

#[test]
fn outside_a_coroutine_what_would_wait_is_refused() {
    let (mut near, mut far) = pair();
    near.write_all(b"fits").unwrap();
    assert_eq!(far.read(&mut [0; 8]).unwrap(), 4);
    let error = far.read(&mut [0; 8]).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && is::<NotInRuntime>(&error));
}

#[test]
fn short_reads_and_writes_lose_nothing() {
    test::run(|| {
        let faults = Faults::new().short_reads(3).short_writes(5);
        let (mut near, mut far) = Builder::new().to_far(faults).pair();
        let mut sizes = Vec::new();
        let mut left = &pattern(300)[..];
        while !left.is_empty() {
            let count = near.write(left).unwrap();
            sizes.push(count);
            left = &left[count..];
        }
        assert!(sizes.iter().all(|size| (1..=5).contains(size)) && sizes.contains(&5) && sizes.contains(&1));
        drop(near);
        let mut all = Vec::new();
        loop {
            let mut buf = [0; 64];
            let count = far.read(&mut buf).unwrap();
            assert!(count <= 3);
            all.extend_from_slice(&buf[..count]);
            if count == 0 {
                break;
            }
        }
        assert_eq!(all, pattern(300));
    });
}

#[test]
fn delays_pass_in_virtual_time_and_nothing_overtakes() {
    test::run(|| {
        let faults = Faults::new().delays(SECOND..3 * SECOND);
        let (mut near, mut far) = Builder::new().to_far(faults).pair();
        let began = now();
        for byte in 0..50 {
            near.write_all(&[byte]).unwrap();
        }
        let mut arrivals = Vec::new();
        for byte in 0..50 {
            let mut buf = [0];
            far.read_exact(&mut buf).unwrap();
            assert_eq!(buf, [byte]);
            arrivals.push(now() - began);
        }
        assert!(arrivals.is_sorted());
        assert!(arrivals[0] >= SECOND && arrivals[49] < 3 * SECOND);
        // The other direction has no delay; and a limit that is shorter than one holds.
        (&far).write_all(b"!").unwrap();
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 1);
        near.write_all(b"slow").unwrap();
        let limit = WaitLimit::After(10 * MILLISECOND);
        assert_eq!(far.read_within(&mut [0; 8], limit).unwrap_err().kind(), ErrorKind::TimedOut);
        far.read_exact(&mut [0; 4]).unwrap();
    });
}

/// RFC 9293 §3.5.3: what came before the reset can be read.
#[test]
fn a_reset_ends_both_directions_behind_what_was_on_the_way() {
    test::run(|| {
        let (mut near, mut far) = Builder::new().to_far(Faults::new().reset_at(6)).pair();
        far.write_all(b"other way").unwrap();
        assert_eq!(near.write(b"01234567").unwrap(), 6);
        assert_eq!(near.write(b"67").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(far.write(b"67").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(read_to_error(&far), (b"012345".to_vec(), ErrorKind::ConnectionReset));
        assert_eq!(read_to_error(&near), (b"other way".to_vec(), ErrorKind::ConnectionReset));
        let (near, far) = Builder::new().to_near(Faults::new().reset_at(0)).pair();
        assert_eq!(read_to_error(&near), (vec![], ErrorKind::ConnectionReset));
        assert_eq!((&far).write(b"x").unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_wakes_who_waits() {
    test::run(|| {
        let (near, mut far) = Builder::new().to_near(Faults::new().reset_at(1)).pair();
        let reader = spawn(move || read_to_error(&near));
        yield_now();
        far.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap(), (b"x".to_vec(), ErrorKind::ConnectionReset));
    });
}

#[test]
fn behind_a_cut_nothing_arrives_and_the_writer_fills_up() {
    test::run(|| {
        let (near, far) = Builder::new().capacity(10).to_far(Faults::new().stop_at(3)).pair();
        near.set_write_timeout(Some(SECOND)).unwrap();
        let error = (&near).write_all(&pattern(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(near);
        far.set_read_timeout(Some(SECOND)).unwrap();
        assert_eq!(read_to_error(&far), (pattern(3), ErrorKind::TimedOut));
    });
}

#[test]
fn a_stream_can_end_in_the_middle() {
    test::run(|| {
        let (mut near, far) = Builder::new().to_far(Faults::new().end_at(3)).pair();
        assert_eq!(near.write_all(b"12345").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_all(&far).unwrap(), b"123");
        (&far).write_all(b"the other direction goes on").unwrap();
    });
}

#[test]
fn garbage_is_where_it_was_asked_for() {
    test::run(|| {
        let (mut near, far) = Builder::new().to_far(Faults::new().garbage(4..9)).pair();
        near.write_all(&[7; 6]).unwrap();
        near.write_all(&[7; 6]).unwrap();
        drop(near);
        let received = read_all(far).unwrap();
        let spoiled: Vec<usize> = (0..12).filter(|&at| received[at] != 7).collect();
        assert_eq!(spoiled, [4, 5, 6, 7, 8]);
    });
}

/// Every byte that arrives under all faults at once, and when.
fn history(seed: u64) -> Vec<(Duration, Vec<u8>)> {
    test::run(move || {
        let faults = Faults::new().seed(seed).short_reads(9).short_writes(9).garbage(10..90);
        let (mut near, mut far) = Builder::new().to_far(faults.delays(MILLISECOND..SECOND)).pair();
        let writer = spawn(move || near.write_all(&pattern(100)).unwrap());
        let began = now();
        let mut history = Vec::new();
        let mut buf = [0; 64];
        while let Ok(count @ 1..) = far.read(&mut buf) {
            history.push((now() - began, buf[..count].to_vec()));
        }
        writer.join().unwrap();
        history
    })
}

#[test]
fn the_same_seed_has_the_same_faults() {
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

/// Cancellations and limits wherever chance puts them, on both sides: what is read is what was written.
#[test]
fn no_byte_is_lost_or_doubled_whatever_the_order() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(50, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        Test::new().seed(seed).run(move || {
            let faults = Faults::new().seed(seed).short_reads(11).short_writes(13).delays(Duration::ZERO..MILLISECOND);
            let (near, far) = Builder::new().capacity(8).to_far(faults).pair();
            let limit = || Duration::from_micros(1 + random_u64() % 1500);
            let writer = spawn(move || {
                let bytes = pattern(400);
                let mut sent = 0;
                while sent < bytes.len() {
                    let rest = &bytes[sent..];
                    sent += if random_u64().is_multiple_of(2) {
                        near.write_within(rest, WaitLimit::After(limit())).unwrap_or(0)
                    } else {
                        with_timeout(limit(), || (&near).write(rest).unwrap()).unwrap_or(0)
                    };
                }
            });
            let far = Rc::new(far);
            let mut received = Vec::new();
            loop {
                // A coroutine of its own, cancelled from outside, or a limit on the piece of work.
                let read = {
                    let far = far.clone();
                    move || {
                        let mut buf = [0; 32];
                        (&*far).read(&mut buf).map(|count| buf[..count].to_vec())
                    }
                };
                let outcome = if random_u64().is_multiple_of(2) {
                    let reader = spawn(read);
                    sleep(limit());
                    reader.cancel();
                    reader.join().ok()
                } else {
                    with_timeout(limit(), read).ok()
                };
                match outcome {
                    Some(Ok(bytes)) if bytes.is_empty() => break,
                    Some(bytes) => received.extend(bytes.unwrap()),
                    None => {}
                }
            }
            writer.join().unwrap();
            assert_eq!(received, pattern(400));
        });
    }
}
