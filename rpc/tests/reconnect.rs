//! When a connection is made, who waits for it, and what is told when there is none.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::{Reason, WaitQueue, now, scope, sleep, spawn, test, with_timeout, yield_now};
use grapeshot_rpc::reconnect::{LinkState, ReconnectOptions, Reconnecting, WhenDown};
use grapeshot_rpc::retry::Backoff;
use grapeshot_rpc::{CallError, CallOptions, Caller, Connected, Encoded, OpenCall, Outcome, Request};

const SECOND: Duration = Duration::from_secs(1);

/// One connection, which answers with its number.
struct Line {
    number: u64,
    closed: Cell<bool>,
    ended: WaitQueue,
    timeouts: RefCell<Vec<Option<Duration>>>,
}

impl Caller for Line {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.timeouts.borrow_mut().push(request.options.timeout);
        match self.closed.get() {
            true => Err(CallError::NotSent { cause: Arc::new(io::ErrorKind::NotConnected.into()) }),
            false => Ok(Encoded::of(&self.number).unwrap()),
        }
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.exchange(request).map(drop)
    }

    fn open(&self, _request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        Err(CallError::Refused { reason: "no streams here".to_owned() })
    }
}

impl Connected for Line {
    fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn close(&self) {
        self.closed.set(true);
        self.ended.wake_all();
    }

    fn wait_closed(&self) {
        while !self.closed.get() {
            self.ended.wait(Reason::Other("the end of a line"));
        }
    }
}

/// How an attempt to connect goes, and how long it takes.
#[derive(Clone, Copy)]
enum Dial {
    Works(Duration),
    Fails(Duration),
    Panics,
}

/// Somewhere to connect to; without a word it works at once.
#[derive(Clone, Default)]
struct Place {
    dials: Rc<RefCell<VecDeque<Dial>>>,
    made: Rc<RefCell<Vec<Rc<Line>>>>,
    dialed: Rc<Cell<usize>>,
}

impl Place {
    fn of(dials: impl IntoIterator<Item = Dial>) -> Place {
        Place { dials: Rc::new(RefCell::new(dials.into_iter().collect())), ..Place::default() }
    }

    fn connect(&self) -> io::Result<Rc<Line>> {
        self.dialed.set(self.dialed.get() + 1);
        let next = self.dials.borrow_mut().pop_front().unwrap_or(Dial::Works(Duration::ZERO));
        match next {
            Dial::Works(after) => {
                sleep(after);
                let number = self.made.borrow().len() as u64 + 1;
                let line =
                    Line { number, closed: Cell::new(false), ended: WaitQueue::new(), timeouts: RefCell::default() };
                let line = Rc::new(line);
                self.made.borrow_mut().push(line.clone());
                Ok(line)
            }
            Dial::Fails(after) => {
                sleep(after);
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("dial {} was refused", self.dialed.get())))
            }
            Dial::Panics => panic!("it was told to"),
        }
    }

    fn reconnecting(&self, options: ReconnectOptions) -> Reconnecting<impl grapeshot_rpc::Connect + 'static> {
        let place = self.clone();
        Reconnecting::with_options(move || place.connect(), options)
    }

    fn lose(&self) {
        self.made.borrow().last().unwrap().close();
    }
}

fn steady_backoff(wait: Duration) -> ReconnectOptions {
    ReconnectOptions { backoff: Backoff { first: wait, most: wait }, ..ReconnectOptions::default() }
}

fn call_within(caller: &impl Caller, timeout: Option<Duration>) -> Result<u64, CallError> {
    let options = CallOptions { timeout, ..CallOptions::default() };
    let request = Request { method: "which", params: &[0x90], options: &options };
    caller.exchange(&request).map(|answer| answer.decode().unwrap())
}

fn call(caller: &impl Caller) -> Result<u64, CallError> {
    call_within(caller, None)
}

fn cause(error: &CallError) -> String {
    match error {
        CallError::NotSent { cause } => cause.to_string(),
        other => panic!("it is {other:?}"),
    }
}

#[test]
fn it_connects_when_it_is_called_and_not_before() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(ReconnectOptions::default());
        sleep(SECOND);
        assert_eq!(place.dialed.get(), 0);
        assert_eq!(call(&caller).unwrap(), 1);
        assert_eq!(call(&caller).unwrap(), 1);
        assert_eq!(place.dialed.get(), 1);
    });
}

#[test]
fn all_who_call_meanwhile_wait_for_the_same_connection() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND)]);
        let caller = place.reconnecting(ReconnectOptions::default());
        scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(call(&caller).unwrap(), 1));
            }
        });
        assert_eq!(place.dialed.get(), 1);
    });
}

