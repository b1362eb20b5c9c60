//! Answers that are still good: a bounded cache of record sets, of what does not exist, and of what failed lately.
//!
//! ```text
//!   find ─► records or no data of this type ─► no such name ─► an alias, followed ─► a failure ─► a miss
//! ```
//!
//! Time is passed in, so the cache is tested without waiting.
//!
//! # Invariants
//!
//! - At most [`CacheLimits::entries`] entries and [`CacheLimits::bytes`] bytes; the least recently used go first (DNS-1).
//! - A set lives as long as the record of it that lives shortest (RFC 2181, section 5.2), and dies as a whole (DNS-3).
//! - An alias is kept under its own name, and a name that was found not to exist under the name that ended the chain.
//! - A failure is kept beside what else is known of a name, so that old records outlive it (RFC 8767).
//! - Names are compared without regard to case (RFC 4343).
//!
//! # What is absent
//!
//! Records that came along unasked: a stub has no use for them, and forgers have.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_proto::rr::{RData, Record, RecordType};

use super::cache_key::{Key, Kind};
use super::least_recent::{LeastRecent, Place};

/// How many aliases are followed from one name to its records.
pub const MAX_CACHED_ALIASES: usize = 16;

/// The longest that RFC 9520, section 3.2, lets a failure be kept.
pub const MAX_FAILURE_TTL: Duration = Duration::from_secs(300);

/// The shortest that RFC 9520, section 3.2, lets a failure be kept.
pub const MIN_FAILURE_TTL: Duration = Duration::from_secs(1);

/// What an entry takes besides its records and its name, in bytes: measured roughly, and rounded up.
const ENTRY_OVERHEAD: usize = 160;

/// What a cache may hold, and for how long.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_dns::proto::CacheLimits;
///
/// let limits = CacheLimits { max_ttl: Duration::from_secs(3600), ..CacheLimits::default() };
/// assert_eq!(limits.entries, 10_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// How many entries; 10,000 unless set (DNS-1). Zero switches the cache off.
    pub entries: usize,
    /// How many bytes all entries take, by estimate; 16 MiB unless set.
    pub bytes: usize,
    /// Records live at least so long, whatever their TTL says; zero unless set, which is to believe the TTL.
    pub min_ttl: Duration,
    /// Records live at most so long; a day unless set.
    pub max_ttl: Duration,
    /// What does not exist is remembered at most so long; three hours unless set (RFC 2308, section 5).
    pub max_negative_ttl: Duration,
    /// A failure is remembered so long the first time, and twice as long each further time in a row; 1 s unless set.
    /// Less than that counts as [`MIN_FAILURE_TTL`].
    pub min_failure_ttl: Duration,
    /// A failure is remembered at most so long; 30 s unless set. More than [`MAX_FAILURE_TTL`] counts as that.
    pub max_failure_ttl: Duration,
    /// For how long after its end a set may stand in when no server answers (RFC 8767); zero unless set, which is never.
    pub max_stale: Duration,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits {
            entries: 10_000,
            bytes: 16 << 20,
            min_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(3 * 3600),
            min_failure_ttl: MIN_FAILURE_TTL,
            max_failure_ttl: Duration::from_secs(30),
            max_stale: Duration::ZERO,
        }
    }
}

/// What the cache knows of a question. `F` is a failure, of whatever type the resolver has for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<F> {
    /// Records of the type asked for.
    Records(CachedRecords),
    /// The name, or the one its aliases lead to, exists and has no record of this type (RFC 2308, section 2.2).
    NoData(CachedAbsence),
    /// There is no such name, or none where its aliases lead (RFC 2308, section 2.1).
    NoSuchName(CachedAbsence),
    /// The servers failed to answer, not long ago (RFC 9520).
    Failure(F),
}

/// Records, as the cache has them.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedRecords {
    /// The set, with the TTLs that it came with.
    pub records: Rc<[Record]>,
    /// The aliases that lead to it, in their order; empty if there are none, which allocates nothing.
    pub aliases: Vec<Record>,
    /// For how long all of it is still good.
    pub ttl: Duration,
    /// Whether the server said that all of it was validated (AD).
    pub validated: bool,
    /// Where to begin with the records, so that each takes its turn as the first.
    pub turn: usize,
}

/// What does not exist, as the cache has it.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedAbsence {
    /// The record that says for how long.
    pub soa: Option<Rc<Record>>,
    /// The aliases that lead there.
    pub aliases: Vec<Record>,
    /// For how long it is still good.
    pub ttl: Duration,
}

