//! Work that other threads do while a coroutine waits.

mod support;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use grapeshot_core::test::{self, Log, Test};
use grapeshot_core::{
    Reason, Runtime, coroutines, now, offload, sleep, spawn, try_offload, with_timeout, yield_now, yield_slice,
};

const SECOND: Duration = Duration::from_secs(1);

/// SCH-14: another thread does the work, and then schedules the coroutine.
#[test]
fn the_closure_runs_on_another_thread_and_its_result_comes_back() {
    test::run(|| {
        let here = thread::current().id();
        let there = offload(|| thread::current().id());
        assert_ne!(here, there);
    });
}

#[test]
fn others_run_while_a_closure_blocks() {
    test::run(|| {
        let (release, released) = mpsc::channel();
        let other = spawn(move || release.send("done by another coroutine").unwrap());
        assert_eq!(offload(move || released.recv().unwrap()), "done by another coroutine");
        other.join().unwrap();
    });
}

/// SYL-13: exceptions travel back.
#[test]
fn a_panic_goes_on_in_the_caller() {
    test::run(|| {
        let caller = spawn(|| offload(|| -> u8 { panic!("the disk is on fire") }));
        let grapeshot_core::JoinError::Panicked(panic) = caller.join().unwrap_err() else { panic!("no panic") };
        assert_eq!(panic.message(), "the disk is on fire");
    });
}

#[test]
fn a_panic_can_be_had_as_an_error() {
    test::run(|| {
        let panic = try_offload(|| -> u8 { panic!("no such file") }).unwrap_err();
        assert_eq!(panic.message(), "no such file");
        assert_eq!(try_offload(|| 7).unwrap(), 7);
    });
}

#[test]
fn a_waiting_caller_says_what_it_waits_for() {
    test::run(|| {
        let (release, released) = mpsc::channel();
        let caller = spawn(move || offload(move || released.recv().unwrap()));
        yield_now();
        let info = coroutines().into_iter().find(|info| info.id == caller.coroutine().id()).unwrap();
        assert_eq!(info.reason, Some(Reason::Other("offloaded work")));
        release.send(()).unwrap();
        caller.join().unwrap();
    });
}

struct Noted(mpsc::Sender<thread::ThreadId>);

