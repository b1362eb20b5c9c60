//! Servers that are killed, and connections that are cut, at the worst moments: what callers are told, and what has run
//! (BEA-15, BEA-16).
//!
//! The servers are processes of their own, killed with SIGKILL; what they ran is in a file that outlives them.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

mod relay;
mod server;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{JoinHandle, channel, read_clock, spawn, yield_now};
use grapeshot_rpc::reconnect::{ReconnectOptions, Reconnecting};
use grapeshot_rpc::retry::{Backoff, RetryOptions, Retrying};
use grapeshot_rpc::{CallError, CallOptions, Caller, CallerExt, Client, Outcome, Repeat};

use self::relay::Relay;
use self::server::{Ledger, Process};

const SOON: Duration = Duration::from_secs(20);

/// Not a test by itself: the other tests start this program again to have a server that can be killed.
#[test]
fn the_server_if_it_is_to_be_one() {
    server::serve_if_asked();
}

fn real_time(body: impl FnOnce() + 'static) {
    Test::new().real_time().run(body);
}

fn repeat(repeat: Repeat) -> CallOptions {
    CallOptions { repeat, timeout: Some(SOON), ..CallOptions::default() }
}

/// Calls in a coroutine of its own.
fn call_beside(
    caller: &Rc<impl Caller + 'static>,
    options: CallOptions,
    method: &'static str,
    operation: u64,
) -> JoinHandle<Result<u64, CallError>> {
    let caller = caller.clone();
    spawn(move || caller.call_with(&options, method, &(operation,)))
}

/// A client that connects again, to the addresses in turn, and repeats what may be repeated.
fn patient(addresses: impl IntoIterator<Item = SocketAddr>) -> Rc<Retrying<impl Caller + 'static>> {
    let addresses: Vec<String> = addresses.into_iter().map(|address| address.to_string()).collect();
    let dialed = Cell::new(0);
    let connect = move || {
        let turn = dialed.replace(dialed.get() + 1);
        Client::connect(&addresses[turn % addresses.len()])
    };
    let backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(200) };
    let reconnect = ReconnectOptions { backoff, steady: Duration::ZERO, ..ReconnectOptions::default() };
    let options = RetryOptions { attempts: 20, backoff, ..RetryOptions::default() };
    Rc::new(Retrying::new(Reconnecting::with_options(connect, reconnect)).options(options))
}

fn client(address: SocketAddr) -> Rc<Client> {
    Rc::new(Client::connect(&address.to_string()).unwrap())
}

#[test]
fn killed_before_it_has_read_the_request_the_outcome_is_unknown_although_it_did_not_run() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let client = client(relay.address);
        assert_eq!(client.call::<u64>("run", &(1,)).unwrap(), 1);
        process.freeze();
        let heard = relay.heard();
        let call = call_beside(&client, repeat(Repeat::Never), "run", 2);
        relay.wait_heard(heard);
        process.kill();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(ledger.runs_of(2), 0);
        let error = client.call::<u64>("run", &(3,)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
    });
}

#[test]
fn killed_while_the_method_runs_the_outcome_is_unknown_and_that_is_said_at_once() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let client = client(process.address);
        let call = call_beside(&client, repeat(Repeat::Never), "hold", 1);
        process.wait_line("began 1");
        process.kill();
        let killed = read_clock();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert!(read_clock() - killed < SOON / 4);
        assert_eq!(ledger.runs_of(1), 1);
    });
}

#[test]
fn killed_after_the_method_has_run_and_before_its_reply_the_outcome_is_unknown() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let client = client(relay.address);
        relay.hold_replies(true);
        let call = call_beside(&client, repeat(Repeat::Never), "run", 1);
        relay.wait_held();
        process.kill();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(ledger.runs_of(1), 1);
    });
}

#[test]
fn an_idempotent_call_goes_on_to_a_second_server() {
    real_time(|| {
        let (ledger, other_ledger) = (Ledger::new(), Ledger::new());
        let (process, other) = (Process::start(&ledger), Process::start(&other_ledger));
        let relay = Relay::to(process.address);
        let caller = patient([relay.address, other.address]);
        caller.call::<u64>("run", &(1,)).unwrap();
        relay.hold_replies(true);
        let call = call_beside(&caller, repeat(Repeat::Idempotent), "run", 2);
        relay.wait_held();
        process.kill();
        assert_eq!(call.join().unwrap().unwrap(), 2);
        assert_eq!((ledger.runs_of(2), other_ledger.runs_of(2)), (1, 1));
    });
}

#[test]
fn a_numbered_call_whose_connection_is_cut_before_the_reply_gets_it_on_another_one_and_runs_once() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let caller = patient([relay.address]);
        caller.call_with::<u64>(&repeat(Repeat::Sequenced), "run", &(1,)).unwrap();
        relay.hold_replies(true);
        let call = call_beside(&caller, repeat(Repeat::Sequenced), "run", 2);
        relay.wait_held();
        relay.hold_replies(false);
        relay.cut();
        assert_eq!(call.join().unwrap().unwrap(), 2);
        assert_eq!((ledger.runs_of(2), caller.counts().repeats), (1, 1));
    });
}

