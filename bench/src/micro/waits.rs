//! What coroutines do to each other: channels, calls, locks.
//!
//! Each operation is done by two coroutines in turn, so that every one of them is a wait and a wake; only the
//! uncontended lock has nobody to wait for.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use grapeshot::channel;

use super::{Conductor, Contender, Subject, begin, compare, run_suite, tokio_runtime};
use crate::machine::thread_cpu;
use crate::options::Options;

/// Operations in a turn.
const OPERATIONS: u64 = 200_000;

/// The table of channels and locks.
pub fn waits(options: &Options) -> io::Result<()> {
    begin("channels and locks", "operation")?;
    let rows: [(&str, [Subject; 2]); _] = [
        ("round trip over two channels", [("Grapeshot", channels), ("tokio", tokio_channels)]),
        ("call answered by a oneshot", [("Grapeshot", calls), ("tokio", tokio_calls)]),
        ("lock handed over", [("Grapeshot", hand_over), ("tokio", tokio_hand_over)]),
        ("lock that is free", [("Grapeshot", free_lock), ("tokio", tokio_free_lock)]),
        ("select over four channels", [("Grapeshot", select_four), ("tokio", tokio_select_four)]),
        ("future that is ready", [("Grapeshot", ready_future), ("tokio", tokio_ready_future)]),
    ];
    for (label, subjects) in rows {
        compare(options, label, Contender::start_all(options, &subjects, OPERATIONS))?;
    }
    Ok(())
}

fn channels(count: u64, conductor: Conductor) {
    run_suite(move || {
        let (to_echo, requests) = channel::bounded::<u64>(1);
        let (replies, from_echo) = channel::bounded::<u64>(1);
        let echo = grapeshot::spawn(move || requests.iter().try_for_each(|item| replies.send(item)));
        conductor.conduct(|| {
            for item in 0..count {
                to_echo.send(item).expect("the echo listens");
                assert_eq!(from_echo.recv(), Ok(item));
            }
            count
        });
        drop(to_echo);
        let _ = echo.join();
    });
}

fn tokio_channels(count: u64, conductor: Conductor) {
    tokio_turns(async move {
        let (to_echo, mut requests) = tokio::sync::mpsc::channel::<u64>(1);
        let (replies, mut from_echo) = tokio::sync::mpsc::channel::<u64>(1);
        tokio::spawn(async move {
            while let Some(item) = requests.recv().await {
                if replies.send(item).await.is_err() {
                    return;
                }
            }
        });
        while conductor.wait_turn() {
            let start = thread_cpu();
            for item in 0..count {
                to_echo.send(item).await.expect("the echo listens");
                assert_eq!(from_echo.recv().await, Some(item));
            }
            conductor.report(start, count);
        }
    });
}

fn calls(count: u64, conductor: Conductor) {
    run_suite(move || {
        let (service, requests) = channel::bounded::<channel::oneshot::Sender<u64>>(16);
        let server = grapeshot::spawn(move || requests.iter().try_for_each(|reply| reply.send(1)));
        conductor.conduct(|| {
            for _ in 0..count {
                let (reply, answer) = channel::oneshot();
                service.send(reply).expect("the server listens");
                assert_eq!(answer.recv(), Ok(1));
            }
            count
        });
        drop(service);
        let _ = server.join();
    });
}

fn tokio_calls(count: u64, conductor: Conductor) {
    tokio_turns(async move {
        let (service, mut requests) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<u64>>(16);
        tokio::spawn(async move {
            while let Some(reply) = requests.recv().await {
                let _ = reply.send(1);
            }
        });
        while conductor.wait_turn() {
            let start = thread_cpu();
            for _ in 0..count {
                let (reply, answer) = tokio::sync::oneshot::channel();
                service.send(reply).await.expect("the server listens");
                assert_eq!(answer.await, Ok(1));
            }
            conductor.report(start, count);
        }
    });
}

