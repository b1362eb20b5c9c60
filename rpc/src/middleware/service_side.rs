//! What stands around a service.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::error::Failure;
use crate::service::{Context, MethodInfo, Service};
use crate::value::Encoded;

/// Stands around a service: it sees every call first, and every answer last.
///
/// It may refuse a call, pass on another one, or answer itself. It may wait.
pub trait ServiceMiddleware {
    /// Answers a call, as a rule with what `next` answers.
    ///
    /// # Errors
    ///
    /// Whatever the caller shall see.
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure>;
}

impl<M: ServiceMiddleware + ?Sized> ServiceMiddleware for Rc<M> {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        (**self).serve(call, next)
    }
}

/// A call on its way to a service.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The method's name, as the peer wrote it.
    pub method: &'a str,
    /// The parameters: one MessagePack array.
    pub params: &'a [u8],
    /// What is known of the call.
    pub context: &'a Context,
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.context.peer();
        f.debug_struct("Incoming").field("method", &self.method).field("peer", peer).finish_non_exhaustive()
    }
}

/// What a service's middleware stands around: the service, or the next middleware.
#[derive(Clone, Copy)]
pub struct NextService<'a> {
    service: &'a dyn Service,
}

impl<'s> NextService<'s> {
    /// The method's own name where it is called by another one, and else the name as it is: see [`Service::canonical`].
    pub fn canonical<'a>(self, method: &'a str) -> Cow<'a, str>
    where
        's: 'a,
    {
        self.service.canonical(method).unwrap_or(Cow::Borrowed(method))
    }

    /// Passes a call on, and waits for its answer.
    ///
    /// # Errors
    ///
    /// As [`Service::call`].
    pub fn call(self, call: &Incoming<'_>) -> Result<Encoded, Failure> {
        self.service.call(call.method, call.params, call.context)
    }
}

impl fmt::Debug for NextService<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextService(..)")
    }
}

/// Puts middleware around a service.
///
/// # Examples
///
/// What each call took, told to whoever reads the log, and a service that is closed at night:
///
/// ```
/// use grapeshot_rpc::middleware::{Logging, ServiceWith};
/// use grapeshot_rpc::{Context, Encoded, Failure, Router, Service};
///
/// let is_open = || false;
/// let service = Router::new()
///     .method("add", |(a, b): (i64, i64)| Ok(a + b))
///     .around(move |call, next| match is_open() {
///         true => next.call(call),
///         false => Err(Failure::new(Failure::UNAVAILABLE, "come back in the morning")),
///     })
///     .with(Logging::new(|call| println!("{call}")));
///
/// let params = Encoded::of(&(1, 2)).unwrap();
/// let failure = service.call("add", params.as_bytes(), &Context::detached()).unwrap_err();
/// assert_eq!(failure.code, Failure::UNAVAILABLE);
/// ```
pub trait ServiceWith: Service + Sized {
    /// Puts a middleware around it; the one that is put around last is asked first.
    fn with<M: ServiceMiddleware>(self, middleware: M) -> AroundService<Self, M> {
        AroundService { middleware, service: self }
    }

    /// Puts a closure around it, which answers a call as a rule with what the next one answers.
    fn around<F>(self, function: F) -> AroundService<Self, ServiceClosure<F>>
    where
        F: Fn(&Incoming<'_>, NextService<'_>) -> Result<Encoded, Failure>,
    {
        self.with(ServiceClosure(function))
    }
}

impl<S: Service> ServiceWith for S {}

/// A closure around a service: see [`ServiceWith::around`].
pub struct ServiceClosure<F>(F);

impl<F> ServiceMiddleware for ServiceClosure<F>
where
    F: Fn(&Incoming<'_>, NextService<'_>) -> Result<Encoded, Failure>,
{
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        (self.0)(call, next)
    }
}

impl<F> fmt::Debug for ServiceClosure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceClosure(..)")
    }
}

/// A service with a middleware around it, which is a service again: see [`ServiceWith`].
#[derive(Clone, Debug)]
pub struct AroundService<S, M> {
    middleware: M,
    service: S,
}

impl<S: Service, M: ServiceMiddleware> Service for AroundService<S, M> {
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        self.middleware.serve(&Incoming { method, params, context }, NextService { service: &self.service })
    }

    fn methods(&self) -> Vec<MethodInfo> {
        self.service.methods()
    }

    fn canonical<'a>(&'a self, method: &'a str) -> Option<Cow<'a, str>> {
        self.service.canonical(method)
    }
}
