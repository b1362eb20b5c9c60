//! Channels between coroutines of one thread: ways to hand values over, each with its own rule of who sees what.
//!
//! - [`broadcast()`]: every receiver sees every message; who is too slow is told how many it missed.
//! - [`watch()`]: every receiver sees the latest value.
//! - [`Fifo`], [`Deque`]: unbounded queues with one way and two ways in and out.

mod broadcast;
mod watch;
mod fifo;
mod deque;
mod handoff;

pub use self::broadcast::{BroadcastReceiver, BroadcastRecvError, BroadcastSender, Unheard, broadcast};
pub use self::deque::Deque;
pub use self::fifo::Fifo;
pub use self::watch::{WatchError, WatchReceiver, WatchSender, watch};
