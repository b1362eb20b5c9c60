//! Reading and writing files at an offset, without holding up the loop (AIO-1).
//!
//! ```text
//!   read_at, write_at ──► at once, if memory suffices (RWF_NOWAIT) ──► done
//!                              │ the disk is needed, or it is much
//!                              ▼
//!                         offload: a thread does it, the coroutine waits ──► done
//! ```
//!
//! Files are always ready for the poller, and a read of one may still take as long as the disk takes.
//! What the page cache holds is handed over by the loop's own thread; the rest is work for [`offload`].
//!
//! # Invariants
//!
//! - A request that a thread has begun is finished and counted, whether or not its caller was cancelled;
//!   one that still waits for a thread is given up with its caller, and not counted.
//! - The bytes of a request belong to it, so a cancelled caller takes nothing from under it.
//!
//! # What is absent
//!
//! Opening and closing files, directories and metadata: `offload(|| File::open(path))` does it.
//!
//! Sources: preadv2(2), pwritev2(2).

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::io::{Errno, ReadWriteFlags};

use crate::scheduler;
use crate::threads::offload;

/// Up to how many bytes are copied on the loop's thread: some ten microseconds' worth.
const AT_ONCE: usize = 64 << 10;

/// What has been done to files since the program began, by all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Reads that were done at once.
    pub reads_at_once: u64,
    /// Reads that a thread has done.
    pub reads_offloaded: u64,
    /// Writes that were done at once.
    pub writes_at_once: u64,
    /// Writes that a thread has done.
    pub writes_offloaded: u64,
    /// Reads that a thread does, or that wait for one.
    pub pending_reads: usize,
    /// Writes that a thread does, or that wait for one.
    pub pending_writes: usize,
}

/// The counters of one direction.
struct Counters {
    at_once: AtomicU64,
    offloaded: AtomicU64,
    pending: AtomicUsize,
}

impl Counters {
    const fn new() -> Counters {
        Counters { at_once: AtomicU64::new(0), offloaded: AtomicU64::new(0), pending: AtomicUsize::new(0) }
    }
}

static READS: Counters = Counters::new();
static WRITES: Counters = Counters::new();

/// What has been done to files since the program began. Never suspends.
pub fn stats() -> Stats {
    Stats {
        reads_at_once: READS.at_once.load(Ordering::Relaxed),
        reads_offloaded: READS.offloaded.load(Ordering::Relaxed),
        writes_at_once: WRITES.at_once.load(Ordering::Relaxed),
        writes_offloaded: WRITES.offloaded.load(Ordering::Relaxed),
        pending_reads: READS.pending.load(Ordering::Relaxed),
        pending_writes: WRITES.pending.load(Ordering::Relaxed),
    }
}

/// A request that is given to a thread; it stops being pending when it is done, or given up before a thread had it.
struct Pending(&'static Counters);

impl Pending {
    fn new(counters: &'static Counters) -> Pending {
        counters.pending.fetch_add(1, Ordering::Relaxed);
        Pending(counters)
    }

    fn done(self) {
        self.0.offloaded.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads up to `len` bytes at `offset`; fewer at the end of the file, or where only part of it is in memory.
///
/// Outside a coroutine it blocks its thread.
///
/// # Errors
///
/// What the system says: that the file was not opened for reading, or has no offsets, as a pipe.
///
/// # Cancellation
///
/// Unwinds; a read that a thread has begun is finished, counted, and its bytes are dropped.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{file, test};
///
/// test::run(|| {
///     let file = std::fs::File::open("/proc/self/exe").unwrap();
///     assert_eq!(file::read_at(&file, 4, 0).unwrap(), b"\x7fELF");
/// });
/// ```
pub fn read_at(file: &File, len: usize, offset: u64) -> io::Result<Vec<u8>> {
    if len <= AT_ONCE {
        let mut buf = vec![0; len];
        let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut buf)], offset, ReadWriteFlags::NOWAIT);
        if let Some(read) = at_once(&READS, read)? {
            buf.truncate(read);
            return Ok(buf);
        }
    }
    let file = file.try_clone()?;
    let pending = Pending::new(&READS);
    elsewhere(move || {
        let mut buf = vec![0; len];
        let read = file.read_at(&mut buf, offset);
        pending.done();
        buf.truncate(read?);
        Ok(buf)
    })
}

/// Writes at `offset`, and says how many bytes: as in std, it may be fewer than were given.
///
/// Outside a coroutine it blocks its thread.
///
/// # Errors
///
/// What the system says: that the file was not opened for writing, would become too large, or that the disk is full.
///
/// # Cancellation
///
/// Unwinds; a write that a thread has begun is finished, and one that still waits for a thread is given up.
///
/// # Examples
///
/// ```no_run
/// use grapeshot_core::{file, run};
///
/// run(|| {
///     let log = std::fs::File::create("log").unwrap();
///     assert_eq!(file::write_at(&log, b"begun".to_vec(), 0).unwrap(), 5);
/// });
/// ```
pub fn write_at(file: &File, data: impl Into<Vec<u8>>, offset: u64) -> io::Result<usize> {
    let data = data.into();
    if data.len() <= AT_ONCE {
        let written = rustix::io::pwritev2(file, &[IoSlice::new(&data)], offset, ReadWriteFlags::NOWAIT);
        if let Some(written) = at_once(&WRITES, written)? {
            return Ok(written);
        }
    }
    let file = file.try_clone()?;
    let pending = Pending::new(&WRITES);
    elsewhere(move || {
        let written = file.write_at(&data, offset);
        pending.done();
        written
    })
}

/// What an attempt on the loop's thread came to; `None` when a thread must do it.
fn at_once(counters: &Counters, done: rustix::io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        // The disk is needed; the file's system, or the kernel, cannot tell in advance; or a signal came.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno.into()),
        Ok(count) => {
            counters.at_once.fetch_add(1, Ordering::Relaxed);
            Ok(Some(count))
        }
    }
}

/// Has a thread do it, or does it here where there is no loop to hold up.
fn elsewhere<T: Send + 'static>(request: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    if scheduler::in_coroutine() { offload(request) } else { request() }
}
