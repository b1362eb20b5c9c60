//! Bytes through a TLS stream: both ways at once, however they are cut, and to their proper end.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use common::{client, pair, server};
use grapeshot_core::{SimultaneousError, sleep, spawn, test, yield_now};
use grapeshot_net::memory::{self, Faults};
use grapeshot_net::{TcpListener, TcpStream, WaitLimit};
use grapeshot_tls::{TlsError, TlsStream};

/// Bytes that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + place / 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways() {
    test::run(|| {
        let (mut near, mut far) = pair(memory::pair());
        let other = spawn(move || {
            let mut greeting = [0; 5];
            far.read_exact(&mut greeting).unwrap();
            far.write_all(&greeting).unwrap();
            far.close().unwrap();
        });
        near.write_all(b"hello").unwrap();
        let mut back = String::new();
        near.read_to_string(&mut back).unwrap();
        assert_eq!(back, "hello");
        other.join().unwrap();
    });
}

#[test]
fn a_peer_that_reads_and_writes_byte_by_byte_gets_everything() {
    test::run(|| {
        let tiny = || Faults::new().short_reads(1).short_writes(1);
        let streams = memory::Builder::new().to_far(tiny()).to_near(tiny()).pair();
        let (mut near, mut far) = pair(streams);
        let sent = pattern(40_000);
        let expected = sent.clone();
        let other = spawn(move || {
            far.write_all(&sent).unwrap();
            far.close().unwrap();
        });
        let mut received = Vec::new();
        near.read_to_end(&mut received).unwrap();
        assert!(received == expected);
        other.join().unwrap();
    });
}

#[test]
fn one_coroutine_reads_while_another_writes() {
    test::run(|| {
        let (near, far) = pair(memory::Builder::new().capacity(1000).pair());
        let ends: Vec<_> = [near, far]
            .into_iter()
            .map(|end| {
                spawn(move || {
                    let end = Rc::new(end);
                    let writing = end.clone();
                    let writer = spawn(move || {
                        (&*writing).write_all(&pattern(300_000)).unwrap();
                        writing.close_write().unwrap();
                    });
                    let mut received = Vec::new();
                    (&*end).read_to_end(&mut received).unwrap();
                    writer.join().unwrap();
                    received == pattern(300_000)
                })
            })
            .collect();
        for end in ends {
            assert!(end.join().unwrap());
        }
    });
}

#[test]
fn bytes_go_over_tcp() {
    test::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = client(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut far = server(listener.accept().unwrap().0);
        let writer = spawn(move || {
            let mut near = near;
            near.write_all(&pattern(5_000_000)).unwrap();
            near.close_write().unwrap();
            // The server's tickets: a socket that is closed before they are read resets the connection, and the end of
            // what it has yet to send is lost.
            assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received).unwrap();
        assert!(received == pattern(5_000_000));
        far.close().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn rfc8446_section6_1_an_end_without_close_notify_is_an_error() {
    test::run(|| {
        let (near, far) = memory::pair();
        let (near, far) = (client(near), server(far));
        let other = spawn(move || {
            (&far).write_all(b"a part").unwrap();
            // The stream below ends, and TLS has not said so.
            far.inner().shutdown(std::net::Shutdown::Write).unwrap();
            far
        });
        let mut received = Vec::new();
        let error = (&near).read_to_end(&mut received).unwrap_err();
        assert_eq!(received, b"a part");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(TlsError::of(&error), Some(TlsError::Truncated { after_handshake: true, .. })), "{error}");
        // It stays so.
        let again = (&near).read(&mut [0; 1]).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::UnexpectedEof);
        drop(other.join().unwrap());
    });
}

#[test]
fn rfc8446_section6_1_after_close_write_the_other_direction_goes_on() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let other = spawn(move || {
            let mut question = String::new();
            (&far).read_to_string(&mut question).unwrap();
            (&far).write_all(question.to_uppercase().as_bytes()).unwrap();
            far.close().unwrap();
        });
        (&near).write_all(b"question").unwrap();
        near.close_write().unwrap();
        assert!((&near).write(b"more").is_err());
        let mut answer = String::new();
        (&near).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "QUESTION");
        other.join().unwrap();
    });
}

#[test]
fn dropping_a_stream_says_that_it_ends() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let other = spawn(move || (&far).write_all(b"all").unwrap());
        let mut received = Vec::new();
        (&near).read_to_end(&mut received).unwrap();
        assert_eq!(received, b"all");
        other.join().unwrap();
    });
}

#[test]
fn a_stream_dropped_by_a_panic_does_not_look_whole() {
    test::Test::new().allow_crashes().run(|| {
        let (near, far) = pair(memory::pair());
        let other = spawn(move || {
            (&far).write_all(b"a part").unwrap();
            std::panic::resume_unwind(Box::new("in the middle of a message"));
        });
        let mut received = Vec::new();
        let error = (&near).read_to_end(&mut received).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(other.join().is_err());
    });
}

