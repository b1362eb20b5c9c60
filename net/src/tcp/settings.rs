//! The settings that only TCP connections have.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::stream::TcpStream;

/// When the system asks a silent peer whether it is still there (RFC 9293, 3.8.4).
///
/// It counts in whole seconds: fractions are rounded up.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_net::Keepalive;
///
/// let keepalive = Keepalive { idle: Duration::from_secs(30), ..Keepalive::default() };
/// assert_eq!(keepalive.gives_up_after(), Duration::from_secs(90));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the peer is silent before it is asked.
    pub idle: Duration,
    /// How long the system waits for an answer before it asks again.
    pub interval: Duration,
    /// How many questions without an answer end the connection.
    pub retries: u32,
}

impl Default for Keepalive {
    /// Asks after a minute, then six times every ten seconds.
    fn default() -> Keepalive {
        Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), retries: 6 }
    }
}

impl Keepalive {
    /// How long after a peer's last sign of life the connection ends.
    pub fn gives_up_after(&self) -> Duration {
        self.idle.saturating_add(self.interval.saturating_mul(self.retries))
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)))
}

impl TcpStream {
    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source().inner().nodelay()
    }

    /// Sends small writes at once, or gathers them (Nagle).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source().inner().set_nodelay(nodelay)
    }

    /// The time to live of packets sent.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.source().inner().ttl()
    }

    /// Sets the time to live of packets sent.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.source().inner().set_ttl(ttl)
    }

    /// Whether and when the system asks a silent peer (SO_KEEPALIVE). Not in std.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        let socket = SockRef::from(self);
        if !socket.keepalive()? {
            return Ok(None);
        }
        Ok(Some(Keepalive {
            idle: socket.tcp_keepalive_time()?,
            interval: socket.tcp_keepalive_interval()?,
            retries: socket.tcp_keepalive_retries()?,
        }))
    }

    /// Has the system ask a silent peer, or not (SO_KEEPALIVE). Not in std.
    ///
    /// A peer that is gone without a word then ends the next read with `TimedOut`,
    /// or at once the one that waits.
    ///
    /// # Errors
    ///
    /// What the system says, such as `InvalidInput` for a duration of zero.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        let socket = SockRef::from(self);
        match keepalive {
            None => socket.set_keepalive(false),
            Some(Keepalive { idle, interval, retries }) => {
                let settings = TcpKeepalive::new()
                    .with_time(whole_seconds(idle))
                    .with_interval(whole_seconds(interval))
                    .with_retries(retries);
                socket.set_tcp_keepalive(&settings)
            }
        }
    }

    /// How long the system goes on sending what has been written when the last handle is gone (SO_LINGER).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets what happens to bytes that are not sent yet when the last handle is gone (SO_LINGER).
    ///
    /// `None`, as at first: the system sends them in its own time. Zero: they are discarded and the peer gets a reset.
    /// Any other time makes the drop itself wait, which holds up the whole loop: do not use it here.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// How long sent bytes may stay unacknowledged before the connection ends (TCP_USER_TIMEOUT). Not in std.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).tcp_user_timeout()
    }

    /// Sets how long sent bytes may stay unacknowledged before the connection ends with `TimedOut`
    /// (TCP_USER_TIMEOUT, RFC 5482); `None` leaves it to the system. Counts in milliseconds. Not in std.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_tcp_user_timeout(timeout)
    }

    /// Whether acknowledgements are sent at once (TCP_QUICKACK).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Sends acknowledgements at once, or along with what is written next (TCP_QUICKACK).
    ///
    /// The system goes back to its own ways after a while. The name is that of std's extension for Linux.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }
}
