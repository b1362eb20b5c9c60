//! The harness with programs that every machine has, and with one of its own examples.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_harness::{End, Program, Ready, Signal, TempDir, example};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

/// Never reached by a test that passes.
const PATIENCE: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// Not there, or dead and waiting for a parent other than this process: a grandchild is for process 1 to reap.
fn is_gone(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The fields after the name, which may hold anything: state, parent.
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let is_zombie = fields.next() == Some("Z");
    is_zombie && fields.next() != Some(std::process::id().to_string().as_str())
}

#[track_caller]
fn assert_gone_soon(pid: u32) {
    wait_until(&format!("process {pid} is gone"), || is_gone(pid));
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so in {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

#[test]
fn a_program_is_ready_when_it_prints_its_line() {
    let program = shell("echo starting >&2; echo listening on 127.0.0.1:4000 >&2; read _")
        .open_input()
        .ready_when(Ready::line("listening"))
        .start()
        .unwrap();
    assert_eq!(program.ready_line(), Some("listening on 127.0.0.1:4000"));
    assert_eq!(program.ready_addr(), Some("127.0.0.1:4000".parse().unwrap()));
}

#[test]
fn a_program_is_ready_when_its_path_appears() {
    let dir = TempDir::new().unwrap();
    let sign = dir.path().join("ready");
    let program = shell("touch ready; read _").current_dir(dir.path()).open_input().ready_when(Ready::path(&sign));
    let _running = program.start().unwrap();
    assert!(sign.exists());
}

#[test]
fn a_program_is_ready_when_its_port_opens() {
    // Bound but not listening: the port is ours, and connections to it are refused.
    let port = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&port, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = TcpListener::from(port);
    let addr = port.local_addr().unwrap();
    let dir = TempDir::new().unwrap();
    let started = dir.path().join("started");
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the program has started", || started.exists());
            rustix::net::listen(&port, 16).unwrap();
        });
        let program = shell("touch started; read _").current_dir(dir.path()).open_input().ready_when(Ready::port(addr));
        program.start().unwrap();
    });
}

#[test]
fn a_program_is_ready_when_its_unix_socket_listens_and_not_when_it_is_there() {
    let dir = TempDir::new().unwrap();
    let (path, started) = (dir.path().join("socket"), dir.path().join("started"));
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    assert!(path.exists());
    let socket = UnixListener::from(socket);
    let listens = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the program has started", || started.exists());
            listens.store(true, Ordering::Relaxed);
            rustix::net::listen(&socket, 16).unwrap();
        });
        let program =
            shell("touch started; read _").current_dir(dir.path()).open_input().ready_when(Ready::unix(&path));
        program.start().unwrap();
        assert!(listens.load(Ordering::Relaxed), "a socket that only exists is no sign");
    });
}

#[test]
fn a_port_that_is_open_already_is_refused_as_a_sign() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = shell("read _").ready_when(Ready::port(listener.local_addr().unwrap())).start().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_program_that_never_gets_ready_says_what_it_printed_and_is_gone() {
    let dir = TempDir::new().unwrap();
    let error = shell("echo my pid is $$; echo cannot bind >&2; sleep 1000")
        .ready_when(Ready::path(dir.path().join("never")))
        .ready_within(Duration::from_secs(2))
        .start()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let message = error.to_string();
    assert!(message.contains("stderr:\ncannot bind"), "{message}");
    let pid = message.split("stdout:\nmy pid is ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(is_gone(pid.parse().unwrap()));
}

#[test]
fn a_program_that_ends_instead_of_getting_ready_is_reported_at_once() {
    let dir = TempDir::new().unwrap();
    let error = shell("echo bad configuration; exit 3")
        .ready_when(Ready::path(dir.path().join("never")))
        .ready_within(PATIENCE)
        .start()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("bad configuration"), "{error}");
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let error = Program::new("no-such-program").start().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("`no-such-program`"), "{error}");
}

