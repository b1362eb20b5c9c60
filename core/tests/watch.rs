//! The channel of which only the latest value counts.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::channel::{WatchError, WatchReceiver, watch};
use grapeshot_core::test::{self, Log};
use grapeshot_core::{JoinHandle, random_u64, sleep, spawn, with_timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn watcher(receiver: WatchReceiver<u32>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let log = log.clone();
    spawn(move || {
        let changed = receiver.changed();
        log.add(format!("{name} {changed:?} {}", receiver.get()));
    })
}

#[test]
fn a_receiver_sees_the_latest_value_and_none_in_between() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        assert!(!receiver.has_changed());
        sender.set(2);
        sender.set(3);
        assert!(receiver.has_changed());
        assert_eq!(receiver.changed(), Ok(()));
        assert_eq!((receiver.get(), receiver.has_changed()), (3, false));
        assert!(with_timeout(SECOND, || receiver.changed()).is_err());
    });
}

#[test]
fn a_change_wakes_every_receiver_that_waits() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let log = Log::new();
        let watchers = [watcher(receiver.clone(), &log, "a"), watcher(receiver, &log, "b")];
        yield_now();
        sender.set(2);
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
        assert_eq!(log.take(), ["a Ok(()) 2", "b Ok(()) 2"]);
    });
}

#[test]
fn what_was_borrowed_stays_as_it_was() {
    test::run(|| {
        let (sender, receiver) = watch(String::from("old"));
        let before = receiver.borrow();
        assert_eq!(*sender.replace("new".to_owned()), "old");
        assert_eq!((before.as_str(), sender.get()), ("old", "new".to_owned()));
    });
}

#[test]
fn a_value_is_modified_in_a_copy_that_is_then_set() {
    test::run(|| {
        let (sender, receiver) = watch(vec![1]);
        sender.modify(|values| values.push(2));
        assert_eq!((receiver.get(), receiver.changed()), (vec![1, 2], Ok(())));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sender.modify(|values| {
                values.clear();
                panic!("in the middle");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!((receiver.get(), receiver.has_changed()), (vec![1, 2], false));
        sender.modify(|values| {
            sender.set(Vec::new());
            values.push(3);
        });
        assert_eq!(receiver.get(), [1, 2, 3]);
    });
}

#[test]
fn a_value_is_waited_for_and_asked_about_at_once() {
    test::run(|| {
        let (sender, receiver) = watch(5);
        assert_eq!(*receiver.wait_for(|&value| value == 5).unwrap(), 5);
        let waiting = spawn(move || receiver.wait_for(|&value| value > 7).map(|value| *value));
        for value in 6..=8 {
            yield_now();
            assert!(!waiting.is_finished());
            sender.set(value);
        }
        assert_eq!(waiting.join().unwrap(), Ok(8));
    });
}

#[test]
fn the_last_value_outlives_its_senders_and_no_change_comes_after_it() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let log = Log::new();
        let watcher = watcher(receiver.clone(), &log, "a");
        yield_now();
        drop(sender.clone());
        sender.set(2);
        drop(sender);
        watcher.join().unwrap();
        assert_eq!(log.take(), ["a Ok(()) 2"]);
        assert_eq!([receiver.changed(), receiver.changed()], [Ok(()), Err(WatchError::Closed)]);
        assert_eq!(receiver.get(), 2);
    });
}

#[test]
fn the_end_of_the_last_sender_ends_the_waits() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let log = Log::new();
        let watcher = watcher(receiver, &log, "a");
        yield_now();
        drop(sender);
        watcher.join().unwrap();
        assert_eq!(log.take(), ["a Err(Closed) 1"]);
    });
}

#[test]
fn a_sender_waits_for_the_last_receiver_to_leave() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let second = sender.subscribe();
        assert_eq!(sender.receivers(), 2);
        let sender = Rc::new(sender);
        let waiting = spawn({
            let sender = sender.clone();
            move || sender.closed()
        });
        drop(receiver);
        yield_now();
        assert!(!waiting.is_finished());
        drop(second);
        assert_eq!(waiting.join().unwrap(), Ok(()));
        assert!(sender.is_closed());
        sender.set(2);
        assert_eq!(sender.subscribe().get(), 2);
    });
}

/// "Cancelled, then woken": the change is there for the receiver's next look.
#[test]
fn a_wait_cancelled_before_the_change_has_not_seen_it() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let receiver = Rc::new(receiver);
        let cancelled = spawn({
            let receiver = receiver.clone();
            move || receiver.changed()
        });
        yield_now();
        cancelled.cancel();
        sender.set(2);
        assert!(cancelled.join().is_err());
        assert!(receiver.has_changed());
        assert_eq!(receiver.changed(), Ok(()));
    });
}

/// "Woken, then cancelled".
#[test]
fn a_wait_cancelled_after_the_change_has_seen_it() {
    test::run(|| {
        let (sender, receiver) = watch(1);
        let log = Log::new();
        let watcher = watcher(receiver, &log, "a");
        yield_now();
        sender.set(2);
        watcher.cancel();
        yield_now();
        assert_eq!(log.take(), ["a Ok(()) 2"]);
    });
}

#[test]
fn a_coroutine_that_unwinds_is_refused_the_wait() {
    struct LookInDrop(WatchReceiver<u32>, Rc<Cell<Option<WatchError>>>);
    impl Drop for LookInDrop {
        fn drop(&mut self) {
            self.1.set(self.0.changed().err());
        }
    }
    test::run(|| {
        let (_sender, receiver) = watch(1);
        let seen = Rc::new(Cell::new(None));
        let looking = LookInDrop(receiver, seen.clone());
        let ended = with_timeout(SECOND, move || {
            let _looking = looking;
            sleep(2 * SECOND);
        });
        assert!(ended.is_err());
        assert_eq!(seen.get(), Some(WatchError::Refused));
    });
}

/// Values only ever go up, and every receiver ends with the last one, whoever is cancelled.
#[test]
fn on_every_schedule_the_last_value_reaches_everyone() {
    support::on_every_schedule(|| {
        let (sender, receiver) = watch(0);
        let receivers: Vec<_> = (0..5).map(|_| Rc::new(receiver.clone())).collect();
        drop(receiver);
        let seen: Vec<_> = receivers.iter().map(|_| Rc::new(Cell::new(0))).collect();
        let look = |index: usize| {
            let (receiver, seen) = (receivers[index].clone(), seen[index].clone());
            spawn(move || {
                loop {
                    match with_timeout(SECOND, || receiver.changed()) {
                        Err(_) => {}
                        Ok(Ok(())) => {
                            let value = receiver.get();
                            assert!(seen.replace(value) < value);
                        }
                        Ok(Err(end)) => return assert_eq!(end, WatchError::Closed),
                    }
                    if random_u64().is_multiple_of(2) {
                        sleep(SECOND / 4);
                    }
                }
            })
        };
        let mut watchers: Vec<_> = (0..5).map(look).collect();
        for value in 1..=30_u64 {
            sender.set(value);
            match random_u64() % 4 {
                0 => yield_now(),
                1 => sleep(SECOND / 2),
                2 => {
                    let index = random_u64() as usize % 5;
                    watchers[index].cancel();
                    let _ = std::mem::replace(&mut watchers[index], spawn(|| ())).join();
                    watchers[index] = look(index);
                }
                _ => {}
            }
        }
        drop(sender);
        watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
        assert!(seen.iter().all(|seen| seen.get() == 30));
    });
}
