//! A DNS server that knows nothing itself: it asks others, and remembers what they say.
//!
//! ```sh
//! cargo run --release --example dns_forwarder -- --listen 127.0.0.1:5353 --server 192.0.2.53:53
//! dig @127.0.0.1 -p 5353 example.com
//! cargo run --release --example lookup -- --server 127.0.0.1:5353 A example.com A example.com
//! ```
//!
//! It answers over UDP and TCP, one coroutine a question. Without `--server` the system's files say whom it asks.
//! On Ctrl-C it says how many questions there were, and how many the cache had an answer to.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::dns::proto::{Record, Request, Response, ResponseCode};
use grapeshot::dns::{Config, Lookup, LookupError, LookupErrorKind, Resolver};
use grapeshot::net::{TcpListener, TcpStream, UdpSocket};
use grapeshot::{Builder, Group, spawn};

/// Questions in work at one time; further ones wait in the socket's buffer, and are lost when it is full.
const QUESTIONS: usize = 1000;

/// Connections at one time; further ones wait to be accepted.
const CONNECTIONS: usize = 100;

/// How long a connection may be silent, and how long a client may take to take an answer.
const IDLE: Duration = Duration::from_secs(10);

/// The longest request over UDP: one name and a few options.
const LONGEST_REQUEST: usize = 4096;

fn main() -> ExitCode {
    let Some((address, servers)) = arguments() else {
        eprintln!("usage: dns_forwarder [--listen ADDRESS:PORT] [--server ADDRESS:PORT]…");
        return ExitCode::from(2);
    };
    grapeshot::run(move || {
        let resolver =
            if servers.is_empty() { Resolver::system() } else { Resolver::new(Config::with_servers(servers)) };
        serve(address, &resolver).inspect_err(|error| eprintln!("dns_forwarder: {error}"))
    })
}

fn serve(address: SocketAddr, resolver: &Resolver) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let socket = UdpSocket::bind(listener.local_addr()?)?;
    println!("forwarding DNS on {}", listener.local_addr()?);
    let _report = ReportAtTheEnd(resolver.clone());
    spawn({
        let resolver = resolver.clone();
        move || serve_streams(&listener, &resolver)
    });
    serve_datagrams(&Rc::new(socket), resolver)
}

fn serve_datagrams(socket: &Rc<UdpSocket>, resolver: &Resolver) -> io::Result<()> {
    let questions = Group::new();
    let mut buf = [0; LONGEST_REQUEST];
    loop {
        questions.wait_below(QUESTIONS, None);
        let (len, client) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            // News of an earlier answer that found nobody.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let (message, socket, resolver) = (buf[..len].to_vec(), socket.clone(), resolver.clone());
        questions.spawn(Builder::new().name("question"), move || {
            let response = match Request::parse(&message) {
                Ok(request) => Some(answer(&request, &resolver).encode_for_datagram()),
                Err(bad) => bad.reply(),
            };
            if let Some(response) = response {
                // A datagram that cannot be sent is lost, as others are; the client asks again.
                let _ = socket.send_to(&response, client);
            }
        })?;
    }
}

fn serve_streams(listener: &TcpListener, resolver: &Resolver) -> io::Result<()> {
    let connections = Group::new();
    loop {
        connections.wait_below(CONNECTIONS, None);
        let (stream, client) = listener.accept()?;
        let resolver = resolver.clone();
        connections.spawn(Builder::new().name(format!("connection of {client}")), move || {
            // How a connection ends is the client's affair.
            let _ = serve_stream(&stream, &resolver);
        })?;
    }
}

/// Answers one question after the other, until the client closes or is silent for too long.
fn serve_stream(mut stream: &TcpStream, resolver: &Resolver) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message)?;
        match Request::parse(&message) {
            Ok(request) => stream.write_all(&answer(&request, resolver).encode_for_stream())?,
            // Who does not speak DNS is not worth a connection.
            Err(_) => return Ok(()),
        }
    }
}

fn answer(request: &Request, resolver: &Resolver) -> Response {
    let mut name = request.name().clone();
    // No search list: the client has had its own.
    name.set_fqdn(true);
    match resolver.lookup(&name, request.record_type()) {
        Ok(found) => request.respond(ResponseCode::NoError).answers(answers(&found)),
        Err(error) => request.respond(code(&error)).authorities(error.soa().cloned()),
    }
}

/// The aliases on the way, and then the records.
fn answers(found: &Lookup) -> Vec<Record> {
    found.aliases().chain(found.records()).collect()
}

fn code(error: &LookupError) -> ResponseCode {
    match error.kind() {
        LookupErrorKind::NoSuchName => ResponseCode::NXDomain,
        LookupErrorKind::NoData => ResponseCode::NoError,
        LookupErrorKind::Refused => ResponseCode::Refused,
        _ => ResponseCode::ServFail,
    }
}

/// Tells how it went, however the server ends.
struct ReportAtTheEnd(Resolver);

impl Drop for ReportAtTheEnd {
    fn drop(&mut self) {
        let stats = self.0.stats();
        println!(
            "{} questions: {} answers and {} absences or failures were cached, {} queries were sent",
            stats.lookups, stats.cache.hits, stats.cache.exceptions, stats.queries
        );
    }
}

fn arguments() -> Option<(SocketAddr, Vec<SocketAddr>)> {
    let (mut address, mut servers) = (SocketAddr::from(([127, 0, 0, 1], 0)), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match option.as_str() {
            "--listen" => address = value,
            "--server" => servers.push(value),
            _ => return None,
        }
    }
    Some((address, servers))
}
