//! Three servers under load, as processes, each of which is killed and started again: what is answered has run, and what
//! is numbered runs once (BEA-15).
//!
//! The servers are the example `balanced_client`, which notes each number that it runs in a file, in one write: what a
//! killed server has run can be read there.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use grapeshot::rpc::balance::{Balancer, BalancerOptions, EndpointState, Standing};
use grapeshot::rpc::pool::Pool;
use grapeshot::rpc::reconnect::{ReconnectOptions, Reconnecting};
use grapeshot::rpc::retry::{Backoff, RetryOptions, Retrying};
use grapeshot::rpc::{CallError, CallOptions, Caller, CallerExt, Client, Outcome, Repeat};
use grapeshot::{RateLimiter, scope, test};
use grapeshot_harness::{End, Ready, Running, Signal, TempDir, example};

/// Only a failure waits this long; a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

const CALLERS: u64 = 48;
const CALLS_PER_SECOND: u32 = 2000;

/// How many more answers must have come before something is done to the next server.
const ANSWERS: u64 = 700;

/// A server, and the file in which it notes what it runs.
struct Server {
    process: Running,
    address: String,
    file: PathBuf,
}

impl Server {
    fn start(folder: &Path, index: usize) -> Server {
        let file = folder.join(index.to_string());
        let process = start("127.0.0.1:0", &file);
        let address = process.ready_addr().unwrap().to_string();
        Server { process, address, file }
    }

    fn restart(&mut self) {
        self.process = start(&self.address, &self.file);
    }

    fn runs(&self) -> Vec<u64> {
        fs::read_to_string(&self.file).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }
}

fn start(address: &str, file: &Path) -> Running {
    let program = example("balanced_client").unwrap().arg("serve").arg(address).arg(file);
    program.open_input().ready_when(Ready::line("serving on")).start().unwrap()
}

/// How a number's call is made.
fn repeat(number: u64) -> Repeat {
    [Repeat::Sequenced, Repeat::Idempotent, Repeat::Never][number as usize % 3]
}

/// What the caller of each number heard: an answer, or what is known of its run.
type Heard = BTreeMap<u64, Result<(), Outcome>>;

/// The stack of the docs, pool included.
fn client(addresses: Vec<String>) -> Retrying<Balancer<impl Caller>> {
    let mut options = BalancerOptions::default();
    options.breaker.open_time = Duration::from_millis(100);
    options.breaker.max_open_time = Duration::from_secs(1);
    let backoff = Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200) };
    Retrying::across(Balancer::with_options(addresses, options, move |endpoint| {
        let address = endpoint.address.clone();
        Retrying::beneath(Pool::new(move || {
            let address = address.clone();
            let options = ReconnectOptions { backoff, ..ReconnectOptions::default() };
            Reconnecting::with_options(move || Client::connect(&address), options)
        }))
    }))
}

/// Calls until it is told to stop, and tells of each answer.
fn load(addresses: Vec<String>, stop: &AtomicBool, answers: &mpsc::Sender<()>) -> Heard {
    let client = client(addresses);
    let heard = RefCell::new(Heard::new());
    let next = Cell::new(0);
    let pace = RateLimiter::new(CALLS_PER_SECOND, Duration::from_secs(1)).burst(CALLERS as u32);
    scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && pace.until_ready().is_ok() {
                    let number = next.replace(next.get() + 1);
                    let options = CallOptions { repeat: repeat(number), ..CallOptions::default() };
                    let result = client.call_with::<u64>(&options, "work", &(number,));
                    if result.is_ok() {
                        answers.send(()).unwrap();
                    }
                    heard.borrow_mut().insert(number, result.map(|_| ()).map_err(|error: CallError| error.outcome()));
                }
            });
        }
    });
    heard.into_inner()
}

fn wait_for_answers(answers: &mpsc::Receiver<()>) {
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..ANSWERS {
        answers.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
    }
}

