//! The thread that finds the names for the watchdog's stacks, so that the watchdog never looks away from the loop.
//!
//! ```text
//!   watchdog ── addresses ──► "names" ──┬─ at once: they are in the warning that names the holder
//!                                       └─ late: they are in another one, when they are found
//! ```
//!
//! # Invariants
//!
//! - Stacks are answered in the order in which they were asked for, and every one of them is.
//! - The thread is there from the first stack on: most programs never need it.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::report::LatencyWarning;
use super::unwind::Addresses;
use crate::symbols::StackTrace;

/// Of how many stacks the names are looked for at a time; holds beyond them are named without.
const ASKED_AT_ONCE: usize = 16;

/// How often it is looked whether it is still worth waiting for a stack's names.
const WAIT_STEP: Duration = Duration::from_millis(1);

/// A warning that was given without its stack.
pub(super) struct Late {
    pub(super) warning: LatencyWarning,
    pub(super) stretch: u64,
    pub(super) since: Instant,
}

/// The names that are being looked for.
#[derive(Default)]
pub(super) struct Names {
    finder: Option<Finder>,
    /// In the order of the questions.
    late: VecDeque<Late>,
}

struct Finder {
    questions: Sender<Addresses>,
    answers: Receiver<StackTrace>,
}

impl Names {
    /// Whether a warning waits for its stack.
    pub(super) fn are_owed(&self) -> bool {
        !self.late.is_empty()
    }

    /// Begins to look for a stack's names; false if that cannot be done.
    pub(super) fn ask(&mut self, stack: Addresses) -> bool {
        if stack.addresses.is_empty() || self.late.len() >= ASKED_AT_ONCE {
            return false;
        }
        if self.finder.is_none() {
            self.finder = Finder::start().ok();
        }
        self.finder.as_ref().is_some_and(|finder| finder.questions.send(stack).is_ok())
    }

    /// Waits for the names just asked for, if nobody else's are looked for, for at most `limit` and while `is_worth_it`.
    pub(super) fn wait(&mut self, limit: Duration, is_worth_it: impl Fn() -> bool) -> Option<StackTrace> {
        let finder = self.finder.as_ref().filter(|_| self.late.is_empty())?;
        let until = Instant::now() + limit;
        while is_worth_it() && Instant::now() < until {
            match finder.answers.recv_timeout(WAIT_STEP) {
                Ok(stack) => return Some(stack),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    /// Keeps a warning whose stack was asked for last, and was not waited for with success.
    pub(super) fn keep(&mut self, late: Late) {
        self.late.push_back(late);
    }

    /// Says of the warnings of a stretch that it is over.
    pub(super) fn end(&mut self, stretch: u64, held: Duration) {
        for late in self.late.iter_mut().filter(|late| late.stretch == stretch) {
            late.warning.is_over = true;
            late.warning.held = held;
        }
    }

    /// The next warning whose stack has been found; with `waits`, also one whose stack is still to be found.
    pub(super) fn take(&mut self, waits: bool) -> Option<LatencyWarning> {
        while !self.late.is_empty() {
            let finder = self.finder.as_ref()?;
            let answer = if waits {
                finder.answers.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                finder.answers.try_recv()
            };
            match answer {
                Err(TryRecvError::Empty) => return None,
                // It can only have failed in reading what the program was built with; then there are no names.
                Err(TryRecvError::Disconnected) => {
                    self.late.clear();
                    self.finder = None;
                }
                Ok(stack) => {
                    let Late { mut warning, since, .. } = self.late.pop_front()?;
                    if stack.frames().is_empty() {
                        continue;
                    }
                    if !warning.is_over {
                        warning.held = since.elapsed();
                    }
                    warning.stack = stack;
                    return Some(warning);
                }
            }
        }
        None
    }
}

impl Finder {
    fn start() -> io::Result<Finder> {
        let (questions, asked) = channel::<Addresses>();
        let (found, answers) = channel();
        let watchdog = thread::current();
        // It ends with the questions, and the watchdog waits for its last answer.
        thread::Builder::new().name("names".to_owned()).spawn(move || {
            for stack in asked {
                let is_wanted = found.send(StackTrace::resolve(&stack.addresses, stack.is_cut)).is_ok();
                if !is_wanted {
                    return;
                }
                watchdog.unpark();
            }
        })?;
        Ok(Finder { questions, answers })
    }
}
