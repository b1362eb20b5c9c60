//! Numbered calls over a network that loses, delays, repeats and reorders, to a server that is killed now and then:
//! none runs twice, none that was acknowledged is lost, and none runs of which the caller was told that it did not.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{Builder, Group, channel, random_u64, sleep, spawn, with_timeout};
use grapeshot_rpc::replies::{AtMostOnce, ReplyLimits};
use grapeshot_rpc::retry::{BudgetOptions, RetryBudget, RetryOptions, Retrying};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Context, Encoded, Failure, OpenCall, Outcome, Repeat, Request, Service,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// How bad it is, each in percent of the attempts.
#[derive(Clone, Copy, Debug)]
struct Weather {
    not_sent: u64,
    request_lost: u64,
    request_late: u64,
    request_twice: u64,
    reply_lost: u64,
    /// How often the server is killed and started anew.
    kills: usize,
    /// How many replies of a client it keeps.
    replies: usize,
}

const BAD: Weather = Weather {
    not_sent: 10,
    request_lost: 10,
    request_late: 10,
    request_twice: 10,
    reply_lost: 15,
    kills: 3,
    replies: 1000,
};

/// What the server has done, which outlives it: how often each operation has run.
#[derive(Default)]
struct Ledger {
    runs: RefCell<HashMap<u64, u64>>,
}

impl Service for Ledger {
    fn call(&self, _method: &str, params: &[u8], _context: &Context) -> Result<Encoded, Failure> {
        let (operation,): (u64,) = Encoded::from_bytes(params.to_vec()).decode().unwrap();
        if percent() < 5 {
            return Err(Failure::new(Failure::BUSY, "not now"));
        }
        wait_up_to(SECOND);
        *self.runs.borrow_mut().entry(operation).or_default() += 1;
        wait_up_to(SECOND);
        match percent() {
            0..5 => Err(Failure::new(1, operation.to_string())),
            _ => Ok(Encoded::of(&operation).unwrap()),
        }
    }
}

fn percent() -> u64 {
    random_u64() % 100
}

fn wait_up_to(most: Duration) {
    sleep(most.mul_f64((random_u64() % 1000) as f64 / 1000.0));
}

/// A server and the network before it.
struct World {
    weather: Weather,
    ledger: Rc<Ledger>,
    server: RefCell<Rc<AtMostOnce<Rc<Ledger>>>>,
    /// Requests that are being served: those that a kill cuts off.
    served: Group,
    /// Requests that are still on their way.
    late: Group,
    again: Cell<u64>,
}

impl World {
    fn new(weather: Weather) -> World {
        let ledger = Rc::new(Ledger::default());
        World {
            server: RefCell::new(World::server(&ledger, weather)),
            weather,
            ledger,
            served: Group::new(),
            late: Group::new(),
            again: Cell::new(0),
        }
    }

    fn server(ledger: &Rc<Ledger>, weather: Weather) -> Rc<AtMostOnce<Rc<Ledger>>> {
        let mut limits = ReplyLimits::default();
        limits.replies_per_client = weather.replies;
        Rc::new(AtMostOnce::with_limits(ledger.clone(), limits))
    }

    fn kill(&self) {
        self.count_again();
        self.served.cancel_all();
        self.server.replace(World::server(&self.ledger, self.weather));
    }

    fn count_again(&self) {
        let counts = self.server.borrow().counts();
        self.again.set(self.again.get() + counts.answered_again + counts.joined);
    }

    /// Has the server serve a request; nothing comes out if it is killed meanwhile.
    fn serve(&self, letter: &Letter) -> channel::oneshot::Receiver<Result<Encoded, Failure>> {
        let (sender, receiver) = channel::oneshot();
        let (server, letter) = (self.server.borrow().clone(), letter.clone());
        let serve = move || {
            let context = match letter.options.sequence {
                Some(sequence) => Context::detached().with_sequence(sequence),
                None => Context::detached(),
            };
            // Whoever has sent it may be gone.
            let _ = sender.send(server.call(&letter.method, &letter.params, &context));
        };
        self.served.spawn(Builder::new(), serve).unwrap();
        receiver
    }

    fn deliver_late(self: &Rc<World>, letter: Letter) {
        let world = self.clone();
        let deliver = move || {
            wait_up_to(SECOND * 30);
            drop(world.serve(&letter));
        };
        self.late.spawn(Builder::new(), deliver).unwrap();
    }
}

