//! A service as a trait: one attribute makes its server and its client, and its errors travel as themselves.
//!
//! ```sh
//! cargo run --example calculator
//! cargo run --example calculator -- server 127.0.0.1:9020
//! cargo run --example calculator -- client 127.0.0.1:9020 7 / 2
//! cargo run --example calculator -- client 127.0.0.1:9020 methods
//! ```
//!
//! The first has a server and a client in one process ask and answer a few questions, and ends.
//! The second serves until Ctrl-C; the others ask it one question each: `A + B`, `-`, `*` (or `x`) and `/`, `remember N`,
//! `factors N` (a stream, then an answer), and `methods`, which lists what the service says of itself.
//!
//! `calculator.rs` is the service, `client.rs` the one who asks.

mod calculator;
mod client;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use grapeshot::rpc::Server;
use grapeshot::try_scope;

use calculator::{CalculatorService, Pocket};

const USAGE: &str =
    "usage: calculator [server ADDRESS:PORT | client HOST:PORT QUESTION], such as client 127.0.0.1:9020 7 / 2";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    grapeshot::run(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = match arguments[..] {
            [] => serve_and_ask(),
            ["server", address] => serve(address),
            ["client", address, ref question @ ..] if !question.is_empty() => client::ask(address, &question.join(" ")),
            _ => {
                complain(USAGE);
                return ExitCode::from(2);
            }
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("calculator: {error}"));
                ExitCode::FAILURE
            }
        }
    })
}

/// Nobody may read any more, as behind `| head -1`: that is no failure, and for the server no reason to end.
fn say(line: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// On stderr, where nobody may read either.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(address)?;
    say(&format!("a calculator on {}", server.local_addr()?))?;
    Ok(server.service(CalculatorService(Pocket::default())).serve()?)
}

fn serve_and_ask() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("127.0.0.1:0")?.service(CalculatorService(Pocket::default()));
    let (address, handle) = (server.local_addr()?.to_string(), server.handle());
    try_scope(|scope| {
        scope.spawn(|| Ok::<(), Box<dyn Error>>(server.serve()?));
        for question in ["methods", "40 + 2", "7 / 2", "1 / 0", "remember 5", "remember 6", "factors 360"] {
            client::ask(&address, question)?;
        }
        handle.drain();
        Ok(())
    })
}
