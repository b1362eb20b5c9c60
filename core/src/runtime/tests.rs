//! What a run does with a reactor that fails, and what it asks of one: nothing outside core can supply another.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::reactor::{Event, Remote};
use crate::record::Body;
use crate::stack::tests::{in_child, rerun};
use crate::test::{self, Log, Test};
use crate::{scope, sleep, spawn, yield_slice};

const HOUR: Duration = Duration::from_secs(3600);

/// A reactor without descriptors, which does as it is told at each poll.
struct Scripted<F> {
    poll: F,
}

impl<F: FnMut(Duration) -> io::Result<()>> Reactor for Scripted<F> {
    fn register(&self, _: RawFd, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn deregister(&self, _: RawFd) -> io::Result<()> {
        Ok(())
    }

    fn remote(&self) -> io::Result<Box<dyn Remote>> {
        MioReactor::new()?.remote()
    }

    fn poll(&mut self, timeout: Duration, _: &mut Vec<Event>) -> io::Result<()> {
        (self.poll)(timeout)
    }
}

fn scripted(poll: impl FnMut(Duration) -> io::Result<()> + 'static) -> Box<dyn Reactor> {
    Box::new(Scripted { poll })
}

/// Fails in a way from the third poll on.
fn failing(fail: impl Fn() -> io::Result<()> + 'static) -> Box<dyn Reactor> {
    let mut polls = 0;
    scripted(move |_| {
        polls += 1;
        if polls < 3 { Ok(()) } else { fail() }
    })
}

/// Adds a line to a log when it is dropped.
struct Note(Log, &'static str);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A main coroutine with a child that borrows from it; both wait, without end, and note when they are freed.
fn borrowing_family(log: &Log) -> impl FnOnce() + use<> {
    let log = log.clone();
    move || {
        let local = Note(log, "local");
        scope(|scope| {
            scope.spawn(|| {
                let _child = Note(local.0.clone(), "child");
                loop {
                    yield_slice();
                }
            });
        });
    }
}

/// DESIGN §3: nothing on the stacks is freed, and the thread can have another runtime.
#[test]
fn when_the_reactor_panics_everything_is_leaked_and_nothing_freed() {
    let log = Log::new();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let reactor = failing(|| panic!("the reactor is broken"));
        Runtime::new().signals(false).run_on(reactor, borrowing_family(&log)).map(drop)
    }));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "the reactor is broken");
    assert!(log.take().is_empty());
    assert!(!crate::in_coroutine());
    test::run(|| spawn(|| ()).join().unwrap());
    assert!(log.take().is_empty());
}

/// Nothing of the user's gets through the root of a coroutine; should the runtime fail there, nothing is freed either.
#[test]
fn when_a_panic_escapes_from_a_coroutine_everything_is_leaked_and_nothing_freed() {
    struct Broken;
    impl Body for Broken {
        fn run(&self, _: &Rc<Record>) {
            panic!("the root is broken");
        }
        fn discard(&self) {}
        fn take_panic(&self) -> Option<Panic> {
            None
        }
    }
    if in_child().is_none() {
        let name = "when_a_panic_escapes_from_a_coroutine_everything_is_leaked_and_nothing_freed";
        let output = rerun("runtime::tests", name, "let it escape");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{report}");
        assert!(
            report.contains("coroutine 4 (unnamed) panicked: the root is broken, at core/src/runtime/"),
            "{report}"
        );
        return;
    }
    let log = Log::new();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let family = borrowing_family(&log);
        Runtime::new().signals(false).run(move || {
            spawn(family);
            yield_slice();
            let broken: Rc<Record> = Builder::new().make(Broken, Location::caller()).unwrap();
            scheduler::with(|scheduler| scheduler.start(&broken));
            yield_slice();
        })
    }));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "the root is broken");
    assert!(log.take().is_empty());
    assert!(!crate::in_coroutine());
    test::run(|| spawn(|| ()).join().unwrap());
}

/// As if the process were a forked child, whose number is another than that of the process which made the reactor.
#[test]
fn a_loop_about_to_wait_in_a_forked_child_aborts_with_a_sentence() {
    if in_child().is_some() {
        let _ = Runtime::new().signals(false).run(|| {
            let parent = rustix::process::getppid().unwrap();
            scheduler::with(|scheduler| scheduler.process.set(parent));
            // As long as somebody is runnable nothing is looked at.
            yield_slice();
            eprintln!("about to wait");
            sleep(Duration::from_millis(1));
        });
        return;
    }
    let name = "a_loop_about_to_wait_in_a_forked_child_aborts_with_a_sentence";
    let output = rerun("runtime::tests", name, "wait");
    let report = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(rustix::process::Signal::ABORT.as_raw()), "{report}");
    let (_, said) = report.split_once("about to wait\n").unwrap();
    let sentence = "this process was forked from the one that runs the loop, whose reactor it shares: \
                    after a fork only exec, or a new process, is safe";
    assert_eq!((said.matches(sentence).count(), said.lines().count()), (1, 1), "{report}");
}

/// Its error is the run's, and the coroutines have a turn in which to end.
#[test]
fn when_the_reactor_fails_the_run_ends_with_its_error() {
    let log = Log::new();
    let reactor = failing(|| Err(io::Error::other("the reactor is broken")));
    let ended = Runtime::new().signals(false).run_on(reactor, borrowing_family(&log));
    assert_eq!(io::Error::from(ended.unwrap_err()).to_string(), "the reactor is broken");
    assert_eq!(log.take(), ["child", "local"]);
}

/// How long the poller was told to wait, at most, while `main` ran.
fn longest_wait(main: impl FnOnce() + 'static) -> Duration {
    let longest = Rc::new(Cell::new(Duration::ZERO));
    let reactor = scripted({
        let longest = longest.clone();
        move |timeout| {
            longest.set(longest.get().max(timeout));
            Ok(())
        }
    });
    assert!(Runtime::new().signals(false).run_on(reactor, main).is_ok());
    longest.get()
}

/// `SCH-4`
#[test]
fn the_poller_waits_for_the_next_timer_at_most() {
    let limit = Duration::from_millis(5);
    let longest = longest_wait(move || {
        spawn(|| sleep(HOUR));
        sleep(limit);
    });
    assert!(!longest.is_zero() && longest <= limit, "{longest:?}");
}

/// `SCH-4`
#[test]
fn the_poller_does_not_wait_while_anyone_is_runnable() {
    assert_eq!(longest_wait(|| (0..10).for_each(|_| yield_slice())), Duration::ZERO);
}

#[test]
fn a_registration_that_is_refused_is_an_error_of_the_operation() {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use crate::{Direction, Source, WaitLimit};

    let (ours, _theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    Test::new().run_on(scripted(|_| Ok(())), move || {
        let source = Source::new(ours);
        let read = |mut stream: &UnixStream| stream.read(&mut [0; 1]);
        let error = source.attempt(Direction::Read, "read", WaitLimit::Never, |_| false, read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
}