/// How often the cache was asked, and with what result (DNS-12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Questions that records were found for.
    pub hits: u64,
    /// Questions that nothing was found for.
    pub misses: u64,
    /// Questions that were known to have no answer: no such name, no data, or a failure.
    pub exceptions: u64,
    /// Entries that were found too old.
    pub expired: u64,
    /// Entries that made room for others.
    pub evicted: u64,
    /// Sets that were given out after their end.
    pub stale: u64,
}

/// Answers that are still good.
#[derive(Debug)]
pub struct Cache<F> {
    limits: CacheLimits,
    places: HashMap<Rc<[u8]>, Place>,
    entries: LeastRecent<Entry<F>>,
    bytes: usize,
    counts: CacheCounts,
}

#[derive(Debug)]
struct Entry<F> {
    key: Rc<[u8]>,
    value: Value<F>,
    expires: Instant,
    bytes: usize,
}

#[derive(Debug)]
enum Value<F> {
    Records {
        records: Rc<[Record]>,
        validated: bool,
        turn: usize,
    },
    /// No data, or no such name: the key says which.
    Absence {
        soa: Option<Rc<Record>>,
    },
    Failure {
        failure: F,
        in_a_row: u32,
    },
}

impl<F: Clone> Cache<F> {
    /// Makes an empty cache. Allocates nothing yet.
    pub fn new(limits: CacheLimits) -> Cache<F> {
        Cache { limits, places: HashMap::new(), entries: LeastRecent::new(), bytes: 0, counts: CacheCounts::default() }
    }

    /// What is known of a question, following aliases.
    pub fn find(&mut self, key: &Key, now: Instant) -> Option<Found<F>> {
        let found = self.search(key, now, Duration::ZERO);
        match &found {
            Some(Found::Records(_)) => self.counts.hits += 1,
            Some(_) => self.counts.exceptions += 1,
            None => self.counts.misses += 1,
        }
        found
    }

    /// As [`find`](Self::find), for those who have another question if there are no records: without them, nothing is counted.
    pub fn find_records(&mut self, key: &Key, now: Instant) -> Option<CachedRecords> {
        match self.search(key, now, Duration::ZERO) {
            Some(Found::Records(records)) => {
                self.counts.hits += 1;
                Some(records)
            }
            _ => None,
        }
    }

    /// Records that are over their time by no more than [`CacheLimits::max_stale`], aliases included (RFC 8767).
    ///
    /// For when nobody has answered. Their TTL is zero: it is for the caller to say how long they are good.
    pub fn find_stale(&mut self, key: &Key, now: Instant) -> Option<CachedRecords> {
        if self.limits.max_stale.is_zero() {
            return None;
        }
        match self.search(key, now, self.limits.max_stale) {
            Some(Found::Records(records)) => {
                self.counts.stale += 1;
                Some(records)
            }
            _ => None,
        }
    }

    /// As [`find`](Self::find), where an entry may be over its time by `grace`.
    fn search(&mut self, key: &Key, now: Instant, grace: Duration) -> Option<Found<F>> {
        if self.is_empty() {
            return None;
        }
        let mut chain = Chain::new();
        let mut at = None;
        for _ in 0..=MAX_CACHED_ALIASES {
            let current: &Key = at.as_ref().unwrap_or(key);
            if let Some(found) = self.search_one(current, now, grace, &mut chain) {
                return Some(found);
            }
            let Some(target) = self.alias(current, now, grace, &mut chain) else { break };
            at = Some(target);
        }
        self.failure(key, now).map(Found::Failure)
    }

