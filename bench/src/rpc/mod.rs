//! The table of remote calls: a small echo, and streams of small items.
//!
//! A contender is a pair of processes: its server has one core, its client the other. All servers stay up for the whole
//! table, the clients for one load each, with their connections open. A round gives each pair one slice, in shuffled
//! order, and divides its figures by those of the load's yardstick in the same round; the others sleep meanwhile.
//!
//! Each peer's file has its server and its client, written as the peer's own examples have them. All have TCP_NODELAY.

mod client;
mod may;
mod on_tokio;
mod suite;
mod tarpc;
mod tonic;

use std::io;
use std::thread;
use std::time::Duration;

use self::client::{Client, Load, Unit};
use crate::machine::{Cores, Scheduled};
use crate::options::Options;
use crate::peers::{Peer, Server};
use crate::stats::Summary;

pub use self::client::{CLIENT, client};

/// What is echoed.
const TEXT: &str = "0123456789";

/// What a stream repeats: 64 bytes.
const ITEM: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/// Items of one stream; a slice has as many streams as it has time for.
const ITEMS: u32 = 20_000;

/// Lets a server finish what it does after its last answer, so that its CPU time has been accounted.
const SETTLE: Duration = Duration::from_millis(3);

/// A slice is taken again when other processes held one of the two cores for more than this share of it,
const DISTURBED: f64 = 0.03;
/// at most so many times in all; the least disturbed counts.
const ATTEMPTS: usize = 4;

const GRAPESHOT: Peer = Peer { name: "Grapeshot", kind: "rpc-grapeshot" };
const TARPC: Peer = Peer { name: "tarpc", kind: "rpc-tarpc" };
const TONIC: Peer = Peer { name: "tonic", kind: "rpc-tonic" };
/// Its other way to make a stream: only the items are told apart.
const TONIC_ITERATOR: Peer = Peer { name: "tonic, from an iterator", kind: "rpc-tonic-iterator" };
const MAY: Peer = Peer { name: "may_rpc", kind: "rpc-may" };
const GO: Peer = Peer { name: "Go net/rpc", kind: "go-rpc" };
/// The bytes of a request sent back as they are, with the suite's sockets on both sides.
const BARE: Peer = Peer { name: "bare echo, Grapeshot's sockets", kind: "rpc-bare" };

/// Each load and who takes part in it; the first is what the others are divided by.
const ROWS: &[(Load, &[Peer])] = &[
    (Load { connections: 1, flights: 1, unit: Unit::Call }, &[BARE, GRAPESHOT, TARPC, TONIC, MAY, GO]),
    (Load { connections: 1, flights: 64, unit: Unit::Call }, &[TARPC, GRAPESHOT, TONIC, MAY, GO]),
    (Load { connections: 64, flights: 1, unit: Unit::Call }, &[TARPC, BARE, GRAPESHOT, TONIC, MAY, GO]),
    (Load { connections: 1, flights: 1, unit: Unit::Item }, &[TONIC, TONIC_ITERATOR, GRAPESHOT]),
];

/// Becomes the server of that kind.
pub fn serve(kind: &str) -> io::Result<()> {
    match kind {
        "rpc-bare" => suite::serve_bare(),
        "rpc-grapeshot" => suite::serve(),
        "rpc-tarpc" => tarpc::serve(),
        "rpc-tonic" => tonic::serve(tonic::Source::Channel),
        "rpc-tonic-iterator" => tonic::serve(tonic::Source::Iterator),
        "rpc-may" => may::serve(),
        _ => Err(io::Error::other(format!("no server is called {kind:?}"))),
    }
}