#[test]
fn one_who_cannot_wait_any_longer_does_not_cut_off_the_others() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND * 3)]);
        let caller = Rc::new(place.reconnecting(ReconnectOptions::default()));
        let cancelled = spawn({
            let caller = caller.clone();
            move || call(&*caller)
        });
        yield_now();
        let began = now();
        let error = call_within(&*caller, Some(SECOND)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit, sent: false } if limit == SECOND), "{error}");
        cancelled.cancel();
        assert!(with_timeout(SECOND, || call(&*caller)).is_err());
        assert_eq!(call(&*caller).unwrap(), 1);
        assert_eq!(now() - began, SECOND * 3);
        assert_eq!(place.dialed.get(), 1);
    });
}

#[test]
fn waiting_for_the_connection_is_part_of_the_calls_time() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND)]);
        let caller = place.reconnecting(ReconnectOptions::default());
        call_within(&caller, Some(SECOND * 3)).unwrap();
        call_within(&caller, Some(SECOND * 3)).unwrap();
        assert_eq!(*place.made.borrow()[0].timeouts.borrow(), [Some(SECOND * 2), Some(SECOND * 3)]);
    });
}

#[test]
fn after_a_loss_the_next_call_gets_a_new_connection() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(ReconnectOptions::default());
        assert_eq!(call(&caller).unwrap(), 1);
        sleep(SECOND * 2);
        place.lose();
        assert!(matches!(caller.state(), LinkState::Idle));
        assert_eq!(call(&caller).unwrap(), 2);
    });
}

#[test]
fn while_it_is_down_calls_are_told_why_at_once() {
    test::run(|| {
        let place = Place::of([Dial::Fails(SECOND)]);
        let caller = place.reconnecting(steady_backoff(SECOND * 3600));
        let error = call(&caller).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun);
        assert_eq!(cause(&error), "dial 1 was refused");
        let began = now();
        assert_eq!(cause(&call(&caller).unwrap_err()), "dial 1 was refused");
        assert_eq!((now() - began, place.dialed.get()), (Duration::ZERO, 1));
        let LinkState::Down { error, until } = caller.state() else { panic!("it is {:?}", caller.state()) };
        assert_eq!(error.to_string(), "dial 1 was refused");
        sleep(until - now());
        assert_eq!(call(&caller).unwrap(), 1);
    });
}

#[test]
fn calls_that_may_wait_are_made_when_the_connection_is_there() {
    test::run(|| {
        let place = Place::of([Dial::Fails(SECOND), Dial::Fails(SECOND)]);
        let when_down = WhenDown::WaitAtMost(SECOND * 60);
        let caller = place.reconnecting(ReconnectOptions { when_down, ..steady_backoff(SECOND * 4) });
        scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| assert_eq!(call(&caller).unwrap(), 1));
            }
        });
        assert_eq!(place.dialed.get(), 3);
    });
}

#[test]
fn who_waits_in_vain_is_told_the_last_error() {
    test::run(|| {
        let place = Place::of((0..1000).map(|_| Dial::Fails(Duration::ZERO)));
        let when_down = WhenDown::WaitAtMost(SECOND * 10);
        let caller = place.reconnecting(ReconnectOptions { when_down, ..steady_backoff(SECOND * 2) });
        let began = now();
        let text = cause(&call(&caller).unwrap_err());
        assert_eq!(now() - began, SECOND * 10);
        assert!(text.starts_with("no connection within 10s, and the last attempt failed: dial "), "{text}");
        let text = cause(&call_within(&caller, Some(SECOND)).unwrap_err());
        assert!(text.starts_with("no connection within 1s"), "{text}");
        let dialed = place.dialed.get();
        sleep(SECOND * 100);
        assert!(place.dialed.get() <= dialed + 1, "nobody waits, so nobody connects");
    });
}

#[test]
fn attempts_become_rarer_the_more_have_failed() {
    test::run(|| {
        let place = Place::of((0..1000).map(|_| Dial::Fails(Duration::ZERO)));
        let backoff = Backoff { first: SECOND / 10, most: SECOND * 30 };
        let when_down = WhenDown::WaitAtMost(SECOND * 3600);
        let caller = place.reconnecting(ReconnectOptions { backoff, when_down, ..ReconnectOptions::default() });
        call(&caller).unwrap_err();
        // 15 s apart on average once they have reached the bound.
        assert!((150..400).contains(&place.dialed.get()), "{} attempts in an hour", place.dialed.get());
    });
}

#[test]
fn without_pauses_a_call_is_told_of_one_failure_and_the_thread_is_not_held() {
    test::run(|| {
        let place = Place::of((0..1_000_000).map(|_| Dial::Fails(Duration::ZERO)));
        let caller = place.reconnecting(steady_backoff(Duration::ZERO));
        assert_eq!(cause(&call(&caller).unwrap_err()), "dial 1 was refused");
        let when_down = WhenDown::WaitAtMost(SECOND);
        let caller = place.reconnecting(ReconnectOptions { when_down, ..steady_backoff(Duration::ZERO) });
        call(&caller).unwrap_err();
        assert!(place.dialed.get() <= 1002, "{}", place.dialed.get());
    });
}

