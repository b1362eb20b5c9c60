//! Answers every request, whatever its method and path, with 200 and the request's own body, decoded.
//!
//! ```sh
//! cargo run --release --example http_echo -- --listen 127.0.0.1:8080
//! curl --data 'round shot' http://127.0.0.1:8080/anything
//! ```
//!
//! It prints the address it listens on, and ends on Ctrl-C when the requests under way are answered.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io;
use std::process::ExitCode;

use grapeshot::http::{Limits, Request, Response, Server, StatusCode};

/// A body streams through, so a long one costs no more memory than a short one.
const LONGEST_BODY: u64 = 1 << 30;

fn main() -> ExitCode {
    let Some(address) = listen_address() else {
        eprintln!("usage: http_echo [--listen ADDRESS:PORT]");
        return ExitCode::from(2);
    };
    grapeshot::run(move || {
        let server = Server::bind(address)?;
        println!("listening on http://{}", server.local_addr()?);
        let mut limits = Limits::default();
        limits.body_bytes = LONGEST_BODY;
        server.limits(limits).serve(echo)
    })
}

/// Sends the body back as it comes in, so that its size costs no memory.
fn echo(request: &mut Request<'_>) -> io::Result<Response> {
    let (body, mut writer) = request.stream(Response::new(StatusCode::OK))?;
    io::copy(body, &mut writer)?;
    writer.finish()
}

/// What follows `--listen`, or any free port; `None` for anything else.
fn listen_address() -> Option<String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some("127.0.0.1:0".to_owned()),
        ["--listen", address] => Some(address.to_owned()),
        _ => None,
    }
}
