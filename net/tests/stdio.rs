//! Stdin and stdout of a program, each test with a process of its own as the program.
//!
//! Time in these programs is virtual: it passes when they wait for it, and a sleep of an hour ends at once.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are parts of tests")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{SimultaneousError, sleep, spawn, test, with_timeout, yield_slice};
use grapeshot_net::process::{Child, ChildStderr, Command, Stdio};
use grapeshot_net::stdio::{MAX_LINE, Stdin, stdin, stdout};

const CHILD: &str = "GRAPESHOT_STDIO_TEST_CHILD";
const HOUR: Duration = Duration::from_secs(3600);

/// Runs `program` in a process of its own, which is this test again, and `person` at the other end of its pipes.
fn play(test: &'static str, program: impl FnOnce() + 'static, person: impl FnOnce(&mut Program) + 'static) {
    if std::env::var_os(CHILD).is_some() {
        test::run(program);
        std::process::exit(0);
    }
    test::Test::new().real_time().run(move || {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut program = Program { child, stderr };
        person(&mut program);
        let Program { mut child, mut stderr } = program;
        drop(child.stdin.take());
        let mut report = String::new();
        stderr.read_to_string(&mut report).unwrap();
        assert!(child.wait().unwrap().success(), "{report}");
    });
}

struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Program {
    /// Types something on its stdin.
    fn types(&mut self, text: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(text).unwrap();
    }

    /// Waits for the program to [`say`] this.
    fn hears(&mut self, word: &str) {
        for line in self.stderr.by_ref().lines() {
            let line = line.unwrap();
            if line == word {
                return;
            }
            assert!(!line.contains("panicked"), "{line}");
        }
        panic!("the program ended without saying {word}");
    }
}

/// Tells the person something, on stderr, by blocking.
fn say(word: &str) {
    eprintln!("{word}");
}

fn line(stdin: &Stdin) -> String {
    let mut line = String::new();
    stdin.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_line_is_waited_for_while_others_run() {
    play(
        "a_line_is_waited_for_while_others_run",
        || {
            let reader = spawn(|| line(&stdin()));
            sleep(HOUR);
            assert!(!reader.is_finished());
            say("ready");
            assert_eq!(reader.join().unwrap(), "hello\n");
        },
        |program| {
            program.hears("ready");
            program.types(b"hello\n");
        },
    );
}

#[test]
fn a_cancelled_wait_loses_no_line() {
    play(
        "a_cancelled_wait_loses_no_line",
        || {
            let input = stdin();
            with_timeout(HOUR, || line(&input)).unwrap_err();
            say("cancelled");
            assert_eq!(line(&input), "one\n");
            say("more");
            // The beginning of a line comes before or after this is cancelled.
            with_timeout(HOUR, || line(&input)).unwrap_err();
            say("cancelled again");
            assert_eq!(line(&stdin()), "two\n");
            assert_eq!(line(&stdin()), "three\n");
        },
        |program| {
            program.hears("cancelled");
            program.types(b"one\n");
            program.hears("more");
            program.types(b"tw");
            program.hears("cancelled again");
            program.types(b"o\nthree\n");
        },
    );
}

/// Woken and cancelled in either order, line after line: all arrive, in order.
#[test]
fn no_line_is_lost_whoever_is_cancelled() {
    const LINES: usize = 200;
    play(
        "no_line_is_lost_whoever_is_cancelled",
        || {
            let lines = Rc::new(test::Log::new());
            let mut got = Vec::new();
            while got.len() < LINES {
                let reader = spawn({
                    let lines = lines.clone();
                    move || lines.add(line(&stdin()))
                });
                (0..grapeshot_core::random_u64() % 6).for_each(|_| yield_slice());
                reader.cancel();
                // Cancelled or not.
                let _ = reader.join();
                got.extend(lines.take());
            }
            let sent: Vec<String> = (0..LINES).map(|number| format!("{number}\n")).collect();
            assert_eq!(got, sent);
        },
        |program| (0..LINES).for_each(|number| program.types(format!("{number}\n").as_bytes())),
    );
}

#[test]
fn lines_end_where_the_input_ends() {
    play(
        "lines_end_where_the_input_ends",
        || {
            let lines: Vec<String> = stdin().lines().map(Result::unwrap).collect();
            assert_eq!(lines, ["one", "", "two", "three"]);
            assert_eq!(stdin().read(&mut [0; 8]).unwrap(), 0);
        },
        |program| program.types(b"one\n\ntwo\r\nthree"),
    );
}

#[test]
fn bytes_are_read_as_they_come() {
    play(
        "bytes_are_read_as_they_come",
        || {
            let mut bytes = [0; 3];
            stdin().read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"abc");
            let mut rest = Vec::new();
            stdin().read_to_end(&mut rest).unwrap();
            assert_eq!(rest.len(), 300_000);
        },
        |program| {
            program.types(b"abc");
            program.types(&[0xff; 300_000]);
        },
    );
}

