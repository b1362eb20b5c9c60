//! The whole client stack over connections in memory, under virtual time: servers that are killed and started anew.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::{Group, now, random_u64, scope, sleep, spawn, test};
use grapeshot_net::memory;
use grapeshot_rpc::balance::{Balancer, BalancerOptions, HedgeCounts, HedgeDelay, HedgeOptions, Policy, Standing};
use grapeshot_rpc::pool::{Pool, PoolOptions};
use grapeshot_rpc::reconnect::Reconnecting;
use grapeshot_rpc::replies::AtMostOnce;
use grapeshot_rpc::retry::Retrying;
use grapeshot_rpc::{
    CallError, CallOptions, Caller, CallerExt, Client, Connection, Encoded, Failure, Outcome, Repeat, Request, Router,
    Service,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What the methods of all servers note: it outlives them, as a file would.
#[derive(Default)]
struct Notes {
    /// How often each number was run, and by which servers.
    runs: RefCell<BTreeMap<u64, Vec<String>>>,
    /// Methods that were cut off.
    cut_off: Cell<usize>,
}

/// Servers by their addresses, and the connections to them.
#[derive(Clone, Default)]
struct Network {
    servers: Rc<RefCell<BTreeMap<String, Rc<dyn Service>>>>,
    connections: Rc<RefCell<Vec<(String, Connection)>>>,
    opened: Rc<Cell<usize>>,
    notes: Rc<Notes>,
    /// Whether what servers say comes a second or two later.
    is_far: Rc<Cell<bool>>,
}

impl Network {
    /// Starts a server, which knows nothing of the one before it at the same address.
    fn start(&self, address: &str, takes: Duration) {
        let (notes, name) = (self.notes.clone(), address.to_owned());
        let service = Router::new().method("work", move |(number,): (u64,)| {
            let mut cut_off = CutOff(&notes.cut_off, true);
            sleep(takes / 2);
            notes.runs.borrow_mut().entry(number).or_default().push(name.clone());
            sleep(takes / 2);
            cut_off.1 = false;
            Ok(name.clone())
        });
        let service = service.method("fail", |(): ()| Err::<(), _>(Failure::new(7, "as told")));
        self.servers.borrow_mut().insert(address.to_owned(), Rc::new(AtMostOnce::new(service)));
    }

    fn connect(&self, address: &str) -> io::Result<Client> {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, format!("{address} refused"));
        let service = self.servers.borrow().get(address).cloned().ok_or_else(refused)?;
        self.opened.set(self.opened.get() + 1);
        let late =
            if self.is_far.get() { memory::Faults::new().delays(SECOND..2 * SECOND) } else { memory::Faults::new() };
        let (near, far) = memory::Builder::new().to_near(late).pair();
        let server = Connection::over(far).service(service).accept()?;
        self.connections.borrow_mut().push((address.to_owned(), server));
        Client::over(near)
    }

    /// Ends the connections to a server, which lives on.
    fn cut(&self, address: &str) {
        let mut cut = Vec::new();
        self.connections.borrow_mut().retain(|(to, connection)| {
            let stays = to != address;
            if !stays {
                cut.push(connection.clone());
            }
            stays
        });
        cut.iter().for_each(Connection::close);
    }

    /// Ends a server as one does that is told to: nobody gets in, and what runs finishes.
    fn drain(&self, address: &str) {
        let server = self.servers.borrow_mut().remove(address);
        let is_there = |(to, _): &&(String, Connection)| to == address;
        let connections: Vec<_> = self.connections.borrow().iter().filter(is_there).cloned().collect();
        connections.iter().for_each(|(_, connection)| connection.finish(Some(now() + 10 * SECOND)));
        drop(server);
    }

    fn kill(&self, address: &str) {
        let server = self.servers.borrow_mut().remove(address);
        self.cut(address);
        drop(server);
    }

    fn reconnecting(&self, address: &str) -> Reconnecting<impl Fn() -> io::Result<Client> + use<>> {
        let (network, address) = (self.clone(), address.to_owned());
        Reconnecting::new(move || network.connect(&address))
    }
}

