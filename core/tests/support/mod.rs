//! What several of the test files need: every schedule, a process of its own, and a note of what was dropped.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "these are parts of tests")]

use std::cell::Cell;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::rc::Rc;

use grapeshot_core::test::{Log, Test};
use grapeshot_core::{Reason, Unparked, Unparker, Withdrawal, park};

/// Tells a test that it runs in a process of its own.
const CHILD: &str = "GRAPESHOT_TEST_CHILD";

/// Runs `body` under as many different orders of the run queue as `GRAPESHOT_SEEDS` says, or 200.
pub(crate) fn on_every_schedule(body: impl Fn() + Copy + 'static) {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(200, |count| count.parse().unwrap());
    for seed in 0..seeds {
        let told = SaySeed(seed);
        Test::new().seed(seed).run(body);
        drop(told);
    }
}

/// Says on the way out of a failing test which seed it was.
struct SaySeed(u64);

impl Drop for SaySeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with Test::new().seed({})", self.0);
        }
    }
}

/// Whether the test runs in a process of its own, where it is to do what its parent looks at.
pub(crate) fn in_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// The same test in a process of its own.
pub(crate) struct Child {
    process: std::process::Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Ended {
    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, having said: {}", self.status, self.stderr)
    }
}

impl Child {
    /// Starts the test with this name again.
    pub(crate) fn start(test: &str) -> Child {
        Child::with_stderr(test, Stdio::piped())
    }

    /// Starts the test with this name again, with a stderr other than a pipe to this process.
    pub(crate) fn with_stderr(test: &str, stderr: impl Into<Stdio>) -> Child {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let stderr = process.stderr.take();
        Child { process, stdout, stderr }
    }

    /// Waits for the child to [`say`] this.
    pub(crate) fn wait_for(&mut self, word: &str) {
        for line in self.stdout.by_ref().lines() {
            if line.unwrap().ends_with(word) {
                return;
            }
        }
        panic!("the child ended without saying {word}: {}", self.read_stderr());
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, signal).unwrap();
    }

    fn read_stderr(&mut self) -> String {
        self.stderr.take().map(|stderr| std::io::read_to_string(stderr).unwrap()).unwrap_or_default()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let stderr = self.read_stderr();
        std::io::copy(&mut self.stdout, &mut std::io::sink()).unwrap();
        Ended { status: self.process.wait().unwrap(), stderr }
    }
}

/// Runs the test with this name in a process of its own, to its end.
pub(crate) fn run_alone(test: &str) -> Ended {
    Child::start(test).end()
}

/// Says a word to the parent.
pub(crate) fn say(word: &str) {
    println!("\n{word}");
}

/// Ends the child, before the harness can print what the parent does not want to read.
pub(crate) fn exit(code: impl std::process::Termination) -> ! {
    use std::process::ExitCode;
    let code = code.report();
    let number = (0..=255).find(|&number| ExitCode::from(number) == code);
    std::process::exit(number.map_or(255, i32::from))
}

/// Adds a line to a log when it is dropped.
pub(crate) struct Note(pub(crate) Log, pub(crate) &'static str);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A wait that the test ends by hand.
#[derive(Clone, Default)]
pub(crate) struct Bell {
    unparker: Rc<Cell<Option<Unparker>>>,
    withdrawn: Rc<Cell<bool>>,
}

impl Bell {
    pub(crate) fn new() -> Bell {
        Bell::default()
    }

    /// Waits for the bell.
    pub(crate) fn wait(&self) -> Unparked {
        park(
            Reason::Other("the bell"),
            None,
            |unparker| self.unparker.set(Some(unparker)),
            || {
                self.withdrawn.set(true);
                Withdrawal::Withdrawn
            },
        )
    }

    /// What ends the wait that was begun last.
    pub(crate) fn unparker(&self) -> Unparker {
        let unparker = self.unparker.take().unwrap();
        self.unparker.set(Some(unparker.clone()));
        unparker
    }

    /// Whether a wait was given up.
    pub(crate) fn was_withdrawn(&self) -> bool {
        self.withdrawn.get()
    }
}