#[test]
fn closing_waits_for_a_second_at_most() {
    test::run(|| {
        let (near, far) = pair(memory::Builder::new().capacity(1000).pair());
        let reader = spawn(move || {
            far.handshake().unwrap();
            far
        });
        near.handshake().unwrap();
        let far = reader.join().unwrap();
        // Far does not read, so the rest of this and the close_notify behind it cannot leave.
        assert_eq!(near.write_within(&[7; 5000], WaitLimit::After(Duration::from_secs(5))).unwrap(), 5000);
        let began = grapeshot_core::now();
        let error = near.close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(grapeshot_core::now() - began, near.limits().close);
        drop(far);
    });
}

#[test]
fn a_write_that_runs_into_its_limit_has_taken_all_or_nothing() {
    test::run(|| {
        let (near, far) = pair(memory::Builder::new().capacity(1000).pair());
        let reader = spawn(move || {
            far.handshake().unwrap();
            sleep(Duration::from_secs(60));
            let mut received = vec![0; 9003];
            (&far).read_exact(&mut received).unwrap();
            received
        });
        near.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        assert_eq!((&near).write(&pattern(9000)).unwrap(), 9000);
        // What was taken has not left, so there is no room for more.
        assert_eq!((&near).write(b"no").unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!((&near).flush().unwrap_err().kind(), ErrorKind::TimedOut);
        near.set_write_timeout(None).unwrap();
        (&near).write_all(b"yes").unwrap();
        assert_eq!(reader.join().unwrap(), [&pattern(9000)[..], b"yes"].concat());
    });
}

#[test]
fn a_read_that_runs_into_its_limit_can_be_tried_again() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let writer = spawn(move || {
            far.handshake().unwrap();
            sleep(Duration::from_secs(60));
            (&far).write_all(b"late").unwrap();
        });
        near.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
        near.handshake().unwrap();
        let mut received = [0; 4];
        assert_eq!((&near).read(&mut received).unwrap_err().kind(), ErrorKind::TimedOut);
        (&near).read_exact(&mut received).unwrap();
        assert_eq!(&received, b"late");
        writer.join().unwrap();
    });
}

#[test]
fn a_byte_now_and_then_does_not_prolong_a_handshake() {
    test::run(|| {
        let (near, mut relay_near) = memory::pair();
        let (mut relay_far, far) = memory::pair();
        let (near, far) = (client(near), server(far));
        let relay = spawn(move || {
            let mut hello = vec![0; 4096];
            let read = relay_near.read(&mut hello).unwrap();
            relay_far.write_all(&hello[..read]).unwrap();
            // The server's answer, a byte a second.
            let mut byte = [0];
            while relay_far.read(&mut byte).unwrap() > 0 {
                sleep(Duration::from_secs(1));
                if relay_near.write_all(&byte).is_err() {
                    return;
                }
            }
        });
        let peer = spawn(move || far.handshake().unwrap_err().kind());
        let began = grapeshot_core::now();
        let error = near.handshake().unwrap_err();
        assert!(matches!(TlsError::of(&error), Some(TlsError::HandshakeTimedOut { .. })), "{error}");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(grapeshot_core::now() - began, Duration::from_secs(10));
        drop(near);
        relay.join().unwrap();
        assert_eq!(peer.join().unwrap(), ErrorKind::TimedOut);
    });
}

#[test]
fn two_readers_or_two_writers_are_one_too_many() {
    test::run(|| {
        let (near, far) = pair(memory::Builder::new().capacity(1000).pair());
        let peer = spawn(move || {
            far.handshake().unwrap();
            sleep(Duration::from_secs(1));
            (&far).read_exact(&mut [0; 5000]).unwrap();
            (&far).write_all(b"x").unwrap();
        });
        near.handshake().unwrap();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read_exact(&mut [0; 1]).unwrap()
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&[7; 5000]).unwrap()
        });
        yield_now();
        for error in [(&*near).read(&mut [0; 1]).unwrap_err(), (&*near).write(b"x").unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            assert!(error.get_ref().unwrap().is::<SimultaneousError>(), "{error}");
        }
        writer.join().unwrap();
        reader.join().unwrap();
        peer.join().unwrap();
    });
}

#[test]
fn trying_to_read_never_waits() {
    test::run(|| {
        let (near, far) = pair(memory::pair());
        let mut buf = [0; 3];
        assert_eq!(near.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        let peer = spawn(move || {
            far.handshake().unwrap();
            sleep(Duration::from_secs(1));
            (&far).write_all(b"abcdef").unwrap();
            far
        });
        near.handshake().unwrap();
        assert_eq!(near.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!near.has_buffered());
        sleep(Duration::from_secs(2));
        assert_eq!(near.try_read(&mut buf).unwrap(), 3);
        assert_eq!(near.buffered().decrypted, 3);
        assert_eq!(near.try_read(&mut buf).unwrap(), 3);
        assert!(!near.has_buffered());
        drop(peer.join().unwrap());
        assert_eq!(near.try_read(&mut buf).unwrap(), 0);
    });
}

/// Beside rustls's own state and whatever bytes are under way: buffers belong to the thread, not to the connection.
#[test]
fn a_connection_costs_little_beside_rustls() {
    assert!(size_of::<TlsStream<TcpStream>>() <= 512, "{}", size_of::<TlsStream<TcpStream>>());
}
