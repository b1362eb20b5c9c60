//! Several runtimes side by side: one program on several threads, each with its own loop.
//!
//! ```text
//!   run ─┬─► thread 0: runtime, main(0) ─┐
//!        ├─► thread 1: runtime, main(1) ─┼─► the first that fails, or is asked to exit, asks all others
//!        └─► thread 2: runtime, main(2) ─┘
//! ```
//!
//! A server's shards listen on one port, each with a socket of its own (`TcpListener::bind_shared` of `grapeshot-net`);
//! the system spreads connections over them.
//!
//! # Stopping without losing connections
//!
//! A shard is stopped as any run is: what nobody answers for is cancelled, and has the exit deadline to end.
//! Connections that have been made wait in the listener that the system chose for them, and are reset when it closes.
//! So an accept loop that is cancelled accepts until nothing more waits, under a shield, and then closes its listener;
//! the server of `grapeshot-http` does that. What arrives in between the last accept and the close is lost, unless
//! other sockets still listen on the port and the system moves it there (Linux, `net.ipv4.tcp_migrate_req` set to 1).
//!
//! # What is absent
//!
//! Coroutines that move from a busy shard to an idle one (DESIGN §2).

use std::process::{ExitCode, Termination};
use std::sync::{Arc, Mutex};
use std::{fmt, io, thread};

use crate::panics::print_stderr;
use crate::runtime::{Exit, Runtime};
use crate::scheduler;
use crate::threads::handle::Handle;
use crate::threads::waiting::lock;

/// The exit code that a shard is asked to end with because another one ended.
const STOPPED: u8 = 0;

/// Runs one program as several runtimes, each on a thread of its own.
///
/// # Examples
///
/// ```
/// use grapeshot_core::{Runtime, Shards};
///
/// let exits = Shards::new(3).runtime(Runtime::new().signals(false)).run(|index| assert!(index < 3)).unwrap();
/// assert!(exits.is_success());
/// ```
#[derive(Clone, Debug)]
#[must_use = "shards do nothing until they run"]
pub struct Shards {
    count: usize,
    runtime: Runtime,
}

impl Shards {
    /// This many runtimes, with the settings that [`run`](crate::run) uses.
    ///
    /// # Panics
    ///
    /// When `count` is zero.
    pub fn new(count: usize) -> Shards {
        assert!(count > 0, "there is at least one shard");
        Shards { count, runtime: Runtime::new() }
    }

    /// As many runtimes as the process may use processors.
    pub fn per_processor() -> Shards {
        Shards::new(thread::available_parallelism().map_or(1, usize::from))
    }

    /// Sets the settings of every runtime.
    pub fn runtime(mut self, runtime: Runtime) -> Shards {
        self.runtime = runtime;
        self
    }

    /// How many runtimes there will be.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `main` in each runtime, with the index of the shard, until all have ended; the first on this thread.
    ///
    /// A shard whose `main` returns successfully ends alone. One that fails, panics, or is asked to exit, by
    /// [`set_exit`](crate::set_exit) or by a signal, ends all others as if they had called `set_exit(0)`:
    /// their coroutines are cancelled and have the exit deadline to end.
    ///
    /// # Errors
    ///
    /// When this thread already has a runtime, and when the system refuses a thread; shards that run are ended first.
    /// A runtime that could not run is reported on stderr, and counts as a failure.
    pub fn run<F, T>(&self, main: F) -> io::Result<ShardExits>
    where
        F: Fn(usize) -> T + Send + Sync + 'static,
        T: Termination + 'static,
    {
        if Handle::try_current().is_ok() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "this thread already has a runtime"));
        }
        let (fleet, main) = (Arc::new(Fleet::default()), Arc::new(main));
        let mut threads = Vec::new();
        let mut refused = None;
        for index in 1..self.count {
            let (runtime, shard_fleet, main) = (self.runtime.clone(), fleet.clone(), main.clone());
            let shard = thread::Builder::new().name(format!("grapeshot-shard-{index}"));
            match shard.spawn(move || shard_fleet.run_shard(index, &runtime, main)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    refused = Some(error);
                    fleet.stop();
                    break;
                }
            }
        }
        let mut codes = Vec::new();
        if refused.is_none() {
            codes.push(fleet.run_shard(0, &self.runtime, main));
        }
        // A thread that panicked has reported it, and stopped the others.
        codes.extend(threads.into_iter().map(|thread| thread.join().unwrap_or(ExitCode::from(101))));
        refused.map_or(Ok(ShardExits { codes }), Err)
    }
}

