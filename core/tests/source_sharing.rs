//! One source between two runtimes on two threads.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use grapeshot_core::{Direction, Runtime, Source, stats};

const ROUNDS: usize = 50_000;

/// It is in one reactor at a time: neither finds it registered already, and neither keeps a slot it has lost.
#[test]
fn two_threads_that_use_a_source_at_the_same_moment_take_it_from_each_other() {
    let (near, _far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let source = Arc::new(Source::new(near));
    let start = Arc::new(Barrier::new(2));
    let finished = Arc::new(AtomicUsize::new(0));
    let threads = [(); 2].map(|()| {
        let (source, start, finished) = (source.clone(), start.clone(), finished.clone());
        thread::spawn(move || {
            let hammer = move || {
                start.wait();
                let read = |mut stream: &UnixStream| stream.read(&mut [0; 8]);
                for round in 0..ROUNDS {
                    let error = source.try_attempt(Direction::Read, "read", |_| false, read).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "round {round}: {error}");
                    // What the other thread took away is known here after a poll.
                    grapeshot_core::yield_slice();
                    assert!(stats().registrations <= 2, "round {round}: {:?}", stats());
                }
                finished.fetch_add(1, Ordering::SeqCst);
            };
            Runtime::new().signals(false).run(hammer).unwrap()
        })
    });
    for thread in threads {
        let _ = thread.join();
    }
    assert_eq!(finished.load(Ordering::SeqCst), 2, "a coroutine panicked");
}
