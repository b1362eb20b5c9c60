//! Work for the processor, done by threads while the loop goes on: a ticker keeps ticking.
//!
//! ```sh
//! cargo run --release --example worker_pool
//! cargo run --release --example worker_pool -- 4 12
//! ```
//!
//! Counts primes in twelve ranges of numbers three times: on a pool of threads, on the runtime's own threads by
//! `offload`, and on the loop itself. Each time you see how often a ticker ticked meanwhile, and by how much
//! the latest tick was late. The last is the wrong way, and shows what it costs: the ticker stands still,
//! and the watchdog says on stderr who holds up the loop.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::cell::Cell;
use std::error::Error;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use grapeshot::{WorkerPool, offload, scope, sleep};

const TICK: Duration = Duration::from_millis(5);

/// How many numbers a job looks at: some hundredths of a second.
const NUMBERS: u32 = 100_000;

/// What nobody wants by mistake.
const MOST_WORKERS: usize = 256;
const MOST_JOBS: u32 = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [] => Some((2, 12)),
        [workers, jobs] => workers.parse().ok().zip(jobs.parse().ok()),
        _ => None,
    };
    let parsed =
        parsed.filter(|(workers, jobs)| (1..=MOST_WORKERS).contains(workers) && (1..=MOST_JOBS).contains(jobs));
    let Some((workers, jobs)) = parsed else {
        eprintln!("usage: worker_pool [WORKERS JOBS], up to {MOST_WORKERS} and {MOST_JOBS}; 2 and 12 unless given");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match count_thrice(workers, jobs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker_pool: {error}");
            ExitCode::FAILURE
        }
    })
}

fn count_thrice(workers: usize, jobs: u32) -> Result<(), Box<dyn Error>> {
    let ranges: Vec<Range<u32>> = (0..jobs).map(|job| job * NUMBERS..(job + 1) * NUMBERS).collect();

    let pool = WorkerPool::new(workers);
    println!("a pool of {workers} threads:");
    // The results come in the order of the jobs, whoever did them.
    let counts = while_ticking(|| pool.map_chunked(1, primes, ranges.clone()));
    pool.join();
    let pooled: usize = counts.iter().sum();
    println!("  {pooled} primes below {}, {} in the last range", jobs * NUMBERS, counts.last().unwrap_or(&0));

    println!("offload, a coroutine for each job:");
    let offloaded: usize = while_ticking(|| {
        scope(|scope| {
            let jobs: Vec<_> =
                ranges.clone().into_iter().map(|range| scope.spawn(|| offload(|| primes(range)))).collect();
            jobs.into_iter().map(|job| job.join()).sum::<Result<usize, _>>()
        })
    })?;
    println!("  {offloaded} primes");

    println!("on the loop, as it should not be done:");
    let blocking: usize = while_ticking(|| ranges.into_iter().map(primes).sum());
    println!("  {blocking} primes");
    if pooled == offloaded && pooled == blocking { Ok(()) } else { Err("the three do not agree".into()) }
}

/// Runs `work` beside a ticker, and says how the ticker fared.
fn while_ticking<T>(work: impl FnOnce() -> T) -> T {
    let (ticks, latest) = (Cell::new(0), Cell::new(Duration::ZERO));
    let began = Instant::now();
    let result = scope(|scope| {
        scope.spawn(|| {
            loop {
                let due = Instant::now() + TICK;
                sleep(TICK);
                ticks.set(ticks.get() + 1);
                latest.set(latest.get().max(due.elapsed()));
            }
        });
        // The ticker sleeps before the work begins.
        grapeshot::yield_now();
        let result = work();
        // A tick that is due by now shall count.
        sleep(2 * TICK);
        scope.cancel_children();
        result
    });
    let (ticks, latest) = (ticks.get(), latest.get());
    println!("  took {:.1?} with {ticks} ticks of {TICK:?}, the latest {latest:.1?} late", began.elapsed());
    result
}

fn primes(range: Range<u32>) -> usize {
    range.filter(|&number| number > 1 && (2..).take_while(|n| n * n <= number).all(|n| number % n != 0)).count()
}
