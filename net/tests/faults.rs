//! Peers that misbehave, and a system that has nothing left.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, sleep, spawn, stats, test};
use grapeshot_net::{TcpListener, TcpStream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::support::*;

/// Breaks a connection off instead of closing it.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_ends_a_blocked_read_and_a_blocked_write() {
    test::run(|| {
        let (near, far) = pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        let writer = spawn({
            let near = near.clone();
            move || (&*near).write_all(&vec![0; 8 * MIB])
        });
        sleep(SECOND);
        reset(far);
        let (read, written) = (reader.join().unwrap(), writer.join().unwrap().unwrap_err());
        // The system gives the reset to whoever asks first, and tells the other that the connection is gone.
        let kinds = (read.map_or_else(|error| error.kind(), |_| ErrorKind::UnexpectedEof), written.kind());
        assert!(
            matches!(kinds, (ErrorKind::ConnectionReset, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
                || matches!(kinds, (ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset)),
            "{kinds:?}"
        );
    });
}

#[test]
fn a_reset_in_the_middle_of_a_message_costs_one_connection() {
    test::run(|| {
        let address = echo_server();
        let (first, second) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
        assert_eq!(exchange(&first, b"one").unwrap(), b"one");
        (&first).write_all(&pattern(MIB)).unwrap();
        reset(first);
        for _ in 0..10 {
            assert_eq!(exchange(&second, b"two").unwrap(), b"two");
        }
        sleep(SECOND);
        // The listener, and the second connection's two ends.
        assert_eq!(stats().registrations, 3);
    });
}

#[test]
fn data_followed_by_an_end_is_read_to_that_end_after_a_wait() {
    test::run(|| {
        let (mut near, mut far) = pair();
        let reader = spawn(move || {
            let mut all = Vec::new();
            near.read_to_end(&mut all).unwrap();
            all
        });
        sleep(SECOND);
        far.write_all(b"last words").unwrap();
        drop(far);
        assert_eq!(reader.join().unwrap(), b"last words");
    });
}

#[test]
fn writing_to_a_peer_that_has_gone_is_an_error_and_no_signal() {
    test::run(|| {
        let (near, far) = pair();
        drop(far);
        let error = loop {
            sleep(SECOND);
            if let Err(error) = (&near).write(b"anybody there?") {
                break error;
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    });
}

/// Accepting a connection whose peer has gone in the meantime.
#[test]
fn a_connection_that_was_reset_before_it_was_accepted_harms_nobody() {
    test::run(|| {
        let (listener, address) = listen();
        reset(TcpStream::connect(address).unwrap());
        let client = TcpStream::connect(address).unwrap();
        spawn(move || {
            for stream in listener.incoming() {
                echo(stream.unwrap());
            }
        });
        assert_eq!(exchange(&client, b"x").unwrap(), b"x");
    });
}

const CHILD: &str = "GRAPESHOT_TEST_CHILD";

/// Runs the test with this name again in a process of its own, for limits that hold for a whole process.
///
/// Returns what it said on stderr; `None` in that process.
fn in_own_process(test: &str) -> Option<String> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}{stderr}", String::from_utf8_lossy(&output.stdout));
    Some(stderr)
}

/// Lets the process have no descriptor beyond those it has; raised again when dropped.
struct NoMoreDescriptors(Rlimit);

impl NoMoreDescriptors {
    fn new() -> NoMoreDescriptors {
        let before = getrlimit(Resource::Nofile);
        // The lowest free number is the one that a new descriptor would get.
        let next = File::open("/dev/null").unwrap().as_raw_fd() as u64;
        setrlimit(Resource::Nofile, Rlimit { current: Some(next), maximum: before.maximum }).unwrap();
        NoMoreDescriptors(before)
    }
}

impl Drop for NoMoreDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

/// Those who wait: connected, as far as the system is concerned, and not yet accepted.
fn connect_twice(listener: &TcpListener) -> [TcpStream; 2] {
    let address = listener.local_addr().unwrap();
    [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()]
}

#[test]
fn without_descriptors_accept_waits_says_so_once_and_recovers() {
    if let Some(stderr) = in_own_process("without_descriptors_accept_waits_says_so_once_and_recovers") {
        let lines: Vec<_> = stderr.lines().filter(|line| line.contains("accept on 127.0.0.1:")).collect();
        // Once for each time that there were none.
        assert_eq!(lines.len(), 2, "{stderr}");
        assert!(lines[0].contains("Too many open files"), "{stderr}");
        assert!(lines[0].contains("tried again every 250ms"), "{stderr}");
        return;
    }
    test::run(|| {
        let (listener, address) = listen();
        let listener = Rc::new(listener);
        let old = TcpStream::connect(address).unwrap();
        echo(listener.accept().unwrap().0);
        let waiting = connect_twice(&listener);
        let shortage = NoMoreDescriptors::new();
        let server = spawn({
            let listener = listener.clone();
            move || {
                for stream in listener.incoming() {
                    echo(stream.unwrap());
                }
            }
        });
        // Those who are served go on being served, and the loop has nothing to do but to try now and then.
        for _ in 0..10 {
            sleep(SECOND);
            assert_eq!(exchange(&old, b"still here").unwrap(), b"still here");
        }
        let tries = listener.exhaustions();
        assert!((40..50).contains(&tries), "{tries}");
        drop(shortage);
        for stream in &waiting {
            assert_eq!(exchange(stream, b"at last").unwrap(), b"at last");
        }
        assert!(listener.exhaustions() <= tries + 1);
        // And again.
        let waiting = connect_twice(&listener);
        let shortage = NoMoreDescriptors::new();
        sleep(SECOND);
        drop(shortage);
        assert_eq!(exchange(&waiting[0], b"once more").unwrap(), b"once more");
        listener.close();
        server.join().unwrap();
    });
}

#[test]
fn without_descriptors_a_limit_on_accept_holds() {
    if in_own_process("without_descriptors_a_limit_on_accept_holds").is_some() {
        return;
    }
    test::run(|| {
        let (listener, _) = listen();
        let _waiting = connect_twice(&listener);
        listener.set_accept_timeout(Some(Duration::from_millis(900))).unwrap();
        let _shortage = NoMoreDescriptors::new();
        let started = now();
        let error = listener.accept().unwrap_err();
        assert_eq!((error.kind(), now() - started), (ErrorKind::TimedOut, Duration::from_millis(900)));
        assert!(error.to_string().contains("Too many open files"), "{error}");
    });
}

#[test]
fn without_descriptors_accept_returns_the_error_if_told_to() {
    if let Some(stderr) = in_own_process("without_descriptors_accept_returns_the_error_if_told_to") {
        assert!(!stderr.contains("accept on"), "{stderr}");
        return;
    }
    test::run(|| {
        let (listener, _) = listen();
        let _waiting = connect_twice(&listener);
        listener.set_backoff(None).unwrap();
        let shortage = NoMoreDescriptors::new();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
        assert_eq!(listener.exhaustions(), 1);
        drop(shortage);
        listener.accept().unwrap();
    });
}

/// A destructor may accept, and must not try for ever when it cannot.
#[test]
fn without_descriptors_accept_in_a_destructor_gives_up() {
    if in_own_process("without_descriptors_accept_in_a_destructor_gives_up").is_some() {
        return;
    }
    struct LastCall(TcpListener, Rc<std::cell::Cell<Option<io::Error>>>);
    impl Drop for LastCall {
        fn drop(&mut self) {
            self.1.set(self.0.accept().err());
        }
    }
    test::run(|| {
        let (listener, _) = listen();
        let _waiting = connect_twice(&listener);
        let seen = Rc::new(std::cell::Cell::new(None));
        let last_call = LastCall(listener, seen.clone());
        let cancelled = spawn(move || {
            let _last_call = last_call;
            sleep(SECOND);
        });
        grapeshot_core::yield_now();
        let _shortage = NoMoreDescriptors::new();
        cancelled.cancel();
        cancelled.join().unwrap_err();
        let error = seen.take().unwrap();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
    });
}