#[test]
fn lines_are_waited_for_and_found_once() {
    let mut program = Program::new("cat").open_input().start().unwrap();
    program.send(b"first line\n").unwrap();
    assert_eq!(program.wait_line("line", PATIENCE).unwrap(), "first line");
    program.send(b"second line\n").unwrap();
    assert_eq!(program.wait_line("line", PATIENCE).unwrap(), "second line");
    let error = program.wait_line("line", Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    program.end_input();
    let error = program.wait_line("line", PATIENCE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(program.wait_exit(PATIENCE).unwrap().success());
}

#[test]
fn all_output_can_be_seen_after_the_end() {
    let output = shell("i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890; i=$((i+1)); done")
        .output(PATIENCE)
        .unwrap();
    assert_eq!(output.assert_success().stdout.bytes.len(), 3000 * 32);
    assert_eq!(output.stdout.cut, 0);
}

#[test]
fn a_flood_is_cut_and_does_not_block_the_program() {
    let output = shell("head -c 3000000 /dev/zero; echo; echo end").keep_output(1000).output(PATIENCE).unwrap();
    let stdout = &output.assert_success().stdout;
    assert_eq!(stdout.bytes.len(), 1000);
    assert_eq!(stdout.cut, 3_000_000 + 5 - 1000);
    assert!(stdout.text().ends_with("\nend\n"));
}

#[test]
fn input_larger_than_a_pipe_goes_through() {
    let bytes = vec![b'x'; 2 << 20];
    let output = shell("wc -c").input(bytes).output(PATIENCE).unwrap();
    assert_eq!(output.assert_success().stdout.text().trim(), (2 << 20).to_string());
}

#[test]
fn at_its_limit_a_program_is_killed_and_what_it_said_is_returned() {
    let output =
        shell("echo begun; sleep 1000").ready_when(Ready::line("begun")).output(Duration::from_millis(100)).unwrap();
    assert_eq!(output.end, End::Killed);
    assert_eq!(output.stdout.text(), "begun\n");
}

#[test]
fn what_a_program_left_in_the_background_is_killed_with_it() {
    // The background process keeps stdout open: waiting for the end of the output would wait for it.
    let output = shell("sleep 1000 & echo $!").output(PATIENCE).unwrap();
    let pid = output.assert_success().stdout.text().trim().parse().unwrap();
    assert_gone_soon(pid);
}

#[test]
fn a_signal_reaches_the_program() {
    let mut program = shell("trap 'echo got it; exit 7' USR1; echo ready; sleep 1000 & wait")
        .ready_when(Ready::line("ready"))
        .start()
        .unwrap();
    program.signal(Signal::USR1).unwrap();
    assert_eq!(program.wait_exit(PATIENCE).unwrap().code(), Some(7));
    assert_eq!(program.stdout().text(), "ready\ngot it\n");
    assert_eq!(program.signal(Signal::USR1).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn stop_lets_a_program_end_by_itself() {
    let mut program = shell("trap 'echo bye; exit 0' TERM; echo ready; sleep 1000 & wait")
        .ready_when(Ready::line("ready"))
        .start()
        .unwrap();
    let end = program.stop(PATIENCE).unwrap();
    assert!(end.success(), "{end}");
    assert_eq!(program.stdout().text(), "ready\nbye\n");
    assert!(is_gone(program.pid()));
}

#[test]
fn stop_kills_a_program_that_does_not_listen() {
    let mut program = shell("trap '' TERM; echo ready; sleep 1000").ready_when(Ready::line("ready")).start().unwrap();
    assert_eq!(program.stop(Duration::from_millis(100)).unwrap(), End::Killed);
    assert!(is_gone(program.pid()));
}

#[test]
fn dropping_ends_grandchildren_too() {
    let program = shell("sleep 1000 & echo child $!; wait").ready_when(Ready::line("child")).start().unwrap();
    let pid = program.pid();
    let grandchild = program.ready_line().unwrap().trim_start_matches("child ").parse().unwrap();
    drop(program);
    assert!(is_gone(pid));
    assert_gone_soon(grandchild);
}

#[test]
fn a_panic_ends_the_program() {
    let mut pid = 0;
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let program = shell("echo context; sleep 1000").ready_when(Ready::line("context")).start().unwrap();
        pid = program.pid();
        panic!("the test fails");
    }));
    assert!(outcome.is_err());
    assert!(is_gone(pid));
}

#[test]
fn a_program_may_be_held_by_another_thread() {
    let program = shell("read line; echo got $line").open_input().start().unwrap();
    let output = thread::spawn(move || {
        let mut program = program;
        program.send(b"it\n").unwrap();
        program.wait_line("got it", PATIENCE).unwrap()
    });
    assert_eq!(output.join().unwrap(), "got it");
}

/// The test runs itself as a second process, which starts a program and is then killed as nothing else can catch.
#[test]
fn programs_end_when_the_test_process_is_killed() {
    const ROLE: &str = "GRAPESHOT_HARNESS_TEST_ROLE";
    if std::env::var_os(ROLE).is_some() {
        let program = shell("echo ready; sleep 1000").ready_when(Ready::line("ready")).start().unwrap();
        writeln!(io::stderr(), "started {}", program.pid()).unwrap();
        io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "programs_end_when_the_test_process_is_killed", "--nocapture"])
        .env(ROLE, "victim")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
    let pid = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("started ")?.parse().ok()).unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_gone_soon(pid);
}

#[test]
fn an_example_is_found_and_started() {
    let mut server =
        example("line_server").unwrap().open_input().ready_when(Ready::line("listening on")).start().unwrap();
    let stream = TcpStream::connect(server.ready_addr().unwrap()).unwrap();
    writeln!(&stream, "hello").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert_eq!(line, "hello\n");
    server.wait_line("connection from", PATIENCE).unwrap();
    server.end_input();
    assert!(server.wait_exit(PATIENCE).unwrap().success());
}

#[test]
fn an_example_that_does_not_exist_is_named() {
    let error = example("no_such_example").unwrap_err();
    assert!(error.to_string().contains("no_such_example"), "{error}");
}