#[test]
fn a_numbered_call_whose_connection_is_cut_while_it_runs_is_waited_for_on_another_one() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let caller = patient([relay.address]);
        let call = call_beside(&caller, repeat(Repeat::Sequenced), "wait_for_gate", 1);
        process.wait_line("waits 1");
        relay.cut();
        // It comes again, and finds its method running.
        process.wait_line("asked for wait_for_gate");
        assert_eq!(client(process.address).call::<u64>("open_gate", &()).unwrap(), 1);
        assert_eq!(call.join().unwrap().unwrap(), 1);
        assert_eq!(ledger.runs_of(1), 1);
    });
}

#[test]
fn a_numbered_call_is_not_run_by_the_process_that_follows_the_killed_one() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let caller = patient([relay.address]);
        relay.hold_replies(false);
        caller.call_with::<u64>(&repeat(Repeat::Sequenced), "run", &(1,)).unwrap();
        relay.hold_replies(true);
        let call = call_beside(&caller, repeat(Repeat::Sequenced), "run", 2);
        relay.wait_held();
        let next = Process::start(&ledger);
        relay.lead_to(next.address);
        relay.hold_replies(false);
        process.kill();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(ledger.runs_of(2), 1);
        // What was not in doubt goes on with the new process, under a new id.
        assert_eq!(caller.call_with::<u64>(&repeat(Repeat::Sequenced), "run", &(3,)).unwrap(), 3);
        assert_eq!(ledger.runs_of(3), 1);
    });
}

#[test]
fn the_callers_time_limit_cuts_the_method_off_in_the_other_process() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let client = client(process.address);
        let limit = Duration::from_millis(300);
        let options = CallOptions { timeout: Some(limit), ..CallOptions::default() };
        let error = client.call_with::<u64>(&options, "hold", &(1,)).unwrap_err();
        assert!(matches!(error, CallError::TimedOut { limit: told, sent: true } if told == limit), "{error}");
        process.wait_line("cut 1");
    });
}

#[test]
fn a_caller_that_is_cancelled_cuts_the_method_off_in_the_other_process() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let client = client(process.address);
        let call = call_beside(&client, repeat(Repeat::Never), "hold", 1);
        process.wait_line("began 1");
        call.cancel();
        process.wait_line("cut 1");
        assert_eq!(client.call::<u64>("run", &(2,)).unwrap(), 2, "the connection goes on");
    });
}

#[test]
fn a_connection_that_is_cut_cuts_off_the_methods_of_its_calls() {
    real_time(|| {
        let ledger = Ledger::new();
        let process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let client = client(relay.address);
        let call = call_beside(&client, repeat(Repeat::Never), "hold", 1);
        process.wait_line("began 1");
        relay.cut();
        process.wait_line("cut 1");
        assert_eq!(call.join().unwrap().unwrap_err().outcome(), Outcome::Unknown);
    });
}

#[test]
fn a_server_that_is_killed_under_load_loses_nothing_acknowledged_and_runs_nothing_twice() {
    const WORKERS: u64 = 8;
    const OPERATIONS: u64 = 100;
    const KILLS: u64 = 3;
    real_time(|| {
        let ledger = Ledger::new();
        let mut process = Process::start(&ledger);
        let relay = Relay::to(process.address);
        let caller = patient([relay.address]);
        let (done, acknowledged) = channel::watch(0);
        let results: Rc<RefCell<Vec<(u64, Outcome)>>> = Rc::default();
        let working: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (caller, results, done) = (caller.clone(), results.clone(), done.clone());
                spawn(move || {
                    for operation in worker * OPERATIONS..(worker + 1) * OPERATIONS {
                        let answer = caller.call_with::<u64>(&repeat(Repeat::Sequenced), "run", &(operation,));
                        let outcome = answer.map_or_else(|error| error.outcome(), |_| Outcome::Ran);
                        results.borrow_mut().push((operation, outcome));
                        done.modify(|done| *done += 1);
                    }
                })
            })
            .collect();
        for kill in 1..=KILLS {
            acknowledged.wait_for(|done| *done >= kill * WORKERS * OPERATIONS / (KILLS + 1)).unwrap();
            process.kill();
            process = Process::start(&ledger);
            relay.lead_to(process.address);
        }
        for worker in working {
            worker.join().unwrap();
        }
        yield_now();
        let runs = ledger.runs();
        let results = results.borrow();
        assert_eq!(results.len() as u64, WORKERS * OPERATIONS);
        let count = |wanted| results.iter().filter(|(_, outcome)| *outcome == wanted).count();
        let tally = format!("{} acknowledged, {} unknown", count(Outcome::Ran), count(Outcome::Unknown));
        assert!(runs.values().all(|runs| *runs == 1), "some ran twice; {tally}");
        for (operation, outcome) in results.iter() {
            match outcome {
                Outcome::Ran => assert!(runs.contains_key(operation), "{operation} is lost; {tally}"),
                Outcome::NotRun => assert!(!runs.contains_key(operation), "{operation} was denied; {tally}"),
                Outcome::Unknown => {}
            }
        }
        // A kill leaves in doubt what was in flight, one call of each worker at most.
        assert!(count(Outcome::Unknown) as u64 <= KILLS * WORKERS, "{tally}");
        assert!(count(Outcome::Ran) as u64 >= WORKERS * OPERATIONS / 2, "{tally}");
    });
}
