//! Looks up names of any type, all in one process, so that you see the cache at work.
//!
//! ```sh
//! cargo run --release --example lookup -- A example.com MX example.com
//! cargo run --release --example lookup -- --server 127.0.0.1:5353 --timeout 500 A www SLEEP 2000 A www
//! ```
//!
//! For each `TYPE NAME` you see `status:`, what there is of the type, and `--`; why a lookup failed is on stderr.
//! `SLEEP MS` stands for a pause. Without `--server` the system's files say whom to ask.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use grapeshot::dns::proto::{Name, RecordType, Style, parse_name, parse_type, present_data, reverse_name, type_name};
use grapeshot::dns::{Config, LookupError, LookupErrorKind, NameServer, Resolver, ResolverBuilder};

const USAGE: &str = "usage: lookup [--server IP:PORT]… [--search DOMAIN]… [--ndots N] [--timeout MS] [--attempts N] \
                     [--edns SIZE] TYPE NAME [TYPE NAME | SLEEP MS]…";

/// What is to be done, in its order.
enum Step {
    Lookup(RecordType, String),
    Sleep(Duration),
}

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    servers: Vec<NameServer>,
    search: Vec<Name>,
    ndots: Option<usize>,
    timeout: Option<Duration>,
    attempts: Option<u32>,
    /// `Some(None)` for no EDNS at all.
    edns: Option<Option<u16>>,
    steps: Vec<Step>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match Arguments::parse(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("lookup: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    grapeshot::run(move || {
        let resolver = resolver(&arguments);
        for step in &arguments.steps {
            match step {
                Step::Sleep(duration) => grapeshot::sleep(*duration),
                Step::Lookup(record_type, name) => show(&resolver, *record_type, name),
            }
        }
    })
}

fn resolver(arguments: &Arguments) -> Resolver {
    let config = Config { servers: arguments.servers.clone(), ..Config::default() };
    let builder = match config.servers.is_empty() {
        true => ResolverBuilder::system(),
        false => ResolverBuilder::with_config(config),
    };
    let Arguments { search, ndots, timeout, attempts, edns, .. } = arguments;
    let (search, ndots, timeout, attempts, edns) = (search.clone(), *ndots, *timeout, *attempts, *edns);
    let builder = builder.adjust(move |config| {
        if !search.is_empty() {
            config.search.clone_from(&search);
        }
        config.ndots = ndots.unwrap_or(config.ndots);
        config.timeout = timeout.unwrap_or(config.timeout);
        config.attempts = attempts.unwrap_or(config.attempts);
        config.edns_size = edns.unwrap_or(config.edns_size);
    });
    // Each server is to have all the time that it was promised, and each name its turn.
    builder.limit(Duration::from_secs(600)).build()
}

fn show(resolver: &Resolver, record_type: RecordType, name: &str) {
    let found = match name.parse::<IpAddr>() {
        // An address is looked up backwards.
        Ok(address) if record_type == RecordType::PTR => resolver.lookup(&reverse_name(address), record_type),
        _ => resolver.lookup(name, record_type),
    };
    match found {
        Ok(found) => {
            println!("status: NOERROR");
            for data in found.data() {
                println!("{} {}", type_name(data.record_type()), present_data(data, Style::PLAIN));
            }
        }
        Err(error) => {
            println!("status: {}", status(&error));
            eprintln!("lookup: {error}");
        }
    }
    println!("--");
}

fn status(error: &LookupError) -> &'static str {
    match error.kind() {
        LookupErrorKind::NoSuchName => "NXDOMAIN",
        LookupErrorKind::NoData => "NODATA",
        LookupErrorKind::ServerFailure => "SERVFAIL",
        LookupErrorKind::Refused => "REFUSED",
        // Nobody answered: whether for want of a server or of time is on stderr.
        LookupErrorKind::TimedOut | LookupErrorKind::Unreachable => "TIMEOUT",
        _ => "ERROR",
    }
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Arguments, String> {
        let mut parsed = Arguments::default();
        let mut rest = arguments.iter().map(String::as_str).peekable();
        while let Some(first) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("something is missing behind {first:?}"))?;
            match first {
                "--server" => {
                    parsed.servers.push(server(value)?);
                    // `--server A B` says the same as `--server A --server B`.
                    while let Some(next) = rest.next_if(|next| next.parse::<SocketAddr>().is_ok()) {
                        parsed.servers.push(server(next)?);
                    }
                }
                "--search" => parsed.search.push(absolute(value)?),
                "--ndots" => parsed.ndots = Some(number(value)?),
                "--timeout" => parsed.timeout = Some(Duration::from_millis(number(value)?)),
                "--attempts" => parsed.attempts = Some(number(value)?),
                "--edns" => parsed.edns = Some(Some(number(value)?).filter(|&size| size > 0)),
                "SLEEP" => parsed.steps.push(Step::Sleep(Duration::from_millis(number(value)?))),
                option if option.starts_with('-') => return Err(format!("{option} is no option")),
                record_type => {
                    let known = parse_type(record_type).ok_or_else(|| format!("{record_type:?} is no type"))?;
                    parsed.steps.push(Step::Lookup(known, value.to_owned()));
                }
            }
        }
        if parsed.steps.is_empty() { Err("nothing to look up".to_owned()) } else { Ok(parsed) }
    }
}

/// A server's address, on port 53 if none is given.
fn server(text: &str) -> Result<NameServer, String> {
    let address = text.parse::<SocketAddr>().map(NameServer::from);
    address.or_else(|_| text.parse::<IpAddr>().map(NameServer::from)).map_err(|_| format!("{text:?} is no address"))
}

fn absolute(domain: &str) -> Result<Name, String> {
    let mut name = parse_name(domain).map_err(|error| format!("{domain:?}: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn number<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