    /// What is known under this very name.
    fn search_one(&mut self, key: &Key, now: Instant, grace: Duration, chain: &mut Chain) -> Option<Found<F>> {
        if let Some(entry) = self.entry(key.bytes(), now, grace) {
            let ttl = chain.shorten(entry.expires.saturating_duration_since(now));
            match &mut entry.value {
                Value::Records { records, validated, turn } => {
                    let now_first = *turn;
                    *turn = if now_first + 1 < records.len() { now_first + 1 } else { 0 };
                    return Some(Found::Records(CachedRecords {
                        records: records.clone(),
                        aliases: std::mem::take(&mut chain.aliases),
                        ttl,
                        validated: *validated && chain.validated,
                        turn: now_first,
                    }));
                }
                Value::Absence { soa } => {
                    let soa = soa.clone();
                    return Some(Found::NoData(CachedAbsence {
                        soa,
                        aliases: std::mem::take(&mut chain.aliases),
                        ttl,
                    }));
                }
                Value::Failure { .. } => {}
            }
        }
        let entry = self.entry(key.of_kind(Kind::Name).bytes(), now, Duration::ZERO)?;
        let ttl = chain.shorten(entry.expires.saturating_duration_since(now));
        let Value::Absence { soa } = &entry.value else { return None };
        let absence = CachedAbsence { soa: soa.clone(), aliases: std::mem::take(&mut chain.aliases), ttl };
        Some(Found::NoSuchName(absence))
    }

    /// The name that this one is an alias of.
    fn alias(&mut self, key: &Key, now: Instant, grace: Duration, chain: &mut Chain) -> Option<Key> {
        if key.record_type() == RecordType::CNAME {
            return None;
        }
        let entry = self.entry(key.of_type(RecordType::CNAME).bytes(), now, grace)?;
        let expires = entry.expires;
        let Value::Records { records, validated, .. } = &entry.value else { return None };
        let alias = records.first()?;
        let RData::CNAME(target) = &alias.data else { return None };
        let target = Key::new(&target.0, key.record_type());
        chain.aliases.push(alias.clone());
        chain.validated &= *validated;
        chain.shorten(expires.saturating_duration_since(now));
        Some(target)
    }

    fn failure(&mut self, key: &Key, now: Instant) -> Option<F> {
        let place = *self.places.get(key.of_kind(Kind::Failure).bytes())?;
        let entry = self.entries.touch(place);
        match &entry.value {
            Value::Failure { failure, .. } if entry.expires > now => Some(failure.clone()),
            _ => None,
        }
    }

    /// An entry that is still good, or no older than `grace`; one that nobody can want any more is thrown away.
    fn entry(&mut self, key: &[u8], now: Instant, grace: Duration) -> Option<&mut Entry<F>> {
        let place = *self.places.get(key)?;
        let expires = self.entries.at(place).expires;
        if expires > now || expires + grace > now {
            return Some(self.entries.touch(place));
        }
        if expires + self.limits.max_stale <= now {
            self.counts.expired += 1;
            self.remove(place);
        }
        None
    }

    /// Keeps the records of one name and type, instead of those that were there.
    ///
    /// They live as long as the least of their TTLs says, within the limits; a TTL of zero is for this once, and a TTL
    /// above 2³¹ − 1 counts as zero (RFC 2181, section 8).
    pub fn insert_records(&mut self, records: Rc<[Record]>, validated: bool, now: Instant) {
        let Some(first) = records.first().filter(|_| self.limits.entries > 0) else { return };
        let key = Key::new(&first.name, first.record_type());
        let least = records.iter().map(|record| honest_ttl(record.ttl)).min().unwrap_or(0);
        let ttl =
            Duration::from_secs(least.into()).clamp(self.limits.min_ttl.min(self.limits.max_ttl), self.limits.max_ttl);
        self.discard(key.of_kind(Kind::Name).bytes());
        let bytes = records.iter().map(estimate).sum();
        self.insert(&key, Value::Records { records, validated, turn: 0 }, bytes, ttl, now);
    }

    /// Remembers that a name has no record of this type, for as long as `ttl` says, within the limits.
    ///
    /// `ttl` comes from the SOA record; without one there is nothing to go by, and nothing is kept (RFC 2308, section 5).
    pub fn insert_no_data(&mut self, key: &Key, soa: Option<Rc<Record>>, ttl: Option<u32>, now: Instant) {
        self.discard(key.of_kind(Kind::Name).bytes());
        self.insert_absence(key, soa, ttl, now);
    }

    /// Remembers that there is no such name, whatever the type asked for (RFC 2308, section 5); else as
    /// [`insert_no_data`](Self::insert_no_data).
    pub fn insert_no_such_name(&mut self, key: &Key, soa: Option<Rc<Record>>, ttl: Option<u32>, now: Instant) {
        // What the name had of this type, it has no more.
        self.discard(key.bytes());
        self.insert_absence(&key.of_kind(Kind::Name), soa, ttl, now);
    }

