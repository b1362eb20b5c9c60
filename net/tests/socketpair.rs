//! Pairs of sockets that are connected to each other and to nothing else.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};

use grapeshot_core::{sleep, spawn, stats, test};
use grapeshot_net::{UnixDatagram, UnixStream};

use self::support::*;

#[test]
fn what_one_end_writes_the_other_reads() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let echoed = spawn(move || io::copy(&mut &far, &mut &far));
        (&near).write_all(b"both ways").unwrap();
        assert_eq!(near.recv_exact(9).unwrap(), b"both ways");
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(echoed.join().unwrap().unwrap(), 9);
    });
}

#[test]
fn a_pair_has_no_addresses_and_is_closed_on_exec() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        assert!(near.local_addr().unwrap().is_unnamed() && near.peer_addr().unwrap().is_unnamed());
        for end in [&near, &far] {
            assert!(socket2::SockRef::from(end).nonblocking().unwrap());
            assert!(rustix::io::fcntl_getfd(end).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    });
}

/// SOK-4, SOK-5: the whole amounts are those of every stream.
#[test]
fn vectors_and_files_go_through_a_pair() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        assert_eq!(near.writev(&[b"gra", b"", b"peshot"]).unwrap(), 9);
        assert_eq!(far.readv(&[5, 4]).unwrap(), [&b"grape"[..], b"shot"]);
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = std::fs::read(manifest).unwrap();
        let sent = near.send_file(File::open(manifest).unwrap(), 0, u64::MAX).unwrap();
        assert_eq!(sent, text.len() as u64);
        assert_eq!(far.recv_exact(text.len()).unwrap(), text);
    });
}

#[test]
fn lines_are_read_through_std_s_buffers() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let writer = spawn(move || {
            for word in ["round", "chain", "grape"] {
                writeln!(&near, "{word}").unwrap();
                sleep(SECOND);
            }
        });
        let lines: Vec<_> = BufReader::new(far).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["round", "chain", "grape"]);
        writer.join().unwrap();
    });
}

#[test]
fn an_end_is_given_away_deregistered() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(SECOND)).unwrap();
        (&near).read(&mut [0; 8]).unwrap_err();
        assert_eq!(stats().registrations, 1);
        let number = near.as_raw_fd();
        let descriptor = OwnedFd::from(near);
        assert_eq!((descriptor.as_raw_fd(), stats().registrations), (number, 0));
        let near = UnixStream::from_std(descriptor.into()).unwrap();
        (&far).write_all(b"x").unwrap();
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 1);
        drop(far.into_std());
    });
}

#[test]
fn a_pair_of_datagrams_keeps_their_bounds_and_their_order() {
    test::run(|| {
        let (near, far) = UnixDatagram::pair().unwrap();
        for datagram in [&b"one"[..], b"", b"three"] {
            near.send(datagram).unwrap();
        }
        let mut buf = [0; 64];
        assert_eq!([(); 3].map(|()| far.recv(&mut buf).unwrap()), [3, 0, 5]);
    });
}

/// The marks that the documents promise, looked at by the compiler.
#[test]
fn sockets_can_be_sent_and_shared() {
    fn sendable<T: Send + Sync>() {}
    sendable::<UnixStream>();
    sendable::<UnixDatagram>();
    sendable::<grapeshot_net::UnixListener>();
    sendable::<grapeshot_net::UdpSocket>();
}
