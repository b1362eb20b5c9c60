//! A child process as a transport: it ends with it, and nothing of it stays.
#![allow(clippy::unwrap_used, reason = "these are parts of tests")]

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use grapeshot_core::test::Test;
use grapeshot_core::{State, WaitLimit, spawn};
use grapeshot_net::process::Command;
use grapeshot_rpc::Transport;
use grapeshot_rpc::transport::ChildTransport;

const PATIENCE: WaitLimit = WaitLimit::After(Duration::from_secs(20));

fn shell(script: &str) -> ChildTransport {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    ChildTransport::spawn(command).unwrap()
}

fn read_text(child: &ChildTransport, len: usize) -> String {
    let mut text = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match child.read_within(&mut text[filled..], PATIENCE).unwrap() {
            0 => break,
            count => filled += count,
        }
    }
    String::from_utf8(text[..filled].to_vec()).unwrap()
}

/// Whether the process exists, be it only as a zombie.
fn exists(id: u32) -> bool {
    std::path::Path::new(&format!("/proc/{id}")).exists()
}

#[test]
fn bytes_go_both_ways_and_the_end_of_writing_is_the_end_of_its_stdin() {
    Test::new().real_time().run(|| {
        let child = shell("tr a-z A-Z");
        child.write_all_within(b"meow", PATIENCE).unwrap();
        child.end_writing().unwrap();
        assert_eq!(read_text(&child, 4), "MEOW");
        assert_eq!(child.read_within(&mut [0; 1], PATIENCE).unwrap(), 0);
        assert!(child.write_all_within(b"more", PATIENCE).is_err());
        assert!(child.exit().wait().unwrap().success());
    });
}

#[test]
fn a_child_that_ends_with_its_stdin_is_not_killed() {
    Test::new().real_time().run(|| {
        let child = shell("cat > /dev/null; exit 7");
        let exit = child.exit();
        drop(child);
        assert_eq!(exit.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn a_child_that_does_not_end_is_killed_after_the_grace_and_leaves_no_zombie() {
    Test::new().real_time().run(|| {
        let child = shell("echo up; exec sleep 1000");
        let child = child.grace(Duration::from_millis(50));
        assert_eq!(read_text(&child, 3), "up\n");
        let (id, exit) = (child.id(), child.exit());
        child.close();
        assert_eq!(exit.wait().unwrap().signal(), Some(9));
        assert!(!exists(id), "it has been reaped");
    });
}

#[test]
fn the_group_of_a_child_that_leads_one_is_killed_with_it() {
    Test::new().real_time().run(|| {
        let mut command = Command::new("sh");
        command.arg("-c").arg("sleep 1000 > /dev/null & echo $!; wait").process_group(0);
        let child = ChildTransport::spawn(command).unwrap().grace(Duration::ZERO);
        let mut line = String::new();
        while !line.ends_with('\n') {
            line.push_str(&read_text(&child, 1));
        }
        let grandchild = grapeshot_net::process::wait_exit;
        let id: u32 = line.trim().parse().unwrap();
        child.close();
        // It has gone, or goes: its new parent reaps it, which may be after this.
        match grandchild(id) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    });
}

#[test]
fn a_child_that_ends_by_itself_is_reaped_while_the_transport_is_open() {
    Test::new().real_time().run(|| {
        let child = shell("echo bye; exit 3");
        assert_eq!(child.exit().wait().unwrap().code(), Some(3));
        assert!(!exists(child.id()), "it has been reaped");
        assert_eq!(read_text(&child, 4), "bye\n", "what it said is there all the same");
    });
}

#[test]
fn closing_ends_a_read_that_waits() {
    Test::new().real_time().run(|| {
        let child = std::rc::Rc::new(shell("cat"));
        let reader = spawn({
            let child = child.clone();
            move || child.read_within(&mut [0; 1], WaitLimit::Never)
        });
        grapeshot_core::yield_now();
        child.close();
        assert!(reader.join().unwrap().is_err());
        assert!(child.exit().wait().unwrap().success());
    });
}

#[test]
fn closing_ends_a_write_that_waits() {
    Test::new().real_time().run(|| {
        let child = std::rc::Rc::new(shell("exec sleep 1000").grace(Duration::ZERO));
        let writer = spawn({
            let child = child.clone();
            move || child.write_all_within(&vec![7; 1 << 20], WaitLimit::Never)
        });
        while writer.coroutine().info().state != State::Parked {
            grapeshot_core::yield_now();
        }
        let exit = child.exit();
        child.close();
        assert!(writer.join().unwrap().is_err());
        assert_eq!(exit.wait().unwrap().signal(), Some(9));
    });
}

#[test]
fn a_child_that_floods_its_stdout_ends_as_well() {
    Test::new().real_time().run(|| {
        let child = shell("exec yes").grace(Duration::from_millis(10));
        assert_eq!(read_text(&child, 2), "y\n");
        let exit = child.exit();
        drop(child);
        assert!(exit.wait().unwrap().signal().is_some());
    });
}

#[test]
fn a_read_keeps_its_limit() {
    Test::new().real_time().run(|| {
        let child = shell("cat");
        let error = child.read_within(&mut [0; 1], WaitLimit::After(Duration::from_millis(10))).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        child.write_all_within(b"x", PATIENCE).unwrap();
        assert_eq!(read_text(&child, 1), "x", "and the child can be talked to afterwards");
    });
}

#[test]
fn a_program_that_ends_takes_its_children_along() {
    let id = Test::new().real_time().run(|| {
        let child = shell("cat");
        let id = child.id();
        // Given to a coroutine that is cut off at the end of the run.
        spawn(move || child.read_within(&mut [0; 1], WaitLimit::Never));
        grapeshot_core::yield_now();
        id
    });
    assert!(!exists(id), "it has ended and been reaped");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    Test::new().run(|| {
        let error = ChildTransport::spawn(Command::new("grapeshot-no-such-program")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("grapeshot-no-such-program"), "{error}");
    });
}

#[test]
fn its_end_can_be_waited_for_within_a_limit() {
    Test::new().real_time().run(|| {
        let child = shell("cat");
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(child.exit().wait_until(soon).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(child.exit().status(), None);
    });
}