/// The table of remote calls.
pub fn rpc(options: &Options) -> io::Result<()> {
    let cores = Cores::pick()?;
    println!("\n## Remote calls: echo of {} bytes, and streams of {}-byte items\n", TEXT.len(), ITEM.len());
    println!(
        "| load | contender | a second, of the first row's | a second | server CPU, of the first row's | server CPU each, µs | client CPU each, µs | server busy | disturbed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let servers = start_servers(options, cores.server)?;
    for (load, peers) in ROWS {
        let mut pairs = Vec::new();
        for peer in *peers {
            if let Some((kind, server)) = servers.iter().find(|(kind, _)| *kind == peer.kind) {
                let client = Client::start(kind, server.addr, *load, cores.load)?;
                pairs.push(Pair { server, client, samples: Vec::new() });
            }
        }
        compare(options, *load, &mut pairs)?;
    }
    Ok(())
}

/// Starts the servers of the contenders that are asked for, and of the yardsticks.
fn start_servers(options: &Options, core: usize) -> io::Result<Vec<(&'static str, Server)>> {
    let mut servers = Vec::new();
    for peer in [BARE, GRAPESHOT, TARPC, TONIC, TONIC_ITERATOR, MAY, GO] {
        let is_yardstick = ROWS.iter().any(|(_, peers)| peers[0].kind == peer.kind);
        if is_yardstick || options.wants(peer.kind) {
            servers.extend(Server::start(peer, core)?.map(|server| (peer.kind, server)));
        }
    }
    Ok(servers)
}

/// Gives each pair a slice a round, and prints a row for each.
fn compare(options: &Options, load: Load, pairs: &mut [Pair<'_>]) -> io::Result<()> {
    for round in 0..options.rounds + 1 {
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        options.shuffle(&mut order);
        for index in order {
            let sample = pairs[index].slice(options.slice)?;
            // The first round warms caches and buffers.
            if round > 0 {
                pairs[index].samples.push(sample);
            }
        }
    }
    let yardstick = pairs[0].samples.clone();
    for pair in pairs {
        println!("| {load} | {}", pair.row(&yardstick));
    }
    Ok(())
}

/// A server and its client.
struct Pair<'s> {
    server: &'s Server,
    client: Client,
    samples: Vec<Sample>,
}

/// One slice of one pair.
#[derive(Clone, Copy)]
struct Sample {
    /// Calls or items a second.
    rate: f64,
    /// Server CPU of each, in seconds.
    server: f64,
    /// Client CPU of each, in seconds.
    client: f64,
    /// Share of the slice for which something else had one of the two cores.
    disturbed: f64,
}

impl Pair<'_> {
    /// One slice, and again, a few times, when other processes got in the way.
    fn slice(&mut self, duration: Duration) -> io::Result<Sample> {
        let mut best = self.attempt(duration)?;
        for _ in 1..ATTEMPTS {
            if best.disturbed <= DISTURBED {
                break;
            }
            let next = self.attempt(duration)?;
            if next.disturbed < best.disturbed {
                best = next;
            }
        }
        Ok(best)
    }

    fn attempt(&mut self, duration: Duration) -> io::Result<Sample> {
        let pids = [self.server.pid(), self.client.pid()];
        let before = [Scheduled::of(&pids[0])?, Scheduled::of(&pids[1])?];
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.server.name));
        let turn = self.client.turn(duration).map_err(failed)?;
        thread::sleep(SETTLE);
        let server = Scheduled::of(&pids[0])?.since(before[0]);
        let client = Scheduled::of(&pids[1])?.since(before[1]);
        let (elapsed, completed) = (turn.elapsed.as_secs_f64(), turn.completed as f64);
        Ok(Sample {
            rate: completed / elapsed,
            server: server.ran.as_secs_f64() / completed,
            client: client.ran.as_secs_f64() / completed,
            disturbed: server.waited.max(client.waited).as_secs_f64() / elapsed,
        })
    }

    fn row(&self, yardstick: &[Sample]) -> String {
        let pairs = || self.samples.iter().zip(yardstick);
        let median = |of: fn(&Sample) -> f64| Summary::of(self.samples.iter().map(of)).median;
        let rate = Summary::of(pairs().map(|(own, yardstick)| own.rate / yardstick.rate));
        let cpu = Summary::of(pairs().map(|(own, yardstick)| own.server / yardstick.server));
        let thousands = median(|sample| sample.rate / 1e3);
        let [server, client] = [median(|sample| sample.server * 1e6), median(|sample| sample.client * 1e6)];
        let busy = median(|sample| sample.server * sample.rate * 100.0);
        let disturbed = median(|sample| sample.disturbed * 100.0);
        let name = self.server.name;
        format!(
            "{name} | {rate} | {thousands:.1} k | {cpu} | {server:.2} | {client:.2} | {busy:.0} % | {disturbed:.0} % |"
        )
    }
}
