//! What an exchange leaves for a trace, and a transport for its statistics.

use std::cell::Cell;

/// What happened on the way of one exchange.
///
/// How long it took is for the caller to measure, who also knows whom it asked and over which transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notes {
    /// How many bytes the query took on the wire, without the headers below DNS; 0 if it was not sent.
    pub sent: usize,
    /// How many bytes the reply took.
    pub received: usize,
    /// How many messages came to the same socket or connection meanwhile and belonged to nobody.
    pub ignored: u64,
    /// The query went over a connection that was open already.
    pub reused: bool,
    /// The server had closed that connection, so another one was opened.
    pub reopened: bool,
}

/// What a transport has done since it was made.
///
/// # Examples
///
/// ```
/// use grapeshot_dns::transport::{Transport, Udp};
///
/// assert_eq!(Udp::default().stats().queries, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Queries sent.
    pub queries: u64,
    /// Replies that were waited for.
    pub replies: u64,
    /// Bytes of the queries.
    pub bytes_sent: u64,
    /// Bytes of the replies.
    pub bytes_received: u64,
    /// Messages that belonged to nobody: late, doubled, forged or garbled.
    pub ignored: u64,
    /// Exchanges that ended at their deadline.
    pub timeouts: u64,
    /// Exchanges that had to wait since as many as allowed were in flight (DNS-4).
    pub waits_for_room: u64,
    /// Sockets or connections opened.
    pub opened: u64,
    /// Exchanges in flight now.
    pub in_flight: usize,
}

/// The counters behind [`TransportStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    stats: Cell<TransportStats>,
}

impl Counters {
    #[inline]
    pub(super) fn change(&self, change: impl FnOnce(&mut TransportStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    pub(super) fn stats(&self) -> TransportStats {
        self.stats.get()
    }
}
