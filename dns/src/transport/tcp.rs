//! DNS over TCP (RFC 7766).

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use grapeshot_core::{WaitLimit, now};
use grapeshot_net::TcpStream;

use super::connection::Pipe;
use super::error::ExchangeError;
use super::notes::{Notes, TransportStats};
use super::pipelined::{Dial, Pipelined};
use super::{MAX_IN_FLIGHT, Place, Transport};
use crate::config::NameServer;
use crate::proto::{Query, Reply};

/// The settings of the transports over connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// How many exchanges may be in flight; others wait for one to end. 500 unless set (DNS-4), and at least 1.
    /// One connection carries 32,768 at most, as its ids have 16 bits; what comes beyond is told that it is busy.
    pub in_flight: usize,
    /// How long a connection is kept open while nobody uses it; 5 s unless set (RFC 7766, section 6.2.3: a few seconds).
    pub idle_timeout: Duration,
    /// Makes ids follow from a number, which is for tests: `None` for a generator for secrets.
    pub seed: Option<u64>,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions { in_flight: MAX_IN_FLIGHT, idle_timeout: Duration::from_secs(5), seed: None }
    }
}

/// DNS over TCP: one connection for each server, shared by all queries, with replies in any order.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_dns::transport::{StreamOptions, Tcp};
///
/// let tcp = Tcp::new(StreamOptions { idle_timeout: Duration::from_secs(30), ..StreamOptions::default() });
/// ```
pub struct Tcp {
    pipelined: Pipelined<DialTcp>,
}

impl Tcp {
    /// Makes a transport without any connection yet.
    pub fn new(options: StreamOptions) -> Tcp {
        Tcp { pipelined: Pipelined::new(DialTcp, &options) }
    }
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp::new(StreamOptions::default())
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Transport for Tcp {
    fn name(&self) -> &'static str {
        "TCP"
    }

    fn enter(&self, deadline: Instant) -> Result<Place<'_>, ExchangeError> {
        self.pipelined.enter(deadline)
    }

    fn exchange_in(
        &self,
        place: &Place<'_>,
        server: &NameServer,
        query: &Query,
        deadline: Instant,
        notes: &mut Notes,
    ) -> Result<Reply, ExchangeError> {
        self.pipelined.exchange(place, server, query, deadline, notes)
    }

    fn stats(&self) -> TransportStats {
        self.pipelined.stats()
    }
}

struct DialTcp;

impl Dial for DialTcp {
    type Pipe = TcpStream;

    const PADDING: Option<u16> = None;

    fn dial(&self, server: &NameServer, deadline: Instant) -> Result<TcpStream, ExchangeError> {
        connect(server, deadline)
    }
}

/// Connects to a server. Frames are written whole, so the kernel need not wait for more.
pub(super) fn connect(server: &NameServer, deadline: Instant) -> Result<TcpStream, ExchangeError> {
    let left = deadline.saturating_duration_since(now());
    if left.is_zero() {
        return Err(ExchangeError::TimedOut);
    }
    let stream = TcpStream::connect_timeout(&server.address, left);
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    stream.map_err(|error| ExchangeError::failed("connect", error))
}

impl Pipe for TcpStream {
    fn read(&self, buf: &mut [u8], limit: WaitLimit) -> io::Result<usize> {
        self.read_within(buf, limit)
    }

    fn write(&self, bytes: &[u8], limit: WaitLimit) -> io::Result<usize> {
        self.write_within(bytes, limit)
    }
}
