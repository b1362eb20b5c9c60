//! Channels between the coroutines of one thread.
//!
//! ```text
//!             ┌──────────── one channel ────────────┐
//!   Sender ──►│ bounded, unbounded: a queue         │──► Receiver
//!   Sender ──►│ rendezvous: from hand to hand       │──► Receiver      each item reaches one receiver
//!             └─────────────────────────────────────┘
//!   oneshot::Sender ──────── one item ──────────────► oneshot::Receiver
//! ```
//!
//! Beside these: [`broadcast()`], where every receiver gets every message; [`watch()`], which keeps the latest value;
//! and the queues [`Fifo`] and [`Deque`], which have one end for all and are never closed.
//! [`select!`](crate::select!) waits for several channels at once.
//!
//! Names and results are those of `std::sync::mpsc` where that has them; here receivers can be cloned too.
//! A capacity of zero makes [`bounded`] a rendezvous; [`bounded_with`], [`broadcast()`] and
//! [`thread_channel`](crate::thread_channel) panic at it, since they have nothing to hand an item over with.
//! A channel stays on its thread: no atomics, and items need not be `Send`.
//!
//! # Invariants
//!
//! - Items come out in the order they went in, each once, or go back to who sent them;
//!   no sequence of cancels and time limits loses one.
//! - A wake given to a wait that ended otherwise goes to the next who waits; nobody waits while there is something.
//! - What happens when a queue is full is the constructor's word: it waits, refuses or drops ([`Overflow`]).
//! - A coroutine that unwinds gets an error where it would wait.
//!
//! # What is absent
//!
//! Other threads. A coroutine that sends or receives without ever having to wait is not made to give way.
//!
//! Sources: `std::sync::mpsc`; the channels of Stackless Python (SYL-3).

mod ends;
mod queue;
mod rendezvous;
pub mod oneshot;
mod error;
mod broadcast;
mod watch;
mod fifo;
mod deque;
pub(crate) mod handoff;

pub use self::broadcast::{BroadcastReceiver, BroadcastRecvError, BroadcastSender, Unheard, broadcast};
pub use self::deque::Deque;
pub use self::ends::{
    IntoIter, Iter, Receiver, Sender, TryIter, bounded, bounded_with, rendezvous, rendezvous_with, unbounded,
};
pub use self::error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub use self::fifo::Fifo;
pub use self::oneshot::oneshot;
pub use self::queue::Overflow;
pub use self::rendezvous::Prefer;
pub use self::watch::{WatchError, WatchReceiver, WatchSender, watch};

pub(crate) use self::queue::{Channel, checkpoint, instant_after};
