//! A hook that is told of each call.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::caller_side::{CallerMiddleware, NextCaller, Reply};
use super::ending::Ending;
use super::service_side::{Incoming, NextService, ServiceMiddleware};
use super::watch::{self, Watch, Watched};
use crate::caller::Request;
use crate::error::{CallError, Failure};
use crate::transport::Identity;
use crate::value::Encoded;

/// Calls a hook after each call, around a caller or a service. The hook must not wait.
///
/// [`Server::log`](crate::Server::log) tells of what never came to the service as well, such as calls that were too large.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::Router;
/// use grapeshot_rpc::middleware::{Logging, ServiceWith};
///
/// let service = Router::new()
///     .method("add", |(a, b): (i64, i64)| Ok(a + b))
///     .with(Logging::new(|call| println!("{call}")));
/// ```
#[derive(Clone)]
pub struct Logging {
    hook: Rc<dyn Fn(&LoggedCall<'_>)>,
}

impl Logging {
    /// Tells this hook.
    pub fn new(hook: impl Fn(&LoggedCall<'_>) + 'static) -> Logging {
        Logging { hook: Rc::new(hook) }
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logging(..)")
    }
}

impl Watch for Logging {
    fn ended(&self, call: &Watched<'_>) {
        let Watched { peer, method, took, ending, .. } = *call;
        (self.hook)(&LoggedCall { peer, method, took, ending });
    }
}

impl ServiceMiddleware for Logging {
    fn serve(&self, call: &Incoming<'_>, next: NextService<'_>) -> Result<Encoded, Failure> {
        watch::serve(self, call, next)
    }
}

impl CallerMiddleware for Logging {
    fn call(&self, request: &Request<'_>, next: NextCaller<'_>) -> Result<Reply, CallError> {
        watch::call(self, request, next)
    }
}

/// A call that is over. It prints as one line.
#[non_exhaustive]
#[derive(Debug)]
pub struct LoggedCall<'a> {
    /// Who called; `None` on the caller's side.
    pub peer: Option<&'a Identity>,
    /// What was called; on the service's side as the peer wrote it, so it may be anything.
    pub method: &'a str,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub ending: Ending<'a>,
}

impl fmt::Display for LoggedCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peer) = self.peer {
            write!(f, "{peer} called ")?;
        }
        write!(f, "{:?} {:?} {}", self.method, self.took, self.ending)
    }
}
