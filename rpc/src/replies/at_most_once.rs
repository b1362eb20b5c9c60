//! The service that keeps replies.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::Instant;

use grapeshot_core::{Builder, Group, Panic, is_cancellation, now, report_panic, with_timeout};

use super::client::Reply;
use super::limits::{ReplyCounts, ReplyLimits};
use super::opening::{BEGIN, check_probe, encode_client_id};
use super::running::Running;
use super::store::{Admission, Store};
use crate::caller::Sequence;
use crate::error::Failure;
use crate::service::{Context, MethodInfo, Service};
use crate::value::Encoded;

/// A service that runs numbered calls once, and answers them as often as they come: see the [module's page](super).
///
/// Calls without a number go through as they are.
/// Dropping it cancels what runs.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use grapeshot_core::test;
/// use grapeshot_rpc::replies::AtMostOnce;
/// use grapeshot_rpc::{Context, Encoded, Failure, Service};
///
/// /// Counts how often it was run.
/// #[derive(Default)]
/// struct Counter(Cell<u64>);
///
/// impl Service for Counter {
///     fn call(&self, _method: &str, _params: &[u8], _context: &Context) -> Result<Encoded, Failure> {
///         self.0.set(self.0.get() + 1);
///         Encoded::of(&self.0.get()).map_err(|error| Failure::new(Failure::INTERNAL, error.to_string()))
///     }
/// }
///
/// test::run(|| {
///     let service = AtMostOnce::new(Counter::default());
///     let reply = service.call("bump", &[0x90], &Context::detached()).unwrap();
///     assert_eq!(reply.decode::<u64>().unwrap(), 1);
/// });
/// ```
pub struct AtMostOnce<S> {
    shared: Rc<Shared<S>>,
    group: Group,
}

struct Shared<S> {
    service: S,
    store: RefCell<Store>,
}

impl<S: Service + 'static> AtMostOnce<S> {
    /// Keeps the replies of a service, with the default limits.
    pub fn new(service: S) -> AtMostOnce<S> {
        AtMostOnce::with_limits(service, ReplyLimits::default())
    }

    /// Keeps the replies of a service.
    pub fn with_limits(service: S, limits: ReplyLimits) -> AtMostOnce<S> {
        let shared = Shared { service, store: RefCell::new(Store::new(limits)) };
        AtMostOnce { shared: Rc::new(shared), group: Group::new() }
    }

    /// The service in it.
    pub fn inner(&self) -> &S {
        &self.shared.service
    }

    /// What it holds and has done.
    pub fn counts(&self) -> ReplyCounts {
        self.shared.store.borrow().counts()
    }

    /// Waits until no numbered call runs, or until `deadline`; says whether none does.
    ///
    /// Those whose callers have gone run on when a server has drained, and end with this value.
    ///
    /// # Cancellation
    ///
    /// Unwinds.
    pub fn wait_idle(&self, deadline: Option<Instant>) -> bool {
        self.group.wait_empty(deadline)
    }

    fn call_numbered(&self, sequence: Sequence, method: &str, params: &[u8], context: &Context) -> Reply {
        if context.streams().is_some() {
            return Err(Failure::new(
                Failure::INVALID_REQUEST,
                "a call with streams cannot have a number: no reply holds them",
            ));
        }
        let admission = self.shared.store.borrow_mut().admit(sequence, context.peer().key.as_deref());
        match admission {
            Admission::Answer(reply) => reply,
            Admission::Wait(running) => running.wait(),
            Admission::Run(running) => {
                self.start(sequence, running.clone(), method, params, context)?;
                running.wait()
            }
        }
    }

    /// Runs the method in a coroutine that nobody's leaving cancels.
    fn start(
        &self,
        sequence: Sequence,
        running: Rc<Running>,
        method: &str,
        params: &[u8],
        context: &Context,
    ) -> Result<(), Failure> {
        let limit = self.shared.store.borrow().limits().run_time;
        let context = Context { deadline: now().checked_add(limit), ..context.clone() };
        let run = Run { shared: self.shared.clone(), sequence, has_begun: false, running: Some(running) };
        let (name, params) = (method.to_owned(), params.to_vec());
        let builder = Builder::new().name(format!("{method}, number {}", sequence.number));
        self.group.spawn(builder, move || run.run(&name, &params, &context)).map(drop).map_err(|error| {
            // The closure is gone by now, and has given the number back.
            Failure::new(Failure::BUSY, format!("no coroutine for a numbered call: {error}"))
        })
    }
}

