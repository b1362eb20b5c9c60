//! Looks up names of any type, all in one process, so that you see the cache at work.
//!
//! ```sh
//! cargo run --release --example lookup -- A example.com MX example.com
//! cargo run --release --example lookup -- --server 127.0.0.1:5353 --timeout 500 A www SLEEP 2000 A www
//! ```
//!
//! `--help` shows the usage. For each `TYPE NAME` you see `status:`, what there is of the type, and `--`; why a lookup failed is on stderr.
//! `SLEEP MS` stands for a pause. Without `--server` the system's files say whom to ask.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use grapeshot::dns::proto::{Name, RecordType, Style, parse_name, parse_type, present_data, reverse_name, type_name};
use grapeshot::dns::{Config, LookupError, LookupErrorKind, NameServer, Resolver, ResolverBuilder};

const USAGE: &str = "usage: lookup [--server IP:PORT]… [--search DOMAIN]… [--ndots N] [--timeout MS] [--attempts N] \
                     [--edns SIZE] TYPE NAME [TYPE NAME | SLEEP MS]…";

/// Servers take datagrams of this size anyway; a smaller one is no wish that EDNS could carry (RFC 6891 §6.2.3).
const LEAST_EDNS: u16 = 512;

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
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return ended(writeln!(io::stdout(), "{USAGE}"));
    }
    let arguments = match Arguments::parse(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            complain(&format!("{error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    grapeshot::run(move || ended(work(&arguments)))
}

fn work(arguments: &Arguments) -> io::Result<()> {
    let resolver = resolver(arguments);
    for step in &arguments.steps {
        match step {
            Step::Sleep(duration) => grapeshot::sleep(*duration),
            Step::Lookup(record_type, name) => show(&resolver, *record_type, name)?,
        }
    }
    Ok(())
}

/// Nobody reads on, as behind `| head -1`: that ends the program, and is no reason to panic.
fn ended(printed: io::Result<()>) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot print: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// On stderr, where nobody may read either.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "lookup: {what}");
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

fn show(resolver: &Resolver, record_type: RecordType, name: &str) -> io::Result<()> {
    let found = match name.parse::<IpAddr>() {
        // An address is looked up backwards.
        Ok(address) if record_type == RecordType::PTR => resolver.lookup(&reverse_name(address), record_type),
        _ => resolver.lookup(name, record_type),
    };
    let mut out = io::stdout();
    match found {
        Ok(found) => {
            writeln!(out, "status: NOERROR")?;
            for data in found.data() {
                writeln!(out, "{} {}", type_name(data.record_type()), present_data(data, Style::PLAIN))?;
            }
        }
        Err(error) => {
            writeln!(out, "status: {}", status(&error))?;
            complain(&error.to_string());
        }
    }
    writeln!(out, "--")
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
                "--timeout" => parsed.timeout = Some(Duration::from_millis(number(nonzero(first, value)?)?)),
                "--attempts" => parsed.attempts = Some(number(nonzero(first, value)?)?),
                "--edns" => parsed.edns = Some(edns_size(value)?),
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

/// A size for EDNS, or nothing for none of it.
fn edns_size(text: &str) -> Result<Option<u16>, String> {
    match number(text)? {
        0 => Ok(None),
        size if size < LEAST_EDNS => Err(format!("--edns {size} is less than {LEAST_EDNS}, and not 0 for no EDNS")),
        size => Ok(Some(size)),
    }
}

fn nonzero<'a>(option: &str, text: &'a str) -> Result<&'a str, String> {
    if number::<u64>(text)? > 0 { Ok(text) } else { Err(format!("{option} {text} leaves no chance of an answer")) }
}

fn number<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