#[derive(Clone)]
struct Letter {
    method: String,
    params: Vec<u8>,
    options: CallOptions,
}

/// What stands between a client and the server.
struct Lossy(Rc<World>);

impl Lossy {
    fn attempt(&self, letter: Letter) -> Result<Encoded, CallError> {
        let weather = self.0.weather;
        let mut fate = percent();
        let mut is = |share: u64| {
            let hit = fate < share;
            fate = if hit { u64::MAX } else { fate.wrapping_sub(share) };
            hit
        };
        if is(weather.not_sent) {
            return Err(CallError::NotSent { cause: lost() });
        }
        wait_up_to(SECOND / 2);
        if is(weather.request_lost) {
            return Err(CallError::OutcomeUnknown { cause: lost() });
        }
        if is(weather.request_late) {
            self.0.deliver_late(letter);
            return Err(CallError::OutcomeUnknown { cause: lost() });
        }
        if is(weather.request_twice) {
            self.0.deliver_late(letter.clone());
        }
        let reply = self.0.serve(&letter);
        if is(weather.reply_lost) {
            wait_up_to(SECOND);
            return Err(CallError::OutcomeUnknown { cause: lost() });
        }
        let reply = reply.recv().map_err(|_| CallError::OutcomeUnknown { cause: lost() })?;
        wait_up_to(SECOND / 2);
        reply.map_err(CallError::Failed)
    }
}

impl Caller for Lossy {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        let letter = Letter {
            method: request.method.to_owned(),
            params: request.params.to_vec(),
            options: request.options.clone(),
        };
        let limit = request.options.timeout.unwrap();
        with_timeout(limit, || self.attempt(letter)).unwrap_or(Err(CallError::TimedOut { limit, sent: true }))
    }

    fn tell(&self, _request: &Request<'_>) -> Result<(), CallError> {
        unreachable!("only calls are made here")
    }

    fn open(&self, _request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        unreachable!("only calls are made here")
    }
}

fn lost() -> Arc<io::Error> {
    Arc::new(io::ErrorKind::ConnectionReset.into())
}

/// What came of all operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    acknowledged: u64,
    /// Failed, and the caller knows that it did not run.
    not_run: u64,
    /// Failed, and the caller knows that it may have run.
    unknown: u64,
    ran_twice: u64,
    acknowledged_but_lost: u64,
    ran_but_denied: u64,
    wrong_answer: u64,
    repeats: u64,
    /// Attempts that were answered with a kept reply, or waited for one.
    again: u64,
}

const CLIENTS: u64 = 3;
const WORKERS: u64 = 4;
const OPERATIONS: u64 = 5;

/// Lets clients work until the end of it, and counts.
fn live(seed: u64, weather: Weather, repeat: Repeat) -> Tally {
    Test::new().seed(seed).exit_deadline(SECOND * 3600).run(move || {
        let world = Rc::new(World::new(weather));
        let tally = Rc::new(Cell::new(Tally::default()));
        let results: Rc<RefCell<Vec<(u64, Outcome)>>> = Rc::default();
        let killing = spawn({
            let world = world.clone();
            move || {
                for _ in 0..weather.kills {
                    wait_up_to(SECOND * 20);
                    world.kill();
                }
            }
        });
        let (mut callers, mut working) = (Vec::new(), Vec::new());
        for client in 0..CLIENTS {
            let caller = Rc::new(client_of(&world));
            callers.push(caller.clone());
            for worker in 0..WORKERS {
                let (caller, results, tally) = (caller.clone(), results.clone(), tally.clone());
                working.push(spawn(move || {
                    for operation in 0..OPERATIONS {
                        let operation = (client * WORKERS + worker) * OPERATIONS + operation;
                        let outcome = operate(&caller, operation, repeat, &tally);
                        results.borrow_mut().push((operation, outcome));
                    }
                }));
            }
        }
        for worker in working {
            worker.join().unwrap();
        }
        killing.join().unwrap();
        assert!(world.late.wait_empty(None) && world.served.wait_empty(None));
        assert!(world.server.borrow().wait_idle(None));
        world.count_again();
        let repeats = callers.iter().map(|caller| caller.counts().repeats).sum();
        count(&world, &results.borrow(), Tally { repeats, ..tally.get() })
    })
}

