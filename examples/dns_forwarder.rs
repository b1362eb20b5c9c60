//! A DNS server that knows nothing itself: it asks others, and remembers what they say.
//!
//! ```sh
//! cargo run --release --example dns_forwarder -- --listen 127.0.0.1:5353 --server 192.0.2.53:53
//! dig @127.0.0.1 -p 5353 example.com
//! cargo run --release --example lookup -- --server 127.0.0.1:5353 A example.com A example.com
//! ```
//!
//! It answers over UDP and TCP, one coroutine a question. Without `--server` the system's files say whom it asks.
//! A server that is silent is answered for with SERVFAIL after four seconds, before a client's patience ends.
//! On Ctrl-C it says how many questions there were, and how many the cache had an answer to.
#![expect(clippy::print_stderr, reason = "an example talks to its user")]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use grapeshot::dns::proto::{ExtendedError, Fault, MalformedReply, Record, Reply, Request, Response, ResponseCode};
use grapeshot::dns::{Config, Lookup, LookupError, LookupErrorKind, Resolver, ResolverBuilder};
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

/// How long a lookup may take: clients give up after five seconds (resolv.conf(5)), and are to hear of it before.
const LIMIT: Duration = Duration::from_secs(4);

/// The option of EDNS that says why (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// Bytes of an extended error's text that are passed on, so that it fits the smallest datagram behind the longest name.
const LONGEST_TEXT: usize = 128;

fn main() -> ExitCode {
    let Some((address, servers)) = arguments() else {
        eprintln!("usage: dns_forwarder [--listen ADDRESS:PORT] [--server ADDRESS:PORT]…");
        return ExitCode::from(2);
    };
    grapeshot::run(move || match serve(address, &resolver(&servers)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dns_forwarder: {error}");
            ExitCode::FAILURE
        }
    })
}

fn resolver(servers: &[SocketAddr]) -> Resolver {
    let builder = match servers {
        [] => ResolverBuilder::system(),
        _ => ResolverBuilder::with_config(Config::with_servers(servers.iter().copied())),
    };
    // Each server has its turn within the limit, each time.
    let builder = builder.adjust(|config| {
        let turns = (config.servers.len() as u32).saturating_mul(config.attempts).max(1);
        config.timeout = config.timeout.min(LIMIT / turns);
    });
    builder.limit(LIMIT).build()
}

fn serve(address: SocketAddr, resolver: &Resolver) -> io::Result<()> {
    let taken = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(taken)?;
    let socket = UdpSocket::bind(listener.local_addr()?).map_err(taken)?;
    writeln!(io::stdout(), "forwarding DNS on {}", listener.local_addr()?)?;
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
            if let Some(response) = respond(&message, &resolver, Response::encode_for_datagram) {
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
        // The length is set when the response is complete.
        let whole = |response: &Response| response.encode_for_stream().split_off(length.len());
        // Who does not speak DNS is not worth a connection.
        let Some(response) = respond(&message, resolver, whole) else { return Ok(()) };
        let length = u16::try_from(response.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), &response[..]].concat())?;
    }
}

/// The response to a message, in bytes; `None` for what must not be answered.
fn respond(message: &[u8], resolver: &Resolver, encode: impl Fn(&Response) -> Vec<u8>) -> Option<Vec<u8>> {
    match Request::parse(message) {
        Ok(request) => {
            let (response, errors) = answer(&request, resolver);
            let mut response = encode(&response);
            explain(&mut response, &errors);
            Some(response)
        }
        Err(bad) => {
            let mut response = bad.reply()?;
            // Nothing is wrong with a question of another class; it is only not for us.
            if let (true, Some(code)) = (is_of_another_class(message), response.get_mut(3)) {
                *code = *code & 0xF0 | ResponseCode::Refused.low();
            }
            Some(response)
        }
    }
}

fn is_of_another_class(message: &[u8]) -> bool {
    matches!(Reply::parse(message), Err(MalformedReply::Question { fault: Fault::Class { .. }, .. }))
}

/// Adds the first extended error to the OPT record, which is the last and has no option yet, if there is one.
fn explain(response: &mut Vec<u8>, errors: &[ExtendedError]) {
    let speaks_edns = Reply::parse(response).is_ok_and(|reply| reply.edns().is_some());
    let Some(ExtendedError { code, text }) = errors.first().filter(|_| speaks_edns) else { return };
    let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let text = &text.as_bytes()[..ends.take_while(|&end| end <= LONGEST_TEXT).last().unwrap_or(0)];
    let length = text.len() as u16;
    // The length of the record's data was 0, and stands at the end.
    response.truncate(response.len() - 2);
    for field in [length + 6, EXTENDED_ERROR, length + 2, *code] {
        response.extend(field.to_be_bytes());
    }
    response.extend(text);
}

/// What is said to a request, and why it is said.
fn answer(request: &Request, resolver: &Resolver) -> (Response, Vec<ExtendedError>) {
    let mut name = request.name().clone();
    // No search list: the client has had its own.
    name.set_fqdn(true);
    match resolver.lookup(&name, request.record_type()) {
        Ok(found) => (request.respond(ResponseCode::NoError).answers(answers(&found)), Vec::new()),
        Err(error) => {
            let response = request.respond(code(&error)).authorities(error.soa().cloned());
            (response, error.extended_errors().cloned().collect())
        }
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
        // Who does not read has heard enough.
        let _ = writeln!(
            io::stdout(),
            "{} questions: {} answers and {} absences or failures were cached, {} queries were sent",
            stats.lookups,
            stats.cache.hits,
            stats.cache.exceptions,
            stats.queries
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
