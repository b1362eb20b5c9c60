//! What a lookup found.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::proto::{CachedRecords, Name, RData, Record, RecordData, RecordType};

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A server has just given it.
    Server,
    /// The cache had it.
    Cache,
    /// The cache had it, its time is over, and no server has answered (RFC 8767).
    Stale,
    /// It is known without asking (RFC 6761).
    Special,
}

/// Records of the type that was asked for, never none.
///
/// Cheap to clone: the records are shared with the cache.
///
/// # Examples
///
/// ```
/// use std::net::Ipv4Addr;
/// use grapeshot_core::test;
/// use grapeshot_dns::Resolver;
/// use grapeshot_dns::proto::RecordType;
///
/// test::run(|| {
///     let found = Resolver::new(Default::default()).lookup("localhost", RecordType::A).unwrap();
///     assert_eq!(found.values::<Ipv4Addr>(), [Ipv4Addr::LOCALHOST]);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Lookup {
    pub(crate) records: Rc<[Record]>,
    pub(crate) aliases: Vec<Record>,
    pub(crate) ttl: Duration,
    pub(crate) validated: bool,
    pub(crate) origin: Origin,
    /// Which record comes first.
    pub(crate) turn: usize,
}

impl Lookup {
    pub(crate) fn cached(found: CachedRecords, origin: Origin, ttl: Duration) -> Lookup {
        let CachedRecords { records, aliases, validated, turn, .. } = found;
        Lookup { records, aliases, ttl, validated, origin, turn }
    }

    /// The data of the records. Each record of a set takes its turn as the first, if the cache has it.
    pub fn data(&self) -> impl Iterator<Item = &RData> {
        self.in_turn().map(|record| &record.data)
    }

    /// The records, as [`data`](Self::data), their TTL counted down to what is left of it.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let ttl = self.ttl_seconds();
        self.in_turn().map(move |record| counted_down(record, ttl))
    }

    /// The values of the records, if they are of the type of `T`: addresses, [`Mx`](crate::proto::Mx), and so on.
    pub fn values<T: RecordData>(&self) -> Vec<T> {
        self.data().filter_map(T::from_data).collect()
    }

    /// The addresses among the data.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.data().filter_map(|data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
    }

    /// The aliases that lead from the name asked for to the owner of the records, with what is left of their TTLs.
    pub fn aliases(&self) -> impl Iterator<Item = Record> {
        let ttl = self.ttl_seconds();
        self.aliases.iter().map(move |alias| counted_down(alias, ttl))
    }

    /// The name that has the records: the one asked for, or the one its aliases lead to.
    pub fn owner(&self) -> Option<&Name> {
        self.records.first().map(|record| &record.name)
    }

    /// The type of the records.
    pub fn record_type(&self) -> Option<RecordType> {
        self.records.first().map(Record::record_type)
    }

    /// For how long all of it is still good.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether a server that is trusted to validate says that it did (AD); only asked for with
    /// [`trust_ad`](crate::Config::trust_ad).
    pub fn is_validated(&self) -> bool {
        self.validated
    }

    /// Where the answer came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    fn in_turn(&self) -> impl Iterator<Item = &Record> {
        let (before, after) = self.records.split_at(self.turn.min(self.records.len()));
        after.iter().chain(before)
    }

    fn ttl_seconds(&self) -> u32 {
        u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX)
    }
}

/// A record does not live longer than the set that it was found in.
fn counted_down(record: &Record, ttl: u32) -> Record {
    let mut record = record.clone();
    record.ttl = record.ttl.min(ttl);
    record
}
