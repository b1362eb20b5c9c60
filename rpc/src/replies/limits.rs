//! How much is kept, and for how long.

use std::time::Duration;

/// Bounds on what an [`AtMostOnce`](super::AtMostOnce) keeps. Reaching one costs replies, never the promise.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Clients whose ids are known. The next one is refused with `BUSY` until one has been idle for `age`. 16,384.
    pub clients: usize,
    /// Replies of one client that are kept; beyond, the one that ended longest ago goes: of those that a caller was there
    /// for, and of the others once these are more than half. 1024.
    pub replies_per_client: usize,
    /// Replies of all clients in bytes; beyond, the oldest go. 64 MiB.
    pub bytes: usize,
    /// The longest reply that is kept. 1 MiB.
    pub reply_bytes: usize,
    /// Stretches of numbers of one client that have run, while lower ones have not: each takes two words.
    /// A caller that counts up has a few. Beyond, its new numbers are refused with `BUSY`. 256.
    pub stretches_per_client: usize,
    /// Methods under numbers that run at a time, their callers there or gone. The next is refused with `BUSY`. 1024.
    pub running: usize,
    /// How long a method under a number may run. 60 s.
    pub run_time: Duration,
    /// How long replies are kept that nobody has said are no longer wanted, and clients that do nothing. 10 minutes.
    pub age: Duration,
}

impl Default for ReplyLimits {
    fn default() -> ReplyLimits {
        ReplyLimits {
            clients: 16_384,
            replies_per_client: 1024,
            bytes: 64 << 20,
            reply_bytes: 1 << 20,
            stretches_per_client: 256,
            running: 1024,
            run_time: Duration::from_secs(60),
            age: Duration::from_secs(600),
        }
    }
}

/// What an [`AtMostOnce`](super::AtMostOnce) holds, and what it has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyCounts {
    /// Clients known.
    pub clients: usize,
    /// Replies kept.
    pub replies: usize,
    /// Their bytes, with an allowance for what holds them.
    pub bytes: usize,
    /// Methods that run.
    pub running: usize,
    /// Numbers that were run.
    pub run: u64,
    /// Calls that came again and were answered with a kept reply.
    pub answered_again: u64,
    /// Calls that came again while their number ran, and waited for it.
    pub joined: u64,
    /// Calls refused because their reply is gone, or their client not known.
    pub refused: u64,
}
