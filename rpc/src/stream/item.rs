//! One item between a type and its bytes.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::{CallOptions, Caller, OpenCall, Request};
use crate::error::{CallError, StreamError};
use crate::value::{self, Encoded};

/// A buffer that is kept from one item to the next, so that sending allocates nothing.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Cell<Vec<u8>>,
}

/// A buffer that has grown beyond this is not kept.
const KEPT_BYTES: usize = 64 << 10;

impl Scratch {
    /// Encodes an item and hands its bytes to `send`.
    ///
    /// The buffer is out of its place while `send` waits: a second sender makes do with one of its own.
    pub(super) fn encode<T: Serialize + ?Sized>(
        &self,
        item: &T,
        send: impl FnOnce(&[u8]) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let mut bytes = self.bytes.take();
        bytes.clear();
        value::encode_into(&mut bytes, item).map_err(StreamError::Encode)?;
        let sent = send(&bytes);
        if bytes.capacity() <= KEPT_BYTES {
            self.bytes.set(bytes);
        }
        sent
    }
}

/// Decodes the item that `read` shows, or passes on that there is none.
pub(super) fn receive<T: DeserializeOwned>(
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<bool, StreamError>,
) -> Result<Option<T>, StreamError> {
    let mut item = None;
    let came = read(&mut |bytes| item = Some(rmp_serde::from_slice(bytes)))?;
    match item {
        Some(decoded) if came => decoded.map(Some).map_err(|error| StreamError::Malformed(error.to_string())),
        _ => Ok(None),
    }
}

/// Whether a stream is over after this.
pub(super) fn is_last<T>(received: &Result<Option<T>, StreamError>) -> bool {
    !matches!(received, Ok(Some(_)) | Err(StreamError::Malformed(_)))
}

/// Opens a call whose parameters have a type.
pub(super) fn open<P: Serialize + ?Sized>(
    caller: &(impl Caller + ?Sized),
    method: &str,
    params: &P,
    options: &CallOptions,
) -> Result<Box<dyn OpenCall>, CallError> {
    let mut bytes = Vec::new();
    value::encode_params(&mut bytes, params)?;
    caller.open(&Request { method, params: &bytes, options })
}

/// Reads the answer as its type.
pub(super) fn decode_answer<R: DeserializeOwned>(answer: &Encoded) -> Result<R, CallError> {
    answer.decode().map_err(|error| CallError::Malformed { reason: error.to_string() })
}
