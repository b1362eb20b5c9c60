//! Lookups: against a private server that has one answer for all, and from a warm cache.
//!
//! The server has one core and the clients take turns on the other, so the rates of one table are comparable; a
//! contender is one thread, loaded in turn with the others in rounds of short slices, as the servers of [`crate::sockets`]
//! are. Each query's answer is looked at. Names are distinct among those in flight, so that no lookup is joined to
//! another, and are given as text, which each resolver has to parse.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot::{Runtime, now, spawn};
use grapeshot_dns::proto::{CacheLimits, Name, Query, QueryOptions, RecordType};
use grapeshot_dns::transport::{Transport, Udp};
use grapeshot_dns::{Config, NameServer, ResolverBuilder};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::machine::{self, Cores, Scheduled};
use crate::options::Options;
use crate::peers::{Peer, Server};
use crate::stats::Summary;

/// Names that one coroutine asks for in turn.
const NAMES: usize = 16;

/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How one contender fared in one slice.
#[derive(Clone, Copy)]
struct Sample {
    rate: f64,
    /// CPU of the client a lookup, in seconds.
    cpu: f64,
    /// Share of the slice for which something else had the core.
    disturbed: f64,
}

/// Runs lookups for a time, so many at once, and says how many they were and how long they took.
type Client = Box<dyn Fn(SocketAddr, usize, Duration) -> io::Result<(u64, Duration)>>;

/// Lookups over UDP without a cache, one and 64 in flight, and from a warm cache.
pub fn dns(options: &Options) -> io::Result<()> {
    let cores = Cores::pick()?;
    let Some(server) = Server::start(Peer { name: "bare name server", kind: "dns-udp" }, cores.server)? else {
        return Err(io::Error::other("no name server"));
    };
    machine::pin(cores.load)?;
    println!("\n## DNS lookups over UDP, without a cache\n");
    let uncached: Vec<(&str, Client)> = vec![
        ("hickory-resolver", Box::new(|server, flights, time| hickory(server, flights, time, 0))),
        ("Grapeshot, resolver", Box::new(|server, flights, time| resolver(server, flights, time, 0))),
        ("Grapeshot, transport alone", Box::new(transport)),
        ("bare loop, one socket", Box::new(bare)),
    ];
    table(options, server.addr, uncached, &[64, 1])?;
    println!("\n## DNS lookups from a warm cache\n");
    let cached: Vec<(&str, Client)> = vec![
        ("hickory-resolver", Box::new(|server, flights, time| hickory(server, flights, time, 10_000))),
        ("Grapeshot, resolver", Box::new(|server, flights, time| resolver(server, flights, time, 10_000))),
    ];
    table(options, server.addr, cached, &[1])
}

/// The first contender is what the others are divided by, and so never left out.
fn table(options: &Options, server: SocketAddr, clients: Vec<(&str, Client)>, loads: &[usize]) -> io::Result<()> {
    let wanted = |(index, (name, _)): &(usize, (&str, Client))| *index == 0 || options.wants(name);
    let clients: Vec<_> = clients.into_iter().enumerate().filter(wanted).map(|(_, client)| client).collect();
    println!(
        "| in flight | client | lookups/s, of hickory's | lookups/s | CPU a lookup, of hickory's | CPU a lookup, µs | disturbed |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &flights in loads {
        let mut samples = vec![Vec::new(); clients.len()];
        for round in 0..options.rounds + 1 {
            let mut order: Vec<usize> = (0..clients.len()).collect();
            options.shuffle(&mut order);
            for index in order {
                let sample = slice(&clients[index].1, server, flights, options.slice)?;
                // The first round warms caches and buffers.
                if round > 0 {
                    samples[index].push(sample);
                }
            }
        }
        for (samples_of_one, (name, _)) in samples.iter().zip(&clients) {
            println!("| {flights} | {name} | {} |", row(samples_of_one, &samples[0]));
        }
    }
    Ok(())
}

