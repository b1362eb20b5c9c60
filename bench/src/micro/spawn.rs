//! Spawning a coroutine that does nothing, and joining it.

use std::io;

use super::{Conductor, Contender, Subject, begin, compare, configure_may, run_suite, tokio_runtime};
use crate::machine::thread_cpu;
use crate::options::Options;
use crate::plain::Plain;

/// Spawns in a turn.
const SPAWNS: u64 = 200_000;

/// The table of spawn and join, one at a time and ten thousand at once.
pub fn spawn(options: &Options) -> io::Result<()> {
    begin("spawn and join", "at once")?;
    for count in [1, 10_000] {
        let subjects: [Subject; _] =
            [("Grapeshot", grapeshot), ("tokio", tokio), ("corosensei and a queue", plain), ("may", may)];
        let contenders = Contender::start_all(options, &subjects, count);
        compare(options, &count.to_string(), contenders)?;
    }
    Ok(())
}

fn grapeshot(count: u64, conductor: Conductor) {
    run_suite(move || {
        let mut handles = Vec::new();
        conductor.conduct(|| {
            for _ in 0..SPAWNS / count {
                handles.extend((0..count).map(|_| grapeshot::spawn(|| ())));
                for handle in handles.drain(..) {
                    let _ = handle.join();
                }
            }
            SPAWNS
        });
    });
}

fn tokio(count: u64, conductor: Conductor) {
    let conduct = async move {
        let mut handles = Vec::new();
        while conductor.wait_turn() {
            let start = thread_cpu();
            for _ in 0..SPAWNS / count {
                handles.extend((0..count).map(|_| tokio::spawn(async {})));
                for handle in handles.drain(..) {
                    let _ = handle.await;
                }
            }
            conductor.report(start, SPAWNS);
        }
    };
    tokio_runtime().block_on(async {
        let _ = tokio::spawn(conduct).await;
    });
}

fn may(count: u64, conductor: Conductor) {
    configure_may();
    let conduct = move || {
        let mut handles = Vec::new();
        conductor.conduct(|| {
            for _ in 0..SPAWNS / count {
                handles.extend((0..count).map(|_| may::go!(|| ())));
                for handle in handles.drain(..) {
                    let _ = handle.join();
                }
            }
            SPAWNS
        });
    };
    let _ = may::go!(conduct).join();
}

/// Nothing is joined here: the queue is run until it is empty.
fn plain(count: u64, conductor: Conductor) {
    let mut plain = Plain::new(count as usize);
    conductor.conduct(|| {
        for _ in 0..SPAWNS / count {
            for _ in 0..count {
                plain.spawn(|_| ());
            }
            plain.run_lap();
        }
        SPAWNS
    });
}
