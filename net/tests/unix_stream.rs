//! Unix stream sockets: addresses, bytes, waits, and who the peer is.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::process;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{ClosedError, Exit, OperationTimedOut, Runtime, SimultaneousError};
use grapeshot_core::{now, random_u64, sleep, spawn, stats, with_timeout};
use grapeshot_net::{PathTooLong, UnixDatagram, UnixListener, UnixStream, unix};

use self::support::*;

/// A place for a socket that no other test uses; the file is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(env::temp_dir().join(format!("grapeshot-{}-{name}", process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn abstract_name(name: &str) -> unix::SocketAddr {
    unix::SocketAddr::from_abstract_name(format!("grapeshot-{}-{name}", process::id())).unwrap()
}

/// SOK-13: an address is a path.
#[test]
fn a_listener_at_a_path_takes_connections() {
    test::run(|| {
        let place = Place::new("path");
        let listener = UnixListener::bind(&place.0).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(place.0.as_path()));
        let server = spawn(move || {
            let (mut stream, from) = listener.accept().unwrap();
            assert!(from.is_unnamed());
            let mut request = [0; 8];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&request).unwrap();
        });
        let mut near = UnixStream::connect(&place.0).unwrap();
        assert_eq!(near.peer_addr().unwrap().as_pathname(), Some(place.0.as_path()));
        near.write_all(b"grapesho").unwrap();
        assert_eq!(near.recv_exact(8).unwrap(), b"grapesho");
        server.join().unwrap();
        let shown = format!("{near:?}");
        assert!(shown.contains("UnixStream") && shown.contains("-path"), "{shown}");
    });
}

