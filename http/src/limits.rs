//! The limits that keep one peer from costing the server more than its share.

use std::time::Duration;

/// Every size, count and time that a peer could otherwise stretch without end.
///
/// All are finite by default.
/// Sizes are in bytes, times are relative.
/// A limit set to zero refuses everything it governs; it never means "unlimited". The two counts
/// of connections and of their requests act as one then, without which there would be no server.
///
/// ```
/// use grapeshot_http::Limits;
///
/// let mut limits = Limits::default();
/// limits.body_bytes = 64 << 20;
/// assert_eq!(limits.header_count, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest request head: request line, headers and the empty line, in bytes.
    ///
    /// Default 16 KiB, up to [`Limits::MAX_HEAD_BYTES`]; larger values act as that.
    /// A longer head is answered with 431 and the connection is closed.
    pub head_bytes: usize,

    /// Most header lines in a request head, and most lines in a trailer section.
    ///
    /// Default 100, up to [`Limits::MAX_HEADER_COUNT`]; larger values act as that.
    /// One more is answered with 431 and the connection is closed.
    pub header_count: usize,

    /// Longest request target (what stands between method and version), in bytes.
    ///
    /// Default 8 KiB, which is what RFC 9112 section 3 asks recipients to support at least (8000).
    /// A longer target is answered with 414 and the connection is closed.
    pub uri_bytes: usize,

    /// Longest request body after decoding, in bytes.
    ///
    /// Default 2 MiB, as in axum; nginx has 1 MiB, Go none.
    /// A longer declared length is answered with 413 before a byte of the body is read; a chunked
    /// body that grows past it fails the handler's read, is answered with 413 where nothing was sent
    /// yet, and the connection is closed.
    pub body_bytes: u64,

    /// Longest chunk-size line of a chunked body, extensions included, in bytes without CR LF.
    ///
    /// Default 256. The line may always hold the 16 digits of a size, whatever this says.
    /// A longer line is answered with 400 and the connection is closed.
    pub chunk_line_bytes: usize,

    /// Longest trailer section of a chunked body, in bytes with its empty line.
    ///
    /// Default 4 KiB, and never more than [`head_bytes`](Self::head_bytes): the section must lie
    /// in the read buffer as a whole to be checked.
    /// A longer one is answered with 431 and the connection is closed.
    pub trailer_bytes: usize,

    /// How much of a request body that the handler left unread is read and thrown away so that the
    /// connection can be kept, in bytes.
    ///
    /// Default 64 KiB (Go has 256 KiB).
    /// With more left the response is sent and the connection is closed.
    pub discard_bytes: u64,

    /// Time from the first byte of a request head to its last.
    ///
    /// Default 10 s.
    /// A slower head is answered with 408 and the connection is closed.
    pub head_timeout: Duration,

    /// Time the handshake of TLS may take, from its first byte; and the time until that byte where nothing but TLS is
    /// spoken.
    ///
    /// Default 10 s; the configuration of TLS may say less.
    /// The connection is closed.
    pub handshake_timeout: Duration,

    /// Time a connection may stay open without a byte of a next request.
    ///
    /// Default 60 s; holds from the accept to the first request as well.
    /// The connection is closed without an answer, as RFC 9112 section 9.5 allows.
    pub idle_timeout: Duration,

    /// Slowest average rate at which a request body may arrive, in bytes a second, measured over
    /// the time the server spends waiting for it.
    ///
    /// Default 240, as in Kestrel; it is applied once [`body_grace`](Self::body_grace) has passed.
    /// A slower body fails the handler's read, is answered with 408 where nothing was sent yet, and
    /// the connection is closed.
    pub body_bytes_per_second: u64,

    /// Time a request body may take before its rate is looked at.
    ///
    /// Default 5 s.
    pub body_grace: Duration,

    /// Time a write of the response may wait for the peer to take any byte at all.
    ///
    /// Default 30 s.
    /// The connection is closed with the response cut off: there is no way left to tell the peer.
    pub write_timeout: Duration,

    /// Slowest average rate at which the peer may take a response, in bytes a second, measured over the time the server
    /// spends waiting for it.
    ///
    /// Default 240, as in Kestrel; it is applied once [`response_grace`](Self::response_grace) has passed.
    /// The connection is closed with the response cut off.
    pub response_bytes_per_second: u64,

    /// Time the server may wait for the peer to take a response before its rate is looked at.
    ///
    /// Default 30 s. What the kernel takes for its buffers before the first wait does not count.
    pub response_grace: Duration,

    /// Time connections have to finish their request once the server drains.
    ///
    /// Default 10 s. Idle connections are closed at once.
    /// What is left then is cancelled, and the peer sees its connection closed.
    pub drain_timeout: Duration,

    /// Most connections open at once.
    ///
    /// Default 10,000; the descriptor limit of the process may come first.
    /// Further peers wait in the listener's backlog until one closes.
    pub connections: usize,

    /// Most requests served on one connection.
    ///
    /// Default 1,000,000: finite, so that memory held for a connection and the balance of a load
    /// balancer are renewed now and then, and large, so that nobody notices.
    /// The last response says `connection: close`.
    pub requests_per_connection: u64,
}

impl Limits {
    /// The largest [`head_bytes`](Self::head_bytes): 1 MiB.
    pub const MAX_HEAD_BYTES: usize = 1 << 20;

    /// The largest [`header_count`](Self::header_count), for which room is kept on the stack.
    pub const MAX_HEADER_COUNT: usize = 128;

    /// The timeout of a socket's writes: not zero unless the limit is, which then acts as no time at all.
    pub(crate) fn patience(&self) -> Duration {
        self.write_timeout.max(Duration::from_millis(1))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 << 10,
            header_count: 100,
            uri_bytes: 8 << 10,
            body_bytes: 2 << 20,
            chunk_line_bytes: 256,
            trailer_bytes: 4 << 10,
            discard_bytes: 64 << 10,
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_bytes_per_second: 240,
            body_grace: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            response_bytes_per_second: 240,
            response_grace: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            connections: 10_000,
            requests_per_connection: 1_000_000,
        }
    }
}
