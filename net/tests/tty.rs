//! Raw mode of a terminal, and its end (`DIA-8`), on terminals that the tests make.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and some of these are parts of tests")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{JoinError, sleep, spawn, test, with_timeout};
use grapeshot_net::process::{Command, Stdio};
use grapeshot_net::stdio::stdin;
use grapeshot_net::tty::RawMode;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, tcgetattr};

const CHILD: &str = "GRAPESHOT_TTY_TEST_CHILD";

/// A terminal: the end that a person sits at, and the end that a program has.
fn terminal() -> (File, File) {
    let person = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&person).unwrap();
    rustix::pty::unlockpt(&person).unwrap();
    let name = rustix::pty::ptsname(&person, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.to_bytes());
    let flags = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
    let program = std::os::unix::fs::OpenOptionsExt::custom_flags(OpenOptions::new().read(true).write(true), flags)
        .open(path)
        .unwrap();
    (File::from(person), program)
}

/// Whether a terminal gathers lines and echoes them, or is raw.
fn is_raw(terminal: impl AsFd) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    assert!(modes.contains(cooked) || !modes.intersects(cooked));
    !modes.contains(cooked)
}

/// `DIA-8`
#[test]
fn the_mode_is_restored_when_the_guard_is_dropped() {
    let (_person, program) = terminal();
    let before = format!("{:?}", tcgetattr(&program).unwrap());
    assert!(!is_raw(&program));
    let guard = RawMode::enable(&program).unwrap();
    assert!(is_raw(&program));
    drop(guard);
    assert!(!is_raw(&program));
    assert_eq!(format!("{:?}", tcgetattr(&program).unwrap()), before);
    RawMode::enable(&program).unwrap().restore().unwrap();
    assert!(!is_raw(&program));
}

/// `DIA-8`
#[test]
fn the_mode_is_restored_by_a_panic() {
    Test::new().allow_crashes().run(|| {
        let (_person, program) = terminal();
        let terminal = program.try_clone().unwrap();
        let crashed = spawn(move || {
            let _raw = RawMode::enable(&terminal).unwrap();
            assert!(!is_raw(&terminal), "as it should not be");
        });
        assert!(matches!(crashed.join(), Err(JoinError::Panicked(_))));
        assert!(!is_raw(&program));
    });
}

/// `DIA-8`
#[test]
fn the_mode_is_restored_by_a_cancellation() {
    test::run(|| {
        let (_person, program) = terminal();
        with_timeout(Duration::from_secs(1), || {
            let _raw = RawMode::enable(&program).unwrap();
            assert!(is_raw(&program));
            sleep(Duration::MAX);
        })
        .unwrap_err();
        assert!(!is_raw(&program));
    });
}

#[test]
fn guards_nest() {
    let (_person, program) = terminal();
    let outer = RawMode::enable(&program).unwrap();
    drop(RawMode::enable(&program).unwrap());
    assert!(is_raw(&program));
    drop(outer);
    assert!(!is_raw(&program));
}

#[test]
fn the_guard_outlives_the_descriptor_it_was_given() {
    let (person, program) = terminal();
    let other = program.try_clone().unwrap();
    let guard = RawMode::enable(&other).unwrap();
    drop(other);
    drop(guard);
    assert!(!is_raw(&program));
    // A terminal that has been hung up needs no mode, and says so only to who asks.
    let guard = RawMode::enable(&program).unwrap();
    drop(person);
    guard.restore().unwrap_err();
}

#[test]
fn what_is_no_terminal_is_an_error() {
    let (pipe, _other_end) = std::io::pipe().unwrap();
    assert_eq!(RawMode::enable(&pipe).unwrap_err().raw_os_error(), Some(25));
}

/// `DIA-8`: raw-mode stdin, in a process of its own.
#[test]
fn a_key_is_read_at_once_and_the_mode_restored_when_the_program_ends() {
    let test = "a_key_is_read_at_once_and_the_mode_restored_when_the_program_ends";
    if std::env::var_os(CHILD).is_some() {
        let key = test::run(|| {
            let _raw = RawMode::stdin().unwrap();
            println!("\nready");
            let mut key = [0];
            stdin().read_exact(&mut key).unwrap();
            key[0]
        });
        std::process::exit(i32::from(key));
    }
    test::run(move || {
        let (mut person, program) = terminal();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .stdin(OwnedFd::from(program.try_clone().unwrap()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        assert!(is_raw(&program));
        person.write_all(b"k").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(i32::from(b'k')));
        assert!(!is_raw(&program));
    });
}
