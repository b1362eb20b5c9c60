//! What stands around a caller.

use std::fmt;
use std::rc::Rc;

use crate::caller::{Caller, OpenCall, Request};
use crate::connect::Connected;
use crate::error::CallError;
use crate::value::Encoded;

/// Stands around a caller: it sees every request first, and every reply last.
///
/// It may refuse a call, make another one, several or none, or reply itself. It may wait.
pub trait CallerMiddleware {
    /// Makes a call, as a rule as `next` makes it. The reply is of the kind that [`NextCaller::kind`] says.
    ///
    /// # Errors
    ///
    /// Whatever the caller shall see.
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError>;
}

impl<M: CallerMiddleware + ?Sized> CallerMiddleware for Rc<M> {
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
        (**self).call(request, next)
    }
}

/// In which of the three ways a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Its answer is waited for ([`Caller::exchange`]).
    Exchange,
    /// There is no answer to a notification ([`Caller::tell`]).
    Tell,
    /// Its answer comes after streams of items ([`Caller::open`]).
    Open,
}

/// What comes of a call that did not fail.
pub enum Reply {
    /// The answer, to [`CallKind::Exchange`].
    Answer(Encoded),
    /// The notification was handed over, for [`CallKind::Tell`].
    Told,
    /// The call is under way, for [`CallKind::Open`].
    Opened(Box<dyn OpenCall>),
}

impl Reply {
    fn kind(&self) -> CallKind {
        match self {
            Reply::Answer(_) => CallKind::Exchange,
            Reply::Told => CallKind::Tell,
            Reply::Opened(_) => CallKind::Open,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Answer(answer) => f.debug_tuple("Answer").field(answer).finish(),
            Reply::Told => f.write_str("Told"),
            Reply::Opened(_) => f.write_str("Opened(..)"),
        }
    }
}

/// What a caller's middleware stands around: the caller, or the next middleware.
#[derive(Clone, Copy)]
pub struct NextCaller<'a> {
    caller: &'a dyn Caller,
    kind: CallKind,
}

impl NextCaller<'_> {
    /// In which way the call is made.
    pub fn kind(self) -> CallKind {
        self.kind
    }

    /// Makes a call in this way, and waits as far as that does.
    ///
    /// # Errors
    ///
    /// As the method of [`Caller`] that the [`kind`](Self::kind) names.
    pub fn call(self, request: &Request<'_>) -> Result<Reply, CallError> {
        match self.kind {
            CallKind::Exchange => self.caller.exchange(request).map(Reply::Answer),
            CallKind::Tell => self.caller.tell(request).map(|()| Reply::Told),
            CallKind::Open => self.caller.open(request).map(Reply::Opened),
        }
    }
}

impl fmt::Debug for NextCaller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCaller").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Puts middleware around a caller.
///
/// # Examples
///
/// Every call says in which language its caller reads:
///
/// ```
/// use grapeshot_core::test;
/// use grapeshot_net::memory;
/// use grapeshot_rpc::middleware::CallerWith;
/// use grapeshot_rpc::proto::MetaValue;
/// use grapeshot_rpc::{CallerExt, Connection, Context, Request, Router};
///
/// test::run(|| {
///     let (near, far) = memory::pair();
///     let service = Router::new().method_with_context("greet", |context: &Context, ()| {
///         Ok(if context.metadata().text("language") == Some("de") { "Guten Tag" } else { "Good day" })
///     });
///     let _far = Connection::over(far).service(service).accept().unwrap();
///     let near = Connection::over(near).open().unwrap().around(|request, next| {
///         let mut options = request.options.clone();
///         options.metadata.set("language", MetaValue::Text("de".into()));
///         next.call(&Request { options: &options, ..*request })
///     });
///     assert_eq!(near.call::<String>("greet", &()).unwrap(), "Guten Tag");
/// });
/// ```
pub trait CallerWith: Caller + Sized {
    /// Puts a middleware around it; the one that is put around last is asked first.
    fn with<M: CallerMiddleware>(self, middleware: M) -> AroundCaller<Self, M> {
        AroundCaller { middleware, caller: self }
    }

    /// Puts a closure around it, which makes a call as a rule as the next one makes it.
    fn around<F>(self, function: F) -> AroundCaller<Self, CallerClosure<F>>
    where
        F: Fn(&Request<'_>, NextCaller<'_>) -> Result<Reply, CallError>,
    {
        self.with(CallerClosure(function))
    }
}

impl<C: Caller> CallerWith for C {}

/// A closure around a caller: see [`CallerWith::around`].
pub struct CallerClosure<F>(F);

impl<F> CallerMiddleware for CallerClosure<F>
where
    F: Fn(&Request<'_>, NextCaller<'_>) -> Result<Reply, CallError>,
{
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
        (self.0)(request, next)
    }
}

impl<F> fmt::Debug for CallerClosure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerClosure(..)")
    }
}

/// A caller with a middleware around it, which is a caller again: see [`CallerWith`].
#[derive(Clone, Debug)]
pub struct AroundCaller<C, M> {
    middleware: M,
    caller: C,
}

impl<C, M> AroundCaller<C, M> {
    /// What the middleware stands around.
    pub fn inner(&self) -> &C {
        &self.caller
    }
}

impl<C: Caller, M: CallerMiddleware> AroundCaller<C, M> {
    fn reply(&self, request: &Request<'_>, kind: CallKind) -> Result<Reply, CallError> {
        self.middleware.call(request, NextCaller { caller: &self.caller, kind })
    }
}

impl<C: Caller, M: CallerMiddleware> Caller for AroundCaller<C, M> {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        match self.reply(request, CallKind::Exchange)? {
            Reply::Answer(answer) => Ok(answer),
            other => Err(wrong(&other, CallKind::Exchange)),
        }
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        match self.reply(request, CallKind::Tell)? {
            Reply::Told => Ok(()),
            other => Err(wrong(&other, CallKind::Tell)),
        }
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        match self.reply(request, CallKind::Open)? {
            Reply::Opened(call) => Ok(call),
            other => Err(wrong(&other, CallKind::Open)),
        }
    }
}

/// A middleware's mistake, of which nobody knows what it did before.
fn wrong(reply: &Reply, asked: CallKind) -> CallError {
    CallError::Malformed { reason: format!("a middleware replied to {asked:?} as if to {:?}", reply.kind()) }
}

/// So that pools and balancers can keep callers that have middleware around them.
impl<C: Connected, M: CallerMiddleware + 'static> Connected for AroundCaller<C, M> {
    fn is_closed(&self) -> bool {
        self.caller.is_closed()
    }

    fn close(&self) {
        self.caller.close();
    }

    fn wait_closed(&self) {
        self.caller.wait_closed();
    }
}
