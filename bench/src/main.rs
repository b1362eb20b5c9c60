//! Grapeshot beside its peers. `BENCHMARKS.md` at the root of the repository says how to run this and holds the figures.
//!
//! - [`sockets`]: servers under load, each a process of its own ([`peers`], [`serve`]), loaded in turn by [`load`].
//! - [`dns`]: lookups, beside another resolver.
//! - [`idle`]: what the same servers hold for a connection that says nothing.
//! - [`rpc`]: calls and streams between two processes, beside other RPC.
//! - [`tls`]: handshakes and bulk of TLS servers, and what an idle connection holds.
//! - [`micro`]: switching, spawning and sleeping inside one process.

mod dns;
mod idle;
mod load;
mod machine;
mod micro;
mod options;
mod peers;
mod plain;
mod rpc;
mod serve;
mod sockets;
mod stats;
mod tls;

use std::env;
use std::io;
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "\
usage: grapeshot-bench TABLE [--rounds=N] [--slice-ms=N] [--idle-s=N] [--only=KIND,...]
TABLE is http, echo, udp, yield, spawn, sleepers, waits, threads, idle, dns, tls, rpc or all; the release build is the one to measure.";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> io::Result<()> {
    let Some((table, rest)) = words.split_first() else {
        return Err(io::Error::other(USAGE));
    };
    if table == "serve" {
        machine::raise_descriptor_limit()?;
        return serve::serve(&rest.join(" "));
    }
    if table == rpc::CLIENT {
        return rpc::client(rest);
    }
    if table == micro::SLEEP_AS {
        return micro::sleep_as(&rest.join(" "));
    }
    let options = Options::parse(rest).map_err(|error| io::Error::other(format!("{error}\n{USAGE}")))?;
    machine::raise_descriptor_limit()?;
    match table.as_str() {
        "http" => sockets::http(&options),
        "echo" => sockets::echo(&options),
        "udp" => sockets::udp(&options),
        "yield" => micro::yield_now(&options),
        "spawn" => micro::spawn(&options),
        "sleepers" => micro::sleepers(&options),
        "waits" => micro::waits(&options),
        "threads" => micro::threads(&options),
        "idle" => idle::idle(&options),
        "dns" => dns::dns(&options),
        "tls" => tls::tls(&options),
        "rpc" => rpc::rpc(&options),
        "all" => {
            sockets::http(&options)?;
            sockets::echo(&options)?;
            sockets::udp(&options)?;
            micro::yield_now(&options)?;
            micro::spawn(&options)?;
            micro::sleepers(&options)?;
            micro::waits(&options)?;
            micro::threads(&options)?;
            idle::idle(&options)?;
            dns::dns(&options)?;
            tls::tls(&options)?;
            rpc::rpc(&options)
        }
        _ => Err(io::Error::other(USAGE)),
    }
}
