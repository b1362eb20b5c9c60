//! Numbered calls over connections: where numbers travel, and where they do not.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::reconnect::{ReconnectOptions, Reconnecting};
use grapeshot_rpc::replies::AtMostOnce;
use grapeshot_rpc::retry::Retrying;
use grapeshot_rpc::{
    CallError, CallOptions, Caller, CallerExt, Connection, Extensions, Outcome, Repeat, Router, Sequence, Service,
};

const SECOND: Duration = Duration::from_secs(1);

/// A server to which connections can be made and cut.
struct Place {
    service: Rc<dyn Service>,
    runs: Rc<Cell<u64>>,
    lines: RefCell<Vec<Connection>>,
    extensions: Cell<Extensions>,
}

impl Place {
    fn new(wrap: impl FnOnce(Router) -> Rc<dyn Service>) -> Rc<Place> {
        let runs = Rc::new(Cell::new(0));
        let counted = runs.clone();
        let router = Router::new().method("slow", move |()| {
            counted.set(counted.get() + 1);
            sleep(SECOND * 3);
            Ok(counted.get())
        });
        let extensions = Cell::new(Extensions::default());
        Rc::new(Place { service: wrap(router), runs, lines: RefCell::default(), extensions })
    }

    fn keeping_replies() -> Rc<Place> {
        Place::new(|router| Rc::new(AtMostOnce::new(router)))
    }

    fn connect(&self) -> io::Result<Connection> {
        let (near, far) = memory::pair();
        self.lines.borrow_mut().push(Connection::over(far).shared_service(self.service.clone()).accept()?);
        Connection::over(near).extensions(self.extensions.get()).open()
    }

    fn cut(&self) {
        self.lines.take().iter().for_each(Connection::close);
    }

    fn caller(self: &Rc<Place>) -> Rc<Retrying<impl Caller + 'static>> {
        let place = self.clone();
        let options = ReconnectOptions { steady: Duration::ZERO, ..ReconnectOptions::default() };
        Rc::new(Retrying::new(Reconnecting::with_options(move || place.connect(), options)))
    }
}

fn numbered() -> CallOptions {
    CallOptions { repeat: Repeat::Sequenced, ..CallOptions::default() }
}

/// Makes a call whose connection is cut while its method runs.
fn call_and_cut(place: &Rc<Place>, caller: &Rc<Retrying<impl Caller + 'static>>) -> Result<u64, CallError> {
    let beside = caller.clone();
    let call = spawn(move || beside.call_with(&numbered(), "slow", &()));
    sleep(SECOND);
    place.cut();
    call.join().unwrap()
}

#[test]
fn a_call_whose_connection_is_cut_gets_its_reply_on_the_next_one() {
    test::run(|| {
        let place = Place::keeping_replies();
        let caller = place.caller();
        assert_eq!(call_and_cut(&place, &caller).unwrap(), 1);
        assert_eq!(place.runs.get(), 1);
    });
}

#[test]
fn a_service_that_keeps_no_replies_runs_the_call_once_and_in_doubt_says_so() {
    test::run(|| {
        let place = Place::new(|router| Rc::new(router));
        let caller = place.caller();
        assert_eq!(call_and_cut(&place, &caller).unwrap_err().outcome(), Outcome::Unknown);
        assert_eq!(place.runs.get(), 1);
    });
}

#[test]
fn where_numbers_do_not_travel_the_call_runs_once_and_in_doubt_says_so() {
    test::run(|| {
        let place = Place::keeping_replies();
        place.extensions.set(Extensions::Off);
        let caller = place.caller();
        assert_eq!(call_and_cut(&place, &caller).unwrap_err().outcome(), Outcome::Unknown);
        assert_eq!(place.runs.get(), 1);
    });
}

#[test]
fn a_number_is_not_lost_on_a_connection_that_has_become_a_plain_one() {
    test::run(|| {
        let place = Place::keeping_replies();
        let caller = place.caller();
        caller.call_with::<u64>(&numbered(), "slow", &()).unwrap();
        let beside = caller.clone();
        let call = spawn(move || beside.call_with::<u64>(&numbered(), "slow", &()));
        sleep(SECOND);
        // As after a hello that came too late.
        place.extensions.set(Extensions::Off);
        place.cut();
        assert_eq!(call.join().unwrap().unwrap_err().outcome(), Outcome::Unknown);
        assert_eq!(place.runs.get(), 2, "each of the two once");
    });
}

#[test]
fn a_plain_connection_refuses_a_number_and_sends_nothing() {
    test::run(|| {
        let place = Place::keeping_replies();
        place.extensions.set(Extensions::Off);
        let connection = place.connect().unwrap();
        let sequence = Some(Sequence { client: [7; 16], number: 1, lowest: 1 });
        let options = CallOptions { sequence, ..CallOptions::default() };
        let error = connection.call_with::<u64>(&options, "slow", &()).unwrap_err();
        assert!(matches!(error, CallError::Refused { .. }), "{error}");
        assert_eq!(place.runs.get(), 0);
    });
}
