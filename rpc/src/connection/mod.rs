//! One connection: calls in both directions over one transport.
//!
//! ```text
//!   Caller ──► calls ──► output ──► writer ══ transport ══ reader ──► jobs ──► workers ──► Service
//!                ▲                                           │
//!                └────────────── answers ────────────────────┘
//! ```
//!
//! Both ends are the same: either may call the other. A connection has one coroutine that reads, one that writes for as
//! long as there is something to write and two seconds more, and a worker for each call of the peer that is under way.
//! One on which nobody speaks is a coroutine and a buffer of 1 KiB.
//!
//! # Invariants
//!
//! - What is appended together is written together; no message is ever torn by another.
//! - Nothing outlives a connection: when it ends its calls fail, and the methods that its peer called are cut off.
//! - Each call of this side ends: by its answer, its limit, or the end of the connection, which says of a call
//!   whether any of its bytes were handed to the transport.
//! - Memory is bounded whatever the peer does: calls in flight, requests that wait, bytes that wait to be written.
//! - Requests and notifications are started in the order in which they came, and nothing that came after a notification is
//!   started before that has ended, unless this side waits for an answer of the peer, which might wait in its turn.
//!   An answer goes to its caller at once: a notification that came before it may be served after it.
//! - Two sides that wait for each other's calls do not wait for ever: where each call that may run may be waiting for the
//!   peer, the peer's further ones are refused with [`Failure::BUSY`](crate::Failure::BUSY).
//!
//! # What is absent
//!
//! Making connections ([`Client`](crate::Client)), taking them ([`Server`](crate::Server)), repeating calls
//! ([`retry`](crate::retry)).
//!
//! The modules in reading order: `setup` begins a connection, `exchange` makes calls, `reading` takes messages and
//! `writing` sends them, `admission` takes or refuses calls, `workers` serve them; `calls`, `jobs` and `output` are their tables.

mod setup;
mod exchange;
mod reading;
mod writing;
mod admission;
mod workers;
mod answering;
mod builtin;
mod proof;
mod shared;
mod calls;
mod jobs;
mod output;
mod silence;
mod pace;
mod streams;
mod close;
mod log;

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use grapeshot_core::{Builder, Reason, now};

pub(crate) use self::builtin::METHODS_METHOD;
pub use self::close::CloseReason;
pub use self::log::CallEntry;
pub(crate) use self::setup::Settings;
pub use self::setup::{Extensions, Setup};
use self::shared::Shared;
use crate::caller::{Caller, OpenCall, Request};
use crate::connect::Connected;
use crate::error::CallError;
use crate::proto::{self, Extension, ExtensionSet};
use crate::transport::{Identity, Transport};
use crate::value::Encoded;

/// A connection. Clones are the same connection, which is closed when the last of them is dropped.
///
/// # Examples
///
/// Each side of a pair in memory calls the other:
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::memory;
/// use grapeshot_rpc::{CallerExt, Connection, Router};
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     let double = Router::new().method("double", |(number,): (i64,)| Ok(2 * number));
///     let negate = Router::new().method("negate", |(number,): (i64,)| Ok(-number));
///     let far = Connection::over(far).service(double).accept().unwrap();
///     let near = Connection::over(near).service(negate).open().unwrap();
///     assert_eq!(near.call::<i64>("double", &(21,)).unwrap(), 42);
///     assert_eq!(far.call::<i64>("negate", &(21,)).unwrap(), -21);
/// });
/// ```
#[derive(Clone)]
pub struct Connection {
    handle: Rc<Handle>,
}

/// What keeps a connection.
struct Handle {
    shared: Rc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop(CloseReason::Closed);
    }
}

impl Connection {
    /// A connection over this transport, to be begun by [`Setup::open`] or [`Setup::accept`].
    pub fn over(transport: impl Transport) -> Setup {
        Settings::default().over(Box::new(transport))
    }

    fn shared(&self) -> &Rc<Shared> {
        &self.handle.shared
    }

    /// Calls `greet` with the connection, in a coroutine that ends with it at the latest.
    pub(crate) fn greet(&self, greet: Rc<dyn Fn(&Connection)>) {
        let connection = self.clone();
        let greet = move || {
            let reason = Reason::Other("the peer to prove who it is");
            if connection.shared().wait_until(reason, None, |shared| shared.is_proven() || !shared.is_open()) {
                greet(&connection);
            }
        };
        // Without a coroutine to be had there will be none for calls either, and those say so.
        let _ = self.shared().workers.spawn(Builder::new().name("rpc greeting"), greet);
    }

