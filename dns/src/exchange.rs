//! Asking servers until one has an answer: whom, over what, how often, and for how long.
//!
//! ```text
//!   round ─► server ─► UDP ─┬─ an answer, or the news that there is none ──► done
//!     ▲        ▲            ├─ cut short ───────────► TCP, the same server
//!     │        │            ├─ EDNS not understood ─► without, the same server
//!     │        │            ├─ cookie wanted ───────► with it, the same server
//!     │        └────────────┴─ SERVFAIL, REFUSED, lame, silence, garbage: the next server
//!     └──── the round is over: those that said nothing are asked again, `attempts` times in all
//! ```
//!
//! # Invariants
//!
//! - Each server has [`Config::timeout`] in each round, so a lookup takes `timeout` × `attempts` × servers at most, apart
//!   from waiting for room in flight, and no longer than its deadline.
//! - A server is chosen, and its time begins, once there is room to ask it: who is silent shows while others wait, and no
//!   server is blamed for a time that it was not given.
//! - Within one turn a server is asked no more than [`MAX_TRIES_IN_A_TURN`] times, over one transport no more than three.
//! - A server that was silent lately is asked after the others, until it has answered or its time is over.
//!
//! Sources: RFC 1035 (7.2), RFC 6891 (6.2.2, 7), RFC 7873 (5.3), RFC 9520 (3.1).

use std::time::{Duration, Instant};

use grapeshot_core::{now, read_clock};

use crate::config::{Config, NameServer};
use crate::error::{Asked, LookupError, LookupErrorKind, Said};
use crate::proto::{CookieVerdict, Name, Outcome, Query, QueryOptions, RecordType, Reply, ResponseCode};
use crate::servers::Servers;
use crate::stats::Counters;
use crate::trace::{TraceEvent, Tracer};
use crate::transport::{ExchangeError, Notes, Place, Transport};
use crate::transports::Transports;

/// How often a server is asked within one turn: plainly, over TCP, without EDNS, with its cookie.
pub const MAX_TRIES_IN_A_TURN: u32 = 5;

/// How often one name is asked of one server at most, whatever the configuration says.
pub const MAX_ROUNDS: u32 = 10;

/// A question to servers, and what it takes to ask it.
pub(crate) struct Exchange<'a> {
    pub(crate) config: &'a Config,
    pub(crate) transports: &'a Transports,
    pub(crate) servers: &'a Servers,
    pub(crate) counters: &'a Counters,
    pub(crate) tracer: Tracer<'a>,
    pub(crate) deadline: Instant,
    /// The longest that it can take, for errors.
    pub(crate) limit: Duration,
}

/// What a server said that is of use.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) outcome: Outcome,
}

impl Exchange<'_> {
    /// Asks until a server has an answer, or knows that there is none.
    pub(crate) fn ask(&self, name: &Name, record_type: RecordType) -> Result<Answered, LookupError> {
        let mut asked = Vec::new();
        let mut left = self.servers.in_order(self.config, now());
        if left.is_empty() {
            return Err(LookupError::new(LookupErrorKind::NoServers, name, record_type));
        }
        for attempt in 1..=self.config.attempts.clamp(1, MAX_ROUNDS) {
            let mut again = Vec::new();
            while !left.is_empty() {
                let began = read_clock();
                let place = self.room_for_first(&mut left);
                let server = left.remove(0);
                let until = self.deadline.min(now() + self.config.timeout);
                let turn = Turn { exchange: self, server, name, record_type, attempt, until };
                let (transport, said) = match place.and_then(|place| turn.take(place)) {
                    Ok(answered) => return Ok(answered),
                    Err(failed) => failed,
                };
                let may_change = said.may_change();
                let gives_up = matches!(said, Said::Nothing(ExchangeError::Unwinding));
                asked.push(Asked { server: server.clone(), transport, said, took: read_clock() - began });
                if gives_up || now() >= self.deadline {
                    return Err(LookupError::of_servers(name, record_type, asked, self.limit));
                }
                if may_change {
                    again.push(server);
                }
            }
            left = again;
        }
        Err(LookupError::of_servers(name, record_type, asked, self.limit))
    }

    /// Waits for room to ask the first of these servers, which may be another one when there is room.
    fn room_for_first(&self, servers: &mut [&NameServer]) -> Result<Place<'_>, Failed> {
        loop {
            let transport = self.transports.of(servers[0], self.config.use_tcp);
            let place = transport.enter(self.deadline).map_err(|error| (transport.name(), Said::Nothing(error)))?;
            self.servers.put_silent_last(servers, now());
            let transport_now = self.transports.of(servers[0], self.config.use_tcp);
            if std::ptr::addr_eq(transport, transport_now) {
                return Ok(place);
            }
        }
    }
}

