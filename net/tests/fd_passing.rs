//! Descriptors that travel over Unix sockets.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use grapeshot_core::{OperationTimedOut, now, sleep, spawn, test};
use grapeshot_net::{TcpListener, TcpStream, UnixDatagram, UnixStream, unix};

use self::support::*;

#[test]
fn a_listener_is_handed_to_another_process() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let (listener, address) = listen();
        let receiver = spawn(move || {
            let mut buf = [0; 64];
            let (len, mut fds) = far.recv_with_fds(&mut buf, 1).unwrap();
            assert_eq!(&buf[..len], b"listener");
            let listener = TcpListener::from_std(fds.pop().unwrap().into()).unwrap();
            assert!(rustix::io::fcntl_getfd(&listener).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"from the new owner").unwrap();
        });
        sleep(SECOND);
        assert_eq!(near.send_with_fds(b"listener", &[listener.as_fd()]).unwrap(), 8);
        drop(listener);
        let mut answer = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "from the new owner");
        receiver.join().unwrap();
    });
}

#[test]
fn each_batch_of_descriptors_stays_with_its_bytes() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let (one, two) = UnixStream::pair().unwrap();
        near.send_with_fds(b"first", &[one.as_fd()]).unwrap();
        near.send_with_fds(b"second", &[one.as_fd(), two.as_fd()]).unwrap();
        (&near).write_all(b"third").unwrap();
        let mut buf = [0; 64];
        for (bytes, descriptors) in [(5, 1), (6, 2), (5, 0)] {
            let (len, fds) = far.recv_with_fds(&mut buf, 8).unwrap();
            assert_eq!((len, fds.len()), (bytes, descriptors));
        }
        drop(near);
        assert_eq!(far.recv_with_fds(&mut buf, 8).unwrap().0, 0);
    });
}

#[test]
fn as_many_as_the_system_takes_arrive() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let all: Vec<BorrowedFd<'_>> = vec![near.as_fd(); unix::MAX_DESCRIPTORS];
        near.send_with_fds(b"x", &all).unwrap();
        let (len, fds) = far.recv_with_fds(&mut [0; 8], unix::MAX_DESCRIPTORS).unwrap();
        assert_eq!((len, fds.len()), (1, unix::MAX_DESCRIPTORS));
        let more = [&all[..], &[near.as_fd()]].concat();
        assert_eq!(near.send_with_fds(b"x", &more).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

/// A peer that floods with descriptors costs none of ours: what they refer to is closed.
#[test]
fn more_than_allowed_are_closed_and_the_error_says_how_many() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let (inner, mut other_end) = UnixStream::pair().unwrap();
        near.send_with_fds(b"x", &[inner.as_fd(); 20]).unwrap();
        drop(inner);
        let error = far.recv_with_fds(&mut [0; 8], 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(is::<unix::TooManyDescriptors>(&error));
        assert_eq!(error.to_string(), "the peer sent 20 descriptors where at most 3 are taken");
        // The stream has ended, so nobody holds its first end any more.
        assert_eq!(other_end.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn descriptors_without_a_byte_are_refused() {
    test::run(|| {
        let (near, _far) = UnixStream::pair().unwrap();
        let error = near.send_with_fds(b"", &[near.as_fd()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(near.send_with_fds(b"", &[]).unwrap(), 0);
    });
}

#[test]
fn receiving_descriptors_has_the_limit_of_reads() {
    test::run(|| {
        let (near, _far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(5 * SECOND)).unwrap();
        let started = now();
        let error = near.recv_with_fds(&mut [0; 8], 1).unwrap_err();
        assert!(is::<OperationTimedOut>(&error) && now() - started == 5 * SECOND);
    });
}

#[test]
fn datagrams_carry_descriptors_too() {
    test::run(|| {
        let (near, far) = UnixDatagram::pair().unwrap();
        near.send_with_fds(b"datagram", &[near.as_fd()]).unwrap();
        let mut buf = [0; 64];
        let (len, fds) = far.recv_with_fds(&mut buf, 1).unwrap();
        assert_eq!((&buf[..len], fds.len()), (&b"datagram"[..], 1));
    });
}
