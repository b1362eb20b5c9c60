//! How a client gets its id: `$/sequence.begin [] -> id (bin, 16 bytes)`.
//!
//! The request carries a sequence itself, all zero, so that the server sees whether sequences travel at all:
//! where they do not, numbers would be lost on the way, and calls repeated that nobody knows again.

use crate::caller::Sequence;
use crate::error::{CallError, Failure};
use crate::service::Context;
use crate::value::{Encoded, Value};

/// The method that gives out client ids.
pub const BEGIN: &str = "$/sequence.begin";

/// The sequence that the request for an id carries. No call has the number 0.
pub(crate) const PROBE: Sequence = Sequence { client: [0; 16], number: 0, lowest: 0 };

/// Fails if the request for an id came without its sequence.
pub(super) fn check_probe(context: &Context) -> Result<(), Failure> {
    match context.sequence() {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            Failure::INVALID_REQUEST,
            format!("{BEGIN} came without a sequence of its own, so that none of a call would arrive either"),
        )),
    }
}

pub(super) fn encode_client_id(id: [u8; 16]) -> Result<Encoded, Failure> {
    Encoded::of(&Value::Binary(id.to_vec())).map_err(|error| Failure::new(Failure::INTERNAL, error.to_string()))
}

/// The id in the answer.
///
/// # Errors
///
/// [`CallError::Malformed`] when it is none.
pub(crate) fn read_client_id(reply: &Encoded) -> Result<[u8; 16], CallError> {
    let malformed = || CallError::Malformed { reason: format!("{BEGIN} answered with {reply:?}, not with 16 bytes") };
    match reply.decode::<Value>() {
        Ok(Value::Binary(bytes)) => bytes.try_into().map_err(|_| malformed()),
        _ => Err(malformed()),
    }
}
