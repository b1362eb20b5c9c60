//! Stackful coroutines on one event loop: the core of Grapeshot.
#![cfg_attr(not(test), warn(clippy::print_stdout))]

#[cfg(panic = "abort")]
compile_error!(
    "grapeshot cancels coroutines by unwinding them, which panic = \"abort\" makes impossible: \
                remove that setting from the profile"
);

mod cancel;
mod clock;
mod coroutine;
mod family;
mod fault;
mod group;
mod hibernate;
mod identity;
mod joiners;
mod panics;
mod parallel;
mod park;
mod reactor;
mod record;
mod runtime;
mod scheduler;
mod scope;
mod signals;
mod slots;
mod source;
mod spawn;
mod stack;
mod sweep;
pub mod test;
mod timer_wheel;
mod wait_queue;
mod yielding;

pub use self::cancel::{TimeLimit, TimedOut, current_deadline, shield, with_deadline, with_time_limit, with_timeout};
pub use self::group::Group;
pub use self::hibernate::{Hibernation, Turn};
pub use self::identity::CoroutineId;
pub use self::panics::{Panic, PanicNotifier, is_cancellation, print_stderr, report_panic, set_panic_notifier};
pub use self::parallel::{InParallelError, in_parallel};
pub use self::park::{Reason, UnparkError, Unparked, Unparker, Withdrawal, park};
pub use self::record::State;
pub use self::runtime::{Exit, Runtime, run};
pub use self::scheduler::{NotInRuntime, Stats, in_coroutine, now, random_u64, set_exit, stats};
pub use self::scope::{Scope, ScopedJoinHandle, TryScope, scope, try_scope};
pub use self::slots::Direction;
pub use self::source::{ClosedError, OperationTimedOut, RefusedError, SimultaneousError, Source, WaitLimit};
pub use self::spawn::{
    Builder, Coroutine, CoroutineInfo, JoinError, JoinHandle, TooManyCoroutines, Unstarted, coroutine, coroutines,
    current, spawn,
};
pub use self::stack::Guards;
pub use self::wait_queue::WaitQueue;
pub use self::yielding::{set_own_selfishness, set_selfishness, sleep, sleep_until, yield_now, yield_slice};