#[test]
fn an_attempt_that_takes_too_long_has_failed() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND * 1000)]);
        let caller = place.reconnecting(ReconnectOptions::default());
        let began = now();
        assert_eq!(cause(&call(&caller).unwrap_err()), "no connection was made within 10s");
        assert_eq!(now() - began, SECOND * 10);
    });
}

#[test]
fn an_attempt_that_panics_has_failed() {
    test::Test::new().allow_crashes().run(|| {
        let place = Place::of([Dial::Panics]);
        let caller = place.reconnecting(steady_backoff(SECOND));
        assert!(cause(&call(&caller).unwrap_err()).contains("panicked"));
        sleep(SECOND);
        assert_eq!(call(&caller).unwrap(), 1);
    });
}

#[test]
fn a_peer_that_hangs_up_at_once_is_not_called_in_a_loop() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(steady_backoff(SECOND * 3600));
        caller.wait_up().unwrap();
        sleep(SECOND / 2);
        place.lose();
        let text = cause(&call(&caller).unwrap_err());
        assert_eq!(text, "the connection was lost 500ms after it was made");
        assert_eq!(place.dialed.get(), 1);
    });
}

#[test]
fn a_connection_that_has_answered_is_good_however_short_its_life_was() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(steady_backoff(SECOND * 3600));
        for number in 1..=10 {
            assert_eq!(call(&caller).unwrap(), number);
            place.lose();
            assert!(matches!(caller.state(), LinkState::Idle), "{:?}", caller.state());
        }
    });
}

#[test]
fn who_watches_sees_each_state() {
    test::run(|| {
        let place = Place::of([Dial::Fails(SECOND), Dial::Works(SECOND)]);
        let caller = place.reconnecting(steady_backoff(SECOND));
        let watcher = caller.watch();
        let log = test::Log::new();
        let watching = spawn({
            let log = log.clone();
            move || {
                while watcher.changed().is_ok() {
                    log.add(match &*watcher.borrow() {
                        LinkState::Idle => "idle",
                        LinkState::Connecting => "connecting",
                        LinkState::Up => "up",
                        LinkState::Down { .. } => "down",
                        LinkState::Closed => "closed",
                    });
                }
            }
        });
        call(&caller).unwrap_err();
        sleep(SECOND * 2);
        call(&caller).unwrap();
        sleep(SECOND * 2);
        place.lose();
        sleep(SECOND);
        drop(caller);
        watching.join().unwrap();
        assert_eq!(log.take(), ["connecting", "down", "connecting", "up", "idle", "closed"]);
    });
}

#[test]
fn a_client_that_keeps_connected_comes_back_without_a_call() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND), Dial::Fails(SECOND), Dial::Works(SECOND)]);
        let caller = place.reconnecting(ReconnectOptions { keep_connected: true, ..ReconnectOptions::default() });
        caller.wait_up().unwrap();
        sleep(SECOND * 5);
        place.lose();
        sleep(SECOND * 5);
        assert!(matches!(caller.state(), LinkState::Up));
        assert_eq!((place.dialed.get(), place.made.borrow().len()), (3, 2));
    });
}

#[test]
fn closed_it_stays_closed() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(ReconnectOptions { keep_connected: true, ..ReconnectOptions::default() });
        call(&caller).unwrap();
        caller.close();
        assert!(caller.is_closed() && place.made.borrow()[0].is_closed());
        caller.wait_closed();
        assert!(matches!(call(&caller).unwrap_err(), CallError::Refused { .. }));
        sleep(SECOND * 100);
        assert_eq!(place.dialed.get(), 1);
    });
}

#[test]
fn closed_while_it_connects_it_closes_what_comes_of_it() {
    test::run(|| {
        let place = Place::of([Dial::Works(SECOND)]);
        let caller = Rc::new(place.reconnecting(ReconnectOptions::default()));
        let waiting = spawn({
            let caller = caller.clone();
            move || call(&*caller)
        });
        yield_now();
        yield_now();
        caller.close();
        assert!(matches!(waiting.join().unwrap(), Err(CallError::Refused { .. })));
        sleep(SECOND * 2);
        assert!(place.made.borrow().iter().all(|line| line.is_closed()));
    });
}

#[test]
fn dropped_it_closes_its_connection_and_leaves_no_coroutine() {
    test::run(|| {
        let place = Place::default();
        let caller = place.reconnecting(ReconnectOptions::default());
        call(&caller).unwrap();
        drop(caller);
        assert!(place.made.borrow()[0].is_closed());
    });
}
