//! One name and one type: from the cache, from what is known anyway, from somebody who asks just now, or from servers.
//!
//! ```text
//!   cache ─► special names ─► a flight under way ─► servers ─► cache
//! ```
//!
//! # Invariants
//!
//! - What servers say is in the cache before anybody is told, so that a lookup never overtakes its own answer.
//! - No borrow of the cache is alive while anybody waits.

use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{in_coroutine, now};

use crate::error::{LookupError, LookupErrorKind};
use crate::exchange::{Answered, Exchange};
use crate::flight::Joined;
use crate::lookup::{Lookup, Origin};
use crate::proto::{
    Answer, Found, Key, LOOPBACK, MAX_ALIASES, Name, Negative, Outcome, RData, Record, RecordType, Special, rdata,
};
use crate::resolver::Inner;
use crate::system::SystemConfig;
use crate::trace::{TraceEvent, Tracer};

/// The TTL of what is known without asking: as good as forever.
const SPECIAL_TTL: u32 = 86_400;

/// The TTL of what has outlived its own (RFC 8767, section 4).
pub const STALE_TTL: Duration = Duration::from_secs(30);

/// One call of the program's, which may come to several questions.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) resolver: &'a Inner,
    pub(crate) system: Rc<SystemConfig>,
    pub(crate) tracer: Tracer<'a>,
    pub(crate) deadline: Instant,
    /// Who wants to know of addresses before all are known.
    pub(crate) heard: Option<&'a dyn Fn(&Lookup)>,
}

