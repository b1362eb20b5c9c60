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

/// Reads the item that `wait` waits for and shows; `None` when it shows none.
pub(super) fn read_shown<T>(
    wait: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<bool, StreamError>,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, StreamError> {
    let mut read = Some(read);
    let mut item = None;
    let came = wait(&mut |bytes| {
        if let Some(read) = read.take() {
            item = Some(read(bytes));
        }
    })?;
    Ok(item.filter(|_| came))
}

/// The item that was received and decoded, if there was one.
#[inline]
pub(super) fn decoded<T>(
    received: Result<Option<Result<T, rmp_serde::decode::Error>>, StreamError>,
) -> Result<Option<T>, StreamError> {
    match received {
        Ok(Some(Ok(item))) => Ok(Some(item)),
        Ok(Some(Err(error))) => Err(malformed(&error)),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cold]
fn malformed(error: &rmp_serde::decode::Error) -> StreamError {
    StreamError::Malformed(error.to_string())
}

/// Whether a stream is over after this.
#[inline]
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
