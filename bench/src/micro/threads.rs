//! What other threads do for a loop, and say to it.
//!
//! All threads of a contender are on the same core, and what is read is the CPU clock of the whole process, in which
//! only one contender runs at a time.

use std::io;
use std::sync::mpsc;
use std::thread;

use super::{Conductor, Contender, Subject, begin, compare, run_suite, tokio_runtime};
use crate::machine::process_cpu;
use crate::options::Options;

/// Operations in a turn.
const OPERATIONS: u64 = 20_000;

/// The table of sends between threads and of work given away.
pub fn threads(options: &Options) -> io::Result<()> {
    begin("other threads", "operation")?;
    let rows: [(&str, [Subject; 2]); _] = [
        ("send that wakes the loop, and its answer", [("Grapeshot", sends), ("tokio", tokio_sends)]),
        ("work given away and its result", [("Grapeshot", offloads), ("tokio", tokio_offloads)]),
    ];
    for (label, subjects) in rows {
        compare(options, label, Contender::start_all(options, &subjects, OPERATIONS))?;
    }
    Ok(())
}

/// A thread that sends an item for every answer it gets; what it sends with is for the contender to say.
fn asker(mut send: impl FnMut(u64) + Send + 'static) -> mpsc::Sender<u64> {
    let (answer, answers) = mpsc::channel();
    thread::spawn(move || answers.into_iter().for_each(|item| send(item)));
    answer
}

fn sends(count: u64, conductor: Conductor) {
    run_suite(move || {
        let (sender, receiver) = grapeshot::thread_channel::<u64>(16);
        let answer = asker(move |item| sender.send(item).expect("the loop listens"));
        while conductor.wait_turn() {
            let start = process_cpu();
            for item in 0..count {
                answer.send(item).expect("the thread listens");
                assert_eq!(receiver.recv(), Ok(item));
            }
            conductor.report_spent(process_cpu() - start, count);
        }
    });
}

fn tokio_sends(count: u64, conductor: Conductor) {
    tokio_runtime().block_on(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(16);
        let answer = asker(move |item| sender.blocking_send(item).expect("the loop listens"));
        while conductor.wait_turn() {
            let start = process_cpu();
            for item in 0..count {
                answer.send(item).expect("the thread listens");
                assert_eq!(receiver.recv().await, Some(item));
            }
            conductor.report_spent(process_cpu() - start, count);
        }
    });
}

fn offloads(count: u64, conductor: Conductor) {
    run_suite(move || {
        while conductor.wait_turn() {
            let start = process_cpu();
            for item in 0..count {
                assert_eq!(grapeshot::offload(move || item), item);
            }
            conductor.report_spent(process_cpu() - start, count);
        }
    });
}

fn tokio_offloads(count: u64, conductor: Conductor) {
    tokio_runtime().block_on(async move {
        while conductor.wait_turn() {
            let start = process_cpu();
            for item in 0..count {
                assert_eq!(tokio::task::spawn_blocking(move || item).await.expect("it does not panic"), item);
            }
            conductor.report_spent(process_cpu() - start, count);
        }
    });
}