/// Whoever gives the lock away asks for it again at once, and so waits for the other.
fn hand_over(count: u64, conductor: Conductor) {
    run_suite(move || {
        let lock = Rc::new(grapeshot::sync::Mutex::new(0_u64));
        conductor.conduct(|| {
            let held = lock.lock();
            let contestants = [(); 2].map(|()| {
                let lock = lock.clone();
                grapeshot::spawn(move || (0..count / 2).for_each(|_| *lock.lock() += 1))
            });
            grapeshot::yield_now();
            drop(held);
            for contestant in contestants {
                let _ = contestant.join();
            }
            count
        });
    });
}

fn tokio_hand_over(count: u64, conductor: Conductor) {
    tokio_turns(async move {
        let lock = Arc::new(tokio::sync::Mutex::new(0_u64));
        while conductor.wait_turn() {
            let start = thread_cpu();
            let held = lock.lock().await;
            let contestants = [(); 2].map(|()| {
                let lock = lock.clone();
                tokio::spawn(async move {
                    for _ in 0..count / 2 {
                        *lock.lock().await += 1;
                    }
                })
            });
            tokio::task::yield_now().await;
            drop(held);
            for contestant in contestants {
                let _ = contestant.await;
            }
            conductor.report(start, count);
        }
    });
}

fn free_lock(count: u64, conductor: Conductor) {
    run_suite(move || {
        let lock = grapeshot::sync::Mutex::new(0_u64);
        conductor.conduct(|| {
            (0..count).for_each(|_| *std::hint::black_box(&lock).lock() += 1);
            count
        });
    });
}

fn tokio_free_lock(count: u64, conductor: Conductor) {
    tokio_turns(async move {
        let lock = tokio::sync::Mutex::new(0_u64);
        while conductor.wait_turn() {
            let start = thread_cpu();
            for _ in 0..count {
                *std::hint::black_box(&lock).lock().await += 1;
            }
            conductor.report(start, count);
        }
    });
}

/// Four coroutines, each with a channel of its own to the one that selects.
fn select_four(count: u64, conductor: Conductor) {
    run_suite(move || {
        conductor.conduct(|| {
            let [a, b, c, d] = [(); 4].map(|()| {
                let (sender, receiver) = channel::bounded::<u64>(1);
                grapeshot::spawn(move || (0..count / 4).try_for_each(|item| sender.send(item)));
                receiver
            });
            for _ in 0..count / 4 * 4 {
                let item = grapeshot::select! {
                    item = a => item,
                    item = b => item,
                    item = c => item,
                    item = d => item,
                };
                // One that is closed gives its end for ever; what is counted is the choice.
                let _ = std::hint::black_box(item);
            }
            count / 4 * 4
        });
    });
}

fn tokio_select_four(count: u64, conductor: Conductor) {
    tokio_turns(async move {
        while conductor.wait_turn() {
            let start = thread_cpu();
            let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| {
                let (sender, receiver) = tokio::sync::mpsc::channel::<u64>(1);
                tokio::spawn(async move {
                    for item in 0..count / 4 {
                        if sender.send(item).await.is_err() {
                            return;
                        }
                    }
                });
                receiver
            });
            for _ in 0..count / 4 * 4 {
                let item = tokio::select! {
                    item = a.recv() => item,
                    item = b.recv() => item,
                    item = c.recv() => item,
                    item = d.recv() => item,
                };
                let _ = std::hint::black_box(item);
            }
            conductor.report(start, count / 4 * 4);
        }
    });
}

fn ready_future(count: u64, conductor: Conductor) {
    run_suite(move || {
        conductor.conduct(|| {
            for item in 0..count {
                std::hint::black_box(grapeshot::block_on(std::future::ready(std::hint::black_box(item))));
            }
            count
        });
    });
}

/// tokio blocks on a future outside its runtime only.
fn tokio_ready_future(count: u64, conductor: Conductor) {
    let runtime = tokio_runtime();
    conductor.conduct(|| {
        for item in 0..count {
            std::hint::black_box(runtime.block_on(std::future::ready(std::hint::black_box(item))));
        }
        count
    });
}

/// Runs a task of tokio's to its end, on a runtime of its own.
fn tokio_turns(task: impl Future<Output = ()> + Send + 'static) {
    tokio_runtime().block_on(async {
        let _ = tokio::spawn(task).await;
    });
}
