//! The limits that keep one server from costing a client more than its share.

use std::time::Duration;

use crate::Limits;
use crate::proto::client::HeadLimits;

/// Every size, count and time that a server could otherwise stretch without end.
///
/// Sizes are in bytes, times are relative. A limit of zero refuses everything it governs; where none is possible, the
/// field is an `Option`, and `None` means none.
///
/// ```
/// use grapeshot_http::client::ClientLimits;
///
/// let mut limits = ClientLimits::default();
/// limits.body_bytes = None;
/// assert_eq!(limits.header_count, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Longest head of an answer: status line, headers and the empty line, in bytes.
    ///
    /// Default 64 KiB, up to [`Limits::MAX_HEAD_BYTES`]; larger values act as that.
    pub head_bytes: usize,

    /// Most header lines in an answer's head, and most lines in a trailer section.
    ///
    /// Default 100, up to [`Limits::MAX_HEADER_COUNT`]; larger values act as that.
    pub header_count: usize,

    /// Most interim answers (1xx) before the final one.
    ///
    /// Default 16.
    pub interim_answers: usize,

    /// Longest body of an answer after decoding, in bytes.
    ///
    /// Default 64 MiB. A longer declared length is refused before a byte of it is read, any other body when it grows
    /// past the limit. What is read is never held whole, so `None` costs time and traffic, and no memory.
    pub body_bytes: Option<u64>,

    /// Longest chunk-size line of a chunked body, extensions included, in bytes without CR LF.
    ///
    /// Default 256. The line may always hold the 16 digits of a size.
    pub chunk_line_bytes: usize,

    /// Longest trailer section of a chunked body, in bytes with its empty line.
    ///
    /// Default 16 KiB, and never more than [`head_bytes`](Self::head_bytes).
    pub trailer_bytes: usize,

    /// Time from the first look for an address to a connection that can carry a request, TLS included.
    ///
    /// Default 20 s.
    pub connect_timeout: Duration,

    /// Time a write of the request may wait for the server to take any byte at all.
    ///
    /// Default 30 s.
    pub write_timeout: Duration,

    /// Time from the last byte of the request to the last byte of the answer's head; while a body goes out, from the
    /// last byte of it that was taken.
    ///
    /// Default 60 s.
    pub head_timeout: Duration,

    /// Time between two arrivals of an answer's body.
    ///
    /// Default 30 s.
    pub idle_timeout: Duration,

    /// Slowest average rate at which an answer's body may arrive, in bytes a second, measured over the time the client
    /// spends waiting for it.
    ///
    /// Default 240, as the server asks of its clients; it is applied once [`body_grace`](Self::body_grace) has passed.
    pub body_bytes_per_second: u64,

    /// Time an answer's body may take before its rate is looked at.
    ///
    /// Default 30 s.
    pub body_grace: Duration,

    /// Time for all of it, from the first look for an address to the last byte of the body.
    ///
    /// Default `None`: the limits above bound each part, and with [`body_bytes`](Self::body_bytes) the whole.
    pub whole_timeout: Option<Duration>,

    /// Most connections that are kept for a next request, to all servers together.
    ///
    /// Default 16. The one that has waited longest is closed to make room.
    pub idle_connections: usize,

    /// Longest time a connection is kept for a next request.
    ///
    /// Default 15 s, which is less than most servers wait.
    pub idle_connection_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            header_count: 100,
            interim_answers: 16,
            body_bytes: Some(64 << 20),
            chunk_line_bytes: 256,
            trailer_bytes: 16 << 10,
            connect_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
            body_bytes_per_second: 240,
            body_grace: Duration::from_secs(30),
            whole_timeout: None,
            idle_connections: 16,
            idle_connection_timeout: Duration::from_secs(15),
        }
    }
}

impl ClientLimits {
    pub(super) fn of_head(&self) -> HeadLimits {
        HeadLimits { bytes: self.head_bytes, count: self.header_count }
    }

    /// Those on a body, in the words of the decoder, which the server uses as well.
    pub(super) fn of_body(&self) -> Limits {
        Limits {
            head_bytes: self.head_bytes,
            header_count: self.header_count,
            body_bytes: self.body_bytes.unwrap_or(u64::MAX),
            chunk_line_bytes: self.chunk_line_bytes,
            trailer_bytes: self.trailer_bytes,
            ..Limits::default()
        }
    }
}
