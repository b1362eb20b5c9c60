//! What one side grants the other: all finite unless said otherwise.

use std::time::Duration;

/// Limits on one connection, for either side of it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message in bytes, in either direction. 16 MiB.
    ///
    /// Of a peer that has yet to prove who it is 16 KiB are read in all.
    pub frame_bytes: usize,
    /// How deep arrays and maps may lie in each other; a message's own array is one of them. 32.
    ///
    /// Reading, printing and dropping a value recurse: without optimisation a level takes up to 5 KiB of a
    /// coroutine's stack, so that 32 fit on one of 256 KiB, and 40 do not. With optimisation it takes a tenth.
    /// Raise the size of the stacks first ([`grapeshot_core::Runtime::stack_size`]).
    pub depth: usize,
    /// Calls of the peer that run at a time. 256; with 0 each is refused.
    ///
    /// Further ones wait. When that many run, and this side waits for as many answers of the peer, waiting could be for
    /// ever: what waits and what comes is refused as [`BUSY`](crate::Failure::BUSY), and of notifications only the log tells.
    pub in_flight: usize,
    /// Bytes of the peer's requests that wait until another call ends, before the connection is read no further. 1 MiB.
    pub waiting_bytes: usize,
    /// Calls of this side that wait for an answer at a time; the next one waits for one of them. 4096.
    pub calls: usize,
    /// Bytes that wait to be written, before whoever adds to them waits. 1 MiB.
    pub unsent_bytes: usize,
    /// Bytes of answers that wait for the peer to read, beside those, before none of its further calls is started. 16 MiB.
    pub answer_bytes: usize,
    /// Bytes of a stream that the peer may send ahead of its reader. 256 KiB.
    pub window_bytes: usize,
    /// Calls of the peer a second, and twice as many at once; `None` for any.
    pub calls_per_second: Option<u32>,
    /// How many pairs of metadata a call may carry. 64.
    pub metadata_pairs: usize,
    /// How many bytes may travel beside a call's parameters. 8 KiB.
    ///
    /// That is not the metadata alone but whatever a connection sends there: the time left, the number, the trace, the
    /// window of a stream. With 0 each call is refused that has a time limit, as calls have by default.
    pub metadata_bytes: usize,
    /// How long a write may wait for a peer that does not read. 30 s.
    pub write_timeout: Duration,
    /// How long a call may take that says nothing itself, and has no limit around it. 60 s; `None` for ever.
    pub call_timeout: Option<Duration>,
    /// How long a method may run whose caller said nothing. 60 s; `None` for as long as any.
    pub method_timeout: Option<Duration>,
    /// How long a method may run at most, whatever its caller allows. A day; `None` for as long as that is.
    pub longest_method: Option<Duration>,
    /// The slowest average rate at which a message of the peer may arrive, in bytes a second, once
    /// [`message_grace`](Self::message_grace) is over. 240; 0 counts as 1.
    ///
    /// Without it a byte now and then would hold a connection, and what has come of the message, for ever.
    pub message_bytes_per_second: u64,
    /// How long a message may take once it has begun, beside what the rate gives it for the bytes that came. 30 s.
    pub message_grace: Duration,
    /// How long the peer has for the first exchange: hello, and authentication where it is asked for. 5 s.
    ///
    /// One that has not proven by then who it is, and has to, is left, whatever else it has sent.
    pub opening_timeout: Duration,
    /// How long a connection may be silent before it is asked for a sign of life, and how long that may take. 30 s;
    /// `None` for never. A peer that knows no pings is left alone.
    pub heartbeat: Option<Duration>,
    /// How long a server keeps a connection on which nothing happens. 10 minutes; `None` for ever.
    pub idle_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes: 16 << 20,
            depth: 32,
            in_flight: 256,
            waiting_bytes: 1 << 20,
            calls: 4096,
            unsent_bytes: 1 << 20,
            answer_bytes: 16 << 20,
            window_bytes: 256 << 10,
            calls_per_second: None,
            metadata_pairs: 64,
            metadata_bytes: 8 << 10,
            write_timeout: Duration::from_secs(30),
            call_timeout: Some(Duration::from_secs(60)),
            method_timeout: Some(Duration::from_secs(60)),
            longest_method: Some(Duration::from_secs(24 * 60 * 60)),
            message_bytes_per_second: 240,
            message_grace: Duration::from_secs(30),
            opening_timeout: Duration::from_secs(5),
            heartbeat: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(600)),
        }
    }
}
