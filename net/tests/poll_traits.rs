//! The poll-style I/O traits: readiness becomes a wake, once and without a loop.
#![cfg(all(feature = "futures-io", feature = "tokio-io"))]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod support;

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Test};
use grapeshot_core::{
    ClosedError, NotInRuntime, SimultaneousError, block_on, sleep, spawn, stats, with_timeout, yield_now, yield_slice,
};
use grapeshot_net::{Pollable, TcpStream, UnixStream};
use tokio::io::ReadBuf;

use self::support::{MIB, SECOND, is, pair, pattern};

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    fn taken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The reading of `futures-io`, polled once.
fn poll_read(mut stream: &TcpStream, waker: &Waker, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    futures_io::AsyncRead::poll_read(Pin::new(&mut stream), &mut Context::from_waker(waker), buf)
}

fn poll_write(mut stream: &TcpStream, waker: &Waker, bytes: &[u8]) -> Poll<io::Result<usize>> {
    futures_io::AsyncWrite::poll_write(Pin::new(&mut stream), &mut Context::from_waker(waker), bytes)
}

async fn read(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let mut stream = stream;
    poll_fn(|context| futures_io::AsyncRead::poll_read(Pin::new(&mut stream), context, buf)).await
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let mut stream = stream;
    while !bytes.is_empty() {
        let write = poll_fn(|context| futures_io::AsyncWrite::poll_write(Pin::new(&mut stream), context, bytes));
        bytes = &bytes[write.await?..];
    }
    Ok(())
}

#[test]
fn an_event_wakes_the_future_once() {
    test::run(|| {
        let (near, mut far) = pair();
        let (count, waker) = Count::new();
        let mut buf = [0; 8];
        assert!(poll_read(&near, &waker, &mut buf).is_pending());
        for _ in 0..5 {
            yield_slice();
        }
        assert_eq!(count.taken(), 0, "nothing has come");
        far.write_all(b"one").unwrap();
        for _ in 0..5 {
            yield_slice();
        }
        assert_eq!(count.taken(), 1);
        assert!(matches!(poll_read(&near, &waker, &mut buf), Poll::Ready(Ok(3))));
        far.write_all(b"two").unwrap();
        for _ in 0..5 {
            yield_slice();
        }
        assert_eq!(count.taken(), 0, "nobody has asked for more");
        assert!(matches!(poll_read(&near, &waker, &mut buf), Poll::Ready(Ok(3))));
    });
}

/// What comes between the attempt and the loop's next turn is not missed.
#[test]
fn bytes_that_come_right_after_the_attempt_wake_the_future() {
    test::run(|| {
        let (near, mut far) = pair();
        let (count, waker) = Count::new();
        for _ in 0..100 {
            assert!(poll_read(&near, &waker, &mut [0; 8]).is_pending());
            far.write_all(b"now").unwrap();
            while count.taken() == 0 {
                yield_slice();
            }
            assert!(matches!(poll_read(&near, &waker, &mut [0; 8]), Poll::Ready(Ok(3))));
        }
    });
}

/// The contract of `poll`: of several wakers the last is woken.
#[test]
fn the_last_waker_counts() {
    test::run(|| {
        let (near, mut far) = pair();
        let ((first, first_waker), (last, last_waker)) = (Count::new(), Count::new());
        assert!(poll_read(&near, &first_waker, &mut [0; 8]).is_pending());
        assert!(poll_read(&near, &last_waker, &mut [0; 8]).is_pending());
        far.write_all(b"x").unwrap();
        yield_slice();
        yield_slice();
        assert_eq!((first.taken(), last.taken()), (0, 1));
    });
}

#[test]
fn one_future_reads_while_another_writes() {
    test::run(|| {
        let (near, far) = pair();
        let ((reader, read_waker), (writer, write_waker)) = (Count::new(), Count::new());
        while poll_write(&near, &write_waker, &pattern(MIB)).is_ready() {}
        assert!(poll_read(&near, &read_waker, &mut [0; 8]).is_pending());
        yield_slice();
        // The first registration may be told of right away: what the socket was ready for then.
        writer.taken();
        assert_eq!(reader.taken(), 0);
        let drain = spawn(move || {
            let mut all = Vec::new();
            (&far).read_to_end(&mut all).unwrap();
            all.len()
        });
        while writer.taken() == 0 {
            yield_slice();
        }
        assert_eq!(reader.taken(), 0);
        drop(near);
        assert!(drain.join().unwrap() > 0);
    });
}

/// POL-1: a coroutine that waits is not disturbed, and both are named.
#[test]
fn a_future_does_not_take_a_coroutines_place() {
    test::run(|| {
        let (near, mut far) = pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || (&*near).read(&mut [0; 8])
        });
        yield_now();
        let Poll::Ready(Err(refused)) = poll_read(&near, Waker::noop(), &mut [0; 8]) else { panic!("it was let in") };
        assert!(is::<SimultaneousError>(&refused), "{refused}");
        far.write_all(b"mine").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 4);
    });
}

/// A future that is dropped leaves the socket to others.
#[test]
fn a_coroutine_can_wait_where_a_future_gave_up() {
    test::run(|| {
        let (near, mut far) = pair();
        assert!(with_timeout(SECOND, || block_on(read(&near, &mut [0; 8]))).is_err());
        let writer = spawn(move || {
            sleep(SECOND);
            far.write_all(b"for the next").unwrap();
        });
        assert_eq!((&near).read(&mut [0; 16]).unwrap(), 12);
        writer.join().unwrap();
    });
}

/// POL-4, for futures.
#[test]
fn a_close_wakes_the_future_with_an_error() {
    test::run(|| {
        let (near, _far) = pair();
        let near = Rc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || block_on(read(&near, &mut [0; 8]))
        });
        yield_slice();
        assert!(near.close());
        assert!(is::<ClosedError>(&reader.join().unwrap().unwrap_err()));
    });
}

