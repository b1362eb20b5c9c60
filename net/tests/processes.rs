//! Child processes: waiting for them, talking to them, and cutting them off (`PRC-1`, `PRC-2`).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and some of these are parts of tests")]

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{coroutines, sleep, spawn, test, with_timeout, yield_now, yield_slice};
use grapeshot_net::process::{ChildStdin, Command, OutputError, Said, Stdio, wait_exit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const HOUR: Duration = Duration::from_secs(3600);

/// A shell that runs a script.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

/// Whether there is such a process, be it a zombie.
fn exists(id: &str) -> bool {
    Path::new("/proc").join(id).exists()
}

/// Whether nobody can write into a pipe any more.
///
/// A child that another thread starts meanwhile holds a copy of every end until it runs its program.
fn is_ended(pipe: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(pipe, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    polled[0].revents().contains(PollFlags::HUP)
}

/// Looks, without waiting, until it is so. Virtual time stands still meanwhile.
fn look_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        yield_now();
    }
}

/// A path in the temporary directory that is the test's own, removed at its end.
struct Marker(PathBuf);

impl Marker {
    fn new(test: &str) -> Marker {
        Marker(std::env::temp_dir().join(format!("grapeshot-processes-{}-{test}", std::process::id())))
    }

    /// What has been written into the file by now, if that ends a line.
    fn line(&self) -> Option<String> {
        fs::read_to_string(&self.0).ok()?.strip_suffix('\n').map(str::to_owned)
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// `PRC-1`: upstream waited again for a child that had ended with 0, and got ECHILD.
#[test]
fn a_child_that_ends_with_0_is_reaped_once() {
    test::run(|| {
        let mut child = Command::new("true").spawn().unwrap();
        let id = child.id().to_string();
        assert!(exists(&id));
        assert!(child.wait().unwrap().success());
        assert!(!exists(&id));
        assert!(child.wait().unwrap().success());
        assert!(child.try_wait().unwrap().unwrap().success());
    });
}

/// `PRC-1`
#[test]
fn the_status_says_how_it_ended() {
    test::run(|| {
        assert_eq!(shell("exit 7").status().unwrap().code(), Some(7));
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(sleeper.try_wait().unwrap(), None);
        sleeper.signal(15).unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(15));
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        sleeper.kill().unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        sleeper.kill().unwrap();
        assert_eq!(sleeper.signal(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn others_run_while_one_waits_for_a_child() {
    test::run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let waiter = spawn(move || child.wait().unwrap().success());
        sleep(HOUR);
        assert!(!waiter.is_finished());
        drop(stdin);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn waiting_closes_the_pipe_to_its_stdin() {
    test::run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_cancelled_wait_can_be_repeated() {
    test::run(|| {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        with_timeout(HOUR, || child.wait()).unwrap_err();
        assert_eq!(child.wait_timeout(HOUR).unwrap_err().kind(), io::ErrorKind::TimedOut);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    });
}

/// `POL-6`, the end of a process.
#[test]
fn the_end_of_any_process_can_be_waited_for() {
    test::run(|| {
        let mut child = shell("exit 3").spawn().unwrap();
        wait_exit(child.id()).unwrap();
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
        for id in [0, 4_194_305, u32::MAX] {
            assert_eq!(wait_exit(id).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    });
}

#[test]
fn a_dropped_child_runs_on_and_leaves_no_zombie() {
    test::run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (id, stdin) = (child.id().to_string(), child.stdin.take());
        drop(child);
        sleep(HOUR);
        assert!(exists(&id));
        assert!(coroutines().iter().any(|info| info.name == Some(format!("reaper of process {id}"))));
        drop(stdin);
        look_until(|| !exists(&id));
    });
}

#[test]
fn a_program_that_is_not_there_is_named() {
    test::run(|| {
        let error = Command::new("there-is-no-such-program").spawn().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("there-is-no-such-program"), "{error}");
        let error = Command::new("there-is-no-such-program").output().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn arguments_environment_and_directory_are_as_set() {
    test::run(|| {
        let output = shell("echo \"$0 $A ${B-unset}\"; pwd")
            .args(["zero"])
            .env("A", "a")
            .env("B", "b")
            .env_remove("B")
            .current_dir("/")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "zero a unset\n/\n");
        let bare = Command::new("/usr/bin/env").env_clear().envs([("C", "c")]).output().unwrap();
        assert_eq!(String::from_utf8(bare.stdout).unwrap(), "C=c\n");
    });
}

#[test]
fn pipes_carry_more_than_they_hold_both_ways() {
    test::run(|| {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sent: Vec<u8> = (0..1 << 20).map(|index: u32| (index ^ (index >> 8)) as u8).collect();
        let writer = spawn({
            let sent = sent.clone();
            move || stdin.write_all(&sent).unwrap()
        });
        let mut received = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut received).unwrap();
        assert!(sent == received);
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
    });
}

/// A pipe that nobody empties holds up its writer, and nobody else.
#[test]
fn a_full_pipe_parks_its_writer() {
    test::run(|| {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin: ChildStdin = child.stdin.take().unwrap();
        with_timeout(HOUR, || stdin.write_all(&[0; 1 << 20])).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stdin.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_pipe_feeds_the_next_process_of_a_pipeline() {
    test::run(|| {
        let mut first = shell("echo grape; echo shot").stdout(Stdio::piped()).spawn().unwrap();
        let output = Command::new("grep").arg("shot").stdin(first.stdout.take().unwrap()).output().unwrap();
        assert_eq!(output.stdout, b"shot\n");
        assert!(first.wait().unwrap().success());
    });
}

#[test]
fn lines_come_while_the_process_runs() {
    test::run(|| {
        let mut child =
            shell("echo one; read answer; echo $answer").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "one");
        child.stdin.as_mut().unwrap().write_all(b"two\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "two");
        assert!(lines.next().is_none());
        child.wait().unwrap();
    });
}

/// `PRC-2`: one that filled stderr while only stdout were read would never end.
#[test]
fn both_outputs_are_drained_at_once() {
    test::Test::new().real_time().run(|| {
        let script = "head -c 300000 /dev/zero >&2; echo out; head -c 300000 /dev/zero >&2";
        let output = shell(script).output_timeout(HOUR).unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (4, 600_000));
        let mut child = shell(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.try_wait().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (4, 600_000));
    });
}

#[test]
fn stdin_is_empty_for_a_process_whose_output_is_collected() {
    test::run(|| assert_eq!(Command::new("cat").output().unwrap().stdout, b""));
}

/// `PRC-2`
#[test]
fn a_limit_on_the_time_kills_the_whole_group_and_keeps_what_it_had_said() {
    test::run(|| {
        let marker = Marker::new("time");
        // A child of the child holds the pipes; its number is written when both have spoken.
        let script = "echo out; echo err >&2; sleep 1000 & echo $! > $MARKER; wait";
        let looker = spawn({
            let path = marker.0.clone();
            // While it looks, the clock does not jump to the limit.
            move || look_until(|| fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')))
        });
        let error = shell(script).env("MARKER", &marker.0).output_timeout(HOUR).unwrap_err();
        looker.join().unwrap();
        assert_eq!(error.to_string(), "sh: not done after 3600s, having said 4 bytes on stdout and 4 on stderr");
        let OutputError::TimedOut { program, timeout, said } = error else { panic!("{error}") };
        assert_eq!((&*program, timeout), ("sh", HOUR));
        assert_eq!(said, Said { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec() });
        let grandchild = marker.line().unwrap();
        // It is init's to reap, which may take its time.
        look_until(|| !runs(&grandchild));
    });
}

/// Whether there is such a process, and not only a zombie.
fn runs(id: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}

/// `PRC-2`
#[test]
fn a_cancelled_output_kills_and_reaps_the_whole_group() {
    test::run(|| {
        let marker = Marker::new("cancelled");
        let path = marker.0.clone();
        let running = spawn(move || shell("sleep 1000 & echo $$ $! > $MARKER; wait").env("MARKER", path).output());
        look_until(|| marker.line().is_some());
        running.cancel();
        running.join().unwrap_err();
        let line = marker.line().unwrap();
        let (child, grandchild) = line.split_once(' ').unwrap();
        look_until(|| !exists(child) && !runs(grandchild));
    });
}

#[test]
fn a_cancelled_status_kills_and_reaps_the_process() {
    test::run(|| {
        let marker = Marker::new("status");
        let path = marker.0.clone();
        let running = spawn(move || shell("echo $$ > $MARKER; exec sleep 1000").env("MARKER", path).status());
        look_until(|| marker.line().is_some());
        running.cancel();
        running.join().unwrap_err();
        let child = marker.line().unwrap();
        look_until(|| !exists(&child));
    });
}

#[test]
fn of_much_that_was_said_the_end_is_shown() {
    let said = Said { stdout: vec![b'x'; 1 << 20], stderr: b"the end".to_vec() };
    let shown = format!("{said:?}");
    assert!(shown.len() < 2000 && shown.contains("the end"), "{shown}");
}

#[test]
fn output_without_end_is_cut_off_at_the_limit() {
    test::run(|| {
        for script in ["yes", "yes >&2"] {
            let error = shell(script).max_output(100_000).output().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            let error = error.into_inner().unwrap().downcast::<OutputError>().unwrap();
            let said = error.said().unwrap();
            assert_eq!(said.stdout.len() + said.stderr.len(), 100_000);
        }
        let exact = shell("head -c 100000 /dev/zero").max_output(100_000).output().unwrap();
        assert_eq!(exact.stdout.len(), 100_000);
    });
}

/// A process that has closed its outputs and runs on is waited for, and cut off, all the same.
#[test]
fn a_process_that_says_nothing_more_is_still_limited() {
    test::run(|| {
        let error = shell("exec >/dev/null 2>&1; sleep 1000").output_timeout(HOUR).unwrap_err();
        assert!(matches!(error, OutputError::TimedOut { .. }), "{error}");
    });
}

#[test]
fn only_a_group_that_a_child_leads_is_killed() {
    test::run(|| {
        let mut follower = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(follower.kill_group().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        follower.kill().unwrap();
        follower.wait().unwrap();
        let mut leader = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        leader.kill_group().unwrap();
        assert_eq!(leader.wait().unwrap().signal(), Some(9));
        assert_eq!(leader.kill_group().unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_child_inherits_no_descriptor_of_ours() {
    test::run(|| {
        let listener = grapeshot_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut other = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let links = |id: &str| -> Vec<PathBuf> {
            let directory = Path::new("/proc").join(id).join("fd");
            fs::read_dir(directory).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect()
        };
        let of = |fd: i32| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let ours = [
            of(listener.as_raw_fd()),
            of(std::os::fd::AsFd::as_fd(other.stdin.as_ref().unwrap()).as_raw_fd()),
            of(std::os::fd::AsFd::as_fd(&other).as_raw_fd()),
            PathBuf::from("anon_inode:[eventpoll]"),
        ];
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let inherited = links(&child.id().to_string());
        assert!(ours.iter().all(|link| !inherited.contains(link)), "{inherited:?} of {ours:?}");
        child.wait().unwrap();
        other.wait().unwrap();
    });
}

/// Two races at once: the child ends while its waiter is cancelled. Whoever waits next learns the status.
#[test]
fn no_status_is_lost_on_any_schedule() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(20, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        test::Test::new().seed(seed).run(|| {
            let child = Rc::new(Cell::new(Some(shell("exit 5").spawn().unwrap())));
            let code = Rc::new(Cell::new(None));
            while code.get().is_none() {
                let waiter = spawn({
                    let (child, code) = (child.clone(), code.clone());
                    move || {
                        let mut borrowed = Borrowed { child: child.take(), home: child };
                        code.set(borrowed.child.as_mut().unwrap().wait().unwrap().code());
                    }
                });
                (0..grapeshot_core::random_u64() % 4).for_each(|_| yield_slice());
                waiter.cancel();
                // Cancelled or not.
                let _ = waiter.join();
            }
            assert_eq!(code.get(), Some(5));
        });
    }
}

/// Gives a child back when it goes, by whichever way.
struct Borrowed {
    child: Option<grapeshot_net::process::Child>,
    home: Rc<Cell<Option<grapeshot_net::process::Child>>>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.home.set(self.child.take());
    }
}

#[test]
fn outside_a_coroutine_a_child_blocks_its_thread() {
    let mut child = shell("echo hello; exit 2").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((&*said, child.wait().unwrap().code()), ("hello\n", Some(2)));
}

/// `PRC-2`, on a thread without a runtime.
#[test]
fn outside_a_coroutine_output_blocks_its_thread() {
    let script = "head -c 300000 /dev/zero >&2; echo out; head -c 300000 /dev/zero >&2; exit 2";
    let output = shell(script).output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len(), output.status.code()), (4, 600_000, Some(2)));
    let output = shell(script).output_timeout(HOUR).unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (4, 600_000));
    let child = shell(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (4, 600_000));
    let child = shell("exit 3").spawn().unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(3));
}

/// `PRC-2`, on a thread without a runtime.
#[test]
fn outside_a_coroutine_output_is_cut_off_all_the_same() {
    let marker = Marker::new("outside");
    let script = "echo out; echo $$ > $MARKER; exec sleep 1000";
    let error = shell(script).env("MARKER", &marker.0).output_timeout(Duration::from_millis(500)).unwrap_err();
    assert!(matches!(error, OutputError::TimedOut { .. }), "{error}");
    if let Some(id) = marker.line() {
        assert!(!exists(&id));
    }
    for script in ["yes", "yes >&2"] {
        let error = shell(script).max_output(100_000).output_timeout(HOUR).unwrap_err();
        let said = error.said().unwrap();
        assert_eq!(said.stdout.len() + said.stderr.len(), 100_000);
    }
}

/// Asks for the output of processes when it goes.
struct AsksInDrop(test::Log, PathBuf);

impl Drop for AsksInDrop {
    fn drop(&mut self) {
        let refused = |error: &io::Error| error.to_string().contains("a coroutine that unwinds cannot wait");
        let mut slow = shell("echo $$ > $MARKER; exec sleep 1000");
        slow.env("MARKER", &self.1);
        self.0.add(format!("output: {:?}", slow.output().map(drop).map_err(|error| refused(&error))));
        let limited = Command::new("sleep").arg("1000").output_timeout(HOUR);
        self.0.add(format!("output_timeout: {:?}", limited.map(drop).map_err(|error| refused(&error.into()))));
        let child = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut quick = shell("echo quick").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while quick.try_wait().unwrap().is_none() {}
        while !(is_ended(quick.stdout.as_ref().unwrap()) && is_ended(quick.stderr.as_ref().unwrap())) {}
        self.0.add(format!("ended: {:?}", quick.wait_with_output().map(|output| output.stdout.len()).map_err(drop)));
        // It ends with its stdin, if not at once.
        drop(child.wait_with_output());
    }
}

/// As `status` is, and not aborted for want of a scope.
#[test]
fn output_is_refused_to_a_coroutine_that_unwinds() {
    test::run(|| {
        let (log, marker) = (test::Log::new(), Marker::new("unwinds"));
        let cancelled = spawn({
            let asks = AsksInDrop(log.clone(), marker.0.clone());
            move || {
                let _asks = asks;
                sleep(HOUR);
            }
        });
        yield_now();
        cancelled.cancel();
        cancelled.join().unwrap_err();
        assert_eq!(log.take(), ["output: Err(true)", "output_timeout: Err(true)", "ended: Ok(6)"]);
        if let Some(id) = marker.line() {
            look_until(|| !exists(&id));
        }
    });
}
