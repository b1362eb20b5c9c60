//! Waits where nobody can wait: outside a runtime, and for oneself (SCH-8).
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are parts of tests")]

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use grapeshot_core::channel::{self, Deque, Fifo, Receiver, Sender};
use grapeshot_core::sync::{Mutex, Semaphore};
use grapeshot_core::work::{Gateway, Mailbox, Recv, future_result};
use grapeshot_core::{Builder, Handle, JoinError, Reason, WaitQueue, current, select, spawn, test, yield_now};

thread_local! {
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics note the file they are raised in, beside what they do anyhow.
fn note_files() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let file = info.location().map(|location| location.file().to_owned());
        SEEN.with(|seen| *seen.borrow_mut() = file);
        before(info);
    }));
}

/// What a panic of `f` says: the file it was raised in and its message.
fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    format!("{} @ {message}", SEEN.with(RefCell::take).unwrap())
}

/// SCH-8: the panic names what was called, and stands where that was.
#[test]
fn a_wait_outside_a_runtime_names_the_call_and_stands_at_it() {
    type Case<'a> = (&'static str, Box<dyn FnOnce() + 'a>);
    note_files();
    let lock = Mutex::new(0);
    let held = lock.lock();
    let semaphore = Semaphore::new(0);
    let queue = WaitQueue::new();
    let full: (Sender<i32>, Receiver<i32>) = channel::bounded(1);
    let empty: (Sender<i32>, Receiver<i32>) = channel::bounded(1);
    full.0.send(1).unwrap();
    let met: (Sender<i32>, Receiver<i32>) = channel::rendezvous();
    let (_asked, answer) = channel::oneshot::<i32>();
    let (_speaker, heard) = channel::broadcast::<i32>(1);
    let (watching, watched) = channel::watch(0);
    let gateway = Gateway::<i32>::new();
    let subscription = gateway.subscribe("news");
    let (completer, result) = future_result::<i32, String>();
    let cases: Vec<Case<'_>> = vec![
        ("Mutex::lock", Box::new(|| drop(lock.lock()))),
        ("Semaphore::acquire", Box::new(|| drop(semaphore.acquire(1)))),
        ("WaitQueue::wait", Box::new(|| assert!(queue.wait(Reason::Other("a turn"))))),
        ("Sender::send", Box::new(|| full.0.send(2).unwrap())),
        ("Sender::send", Box::new(|| met.0.send(2).unwrap())),
        ("Receiver::recv", Box::new(|| assert_eq!(met.1.recv(), Ok(1)))),
        ("Receiver::recv", Box::new(|| assert_eq!(empty.1.recv(), Ok(1)))),
        ("Receiver::recv_timeout", Box::new(|| assert!(empty.1.recv_timeout(Duration::from_secs(1)).is_ok()))),
        ("Receiver::recv", Box::new(|| assert_eq!(empty.1.iter().next(), Some(1)))),
        ("oneshot::Receiver::recv", Box::new(|| assert_eq!(answer.recv(), Ok(1)))),
        ("BroadcastReceiver::recv", Box::new(|| assert_eq!(heard.recv().ok(), Some(1)))),
        ("WatchReceiver::changed", Box::new(|| watched.changed().unwrap())),
        ("WatchSender::closed", Box::new(|| watching.closed().unwrap())),
        ("Fifo::pop", Box::new(|| assert_eq!(Fifo::<i32>::new().pop().ok(), Some(1)))),
        ("Deque::pop_left", Box::new(|| assert_eq!(Deque::<i32>::new().pop_left().ok(), Some(1)))),
        ("Mailbox::recv", Box::new(|| assert!(matches!(Mailbox::<i32>::new().recv(), Recv::Message(1))))),
        ("Subscription::recv", Box::new(|| assert!(subscription.recv().is_ok()))),
        ("FutureResult::get", Box::new(|| assert_eq!(result.get().ok(), Some(1)))),
        ("Completer::wait_cancelled", Box::new(|| assert!(completer.wait_cancelled()))),
        ("select", Box::new(|| select! { item = &empty.1 => assert_eq!(item, Ok(1)) })),
    ];
    for (called, case) in cases {
        let said = panic_of(case);
        assert!(said.contains("outside_runtime.rs @ "), "{said}");
        assert!(said.contains(&format!(" @ {called}, which must wait for ")), "{said}");
        assert!(said.contains("not inside a coroutine"), "{said}");
    }
    drop(held);
}

#[test]
fn a_coroutine_that_joins_itself_is_told_which_it_is() {
    test::run(|| {
        let narcissus = Builder::new().name("narcissus").spawn(|| current().wait_finished().unwrap_err()).unwrap();
        let id = narcissus.coroutine().id();
        let error = narcissus.join().unwrap();
        assert!(matches!(error, JoinError::WouldDeadlock { .. }));
        let said = error.to_string();
        assert!(said.contains("narcissus") && said.contains(&id.to_string()), "{said}");
    });
}

#[test]
fn a_join_after_a_select_took_the_result_says_so() {
    test::run(|| {
        let seven = spawn(|| 7);
        select! { ended = &seven => assert_eq!(ended.unwrap(), 7) }
        select! { ended = &seven => assert!(matches!(ended, Err(JoinError::Taken))) }
        assert!(matches!(seven.join(), Err(JoinError::Taken)));
        let remote = Handle::current().spawn(|| 8).unwrap();
        select! { ended = &remote => assert_eq!(ended.unwrap(), 8) }
        assert!(matches!(remote.join(), Err(JoinError::Taken)));
        let cancelled = spawn(|| 7);
        cancelled.cancel();
        yield_now();
        select! { ended = &cancelled => assert!(matches!(ended, Err(JoinError::Cancelled))) }
    });
}