    /// Makes whoever calls the reader until the connection is over, and says why it is.
    pub(crate) fn serve(&self) -> CloseReason {
        let shared = self.shared();
        reading::run(shared);
        shared.reason().unwrap_or(CloseReason::Closed)
    }

    /// Who is at the other end, as far as is known by now.
    pub fn peer(&self) -> Rc<Identity> {
        self.shared().identity()
    }

    /// The extensions that both sides use.
    pub fn extensions(&self) -> ExtensionSet {
        self.shared().agreed.get()
    }

    /// A way to call the peer that does not keep the connection: calls fail when it is over.
    pub fn caller(&self) -> Rc<dyn Caller> {
        match self.shared().back() {
            Some(back) => back,
            None => Rc::new(self.clone()),
        }
    }

    /// How many calls of this side wait for an answer.
    pub fn calls_in_flight(&self) -> usize {
        self.shared().calls.len()
    }

    /// How many calls of the peer run.
    pub fn calls_running(&self) -> usize {
        self.shared().jobs.running()
    }

    /// Takes no new calls from now on: the peer is told, if it knows what that means, and further calls are answered with
    /// [`Failure::UNAVAILABLE`](crate::Failure::UNAVAILABLE). Those that run go on. Never suspends.
    pub fn drain(&self) {
        let shared = self.shared();
        if !shared.draining.replace(true) && shared.has(Extension::GoAway) {
            shared.say(proto::append_go_away);
        }
        shared.note_change();
    }

    /// Drains the connection and closes it: calls that run go on until `deadline`, and what they answer is written.
    ///
    /// A peer that knows what draining means closes the connection itself, and is given a second for that;
    /// another one is given a tenth of a second in which its calls are still answered. Suspends.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn finish(&self, deadline: Option<Instant>) {
        const GRACE: Duration = Duration::from_secs(1);
        const PLAIN_GRACE: Duration = Duration::from_millis(100);
        self.drain();
        self.wait_idle(deadline);
        self.wait_written(deadline);
        let grace = if self.shared().has(Extension::GoAway) { GRACE } else { PLAIN_GRACE };
        let until = [deadline, now().checked_add(grace)].into_iter().flatten().min();
        if self.wait_closed_until(until).is_none() {
            self.close();
            self.wait_closed();
        }
    }

    /// Waits until no call of the peer waits or runs, or until `deadline`; says whether that is so.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_idle(&self, deadline: Option<Instant>) -> bool {
        let reason = Reason::Other("the calls of the peer to end");
        let is_idle = |shared: &Shared| shared.jobs.is_idle() || !shared.is_open();
        self.shared().wait_until(reason, deadline, is_idle)
    }

    /// Waits until all that was said has been written, or the connection is over, or until `deadline`.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_written(&self, deadline: Option<Instant>) {
        self.shared().output.wait_written(deadline);
    }

    /// Ends the connection: calls in flight fail, methods that run are cut off, and what has been said is still written,
    /// within two seconds. Never suspends.
    pub fn close(&self) {
        self.shared().stop(CloseReason::Closed);
    }

    /// Whether no call can be made any more.
    pub fn is_closed(&self) -> bool {
        let shared = self.shared();
        !shared.is_open() || shared.reason().is_some() || shared.peer_drains.get()
    }

    /// Waits until the connection is over, and says why.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_closed(&self) -> CloseReason {
        self.wait_closed_until(None).unwrap_or(CloseReason::Closed)
    }

    /// Waits until the connection is over, and says why; `None` if it is not by `deadline`.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_closed_until(&self, deadline: Option<Instant>) -> Option<CloseReason> {
        let over = self.shared().wait_over(deadline);
        self.shared().reason().filter(|_| over)
    }
}

impl Caller for Connection {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.shared().exchange(request)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.shared().tell(request)
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        self.shared().open(request)
    }
}

impl Connected for Connection {
    fn is_closed(&self) -> bool {
        Connection::is_closed(self)
    }

    fn close(&self) {
        Connection::close(self);
    }

    fn wait_closed(&self) {
        Connection::wait_closed(self);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("Connection")
            .field("peer", &shared.transport.peer())
            .field("phase", &shared.phase.get())
            .field("calls_in_flight", &shared.calls.len())
            .field("calls_running", &shared.jobs.running())
            .finish()
    }
}
