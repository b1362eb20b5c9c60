//! How a query gets to a server, and its reply back: over UDP, TCP or TLS.
//!
//! ```text
//!   exchange ─► room among those in flight ─► a socket or connection ─► an id ─► send ─► wait ─► reply
//!                                                                                         │
//!                                    nobody reads: read for all ◄─────────────────────────┤
//!                                    somebody reads: park until handed the reply ◄────────┘
//! ```
//!
//! A [`Transport`] asks one server one question once. Whom to ask, how often and over what is the resolver's affair.
//!
//! # Invariants
//!
//! - No reader coroutine: of those who wait on a socket or connection one reads for all, and when it leaves, for
//!   whatever reason, another takes over. So the same code works on a plain thread, which it blocks.
//! - An id is random, taken for one exchange among those in flight on the same socket or connection, and given back
//!   however the exchange ends.
//! - What belongs to nobody is counted and ignored: a late, forged or doubled reply is no error (RFC 5452, section 9).
//! - Every wait ends at the deadline of the exchange.
//! - What breaks a socket or a connection is an error for those who wait there, and for nobody else.
//!
//! # What is absent
//!
//! Retries, other than reopening a connection that the server had closed; caches; the choice of the server.
//! DNS over HTTPS comes with HTTP, through the same trait.
//!
//! Sources: RFC 1035 (4.2), RFC 5452, RFC 7766, RFC 7858, RFC 8310.

mod error;
mod notes;
mod ids;
mod room;
mod judge;
mod flights;
mod udp;
mod frames;
mod connection;
mod pipelined;
mod tcp;
#[cfg(feature = "tls")]
mod tls;

use std::time::Instant;

use crate::config::NameServer;
use crate::proto::{Query, Reply};

pub use self::error::ExchangeError;
pub use self::notes::{Notes, TransportStats};
pub use self::room::Place;
pub use self::tcp::{StreamOptions, Tcp};
#[cfg(feature = "tls")]
pub use self::tls::Tls;
pub use self::udp::{Udp, UdpOptions};

/// A way to ask one server one question.
///
/// An implementation belongs to one thread, is shared by the lookups of a resolver, and has many exchanges in flight.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_core::{now, test};
/// use grapeshot_dns::transport::{ExchangeError, Transport, Udp};
/// use grapeshot_dns::NameServer;
/// use grapeshot_dns::proto::{Name, Query, QueryOptions, RecordType};
///
/// test::run(|| {
///     // A port on which nobody answers.
///     let silent = grapeshot_net::UdpSocket::bind("127.0.0.1:0").unwrap();
///     let server = NameServer::from(silent.local_addr().unwrap());
///     let query = Query::new(Name::from_ascii("example.com.").unwrap(), RecordType::A, &QueryOptions::default());
///     let answer = Udp::default().exchange(&server, &query, now() + Duration::from_secs(5));
///     assert!(matches!(answer, Err(ExchangeError::TimedOut)));
/// });
/// ```
pub trait Transport {
    /// Its name for people: `UDP`, `TCP`, `TLS`.
    fn name(&self) -> &'static str;

    /// Sends the query and waits for its reply until `deadline`, in a place that the caller [has](Self::enter), and notes
    /// what happens on the way, also when it fails.
    ///
    /// The reply [belongs](Reply::belongs_to) to the query; what it says has not been looked at.
    /// Suspends; outside a coroutine it blocks the thread.
    ///
    /// # Errors
    ///
    /// [`ExchangeError`].
    ///
    /// # Cancellation
    ///
    /// Unwinds, and leaves nothing behind: a reply that comes later belongs to nobody.
    fn exchange_in(
        &self,
        place: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError>;

    /// Waits until `deadline` for room for one more exchange.
    ///
    /// Whoever has a place and asks with [`exchange_in`](Self::exchange_in) waits for nothing but the server, and so can
    /// choose the server, and begin its time, when there is room. There is always room unless the transport says otherwise.
    /// Suspends where there is none; outside a coroutine it blocks the thread.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Busy`] if there was no room until `deadline`, and [`ExchangeError::Unwinding`].
    ///
    /// # Cancellation
    ///
    /// Unwinds, and leaves its place in line.
    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        let _ = deadline;
        Ok(Place::default())
    }

    /// As [`exchange_in`](Self::exchange_in), once there is room for it.
    ///
    /// # Errors
    ///
    /// Those of [`enter`](Self::enter) and of [`exchange_in`](Self::exchange_in).
    ///
    /// # Cancellation
    ///
    /// As [`exchange_in`](Self::exchange_in).
    fn exchange_noting(
        &self,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        let place = self.enter(deadline)?;
        self.exchange_in(&place, server, query, deadline, notes)
    }

    /// As [`exchange_noting`](Self::exchange_noting), for callers who need no notes.
    ///
    /// # Errors
    ///
    /// As [`exchange_noting`](Self::exchange_noting).
    ///
    /// # Cancellation
    ///
    /// As [`exchange_in`](Self::exchange_in).
    fn exchange(&self, server: &NameServer, query: &Query, deadline: Instant) -> Result<Reply, ExchangeError> {
        self.exchange_noting(server, query, deadline, &mut Notes::default())
    }

    /// What it has done since it was made; all zero if it does not count.
    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }
}

/// How many exchanges one transport has in flight at most, unless set (DNS-4); others wait for one to end.
pub const MAX_IN_FLIGHT: usize = 500;
