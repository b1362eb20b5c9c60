//! Many coroutines sleep for a random time of up to a second, all at once.
//!
//! ```sh
//! cargo run --release --example sleepers
//! cargo run --release --example sleepers -- 1000000
//! ```
//!
//! You see how many there were, how long it took them all, how late the latest woke, and what memory each held;
//! and then the same on stacks that the system has already given. A million of them need about five gigabytes.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::error::Error;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use grapeshot::{Builder, JoinHandle, random_u64, sleep, stats, yield_now};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Some(1000), |count| count.parse().ok()).filter(|&count| count > 0);
    let (Some(count), None) = (count, arguments.next()) else {
        eprintln!("usage: sleepers [COUNT], where COUNT is how many are to sleep: 1 or more, and 1000 unless given");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match sleep_twice(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sleepers: {error}");
            ExitCode::FAILURE
        }
    })
}

fn sleep_twice(count: usize) -> Result<(), Box<dyn Error>> {
    let without = resident_kib()?;
    println!("new stacks:");
    sleep_all(count, without)?;
    println!("the same stacks once more:");
    sleep_all(count, without)
}

fn sleep_all(count: usize, kib_without: u64) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    // The builder's spawn reports a limit or a lack of memory as an error; plain `spawn` would panic.
    let sleepers: Vec<JoinHandle<Duration>> =
        (0..count).map(|_| Builder::new().spawn(sleep_a_while)).collect::<io::Result<_>>()?;
    // Everybody in front of us has a turn, which for a new coroutine is the way to its sleep.
    yield_now();
    let kib = resident_kib()?.saturating_sub(kib_without);
    // The first may have woken already and left its stack to a later one.
    let stacks = stats().stacks + stats().pooled_stacks;

    let late: Vec<Duration> = sleepers.into_iter().map(JoinHandle::join).collect::<Result<_, _>>()?;
    let latest = late.iter().max().copied().unwrap_or_default();
    println!("  {} coroutines slept, and the last was done after {:.2?}", late.len(), began.elapsed());
    println!("  the latest woke {latest:.1?} after its time");
    println!("  {stacks} stacks hold {:.1} KiB each, page tables included", kib as f64 / stacks as f64);
    Ok(())
}

/// Sleeps, and says how late it woke.
fn sleep_a_while() -> Duration {
    let duration = Duration::from_micros(random_u64() % 1_000_000);
    let due = Instant::now() + duration;
    sleep(duration);
    due.elapsed()
}

/// What the process holds of the machine's memory, and of the kernel's for its page tables.
fn resident_kib() -> io::Result<u64> {
    // Reading a file blocks the thread; this one is made up by the kernel and takes microseconds.
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok())
    };
    field("VmRSS:")
        .zip(field("VmPTE:"))
        .map(|(resident, tables)| resident + tables)
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS and VmPTE in kB"))
}
