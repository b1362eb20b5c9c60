//! What the tests of the resolver share: a private server that misbehaves as a script says, and what it says.
//!
//! A test file takes it in with `mod support;`. Everything runs inside the test's own runtime, under virtual time.
#![allow(dead_code, unused_imports, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are parts of tests")]

mod messages;
mod server;

use std::time::Duration;

use grapeshot_dns::NameServer;
use grapeshot_dns::proto::{Name, Query, QueryOptions, RecordType};

pub(crate) use self::messages::{bytes, cut_short, garbage, with_id};
pub(crate) use self::server::{Act, Asked, PrivateServer, Via};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The seeds of a property test: so many, unless `GRAPESHOT_SEEDS` says how many.
pub(crate) fn seeds(unless_said: u64) -> std::ops::Range<u64> {
    0..std::env::var("GRAPESHOT_SEEDS").map_or(unless_said, |seeds| seeds.parse().unwrap())
}

/// A query for an address, in the plainest form.
pub(crate) fn query(name: &str) -> Query {
    Query::new(Name::from_ascii(name).unwrap(), RecordType::A, &QueryOptions::default())
}

/// The addresses in a reply's answer, as text.
pub(crate) fn addresses(reply: &grapeshot_dns::proto::Reply) -> Vec<String> {
    reply.answers().iter().map(|record| record.data.to_string()).collect()
}