impl<'a> Call<'a> {
    /// What it takes to ask servers.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        let Inner { transports, servers, counters, limit, .. } = self.resolver;
        let config = &self.system.config;
        let tries = u32::try_from(config.servers.len()).unwrap_or(u32::MAX).saturating_mul(config.attempts);
        Exchange {
            config,
            transports,
            servers,
            counters,
            tracer: self.tracer,
            deadline: self.deadline,
            // What is reached first.
            limit: config.timeout.saturating_mul(tries).min(*limit),
        }
    }

    /// Looks up an absolute name.
    pub(crate) fn ask(&self, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
        let key = Key::new(name, record_type);
        let known = self.cached(&key, || name.clone());
        known.unwrap_or_else(|| self.ask_others(&key, name, record_type))
    }

    /// Looks up an absolute name that the cache has nothing of.
    pub(crate) fn ask_others(&self, key: &Key, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
        if let Some(special) = Special::of(name) {
            self.resolver.counters.change(|stats| stats.special += 1);
            self.tracer.note(|| TraceEvent::Special(name.clone(), record_type));
            return answer_specially(special, name, record_type);
        }
        self.tracer.note(|| TraceEvent::CacheMiss(name.clone(), record_type));
        // Outside coroutines nobody else can be under way while this thread waits.
        let result = if in_coroutine() { self.join(key, name, record_type) } else { self.fly(key, name, record_type) };
        if result.as_ref().is_err_and(|error| !error.is_absence()) {
            self.resolver.counters.change(|stats| stats.failures += 1);
        }
        result
    }

    /// Records in the cache; without them, nothing is counted and nothing traced.
    #[inline]
    pub(crate) fn cached_records(&self, key: &Key, name: impl Fn() -> Name) -> Option<Lookup> {
        let found = self.resolver.cache.borrow_mut().find_records(key, now())?;
        self.resolver.counters.count_lookup();
        let ttl = found.ttl;
        self.tracer.note(|| TraceEvent::CacheHit(name(), key.record_type(), ttl));
        Some(Lookup::cached(found, Origin::Cache, ttl))
    }

    /// What the cache says; `None` if it says nothing.
    pub(crate) fn cached(&self, key: &Key, name: impl Fn() -> Name) -> Option<Result<Lookup, LookupError>> {
        self.resolver.counters.count_lookup();
        let found = self.resolver.cache.borrow_mut().find(key, now())?;
        Some(self.settle(found, key, name))
    }

    fn settle(&self, found: Found<LookupError>, key: &Key, name: impl Fn() -> Name) -> Result<Lookup, LookupError> {
        let record_type = key.record_type();
        let absence = match found {
            Found::Records(found) => {
                let ttl = found.ttl;
                self.tracer.note(|| TraceEvent::CacheHit(name(), record_type, ttl));
                return Ok(Lookup::cached(found, Origin::Cache, ttl));
            }
            Found::Failure(error) => {
                self.tracer.note(|| TraceEvent::CacheException(name(), record_type));
                return self.stale(key, name).ok_or_else(|| error.remembered());
            }
            Found::NoData(absence) => (LookupErrorKind::NoData, absence),
            Found::NoSuchName(absence) => (LookupErrorKind::NoSuchName, absence),
        };
        let (kind, absence) = absence;
        self.tracer.note(|| TraceEvent::CacheException(name(), record_type));
        // The SOA record is counted down as the entry is.
        let soa = absence.soa.map(|soa| {
            let mut soa = Record::clone(&soa);
            soa.ttl = u32::try_from(absence.ttl.as_secs()).unwrap_or(u32::MAX);
            soa
        });
        Err(LookupError::new(kind, &name(), record_type).with_soa(soa))
    }

    /// What the cache had, and has outlived its time (RFC 8767).
    fn stale(&self, key: &Key, name: impl Fn() -> Name) -> Option<Lookup> {
        let found = self.resolver.cache.borrow_mut().find_stale(key, now())?;
        self.tracer.note(|| TraceEvent::Stale(name(), key.record_type()));
        Some(Lookup::cached(found, Origin::Stale, STALE_TTL))
    }

    /// Asks servers, or waits for somebody who does.
    fn join(&self, key: &Key, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
        let flights = &self.resolver.flights;
        if self.tracer.is_on() && flights.is_under_way(key.bytes()) {
            self.tracer.note(|| TraceEvent::Joining(name.clone(), record_type));
        }
        match flights.join(key.bytes(), self.deadline, || self.fly(key, name, record_type)) {
            Joined::Led(result) => result,
            Joined::Followed(result) => {
                self.resolver.counters.change(|stats| stats.joined += 1);
                result
            }
            Joined::TimedOut => {
                let error = LookupError::new(LookupErrorKind::TimedOut, name, record_type);
                Err(error.with_limit(self.resolver.limit))
            }
            Joined::Refused => Err(LookupError::new(LookupErrorKind::Unwinding, name, record_type)),
        }
    }

    /// Asks servers, and keeps what they say.
    fn fly(&self, key: &Key, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
        let result = self.follow(name, record_type);
        match result {
            Err(error) if error.is_resolution_failure() => {
                self.resolver.cache.borrow_mut().insert_failure(key, error.clone(), now());
                self.stale(key, || name.clone()).ok_or(error)
            }
            result => result,
        }
    }

    /// Asks for a name, and for the one that it is an alias of, if the reply does not say.
    fn follow(&self, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
        let mut aliases: Vec<Record> = Vec::new();
        let mut target = name.clone();
        loop {
            let answered = self.exchange().ask(&target, record_type)?;
            let alias = match self.keep(answered, &target, record_type) {
                Kept::Answer(mut lookup) => {
                    if !aliases.is_empty() {
                        aliases.append(&mut lookup.aliases);
                        lookup.ttl = lookup.ttl.min(least_ttl(&aliases));
                        lookup.aliases = aliases;
                    }
                    return Ok(lookup);
                }
                Kept::Nothing(kind, soa) => return Err(LookupError::new(kind, name, record_type).with_soa(soa)),
                Kept::Alias(alias) => alias,
            };
            let is_circle = aliases.iter().any(|known| known.name == alias.target) || alias.target == *name;
            aliases.extend(alias.aliases);
            if is_circle || aliases.len() > MAX_ALIASES {
                return Err(LookupError::new(LookupErrorKind::Loop, name, record_type));
            }
            self.tracer.note(|| TraceEvent::Following(alias.target.clone()));
            target = alias.target;
        }
    }

    /// Puts what a server said into the cache.
    fn keep(&self, answered: Answered, asked: &Name, record_type: RecordType) -> Kept {
        let Answered { reply, mut outcome } = answered;
        if self.system.config.random_case {
            restore_case(&mut outcome, asked);
        }
        let validated = self.system.config.trust_ad && reply.is_authentic();
        let mut cache = self.resolver.cache.borrow_mut();
        let now = now();
        let mut keep_aliases = |aliases: &[Record]| {
            for alias in aliases {
                cache.insert_records(std::slice::from_ref(alias).into(), validated, now);
            }
        };
        match outcome {
            Outcome::Answer(Answer { aliases, records, ttl }) => {
                keep_aliases(&aliases);
                let records: Rc<[Record]> = records.into();
                // An answer to ANY is whatever the server saw fit to send (RFC 8482).
                if record_type != RecordType::ANY {
                    cache.insert_records(records.clone(), validated, now);
                }
                let ttl = Duration::from_secs(ttl.into());
                Kept::Answer(Lookup { records, aliases, ttl, validated, origin: Origin::Server, turn: 0 })
            }
            Outcome::NoSuchName(Negative { aliases, name, soa, ttl }) => {
                keep_aliases(&aliases);
                let soa = soa.map(|soa| soa.into_record_of_rdata());
                cache.insert_no_such_name(&Key::new(&name, record_type), soa.clone().map(Rc::new), ttl, now);
                Kept::Nothing(LookupErrorKind::NoSuchName, soa)
            }
            Outcome::NoData(Negative { aliases, name, soa, ttl }) => {
                keep_aliases(&aliases);
                let soa = soa.map(|soa| soa.into_record_of_rdata());
                cache.insert_no_data(&Key::new(&name, record_type), soa.clone().map(Rc::new), ttl, now);
                Kept::Nothing(LookupErrorKind::NoData, soa)
            }
            Outcome::Alias(alias) => {
                keep_aliases(&alias.aliases);
                Kept::Alias(alias)
            }
            // An exchange answers with nothing else.
            _ => Kept::Nothing(LookupErrorKind::Lame, None),
        }
    }
}

