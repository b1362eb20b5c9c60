//! Files read and written at an offset (`AIO-1`).
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and some of these are parts of tests")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;

use grapeshot_core::{OffloadLimits, file, offload, set_offload_limits, spawn, test, yield_now, yield_slice};

use self::support::{in_child, run_alone};

/// More than is ever done at once.
const MUCH: usize = 1 << 20;

/// A file of the test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("grapeshot-files-{}-{test}", std::process::id())))
    }

    fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// `AIO-1`
#[test]
fn what_is_written_at_an_offset_is_read_there() {
    test::run(|| {
        let scratch = Scratch::new("offset");
        let open = scratch.open();
        assert_eq!(file::write_at(&open, b"grapeshot".to_vec(), 100).unwrap(), 9);
        assert_eq!(file::read_at(&open, 5, 100).unwrap(), b"grape");
        assert_eq!(file::read_at(&open, 3, 0).unwrap(), [0; 3]);
        // Short at the end, and nothing behind it.
        assert_eq!(file::read_at(&open, 100, 105).unwrap(), b"shot");
        assert_eq!(file::read_at(&open, 100, 109).unwrap(), b"");
    });
}

#[test]
fn much_is_read_and_written_by_threads() {
    test::run(|| {
        let scratch = Scratch::new("much");
        let open = scratch.open();
        let data: Vec<u8> = (0..MUCH).map(|index| (index ^ (index >> 8)) as u8).collect();
        assert_eq!(file::write_at(&open, data.clone(), 7).unwrap(), MUCH);
        assert!(file::read_at(&open, MUCH, 7).unwrap() == data);
        assert_eq!(file::read_at(&open, MUCH, 8).unwrap().len(), MUCH - 1);
    });
}

/// `AIO-2`: upstream mixes up two requests on one descriptor.
#[test]
fn requests_on_one_file_are_not_mixed_up() {
    test::run(|| {
        let scratch = Scratch::new("mixed");
        let open = Rc::new(scratch.open());
        file::write_at(&open, (0..MUCH).map(|index| (index >> 10) as u8).collect::<Vec<_>>(), 0).unwrap();
        let readers: Vec<_> = (0..64_u8)
            .map(|block| {
                let open = open.clone();
                spawn(move || {
                    let len = if block % 2 == 0 { 1 << 10 } else { 100 << 10 };
                    let read = file::read_at(&open, len, u64::from(block) << 10).unwrap();
                    assert_eq!((read.len(), read[0], read[1023]), (len, block, block));
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// `AIO-1`: EFBIG and its like are errors of the one who asked.
#[test]
fn what_the_system_refuses_is_an_error() {
    test::run(|| {
        let scratch = Scratch::new("refused");
        let open = scratch.open();
        for len in [1, MUCH] {
            let error =
                file::write_at(&open, vec![1; len], i64::MAX as u64 - 10 + u64::from(len == 1) * 10).unwrap_err();
            assert!(matches!(error.raw_os_error(), Some(22 | 27)), "{error}");
            let unreadable = OpenOptions::new().write(true).open(&scratch.0).unwrap();
            assert_eq!(file::read_at(&unreadable, len, 0).unwrap_err().raw_os_error(), Some(9));
            let (pipe, _other_end) = std::io::pipe().unwrap();
            let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
            assert_eq!(file::read_at(&pipe, len, 0).unwrap_err().kind(), io::ErrorKind::NotSeekable);
        }
    });
}

#[test]
fn outside_a_coroutine_a_file_is_read_by_the_caller() {
    let scratch = Scratch::new("outside");
    let open = scratch.open();
    assert_eq!(file::write_at(&open, vec![7; MUCH], 0).unwrap(), MUCH);
    assert_eq!(file::read_at(&open, MUCH, 0).unwrap(), [7; MUCH]);
}

/// Runs a test that counts for the whole process, or keeps its threads busy, in a process of its own.
fn alone(test: &str, body: impl FnOnce() + 'static) {
    if in_child() {
        test::run(body);
    } else {
        let ended = run_alone(test);
        assert!(ended.status.success(), "{ended:?}");
    }
}

/// `AIO-1`
#[test]
fn requests_are_counted_by_how_they_were_done() {
    alone("requests_are_counted_by_how_they_were_done", || {
        let scratch = Scratch::new("counted");
        let open = scratch.open();
        assert_eq!(file::stats(), file::Stats::default());
        file::write_at(&open, vec![1; MUCH], 0).unwrap();
        file::read_at(&open, MUCH, 0).unwrap();
        file::read_at(&open, MUCH, 0).unwrap();
        let much = file::stats();
        assert_eq!((much.writes_offloaded, much.reads_offloaded), (1, 2));
        assert_eq!((much.writes_at_once, much.reads_at_once), (0, 0));
        file::write_at(&open, vec![1; 10], 0).unwrap();
        file::read_at(&open, 10, 0).unwrap();
        let little = file::stats();
        // Whether at once is the file system's to say.
        assert_eq!(little.writes_offloaded + little.writes_at_once, 2);
        assert_eq!(little.reads_offloaded + little.reads_at_once, 3);
        assert_eq!((little.pending_reads, little.pending_writes), (0, 0));
    });
}

/// `AIO-1`: "an interrupted request must still be reaped".
#[test]
fn a_cancelled_request_that_has_begun_is_finished_and_counted() {
    alone("a_cancelled_request_that_has_begun_is_finished_and_counted", || {
        let scratch = Scratch::new("begun");
        let open = Rc::new(scratch.open());
        let writes = open.clone();
        let writer = spawn(move || file::write_at(&writes, vec![7; 32 * MUCH], 0));
        while open.metadata().unwrap().len() == 0 {
            yield_now();
        }
        writer.cancel();
        // It may have been done already.
        let _ = writer.join();
        while file::stats().pending_writes > 0 {
            yield_now();
        }
        assert_eq!(file::stats().writes_offloaded, 1);
        assert!(fs::read(&scratch.0).unwrap() == [7; 32 * MUCH]);
    });
}

#[test]
fn a_cancelled_request_that_waits_for_a_thread_is_given_up() {
    alone("a_cancelled_request_that_waits_for_a_thread_is_given_up", || {
        set_offload_limits(OffloadLimits { threads: 1, ..OffloadLimits::default() });
        let scratch = Scratch::new("waits");
        let open = Rc::new(scratch.open());
        let (release, released) = mpsc::channel();
        // The only thread is busy until the test says so.
        let holder = spawn(move || offload(move || released.recv().unwrap()));
        yield_slice();
        let writer = spawn(move || file::write_at(&open, vec![7; MUCH], 0));
        yield_slice();
        assert_eq!(file::stats().pending_writes, 1);
        writer.cancel();
        writer.join().unwrap_err();
        release.send(()).unwrap();
        holder.join().unwrap();
        while file::stats().pending_writes > 0 {
            yield_now();
        }
        assert_eq!(file::stats().writes_offloaded, 0);
        assert!(fs::read(&scratch.0).unwrap().is_empty());
    });
}
