//! How long a peer may take for what is not data.

use std::time::Duration;

/// The time that a connection gives its peer for the beginning and the end; both finite unless set otherwise.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use grapeshot_tls::Limits;
///
/// let impatient = Limits { handshake: Duration::from_secs(2), ..Limits::default() };
/// assert_eq!(impatient.close, Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the whole handshake, from its first byte; 10 s unless set.
    pub handshake: Duration,
    /// For the sending of close_notify; 1 s unless set.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { handshake: Duration::from_secs(10), close: Duration::from_secs(1) }
    }
}
