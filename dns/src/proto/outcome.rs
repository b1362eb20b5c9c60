//! What a reply says about its question.

use std::collections::HashSet;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::name::{is_same, is_within};
use super::query::Query;
use super::reply::Reply;

/// How many aliases are followed within one reply.
///
/// RFC 1034 §3.6.2 sets no limit; other resolvers stop after 8 to 17.
pub const MAX_ALIASES: usize = 16;

/// What a reply says about its question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// There are records of the type asked for.
    Answer(Answer),
    /// The name is an alias, and the reply does not say anything about what it stands for: that is to be asked for.
    Alias(Alias),
    /// No such name: there are no records of any type (RFC 2308 §2.1, NXDOMAIN).
    NoSuchName(Negative),
    /// The name has no records of that type (RFC 2308 §2.2, NODATA).
    NoData(Negative),
    /// The server knows who could answer, and does not ask them itself.
    Referral(Referral),
    /// The server refers to the root, or to a zone that does not hold the name: it has nothing to say about the name.
    Lame(Referral),
    /// The server could not find out (RFC 1035 §4.1.1, SERVFAIL).
    ServerFailure,
    /// The server does not answer this question, or not to us (RFC 1035 §4.1.1, REFUSED).
    Refused,
    /// The server answered with another code, among them FORMERR, NOTIMP, BADVERS and BADCOOKIE.
    Failed(ResponseCode),
    /// The aliases go in circles, or there are more than [`MAX_ALIASES`].
    Loop {
        /// The aliases followed, in their order.
        aliases: Vec<Record>,
    },
}

/// Records of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The aliases (CNAME and DNAME records) that lead from the name asked for to the owner of the records.
    pub aliases: Vec<Record>,
    /// The records, never empty, in the order of the reply. All have one owner.
    pub records: Vec<Record>,
    /// For how many seconds this holds: the least TTL of the aliases and the records.
    pub ttl: u32,
}

/// Aliases that lead out of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The aliases, never empty, in their order.
    pub aliases: Vec<Record>,
    /// The name that they lead to.
    pub target: Name,
    /// For how many seconds this holds: the least TTL of the aliases.
    pub ttl: u32,
}

/// That something does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negative {
    /// The aliases that lead from the name asked for to the one that this is about.
    pub aliases: Vec<Record>,
    /// The name that this is about (RFC 6604 §3: the last of the aliases).
    pub name: Name,
    /// The SOA record of the zone that the name would be in. Boxed, as it alone is larger than any other outcome.
    pub soa: Option<Box<Record<SOA>>>,
    /// For how many seconds this holds (RFC 2308 §5: the lesser of the SOA record's TTL and its MINIMUM field), and no
    /// longer than the aliases do. None without SOA record: then it is not to be remembered.
    pub ttl: Option<u32>,
}

/// Servers to ask instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// The zone that they serve.
    pub zone: Name,
    /// Their names.
    pub servers: Vec<Name>,
}

impl Reply {
    /// What the reply says about `query`, to which it [belongs](Self::belongs_to).
    ///
    /// A truncated reply is judged by what is left of it.
    pub fn outcome(&self, query: &Query) -> Outcome {
        match self.rcode() {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            ResponseCode::ServFail => return Outcome::ServerFailure,
            ResponseCode::Refused => return Outcome::Refused,
            // A DNAME made the name too long (RFC 6672 §2.2); the code is otherwise for updates.
            other => return Outcome::Failed(other),
        }
        let chain = match Chain::follow(self.answers(), query) {
            Ok(chain) => chain,
            Err(aliases) => return Outcome::Loop { aliases },
        };
        if self.rcode() == ResponseCode::NXDomain {
            return Outcome::NoSuchName(self.negative(chain));
        }
        if !chain.records.is_empty() {
            return Outcome::Answer(Answer { aliases: chain.aliases, records: chain.records, ttl: chain.ttl });
        }
        let negative = self.negative(chain);
        if negative.soa.is_some() {
            return Outcome::NoData(negative);
        }
        if let Some(ttl) = negative.aliases.iter().map(|alias| alias.ttl).min() {
            return Outcome::Alias(Alias { aliases: negative.aliases, target: negative.name, ttl });
        }
        match self.referral() {
            // Servers that have nothing to say refer to the root; from a root server no referral leads there.
            Some(referral) if referral.zone.is_root() || !is_within(&negative.name, &referral.zone) => {
                Outcome::Lame(referral)
            }
            Some(referral) => Outcome::Referral(referral),
            None => Outcome::NoData(negative),
        }
    }

