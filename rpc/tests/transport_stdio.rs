//! Stdin and stdout as a transport, in a process of its own: this test again, whose parent talks to it over its pipes.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are parts of tests")]

use std::io::ErrorKind;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{WaitLimit, spawn, test, yield_now};
use grapeshot_net::process::Command;
use grapeshot_rpc::Transport;
use grapeshot_rpc::transport::{ChildTransport, Stdio};

const CHILD: &str = "GRAPESHOT_RPC_STDIO_TEST_CHILD";

/// What the program says first: the test's own harness has written to stdout before.
const BEGIN: &[u8] = b"<begin>";

const PATIENCE: WaitLimit = WaitLimit::After(Duration::from_secs(20));

/// Runs `program` over its stdio in a process of its own, and `parent` at the other end.
fn play(test: &'static str, program: impl FnOnce(Stdio) + 'static, parent: impl FnOnce(&ChildTransport) + 'static) {
    if std::env::var_os(CHILD).is_some() {
        test::run(|| {
            let stdio = Stdio::new();
            stdio.write_all_within(BEGIN, WaitLimit::Never).unwrap();
            program(stdio);
        });
        std::process::exit(7);
    }
    Test::new().real_time().run(move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
        let child = ChildTransport::spawn(command).unwrap().grace(Duration::from_secs(20));
        let mut said = Vec::new();
        while !said.ends_with(BEGIN) {
            said.extend(hear(&child, 1, PATIENCE));
        }
        parent(&child);
        child.close();
        assert_eq!(child.exit().wait().unwrap().code(), Some(7), "the program has come to its end");
    });
}

/// So many bytes, or fewer at the end.
fn hear(transport: &impl Transport, len: usize, limit: WaitLimit) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match transport.read_within(&mut bytes[filled..], limit).unwrap() {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    bytes
}

#[test]
fn bytes_go_both_ways_until_the_parent_ends() {
    play(
        "bytes_go_both_ways_until_the_parent_ends",
        |stdio| {
            let mut buf = [0; 64];
            loop {
                let count = stdio.read_within(&mut buf, WaitLimit::Never).unwrap();
                if count == 0 {
                    return;
                }
                buf[..count].make_ascii_uppercase();
                stdio.write_all_within(&buf[..count], WaitLimit::Never).unwrap();
            }
        },
        |child| {
            child.write_all_within(b"grape", PATIENCE).unwrap();
            assert_eq!(hear(child, 5, PATIENCE), b"GRAPE");
            child.write_all_within(b"shot", PATIENCE).unwrap();
            assert_eq!(hear(child, 4, PATIENCE), b"SHOT");
        },
    );
}

#[test]
fn a_read_keeps_its_limit_and_loses_nothing() {
    play(
        "a_read_keeps_its_limit_and_loses_nothing",
        |stdio| {
            // The time is virtual here: nobody has to wait for it.
            let limit = WaitLimit::After(Duration::from_secs(3600));
            let error = stdio.read_within(&mut [0; 8], limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            stdio.write_all_within(b"!", WaitLimit::Never).unwrap();
            // No limit, which virtual time would reach before the parent has written; the parent's end is one.
            assert_eq!(hear(&stdio, 4, WaitLimit::Never), b"late");
        },
        |child| {
            assert_eq!(hear(child, 1, PATIENCE), b"!");
            child.write_all_within(b"late", PATIENCE).unwrap();
        },
    );
}

#[test]
fn closing_ends_a_read_that_waits() {
    play(
        "closing_ends_a_read_that_waits",
        |stdio| {
            let stdio = std::rc::Rc::new(stdio);
            let reader = spawn({
                let stdio = stdio.clone();
                move || stdio.read_within(&mut [0; 8], WaitLimit::Never)
            });
            yield_now();
            stdio.close();
            assert!(reader.join().unwrap().is_err());
            assert!(stdio.write_all_within(b"x", WaitLimit::Never).is_err());
        },
        |child| assert_eq!(hear(child, 1, PATIENCE), b"", "it ends without a word"),
    );
}
