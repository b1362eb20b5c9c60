//! Stub endpoints that do as they are told, and a source that says what it is told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::sleep;
use grapeshot_rpc::balance::{Balancer, BalancerOptions, Endpoint, EndpointSource, Found, Policy, Standing};
use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, Failure, OpenCall, Request, StreamError, Value};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What an endpoint does with its calls.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    Answers,
    AnswersAfter(Duration),
    Refuses,
    Loses,
    Fails(i64),
    Rants,
    Hangs,
}

/// One stub endpoint, seen from both sides.
pub(crate) struct Place {
    pub(crate) does: Cell<Does>,
    pub(crate) calls: Cell<usize>,
    pub(crate) running: Cell<usize>,
    pub(crate) most: Cell<usize>,
}

/// All stub endpoints of a test, by their addresses.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) places: Rc<RefCell<BTreeMap<String, Rc<Place>>>>,
    pub(crate) made: Rc<Cell<usize>>,
    pub(crate) dropped: Rc<RefCell<Vec<String>>>,
}

impl World {
    pub(crate) fn place(&self, address: &str) -> Rc<Place> {
        let new =
            || Place { does: Cell::new(Does::Answers), calls: Cell::new(0), running: Cell::new(0), most: Cell::new(0) };
        self.places.borrow_mut().entry(address.to_owned()).or_insert_with(|| Rc::new(new())).clone()
    }

    pub(crate) fn make(&self) -> impl Fn(&Endpoint) -> Stub + 'static {
        let world = self.clone();
        move |endpoint| {
            world.made.set(world.made.get() + 1);
            let address = endpoint.address.clone();
            Stub { place: world.place(&address), address, dropped: world.dropped.clone() }
        }
    }

    pub(crate) fn set(&self, address: &str, does: Does) {
        self.place(address).does.set(does);
    }

    pub(crate) fn calls(&self, address: &str) -> usize {
        self.place(address).calls.get()
    }
}

pub(crate) struct Stub {
    pub(crate) address: String,
    pub(crate) place: Rc<Place>,
    pub(crate) dropped: Rc<RefCell<Vec<String>>>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.address.clone());
    }
}

pub(crate) struct Running(Rc<Place>);

impl Running {
    pub(crate) fn at(place: &Rc<Place>) -> Running {
        place.running.set(place.running.get() + 1);
        place.most.set(place.most.get().max(place.running.get()));
        Running(place.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

pub(crate) fn io_error(kind: io::ErrorKind, text: String) -> Arc<io::Error> {
    Arc::new(io::Error::new(kind, text))
}

impl Caller for Stub {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.place.calls.set(self.place.calls.get() + 1);
        let _running = Running::at(&self.place);
        match self.place.does.get() {
            Does::Answers => {}
            Does::AnswersAfter(delay) => sleep(delay),
            Does::Refuses => {
                let cause = io_error(io::ErrorKind::ConnectionRefused, format!("{} refused", self.address));
                return Err(CallError::NotSent { cause });
            }
            Does::Loses => {
                let cause = io_error(io::ErrorKind::ConnectionReset, "reset".to_owned());
                return Err(CallError::OutcomeUnknown { cause });
            }
            Does::Fails(code) => return Err(CallError::Failed(Failure::new(code, "as told"))),
            Does::Rants => {
                let failure = Failure::new(Failure::INTERNAL, "é".repeat(1 << 16)).with_data(Value::from("data"));
                return Err(CallError::Failed(failure));
            }
            Does::Hangs => {
                let limit = request.options.timeout.unwrap_or(3600 * SECOND);
                sleep(limit);
                return Err(CallError::TimedOut { limit, sent: true });
            }
        }
        Ok(Encoded::of(&self.address).unwrap())
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.exchange(request).map(drop)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let answer = self.exchange(request)?;
        Ok(Box::new(StubCall { answer, _running: Running::at(&self.place) }))
    }
}

pub(crate) struct StubCall {
    answer: Encoded,
    _running: Running,
}

impl OpenCall for StubCall {
    fn send_item(&self, _: &[u8]) -> Result<(), StreamError> {
        Ok(())
    }

    fn end_items(&self, _: Option<&Failure>) {}

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(None)
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        Ok(self.answer)
    }
}

/// A source that says what the test tells it to.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) endpoints: Rc<RefCell<Vec<Endpoint>>>,
    pub(crate) error: Rc<RefCell<Option<String>>>,
    pub(crate) good_for: Rc<Cell<Option<Duration>>>,
    pub(crate) takes: Rc<Cell<Duration>>,
    pub(crate) asked: Rc<Cell<usize>>,
}

impl Told {
    pub(crate) fn of(endpoints: &[&str]) -> Told {
        let told = Told::default();
        told.good_for.set(Some(60 * SECOND));
        told.tell(endpoints);
        told
    }

    pub(crate) fn tell(&self, endpoints: &[&str]) {
        *self.endpoints.borrow_mut() = endpoints.iter().map(|address| Endpoint::new(*address)).collect();
    }
}

impl EndpointSource for Told {
    fn find(&self) -> io::Result<Found> {
        self.asked.set(self.asked.get() + 1);
        sleep(self.takes.get());
        match &*self.error.borrow() {
            Some(error) => Err(io::Error::other(error.clone())),
            None => Ok(Found { endpoints: self.endpoints.borrow().clone(), good_for: self.good_for.get() }),
        }
    }
}

pub(crate) fn options(change: impl FnOnce(&mut BalancerOptions)) -> BalancerOptions {
    let mut options = BalancerOptions::default();
    options.breaker.failures_in_a_row = 3;
    change(&mut options);
    options
}

pub(crate) fn round_robin() -> BalancerOptions {
    options(|options| options.policy = Policy::RoundRobin)
}

pub(crate) fn call<C: Caller>(caller: &C) -> Result<String, CallError> {
    call_within(caller, None)
}

pub(crate) fn call_within<C: Caller>(caller: &C, timeout: Option<Duration>) -> Result<String, CallError> {
    let options = CallOptions { timeout, ..CallOptions::default() };
    let request = Request { method: "name", params: &[0x90], options: &options };
    caller.exchange(&request).map(|answer| answer.decode().unwrap())
}

pub(crate) fn names<C: Caller>(caller: &C, calls: usize) -> Vec<String> {
    (0..calls).map(|_| call(caller).unwrap()).collect()
}

pub(crate) fn standing<C: Caller>(balancer: &Balancer<C>, address: &str) -> Standing {
    balancer.endpoints().into_iter().find(|state| state.endpoint.address == address).unwrap().standing
}

pub(crate) fn is_ejected<C: Caller>(balancer: &Balancer<C>, address: &str) -> bool {
    matches!(standing(balancer, address), Standing::Ejected { .. })
}