#[test]
fn a_line_that_is_no_text_or_too_long_is_an_error() {
    play(
        "a_line_that_is_no_text_or_too_long_is_an_error",
        || {
            let input = stdin();
            assert_eq!(input.read_line(&mut String::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert_eq!(line(&input), "text\n");
            assert_eq!(input.read_line(&mut String::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
            let mut rest = Vec::new();
            (&input).read_to_end(&mut rest).unwrap();
            assert_eq!(rest.len(), MAX_LINE + 1);
        },
        |program| {
            program.types(b"\xff\xfe\ntext\n");
            program.types(&[b'x'; MAX_LINE + 1]);
        },
    );
}

#[test]
fn a_second_reader_of_one_handle_is_refused_and_one_of_another_is_not() {
    play(
        "a_second_reader_of_one_handle_is_refused_and_one_of_another_is_not",
        || {
            let input = Rc::new(stdin());
            let first = spawn({
                let input = input.clone();
                move || line(&input)
            });
            let other = spawn(|| line(&stdin()));
            sleep(HOUR);
            let refused = input.read_line(&mut String::new()).unwrap_err();
            assert!(refused.get_ref().unwrap().is::<SimultaneousError>());
            say("ready");
            let mut lines = [first.join().unwrap(), other.join().unwrap()];
            lines.sort();
            assert_eq!(lines, ["one\n", "two\n"]);
        },
        |program| {
            program.hears("ready");
            program.types(b"one\ntwo\n");
        },
    );
}

/// What the shell and others share with this program stays as it was.
#[test]
fn the_open_files_stay_blocking() {
    play(
        "the_open_files_stay_blocking",
        || {
            assert_eq!(line(&stdin()), "hello\n");
            stdout().write_all(b"hello\n").unwrap();
            for descriptor in [io::stdin().as_fd(), io::stdout().as_fd()] {
                let flags = rustix::fs::fcntl_getfl(descriptor).unwrap();
                assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
            }
        },
        |program| program.types(b"hello\n"),
    );
}

#[test]
fn a_stdout_that_nobody_reads_parks_its_writer_and_nobody_else() {
    const MUCH: usize = 1 << 20;
    play(
        "a_stdout_that_nobody_reads_parks_its_writer_and_nobody_else",
        || {
            let writer = spawn(|| stdout().write_all(&[b'#'; MUCH]).unwrap());
            sleep(HOUR);
            assert!(!writer.is_finished());
            say("full");
            writer.join().unwrap();
        },
        |program| {
            program.hears("full");
            let mut out = Vec::new();
            program.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out.iter().filter(|&&byte| byte == b'#').count(), MUCH);
        },
    );
}

/// What a cancelled writer had given away comes whole, and before what its handle writes next.
#[test]
fn a_cancelled_write_is_written_whole_and_first() {
    play(
        "a_cancelled_write_is_written_whole_and_first",
        || {
            let output = Rc::new(stdout());
            let writer = spawn({
                let output = output.clone();
                move || (&*output).write_all(&[b'#'; 1 << 20]).unwrap()
            });
            sleep(HOUR);
            writer.cancel();
            writer.join().unwrap_err();
            let next = spawn(move || (&*output).write_all(b"next\n").unwrap());
            sleep(HOUR);
            assert!(!next.is_finished());
            say("full");
            next.join().unwrap();
        },
        |program| {
            program.hears("full");
            let mut out = String::new();
            program.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
            let written = &out[out.find('#').unwrap()..];
            assert!(written.ends_with("#next\n") && (written.len() - 5).is_multiple_of(64 << 10), "{}", written.len());
        },
    );
}

#[test]
fn a_reader_that_has_gone_is_an_error_of_the_writer() {
    play(
        "a_reader_that_has_gone_is_an_error_of_the_writer",
        || {
            say("ready");
            assert_eq!(line(&stdin()), "gone\n");
            let error = stdout().write_all(b"to nobody\n").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        },
        |program| {
            program.hears("ready");
            drop(program.child.stdout.take());
            program.types(b"gone\n");
        },
    );
}
