//! What cannot be seen from outside: how often a loop is woken, and when idle threads end.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::inbox::{CallError, Inbox, Mail};
use super::pool::{Bounds, Pool, PoolError};
use crate::reactor::Remote;

/// Counts what it is asked for.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Remote for Counter {
    fn deregister(&self, _: RawFd) {}

    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An inbox of no runtime: its number is that of none.
fn inbox() -> (Arc<Inbox>, Counter) {
    let wakes = Counter::default();
    (Inbox::open(u32::MAX, Box::new(wakes.clone()), false), wakes)
}

fn wakes(counter: &Counter) -> usize {
    counter.0.load(Ordering::SeqCst)
}

#[test]
fn a_sleeping_loop_is_woken_once_however_much_is_brought() {
    let (inbox, counter) = inbox();
    let second = Duration::from_secs(1);
    assert_eq!(inbox.before_poll(second), second);
    for _ in 0..5 {
        assert!(inbox.call_at_once(Box::new(|| ())));
    }
    assert_eq!(wakes(&counter), 1);
    let mut mail = Mail::default();
    assert!(inbox.collect(&mut mail));
    assert_eq!(mail.calls.len(), 5);
    assert!(!inbox.collect(&mut Mail::default()));
    inbox.close();
}

#[test]
fn a_loop_that_is_awake_is_not_woken_and_does_not_fall_asleep_over_its_mail() {
    let (inbox, counter) = inbox();
    assert!(inbox.call_at_once(Box::new(|| ())));
    assert_eq!(wakes(&counter), 0);
    assert_eq!(inbox.before_poll(Duration::from_secs(1)), Duration::ZERO);
    inbox.close();
}

#[test]
fn calls_that_nobody_will_make_are_dropped_and_later_ones_refused() {
    let (inbox, _) = inbox();
    let held = Arc::new(());
    let in_call = held.clone();
    assert!(inbox.call(Box::new(move || drop(in_call))).is_ok());
    assert_eq!(Arc::strong_count(&held), 2);
    inbox.close();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(inbox.call(Box::new(|| ())), Err(CallError::Ended));
    assert!(!inbox.call_at_once(Box::new(|| ())));
}

fn pool(idle: Option<Duration>) -> Arc<Pool> {
    Arc::new(Pool::new("test-pool", Bounds { threads: 4, queue: 4, idle }))
}

/// SYL-13: threads are made on demand.
#[test]
fn threads_come_on_demand_and_end_when_they_have_been_idle() {
    let pool = pool(Some(Duration::from_millis(1)));
    assert_eq!(pool.load(), (0, 0));
    pool.submit(Box::new(|| ())).unwrap();
    // Not closed: only idleness ends them.
    assert!(pool.wait_ended());
    assert_eq!(pool.load(), (0, 0));
    pool.submit(Box::new(|| ())).unwrap();
    assert!(pool.wait_ended());
}

#[test]
fn threads_above_a_lowered_bound_end() {
    let pool = pool(None);
    for _ in 0..4 {
        pool.submit(Box::new(|| ())).unwrap();
    }
    let before = pool.set_bounds(Bounds { threads: 4, queue: 1, idle: Some(Duration::ZERO) });
    assert_eq!(before.idle, None);
    assert!(pool.wait_ended());
}

#[test]
fn a_closed_pool_refuses_jobs() {
    let pool = pool(None);
    pool.close();
    assert!(matches!(pool.submit(Box::new(|| ())), Err(PoolError::Closed)));
}