fn client_of(world: &Rc<World>) -> Retrying<Lossy> {
    let budget = RetryBudget::new(BudgetOptions { minimum_per_second: 1000, ..BudgetOptions::default() });
    let options = RetryOptions { attempt_timeout: Some(SECOND * 2), attempts: 20, ..RetryOptions::default() };
    Retrying::new(Lossy(world.clone())).options(options).budget(budget)
}

fn operate(caller: &Retrying<Lossy>, operation: u64, repeat: Repeat, tally: &Cell<Tally>) -> Outcome {
    let params = Encoded::of(&(operation,)).unwrap();
    let options = CallOptions { repeat, ..CallOptions::default() };
    let answer = caller.exchange(&Request { method: "operate", params: params.as_bytes(), options: &options });
    let mut counted = tally.get();
    let outcome = match answer {
        Ok(answer) => {
            counted.wrong_answer += u64::from(answer.decode::<u64>().unwrap() != operation);
            Outcome::Ran
        }
        Err(CallError::Failed(failure)) if failure.code == 1 => {
            counted.wrong_answer += u64::from(failure.message != operation.to_string());
            Outcome::Ran
        }
        Err(error) => error.outcome(),
    };
    tally.set(counted);
    outcome
}

fn count(world: &World, results: &[(u64, Outcome)], mut tally: Tally) -> Tally {
    assert_eq!(results.len() as u64, CLIENTS * WORKERS * OPERATIONS);
    let runs = world.ledger.runs.borrow();
    for (operation, outcome) in results {
        let runs = runs.get(operation).copied().unwrap_or(0);
        tally.ran_twice += u64::from(runs > 1);
        match outcome {
            Outcome::Ran => {
                tally.acknowledged += 1;
                tally.acknowledged_but_lost += u64::from(runs == 0);
            }
            Outcome::NotRun => {
                tally.not_run += 1;
                tally.ran_but_denied += u64::from(runs > 0);
            }
            Outcome::Unknown => tally.unknown += 1,
        }
    }
    tally.again = world.again.get();
    tally
}

fn assert_honest(tally: &Tally) {
    let broken = (tally.ran_twice, tally.acknowledged_but_lost, tally.ran_but_denied, tally.wrong_answer);
    assert_eq!(broken, (0, 0, 0, 0), "{tally:?}");
}

#[test]
fn in_bad_weather_and_over_kills_no_number_runs_twice_and_nothing_acknowledged_is_lost() {
    let mut sum = Tally::default();
    for seed in 0..40 {
        let tally = live(seed, BAD, Repeat::Sequenced);
        assert_honest(&tally);
        sum.acknowledged += tally.acknowledged;
        sum.unknown += tally.unknown;
        sum.repeats += tally.repeats;
        sum.again += tally.again;
    }
    // It did rain.
    assert!(sum.repeats > 1000 && sum.again > 300 && sum.unknown > 10, "{sum:?}");
    assert!(sum.acknowledged > 40 * 60 * 85 / 100, "{sum:?}");
}

#[test]
fn without_kills_and_with_room_for_the_replies_everything_is_acknowledged() {
    let tally = live(1, Weather { kills: 0, ..BAD }, Repeat::Sequenced);
    assert_honest(&tally);
    assert_eq!(tally.acknowledged, CLIENTS * WORKERS * OPERATIONS, "{tally:?}");
}

#[test]
fn without_numbers_the_same_weather_runs_calls_twice() {
    let twice: u64 = (0..5).map(|seed| live(seed, BAD, Repeat::Idempotent).ran_twice).sum();
    assert!(twice > 10, "{twice}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_weather_no_number_runs_twice(
        seed: u64,
        (not_sent, request_lost, request_late) in (0_u64..25, 0_u64..20, 0_u64..25),
        (request_twice, reply_lost) in (0_u64..20, 0_u64..20),
        kills in 0_usize..6,
        replies in prop_oneof![Just(1_usize), Just(3), Just(1000)],
    ) {
        let weather = Weather { not_sent, request_lost, request_late, request_twice, reply_lost, kills, replies };
        assert_honest(&live(seed, weather, Repeat::Sequenced));
    }
}