struct CutOff<'a>(&'a Cell<usize>, bool);

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + usize::from(self.1));
    }
}

/// The stack that the docs draw, with a pool in it.
fn client(network: &Network, addresses: &[&str], options: BalancerOptions) -> Retrying<Balancer<impl Caller + use<>>> {
    let network = network.clone();
    let addresses: Vec<String> = addresses.iter().map(|&address| address.to_owned()).collect();
    Retrying::across(Balancer::with_options(addresses, options, move |endpoint| {
        let (network, address) = (network.clone(), endpoint.address.clone());
        Retrying::beneath(Pool::new(move || network.reconnecting(&address)))
    }))
}

fn round_robin() -> BalancerOptions {
    let mut options = BalancerOptions::default();
    options.policy = Policy::RoundRobin;
    options
}

fn work(client: &impl Caller, number: u64, repeat: Repeat) -> Result<String, CallError> {
    client.call_with(&CallOptions { repeat, ..CallOptions::default() }, "work", &(number,))
}

#[test]
fn calls_that_certainly_did_not_run_go_on_to_another_endpoint() {
    test::run(|| {
        let network = Network::default();
        ["a", "b", "c"].iter().for_each(|address| network.start(address, MILLISECOND));
        let client = client(&network, &["a", "b", "c"], round_robin());
        (0..3).for_each(|number| drop(work(&client, number, Repeat::Never).unwrap()));
        network.kill("b");
        sleep(SECOND);
        (3..100).for_each(|number| drop(work(&client, number, Repeat::Never).unwrap()));
        assert!(network.notes.runs.borrow().values().all(|runs| runs.len() == 1));
        let of_b = |network: &Network| network.notes.runs.borrow().values().filter(|runs| runs[0] == "b").count();
        assert_eq!(of_b(&network), 1);
        assert!(client.inner().endpoints().iter().any(|state| matches!(state.standing, Standing::Ejected { .. })));

        network.start("b", MILLISECOND);
        sleep(60 * SECOND);
        (100..130).for_each(|number| drop(work(&client, number, Repeat::Never).unwrap()));
        assert_eq!(of_b(&network), 11);
    });
}

#[test]
fn what_was_opened_after_a_wait_tells_of_its_own_limit_when_that_has_passed() {
    test::run(|| {
        let network = Network::default();
        network.start("b", 100 * SECOND);
        network.is_far.set(true);
        let client = client(&network, &["a", "b"], round_robin());
        let began = now();
        let options = CallOptions { timeout: Some(5 * SECOND), ..CallOptions::default() };
        let params = Encoded::of(&(1,)).unwrap();
        let open = || {
            let request = Request { method: "work", params: params.as_bytes(), options: &options };
            client.open(&request).unwrap()
        };
        let call = open();
        assert!(now() > began, "it was refused at the first endpoint, and waited before it went to the other");
        let error = call.finish().unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit, sent: true } if limit == 5 * SECOND), "{error}");
        assert_eq!(now() - began, 5 * SECOND);
        let call = open();
        network.kill("b");
        let error = call.finish().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
    });
}

#[test]
fn a_numbered_call_whose_connection_is_cut_is_answered_by_the_same_server_and_runs_once() {
    test::run(|| {
        let network = Network::default();
        ["a", "b"].iter().for_each(|address| network.start(address, SECOND));
        let client = Rc::new(client(&network, &["a", "b"], round_robin()));
        let call = spawn({
            let client = client.clone();
            move || work(&*client, 1, Repeat::Sequenced)
        });
        // The method has begun and not run, then it has run and not answered.
        for _ in 0..2 {
            sleep(400 * MILLISECOND);
            network.cut("a");
        }
        assert_eq!(call.join().unwrap().unwrap(), "a");
        assert_eq!(network.notes.runs.borrow()[&1], ["a"]);
        assert_eq!(network.notes.cut_off.get(), 0);
    });
}

