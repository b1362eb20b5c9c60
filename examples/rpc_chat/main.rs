//! A chat over RPC: the server calls its clients back, each on the connection that the client made.
//!
//! ```sh
//! cargo run --release --example rpc_chat -- server 127.0.0.1:9030
//! cargo run --release --example rpc_chat -- client 127.0.0.1:9030 ann
//! ```
//!
//! Start clients in as many terminals as you like: what one types, all others see. The end of stdin (Ctrl-D) is goodbye.
//! Both sides are traits: a client calls `join` and `speak` of the server's, the server calls `say` of each client's.
//! Who falls behind is dropped, and the others never wait; Ctrl-C ends the server.
//!
//! `chat.rs` has the two traits, `server.rs` the room, `client.rs` the one who types and reads.

mod chat;
mod client;
mod server;

use std::io::{self, Write as _};
use std::process::ExitCode;

const USAGE: &str = "usage: rpc_chat server ADDRESS:PORT | rpc_chat client HOST:PORT NAME";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    grapeshot::run(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = match arguments[..] {
            ["server", address] => server::serve(address),
            ["client", address, name] => client::chat(address, name),
            _ => {
                complain(USAGE);
                return ExitCode::from(2);
            }
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("rpc_chat: {error}"));
                ExitCode::FAILURE
            }
        }
    })
}

/// Nobody may read any more, which is no reason to panic, nor for the server to end.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// On stderr, where nobody may read either.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
