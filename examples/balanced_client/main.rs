//! A client of three servers, one of which is killed in the middle and started again: what was answered, what ran, and
//! how often.
//!
//! ```sh
//! cargo run --release --example balanced_client
//! cargo run --release --example balanced_client -- 50000
//! ```
//!
//! It starts three processes of itself as servers and makes numbered calls to them from 64 coroutines; each server notes
//! in a file of its own what it runs, so that even a killed one can be asked. After a third of the calls the second
//! server is killed, without a word, and half a second later it is started again at the same address.
//! You see how many calls were answered, how many ran, and that none ran twice and none was answered that did not run.
//! The outcome of some is unknown: those that the killed server had, and whose reply died with it.
//! `-- serve ADDRESS:PORT FILE` is such a server by itself; it ends when its stdin does.

mod fleet;
mod server;
mod tally;

use std::cell::Cell;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use grapeshot::channel::{WatchReceiver, WatchSender, watch};
use grapeshot::rpc::balance::{Balancer, BalancerOptions};
use grapeshot::rpc::reconnect::{ReconnectOptions, Reconnecting};
use grapeshot::rpc::retry::{Backoff, Retrying};
use grapeshot::rpc::{CallOptions, Caller, CallerExt, Client, Repeat};
use grapeshot::{RateLimiter, scope, sleep};

use fleet::Fleet;
use tally::Tally;

const SERVERS: usize = 3;
const CALLERS: usize = 64;

/// How many calls there are unless said, and how many a second: a run takes some seconds.
const CALLS: u64 = 12_000;
const CALLS_PER_SECOND: u32 = 4000;

/// The server that is killed, and for how long it is away.
const VICTIM: usize = 1;
const AWAY: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address, file] => {
            let (address, file) = (address.to_owned(), file.to_owned());
            grapeshot::run(move || ended(server::serve(&address, &file).map(|()| ExitCode::SUCCESS)))
        }
        [] => grapeshot::run(|| ended(run(CALLS))),
        [calls] if calls.parse().is_ok_and(|calls: u64| calls > 0) => {
            let calls = calls.parse().unwrap_or(CALLS);
            grapeshot::run(move || ended(run(calls)))
        }
        _ => {
            complain("usage: balanced_client [CALLS] | balanced_client serve ADDRESS:PORT FILE");
            ExitCode::from(2)
        }
    }
}

fn ended(result: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    result.unwrap_or_else(|error| {
        complain(&format!("balanced_client: {error}"));
        ExitCode::FAILURE
    })
}

/// Nobody may read any more, as behind `| head -1`, which is no reason to panic: the exit code has the verdict as well.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// On stderr, where nobody may read either.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn run(calls: u64) -> Result<ExitCode, Box<dyn Error>> {
    let fleet = Fleet::start(SERVERS)?;
    say(&format!("servers: {}", fleet.addresses().join(", ")));
    let client = client(fleet.addresses());
    let tally = Tally::default();
    let (made, progress) = watch(0);
    scope(|scope| {
        let trouble = scope.spawn(|| make_trouble(&fleet, &progress, calls / 3));
        call_all(&client, calls, &tally, &made);
        trouble.join()
    })??;
    say(&tally.heard());
    for endpoint in client.inner().endpoints() {
        say(&format!("  {endpoint}"));
    }
    let verdict = tally.compare(&fleet.runs()?);
    say(&verdict.to_string());
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The whole stack: see the docs of `grapeshot::rpc::balance`.
fn client(addresses: &[String]) -> Retrying<Balancer<impl Caller + use<>>> {
    let mut options = BalancerOptions::default();
    // Short, so that a run of some seconds shows the server's return.
    options.breaker.open_time = Duration::from_millis(200);
    let backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_millis(500) };
    let balancer = Balancer::with_options(addresses.to_vec(), options, move |endpoint| {
        let address = endpoint.address.clone();
        let connect = move || Client::connect(&address);
        let options = ReconnectOptions { backoff, ..ReconnectOptions::default() };
        Retrying::beneath(Reconnecting::with_options(connect, options))
    });
    Retrying::across(balancer)
}

fn call_all(client: &impl Caller, calls: u64, tally: &Tally, made: &WatchSender<u64>) {
    let next = Cell::new(0);
    let pace = RateLimiter::new(CALLS_PER_SECOND, Duration::from_secs(1)).burst(CALLERS as u32);
    let options = CallOptions { repeat: Repeat::Sequenced, ..CallOptions::default() };
    scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.replace(next.get() + 1);
                    if number >= calls || pace.until_ready().is_err() {
                        break;
                    }
                    tally.add(number, client.call_with::<u64>(&options, "work", &(number,)));
                    made.set(number);
                }
            });
        }
    });
}

/// Kills a server after so many calls, and starts it again after a while.
fn make_trouble(fleet: &Fleet, progress: &WatchReceiver<u64>, after: u64) -> Result<(), Box<dyn Error>> {
    progress.wait_for(|made| *made >= after)?;
    fleet.kill(VICTIM)?;
    say(&format!("after {after} calls {} is killed", fleet.addresses()[VICTIM]));
    sleep(AWAY);
    fleet.restart(VICTIM)?;
    say(&format!("and {AWAY:?} later it is back"));
    Ok(())
}