#[test]
fn the_outcome_of_a_numbered_call_at_a_server_that_was_killed_is_unknown_and_it_runs_nowhere_else() {
    for restarts in [false, true] {
        test::run(move || {
            let network = Network::default();
            ["a", "b"].iter().for_each(|address| network.start(address, SECOND));
            let client = Rc::new(client(&network, &["a", "b"], round_robin()));
            let call = spawn({
                let client = client.clone();
                move || work(&*client, 1, Repeat::Sequenced)
            });
            sleep(600 * MILLISECOND);
            network.kill("a");
            if restarts {
                network.start("a", SECOND);
            }
            let error = call.join().unwrap().unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
            sleep(10 * SECOND);
            assert_eq!(network.notes.runs.borrow()[&1], ["a"]);
        });
    }
}

#[test]
fn an_idempotent_call_goes_on_to_another_server() {
    test::run(|| {
        let network = Network::default();
        ["a", "b"].iter().for_each(|address| network.start(address, SECOND));
        let client = Rc::new(client(&network, &["a", "b"], round_robin()));
        let call = spawn({
            let client = client.clone();
            move || work(&*client, 1, Repeat::Idempotent)
        });
        sleep(600 * MILLISECOND);
        network.kill("a");
        assert_eq!(call.join().unwrap().unwrap(), "b");
        assert_eq!(network.notes.runs.borrow()[&1], ["a", "b"]);
    });
}

#[test]
fn when_all_are_down_the_error_says_all_of_them() {
    test::run(|| {
        let network = Network::default();
        let client = client(&network, &["a", "b", "c"], round_robin());
        let error = (0..3).map(|_| work(&client, 1, Repeat::Never).unwrap_err()).last().unwrap();
        assert_eq!(error.outcome(), Outcome::NotRun);
        let text = error.to_string();
        assert!(text.contains("all 3 endpoints fail"), "{text}");
        assert!(["a refused", "b refused", "c refused"].iter().all(|part| text.contains(part)), "{text}");
    });
}

#[test]
fn the_loser_of_a_hedged_call_is_cancelled_at_its_server() {
    test::run(|| {
        let network = Network::default();
        network.start("slow", 60 * SECOND);
        network.start("quick", MILLISECOND);
        let mut options = round_robin();
        options.hedge = Some(HedgeOptions { delay: HedgeDelay::Fixed(SECOND / 2), ..HedgeOptions::default() });
        let client = client(&network, &["slow", "quick"], options);
        let began = now();
        assert_eq!(work(&client, 1, Repeat::Idempotent).unwrap(), "quick");
        assert!(now() - began < SECOND);
        sleep(SECOND);
        assert_eq!(network.notes.cut_off.get(), 1, "the method at the slow server was unwound");
        assert_eq!(client.inner().hedges(), HedgeCounts { made: 1, won: 1 });
    });
}

#[test]
fn a_pool_opens_connections_as_calls_come_and_closes_them_when_they_have_gone() {
    test::run(|| {
        let network = Network::default();
        network.start("a", SECOND);
        let mut options = PoolOptions::default();
        options.calls_per_connection = 10;
        let pool = Pool::with_options(options, {
            let network = network.clone();
            move || network.reconnecting("a")
        });
        scope(|scope| {
            for number in 0..35 {
                scope.spawn({
                    let pool = &pool;
                    move || work(pool, number, Repeat::Never).unwrap()
                });
            }
        });
        assert_eq!(network.opened.get(), 4);
        sleep(SECOND);
        let open = || network.connections.borrow().iter().filter(|(_, connection)| !connection.is_closed()).count();
        assert_eq!(open(), 4);
        sleep(61 * SECOND);
        assert_eq!(open(), 1);
    });
}