fn slice(client: &Client, server: SocketAddr, flights: usize, time: Duration) -> io::Result<Sample> {
    let (scheduled, cpu) = (Scheduled::of("self")?, machine::thread_cpu());
    let (lookups, elapsed) = client(server, flights, time)?;
    let cpu = machine::thread_cpu() - cpu;
    let waited = Scheduled::of("self")?.since(scheduled).waited;
    Ok(Sample {
        rate: lookups as f64 / elapsed.as_secs_f64(),
        cpu: cpu.as_secs_f64() / lookups as f64,
        disturbed: waited.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

fn row(samples: &[Sample], yardstick: &[Sample]) -> String {
    let pairs = || samples.iter().zip(yardstick);
    let median = |of: fn(&Sample) -> f64| Summary::of(samples.iter().map(of)).median;
    let rate = Summary::of(pairs().map(|(ours, theirs)| ours.rate / theirs.rate));
    let cpu = Summary::of(pairs().map(|(ours, theirs)| ours.cpu / theirs.cpu));
    let (thousands, micros) = (median(|sample| sample.rate / 1e3), median(|sample| sample.cpu * 1e6));
    let disturbed = median(|sample| sample.disturbed * 100.0);
    format!("{rate} | {thousands:.1} k | {cpu} | {micros:.2} | {disturbed:.0} %")
}

fn name(flight: usize, number: usize) -> String {
    format!("host{}.of{flight}.bench.example.", number % NAMES)
}

/// Runs `lookup` for a time, in so many coroutines, each with names of its own.
fn in_coroutines<L>(flights: usize, time: Duration, make: impl Fn(usize) -> L + 'static) -> io::Result<(u64, Duration)>
where
    L: Fn(usize) + 'static,
{
    let run = move || {
        let lookups: Vec<L> = (0..flights).map(&make).collect();
        // Sockets, and caches if there are any.
        lookups.iter().for_each(|lookup| (0..NAMES).for_each(lookup));
        let (began, count) = (Instant::now(), Rc::new(Cell::new(0)));
        let end = now() + time;
        let asking: Vec<_> = lookups
            .into_iter()
            .map(|lookup| {
                let count = count.clone();
                spawn(move || {
                    let mut number = 0;
                    // From a cache nothing waits, and the runtime's time stands still.
                    while if number % 256 == 0 { Instant::now() < end } else { now() < end } {
                        lookup(number);
                        number += 1;
                    }
                    count.set(count.get() + number as u64);
                })
            })
            .collect();
        for asking in asking {
            if let Err(error) = asking.join() {
                return Err(io::Error::other(error.to_string()));
            }
        }
        Ok((count.get(), began.elapsed()))
    };
    match Runtime::new().latency_warning(None).run(run)? {
        grapeshot::Exit::Returned(measured) => measured,
        ended => Err(io::Error::other(format!("{ended:?}"))),
    }
}

fn resolver(server: SocketAddr, flights: usize, time: Duration, cache: usize) -> io::Result<(u64, Duration)> {
    let limits = CacheLimits { entries: cache, ..CacheLimits::default() };
    let resolver = ResolverBuilder::with_config(Config::with_servers([server])).cache(limits).build();
    in_coroutines(flights, time, move |flight| {
        let (resolver, names) = (resolver.clone(), names(flight));
        move |number| {
            let found = resolver.lookup(names[number % NAMES].as_str(), RecordType::A);
            let found = found.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(found.addresses().count(), 1);
        }
    })
}

fn transport(server: SocketAddr, flights: usize, time: Duration) -> io::Result<(u64, Duration)> {
    let (udp, server) = (Rc::new(Udp::default()), NameServer::from(server));
    in_coroutines(flights, time, move |flight| {
        let (udp, server) = (udp.clone(), server.clone());
        let queries: Vec<Query> = names(flight).iter().map(|name| query(name)).collect();
        move |number| {
            let reply = udp.exchange(&server, &queries[number % NAMES], now() + PATIENCE);
            assert_eq!(reply.unwrap_or_else(|error| panic!("{error}")).answers().len(), 1);
        }
    })
}

fn names(flight: usize) -> Vec<String> {
    (0..NAMES).map(|number| name(flight, number)).collect()
}

fn query(name: &str) -> Query {
    let name = Name::from_ascii(name).unwrap_or_else(|error| panic!("{error}"));
    Query::new(name, RecordType::A, &QueryOptions::default())
}

fn hickory(server: SocketAddr, flights: usize, time: Duration, cache: u64) -> io::Result<(u64, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().cache_size = cache;
    builder.options_mut().edns0 = true;
    let resolver = builder.build().map_err(io::Error::other)?;
    runtime.block_on(async move {
        let look_up = |resolver: TokioResolver, name: String| async move {
            let found = resolver.lookup(name, hickory_resolver::proto::rr::RecordType::A).await;
            assert_eq!(found.unwrap_or_else(|error| panic!("{error}")).answers().len(), 1);
        };
        for flight in 0..flights {
            for name in names(flight) {
                look_up(resolver.clone(), name).await;
            }
        }
        let began = Instant::now();
        let end = began + time;
        let tasks: Vec<_> = (0..flights)
            .map(|flight| {
                let (resolver, names) = (resolver.clone(), names(flight));
                tokio::spawn(async move {
                    let mut number = 0;
                    while number % 16 != 0 || Instant::now() < end {
                        let found = resolver
                            .lookup(names[number % NAMES].as_str(), hickory_resolver::proto::rr::RecordType::A)
                            .await;
                        assert_eq!(found.unwrap_or_else(|error| panic!("{error}")).answers().len(), 1);
                        number += 1;
                    }
                    number as u64
                })
            })
            .collect();
        let mut count = 0;
        for task in tasks {
            count += task.await?;
        }
        Ok((count, began.elapsed()))
    })
}

/// What the system calls allow: one socket, a prepared query for each in flight, and a look at the id of what comes back.
fn bare(server: SocketAddr, flights: usize, time: Duration) -> io::Result<(u64, Duration)> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    socket.connect(server)?;
    let queries: Vec<Vec<u8>> = (0..flights)
        .map(|flight| {
            let mut message = Vec::new();
            query(&name(flight, 0)).encode(flight as u16, &mut message);
            message
        })
        .collect();
    let began = Instant::now();
    for query in &queries {
        socket.send(query)?;
    }
    let (mut count, mut buffer) = (0, [0; 2048]);
    while count % 64 != 0 || began.elapsed() < time {
        let length = socket.recv(&mut buffer)?;
        if length < 12 {
            return Err(io::Error::other("a short reply"));
        }
        count += 1;
        let flight = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        socket.send(&queries[flight % flights])?;
    }
    Ok((count, began.elapsed()))
}
