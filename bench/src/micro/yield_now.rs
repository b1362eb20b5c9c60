//! `yield_now` among few and many coroutines.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Conductor, Contender, Subject, begin, compare, configure_may, run_suite, tokio_runtime};
use crate::machine::thread_cpu;
use crate::options::Options;
use crate::plain::Plain;

/// Yields in a turn, over all coroutines.
const YIELDS: u64 = 1_000_000;

/// may maps every stack with a guard of its own, which the kernel refuses past 32,000 or so.
const MAY_MOST: u64 = 10_000;

/// The table of `yield_now` among 1 to 100,000 coroutines.
pub fn yield_now(options: &Options) -> io::Result<()> {
    begin("yield_now", "coroutines")?;
    for count in [1, 100, 10_000, 100_000] {
        let mut subjects: Vec<Subject> =
            vec![("Grapeshot", grapeshot), ("tokio", tokio), ("corosensei and a queue", plain)];
        if count <= MAY_MOST {
            subjects.push(("may", may));
        }
        let contenders = Contender::start_all(options, &subjects, count);
        compare(options, &count.to_string(), contenders)?;
    }
    Ok(())
}

/// How often each of `count` coroutines yields in a turn.
fn laps(count: u64) -> u64 {
    YIELDS / count
}

fn grapeshot(count: u64, conductor: Conductor) {
    run_suite(move || {
        let yields = Rc::new(Cell::new(0));
        let over = Rc::new(Cell::new(false));
        for _ in 1..count {
            let (yields, over) = (yields.clone(), over.clone());
            grapeshot::spawn(move || {
                while !over.get() {
                    yields.set(yields.get() + 1);
                    grapeshot::yield_now();
                }
            });
        }
        conductor.conduct(|| {
            let before: u64 = yields.get();
            for _ in 0..laps(count) {
                yields.set(yields.get() + 1);
                grapeshot::yield_now();
            }
            yields.get() - before
        });
        over.set(true);
    });
}

fn tokio(count: u64, conductor: Conductor) {
    let shared = Arc::new(Shared::default());
    tokio_runtime().block_on(async {
        for _ in 1..count {
            let shared = shared.clone();
            tokio::spawn(async move {
                while !shared.over.load(Ordering::Relaxed) {
                    shared.count_yield();
                    tokio::task::yield_now().await;
                }
            });
        }
        // The conductor is a task like the others: the future given to `block_on` is scheduled in another way.
        let conduct = async move {
            while conductor.wait_turn() {
                let start = thread_cpu();
                let before = shared.yields();
                for _ in 0..laps(count) {
                    shared.count_yield();
                    tokio::task::yield_now().await;
                }
                conductor.report(start, shared.yields() - before);
            }
            shared.over.store(true, Ordering::Relaxed);
        };
        let _ = tokio::spawn(conduct).await;
    });
}

fn may(count: u64, conductor: Conductor) {
    configure_may();
    // Spawned by a coroutine: a worker with enough to do never looks at what other threads hand it.
    let conduct = move || {
        let shared = Arc::new(Shared::default());
        for _ in 1..count {
            let shared = shared.clone();
            may::go!(move || while !shared.over.load(Ordering::Relaxed) {
                shared.count_yield();
                may::coroutine::yield_now();
            });
        }
        conductor.conduct(|| {
            let before = shared.yields();
            for _ in 0..laps(count) {
                shared.count_yield();
                may::coroutine::yield_now();
            }
            shared.yields() - before
        });
        shared.over.store(true, Ordering::Relaxed);
    };
    let _ = may::go!(conduct).join();
}

/// The conductor stands outside here and lets the queue go round.
fn plain(count: u64, conductor: Conductor) {
    let mut plain = Plain::new(count as usize);
    for _ in 0..count {
        plain.spawn(|yielder| {
            loop {
                yielder.suspend(());
            }
        });
    }
    conductor.conduct(|| {
        for _ in 0..laps(count) {
            plain.run_lap();
        }
        laps(count) * count
    });
    // Dropping a suspended coroutine unwinds it, which takes long and shows nothing.
    std::mem::forget(plain);
}

/// What tasks that might be sent to other threads must use for counters.
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    yields: AtomicU64,
}

impl Shared {
    /// One thread counts, so load and store do, which cost what a plain counter does.
    fn count_yield(&self) {
        self.yields.store(self.yields() + 1, Ordering::Relaxed);
    }

    fn yields(&self) -> u64 {
        self.yields.load(Ordering::Relaxed)
    }
}
