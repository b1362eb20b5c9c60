//! What a stream does with bytes, and what it answers as std's does.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{ClosedError, sleep, spawn, stats, test, with_timeout};
use grapeshot_net::{Ipv6Addr, NotNumeric, TcpListener, TcpStream};

use self::support::*;

#[test]
fn what_is_written_at_once_waits_for_nobody() {
    test::run(|| {
        let (near, mut far) = pair();
        let bytes = pattern(MIB);
        // Nobody else had a turn in all this.
        let others = Rc::new(Cell::new(0));
        let counted = others.clone();
        spawn(move || counted.set(1));
        let mut sent = 0;
        let error = loop {
            match near.try_write(&bytes) {
                Ok(written) => sent += written,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), others.get()), (ErrorKind::WouldBlock, 0));
        assert!(sent > 0);
        // Nor does it unwind where a wait would.
        let cut = with_timeout(Duration::ZERO, || {
            let error = near.try_write(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            sleep(SECOND);
        });
        assert!(cut.is_err());
        let mut read = vec![0; sent];
        far.read_exact(&mut read).unwrap();
        // There is room again, as whoever waits for it finds as well.
        (&near).write_all(b"more").unwrap();
        assert_eq!(near.try_write(b"and more").unwrap(), 8);
        let mut rest = [0; 12];
        far.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"moreand more");
        near.close();
        let error = near.try_write(b"late").unwrap_err();
        assert!(error.get_ref().is_some_and(|cause| cause.is::<ClosedError>()), "{error:?}");
    });
}

/// SOK-1: everything is sent, however little the peer takes at a time.
#[test]
fn write_all_sends_everything_to_a_reader_that_is_slow() {
    test::run(|| {
        let (mut near, far) = pair();
        let reader = spawn(move || {
            let (mut all, mut buf) = (Vec::new(), vec![0; 65536]);
            loop {
                match (&far).read(&mut buf).unwrap() {
                    0 => return all,
                    read => all.extend_from_slice(&buf[..read]),
                }
                if all.len() % 7 == 0 {
                    sleep(SECOND);
                }
            }
        });
        near.write_all(&pattern(4 * MIB)).unwrap();
        drop(near);
        assert!(reader.join().unwrap() == pattern(4 * MIB));
    });
}

/// SOK-2.
#[test]
fn read_gives_at_most_what_was_asked_for_and_nothing_at_the_end() {
    test::run(|| {
        let (mut near, mut far) = pair();
        far.write_all(b"grapeshot").unwrap();
        drop(far);
        let mut buf = [0; 5];
        assert_eq!(near.read(&mut buf).unwrap(), 5);
        assert_eq!(&buf, b"grape");
        assert_eq!(near.read(&mut buf).unwrap(), 4);
        assert_eq!(near.read(&mut buf).unwrap(), 0);
        assert_eq!(near.read(&mut buf).unwrap(), 0);
    });
}

/// SOK-3.
#[test]
fn read_exact_waits_for_all_and_calls_an_early_end_by_its_name() {
    test::run(|| {
        let (mut near, mut far) = pair();
        let writer = spawn(move || {
            for part in [&b"gr"[..], b"ape", b"shot", b"!"] {
                sleep(SECOND);
                far.write_all(part).unwrap();
            }
        });
        let mut buf = [0; 8];
        near.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"grapesho");
        assert_eq!(near.read_exact(&mut buf).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        writer.join().unwrap();
    });
}

