//! What the code that `#[service]` and `ServiceError` write leans on. Nobody else does, and it changes with them.
#![doc(hidden)]

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::params::{Params, Signature};

use crate::caller::{CallOptions, Caller, EncodedParams, OpenCall, Repeat, Request};
use crate::error::{CallError, Failure};
use crate::params::shortened;
use crate::service::{MethodInfo, MethodKind};
use crate::signature::type_text;
use crate::value::{self, Encoded, Value};

/// A call that is being written down.
pub struct Outgoing {
    method: &'static str,
    params: EncodedParams,
}

impl Outgoing {
    /// A call with as many parameters.
    pub fn new(method: &'static str, count: usize) -> Outgoing {
        let mut params = EncodedParams::empty();
        // Writing to a vector does not fail, and no function has more parameters.
        let _ = rmp::encode::write_array_len(&mut params.bytes, u32::try_from(count).unwrap_or(u32::MAX));
        Outgoing { method, params }
    }

    /// Adds a parameter.
    pub fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CallError> {
        Ok(value::encode_into(&mut self.params.bytes, value)?)
    }

    /// Makes it and waits for the answer.
    pub fn call<R: DeserializeOwned>(
        self,
        caller: &impl Caller,
        options: &CallOptions,
        repeat: Repeat,
    ) -> Result<R, CallError> {
        let options = with_repeat(options, repeat);
        let answer = caller.exchange(&self.request(&options))?;
        answer.decode().map_err(|error| {
            let (ty, reason) = (type_text::<R>(), shortened(&error));
            CallError::Malformed { reason: format!("the result of `{}` is no {ty}: {reason}", self.method) }
        })
    }

    /// Sends it, and no answer comes.
    pub fn notify(self, caller: &impl Caller, options: &CallOptions) -> Result<(), CallError> {
        caller.tell(&self.request(&with_repeat(options, Repeat::Never)))
    }

    /// Makes it, with streams besides.
    pub fn open(self, caller: &impl Caller, options: &CallOptions) -> Result<Box<dyn OpenCall>, CallError> {
        caller.open(&self.request(&with_repeat(options, Repeat::Never)))
    }

    fn request<'a>(&'a self, options: &'a CallOptions) -> Request<'a> {
        Request { method: self.method, params: &self.params.bytes, options }
    }
}

fn with_repeat(options: &CallOptions, repeat: Repeat) -> Cow<'_, CallOptions> {
    if options.repeat == repeat {
        Cow::Borrowed(options)
    } else {
        Cow::Owned(CallOptions { repeat, ..options.clone() })
    }
}

/// The answer to a call.
pub fn answer<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, Failure> {
    Encoded::of(value).map_err(|error| {
        Failure::new(Failure::INTERNAL, format!("the method ran, but its result cannot be encoded: {error}"))
    })
}

/// The answer to a call that may fail.
pub fn answer_or_failure<T: Serialize, E: MethodError>(result: Result<T, E>) -> Result<Encoded, Failure> {
    answer(&result.map_err(E::into_failure)?)
}

/// An error that a method can fail with: whatever becomes a [`Failure`]. It is there for what the compiler says of others.
#[diagnostic::on_unimplemented(
    message = "a method cannot fail with `{Self}`, which does not become a `Failure`",
    label = "no error that travels",
    note = "derive `ServiceError` for it if it is an enum, and it comes back as it was out of the caller's `CallError`",
    note = "or write `impl From<{Self}> for Failure`, or let the method return `Result<_, Failure>`"
)]
pub trait MethodError {
    /// As it travels.
    fn into_failure(self) -> Failure;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Failure>> MethodError for E {
    fn into_failure(self) -> Failure {
        self.into()
    }
}

/// The answer to a call of what is not there.
#[cold]
pub fn no_such_method(method: &str) -> Failure {
    // The name is the peer's, of any length.
    const SHOWN: usize = 100;
    let shown: String = method.chars().take(SHOWN).collect();
    let dots = if shown.len() < method.len() { "…" } else { "" };
    Failure::new(Failure::METHOD_NOT_FOUND, format!("there is no method `{shown}{dots}`"))
}

/// Describes a method, and its former names.
pub fn method_infos(
    signature: &Signature,
    former_names: &[&str],
    result: &str,
    kind: MethodKind,
    version: u32,
    doc: &str,
) -> Vec<MethodInfo> {
    let params = signature.params.iter().map(|&(name, ty)| (name.to_owned(), ty.to_owned())).collect();
    let name = signature.method.to_owned();
    let mut infos = vec![MethodInfo { name, params, result: result.to_owned(), kind, version, doc: doc.to_owned() }];
    for &former in former_names {
        let doc = format!("Former name of `{}`.", signature.method);
        infos.push(MethodInfo { name: former.to_owned(), doc, ..infos[0].clone() });
    }
    infos
}

/// A field of an error, as it travels; nil for one that cannot.
pub fn field<T: Serialize>(field: &T) -> Value {
    let encoded = Encoded::of(field).ok();
    encoded.and_then(|encoded| encoded.decode().ok()).unwrap_or(Value::Nil)
}

/// Fields without names.
pub fn list<const N: usize>(fields: [Value; N]) -> Value {
    Value::Array(fields.into())
}

/// Fields with names.
pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A field without a name, if it is there and fits.
pub fn field_at<T: DeserializeOwned>(data: &Value, index: usize) -> Option<T> {
    read_field(data.as_array()?.get(index)?)
}

/// A field by its name, if it is there and fits.
pub fn field_named<T: DeserializeOwned>(data: &Value, name: &str) -> Option<T> {
    let pair = data.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name))?;
    read_field(&pair.1)
}

fn read_field<T: DeserializeOwned>(field: &Value) -> Option<T> {
    Encoded::of(field).ok()?.decode().ok()
}