/// What came of an answer, which is in the cache by now.
enum Kept {
    Answer(Lookup),
    Nothing(LookupErrorKind, Option<Record>),
    Alias(crate::proto::Alias),
}

fn least_ttl(records: &[Record]) -> Duration {
    Duration::from_secs(records.iter().map(|record| record.ttl).min().unwrap_or(0).into())
}

/// Gives the owner of records the spelling that was asked for, and not the one that was sent in its place.
fn restore_case(outcome: &mut Outcome, asked: &Name) {
    let (aliases, records) = match outcome {
        Outcome::Answer(answer) => (&mut answer.aliases, Some(&mut answer.records)),
        Outcome::Alias(alias) => (&mut alias.aliases, None),
        Outcome::NoSuchName(negative) | Outcome::NoData(negative) => (&mut negative.aliases, None),
        _ => return,
    };
    for record in aliases.iter_mut().chain(records.into_iter().flatten()) {
        if record.name == *asked {
            record.name = asked.clone();
        }
    }
}

fn answer_specially(special: Special, name: &Name, record_type: RecordType) -> Result<Lookup, LookupError> {
    let absent = |kind| Err(LookupError::new(kind, name, record_type));
    let data = match (special, record_type) {
        (Special::NoSuchName, _) => return absent(LookupErrorKind::NoSuchName),
        (Special::Localhost, RecordType::A | RecordType::AAAA) => {
            LOOPBACK.iter().map(|address| RData::from(*address)).find(|data| data.record_type() == record_type)
        }
        (Special::LoopbackPointer, RecordType::PTR) => {
            Name::from_ascii("localhost.").ok().map(|name| RData::PTR(rdata::PTR(name)))
        }
        _ => None,
    };
    let Some(data) = data else { return absent(LookupErrorKind::NoData) };
    let record = Record::from_rdata(name.clone(), SPECIAL_TTL, data);
    Ok(Lookup {
        records: [record].into(),
        aliases: Vec::new(),
        ttl: Duration::from_secs(SPECIAL_TTL.into()),
        validated: false,
        origin: Origin::Special,
        turn: 0,
    })
}
