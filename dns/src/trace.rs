//! A lookup, step by step, for a person to read.
//!
//! # Invariants
//!
//! - A trace is a value: nothing is printed, and nothing is recorded unless it was asked for.
//! - It holds [`MAX_STEPS`] steps at most, and says how many were left off.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use grapeshot_core::{now, read_clock};

use crate::config::NameServer;
use crate::proto::{ExtendedError, Name, RecordType, ResponseCode, rcode_name, type_name};

/// How many steps a trace holds.
pub const MAX_STEPS: usize = 1000;

/// What happened during a lookup, in its order.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_dns::Resolver;
/// use grapeshot_dns::proto::RecordType;
///
/// test::run(|| {
///     let (_, trace) = Resolver::new(Default::default()).lookup_traced("localhost", RecordType::A);
///     assert_eq!(trace.to_string(), "+0.000s localhost. A is known without asking\n");
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    started: Instant,
    steps: Vec<TraceStep>,
    left_off: usize,
}

/// One step of a lookup.
#[derive(Clone, Debug)]
pub struct TraceStep {
    /// How long after the beginning it happened.
    pub after: Duration,
    /// What happened.
    pub event: TraceEvent,
}

/// What can happen during a lookup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A name of the search list is asked for instead of the one that was typed.
    Searching(Name),
    /// The hosts file was read, and had so many addresses.
    Hosts(String, usize),
    /// The text is an address already.
    Numeric(IpAddr),
    /// The name is known without asking anybody (RFC 6761).
    Special(Name, RecordType),
    /// The cache had it, for so long.
    CacheHit(Name, RecordType, Duration),
    /// The cache knew that there is nothing, or that the servers had failed.
    CacheException(Name, RecordType),
    /// The cache had nothing.
    CacheMiss(Name, RecordType),
    /// The cache had something too old, and nobody had anything newer (RFC 8767).
    Stale(Name, RecordType),
    /// Somebody else asks the same just now.
    Joining(Name, RecordType),
    /// A server is asked.
    Asking {
        /// Whom.
        server: NameServer,
        /// Over what.
        transport: &'static str,
        /// The name, in the case in which it is sent.
        name: Name,
        /// The type.
        record_type: RecordType,
        /// Which attempt at this name it is, the first being 1.
        attempt: u32,
    },
    /// A server replied.
    Replied {
        /// Who.
        server: NameServer,
        /// Over what.
        transport: &'static str,
        /// With which code.
        rcode: ResponseCode,
        /// How many records are in the answer, the authority and the additional section.
        records: [usize; 3],
        /// The length of the reply in bytes.
        bytes: usize,
        /// Whether it was cut short to fit a datagram.
        truncated: bool,
        /// How long it took.
        took: Duration,
        /// What the server adds (RFC 8914).
        extended: Vec<ExtendedError>,
        /// How many messages came meanwhile that belonged to nobody.
        ignored: u64,
    },
    /// A server did not reply, or not with anything that can be read.
    Failed {
        /// Who.
        server: NameServer,
        /// Over what.
        transport: &'static str,
        /// Why not.
        error: String,
        /// How long it took.
        took: Duration,
    },
    /// The server is asked again, for this reason.
    Again(&'static str),
    /// The name is an alias, and the one it stands for is asked for.
    Following(Name),
    /// What the lookup came to.
    Result(String),
}

impl Trace {
    fn new() -> Trace {
        Trace { started: read_clock(), steps: Vec::new(), left_off: 0 }
    }

    /// The steps, in their order.
    pub fn steps(&self) -> &[TraceStep] {
        &self.steps
    }

    /// How many steps more there were than a trace holds.
    pub fn left_off(&self) -> usize {
        self.left_off
    }
}

