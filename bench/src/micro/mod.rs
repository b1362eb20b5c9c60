//! Costs inside one process: switching, spawning and joining.
//!
//! Each contender has a thread of its own, all on the same core, and keeps its runtime and its coroutines alive
//! between turns. It runs only during its turn: otherwise its conductor blocks the whole thread on a channel.
//! A round gives every contender one turn, in shuffled order, timed by the CPU clock of its thread; the ratios to
//! tokio are taken within the round.

mod sleepers;
mod spawn;
mod threads;
mod waits;
mod yield_now;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::machine::{self, Cores};
use crate::options::Options;
use crate::stats::Summary;

pub use sleepers::{SLEEP_AS, sleep_as, sleepers};
pub use spawn::spawn;
pub use threads::threads;
pub use waits::waits;
pub use yield_now::yield_now;

/// What the others are compared with.
const YARDSTICK: &str = "tokio";

/// A contender's end of the baton: tells it when to run, takes what it measured.
pub struct Conductor {
    turns: Receiver<()>,
    results: Sender<f64>,
}

impl Conductor {
    /// Runs `turn` once for each of this contender's turns, with the thread blocked in between.
    ///
    /// `turn` returns how many operations it did.
    pub fn conduct(&self, mut turn: impl FnMut() -> u64) {
        while self.wait_turn() {
            let start = machine::thread_cpu();
            let operations = turn();
            self.report(start, operations);
        }
    }

    /// Blocks the thread until the next turn; false when there is none.
    pub fn wait_turn(&self) -> bool {
        self.turns.recv().is_ok()
    }

    /// Ends a turn that began when the thread's CPU clock said `start`.
    pub fn report(&self, start: Duration, operations: u64) {
        self.report_spent(machine::thread_cpu() - start, operations);
    }

    /// Ends a turn that took so much CPU time.
    pub fn report_spent(&self, spent: Duration, operations: u64) {
        // The receiver is gone only when the run has failed already.
        let _ = self.results.send(spent.as_nanos() as f64 / operations as f64);
    }
}

/// A runtime with coroutines in it, on a thread of its own.
struct Contender {
    name: &'static str,
    turns: Sender<()>,
    results: Receiver<f64>,
    thread: JoinHandle<()>,
    /// Nanoseconds of CPU an operation, one sample a round.
    samples: Vec<f64>,
}

/// A contender's name and program: it sets up the given number of coroutines and gives itself to the conductor.
type Subject = (&'static str, fn(u64, Conductor));

impl Contender {
    /// Starts those of `subjects` that the options ask for, and the yardstick.
    fn start_all(options: &Options, subjects: &[Subject], count: u64) -> Vec<Self> {
        let wanted = subjects.iter().filter(|(name, _)| *name == YARDSTICK || options.wants(name));
        wanted.map(|&subject| Self::start(subject, count)).collect()
    }

    fn start((name, body): Subject, count: u64) -> Self {
        let (turns, next_turn) = channel();
        let (report, results) = channel();
        let conductor = Conductor { turns: next_turn, results: report };
        Self { name, turns, results, thread: thread::spawn(move || body(count, conductor)), samples: Vec::new() }
    }

    fn turn(&self) -> io::Result<f64> {
        let gone = || io::Error::other(format!("{} died", self.name));
        self.turns.send(()).map_err(|_| gone())?;
        self.results.recv().map_err(|_| gone())
    }

    /// Ends the contender, which notices that there will be no more turns.
    fn stop(self) -> io::Result<()> {
        drop(self.turns);
        let panicked = |_| io::Error::other(format!("{} panicked", self.name));
        self.thread.join().map_err(panicked)
    }
}

/// Lets the contenders take turns and prints a row for each.
fn compare(options: &Options, label: &str, mut contenders: Vec<Contender>) -> io::Result<()> {
    for round in 0..options.rounds + 1 {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        options.shuffle(&mut order);
        for index in order {
            let sample = contenders[index].turn()?;
            // The first round warms caches and pools.
            if round > 0 {
                contenders[index].samples.push(sample);
            }
        }
    }
    let yardstick = contenders.iter().find(|contender| contender.name == YARDSTICK);
    let Some(yardstick) = yardstick else {
        return Err(io::Error::other("the yardstick did not run"));
    };
    for contender in &contenders {
        let pairs = contender.samples.iter().zip(&yardstick.samples);
        let ratio = Summary::of(pairs.map(|(ours, theirs)| ours / theirs));
        let nanos = Summary::of(contender.samples.iter().copied());
        println!("| {label} | {} | {ratio} | {nanos:.1} |", contender.name);
    }
    // The next ones find the core free of them.
    contenders.into_iter().try_for_each(Contender::stop)
}

/// Puts this process on one core and opens a table.
fn begin(title: &str, first_column: &str) -> io::Result<()> {
    machine::pin(Cores::pick()?.server)?;
    println!("\n## {title}\n");
    println!("| {first_column} | contender | CPU, of tokio's | CPU each, ns |");
    println!("|---|---|---|---|");
    Ok(())
}

/// A runtime of Grapeshot's on this thread. Signals are left to the process, and a turn may hold the loop.
fn run_suite(main: impl FnOnce() + 'static) {
    let runtime = grapeshot::Runtime::new().signals(false).latency_warning(None);
    runtime.run(main).expect("a thread of its own takes a runtime");
}

/// tokio with one thread, as its users run it.
fn tokio_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("tokio starts")
}

/// may with one worker on the core of this process, and room for all its stacks in the pool.
fn configure_may() {
    may::config().set_workers(1).set_pool_capacity(20_000).set_worker_pin(false);
}