impl<S: Service + 'static> Service for AtMostOnce<S> {
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        if method == BEGIN {
            check_probe(context)?;
            let id = self.shared.store.borrow_mut().begin(context.peer().key.as_deref())?;
            return encode_client_id(id);
        }
        match context.sequence() {
            Some(sequence) => self.call_numbered(sequence, method, params, context),
            None => self.shared.service.call(method, params, context),
        }
    }

    fn methods(&self) -> Vec<MethodInfo> {
        self.shared.service.methods()
    }

    fn canonical<'a>(&'a self, method: &'a str) -> Option<Cow<'a, str>> {
        if method == BEGIN { Some(Cow::Borrowed(method)) } else { self.shared.service.canonical(method) }
    }
}

/// A number that runs; dropped before its end it counts as cancelled, and before its beginning as never seen.
struct Run<S> {
    shared: Rc<Shared<S>>,
    sequence: Sequence,
    has_begun: bool,
    /// Until it has ended.
    running: Option<Rc<Running>>,
}

impl<S: Service> Run<S> {
    fn run(mut self, method: &str, params: &[u8], context: &Context) {
        self.has_begun = true;
        let limit = self.shared.store.borrow().limits().run_time;
        let call = || with_timeout(limit, || self.shared.service.call(method, params, context));
        match panic::catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(reply)) => self.end(reply),
            Ok(Err(_)) => self.end(Err(Failure::new(Failure::DEADLINE, format!("{method} was ended after {limit:?}")))),
            Err(payload) if is_cancellation(&*payload) => {
                drop(self);
                panic::resume_unwind(payload);
            }
            Err(payload) => {
                self.end(Err(Failure::new(Failure::INTERNAL, format!("{method} panicked"))));
                report_panic(&Panic::from_payload(payload));
            }
        }
    }
}

impl<S> Run<S> {
    fn end(&mut self, reply: Reply) {
        let Some(running) = self.running.take() else { return };
        self.shared.store.borrow_mut().end(self.sequence, &reply, running.is_awaited());
        running.end(reply);
    }
}

impl<S> Drop for Run<S> {
    fn drop(&mut self) {
        if !self.has_begun {
            // As a refusal it leaves nothing behind, and whoever waits may come again.
            return self.end(Err(Failure::new(Failure::BUSY, "the method could not begin")));
        }
        self.end(Err(Failure::new(Failure::CANCELLED, "the service was ended while the method ran")));
    }
}

impl<S> fmt::Debug for AtMostOnce<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.shared.store.borrow().counts();
        f.debug_struct("AtMostOnce").field("counts", &counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use grapeshot_core::test;

    use super::*;
    use crate::error::StreamError;
    use crate::replies::{PROBE, read_client_id};
    use crate::service::CalleeStreams;
    use crate::transport::Identity;

    struct Nop;

    impl Service for Nop {
        fn call(&self, _method: &str, _params: &[u8], _context: &Context) -> Result<Encoded, Failure> {
            Ok(Encoded::nil())
        }
    }

    fn context(key: Option<&str>, sequence: Sequence) -> Context {
        let peer = Identity { key: key.map(str::to_owned), ..Identity::default() };
        Context { peer: Rc::new(peer), ..Context::detached() }.with_sequence(sequence)
    }

    fn begin(service: &AtMostOnce<Nop>, key: Option<&str>) -> Sequence {
        let reply = service.call(BEGIN, &[0x90], &context(key, PROBE)).unwrap();
        Sequence { client: read_client_id(&reply).unwrap(), number: 1, lowest: 1 }
    }

    #[test]
    fn an_id_is_good_for_the_key_that_it_was_given_to() {
        test::run(|| {
            let service = AtMostOnce::new(Nop);
            let sequence = begin(&service, Some("alice"));
            assert!(service.call("nop", &[0x90], &context(Some("alice"), sequence)).is_ok());
            for key in [None, Some("bob")] {
                let refused = service.call("nop", &[0x90], &context(key, sequence)).unwrap_err();
                assert_eq!(refused.code, Failure::UNKNOWN_CLIENT);
            }
        });
    }

    #[test]
    fn a_call_with_streams_cannot_have_a_number() {
        struct Empty;

        impl CalleeStreams for Empty {
            fn send_item(&self, _item: &[u8]) -> Result<(), StreamError> {
                Ok(())
            }

            fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
                Ok(None)
            }
        }

        test::run(|| {
            let service = AtMostOnce::new(Nop);
            let sequence = begin(&service, None);
            let context = Context { streams: Some(Rc::new(Empty)), ..context(None, sequence) };
            let refused = service.call("nop", &[0x90], &context).unwrap_err();
            assert_eq!(refused.code, Failure::INVALID_REQUEST);
            assert_eq!(service.counts().run, 0);
        });
    }

    #[test]
    fn what_is_no_id_is_malformed() {
        for reply in [Encoded::nil(), Encoded::of(&"0123456789abcdef").unwrap(), Encoded::from_bytes(vec![0xc4, 1, 0])]
        {
            assert!(read_client_id(&reply).is_err(), "{reply:?}");
        }
    }
}
