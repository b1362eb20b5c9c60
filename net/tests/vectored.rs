//! Whole amounts: exactly so many bytes in, all of the buffers out, and files sent by the system.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::process;

use grapeshot_core::{now, sleep, spawn, test};
use grapeshot_net::{PartialRead, TcpStream};

use self::support::*;

fn partial(error: io::Error) -> PartialRead {
    *error.into_inner().unwrap().downcast().unwrap()
}

/// Writes the parts, one a second, and ends the stream.
fn write_slowly(mut stream: TcpStream, parts: &'static [&'static [u8]]) {
    spawn(move || {
        for part in parts {
            sleep(SECOND);
            stream.write_all(part).unwrap();
        }
    });
}

/// SOK-3.
#[test]
fn recv_exact_gathers_what_comes_in_parts() {
    test::run(|| {
        let (near, far) = pair();
        write_slowly(far, &[b"gr", b"ape", b"shot", b"!"]);
        assert_eq!(near.recv_exact(0).unwrap(), b"");
        assert_eq!(near.recv_exact(8).unwrap(), b"grapesho");
        assert_eq!(near.recv_exact(2).unwrap(), b"t!");
    });
}

/// SOK-3: `EOFError(partial bytes)`.
#[test]
fn recv_exact_hands_over_what_came_before_the_end() {
    test::run(|| {
        let (near, far) = pair();
        write_slowly(far, &[b"grape"]);
        let error = near.recv_exact(9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "the stream ended after 5 of 9 bytes");
        let partial = partial(error);
        assert_eq!((partial.received(), partial.wanted()), (&b"grape"[..], 9));
        assert_eq!(partial.into_received(), b"grape");
    });
}

/// The same when a limit passes: nothing that was read is lost.
#[test]
fn recv_exact_hands_over_what_came_before_a_limit() {
    test::run(|| {
        let (near, mut far) = pair();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        far.write_all(b"grape").unwrap();
        let started = now();
        let error = near.recv_exact(9).unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert_eq!(error.to_string(), "after 5 of 9 bytes: read timed out");
        assert_eq!(partial(error).received(), b"grape");
    });
}

/// A length that a peer names sets no memory aside by itself.
#[test]
fn an_absurd_length_costs_nothing_until_bytes_come() {
    test::run(|| {
        let (near, far) = pair();
        write_slowly(far, &[b"x"]);
        let error = near.recv_exact(usize::MAX).unwrap_err();
        assert_eq!(partial(error).into_received(), b"x");
    });
}