impl fmt::Display for Trace {
    /// A line per step, with the time since the beginning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TraceStep { after, event } in &self.steps {
            writeln!(f, "+{:.3}s {event}", after.as_secs_f64())?;
        }
        match self.left_off {
            0 => Ok(()),
            count => writeln!(f, "and {count} more"),
        }
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let question =
            |name: &Name, record_type: &RecordType| format!("{} {}", name.to_ascii(), type_name(*record_type));
        match self {
            TraceEvent::Searching(name) => write!(f, "searching for {}", name.to_ascii()),
            TraceEvent::Hosts(name, 0) => write!(f, "{name} is not in the hosts file"),
            TraceEvent::Hosts(name, count) => {
                write!(f, "{name} has {} in the hosts file", counted(*count, "address", "addresses"))
            }
            TraceEvent::Numeric(address) => write!(f, "{address} is an address"),
            TraceEvent::Special(name, of) => write!(f, "{} is known without asking", question(name, of)),
            TraceEvent::CacheHit(name, of, ttl) => write!(f, "{} is cached for {:.1?} more", question(name, of), ttl),
            TraceEvent::CacheException(name, of) => write!(f, "{} is cached as absent or failed", question(name, of)),
            TraceEvent::CacheMiss(name, of) => write!(f, "{} is not cached", question(name, of)),
            TraceEvent::Stale(name, of) => write!(f, "{} is answered from an old entry", question(name, of)),
            TraceEvent::Joining(name, of) => {
                write!(f, "{} is being asked for already: waiting for that", question(name, of))
            }
            TraceEvent::Asking { server, transport, name, record_type, attempt } => {
                let question = question(name, record_type);
                write!(f, "asking {} over {transport} for {question}, attempt {attempt}", server.address)
            }
            TraceEvent::Replied { server, transport, rcode, records, bytes, truncated, took, extended, ignored } => {
                let [answers, authorities, additionals] = records;
                write!(f, "{} over {transport} says {} in {took:.1?}: ", server.address, rcode_name(*rcode))?;
                let answers = counted(*answers, "answer", "answers");
                let authorities = counted(*authorities, "authority", "authorities");
                let additionals = counted(*additionals, "additional", "additionals");
                write!(f, "{answers}, {authorities}, {additionals}, {bytes} bytes")?;
                f.write_str(if *truncated { ", cut short" } else { "" })?;
                extended.iter().try_for_each(|error| write!(f, ", {error}"))?;
                if *ignored == 0 { Ok(()) } else { write!(f, "; {ignored} replies ignored that were not to it") }
            }
            TraceEvent::Failed { server, transport, error, took } => {
                write!(f, "{} over {transport} after {took:.1?}: {error}", server.address)
            }
            TraceEvent::Again(why) => write!(f, "asking again: {why}"),
            TraceEvent::Following(name) => write!(f, "following the alias to {}", name.to_ascii()),
            TraceEvent::Result(text) => f.write_str(text),
        }
    }
}

/// So many of something, in words that agree with the number.
pub(crate) fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Where the steps of a lookup go; nowhere, unless a trace was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Tracer<'a>(Option<&'a RefCell<Trace>>);

impl<'a> Tracer<'a> {
    pub(crate) const OFF: Tracer<'static> = Tracer(None);

    /// Runs `f` with a tracer, and gives what it traced.
    pub(crate) fn run<T>(f: impl FnOnce(Tracer<'_>) -> T) -> (T, Trace) {
        let trace = RefCell::new(Trace::new());
        let result = f(Tracer(Some(&trace)));
        (result, trace.into_inner())
    }

    pub(crate) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// When something begins whose length only a trace tells: the clock is read for no one else.
    pub(crate) fn begin(self) -> Instant {
        if self.is_on() { read_clock() } else { now() }
    }

    #[inline]
    pub(crate) fn note(self, event: impl FnOnce() -> TraceEvent) {
        if let Some(trace) = self.0 {
            let event = event();
            let mut trace = trace.borrow_mut();
            if trace.steps.len() < MAX_STEPS {
                let after = read_clock().saturating_duration_since(trace.started);
                trace.steps.push(TraceStep { after, event });
            } else {
                trace.left_off += 1;
            }
        }
    }
}