/// What the shards of one run know of each other.
#[derive(Default)]
struct Fleet {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Handle>,
    is_stopping: bool,
}

impl Fleet {
    /// The life of a shard's thread.
    fn run_shard<F, T>(self: &Arc<Self>, index: usize, runtime: &Runtime, main: Arc<F>) -> ExitCode
    where
        F: Fn(usize) -> T + Send + Sync + 'static,
        T: Termination + 'static,
    {
        let unless_done = StopOnDrop(self);
        let fleet = self.clone();
        let exit = runtime.run(move || fleet.enlist().then(|| main(index)));
        let (code, ends_others) = match exit {
            Ok(Exit::Returned(None)) => (ExitCode::SUCCESS, false),
            Ok(Exit::Returned(Some(value))) => {
                let code = value.report();
                (code, code != ExitCode::SUCCESS)
            }
            Ok(Exit::Requested(code)) => (ExitCode::from(code), true),
            Ok(Exit::Cancelled) => (Exit::<()>::Cancelled.report(), true),
            Ok(Exit::Panicked(panic)) => (Exit::<()>::Panicked(panic).report(), true),
            Err(error) => {
                print_stderr(&format!("the runtime of shard {index} failed: {error}"));
                (ExitCode::FAILURE, true)
            }
        };
        if !ends_others {
            std::mem::forget(unless_done);
        }
        code
    }

    /// Makes the runtime of this thread known to the others; false if they are being stopped already.
    fn enlist(&self) -> bool {
        let Ok(handle) = Handle::try_current() else { return false };
        let mut state = lock(&self.state);
        if state.is_stopping {
            scheduler::set_exit(STOPPED);
            return false;
        }
        state.running.push(handle);
        true
    }

    fn stop(&self) {
        let mut state = lock(&self.state);
        state.is_stopping = true;
        let running = std::mem::take(&mut state.running);
        drop(state);
        for handle in running {
            // One that has ended need not be stopped.
            handle.set_exit(STOPPED);
        }
    }
}

/// Stops the other shards, also when this one's thread panics.
struct StopOnDrop<'a>(&'a Fleet);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How the shards of a run ended.
///
/// Returned from a program's `main` it gives the code of the first shard, by index, that failed.
#[derive(Clone, PartialEq)]
pub struct ShardExits {
    codes: Vec<ExitCode>,
}

impl ShardExits {
    /// The exit codes, by the shards' index.
    pub fn codes(&self) -> &[ExitCode] {
        &self.codes
    }

    /// Whether no shard failed.
    pub fn is_success(&self) -> bool {
        self.first_failure().is_none()
    }

    fn first_failure(&self) -> Option<(usize, ExitCode)> {
        self.codes.iter().copied().enumerate().find(|(_, code)| *code != ExitCode::SUCCESS)
    }
}

impl Termination for ShardExits {
    fn report(self) -> ExitCode {
        self.first_failure().map_or(ExitCode::SUCCESS, |(_, code)| code)
    }
}

impl fmt::Debug for ShardExits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_failure() {
            None => write!(f, "ShardExits({} shards, all successful)", self.codes.len()),
            Some((index, code)) => write!(f, "ShardExits({} shards, shard {index}: {code:?})", self.codes.len()),
        }
    }
}
