//! What the callers heard, held against what the servers ran.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use grapeshot::rpc::{CallError, Outcome};

/// What the caller of each number heard.
#[derive(Default)]
pub(crate) struct Tally {
    heard: RefCell<BTreeMap<u64, Heard>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Answer,
    Unknown,
    NotRun,
}

impl Tally {
    pub(crate) fn add(&self, number: u64, result: Result<u64, CallError>) {
        let heard = match result.map_err(|error| error.outcome()) {
            Ok(_) => Heard::Answer,
            Err(Outcome::NotRun) => Heard::NotRun,
            // `Ran`: a failure of the method, of which there is none here but the file's.
            Err(Outcome::Unknown | Outcome::Ran) => Heard::Unknown,
        };
        self.heard.borrow_mut().insert(number, heard);
    }

    fn count(&self, heard: Heard) -> usize {
        self.heard.borrow().values().filter(|other| **other == heard).count()
    }

    pub(crate) fn heard(&self) -> String {
        let (answers, unknown, not_run) =
            (self.count(Heard::Answer), self.count(Heard::Unknown), self.count(Heard::NotRun));
        format!("calls: {answers} answered, {unknown} of unknown outcome, {not_run} not run")
    }

    /// Compares with how often each number ran.
    pub(crate) fn compare(&self, runs: &BTreeMap<u64, u64>) -> Verdict {
        let heard = self.heard.borrow();
        let times = |number: &u64| runs.get(number).copied().unwrap_or(0);
        let count = |wanted: Heard, times_wanted: u64| {
            heard.iter().filter(|(number, heard)| **heard == wanted && times(number) == times_wanted).count()
        };
        Verdict {
            run: runs.len(),
            run_twice: runs.values().filter(|times| **times > 1).count(),
            lost: count(Heard::Answer, 0),
            unknown_that_ran: count(Heard::Unknown, 1),
            denied: heard.iter().filter(|(number, heard)| **heard == Heard::NotRun && times(number) > 0).count(),
        }
    }
}

/// What came of it.
pub(crate) struct Verdict {
    run: usize,
    run_twice: usize,
    /// Answered, and not run.
    lost: usize,
    unknown_that_ran: usize,
    /// Said not to have run, and run.
    denied: usize,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.run_twice == 0 && self.lost == 0 && self.denied == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { run, run_twice, lost, unknown_that_ran, denied } = self;
        writeln!(f, "run: {run}, of which {unknown_that_ran} of unknown outcome")?;
        write!(f, "run twice: {run_twice}, answered and not run: {lost}, said not to have run and run: {denied}")
    }
}