/// Over what a server was asked in vain, and what it said.
type Failed = (&'static str, Said);

/// One server's turn.
struct Turn<'a> {
    exchange: &'a Exchange<'a>,
    server: &'a NameServer,
    name: &'a Name,
    record_type: RecordType,
    attempt: u32,
    until: Instant,
}

/// How the server is asked next within its turn.
struct Manner {
    tcp: bool,
    edns: bool,
    cookie_refreshed: bool,
}

impl<'a> Turn<'a> {
    /// Asks the server, in other ways too if it says that it needs them.
    fn take(mut self, mut place: Place<'a>) -> Result<Answered, Failed> {
        let exchange = self.exchange;
        let edns = exchange.config.edns_size.is_some() && exchange.servers.speaks_edns(self.server, now());
        let mut manner = Manner { tcp: exchange.config.use_tcp, edns, cookie_refreshed: false };
        let mut transport = "";
        let mut last = None;
        for _ in 0..MAX_TRIES_IN_A_TURN {
            let over = exchange.transports.of(self.server, manner.tcp);
            transport = over.name();
            let query = self.query(&manner);
            let reply = self.exchange(&place, &query, &manner).map_err(|error| (transport, Said::Nothing(error)))?;
            let outcome = reply.outcome(&query);
            let Some(why) = self.change(&mut manner, &query, &reply, &outcome) else {
                if edns && !manner.edns {
                    exchange.servers.note_no_edns(self.server, now());
                }
                return self.judge(reply, outcome).map_err(|said| (transport, said));
            };
            exchange.tracer.note(|| TraceEvent::Again(why));
            let next = exchange.transports.of(self.server, manner.tcp);
            if !std::ptr::addr_eq(over, next) {
                drop(place);
                place = self.change_over(next).map_err(|error| (next.name(), Said::Nothing(error)))?;
            }
            last = Some(Said::Code(reply.rcode(), reply.extended_errors()));
        }
        Err((transport, last.unwrap_or(Said::Lame)))
    }