/// Kills and restarts each server under load; how often each number ran, and what its caller heard.
fn kill_each_under_load() -> (BTreeMap<u64, usize>, Heard) {
    let folder = TempDir::new().unwrap();
    let mut servers: Vec<Server> = (0..3).map(|index| Server::start(folder.path(), index)).collect();
    let addresses = servers.iter().map(|server| server.address.clone()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, answers) = mpsc::channel();
    let caller = thread::spawn({
        let stop = stop.clone();
        move || test::Test::new().real_time().run(move || load(addresses, &stop, &sender))
    });
    for server in &mut servers {
        wait_for_answers(&answers);
        server.process.kill();
        let before = server.runs().len();
        wait_for_answers(&answers);
        server.restart();
        let deadline = Instant::now() + PATIENCE;
        while server.runs().len() == before {
            assert!(Instant::now() < deadline, "{} gets no calls since it is back", server.address);
            wait_for_answers(&answers);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let heard = caller.join().unwrap();
    let mut runs = BTreeMap::new();
    for number in servers.iter().flat_map(Server::runs) {
        *runs.entry(number).or_default() += 1;
    }
    (runs, heard)
}

#[test]
fn killing_and_restarting_servers_loses_no_answered_call_and_runs_no_numbered_one_twice() {
    let (runs, heard) = kill_each_under_load();
    let times = |number: &u64| runs.get(number).copied().unwrap_or(0);
    let count = |wanted: Result<(), Outcome>| heard.values().filter(|heard| **heard == wanted).count();
    let twice = |wanted: Repeat| runs.iter().filter(|&(&number, &times)| repeat(number) == wanted && times > 1).count();
    let counts = format!(
        "{} calls: {} answered, {} of unknown outcome, {} not run; run twice: {} numbered, {} idempotent, {} of neither kind",
        heard.len(),
        count(Ok(())),
        count(Err(Outcome::Unknown)),
        count(Err(Outcome::NotRun)),
        twice(Repeat::Sequenced),
        twice(Repeat::Idempotent),
        twice(Repeat::Never),
    );
    println!("{counts}");
    let lost: Vec<_> = heard.iter().filter(|(number, heard)| heard.is_ok() && times(number) == 0).collect();
    assert!(lost.is_empty(), "answered and not run: {lost:?}; {counts}");
    let denied: Vec<_> =
        heard.iter().filter(|(number, heard)| **heard == Err(Outcome::NotRun) && times(number) > 0).collect();
    assert!(denied.is_empty(), "said not to have run, and run: {denied:?}; {counts}");
    assert_eq!((twice(Repeat::Sequenced), twice(Repeat::Never)), (0, 0), "{counts}");
    let in_vain = |number: &u64| repeat(*number) == Repeat::Idempotent && heard[number].is_err();
    assert_eq!(heard.keys().filter(|number| in_vain(number)).count(), 0, "{counts}");
    assert!(heard.values().all(|heard| *heard != Err(Outcome::Ran)), "{counts}");
}

#[test]
fn a_frozen_server_is_left_out_until_it_moves_again() {
    let folder = TempDir::new().unwrap();
    let servers: Vec<Server> = (0..3).map(|index| Server::start(folder.path(), index)).collect();
    test::Test::new().real_time().run(move || {
        let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
        let attempt_timeout = Some(Duration::from_millis(250));
        let client = client(addresses).options(RetryOptions { attempt_timeout, ..RetryOptions::default() });
        let options = CallOptions { repeat: Repeat::Idempotent, ..CallOptions::default() };
        let call_until = |is_so: &dyn Fn(&EndpointState) -> bool| {
            let began = Instant::now();
            loop {
                let answer: u64 = client.call_with(&options, "work", &(7,)).unwrap();
                let state = client.inner().endpoints().swap_remove(0);
                if answer == 7 && is_so(&state) {
                    return state;
                }
                assert!(began.elapsed() < PATIENCE, "{state}");
            }
        };
        let before = call_until(&|state| state.calls > 0);
        assert_eq!(before.standing, Standing::Serving);
        servers[0].process.signal(Signal::STOP).unwrap();
        let frozen = call_until(&|state| matches!(state.standing, Standing::Ejected { .. }));
        assert!(matches!(frozen.last_error, Some(CallError::TimedOut { sent: true, .. })), "{frozen}");
        servers[0].process.signal(Signal::CONT).unwrap();
        call_until(&|state| state.standing == Standing::Serving);
    });
}

#[test]
fn the_example_tells_what_was_answered_and_what_ran() {
    let output = example("balanced_client").unwrap().arg("3000").output(PATIENCE).unwrap();
    let said = output.assert_success().stdout.text().into_owned();
    let parts = [
        "servers: ",
        "after 1000 calls",
        "is killed",
        "it is back",
        "calls: ",
        "run twice: 0, answered and not run: 0",
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{output}");
}

#[test]
fn bad_arguments_get_a_usage_line_and_code_2() {
    for arguments in [&["no"][..], &["0"], &["serve"], &["1", "2"]] {
        let output = example("balanced_client").unwrap().args(arguments).output(PATIENCE).unwrap();
        assert!(matches!(output.end, End::Exited(status) if status.code() == Some(2)), "{output}");
        assert!(output.stderr.text().starts_with("usage: balanced_client"), "{output}");
    }
}
