//! The tables of servers under load: HTTP plaintext and TCP echo.
//!
//! All servers of a table stay up and hold their connections. A round loads each of them once, in shuffled order,
//! for a slice of a fraction of a second; its figures are divided by those of the bare loop in the same round.
//! So the drift of the machine, a fifth within minutes, touches both sides of a ratio alike.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::load::{Exchange, Load};
use crate::machine::{self, Cores, Scheduled};
use crate::options::Options;
use crate::peers::{Peer, Server};
use crate::stats::Summary;

/// Lets a server finish what it does after its last answer, so that its CPU time has been accounted.
const SETTLE: Duration = Duration::from_millis(3);

/// A slice is taken again when other processes held one of the two cores for more than this share of it,
const DISTURBED: f64 = 0.03;
/// at most so many times in all; the least disturbed counts.
const ATTEMPTS: usize = 4;

const fn peer(name: &'static str, kind: &'static str) -> Peer {
    Peer { name, kind }
}

/// The bare loop comes first, being what the others are divided by; its twin shows what the method resolves.
pub const HTTP: &[Peer] = &[
    peer("bare loop", "bare-http"),
    peer("bare loop, a second one", "bare-http"),
    peer("Grapeshot", "grapeshot-http"),
    peer("hyper on tokio", "hyper"),
    peer("may_minihttp", "may-http"),
    peer("nginx", "nginx"),
    peer("Go net/http", "go-http"),
];

const ECHO: &[Peer] = &[
    peer("bare loop", "bare-echo"),
    peer("bare loop, a second one", "bare-echo"),
    peer("Grapeshot", "grapeshot-echo"),
    peer("tokio", "tokio-echo"),
    peer("may", "may-echo"),
    peer("Go", "go-echo"),
];

const UDP_ECHO: &[Peer] = &[
    peer("bare loop", "bare-udp"),
    peer("bare loop, a second one", "bare-udp"),
    peer("Grapeshot", "grapeshot-udp"),
    peer("tokio", "tokio-udp"),
];

/// Bytes of an echoed message.
const MESSAGE: usize = 64;

/// HTTP plaintext: 64 and 512 connections, one request at a time and pipelined by 16.
pub fn http(options: &Options) -> io::Result<()> {
    println!("\n## HTTP/1.1 plaintext\n");
    let loads = [(64, 1), (512, 1), (64, 16), (512, 16)];
    table(options, HTTP, &loads, Exchange::plaintext)
}

/// TCP echo: 64 and 1024 connections.
pub fn echo(options: &Options) -> io::Result<()> {
    println!("\n## TCP echo, {MESSAGE} bytes\n");
    table(options, ECHO, &[(64, 1), (1024, 1)], |_| Ok(Exchange::echo(MESSAGE)))
}

/// UDP echo: one socket of the server's, 1 and 64 clients.
pub fn udp(options: &Options) -> io::Result<()> {
    println!("\n## UDP echo, {MESSAGE} bytes\n");
    table(options, UDP_ECHO, &[(1, 1), (64, 1)], |_| Ok(Exchange::udp_echo(MESSAGE)))
}

fn table(
    options: &Options,
    peers: &[Peer],
    loads: &[(usize, usize)],
    exchange: impl Fn(SocketAddr) -> io::Result<Exchange>,
) -> io::Result<()> {
    let cores = Cores::pick()?;
    let mut servers = Vec::new();
    for &peer in peers.iter().filter(|peer| options.wants(peer.kind)) {
        match Server::start(peer, cores.server)? {
            Some(server) => servers.push(server),
            None => eprintln!("{} is not installed: left out", peer.name),
        }
    }
    machine::pin(cores.load)?;
    println!(
        "| connections | pipelined | server | requests/s, of the bare loop | CPU a request, of the bare loop | CPU a request, µs | busy | disturbed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for &(connections, depth) in loads {
        let mut contenders = Vec::new();
        for server in &servers {
            let load = Load::connect(server.addr, exchange(server.addr)?, connections, depth)?;
            let samples = Vec::new();
            contenders.push(Contender { server, load, samples });
        }
        for round in 0..options.rounds + 1 {
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            options.shuffle(&mut order);
            for index in order {
                let sample = contenders[index].slice(options.slice)?;
                // The first round warms caches and buffers.
                if round > 0 {
                    contenders[index].samples.push(sample);
                }
            }
        }
        let bare = contenders[0].samples.clone();
        for contender in &contenders {
            println!("| {connections} | {depth} | {}", contender.row(&bare));
        }
    }
    Ok(())
}

struct Contender<'s> {
    server: &'s Server,
    load: Load,
    samples: Vec<Sample>,
}

/// One slice of one server.
#[derive(Clone, Copy)]
struct Sample {
    /// Requests a second.
    rate: f64,
    /// Server CPU a request, in seconds.
    cpu: f64,
    /// Share of the slice for which something else had the core of the server or of the load.
    disturbed: f64,
}

impl Contender<'_> {
    /// Loads the server for a slice, and again, a few times, when other processes got in the way.
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
        let pid = self.server.pid();
        let before = (Scheduled::of(&pid)?, Scheduled::of("self")?);
        let slice = self
            .load
            .run(duration)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.server.name)))?;
        thread::sleep(SETTLE);
        let server = Scheduled::of(&pid)?.since(before.0);
        let load = Scheduled::of("self")?.since(before.1);
        let elapsed = slice.elapsed.as_secs_f64();
        Ok(Sample {
            rate: slice.completed as f64 / elapsed,
            cpu: server.ran.as_secs_f64() / slice.completed as f64,
            disturbed: server.waited.max(load.waited).as_secs_f64() / elapsed,
        })
    }

    fn row(&self, bare: &[Sample]) -> String {
        let pairs = || self.samples.iter().zip(bare);
        let median = |of: fn(&Sample) -> f64| Summary::of(self.samples.iter().map(of)).median;
        let rate = Summary::of(pairs().map(|(ours, bare)| ours.rate / bare.rate));
        let cpu = Summary::of(pairs().map(|(ours, bare)| ours.cpu / bare.cpu));
        let micros = median(|sample| sample.cpu * 1e6);
        let busy = median(|sample| sample.cpu * sample.rate * 100.0);
        let disturbed = median(|sample| sample.disturbed * 100.0);
        let name = self.server.name;
        format!("{name} | {rate} | {cpu} | {micros:.2} | {busy:.0} % | {disturbed:.0} % |")
    }
}