/// SOK-4: fills all.
#[test]
fn readv_fills_a_buffer_of_each_size() {
    test::run(|| {
        let (near, far) = pair();
        write_slowly(far, &[b"gra", b"peshot", b"!!"]);
        assert_eq!(near.readv(&[5, 0, 4]).unwrap(), [&b"grape"[..], b"", b"shot"]);
        assert_eq!(near.readv(&[]).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(near.readv(&[2]).unwrap(), [b"!!"]);
    });
}

/// SOK-4: at EOF only complete buffers plus one shortened, and nothing if nothing came.
#[test]
fn readv_at_the_end_gives_what_was_filled_and_a_shortened_one() {
    let cases: [(&[u8], &[&[u8]]); 5] = [
        (b"grapesh", &[b"grape", b"sh"]),
        (b"grape", &[b"grape"]),
        (b"gr", &[b"gr"]),
        (b"grapeshot", &[b"grape", b"shot"]),
        (b"", &[]),
    ];
    for (sent, expected) in cases {
        let filled = test::run(move || {
            let (near, mut far) = pair();
            far.write_all(sent).unwrap();
            drop(far);
            near.readv(&[5, 4, 3]).unwrap()
        });
        assert_eq!(filled, expected);
    }
}

#[test]
fn readv_refuses_sizes_whose_sum_has_no_number() {
    test::run(|| {
        let (near, _far) = pair();
        assert_eq!(near.readv(&[usize::MAX, 1]).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// SOK-5: loops until all is sent, resuming in the middle of a buffer.
#[test]
fn writev_sends_every_byte_of_every_buffer_to_a_slow_reader() {
    test::run(|| {
        let (near, far) = pair();
        let reader = spawn(move || {
            let (mut all, mut buf) = (Vec::new(), vec![0; 100_000]);
            loop {
                match (&far).read(&mut buf).unwrap() {
                    0 => return all,
                    read => all.extend_from_slice(&buf[..read]),
                }
                sleep(SECOND);
            }
        });
        let all = pattern(6 * MIB);
        let (first, rest) = all.split_at(777);
        let (second, third) = rest.split_at(3 * MIB + 5);
        assert_eq!(near.writev(&[b"", first, second, b"", third, b""]).unwrap(), 6 * MIB);
        drop(near);
        assert!(reader.join().unwrap() == all);
    });
}

/// SOK-5: more buffers than one system call takes.
#[test]
fn writev_takes_thousands_of_buffers() {
    test::run(|| {
        let (near, far) = pair();
        let parts = vec![&b"ab"[..]; 5000];
        assert_eq!(near.writev(&parts).unwrap(), 10_000);
        assert_eq!(far.recv_exact(10_000).unwrap(), b"ab".repeat(5000));
    });
}

/// SOK-5: an empty list is nothing sent.
#[test]
fn writev_of_nothing_sends_nothing() {
    test::run(|| {
        let (near, far) = pair();
        assert_eq!(near.writev(&[]).unwrap(), 0);
        assert_eq!(near.writev(&[b"", b""]).unwrap(), 0);
        drop(near);
        assert_eq!(far.readv(&[1]).unwrap(), Vec::<Vec<u8>>::new());
    });
}

/// A file with a pattern in it, deleted but open.
fn file(name: &str, len: usize) -> File {
    let path = env::temp_dir().join(format!("grapeshot-net-{}-{name}", process::id()));
    fs::write(&path, pattern(len)).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

#[test]
fn a_file_is_sent_whole_to_a_slow_reader() {
    test::run(|| {
        let (near, far) = pair();
        let file = file("whole", 5 * MIB);
        let reader = spawn(move || {
            sleep(SECOND);
            let mut all = Vec::new();
            (&far).read_to_end(&mut all).unwrap();
            all
        });
        assert_eq!(near.send_file(&file, 0, 5 * MIB as u64).unwrap(), 5 * MIB as u64);
        drop(near);
        assert!(reader.join().unwrap() == pattern(5 * MIB));
    });
}

#[test]
fn a_stretch_of_a_file_is_sent_up_to_its_end_and_its_position_stays() {
    test::run(|| {
        let (near, far) = pair();
        let mut file = file("stretch", 1000);
        assert_eq!(near.send_file(&file, 100, 50).unwrap(), 50);
        assert_eq!(near.send_file(&file, 990, u64::MAX).unwrap(), 10);
        assert_eq!(near.send_file(&file, 1000, 5).unwrap(), 0);
        assert_eq!(near.send_file(&file, 0, 0).unwrap(), 0);
        let expected = [&pattern(1000)[100..150], &pattern(1000)[990..]].concat();
        assert_eq!(far.recv_exact(60).unwrap(), expected);
        let mut first = [0; 10];
        file.read_exact(&mut first).unwrap();
        assert_eq!(first, pattern(10)[..]);
    });
}

#[test]
fn sending_a_file_has_the_limit_of_writes() {
    test::run(|| {
        let (near, _far) = pair();
        near.set_write_timeout(Some(5 * SECOND)).unwrap();
        let file = file("limit", 32 * MIB);
        let started = now();
        let error = near.send_file(&file, 0, 32 * MIB as u64).unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, 5 * SECOND));
        assert_eq!(error.to_string(), "sendfile timed out");
    });
}
