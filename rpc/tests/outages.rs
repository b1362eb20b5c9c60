//! What a client with nothing but default options makes of a server that goes and comes back.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{now, scope, sleep, test};
use grapeshot_net::memory;
use grapeshot_rpc::reconnect::{LinkState, Reconnecting};
use grapeshot_rpc::retry::Retrying;
use grapeshot_rpc::{CallError, CallOptions, Caller, CallerExt, Connect, Connection, Repeat, Router};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A server that is up or down; down it refuses connections, and ends those it has.
#[derive(Default)]
struct Place {
    is_up: Cell<bool>,
    lines: RefCell<Vec<Connection>>,
}

impl Place {
    fn connect(&self) -> io::Result<Connection> {
        if !self.is_up.get() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = memory::pair();
        let service = Router::new().method("add", |(a, b): (i64, i64)| Ok(a + b));
        self.lines.borrow_mut().push(Connection::over(far).service(service).accept()?);
        Connection::over(near).open()
    }

    fn go_up(&self) {
        self.is_up.set(true);
    }

    fn go_down(&self) {
        self.is_up.set(false);
        self.lines.take().iter().for_each(Connection::close);
    }

    fn reconnecting(self: &Rc<Place>) -> Reconnecting<impl Connect + 'static> {
        let place = self.clone();
        Reconnecting::new(move || place.connect())
    }
}

fn add(caller: &impl Caller) -> Result<i64, CallError> {
    let options = CallOptions { repeat: Repeat::Idempotent, ..CallOptions::default() };
    caller.call_with(&options, "add", &(19, 23))
}

#[test]
fn calls_outlast_a_server_that_is_down_for_a_while() {
    for outage in [SECOND, SECOND * 5, SECOND * 30] {
        test::run(move || {
            let place = Rc::new(Place::default());
            let client = Retrying::new(place.reconnecting());
            scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let began = now();
                        assert_eq!(add(&client).unwrap(), 42);
                        assert!(now() - began < outage + SECOND * 5, "{:?} after {outage:?}", now() - began);
                    });
                }
                sleep(outage);
                place.go_up();
            });
            assert_eq!(client.counts().failed, 0);
        });
    }
}

#[test]
fn a_call_goes_on_until_its_own_limit_is_near() {
    test::run(|| {
        let place = Rc::new(Place::default());
        let client = Retrying::new(place.reconnecting());
        let options = CallOptions { timeout: Some(SECOND * 5), ..CallOptions::default() };
        for _ in 0..20 {
            let began = now();
            client.call_with::<i64>(&options, "add", &(1, 2)).unwrap_err();
            let took = now() - began;
            assert!((SECOND * 5 - MILLISECOND * 200..=SECOND * 5).contains(&took), "{took:?}");
        }
    });
}

#[test]
fn a_server_that_is_restarted_again_and_again_is_found_again_each_time() {
    test::run(|| {
        let place = Rc::new(Place::default());
        let client = Retrying::new(place.reconnecting());
        for restart in 0..50 {
            place.go_down();
            sleep(MILLISECOND * 600);
            place.go_up();
            let up = now();
            while now() - up < MILLISECOND * 900 {
                assert_eq!(add(&client).unwrap(), 42, "restart {restart}");
                let is_up = matches!(client.inner().state(), LinkState::Up);
                assert!(is_up, "restart {restart}: {:?}", client.inner().state());
                sleep(MILLISECOND * 50);
            }
        }
    });
}

#[test]
fn calls_that_meet_the_restarts_themselves_are_answered_long_before_their_limit() {
    test::run(|| {
        let place = Rc::new(Place::default());
        let client = Retrying::new(place.reconnecting());
        scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20 {
                    place.go_up();
                    sleep(MILLISECOND * 1300);
                    place.go_down();
                    sleep(MILLISECOND * 600);
                }
                place.go_up();
            });
            for _ in 0..300 {
                let began = now();
                assert_eq!(add(&client).unwrap(), 42);
                assert!(now() - began < SECOND * 10, "{:?}", now() - began);
                sleep(MILLISECOND * 100);
            }
        });
        assert_eq!(client.counts().failed, 0);
    });
}
