//! A million sleepers that all end within one second.
//!
//! Each contender is a process of its own, for the sake of memory. It lets a million coroutines sleep and end, so
//! that its pools are warm, then measures a second million: from the first spawn to the last end. When each has had
//! its first turn, the process reads its resident memory and page tables.

use std::cell::Cell;
use std::env;
use std::io;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{run_suite, tokio_runtime};
use crate::machine::{self, Cores, thread_cpu};
use crate::options::Options;
use crate::stats::Summary;

/// The word that makes this program one contender: `sleep-as NAME`.
pub const SLEEP_AS: &str = "sleep-as";

const SLEEPERS: u64 = 1_000_000;

/// The times slept are spread over this.
const SPREAD: Duration = Duration::from_secs(1);

/// Rounds: each takes many seconds for each contender.
const MOST_ROUNDS: usize = 7;

/// The table of a million sleepers.
pub fn sleepers(options: &Options) -> io::Result<()> {
    machine::pin(Cores::pick()?.server)?;
    println!("\n## {SLEEPERS} sleepers within {SPREAD:?}\n");
    println!("| contender | CPU, of tokio's | CPU a sleeper, ns | memory a sleeper, KiB |");
    println!("|---|---|---|---|");
    let names = ["tokio", "Grapeshot"];
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); names.len()];
    for _ in 0..options.rounds.min(MOST_ROUNDS) {
        for (name, samples) in names.iter().zip(&mut samples) {
            samples.push(in_child(name)?);
        }
    }
    for (name, ours) in names.iter().zip(&samples) {
        let ratio = Summary::of(ours.iter().zip(&samples[0]).map(|(ours, theirs)| ours.cpu / theirs.cpu));
        let cpu = Summary::of(ours.iter().map(|sample| sample.cpu));
        let memory = Summary::of(ours.iter().map(|sample| sample.memory / 1024.0));
        println!("| {name} | {ratio} | {cpu:.0} | {memory:.3} |");
    }
    Ok(())
}

/// What one sleeper costs.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Nanoseconds of CPU.
    cpu: f64,
    /// Bytes while all are asleep.
    memory: f64,
}

fn in_child(name: &str) -> io::Result<Sample> {
    let output = Command::new(env::current_exe()?).args([SLEEP_AS, name]).output()?;
    let words = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [cpu, memory] if output.status.success() => Ok(Sample { cpu, memory }),
        _ => {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("{name}: {}: {why}", output.status)))
        }
    }
}

/// Runs the contender of that name and prints what a sleeper cost.
pub fn sleep_as(name: &str) -> io::Result<()> {
    match name {
        "Grapeshot" => grapeshot(),
        "tokio" => tokio(),
        _ => return Err(io::Error::other(format!("no contender is called {name:?}"))),
    }
    Ok(())
}

fn grapeshot() {
    run_suite(|| {
        let mut crowd = Crowd::new();
        let ended = Rc::new(Cell::new(0));
        while crowd.begin() {
            ended.set(0);
            for index in 0..SLEEPERS {
                let ended = ended.clone();
                grapeshot::spawn(move || {
                    grapeshot::sleep(time_slept(index));
                    ended.set(ended.get() + 1);
                });
            }
            grapeshot::yield_now();
            crowd.note_memory();
            while ended.get() < SLEEPERS {
                grapeshot::sleep(SPREAD / 20);
            }
            crowd.end();
        }
    });
}

fn tokio() {
    let main = async {
        let mut crowd = Crowd::new();
        let ended = Arc::new(AtomicU64::new(0));
        while crowd.begin() {
            ended.store(0, Ordering::Relaxed);
            for index in 0..SLEEPERS {
                let ended = ended.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time_slept(index)).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
            tokio::task::yield_now().await;
            crowd.note_memory();
            while ended.load(Ordering::Relaxed) < SLEEPERS {
                tokio::time::sleep(SPREAD / 20).await;
            }
            crowd.end();
        }
    };
    let runtime = tokio_runtime();
    runtime.block_on(async { runtime.spawn(main).await.expect("the sleepers' parent ends") });
}

/// How long sleeper `index` sleeps: evenly spread, in an order that jumps about.
fn time_slept(index: u64) -> Duration {
    // The factor has no divisor in common with the number of sleepers, so each place is taken once.
    let place = index * 618_033 % SLEEPERS;
    SPREAD * place as u32 / SLEEPERS as u32
}

/// The two crowds of a contender: one to warm up, one to measure.
struct Crowd {
    crowds: u32,
    cpu_before: Duration,
    memory_before: u64,
    memory: u64,
}

impl Crowd {
    fn new() -> Self {
        Self { crowds: 0, cpu_before: Duration::ZERO, memory_before: resident(), memory: 0 }
    }

    /// Begins a crowd, unless both have been.
    fn begin(&mut self) -> bool {
        self.crowds += 1;
        self.cpu_before = thread_cpu();
        self.crowds <= 2
    }

    fn note_memory(&mut self) {
        self.memory = resident().saturating_sub(self.memory_before);
    }

    fn end(&self) {
        let cpu = (thread_cpu() - self.cpu_before).as_nanos() as u64;
        if self.crowds == 2 {
            let each = |total: u64| total as f64 / SLEEPERS as f64;
            println!("{} {}", each(cpu), each(self.memory));
        }
    }
}

fn resident() -> u64 {
    machine::resident("self").expect("the kernel tells a process about itself")
}
