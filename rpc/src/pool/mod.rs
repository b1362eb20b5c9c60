//! Several connections to one endpoint, opened as there are calls for them and closed when there are not.
//!
//! ```text
//!   call ──► the connection with the fewest in flight ─┬─ below its number of calls ──────────► goes there
//!                                                      └─ all are full ─┬─ may open another ──► goes to the new one
//!                                                                       └─ may not ───────────► goes there all the same
//! ```
//!
//! A connection here is a caller of the program's making, such as a [`Reconnecting`](crate::reconnect::Reconnecting),
//! which connects when it gets its first call, and again when the connection was lost. One connection carries many calls
//! at a time: a second one helps when the calls are large, or more than the other side runs at a time on one connection.
//!
//! # Invariants
//!
//! - There are never more than [`PoolOptions::max`], nor closed down to fewer than [`PoolOptions::min`].
//! - A connection with calls in flight is never closed by the pool.
//! - The coroutine that closes idle ones is there only while one may become too old, and ends with the pool.
//!
//! # What is absent
//!
//! A queue: when all connections are full, their own limits say how many calls wait.

mod connections;
mod idle;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

pub use self::connections::ConnectionState;
use self::connections::{Connections, InFlight};
use self::idle::Closer;
use crate::accompanied::{Accompanied, Companion};
use crate::caller::{Caller, OpenCall, Request};
use crate::error::CallError;
use crate::value::Encoded;

/// How many connections there are, and when.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// How many are kept although nothing happens on them; 1 unless set. They are opened as they are needed.
    pub min: usize,
    /// How many there are at most; 4 unless set. At least one.
    pub max: usize,
    /// How many calls in flight a connection has before another one is opened; 64 unless set.
    pub calls_per_connection: usize,
    /// How long one is kept on which nothing happens; 60 s unless set.
    pub idle_timeout: Duration,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions { min: 1, max: 4, calls_per_connection: 64, idle_timeout: Duration::from_secs(60) }
    }
}

/// A caller over several connections to one endpoint. All methods of [`Caller`] suspend.
///
/// # Examples
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_rpc::{CallError, CallOptions, Caller, Encoded, OpenCall, Request};
/// use grapeshot_rpc::pool::Pool;
///
/// /// Stands in for a connection.
/// struct Echo;
///
/// impl Caller for Echo {
///     fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
///         Ok(Encoded::from_bytes(request.params.to_vec()))
///     }
///     fn tell(&self, _: &Request<'_>) -> Result<(), CallError> {
///         Ok(())
///     }
///     fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
///         Err(CallError::Refused { reason: "no streams here".into() })
///     }
/// }
///
/// test::run(|| {
///     let pool = Pool::new(|| Echo);
///     let request = Request { method: "echo", params: &[0x90], options: &CallOptions::default() };
///     assert_eq!(pool.exchange(&request).unwrap().as_bytes(), [0x90]);
///     assert_eq!(pool.connections().len(), 1);
/// });
/// ```
pub struct Pool<C: 'static> {
    connections: Rc<Connections<C>>,
    closer: Closer,
}

impl<C: Caller + 'static> Pool<C> {
    /// A pool of what `open` makes. It is not called before the first call, must not wait, and what it makes is to connect
    /// by itself.
    pub fn new(open: impl Fn() -> C + 'static) -> Pool<C> {
        Pool::with_options(PoolOptions::default(), open)
    }

    /// As [`new`](Self::new), with options.
    pub fn with_options(options: PoolOptions, open: impl Fn() -> C + 'static) -> Pool<C> {
        Pool { connections: Rc::new(Connections::new(options, Box::new(open))), closer: Closer::new() }
    }

    /// The connections as they are now, the oldest first. Never suspends.
    pub fn connections(&self) -> Vec<ConnectionState> {
        self.connections.states()
    }

    fn choose(&self) -> InFlight<C> {
        let chosen = self.connections.choose();
        self.closer.watch(&self.connections);
        chosen
    }
}

impl<C: Caller + 'static> Caller for Pool<C> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.choose().caller().exchange(request)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.choose().caller().tell(request)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let in_flight = self.choose();
        let call = in_flight.caller().open(request)?;
        Ok(Accompanied::boxed(call, in_flight))
    }
}

impl<C: Caller + 'static> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// A call with streams counts on its connection until it is over.
impl<C> Companion for InFlight<C> {
    fn finish(self, _: &Result<Encoded, CallError>) {}
}
