//! The pieces of concurrent programs that the workshop on concurrency builds: work with a life, a letter box, a promise.
//!
//! ```text
//!   TaskHandle ──start, stop──► Task ◄──recv── Mailbox ◄──send── anyone
//!                                │
//!                                ├──set──────► FutureResult ──get──► whoever asked
//!                                └──publish──► Gateway ──► each Subscription to the channel, and the monitors
//! ```
//!
//! All of it stays on one thread and is made of the same waits as everything else;
//! none of it is needed to use coroutines, and each piece works without the others.
//!
//! # What is absent
//!
//! Other threads and processes: see [`threads`](crate::threads) and the protocol crates. Supervision: a task that
//! failed says so, and nobody starts it again.
//!
//! Source: D. Beazley, "An Introduction to Python Concurrency" (BEA-1 to BEA-4).

mod task;
mod mailbox;
mod future_result;
mod gateway;
mod callbacks;

pub use self::future_result::{Completer, FutureError, FutureResult, Progress, future_result};
pub use self::gateway::{Delivery, Gateway, Subscription, gateway};
pub use self::mailbox::{Mailbox, Recv};
pub use self::task::{
    StartError, Stopped, Task, TaskContext, TaskError, TaskFailure, TaskHandle, TaskJoinError, TaskState,
};