#[test]
fn servers_that_drain_one_after_the_other_fail_no_call_at_all() {
    const ADDRESSES: [&str; 3] = ["a", "b", "c"];
    test::run(|| {
        let network = Network::default();
        ADDRESSES.iter().for_each(|address| network.start(address, 40 * MILLISECOND));
        let client = Rc::new(client(&network, &ADDRESSES, BalancerOptions::default()));
        let callers = Group::new();
        for caller in 0..16 {
            let client = client.clone();
            let calls =
                move || (0..200).for_each(|call| drop(work(&*client, caller * 1000 + call, Repeat::Never).unwrap()));
            callers.spawn(grapeshot_core::Builder::new(), calls).unwrap();
        }
        for address in ADDRESSES {
            sleep(SECOND / 2);
            network.drain(address);
            sleep(SECOND);
            network.start(address, 40 * MILLISECOND);
        }
        assert!(!callers.is_empty(), "the calls went on all the time");
        assert!(callers.wait_empty(Some(now() + 60 * SECOND)));
        let runs = network.notes.runs.borrow();
        assert_eq!((runs.len(), runs.values().filter(|runs| runs.len() > 1).count()), (16 * 200, 0));
        assert_eq!(network.notes.cut_off.get(), 0);
    });
}

/// What a caller heard of its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Answer,
    NotRun,
    Unknown,
}

/// BEA-15, over several servers.
#[test]
fn on_every_schedule_no_acknowledged_call_is_lost_and_no_numbered_one_runs_twice() {
    let seeds = std::env::var("GRAPESHOT_SEEDS").map_or(40, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        test::Test::new().seed(seed).run(move || one_schedule(seed));
    }
}

fn one_schedule(seed: u64) {
    const ADDRESSES: [&str; 3] = ["a", "b", "c"];
    let random = |below: u64| random_u64() % below;
    let millis = |below: u64| Duration::from_millis(random(below));
    let network = Network::default();
    ADDRESSES.iter().for_each(|address| network.start(address, 40 * MILLISECOND));
    let client = Rc::new(client(&network, &ADDRESSES, BalancerOptions::default()));
    let heard: Rc<RefCell<BTreeMap<u64, Heard>>> = Rc::default();
    let callers = Group::new();
    for caller in 0..16 {
        let (client, heard) = (client.clone(), heard.clone());
        let calls = move || {
            for call in 0..20 {
                let number = caller * 100 + call;
                let result = work(&*client, number, Repeat::Sequenced);
                let outcome = match result.as_ref().map_err(CallError::outcome) {
                    Ok(_) => Heard::Answer,
                    Err(Outcome::NotRun) => Heard::NotRun,
                    Err(Outcome::Unknown) => Heard::Unknown,
                    Err(Outcome::Ran) => panic!("seed {seed}: {result:?}"),
                };
                heard.borrow_mut().insert(number, outcome);
                sleep(Duration::from_millis(random_u64() % 50));
            }
        };
        callers.spawn(grapeshot_core::Builder::new(), calls).unwrap();
    }
    while !callers.is_empty() {
        sleep(millis(300));
        let address = ADDRESSES[random(3) as usize];
        match random(3) {
            0 => network.cut(address),
            1 => network.kill(address),
            _ => network.start_unless_up(address),
        }
    }
    let (runs, heard) = (network.notes.runs.borrow(), heard.borrow());
    assert_eq!(heard.len(), 16 * 20);
    for (number, heard) in heard.iter() {
        let runs = runs.get(number).map_or(0, Vec::len);
        let is_right = match heard {
            Heard::Answer => runs == 1,
            Heard::NotRun => runs == 0,
            Heard::Unknown => runs <= 1,
        };
        assert!(is_right, "seed {seed}: number {number} ran {runs} times");
    }
    let answered = heard.values().filter(|heard| **heard == Heard::Answer).count();
    assert!(answered > 30, "seed {seed}: only {answered} of 320 calls were answered");
}

impl Network {
    fn start_unless_up(&self, address: &str) {
        let is_up = self.servers.borrow().contains_key(address);
        if !is_up {
            self.start(address, 40 * MILLISECOND);
        }
    }
}
