//! What the tests of streams share: a service with streams, and both ends of a connection to it.
#![allow(dead_code, reason = "each file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::cell::Cell;
use std::rc::Rc;

use grapeshot_net::memory;
use grapeshot_rpc::stream::{BothStreaming, CalleeStreaming, CallerStreaming, Items, Sink};
use grapeshot_rpc::{
    CallError, CallOptions, Caller, Connection, Context, Encoded, Failure, Limits, Service, StreamError,
};

/// A service that is a function.
pub(crate) struct Methods<F>(pub(crate) F);

impl<F: Fn(&str, &Context) -> Result<Encoded, Failure>> Service for Methods<F> {
    fn call(&self, method: &str, _: &[u8], context: &Context) -> Result<Encoded, Failure> {
        (self.0)(method, context)
    }
}

pub(crate) fn answer<T: serde::Serialize>(value: T) -> Result<Encoded, Failure> {
    Ok(Encoded::of(&value).unwrap())
}

pub(crate) fn cut_off(error: StreamError) -> Failure {
    match error {
        StreamError::Failed(failure) => Failure::new(failure.code, format!("the caller: {}", failure.message)),
        error => Failure::new(1, error.to_string()),
    }
}

/// `count` sends numbers and answers how many; `sum` adds what comes; `double` does both at once.
pub(crate) fn arithmetic(method: &str, context: &Context) -> Result<Encoded, Failure> {
    match method {
        "count" => {
            let numbers = Sink::<u64>::of(context)?;
            (0..100).try_for_each(|number| numbers.send(&number)).map_err(cut_off)?;
            answer(100)
        }
        "sum" => {
            let numbers: Result<Vec<u64>, StreamError> = Items::of(context)?.collect();
            answer(numbers.map_err(cut_off)?.iter().sum::<u64>())
        }
        "double" => {
            let (numbers, doubled) = (Items::<u64>::of(context)?, Sink::<u64>::of(context)?);
            let mut count = 0_u64;
            for number in numbers {
                doubled.send(&(2 * number.map_err(cut_off)?)).map_err(cut_off)?;
                count += 1;
            }
            answer(count)
        }
        "nop" => answer(()),
        _ => Err(Failure::new(Failure::METHOD_NOT_FOUND, "no such method")),
    }
}

pub(crate) fn window_of(window_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.window_bytes = window_bytes;
    limits
}

/// A caller and a callee of these methods.
pub(crate) fn connect_with(
    limits: Limits,
    methods: impl Fn(&str, &Context) -> Result<Encoded, Failure> + 'static,
) -> (Connection, Connection) {
    let (near, far) = memory::pair();
    let callee = Connection::over(far).limits(limits.clone()).service(Methods(methods)).accept().unwrap();
    (Connection::over(near).limits(limits).open().unwrap(), callee)
}

pub(crate) fn open_count(caller: &impl Caller) -> CalleeStreaming<u64, u64> {
    CalleeStreaming::open(caller, "count", &(), &CallOptions::default()).unwrap()
}

pub(crate) fn open_sum(caller: &impl Caller) -> CallerStreaming<u64, u64> {
    CallerStreaming::open(caller, "sum", &(), &CallOptions::default()).unwrap()
}

pub(crate) fn open_double(caller: &impl Caller) -> BothStreaming<u64, u64, u64> {
    BothStreaming::open(caller, "double", &(), &CallOptions::default()).unwrap()
}

pub(crate) fn nop(caller: &impl Caller) -> Result<Encoded, CallError> {
    let options = CallOptions::default();
    caller.exchange(&grapeshot_rpc::Request { method: "nop", params: &[0x90], options: &options })
}

/// Says when it goes.
pub(crate) struct Gone(pub(crate) Rc<Cell<bool>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.set(true);
    }
}