impl Drop for Noted {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

#[test]
fn a_cancelled_caller_unwinds_at_once_and_the_result_is_dropped_on_the_other_thread() {
    let (dropped, drops) = mpsc::channel();
    Test::new().real_time().run(move || {
        let (release, released) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let result = Noted(dropped);
        let caller = spawn(move || {
            offload(move || {
                begin.send(()).unwrap();
                released.recv().unwrap();
                result
            })
        });
        while begun.try_recv().is_err() {
            yield_slice();
        }
        caller.cancel();
        assert!(matches!(caller.join(), Err(grapeshot_core::JoinError::Cancelled)));
        release.send(()).unwrap();
    });
    assert_ne!(drops.recv().unwrap(), thread::current().id());
}

#[test]
fn a_time_limit_cuts_the_caller_off() {
    Test::new().real_time().run(|| {
        let (release, released) = mpsc::channel::<()>();
        let limited = with_timeout(Duration::from_millis(5), move || offload(move || released.recv().unwrap_or(())));
        assert!(limited.is_err());
        drop(release);
    });
}

/// A virtual clock that jumped would have the limit pass before the work is done.
#[test]
fn virtual_time_stands_still_while_a_closure_runs() {
    test::run(|| {
        let began = now();
        let (release, released) = mpsc::channel();
        let ticker = spawn(move || {
            sleep(SECOND);
            now()
        });
        let helper = thread::spawn(move || release.send(()).unwrap());
        assert!(with_timeout(SECOND, move || offload(move || released.recv().unwrap())).is_ok());
        assert_eq!(now(), began);
        assert_eq!(ticker.join().unwrap(), began + SECOND);
        helper.join().unwrap();
    });
}

#[test]
fn work_that_outlives_its_caller_still_holds_virtual_time() {
    test::run(|| {
        let over = Arc::new(AtomicBool::new(false));
        let (begin, begun) = mpsc::channel();
        let caller = spawn({
            let over = over.clone();
            move || {
                offload(move || {
                    begin.send(()).unwrap();
                    thread::yield_now();
                    over.store(true, Ordering::SeqCst);
                })
            }
        });
        while begun.try_recv().is_err() {
            yield_slice();
        }
        caller.cancel();
        sleep(SECOND);
        assert!(over.load(Ordering::SeqCst));
    });
}

#[test]
fn outside_a_coroutine_the_closure_runs_where_it_is() {
    assert_eq!(offload(|| thread::current().id()), thread::current().id());
    assert_eq!(try_offload(|| -> u8 { panic!("here") }).unwrap_err().message(), "here");
}

struct OffloadsInDrop(Log);

impl Drop for OffloadsInDrop {
    fn drop(&mut self) {
        let here = thread::current().id();
        let there = offload(|| thread::current().id());
        self.0.add(if here == there { "here" } else { "elsewhere" });
    }
}

#[test]
fn in_a_coroutine_that_unwinds_the_closure_runs_where_it_is() {
    test::run(|| {
        let log = Log::new();
        let inner = log.clone();
        let cancelled = spawn(move || {
            let _offloads = OffloadsInDrop(inner);
            sleep(SECOND);
        });
        yield_now();
        cancelled.cancel();
        assert!(cancelled.join().is_err());
        assert_eq!(log.take(), ["here"]);
    });
}

#[test]
fn a_runtime_that_ends_does_not_wait_for_what_it_offloaded() {
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    Runtime::new()
        .signals(false)
        .run(move || {
            spawn(move || {
                offload(move || {
                    begin.send(()).unwrap();
                    released.recv().unwrap_or(());
                });
            });
            while begun.try_recv().is_err() {
                yield_slice();
            }
        })
        .unwrap();
    // The receiver is still there: the closure runs on.
    assert!(release.send(()).is_ok());
}

#[test]
fn many_callers_share_a_few_threads() {
    test::run(|| {
        let seen = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let callers: Vec<_> = (0..3000)
            .map(|index| {
                let seen = seen.clone();
                spawn(move || {
                    offload(move || {
                        seen.lock().unwrap().insert(thread::current().id());
                        index * 2
                    })
                })
            })
            .collect();
        for (index, caller) in callers.into_iter().enumerate() {
            assert_eq!(caller.join().unwrap(), index * 2);
        }
        // Eight at a time; one may have ended and another been started meanwhile.
        assert!((1..=16).contains(&seen.lock().unwrap().len()));
    });
}

/// DESIGN §4: whoever is cancelled, everyone else gets a result, and nothing is waited for for ever.
#[test]
fn on_every_schedule_callers_get_their_own_result_or_are_cancelled() {
    for seed in 0..40 {
        Test::new().seed(seed).run(|| {
            let calls = Arc::new(AtomicUsize::new(0));
            let results = Rc::new(RefCell::new(Vec::new()));
            let callers: Vec<_> = (0..16)
                .map(|index| {
                    let (calls, results) = (calls.clone(), results.clone());
                    spawn(move || {
                        let mine = offload(move || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            index
                        });
                        results.borrow_mut().push((index, mine));
                    })
                })
                .collect();
            (0..grapeshot_core::random_u64() % 8).for_each(|_| yield_now());
            for _ in 0..4 {
                callers[grapeshot_core::random_u64() as usize % callers.len()].cancel();
            }
            let ended = callers.into_iter().filter_map(|caller| caller.join().ok()).count();
            let results = results.take();
            assert!(results.iter().all(|(index, mine)| index == mine));
            assert_eq!(results.len(), ended);
            assert!(calls.load(Ordering::SeqCst) >= ended && ended >= 12);
        });
    }
}

#[test]
fn blocking_input_from_a_pipe_does_not_stop_the_loop() -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    test::run(move || {
        let writing = spawn(move || io::Write::write_all(&mut writer, b"over the pipe"));
        let text = offload(move || io::read_to_string(&mut reader));
        writing.join().unwrap().unwrap();
        assert_eq!(text.unwrap(), "over the pipe");
    });
    Ok(())
}
