//! A million sleepers that are due within one second.
//!
//! Each contender is a process of its own, for the sake of memory. It lets a million coroutines sleep and end, so
//! that its pools are warm, then measures a second million: from the first spawn to the last end. All are asleep
//! before the first is due, and then the process reads its resident memory and page tables.

use std::cell::Cell;
use std::env;
use std::io;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{run_suite, tokio_runtime};
use crate::machine::{self, Cores, thread_cpu};
use crate::options::Options;
use crate::stats::Summary;

/// The word that makes this program one contender: `sleep-as NAME`.
pub const SLEEP_AS: &str = "sleep-as";

const SLEEPERS: u64 = 1_000_000;

/// The due times are spread over this.
const SPREAD: Duration = Duration::from_secs(1);

/// How long spawning may take at first; afterwards, so many times what it took.
const FIRST_START: Duration = Duration::from_secs(8);
const MARGIN: u32 = 3;

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
        while let Some(first_due) = crowd.begin() {
            ended.set(0);
            for index in 0..SLEEPERS {
                let ended = ended.clone();
                grapeshot::spawn(move || {
                    grapeshot::sleep_until(first_due + delay(index));
                    ended.set(ended.get() + 1);
                });
            }
            grapeshot::yield_now();
            crowd.all_asleep(ended.get());
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
        while let Some(first_due) = crowd.begin() {
            ended.store(0, Ordering::Relaxed);
            for index in 0..SLEEPERS {
                let ended = ended.clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until((first_due + delay(index)).into()).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
            tokio::task::yield_now().await;
            crowd.all_asleep(ended.load(Ordering::Relaxed));
            while ended.load(Ordering::Relaxed) < SLEEPERS {
                tokio::time::sleep(SPREAD / 20).await;
            }
            crowd.end();
        }
    };
    let runtime = tokio_runtime();
    runtime.block_on(async { runtime.spawn(main).await.expect("the sleepers' parent ends") });
}

/// When sleeper `index` is due after the first: in an order that jumps about, and evenly spread.
fn delay(index: u64) -> Duration {
    // The factor has no divisor in common with the number of sleepers, so each place is taken once.
    let place = index * 618_033 % SLEEPERS;
    SPREAD * place as u32 / SLEEPERS as u32
}

/// The two crowds of a contender: one to warm up, one to measure.
struct Crowd {
    memory_before: u64,
    start_time: Duration,
    crowds: u32,
    began: Instant,
    cpu_before: Duration,
    memory: f64,
}

impl Crowd {
    fn new() -> Self {
        Self {
            memory_before: machine::resident("self").expect("the kernel tells"),
            start_time: FIRST_START,
            crowds: 0,
            began: Instant::now(),
            cpu_before: Duration::ZERO,
            memory: 0.0,
        }
    }

    /// Begins a crowd and says when its first sleeper is due; `None` when both have been.
    fn begin(&mut self) -> Option<Instant> {
        if self.crowds == 2 {
            return None;
        }
        self.crowds += 1;
        self.began = Instant::now();
        self.cpu_before = thread_cpu();
        Some(self.began + self.start_time)
    }

    fn all_asleep(&mut self, ended: u64) {
        assert_eq!(ended, 0, "some were due before all slept: the machine is too slow for this");
        self.start_time = self.began.elapsed() * MARGIN;
        let memory = machine::resident("self").expect("the kernel tells");
        self.memory = memory.saturating_sub(self.memory_before) as f64;
    }

    fn end(&self) {
        let cpu = (thread_cpu() - self.cpu_before).as_nanos() as f64;
        if self.crowds == 2 {
            println!("{} {}", cpu / SLEEPERS as f64, self.memory / SLEEPERS as f64);
        }
    }
}