    fn insert_absence(&mut self, key: &Key, soa: Option<Rc<Record>>, ttl: Option<u32>, now: Instant) {
        let ttl = Duration::from_secs(ttl.map_or(0, honest_ttl).into()).min(self.limits.max_negative_ttl);
        let bytes = soa.as_deref().map_or(0, estimate);
        self.insert(key, Value::Absence { soa }, bytes, ttl, now);
    }

    /// Remembers that the servers failed, each time in a row for twice as long (RFC 9520, section 3.2).
    pub fn insert_failure(&mut self, key: &Key, failure: F, now: Instant) {
        let key = key.of_kind(Kind::Failure);
        let in_a_row = match self.places.get(key.bytes()).map(|&place| self.entries.at(place)) {
            // After a quiet time as long as the longest, a failure is news.
            Some(Entry { value: Value::Failure { in_a_row, .. }, expires, .. })
                if *expires + self.limits.max_failure_ttl > now =>
            {
                in_a_row.saturating_add(1)
            }
            _ => 0,
        };
        let least = self.limits.min_failure_ttl.clamp(MIN_FAILURE_TTL, MAX_FAILURE_TTL);
        let most = self.limits.max_failure_ttl.clamp(least, MAX_FAILURE_TTL);
        let ttl = least.saturating_mul(1 << in_a_row.min(16)).min(most);
        self.insert(&key, Value::Failure { failure, in_a_row }, 0, ttl, now);
    }

    fn insert(&mut self, key: &Key, value: Value<F>, bytes: usize, ttl: Duration, now: Instant) {
        let is_failure = matches!(value, Value::Failure { .. });
        self.discard(key.bytes());
        if !is_failure {
            self.discard(key.of_kind(Kind::Failure).bytes());
        }
        let bytes = bytes + key.bytes().len() + ENTRY_OVERHEAD;
        if ttl.is_zero() || self.limits.entries == 0 || bytes > self.limits.bytes {
            return;
        }
        while self.entries.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            let Some(oldest) = self.entries.least_recent() else { break };
            self.counts.evicted += 1;
            self.remove(oldest);
        }
        let key: Rc<[u8]> = key.bytes().into();
        self.bytes += bytes;
        let place = self.entries.push(Entry { key: key.clone(), value, expires: now + ttl, bytes });
        self.places.insert(key, place);
    }

    fn discard(&mut self, key: &[u8]) {
        if let Some(&place) = self.places.get(key) {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: Place) {
        let entry = self.entries.remove(place);
        self.places.remove(&entry.key);
        self.bytes -= entry.bytes;
    }

    /// Forgets everything but the counts.
    pub fn clear(&mut self) {
        self.places.clear();
        self.entries = LeastRecent::new();
        self.bytes = 0;
    }

    /// How many entries there are, those included whose time is over and that nobody has asked for since.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the entries take, by estimate.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often it was asked, and with what result, since it was made.
    pub fn counts(&self) -> CacheCounts {
        self.counts
    }
}

/// What the aliases on the way have in common.
struct Chain {
    aliases: Vec<Record>,
    ttl: Duration,
    validated: bool,
}

impl Chain {
    fn new() -> Chain {
        Chain { aliases: Vec::new(), ttl: Duration::MAX, validated: true }
    }

    /// The chain is as short-lived as its shortest-lived link.
    fn shorten(&mut self, ttl: Duration) -> Duration {
        self.ttl = self.ttl.min(ttl);
        self.ttl
    }
}

/// A TTL is a number of 31 bits; one that is larger was meant to be something else (RFC 2181, section 8).
fn honest_ttl(ttl: u32) -> u32 {
    if i32::try_from(ttl).is_ok() { ttl } else { 0 }
}

/// What a record takes, in bytes. What it has on the heap is about what it has on the wire.
fn estimate(record: &Record) -> usize {
    let on_heap = match &record.data {
        RData::A(_) | RData::AAAA(_) => 0,
        RData::TXT(text) => text.txt_data.iter().map(|part| part.len() + size_of::<Box<[u8]>>()).sum(),
        // Names of up to 32 bytes are kept in place; the longest are these.
        RData::CNAME(_) | RData::NS(_) | RData::PTR(_) | RData::MX(_) | RData::SRV(_) => 255,
        RData::SOA(_) => 2 * 255,
        other => hickory_proto::serialize::binary::BinEncodable::to_bytes(other)
            .map_or(usize::from(u16::MAX), |data| data.len()),
    };
    size_of::<Record>() + on_heap
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