#[test]
fn the_end_of_the_stream_wakes_the_future() {
    test::run(|| {
        let (near, far) = pair();
        let reader = spawn(move || block_on(read(&near, &mut [0; 8])));
        yield_slice();
        drop(far);
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    });
}

/// Sockets move to the runtime that uses them: who polled in the one before is woken, and told who has it now.
#[test]
fn a_future_is_woken_when_another_runtime_takes_its_socket() {
    Test::new().real_time().run(|| {
        let (near, mut far) = pair();
        let near = Arc::new(near);
        let reader = spawn({
            let near = near.clone();
            move || block_on(read(&near, &mut [0; 16]))
        });
        yield_slice();
        let (waits, is_waiting) = mpsc::channel();
        let elsewhere = thread::spawn(move || {
            Test::new().real_time().run(move || {
                let taker = spawn(move || (&*near).read(&mut [0; 16]));
                yield_slice();
                waits.send(()).unwrap();
                taker.join().unwrap()
            })
        });
        // Holds up this runtime, so that the future is not polled while the socket moves.
        is_waiting.recv().unwrap();
        assert!(is::<SimultaneousError>(&reader.join().unwrap().unwrap_err()));
        far.write_all(b"over there").unwrap();
        assert_eq!(elsewhere.join().unwrap().unwrap(), 10);
    });
}

#[test]
fn outside_a_coroutine_a_wait_is_refused() {
    let (mut near, _far) = UnixStream::pair().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let polled = futures_io::AsyncRead::poll_read(Pin::new(&mut near), &mut context, &mut [0; 8]);
    let Poll::Ready(Err(error)) = polled else { panic!("it waits") };
    assert!(error.kind() == ErrorKind::Unsupported && is::<NotInRuntime>(&error));
}

#[test]
fn a_megabyte_goes_there_and_back_without_a_busy_loop() {
    test::run(|| {
        let (near, far) = pair();
        let echo = spawn(move || io::copy(&mut &far, &mut &far));
        let near = Rc::new(near);
        let writer = spawn({
            let near = near.clone();
            move || block_on(write_all(&near, &pattern(4 * MIB))).unwrap()
        });
        let passes = stats().passes;
        let mut all = Vec::new();
        block_on(async {
            let mut buf = vec![0; 64 << 10];
            while all.len() < 4 * MIB {
                let count = read(&near, &mut buf).await.unwrap();
                all.extend_from_slice(&buf[..count]);
            }
        });
        assert!(all == pattern(4 * MIB));
        writer.join().unwrap();
        // A loop that spins takes as many turns as it has time for; this one takes a few for each piece.
        assert!(stats().passes - passes < 20_000, "{} passes", stats().passes - passes);
        near.shutdown(grapeshot_net::Shutdown::Write).unwrap();
        echo.join().unwrap().unwrap();
    });
}

/// The same through tokio's traits, and through the wrapper for other streams.
#[test]
fn tokios_traits_read_write_and_shut_down() {
    use tokio::io::{AsyncRead, AsyncWrite};
    test::run(|| {
        let (near, far) = unix::net::UnixStream::pair().unwrap();
        let (mut near, mut far) = (UnixStream::from_std(near).unwrap(), Pollable::new(far).unwrap());
        let echo = spawn(move || {
            block_on(async {
                let mut storage = [0; 64];
                loop {
                    let mut buf = ReadBuf::new(&mut storage);
                    poll_fn(|context| Pin::new(&mut far).poll_read(context, &mut buf)).await?;
                    if buf.filled().is_empty() {
                        return poll_fn(|context| Pin::new(&mut far).poll_shutdown(context)).await;
                    }
                    let mut left = buf.filled();
                    while !left.is_empty() {
                        left = &left[poll_fn(|context| Pin::new(&mut far).poll_write(context, left)).await?..];
                    }
                }
            })
        });
        let answer = block_on(async {
            poll_fn(|context| Pin::new(&mut near).poll_write(context, b"there and back")).await?;
            poll_fn(|context| Pin::new(&mut near).poll_flush(context)).await?;
            poll_fn(|context| Pin::new(&mut near).poll_shutdown(context)).await?;
            let mut storage = [0; 64];
            let mut buf = ReadBuf::new(&mut storage);
            loop {
                let before = buf.filled().len();
                poll_fn(|context| Pin::new(&mut near).poll_read(context, &mut buf)).await?;
                if buf.filled().len() == before {
                    return io::Result::Ok(buf.filled().to_vec());
                }
            }
        });
        assert_eq!(answer.unwrap(), b"there and back");
        echo.join().unwrap().unwrap();
    });
}

/// Reads that are cut off at any time, under any order: what is read is what was sent.
#[test]
fn no_wake_and_no_byte_is_lost_whatever_the_order() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(8, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        Test::new().seed(seed).run(|| {
            let (near, far) = pair();
            let writer = spawn(move || {
                for piece in pattern(2000).chunks(37) {
                    sleep(Duration::from_micros(grapeshot_core::random_u64() % 900));
                    block_on(write_all(&far, piece)).unwrap();
                }
            });
            let mut all = Vec::new();
            loop {
                let mut buf = [0; 50];
                let limit = Duration::from_micros(1 + grapeshot_core::random_u64() % 1000);
                match with_timeout(limit, || block_on(read(&near, &mut buf))) {
                    Ok(Ok(0)) => break,
                    Ok(count) => all.extend_from_slice(&buf[..count.unwrap()]),
                    Err(_cut_off) => {}
                }
            }
            writer.join().unwrap();
            assert_eq!(all, pattern(2000));
        });
    }
}
