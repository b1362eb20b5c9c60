//! A first service: it shows what to try, serves until Ctrl-C, and then lets requests under way finish.
//!
//! ```sh
//! cargo run --release --example quickstart
//! cargo run --release --example quickstart -- --self-test
//! ```
//!
//! The first serves on 127.0.0.1:8080, or on a free port if that one is taken, and prints commands to paste.
//! `-- --listen ADDRESS:PORT` serves elsewhere.
//! It speaks HTTP and, with a certificate that it makes for itself, HTTPS on the same port; on the next port it answers calls (RPC).
//! The second has client coroutines in the same process drive the service; it prints a line for each thing they did,
//! and exits with 0 if all went as it should, with 1 if not.
//!
//! `service.rs` is the service, `calls.rs` the one for calls. `self_test.rs`, `client.rs` and `name_server.rs` are for the second command only.

mod calls;
mod client;
mod name_server;
mod self_test;
mod service;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::ExitCode;

use grapeshot::http::Server;
use grapeshot::tls::SelfSigned;
use grapeshot::{rpc, scope};

const DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

enum Mode {
    /// On the default address, or on any free port.
    ServeAnywhere,
    ServeAt(SocketAddr),
    SelfTest,
}

fn main() -> ExitCode {
    let Some(mode) = arguments() else {
        complain(&format!("usage: quickstart [--listen ADDRESS:PORT | --self-test], such as --listen {DEFAULT}"));
        return ExitCode::from(2);
    };
    grapeshot::run(move || match mode {
        Mode::ServeAnywhere => ended(bind_anywhere().and_then(serve)),
        Mode::ServeAt(address) => ended(bind(address).and_then(serve)),
        Mode::SelfTest => self_test::run(),
    })
}

fn arguments() -> Option<Mode> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Some(Mode::ServeAnywhere),
        (Some("--listen"), Some(address), None) => address.parse().ok().map(Mode::ServeAt),
        (Some("--self-test"), None, None) => Some(Mode::SelfTest),
        _ => None,
    }
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("quickstart: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Nobody may read any more, as behind `| head -1`: that is no reason for a server to end, or to panic.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// On stderr, where nobody may read either.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn bind_anywhere() -> io::Result<Server> {
    match Server::bind(DEFAULT) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            say(&format!("{DEFAULT} is taken, so this is another port."));
            Server::bind((Ipv4Addr::LOCALHOST, 0))
        }
        bound => bound,
    }
}

fn bind(address: SocketAddr) -> io::Result<Server> {
    Server::bind(address)
}

fn serve(server: Server) -> io::Result<()> {
    let address = server.local_addr()?;
    let (server, authority) = secure(server)?;
    let calls = bind_calls(address)?;
    print_what_to_try(address, calls.local_addr()?);
    let _goodbye = Goodbye;
    scope(|scope| {
        let calls = scope.spawn(|| calls.serve());
        server.serve(service::handler(authority))?;
        calls.cancel();
        Ok(())
    })
}

/// The server of calls, on the port after that of HTTP, or on a free one if that is taken.
fn bind_calls(beside: SocketAddr) -> io::Result<rpc::Server> {
    let next = beside.port().checked_add(1).unwrap_or_default();
    let server = rpc::Server::bind((beside.ip(), next)).or_else(|_| rpc::Server::bind((beside.ip(), 0)))?;
    Ok(server.service(calls::BatteryService(calls::Guns)))
}

/// Has the server speak TLS as well; answers with the certificate to be trusted, in PEM.
fn secure(server: Server) -> io::Result<(Server, String)> {
    let names = ["localhost".to_owned(), server.local_addr()?.ip().to_string()];
    let own = SelfSigned::new(names).map_err(io::Error::other)?;
    let config = own.server_config().map_err(io::Error::other)?;
    Ok((server.tls_and_plain(config), own.authority_pem()))
}

/// Ctrl-C unwinds `serve` once the last request is answered; destructors run on the way.
struct Goodbye;

impl Drop for Goodbye {
    fn drop(&mut self) {
        say("All requests and calls are answered and all connections closed.");
    }
}

fn print_what_to_try(address: SocketAddr, calls: SocketAddr) {
    say(&format!(
        "\
Serving on http://{address}. In another terminal, try:

  Plain text:
    curl http://{address}/

  The same over TLS, trusting nobody but the authority that this program is for itself:
    curl -s http://{address}/authority.pem | curl --cacert /dev/stdin https://{address}/

  The addresses of a host, from the hosts file or from DNS:
    curl http://{address}/lookup/localhost

  A body that comes back:
    curl --data 'round shot' http://{address}/echo

  A handler that takes its time, and holds nobody else up:
    curl http://{address}/sleep/2

  A handler that panics: an answer of 500 there, a report here, and the service lives on:
    curl -i http://{address}/panic

  A response that is written while it is made, a line a second:
    curl -N http://{address}/stream

  Every coroutine of this process, and what it waits for:
    curl http://{address}/coroutines

  A body over the limit of two megabytes, refused before it is sent:
    head -c 3000000 /dev/zero | curl -i --data-binary @- http://{address}/echo

  Calls (MessagePack-RPC), answered on {calls}:
    cargo run -q --release --example rpc_call -- {calls} add '[19, 23]'
    cargo run -q --release --example rpc_call -- {calls} '$/methods' '[]'

Ctrl-C lets the requests under way finish and ends it."
    ));
}
