//! The table of idle keep-alive connections: what a server holds for each.
//!
//! Connections come at a moderate pace: a server that keeps stack and buffers for the next request for a while holds
//! them for few at a time then. Each makes one request, so that it has been through all that a connection goes
//! through, and is left alone for long enough that such a linger passes. Memory of the kernel, which holds the sockets,
//! is the same for all and not counted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::load::{self, Exchange};
use crate::machine::{self, Cores};
use crate::options::Options;
use crate::peers::Server;
use crate::sockets::HTTP;

/// Descriptors that are not for connections.
const SPARE: u64 = 500;

/// More would run out of local ports.
const MOST: u64 = 25_000;

/// Time between two new connections, at least.
const PACE: Duration = Duration::from_micros(500);

/// The table of idle connections.
pub fn idle(options: &Options) -> io::Result<()> {
    let cores = Cores::pick()?;
    let count = (machine::raise_descriptor_limit()? - SPARE).min(MOST);
    println!("\n## {count} idle HTTP connections\n");
    println!("| server | memory a connection, KiB |");
    println!("|---|---|");
    let mut peers = HTTP.to_vec();
    peers.dedup_by_key(|peer| peer.kind);
    for peer in peers.into_iter().filter(|peer| options.wants(peer.kind)) {
        let Some(server) = Server::start(peer, cores.server)? else {
            eprintln!("{} is not installed: left out", peer.name);
            continue;
        };
        let exchange = Exchange::plaintext(server.addr)?;
        let before = machine::resident(&server.pid())?;
        let mut connections = Vec::new();
        for _ in 0..count {
            let mut stream = load::connect(server.addr)?;
            ask(&mut stream, &exchange)?;
            connections.push(stream);
            thread::sleep(PACE);
        }
        thread::sleep(options.idle);
        let after = machine::resident(&server.pid())?;
        // Nobody may have won by hanging up.
        for stream in &mut connections {
            ask(stream, &exchange)?;
        }
        let each = after.saturating_sub(before) as f64 / count as f64 / 1024.0;
        println!("| {} | {each:.2} |", peer.name);
    }
    Ok(())
}

fn ask(stream: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    stream.write_all(&exchange.request)?;
    let mut answer = vec![0; exchange.len];
    stream.read_exact(&mut answer)?;
    exchange.check(&answer)
}
