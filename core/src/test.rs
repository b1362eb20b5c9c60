//! The test runtime: virtual time, seeded order, and a verdict on what was left behind.
//!
//! [`run`] runs a test's body in a coroutine under a clock that jumps to the next timer when nothing can run.
//! The test fails when the body panics, when any coroutine crashed with nobody to join it (EMU-3),
//! when nothing can run and nothing ever will, and when coroutines, timers, registrations or stacks are left at the end.
//!
//! ```
//! use std::time::Duration;
//! use grapeshot_core::{sleep, test};
//!
//! test::run(|| sleep(Duration::from_secs(86_400)));
//! ```
//!
//! Where a real peer takes part, time must be real: `Test::new().real_time().run(…)`.

use std::cell::RefCell;
use std::panic;
use std::rc::Rc;
use std::time::Duration;

use crate::reactor::{MioReactor, Reactor};
use crate::runtime::{Exit, Leftovers, Runtime};
use crate::stack::Guards;

/// Runs a test's body under virtual time.
///
/// # Panics
///
/// When the test fails, for one of the reasons this module lists.
#[track_caller]
pub fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    Test::new().run(body)
}

/// The settings of a test.
#[derive(Clone, Debug)]
#[must_use = "a test does nothing until it runs"]
pub struct Test {
    runtime: Runtime,
    crashes_allowed: bool,
}

impl Default for Test {
    fn default() -> Test {
        let runtime = Runtime::new().signals(false).seed(1).exit_deadline(Duration::from_secs(10));
        let mut runtime = runtime.latency_warning(None);
        runtime.virtual_time = true;
        Test { runtime, crashes_allowed: false }
    }
}

impl Test {
    /// The settings that [`run`] uses: virtual time, first in, first out.
    pub fn new() -> Test {
        Test::default()
    }

    /// Lets the scheduler pick the next coroutine at random, from this seed, as it does every random number.
    pub fn seed(mut self, seed: u64) -> Test {
        self.runtime = self.runtime.seed(seed);
        self.runtime.shuffle = true;
        self
    }

    /// Lets time pass as it does, for tests with real peers.
    pub fn real_time(mut self) -> Test {
        self.runtime.virtual_time = false;
        self
    }

    /// Lets coroutines crash without failing the test, for tests of just that.
    pub fn allow_crashes(mut self) -> Test {
        self.crashes_allowed = true;
        self
    }

    /// How long coroutines have to end after the body; 10 s unless set.
    pub fn exit_deadline(mut self, deadline: Duration) -> Test {
        self.runtime = self.runtime.exit_deadline(deadline);
        self
    }

    /// For how long a coroutine may hold the loop before the watchdog says so, in real time; for ever unless set.
    pub fn latency_warning(mut self, limit: Option<Duration>) -> Test {
        self.runtime = self.runtime.latency_warning(limit);
        self
    }

    /// How the guards of stacks are made.
    pub fn guards(mut self, guards: Guards) -> Test {
        self.runtime = self.runtime.guards(guards);
        self
    }

    /// How many coroutines there may be.
    pub fn max_coroutines(mut self, limit: usize) -> Test {
        self.runtime = self.runtime.max_coroutines(limit);
        self
    }

    /// Runs the body and returns what it returns.
    ///
    /// # Panics
    ///
    /// When the test fails.
    #[track_caller]
    pub fn run<T: 'static>(&self, body: impl FnOnce() -> T + 'static) -> T {
        let reactor = match MioReactor::new() {
            Ok(reactor) => reactor,
            Err(error) => panic!("no reactor: {error}"),
        };
        self.run_on(Box::new(reactor), body)
    }

    #[track_caller]
    pub(crate) fn run_on<T: 'static>(&self, reactor: Box<dyn Reactor>, body: impl FnOnce() -> T + 'static) -> T {
        let (exit, leftovers) = match self.runtime.run_on(reactor, body) {
            Ok(ended) => ended,
            Err(error) => panic!("{}", std::io::Error::from(error)),
        };
        let value = match exit {
            Exit::Returned(value) => value,
            Exit::Requested(code) => panic!("the test's body was ended by set_exit({code})"),
            Exit::Cancelled => panic!("the test's body was cancelled"),
            Exit::Panicked(panic) => panic::resume_unwind(panic.into_payload()),
        };
        self.judge(&leftovers);
        value
    }

    fn judge(&self, leftovers: &Leftovers) {
        let Leftovers { stats, crashes } = leftovers;
        let crashes = if self.crashes_allowed { 0 } else { *crashes };
        assert!(crashes == 0, "{crashes} coroutines crashed with nobody to join them; see the reports on stderr");
        let left = [
            (stats.coroutines, "coroutines that did not end"),
            (stats.timers, "timers"),
            (stats.registrations, "registered descriptors"),
            (stats.stacks, "stacks in use"),
        ];
        let leaks: Vec<String> =
            left.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        assert!(leaks.is_empty(), "the test left behind: {}", leaks.join(", "));
    }
}

/// A list that coroutines of a test append to, and the test compares.
///
/// ```
/// use grapeshot_core::{spawn, test};
///
/// test::run(|| {
///     let log = test::Log::new();
///     let seen = log.clone();
///     spawn(move || seen.add("child")).join().unwrap();
///     log.add("parent");
///     assert_eq!(log.take(), ["child", "parent"]);
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Log {
    lines: Rc<RefCell<Vec<String>>>,
}

impl Log {
    /// An empty list.
    pub fn new() -> Log {
        Log::default()
    }

    /// Appends a line.
    pub fn add(&self, line: impl Into<String>) {
        self.lines.borrow_mut().push(line.into());
    }

    /// Takes all lines so far.
    pub fn take(&self) -> Vec<String> {
        self.lines.take()
    }
}