    /// That the name at the end of the chain, or its records, do not exist.
    fn negative(&self, chain: Chain) -> Negative {
        let Chain { aliases, name, ttl, .. } = chain;
        let soa = self.authorities().iter().find_map(|record| match &record.data {
            RData::SOA(soa) if is_within(&name, &record.name) => {
                Some(Box::new(Record::from_rdata(record.name.clone(), record.ttl, soa.clone())))
            }
            _ => None,
        });
        let soa_ttl = soa.as_ref().map(|soa| soa.ttl.min(lasting(soa.data.minimum)));
        Negative { aliases, name, soa, ttl: soa_ttl.map(|soa_ttl| soa_ttl.min(ttl)) }
    }

    /// The servers that the authority section names for its first zone.
    fn referral(&self) -> Option<Referral> {
        let mut referral: Option<Referral> = None;
        for record in self.authorities() {
            if let RData::NS(server) = &record.data {
                let referral =
                    referral.get_or_insert_with(|| Referral { zone: record.name.clone(), servers: Vec::new() });
                if is_same(&referral.zone, &record.name) {
                    referral.servers.push(server.0.clone());
                }
            }
        }
        referral
    }
}

/// The way from the name asked for, alias by alias.
struct Chain {
    aliases: Vec<Record>,
    /// Where it ends.
    name: Name,
    /// The records asked for of the name where it ends.
    records: Vec<Record>,
    /// The least TTL on the way.
    ttl: u32,
}

impl Chain {
    /// Follows the aliases in `answers`; gives back those that it followed where they do not end.
    fn follow(answers: &[Record], query: &Query) -> Result<Self, Vec<Record>> {
        let mut chain = Self { aliases: Vec::new(), name: query.name().clone(), records: Vec::new(), ttl: u32::MAX };
        loop {
            let owned =
                |record: &&Record| answers_to(record, query.record_type()) && is_same(&record.name, &chain.name);
            // Equal records are one (RFC 2181 §5), whatever TTL each has; the least counts for all.
            let mut seen = HashSet::new();
            chain.records = answers
                .iter()
                .filter(owned)
                .filter(|record| answers.len() < 2 || seen.insert(&record.data))
                .cloned()
                .collect();
            if let Some(ttl) = answers.iter().filter(owned).map(|record| record.ttl).min() {
                chain.ttl = chain.ttl.min(ttl);
                return Ok(chain);
            }
            // Asked for aliases, or for all there is, these themselves are the answer.
            let follows = !matches!(query.record_type(), RecordType::CNAME | RecordType::ANY);
            let Some((alias, target)) = alias_of(answers, &chain.name).filter(|_| follows) else {
                return Ok(chain);
            };
            chain.ttl = chain.ttl.min(alias.ttl);
            chain.aliases.push(alias);
            let seen = chain.aliases.iter().any(|alias| is_same(&alias.name, &target));
            if seen || chain.aliases.len() > MAX_ALIASES {
                return Err(chain.aliases);
            }
            chain.name = target;
        }
    }
}

/// Whether a record answers a question for that type: for ANY, all do (RFC 1035 §3.2.3), be they all there are or the
/// few that RFC 8482 allows.
fn answers_to(record: &Record, asked: RecordType) -> bool {
    asked == RecordType::ANY || record.record_type() == asked
}

/// The alias that `name` is, as a CNAME record, and the name that it stands for.
///
/// A DNAME record above the name makes one. Servers send that CNAME along (RFC 6672 §3.1); where it is missing, it is made
/// here.
fn alias_of(answers: &[Record], name: &Name) -> Option<(Record, Name)> {
    for record in answers {
        if let RData::CNAME(target) = &record.data
            && is_same(&record.name, name)
        {
            return Some((record.clone(), target.0.clone()));
        }
    }
    for record in answers {
        if record.record_type() == RecordType::DNAME
            && let Some(target) = substitute(name, record)
        {
            let data = RData::CNAME(CNAME(target.clone()));
            return Some((Record::from_rdata(name.clone(), record.ttl, data), target));
        }
    }
    None
}

/// The name with the owner of a DNAME record replaced by its target (RFC 6672 §2.2), where the owner stands above it
/// and the result is not too long.
fn substitute(name: &Name, dname: &Record) -> Option<Name> {
    let RData::Unknown { rdata, .. } = &dname.data else { return None };
    let below = name.iter().len().checked_sub(dname.name.iter().len()).filter(|&below| below > 0)?;
    if !is_within(name, &dname.name) {
        return None;
    }
    let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
    let mut substituted = Name::from_labels(name.iter().take(below).chain(target.iter())).ok()?;
    substituted.set_fqdn(true);
    Some(substituted)
}

/// A number of seconds, or 0 where it is more than 2^31 - 1 (RFC 2181 §8).
fn lasting(seconds: u32) -> u32 {
    if seconds > i32::MAX as u32 { 0 } else { seconds }
}
