//! Asks one question of DNS and shows all of the reply, and on request how the lookup went.
//!
//! ```sh
//! cargo run --release --example dig -- example.com
//! cargo run --release --example dig -- @192.0.2.53 -p 5353 example.com MX +tcp +trace
//! cargo run --release --example dig -- -x 192.0.2.1 +short
//! ```
//!
//! The reply is shown as a master file would have it, whatever its code: only without any the exit code is 1.
//! `@192.0.2.53:5353` and `@[2001:db8::53]:5353` are a server and its port in one word.
//! With `+trace` you see first, line by line, which server was asked over what, what it said and how long that took.
//! `+noedns` leaves EDNS out, `+case` sends the letters in random case.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot::dns::proto::{
    Name, Query, Record, RecordType, Reply, Style, parse_name, parse_type, present_data, present_record, rcode_name,
    reverse_name, type_name,
};
use grapeshot::dns::transport::{ExchangeError, Notes, Place, Tcp, Transport, Udp};
use grapeshot::dns::{DNS_PORT, LookupError, NameServer, Resolver};

const USAGE: &str =
    "usage: dig [@SERVER | @IP:PORT] [-p PORT] NAME | -x ADDRESS [TYPE] [+tcp] [+trace] [+short] [+noedns] [+case]";

/// The patience of one who sits before the screen.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Arguments {
    /// A name or an address, or an address with a port.
    server: Option<String>,
    port: Option<u16>,
    name: Option<Name>,
    record_type: Option<RecordType>,
    tcp: bool,
    trace: bool,
    short: bool,
    no_edns: bool,
    random_case: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            complain(&format!("{error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    grapeshot::run(move || match ask(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    })
}

/// On stderr, where nobody may read.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "dig: {what}");
}

fn ask(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let last = LastReply::default();
    let resolver = resolver(arguments, &last)?;
    // Without a name it is the servers of the root.
    let name = arguments.name.clone().unwrap_or_else(Name::root);
    let default = if arguments.name.is_some() { RecordType::A } else { RecordType::NS };
    let (reply, trace) = resolver.query_traced(&name, arguments.record_type.unwrap_or(default));
    let mut out = io::stdout();
    if arguments.trace {
        trace.to_string().lines().try_for_each(|line| writeln!(out, ";; {line}"))?;
    }
    // What is a failure to a program is a reply like others to a person: only silence is none.
    let reply = reply.or_else(|error| last.take().ok_or(error))?;
    if arguments.short {
        for record in reply.answers() {
            writeln!(out, "{}", present_data(&record.data, Style::MASTER))?;
        }
    } else {
        show(&mut out, &reply)?;
    }
    Ok(())
}

/// The last reply that came, whatever it said.
type LastReply = Rc<RefCell<Option<Reply>>>;

/// A transport that keeps the reply, which a resolver that finds no use for it does not.
struct Keeping<T>(T, LastReply);

impl<T: Transport> Transport for Keeping<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        self.0.enter(deadline)
    }

    fn exchange_in(
        &self,
        place: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let reply = self.0.exchange_in(place, server, query, deadline, notes)?;
        self.1.replace(Some(reply.clone()));
        Ok(reply)
    }
}

/// Asks the server that was named, which may have to be looked up first.
fn resolver(arguments: &Arguments, last: &LastReply) -> Result<Resolver, LookupError> {
    let port = arguments.port.unwrap_or(DNS_PORT);
    let servers: Option<Vec<NameServer>> = match &arguments.server {
        Some(server) => Some(match server.parse::<SocketAddr>() {
            Ok(address) => vec![NameServer::from(address)],
            Err(_) => {
                let addresses = Resolver::system().resolve(server)?.socket_addresses(port);
                addresses.into_iter().map(NameServer::from).collect()
            }
        }),
        None => None,
    };
    let Arguments { tcp, no_edns, random_case, .. } = *arguments;
    let builder = Resolver::builder().limit(LIMIT);
    let builder = builder.udp(Keeping(Udp::default(), last.clone())).tcp(Keeping(Tcp::default(), last.clone()));
    let builder = builder.adjust(move |config| {
        match &servers {
            Some(servers) => config.servers.clone_from(servers),
            None => config.servers.iter_mut().for_each(|server| set_port(&mut server.address, port)),
        }
        config.use_tcp |= tcp;
        config.random_case |= random_case;
        if no_edns {
            config.edns_size = None;
        }
    });
    Ok(builder.build())
}

fn set_port(address: &mut SocketAddr, port: u16) {
    if port != DNS_PORT {
        address.set_port(port);
    }
}

fn show(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let flags = [
        (true, " qr"),
        (reply.is_authoritative(), " aa"),
        (reply.is_truncated(), " tc"),
        (reply.is_recursion_available(), " ra"),
        (reply.is_authentic(), " ad"),
    ];
    let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
    let sections =
        [("ANSWER", reply.answers()), ("AUTHORITY", reply.authorities()), ("ADDITIONAL", reply.additionals())];
    let counts: Vec<String> = sections.iter().map(|(name, records)| format!("{name}: {}", records.len())).collect();
    writeln!(out, ";; status: {}, id: {}", rcode_name(reply.rcode()), reply.id())?;
    writeln!(out, ";; flags:{flags}; {}", counts.join(", "))?;
    if let Some(edns) = reply.edns() {
        writeln!(out, ";; EDNS: version {}, udp {}", edns.version, edns.udp_size)?;
    }
    reply.extended_errors().iter().try_for_each(|error| writeln!(out, ";; {error}"))?;
    if let Some((name, record_type)) = reply.question() {
        writeln!(out, "\n;; QUESTION SECTION:\n;{name}\tIN\t{}", type_name(record_type))?;
    }
    for (title, records) in sections {
        show_section(out, title, records)?;
    }
    writeln!(out, "\n;; {} bytes", reply.message_length())
}

fn show_section(out: &mut impl Write, title: &str, records: &[Record]) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n;; {title} SECTION:")?;
    records.iter().try_for_each(|record| writeln!(out, "{}", present_record(record, Style::MASTER)))
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut parsed = Arguments::default();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("something is missing behind {argument}"));
            match argument.as_str() {
                "+tcp" => parsed.tcp = true,
                "+trace" => parsed.trace = true,
                "+short" => parsed.short = true,
                "+noedns" => parsed.no_edns = true,
                "+case" => parsed.random_case = true,
                "-p" => parsed.port = Some(value()?.parse().map_err(|error| format!("the port: {error}"))?),
                "-x" => {
                    let address: IpAddr = value()?.parse().map_err(|error| format!("behind -x: {error}"))?;
                    parsed.name = Some(reverse_name(address));
                    parsed.record_type = Some(RecordType::PTR);
                }
                other => parsed.word(other)?,
            }
        }
        Ok(parsed)
    }

    /// What is no option is a server, a type or a name. The first word that could be a type is one, as for the real dig.
    fn word(&mut self, word: &str) -> Result<(), String> {
        if let Some(server) = word.strip_prefix('@') {
            self.server = Some(server.to_owned());
        } else if word.starts_with(['+', '-']) {
            return Err(format!("{word} is no option"));
        } else if let Some(record_type) = parse_type(word).filter(|_| self.record_type.is_none()) {
            self.record_type = Some(record_type);
        } else if self.name.is_none() {
            let mut name = parse_name(word).map_err(|error| format!("{word:?}: {error}"))?;
            name.set_fqdn(true);
            self.name = Some(name);
        } else {
            return Err(format!("{word:?} is no type"));
        }
        Ok(())
    }
}
