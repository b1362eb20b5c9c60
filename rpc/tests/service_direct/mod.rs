//! A caller that hands its calls to a service in the same process, without a connection.
#![allow(dead_code, reason = "each of the tests that share it uses its part")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use grapeshot_core::channel::{Receiver, Sender, bounded};
use grapeshot_core::{JoinHandle, spawn};
use grapeshot_rpc::{
    CallError, CallOptions, CalleeStreams, Caller, Context, Encoded, Failure, OpenCall, Request, Service, StreamError,
    Value,
};

/// How many items wait for their reader.
const WINDOW: usize = 2;

/// What a call looked like on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) params: Value,
    pub(crate) options: CallOptions,
}

pub(crate) struct Direct {
    service: Rc<dyn Service>,
    seen: RefCell<Vec<Seen>>,
}

impl Direct {
    pub(crate) fn to(service: impl Service + 'static) -> Direct {
        Direct { service: Rc::new(service), seen: RefCell::default() }
    }

    /// The last call that was made.
    pub(crate) fn last(&self) -> Seen {
        self.seen.borrow().last().cloned().unwrap()
    }

    /// A call by name, with any parameters.
    pub(crate) fn raw<P: serde::Serialize>(&self, method: &str, params: P) -> Result<Value, CallError> {
        let params = Encoded::of(&params).unwrap();
        let request = Request { method, params: params.as_bytes(), options: &CallOptions::default() };
        self.exchange(&request).map(|answer| answer.decode().unwrap())
    }

    fn note(&self, request: &Request<'_>) {
        let params = Encoded::from_bytes(request.params.to_vec()).decode().unwrap();
        let (method, options) = (request.method.to_owned(), request.options.clone());
        self.seen.borrow_mut().push(Seen { method, params, options });
    }
}

impl Caller for Direct {
    fn exchange(&self, request: &Request<'_>) -> Result<Encoded, CallError> {
        self.note(request);
        let answer = self.service.call(request.method, request.params, &Context::detached());
        answer.map_err(CallError::Failed)
    }

    fn tell(&self, request: &Request<'_>) -> Result<(), CallError> {
        let _ = self.exchange(request);
        Ok(())
    }

    fn open(&self, request: &Request<'_>) -> Result<Box<dyn OpenCall>, CallError> {
        self.note(request);
        let (to_callee, from_caller) = bounded(WINDOW);
        let (to_caller, from_callee) = bounded(WINDOW);
        let service = self.service.clone();
        let (method, params) = (request.method.to_owned(), request.params.to_vec());
        let streams = Streams { to_caller, from_caller };
        let running = spawn(move || {
            let context = Context::detached().with_streams(Rc::new(streams));
            service.call(&method, &params, &context)
        });
        Ok(Box::new(Open { to_callee: Cell::new(Some(to_callee)), from_callee, running }))
    }
}

struct Streams {
    to_caller: Sender<Vec<u8>>,
    from_caller: Receiver<Vec<u8>>,
}

impl CalleeStreams for Streams {
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        self.to_caller.send(item.to_vec()).map_err(|_| StreamError::Over)
    }

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(self.from_caller.recv().ok().map(Encoded::from_bytes))
    }
}

struct Open {
    to_callee: Cell<Option<Sender<Vec<u8>>>>,
    from_callee: Receiver<Vec<u8>>,
    running: JoinHandle<Result<Encoded, Failure>>,
}

impl OpenCall for Open {
    fn send_item(&self, item: &[u8]) -> Result<(), StreamError> {
        let sender = self.to_callee.take().ok_or(StreamError::Over)?;
        let sent = sender.send(item.to_vec()).map_err(|_| StreamError::Over);
        self.to_callee.set(Some(sender));
        sent
    }

    fn end_items(&self, _: Option<&Failure>) {
        self.to_callee.take();
    }

    fn next_item(&self) -> Result<Option<Encoded>, StreamError> {
        Ok(self.from_callee.recv().ok().map(Encoded::from_bytes))
    }

    fn finish(self: Box<Self>) -> Result<Encoded, CallError> {
        drop(self.to_callee);
        drop(self.from_callee);
        self.running.join().unwrap().map_err(CallError::Failed)
    }
}
