//! Serves HTTPS, and HTTP on the same port, with a certificate made on the spot.
//!
//! ```sh
//! cargo run --release --example https_server -- --listen 127.0.0.1:8443 --authority authority.pem
//! curl --cacert authority.pem https://localhost:8443/
//! curl http://localhost:8443/
//! curl https://localhost:8443/
//! ```
//!
//! The authority that signed the certificate is written to the file, for a client to trust; its key never leaves the process.
//! A file that another program has written is not replaced.
//! The first request is answered with what was agreed on. The second comes without TLS and is told where to go instead.
//! The third trusts the authorities of the system only, and so refuses: nobody is asked to switch verification off.
//! A program of your own needs the feature `self-signed` for such a certificate. Every failed handshake is a line on stderr; Ctrl-C ends it.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use grapeshot::http::{Request, Response, Server, StatusCode};
use grapeshot::tls::SelfSigned;

/// The names and addresses that the certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How the file begins, so that the next run knows that it may be replaced; readers pass over it (RFC 7468 §2).
const MARK: &str = "The authority of the example https_server, replaced at every start.\n";

fn main() -> ExitCode {
    let Some((listen, authority)) = arguments() else {
        eprintln!("usage: https_server [--listen ADDRESS:PORT] [--authority FILE]");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(&listen, &authority) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("https_server: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve(listen: &str, authority: &str) -> Result<(), Box<dyn Error>> {
    let own = SelfSigned::new(NAMES)?;
    write_authority(authority.as_ref(), &own).map_err(|error| format!("cannot write {authority}: {error}"))?;
    let server = Server::bind(listen)?
        .tls_and_plain(own.server_config()?)
        .log_handshakes(|peer, error| eprintln!("no handshake with {peer}: {error}"));
    writeln!(io::stdout(), "listening on https://{}, to be trusted by {authority}", server.local_addr()?)?;
    Ok(server.serve(answer)?)
}

/// Writes the authority to a file that is new, or that an earlier run has written.
fn write_authority(path: &Path, own: &SelfSigned) -> io::Result<()> {
    // Reading from a terminal or a pipe would wait; there is nothing to lose in them either.
    if path.is_file() {
        let mut start = Vec::new();
        File::open(path)?.take(MARK.len() as u64).read_to_end(&mut start)?;
        if start != MARK.as_bytes() {
            let why = "it is there already, and not from this program; give another --authority";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
    }
    fs::write(path, format!("{MARK}{}", own.authority_pem()))
}

fn answer(request: &mut Request<'_>) -> Response {
    let Some(tls) = request.tls() else { return redirect(request) };
    let agreed = tls.protocol_version().zip(tls.cipher_suite());
    let (version, suite) = agreed
        .map_or_else(Default::default, |(version, suite)| (format!("{version:?}"), format!("{:?}", suite.suite())));
    let name = tls.server_name().unwrap_or_else(|| "no name".to_owned());
    let resumed = if tls.is_resumed() { ", resumed" } else { "" };
    Response::text(format!("{} for {name}, over {version} with {suite}{resumed}\n", request.path()))
}

/// What this sends elsewhere is the same page, over TLS.
fn redirect(request: &Request<'_>) -> Response {
    let location = format!("https://{}{}", request.host(), request.target());
    Response::text(format!("It is at {location}\n"))
        .status(StatusCode::PERMANENT_REDIRECT)
        .try_header("location", location)
        .unwrap_or_else(|_| Response::text("Ask over TLS.\n").status(StatusCode::BAD_REQUEST))
}

/// Where to listen, and where to write the authority; `None` for anything but the options of the header.
fn arguments() -> Option<(String, String)> {
    let (mut listen, mut authority) = ("127.0.0.1:8443".to_owned(), "authority.pem".to_owned());
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        match option.as_str() {
            "--listen" => listen = given.next()?,
            "--authority" => authority = given.next()?,
            _ => return None,
        }
    }
    Some((listen, authority))
}
