//! Sources outside a runtime, and between two.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use grapeshot_core::test::{self, Test};
use grapeshot_core::{ClosedError, Exit, Runtime, WaitLimit, sleep, spawn, stats, yield_slice};

use super::*;

#[test]
fn outside_a_coroutine_an_operation_blocks_its_thread() {
    let (near, far) = UnixStream::pair().unwrap();
    let near = source(near);
    let (started, has_started) = mpsc::channel();
    let reader = thread::spawn(move || {
        let limit = WaitLimit::After(Duration::from_millis(20));
        let timed_out = read_within(&near, limit).unwrap_err();
        started.send(()).unwrap();
        (timed_out.kind(), read(&near).unwrap())
    });
    has_started.recv().unwrap();
    (&far).write_all(b"x").unwrap();
    let (timed_out, data) = reader.join().unwrap();
    assert_eq!(timed_out, io::ErrorKind::TimedOut);
    assert_eq!(data, b"x");
}

/// POL-4, outside a runtime.
#[test]
fn closing_ends_a_read_that_blocks_a_thread() {
    let (near, _far) = UnixStream::pair().unwrap();
    let near = Arc::new(source(near));
    let reader = thread::spawn({
        let near = near.clone();
        move || read(&near)
    });
    // However far the reader has got, what wakes it is the end of the stream.
    near.close();
    near.inner().shutdown(std::net::Shutdown::Both).unwrap();
    assert!(inside::<ClosedError>(&reader.join().unwrap().unwrap_err()).is_some());
}

/// Runs `body` in a runtime of its own, on a thread of its own.
fn elsewhere<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(move || Test::new().real_time().run(body))
}

/// DESIGN §2.
#[test]
fn a_source_moves_to_the_runtime_in_which_it_is_used() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let near = source(near);
        read_within(&near, WaitLimit::After(SECOND)).unwrap_err();
        assert_eq!(stats().registrations, 1);
        let there = elsewhere(move || {
            read_within(&near, WaitLimit::After(Duration::from_millis(5))).unwrap_err();
            assert_eq!(stats().registrations, 1);
            (&far).write_all(b"x").unwrap();
            assert_eq!(read(&near).unwrap(), b"x");
        });
        there.join().unwrap();
        yield_slice();
        assert_eq!(stats().registrations, 0);
    });
}

#[test]
fn a_source_dropped_on_another_thread_is_deregistered() {
    test::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let duplicate = near.try_clone().unwrap();
        let near = source(near);
        read_within(&near, WaitLimit::After(SECOND)).unwrap_err();
        thread::spawn(move || drop(near)).join().unwrap();
        // Nor does the duplicate send events to whoever has the slot next.
        yield_slice();
        let (next, _next_far) = pair();
        let counted = Counted::new(next);
        let reader = spawn({
            let counted = counted.clone();
            move || counted.read(8)
        });
        sleep(SECOND);
        (&far).write_all(b"for the duplicate").unwrap();
        sleep(SECOND);
        assert_eq!(counted.calls.get(), 1);
        reader.cancel();
        drop(duplicate);
    });
}

/// The runtime does not take it for a leak, even if its loop has not turned since.
#[test]
fn a_source_dropped_on_another_thread_at_the_very_end_is_no_leak() {
    test::run(|| {
        let (near, _far) = UnixStream::pair().unwrap();
        let near = source(near);
        read_within(&near, WaitLimit::After(SECOND)).unwrap_err();
        thread::spawn(move || drop(near)).join().unwrap();
    });
}

/// POL-4, across threads.
#[test]
fn a_source_closed_on_another_thread_wakes_its_reader_at_once() {
    let (near, _far) = UnixStream::pair().unwrap();
    let near = Arc::new(source(near));
    let (waits, is_waiting) = mpsc::channel();
    let reader = elsewhere({
        let near = near.clone();
        move || {
            let started = Instant::now();
            let reader = spawn(move || read(&near));
            yield_slice();
            waits.send(()).unwrap();
            let error = reader.join().unwrap().unwrap_err();
            (inside::<ClosedError>(&error).is_some(), started.elapsed())
        }
    });
    is_waiting.recv().unwrap();
    near.close();
    let (closed, took) = reader.join().unwrap();
    assert!(closed);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// POL-4: the close may come before the reader looks, while it registers, or when it waits.
#[test]
fn a_close_on_another_thread_is_never_missed() {
    let (hand_over, to_close) = mpsc::sync_channel::<Arc<Stream>>(0);
    let closer = thread::spawn(move || {
        for (index, source) in to_close.into_iter().enumerate() {
            (0..index % 64).for_each(|_| std::hint::spin_loop());
            source.close();
        }
    });
    elsewhere(move || {
        for _ in 0..2000 {
            let (near, _far) = UnixStream::pair().unwrap();
            let near = Arc::new(source(near));
            hand_over.send(near.clone()).unwrap();
            let error = read_within(&near, WaitLimit::After(20 * SECOND)).unwrap_err();
            assert!(inside::<ClosedError>(&error).is_some(), "{error}");
        }
    })
    .join()
    .unwrap();
    closer.join().unwrap();
}

/// One that waits in a runtime keeps its place when another runtime wants to wait too.
#[test]
fn a_source_that_is_waited_on_in_one_runtime_is_refused_to_another() {
    let (near, far) = UnixStream::pair().unwrap();
    let near = Arc::new(source(near));
    let (waits, is_waiting) = mpsc::channel();
    let reader = elsewhere({
        let near = near.clone();
        move || {
            let reader = spawn(move || read(&near).unwrap());
            yield_slice();
            waits.send(()).unwrap();
            reader.join().unwrap()
        }
    });
    is_waiting.recv().unwrap();
    let refused = elsewhere(move || read_within(&near, WaitLimit::After(10 * SECOND)).unwrap_err()).join().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains("another runtime"), "{refused}");
    (&far).write_all(b"x").unwrap();
    assert_eq!(reader.join().unwrap(), b"x");
}

/// SCH-7: a source outlives the runtime it was registered in.
#[test]
fn a_source_works_on_in_the_next_runtime_of_its_thread() {
    let (near, far) = UnixStream::pair().unwrap();
    let near = Arc::new(source(near));
    for _ in 0..2 {
        let near = near.clone();
        let exit = Runtime::new().signals(false).run(move || {
            read_within(&near, WaitLimit::After(Duration::from_millis(5))).unwrap_err();
            assert_eq!(stats().registrations, 1);
        });
        assert!(matches!(exit, Ok(Exit::Returned(()))), "{exit:?}");
    }
    (&far).write_all(b"x").unwrap();
    assert_eq!(read(&near).unwrap(), b"x");
}
