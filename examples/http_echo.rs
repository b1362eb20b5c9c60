//! Answers every request, whatever its method and path, with 200 and the request's own body, decoded.
//!
//! ```sh
//! cargo run --release --example http_echo -- --listen 127.0.0.1:8080
//! curl --data 'round shot' http://127.0.0.1:8080/anything
//! ```
//!
//! With a certificate (its chain) and its key, both PEM files, it speaks HTTPS instead: TLS 1.2 and 1.3, ALPN `http/1.1`.
//!
//! ```sh
//! cargo run --release --example http_echo -- --listen 127.0.0.1:8443 --cert server.pem --key server.key
//! curl --cacert authority.pem --data 'round shot' https://localhost:8443/anything
//! ```
//!
//! It prints the address it listens on, and ends on Ctrl-C when the requests under way are answered.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io;
use std::process::ExitCode;

use grapeshot::http::{Limits, Request, Response, Server, StatusCode};
use grapeshot::tls::{ConfigError, ServerConfig};

/// A body streams through, so a long one costs no more memory than a short one.
const LONGEST_BODY: u64 = 1 << 30;

#[derive(Default)]
struct Arguments {
    listen: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: http_echo [--listen ADDRESS:PORT] [--cert FILE --key FILE]");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http_echo: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(arguments: Arguments) -> io::Result<()> {
    let secure = secure(&arguments).map_err(io::Error::other)?;
    let server = Server::bind(arguments.listen.as_deref().unwrap_or("127.0.0.1:0"))?;
    let scheme = if secure.is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{}", server.local_addr()?);
    let mut limits = Limits::default();
    limits.body_bytes = LONGEST_BODY;
    let server = server.limits(limits);
    match secure {
        Some(config) => server.tls(config).serve(echo),
        None => server.serve(echo),
    }
}

fn secure(arguments: &Arguments) -> Result<Option<ServerConfig>, ConfigError> {
    let Arguments { certificate: Some(certificate), key: Some(key), .. } = arguments else { return Ok(None) };
    ServerConfig::from_pem_files(certificate, key).map(Some)
}

/// Sends the body back as it comes in, so that its size costs no memory.
fn echo(request: &mut Request<'_>) -> io::Result<Response> {
    let (body, mut writer) = request.stream(Response::new(StatusCode::OK))?;
    io::copy(body, &mut writer)?;
    writer.finish()
}

/// `None` for anything but the options of the header; a certificate and its key go together.
fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let place = match option.as_str() {
            "--listen" => &mut arguments.listen,
            "--cert" => &mut arguments.certificate,
            "--key" => &mut arguments.key,
            _ => return None,
        };
        *place = Some(given.next()?);
    }
    (arguments.certificate.is_some() == arguments.key.is_some()).then_some(arguments)
}