/// SOK-7.
#[test]
fn names_are_refused_and_the_error_says_what_would_do() {
    test::run(|| {
        for error in [
            TcpStream::connect("localhost:80").unwrap_err(),
            TcpStream::connect(("localhost", 80)).unwrap_err(),
            TcpStream::connect("123").unwrap_err(),
            TcpListener::bind("localhost:0").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(is::<NotNumeric>(&error));
            let text = error.to_string();
            assert!(text.contains("localhost") || text.contains("\"123\""), "{text}");
            assert!(text.contains("not a numeric address"), "{text}");
        }
        let none: &[grapeshot_net::SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn connect_takes_the_first_address_that_answers() {
    test::run(|| {
        let (listener, address) = listen();
        let (_bound, closed) = closed_port();
        let stream = TcpStream::connect(&[closed, address][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(listener);
    });
}

/// REQUIREMENTS 1.8: the ancestor's connect "succeeded", and its first read failed.
#[test]
fn a_closed_port_refuses_at_connect() {
    test::run(|| {
        let (_bound, closed) = closed_port();
        let error = TcpStream::connect(closed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.raw_os_error().is_some());
        let error = TcpStream::connect_timeout(&closed, SECOND).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bytes_go_both_ways_over_ipv6() {
    test::run(|| {
        // A machine may have no IPv6.
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, from) = listener.accept().unwrap();
        assert_eq!(from, near.local_addr().unwrap());
        assert!(from.is_ipv6());
        echo(far);
        assert_eq!(exchange(&near, b"over six").unwrap(), b"over six");
    });
}

/// SOK-12.
#[test]
fn both_ends_agree_on_their_addresses() {
    test::run(|| {
        let (listener, address) = listen();
        let near = TcpStream::connect(address).unwrap();
        let (far, from) = listener.accept().unwrap();
        assert_eq!(near.peer_addr().unwrap(), address);
        assert_eq!(far.local_addr().unwrap(), address);
        assert_eq!(far.peer_addr().unwrap(), near.local_addr().unwrap());
        assert_eq!(from, near.local_addr().unwrap());
        let shown = format!("{near:?}");
        assert!(shown.contains(&address.to_string()) && shown.contains(&from.to_string()), "{shown}");
    });
}

/// SOK-12.
#[test]
fn settings_are_those_of_the_socket() {
    test::run(|| {
        let (near, _far) = pair();
        assert!(!near.nodelay().unwrap());
        near.set_nodelay(true).unwrap();
        assert!(near.nodelay().unwrap());
        near.set_ttl(41).unwrap();
        assert_eq!(near.ttl().unwrap(), 41);
        assert!(near.take_error().unwrap().is_none());
        assert_eq!(near.as_fd().try_clone_to_owned().map(std::net::TcpStream::from).unwrap().ttl().unwrap(), 41);
    });
}

/// SOK-12, shutdown.
#[test]
fn a_half_closed_stream_still_reads() {
    test::run(|| {
        let (near, mut far) = pair();
        let server = spawn(move || {
            let mut request = String::new();
            far.read_to_string(&mut request).unwrap();
            sleep(SECOND);
            far.write_all(request.to_uppercase().as_bytes()).unwrap();
        });
        (&near).write_all(b"question").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&near).write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut answer = String::new();
        (&near).read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "QUESTION");
        server.join().unwrap();
    });
}

/// SOK-12, shutdown.
#[test]
fn shutting_down_reading_ends_a_blocked_read() {
    for how in [Shutdown::Read, Shutdown::Both] {
        test::run(move || {
            let (near, _far) = pair();
            let near = Rc::new(near);
            let reader = spawn({
                let near = near.clone();
                move || (&*near).read(&mut [0; 8]).unwrap()
            });
            sleep(SECOND);
            near.shutdown(how).unwrap();
            assert_eq!(reader.join().unwrap(), 0);
        });
    }
}

/// SOK-11.
#[test]
fn closing_is_idempotent_tells_the_peer_and_ends_all_use() {
    test::run(|| {
        let (near, mut far) = pair();
        assert!(near.close());
        assert!(!near.close());
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
        for error in [
            (&near).read(&mut [0; 8]).unwrap_err(),
            (&near).write(b"x").unwrap_err(),
            near.peek(&mut [0; 8]).unwrap_err(),
            (&near).read_vectored(&mut [IoSliceMut::new(&mut [0; 8])]).unwrap_err(),
            (&near).write_vectored(&[IoSlice::new(b"x")]).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotConnected);
            assert!(is::<ClosedError>(&error), "{error}");
        }
    });
}

/// SOK-11: the peer being gone already is no error.
#[test]
fn closing_after_the_peer_reset_succeeds() {
    test::run(|| {
        let (near, far) = pair();
        socket2::SockRef::from(&far).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(far);
        sleep(SECOND);
        assert!(near.close());
        assert!(!near.close());
    });
}

#[test]
fn peeking_takes_nothing() {
    test::run(|| {
        let (mut near, mut far) = pair();
        let writer = spawn(move || {
            sleep(SECOND);
            far.write_all(b"twice").unwrap();
            far
        });
        let mut buf = [0; 8];
        assert_eq!(near.peek(&mut buf).unwrap(), 5);
        assert_eq!(near.peek(&mut buf).unwrap(), 5);
        assert_eq!(near.read(&mut buf).unwrap(), 5);
        assert_eq!(&buf[..5], b"twice");
        writer.join().unwrap();
    });
}

#[test]
fn many_buffers_are_written_and_read_in_one_call() {
    test::run(|| {
        let (mut near, mut far) = pair();
        let parts = [IoSlice::new(b"grape"), IoSlice::new(b""), IoSlice::new(b"shot")];
        assert_eq!(near.write_vectored(&parts).unwrap(), 9);
        let (mut first, mut second) = ([0; 3], [0; 8]);
        assert_eq!(far.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap(), 9);
        assert_eq!((&first, &second[..6]), (b"gra", &b"peshot"[..]));
        drop(near);
        assert_eq!(far.read_vectored(&mut [IoSliceMut::new(&mut first)]).unwrap(), 0);
    });
}

/// DESIGN §6: what takes `Read` and `Write` runs on it.
#[test]
fn a_buffered_reader_and_a_writer_share_one_stream() {
    test::run(|| {
        let (near, far) = pair();
        let server = spawn(move || {
            for line in BufReader::new(&far).lines() {
                writeln!(&far, "<{}>", line.unwrap()).unwrap();
            }
        });
        let mut answers = BufReader::new(&near);
        for word in ["round", "chain", "grape"] {
            writeln!(&near, "{word}").unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            assert_eq!(answer, format!("<{word}>\n"));
        }
        drop(near);
        server.join().unwrap();
    });
}

/// REQUIREMENTS 1.9: one reader and one writer at once.
#[test]
fn megabytes_go_both_ways_at_once() {
    test::run(|| {
        let (near, far) = pair();
        let ends = [Rc::new(near), Rc::new(far)];
        let writers = ends.clone().map(|end| {
            spawn(move || {
                (&*end).write_all(&pattern(8 * MIB)).unwrap();
                end.shutdown(Shutdown::Write).unwrap();
            })
        });
        let readers = ends.map(|end| {
            spawn(move || {
                let mut all = Vec::new();
                (&*end).read_to_end(&mut all).unwrap();
                all
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        for reader in readers {
            assert!(reader.join().unwrap() == pattern(8 * MIB));
        }
    });
}

#[test]
fn an_echo_of_megabytes_comes_back_whole() {
    test::run(|| {
        let near = Rc::new(TcpStream::connect(echo_server()).unwrap());
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&pattern(4 * MIB)).unwrap()
        });
        let mut all = vec![0; 4 * MIB];
        (&*near).read_exact(&mut all).unwrap();
        writer.join().unwrap();
        assert!(all == pattern(4 * MIB));
    });
}

/// SOK-12, dup.
#[test]
fn a_clone_is_a_handle_of_its_own_to_the_same_connection() {
    test::run(|| {
        let (near, mut far) = pair();
        near.set_read_timeout(Some(SECOND)).unwrap();
        let clone = near.try_clone().unwrap();
        assert_eq!(clone.read_timeout().unwrap(), Some(SECOND));
        clone.set_read_timeout(None).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(SECOND));
        let reader = spawn(move || {
            let mut clone = clone;
            let mut buf = [0; 8];
            let read = clone.read(&mut buf).unwrap();
            buf[..read].to_vec()
        });
        sleep(10 * SECOND);
        // The first handle can go: the connection stays, and so does the clone's wait.
        drop(near);
        sleep(SECOND);
        far.write_all(b"still").unwrap();
        assert_eq!(reader.join().unwrap(), b"still");
    });
}

#[test]
fn a_connection_goes_to_std_and_back() {
    test::run(|| {
        let (near, mut far) = pair();
        let reader = spawn({
            let far = far.try_clone().unwrap();
            move || (&far).read(&mut [0; 8])
        });
        sleep(SECOND);
        assert_eq!(stats().registrations, 1);
        let near = near.into_std();
        (&near).write_all(b"std").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 3);
        let near = TcpStream::from_std(near).unwrap();
        far.write_all(b"back").unwrap();
        let mut buf = [0; 4];
        (&near).read_exact(&mut buf).unwrap();
        let descriptor = OwnedFd::from(near);
        assert_eq!(stats().registrations, 0);
        drop(std::net::TcpStream::from(descriptor));
        assert_eq!(far.read(&mut buf).unwrap(), 0);
    });
}

/// A blocking socket of std's is taken over as it is, and waits like any other.
#[test]
fn a_connection_made_by_std_waits_without_blocking_the_thread() {
    test::run(|| {
        let (listener, address) = listen();
        let near = TcpStream::from_std(std::net::TcpStream::connect(address).unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let writer = spawn(move || far.write_all(b"x"));
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 1);
        writer.join().unwrap().unwrap();
    });
}

/// The marks that the documents promise, looked at by the compiler.
#[test]
fn sockets_can_be_sent_and_shared() {
    fn sendable<T: Send + Sync>() {}
    sendable::<TcpStream>();
    sendable::<TcpListener>();
}

#[test]
fn copying_ends_with_the_stream() {
    test::run(|| {
        let (near, far) = pair();
        let echoed = echo(far);
        assert_eq!(exchange(&near, b"0123456789").unwrap(), b"0123456789");
        drop(near);
        assert_eq!(echoed.join().unwrap().unwrap(), 10);
        assert_eq!(io::copy(&mut io::empty(), &mut io::sink()).unwrap(), 0);
    });
}
