//! Stackful coroutines on one event loop: the core of Grapeshot.
//!
//! A coroutine is a function with a stack of its own.
//! Where another program would block, it parks, and the thread runs others until what it waits for has come.
//!
//! ```text
//!   spawn, scope, Group ──► run queue ──► coroutine ──► park ──┬── a descriptor ◄── reactor ◄── epoll
//!                              ▲                               ├── a time       ◄── timer wheel
//!                              │                               └── another one  ◄── WaitQueue, join
//!                              └───────────── unpark ◄─────────────────┘
//! ```
//!
//! # Invariants
//!
//! - A coroutine stays on the thread that made it, so `spawn` takes any closure, and `Rc` and `RefCell` are fine.
//! - Every wait is a call of [`park`]; it is the one place where a coroutine can be cut off.
//! - Cancellation unwinds, is level-triggered, and is turned into an error by nobody but the owner of the limit.
//! - A coroutine that unwinds does not switch.
//! - No wake is lost: the first end of a wait counts, and a waker whose wake came too late is told so.
//! - The parent outwaits its [`scope`]'s children, whatever happens, so they may borrow from it.
//! - A stack without a guard is never handed out, and a suspended stack is never freed.
//! - What leaving [`run`] finds is cancelled; what does not end by the deadline is reported and leaked.
//!
//! # What is absent
//!
//! Sockets and addresses (`grapeshot-net`), names, protocols.
//!
//! # Reading order
//!
//! The modules below, from top to bottom.
#![cfg_attr(not(test), warn(clippy::print_stdout))]

#[cfg(panic = "abort")]
compile_error!(
    "grapeshot cancels coroutines by unwinding them, which panic = \"abort\" makes impossible: \
                remove that setting from the profile"
);

mod park;
mod scheduler;
mod runtime;
mod spawn;
mod yielding;
mod cancel;
mod scope;
mod group;
mod family;
mod parallel;
mod wait_queue;
mod joiners;
mod source;
mod hibernate;
mod local;
pub mod generator;
pub mod gather;
#[cfg(feature = "tracing")]
mod spans;
pub mod events;
pub mod file;
pub mod threads;
mod slots;
mod reactor;
pub mod signal;
mod timer_wheel;
mod wait_timer;
mod clock;
mod record;
mod identity;
mod coroutine;
mod stack;
mod sweep;
mod fault;
mod panics;
mod trace;
mod symbols;
mod listing;
mod stats;
mod stack_walk;
mod watchdog;
mod rate_limit;
pub mod work;
pub mod sync;
pub mod channel;
pub mod select;
pub mod test;

pub use self::cancel::{TimeLimit, TimedOut, current_deadline, shield, with_deadline, with_time_limit, with_timeout};
pub use self::group::Group;
pub use self::hibernate::{Hibernation, Turn};
pub use self::identity::CoroutineId;
pub use self::listing::{CoroutineInfo, coroutines, set_cpu_times};
pub use self::local::{CoroLocal, LocalError};
pub use self::panics::{
    Panic, PanicNotifier, is_cancellation, print_stderr, report_panic, restore_panic_notifier, set_panic_notifier,
};
pub use self::parallel::{InParallelError, in_parallel};
pub use self::park::{Reason, UnparkError, Unparked, Unparker, Withdrawal, park};
pub use self::rate_limit::{RateLimitError, RateLimiter};
pub use self::record::State;
pub use self::runtime::{Exit, Runtime, run};
pub use self::scheduler::{NotInRuntime, in_coroutine, now, random_u64, read_clock, set_exit};
pub use self::scope::{Scope, ScopedJoinHandle, TryScope, scope, try_scope};
pub use self::slots::Direction;
pub use self::source::{ClosedError, OperationTimedOut, RefusedError, SimultaneousError, Source, WaitLimit};
#[cfg(feature = "tracing")]
pub use self::spans::CoroutineSpans;
pub use self::spawn::{
    Builder, Coroutine, JoinError, JoinHandle, TooManyCoroutines, Unstarted, coroutine, current, spawn,
};
pub use self::stack::Guards;
pub use self::stack_walk::{CoroutineBacktrace, NoBacktrace, backtraces};
pub use self::stats::{Stats, stats};
pub use self::symbols::{StackFrame, StackTrace};
pub use self::threads::{
    Handle, OffloadLimits, PoolError, RemoteJoinHandle, RemoteSpawnError, ShardExits, Shards, ThreadReceiver,
    ThreadSender, WorkerPool, block_on, offload, set_offload_limits, thread_channel, try_offload,
};
pub use self::wait_queue::WaitQueue;
#[doc(hidden)]
pub use self::watchdog::stacks_sampled;
pub use self::watchdog::{
    LatencyNotifier, LatencyWarning, restore_latency_notifier, set_latency_notifier, set_latency_warning,
};
pub use self::yielding::{set_own_selfishness, set_selfishness, sleep, sleep_until, yield_now, yield_slice};