#[test]
fn an_abstract_name_leaves_no_file() {
    test::run(|| {
        let address = abstract_name("stream");
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(UnixListener::bind_addr(&address).unwrap_err().kind(), ErrorKind::AddrInUse);
        let near = UnixStream::connect_addr(&address).unwrap();
        let (far, _) = listener.accept().unwrap();
        assert_eq!(far.local_addr().unwrap().as_abstract_name(), address.as_abstract_name());
        drop(near);
        assert_eq!((&far).read(&mut [0; 8]).unwrap(), 0);
        drop(listener);
        assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

/// SOK-13: a path must fit `sun_path`, else the error says so.
#[test]
fn a_path_that_is_too_long_is_refused_by_name() {
    test::run(|| {
        let path = format!("/{}", "x".repeat(107));
        let datagram = UnixDatagram::unbound().unwrap();
        for error in [
            UnixStream::connect(&path).unwrap_err(),
            UnixListener::bind(&path).unwrap_err(),
            UnixDatagram::bind(&path).unwrap_err(),
            datagram.connect(&path).unwrap_err(),
            datagram.send_to(b"x", &path).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(is::<PathTooLong>(&error));
            let text = format!("the path {path} has 108 bytes; the address of a Unix socket holds at most 107");
            assert_eq!(error.to_string(), text);
        }
        // One byte less fits, and is looked for.
        assert_eq!(UnixStream::connect(&path[..107]).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_path_that_is_none_is_refused() {
    test::run(|| {
        for path in ["", "\0abstract", "a\0b"] {
            assert_eq!(UnixStream::connect(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
            assert_eq!(UnixListener::bind(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
        }
        let (near, _far) = UnixStream::pair().unwrap();
        let unnamed = near.local_addr().unwrap();
        assert_eq!(UnixStream::connect_addr(&unnamed).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn connecting_where_nobody_listens_is_refused() {
    test::run(|| {
        let place = Place::new("gone");
        assert_eq!(UnixStream::connect(&place.0).unwrap_err().kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(&place.0).unwrap());
        assert_eq!(UnixStream::connect(&place.0).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(UnixListener::bind(&place.0).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

/// A listener that has room for two connections, and has them.
fn full_listener(name: &str) -> (UnixListener, unix::SocketAddr, Vec<UnixStream>) {
    let address = abstract_name(name);
    let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let listener = UnixListener::from_std(listener).unwrap();
    let waiting = (0..2).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
    (listener, address, waiting)
}

/// The kernel answers would-block to such a connect, and never says when there is room.
#[test]
fn connecting_to_a_full_listener_waits_for_room() {
    test::run(|| {
        let (listener, address, waiting) = full_listener("full");
        let client = spawn(move || UnixStream::connect_addr(&address).unwrap());
        sleep(10 * SECOND);
        assert!(!client.is_finished());
        listener.accept().unwrap();
        client.join().unwrap();
        drop(waiting);
    });
}

#[test]
fn connecting_to_a_full_listener_is_cut_off_by_a_limit_on_the_work() {
    test::run(|| {
        let (_listener, address, _waiting) = full_listener("cut");
        let started = now();
        with_timeout(5 * SECOND, || UnixStream::connect_addr(&address)).unwrap_err();
        assert_eq!((now() - started, stats().timers), (5 * SECOND, 0));
    });
}

/// SOK-10, over Unix sockets.
#[test]
fn all_connections_that_wait_are_accepted_at_once() {
    test::run(|| {
        let address = abstract_name("many");
        let listener = UnixListener::bind_addr(&address).unwrap();
        let clients: Vec<_> = (0..5).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        assert_eq!(listener.accept_many(3).unwrap().len(), 3);
        assert_eq!(listener.accept_many(100).unwrap().len(), 2);
        listener.set_accept_timeout(Some(SECOND)).unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "accept timed out"));
        drop(clients);
    });
}

#[test]
fn closing_a_listener_ends_its_accept() {
    test::run(|| {
        let address = abstract_name("close");
        let listener = Rc::new(UnixListener::bind_addr(&address).unwrap());
        let accepting = spawn({
            let listener = listener.clone();
            move || listener.incoming().count()
        });
        sleep(SECOND);
        assert!(listener.close());
        assert!(!listener.close());
        assert_eq!(accepting.join().unwrap(), 0);
        assert!(is::<ClosedError>(&listener.accept().unwrap_err()));
    });
}

/// POL-1: one reader and one writer, and no second of either.
#[test]
fn one_reads_while_another_writes_and_a_second_is_refused() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || near.recv_exact(4)
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&pattern(4 * MIB))
        });
        sleep(SECOND);
        assert!(is::<SimultaneousError>(&(&*near).read(&mut [0; 8]).unwrap_err()));
        assert!(is::<SimultaneousError>(&(&*near).write(&[0; 8]).unwrap_err()));
        (&far).write_all(b"back").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b"back");
        assert!(far.recv_exact(4 * MIB).unwrap() == pattern(4 * MIB));
        writer.join().unwrap().unwrap();
    });
}

/// POL-4.
#[test]
fn closing_wakes_reader_and_writer() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&vec![0; 4 * MIB])
        });
        sleep(SECOND);
        assert!(near.close());
        assert!(is::<ClosedError>(&reader.join().unwrap().unwrap_err()));
        assert!(is::<ClosedError>(&writer.join().unwrap().unwrap_err()));
        assert_eq!(stats().registrations, 0);
        // And the peer is told.
        let mut rest = Vec::new();
        (&far).read_to_end(&mut rest).unwrap();
    });
}

#[test]
fn a_read_that_takes_too_long_times_out_and_the_stream_works_on() {
    test::run(|| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        let error = near.read(&mut [0; 8]).unwrap_err();
        assert!(is::<OperationTimedOut>(&error));
        assert_eq!(now() - started, 5 * SECOND);
        far.write_all(b"late").unwrap();
        assert_eq!(near.peek(&mut [0; 8]).unwrap(), 4);
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 4);
        assert_eq!(near.try_clone().unwrap().read_timeout().unwrap(), Some(5 * SECOND));
    });
}

/// A Unix stream that stops early may have more: it is asked until it would block.
#[test]
fn a_short_read_is_not_taken_for_the_last() {
    test::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"one").unwrap();
        drop(far);
        let mut buf = [0; 64];
        assert_eq!((&near).read(&mut buf).unwrap(), 3);
        assert_eq!((&near).read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn the_peers_user_and_process_are_known() {
    test::run(|| {
        let address = abstract_name("credentials");
        let listener = UnixListener::bind_addr(&address).unwrap();
        let near = UnixStream::connect_addr(&address).unwrap();
        let (far, _) = listener.accept().unwrap();
        for end in [&near, &far] {
            let peer = end.peer_cred().unwrap();
            assert_eq!(peer.pid, Some(process::id() as i32));
            assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
            assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        }
    });
}

/// DESIGN §2: a socket is `Send`, and registers under the runtime that uses it.
#[test]
fn a_stream_goes_to_a_runtime_on_another_thread() {
    let first = Runtime::new().signals(false).run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_read_timeout(Some(SECOND / 100)).unwrap();
        (&far).read(&mut [0; 8]).unwrap_err();
        far.set_read_timeout(None).unwrap();
        assert_eq!(stats().registrations, 1);
        (near, far)
    });
    let Exit::Returned((near, far)) = first.unwrap() else { panic!("the first runtime failed") };
    let (sender, received) = mpsc::channel();
    let other = thread::spawn(move || {
        test::run(move || {
            let reader = spawn(move || far.recv_exact(5).unwrap());
            sleep(SECOND);
            (&near).write_all(b"there").unwrap();
            sender.send(reader.join().unwrap()).unwrap();
        });
    });
    assert_eq!(received.recv().unwrap(), b"there");
    other.join().unwrap();
}

/// Under every schedule each byte arrives once and in order, however often its reader was cut off.
#[test]
fn no_byte_is_lost_to_cancelled_readers_under_many_schedules() {
    for seed in 0..50 {
        Test::new().seed(seed).run(|| {
            let (near, far) = UnixStream::pair().unwrap();
            let writer = spawn(move || {
                for number in 0..40_u8 {
                    (&near).write_all(&[number]).unwrap();
                    sleep(SECOND * (random_u64() % 3) as u32);
                }
            });
            let mut seen = Vec::new();
            while seen.len() < 40 {
                let mut buf = [0; 3];
                match with_timeout(SECOND * (random_u64() % 3) as u32, || (&far).read(&mut buf)) {
                    Ok(read) => seen.extend_from_slice(&buf[..read.unwrap()]),
                    Err(_) => sleep(SECOND * (random_u64() % 2) as u32),
                }
            }
            assert_eq!(seen, (0..40).collect::<Vec<u8>>());
            writer.join().unwrap();
        });
    }
}
