//! Other threads: work handed to them, and news that comes back from them.
//!
//! A runtime belongs to one thread; what others have to tell it goes through its inbox.
//!
//! ```text
//!   another thread ──► Inbox (a locked queue) ──► wake, if the loop sleeps ──► the loop collects ──► unpark
//!        ▲                                                                                            │
//!        └─── offload, WorkerPool ◄───────────────── a coroutine parks ◄──────────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - A coroutine is woken by its own thread only: others name its wait by a ticket.
//! - A sleeping loop is woken once, however much is brought to it before it looks.
//! - Whoever was woken from a shared queue and is cut off before it runs wakes the next one.
//! - What users can fill is bounded.
//! - No lock is held while code of the user's runs, nor across a switch.
//!
//! # What is absent
//!
//! Moving a coroutine to another thread, which DESIGN §2 rules out.

mod offload;
mod worker_pool;
mod handle;
mod channel;
mod block_on;
mod shards;
mod select;
mod pool;
mod join;
mod waiting;
mod inbox;
mod tickets;
#[cfg(test)]
mod tests;

pub(crate) use self::block_on::Kept;
pub use self::block_on::block_on;
pub use self::channel::{ThreadReceiver, ThreadSender, thread_channel};
pub use self::handle::{Handle, RemoteSpawnError};
pub(crate) use self::inbox::{Inbox, Mail};
pub use self::join::RemoteJoinHandle;
pub use self::offload::{OffloadLimits, offload, set_offload_limits, try_offload};
pub use self::pool::PoolError;
pub use self::select::{RemoteJoining, ThreadReceiving, ThreadSending};
pub use self::shards::{ShardExits, Shards};
pub(crate) use self::tickets::Tickets;
pub use self::worker_pool::WorkerPool;