    /// Waits for room in another transport, which is none of the server's time.
    fn change_over<'t>(&mut self, next: &'t dyn Transport) -> Result<Place<'t>, ExchangeError> {
        let began = now();
        let place = next.enter(self.exchange.deadline)?;
        self.until = self.exchange.deadline.min(self.until + (now() - began));
        Ok(place)
    }

    fn query(&self, manner: &Manner) -> Query {
        let config = self.exchange.config;
        let options = QueryOptions {
            edns_size: config.edns_size.filter(|_| manner.edns),
            authentic_data: config.trust_ad,
            random_case: config.random_case.then(rand::random),
            cookie: (config.cookies && manner.edns).then(|| self.exchange.servers.cookie(self.server)),
            ..QueryOptions::default()
        };
        Query::new(self.name.clone(), self.record_type, &options)
    }

    fn exchange(&self, place: &Place<'_>, query: &Query, manner: &Manner) -> Result<Reply, ExchangeError> {
        let Exchange { transports, servers, counters, tracer, .. } = self.exchange;
        let transport = transports.of(self.server, manner.tcp);
        tracer.note(|| TraceEvent::Asking {
            server: self.server.clone(),
            transport: transport.name(),
            name: query.name().clone(),
            record_type: self.record_type,
            attempt: self.attempt,
        });
        counters.change(|stats| stats.queries += 1);
        let began = tracer.begin();
        let mut notes = Notes::default();
        let result = transport.exchange_in(place, self.server, query, self.until, &mut notes);
        match &result {
            Ok(reply) => {
                servers.note_reply(self.server);
                tracer.note(|| replied(self.server, transport.name(), reply, read_clock() - began, notes.ignored));
            }
            Err(error) => {
                counters.change(|stats| match error {
                    ExchangeError::TimedOut => stats.timeouts += 1,
                    ExchangeError::Malformed(_) | ExchangeError::Closed => stats.malformed += 1,
                    _ => {}
                });
                if !matches!(error, ExchangeError::Busy { .. } | ExchangeError::Unwinding) {
                    servers.note_silence(self.server, now());
                }
                tracer.note(|| TraceEvent::Failed {
                    server: self.server.clone(),
                    transport: transport.name(),
                    error: error.to_string(),
                    took: read_clock() - began,
                });
            }
        }
        result
    }

    /// Why the server is to be asked again in another manner, which is set; `None` if the reply stands.
    fn change(&self, manner: &mut Manner, query: &Query, reply: &Reply, outcome: &Outcome) -> Option<&'static str> {
        let Exchange { servers, counters, .. } = self.exchange;
        if reply.is_truncated() && !manner.tcp && self.server.tls_name.is_none() {
            counters.change(|stats| stats.truncated += 1);
            manner.tcp = true;
            return Some("the reply was cut short, so over TCP");
        }
        if query.options().cookie.is_some() {
            match servers.receive_cookie(self.server, reply) {
                CookieVerdict::AskAgain if manner.cookie_refreshed => manner.tcp = true,
                CookieVerdict::AskAgain => manner.cookie_refreshed = true,
                // Over TCP nobody forges, and the server may have forgotten.
                CookieVerdict::Missing | CookieVerdict::Forged if !manner.tcp => manner.tcp = true,
                _ => return self.drop_edns(manner, outcome),
            }
            counters.change(|stats| stats.cookies_refreshed += 1);
            return Some("the server's cookie was missing, wrong or too old");
        }
        self.drop_edns(manner, outcome)
    }

    /// A server that does not know EDNS says that it does not understand the message (RFC 6891, section 7).
    fn drop_edns(&self, manner: &mut Manner, outcome: &Outcome) -> Option<&'static str> {
        use ResponseCode::{BADVERS, FormErr, NotImp};
        if manner.edns && matches!(outcome, Outcome::Failed(FormErr | NotImp | BADVERS)) {
            self.exchange.counters.change(|stats| stats.without_edns += 1);
            manner.edns = false;
            return Some("the server does not understand EDNS, so without");
        }
        None
    }

    /// Whether a reply settles the question, or the next server is to be asked.
    fn judge(&self, reply: Reply, outcome: Outcome) -> Result<Answered, Said> {
        let counters = self.exchange.counters;
        match outcome {
            Outcome::Answer(_) | Outcome::Alias(_) | Outcome::NoSuchName(_) | Outcome::NoData(_) => {
                Ok(Answered { reply, outcome })
            }
            // Whoever follows the aliases gets no further at another server, and the caller is to see them.
            Outcome::Loop { .. } => Err(Said::Loop),
            Outcome::Referral(_) | Outcome::Lame(_) => Err(Said::Lame),
            Outcome::ServerFailure | Outcome::Refused | Outcome::Failed(_) => {
                counters.change(|stats| match outcome {
                    Outcome::ServerFailure => stats.server_failures += 1,
                    Outcome::Refused => stats.refused += 1,
                    _ => {}
                });
                Err(Said::Code(reply.rcode(), reply.extended_errors()))
            }
        }
    }
}

fn replied(server: &NameServer, transport: &'static str, reply: &Reply, took: Duration, ignored: u64) -> TraceEvent {
    TraceEvent::Replied {
        server: server.clone(),
        transport,
        rcode: reply.rcode(),
        records: [reply.answers().len(), reply.authorities().len(), reply.additionals().len()],
        bytes: reply.message_length(),
        truncated: reply.is_truncated(),
        took,
        extended: reply.extended_errors(),
        ignored,
    }
}
