//! Numbered calls over connections: where numbers travel, and where they do not.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::reconnect::{ReconnectOptions, Reconnecting};
use grapeshot_rpc::replies::{AtMostOnce, BEGIN, ReplyLimits};
use grapeshot_rpc::retry::{RetryOptions, Retrying};
use grapeshot_rpc::{
    CallError, CallErrorKind, CallOptions, Caller, CallerExt, Connection, Extensions, Failure, Outcome, Repeat, Router,
    Sequence, Service, Value,
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

/// A server that keeps few replies, with a method of 20 ms beside the slow one.
fn place_keeping_few() -> (Rc<Place>, Rc<AtMostOnce<Router>>) {
    let mut limits = ReplyLimits::default();
    limits.replies_per_client = 16;
    let kept = RefCell::default();
    let place = Place::new(|router| {
        let router = router.method("fast", |()| {
            sleep(SECOND / 50);
            Ok(())
        });
        let service = Rc::new(AtMostOnce::with_limits(router, limits));
        kept.replace(Some(service.clone()));
        service
    });
    (place, kept.take().unwrap())
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
fn a_slow_call_in_attempts_gets_its_reply_however_many_fast_ones_run_beside_it() {
    test::run(|| {
        let (place, service) = place_keeping_few();
        let connection = place.connect().unwrap();
        let options = RetryOptions { attempt_timeout: Some(SECOND / 10), ..RetryOptions::default() };
        let caller = Rc::new(Retrying::new(connection).options(options));
        let fast: Vec<_> = (0..8)
            .map(|_| {
                let caller = caller.clone();
                spawn(move || {
                    loop {
                        caller.call_with::<()>(&numbered(), "fast", &()).unwrap();
                    }
                })
            })
            .collect();
        for run in 1..=20 {
            assert_eq!(caller.call_with::<u64>(&numbered(), "slow", &()).unwrap(), run);
        }
        fast.iter().for_each(|handle| handle.cancel());
        assert_eq!(place.runs.get(), 20);
        let counts = service.counts();
        assert!(counts.answered_again > 0, "some ended between two attempts: {counts:?}");
        assert_eq!((counts.refused, caller.counts().failed), (0, 0));
    });
}

#[test]
fn a_reply_that_is_gone_is_no_answer_of_the_methods() {
    test::run(|| {
        let mut limits = ReplyLimits::default();
        limits.reply_bytes = 0;
        let place = Place::new(|router| Rc::new(AtMostOnce::with_limits(router, limits)));
        let caller = Retrying::new(place.connect().unwrap());
        let sequence = |client, number| Some(Sequence { client, number, lowest: number });
        let asking = CallOptions { sequence: sequence([0; 16], 0), ..CallOptions::default() };
        let Value::Binary(id) = caller.call_with(&asking, BEGIN, &()).unwrap() else { panic!("no id") };
        let options = CallOptions { sequence: sequence(id.try_into().unwrap(), 1), ..numbered() };
        assert_eq!(caller.call_with::<u64>(&options, "slow", &()).unwrap(), 1);
        let error = caller.call_with::<u64>(&options, "slow", &()).unwrap_err();
        assert_eq!(error.failure().map(|failure| failure.code), Some(Failure::REPLY_GONE), "{error}");
        assert_eq!((error.kind(), error.outcome()), (CallErrorKind::Failed, Outcome::Ran));
        assert_eq!((place.runs.get(), caller.counts().failed), (1, 1));
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
