//! What a resolver has done since it was made.

use std::cell::{Cell, RefCell};

use crate::proto::CacheCounts;
use crate::transport::TransportStats;

/// What a resolver has done since it was made (DNS-12).
///
/// | here | in the ancestor |
/// |---|---|
/// | `lookups` | `dns_request` |
/// | `queries` | `net_request` |
/// | `cache.hits`, `cache.misses` | `cache_hit`, `cache_miss` |
/// | `cache.exceptions`, `cache.expired` | `cache_exception`, `cache_expired` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolverStats {
    /// Questions put to the resolver: one name and one type each, those of a search counted one by one.
    pub lookups: u64,
    /// Queries put to servers, repetitions included.
    pub queries: u64,
    /// Lookups that somebody else did at the same time.
    pub joined: u64,
    /// Lookups that failed, other than by there being nothing.
    pub failures: u64,
    /// Queries that got no reply in time.
    pub timeouts: u64,
    /// Queries that were repeated over TCP, since the reply did not fit a datagram.
    pub truncated: u64,
    /// Queries that were repeated without EDNS, since the server did not know it.
    pub without_edns: u64,
    /// Queries that were repeated with the cookie that the server asked for.
    pub cookies_refreshed: u64,
    /// Replies that could not be read.
    pub malformed: u64,
    /// Replies that said SERVFAIL.
    pub server_failures: u64,
    /// Replies that said REFUSED.
    pub refused: u64,
    /// Names that were answered without anybody being asked: localhost and the like.
    pub special: u64,
    /// Lookups under way now.
    pub in_flight: usize,
    /// What the cache has been asked, and with what result.
    pub cache: CacheCounts,
    /// How many entries the cache has.
    pub cached: usize,
    /// How many bytes they take, by estimate.
    pub cached_bytes: usize,
    /// What was exchanged over UDP.
    pub udp: TransportStats,
    /// What was exchanged over TCP.
    pub tcp: TransportStats,
    /// What was exchanged over TLS.
    pub tls: TransportStats,
}

/// The counters behind [`ResolverStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// By itself, since an answer from the cache changes nothing else.
    lookups: Cell<u64>,
    others: RefCell<ResolverStats>,
}

impl Counters {
    #[inline]
    pub(crate) fn count_lookup(&self) {
        self.lookups.set(self.lookups.get() + 1);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut ResolverStats)) {
        change(&mut self.others.borrow_mut());
    }

    pub(crate) fn stats(&self) -> ResolverStats {
        ResolverStats { lookups: self.lookups.get(), ..*self.others.borrow() }
    }
}
