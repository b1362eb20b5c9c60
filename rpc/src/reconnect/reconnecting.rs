//! The caller that connects.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapeshot_core::channel::WatchReceiver;
use grapeshot_core::{Builder, Group, Reason, Unparked, now, read_clock};

use super::dialing::Dialing;
use super::link::{Found, Link, LinkState};
use super::options::{ReconnectOptions, WhenDown};
use crate::caller::{Caller, OpenCall, Request};
use crate::connect::{Connect, Connected};
use crate::error::{CallError, Outcome};
use crate::own_limit::OwnLimit;
use crate::value::Encoded;

const CONNECTION: Reason = Reason::Other("a connection to call through");

/// A caller that connects on its first call, and again after its connection is lost: see the [module's page](super).
///
/// Its calls suspend while a connection is made, besides what the connection does.
///
/// # Examples
///
/// ```
/// use std::io;
/// use grapeshot_core::test;
/// use grapeshot_rpc::reconnect::{LinkState, Reconnecting};
/// use grapeshot_rpc::{CallError, CallOptions, Caller, Connected, Encoded, OpenCall, Request};
///
/// struct Nil;
///
/// impl Caller for Nil {
///     fn exchange(&self, _: &Request<'_>) -> Result<Encoded, CallError> {
///         Ok(Encoded::nil())
///     }
/// #   fn tell(&self, _: &Request<'_>) -> Result<(), CallError> { Ok(()) }
/// #   fn open(&self, _: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> { unreachable!() }
///     // …
/// }
///
/// impl Connected for Nil {
///     fn is_closed(&self) -> bool {
///         false
///     }
///     fn close(&self) {}
/// }
///
/// test::run(|| {
///     // With a real one: Reconnecting::new(|| Client::connect("calc.example:7000"))
///     let caller = Reconnecting::new(|| Ok::<_, io::Error>(Nil));
///     assert!(matches!(caller.state(), LinkState::Idle));
///     let request = Request { method: "nop", params: &[0x90], options: &CallOptions::default() };
///     assert_eq!(caller.exchange(&request).unwrap(), Encoded::nil());
///     assert!(matches!(caller.state(), LinkState::Up));
/// });
/// ```
pub struct Reconnecting<K: Connect> {
    link: Rc<Link<K>>,
    /// Who connects, and who waits for the end of the connection.
    group: Group,
}

impl<K: Connect + 'static> Reconnecting<K> {
    /// One that connects as it is told, with the default options. It does not connect yet.
    pub fn new(connect: K) -> Reconnecting<K> {
        Reconnecting::with_options(connect, ReconnectOptions::default())
    }

    /// One that connects as it is told. It does not connect yet.
    pub fn with_options(connect: K, options: ReconnectOptions) -> Reconnecting<K> {
        Reconnecting { link: Rc::new(Link::new(connect, options)), group: Group::new() }
    }

    /// Whether there is a connection now. Never suspends.
    pub fn state(&self) -> LinkState {
        self.link.notice_loss();
        LinkState::clone(&self.watch().borrow())
    }

    /// Tells of each change of that.
    pub fn watch(&self) -> WatchReceiver<LinkState> {
        self.link.watch()
    }

    /// Waits for a connection as a call does, without a call; how long is for [`ReconnectOptions`] to say.
    ///
    /// # Errors
    ///
    /// As a call that was not sent: see [`CallError`].
    pub fn wait_up(&self) -> Result<(), CallError> {
        self.connection(None).map(drop)
    }

    /// A connection, which is waited for if need be.
    fn connection(&self, limit: Option<Duration>) -> Result<Rc<K::Caller>, CallError> {
        let mut began = None;
        let mut has_waited = false;
        loop {
            let down = match self.link.look() {
                Found::Up(caller) => return Ok(caller),
                Found::Closed => {
                    return Err(CallError::Refused { reason: "this side has closed its connection".to_owned() });
                }
                Found::Down { error, until } => Some(error).filter(|_| has_waited || now() < until),
                Found::Idle | Found::Connecting => None,
            };
            let limit = match (down, self.link.options.when_down) {
                (Some(error), WhenDown::Fail) => return Err(CallError::NotSent { cause: error }),
                (_, WhenDown::Fail) => limit,
                (_, WhenDown::WaitAtMost(most)) => Some(limit.map_or(most, |limit| limit.min(most))),
            };
            self.dial()?;
            self.wait_for_change(*began.get_or_insert_with(read_clock), limit)?;
            has_waited = true;
        }
    }

    fn wait_for_change(&self, began: Instant, limit: Option<Duration>) -> Result<(), CallError> {
        let deadline = limit.and_then(|limit| began.checked_add(limit));
        match (self.link.waiting.wait_until(CONNECTION, deadline), limit) {
            (Unparked::Woken, _) => Ok(()),
            (Unparked::TimedOut, Some(limit)) => Err(match self.link.last_error() {
                None => CallError::TimedOut { limit, sent: false },
                Some(error) => {
                    let text = format!("no connection within {limit:?}, and the last attempt failed: {error}");
                    CallError::NotSent { cause: Arc::new(io::Error::new(error.kind(), text)) }
                }
            }),
            _ => Err(CallError::Refused { reason: "a coroutine that unwinds cannot wait for a connection".to_owned() }),
        }
    }

    /// Has somebody connect, unless somebody does.
    fn dial(&self) -> Result<(), CallError> {
        if self.link.is_dialing.replace(true) {
            return Ok(());
        }
        let dialing = Dialing::new(self.link.clone());
        self.group
            .spawn(Builder::new().spanless().name("rpc dialing"), move || dialing.run())
            .map(drop)
            .map_err(|error| CallError::Refused { reason: format!("no coroutine to connect with: {error}") })
    }

    /// Calls through a connection, in what is left of the call's time once there is one.
    fn through<T>(
        &self,
        request: &Request<'_>,
        call: impl FnOnce(&Rc<K::Caller>, &Request<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let own = OwnLimit::of(request.options.timeout);
        let caller = self.connection(request.options.timeout)?;
        own.within(request, |request| match request.options.timeout {
            Some(Duration::ZERO) => Err(CallError::TimedOut { limit: Duration::ZERO, sent: false }),
            _ => call(&caller, request),
        })
    }
}

impl<K: Connect + 'static> Caller for Reconnecting<K> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.through(request, |caller, request| {
            let result = caller.exchange(request);
            if result.as_ref().err().is_none_or(|error| error.outcome() == Outcome::Ran) {
                self.link.note_answer(caller);
            }
            result
        })
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        self.through(request, |caller, request| caller.tell(request))
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        let own = OwnLimit::of(request.options.timeout);
        self.through(request, |caller, request| caller.open(request)).map(|call| own.accompany(call))
    }
}

/// It is closed when this side says so, and not when its connection of the moment is.
impl<K: Connect + 'static> Connected for Reconnecting<K> {
    fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    fn close(&self) {
        self.link.close();
    }

    fn wait_closed(&self) {
        // Without a change there is nobody left who could close it, and it is as good as closed.
        let _ = self.watch().wait_for(|state| matches!(state, LinkState::Closed));
    }
}

impl<K: Connect> Drop for Reconnecting<K> {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl<K: Connect> fmt::Debug for Reconnecting<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("state", &*self.link.watch().borrow()).finish()
    }
}
