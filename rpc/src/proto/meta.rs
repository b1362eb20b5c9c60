//! What travels with a call beside its parameters: a map with small numbers as keys.
//!
//! ```text
//! 0  time left to the caller, in microseconds     4  traceparent, as W3C Trace Context writes it
//! 1  the client's id, 16 bytes                    5  tracestate
//! 2  the call's sequence number                   6  the user's metadata: text to text or bytes
//! 3  the lowest number still wanted               7  bytes that the callee's stream may send
//! ```
//!
//! A callee ignores keys that it does not know, so that later versions may add some.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::encode::{append_binary, append_map, append_text, append_uint};
use super::metadata::{MetaValue, Metadata, TraceContext};
use super::reader::{Mismatch, Reader};
use crate::Sequence;

const REMAINING: u64 = 0;
const CLIENT: u64 = 1;
const NUMBER: u64 = 2;
const LOWEST: u64 = 3;
const TRACE_PARENT: u64 = 4;
const TRACE_STATE: u64 = 5;
const METADATA: u64 = 6;
const WINDOW: u64 = 7;

/// The metadata of one call. What is absent does not travel; with nothing in it, leave the whole away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta<'a> {
    /// How long the caller still waits; it travels in whole microseconds, rounded down.
    pub remaining: Option<Duration>,
    /// The number under which the call runs once at most.
    pub sequence: Option<Sequence>,
    /// The trace it belongs to.
    pub trace: Option<Cow<'a, TraceContext>>,
    /// The user's pairs.
    pub metadata: Cow<'a, Metadata>,
    /// The caller expects a stream, and takes so many bytes of it before it grants more.
    pub window: Option<u64>,
}

/// What the metadata of a call may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaLimits {
    /// The user's pairs; the map's own keys may be 16 more than that.
    pub pairs: usize,
    /// The bytes of the whole map.
    pub bytes: usize,
}

/// Why the metadata of a call cannot be taken. It did not run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaError {
    /// The map has more bytes than the limit.
    TooManyBytes {
        /// So many.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The map has more pairs than the limit.
    TooManyPairs {
        /// So many.
        pairs: usize,
        /// The limit.
        limit: usize,
    },
    /// It is no map.
    NotAMap,
    /// The value under a key is not of the type that belongs there.
    WrongType {
        /// The key.
        key: u64,
    },
    /// A sequence number without the id of its client, or the other way round.
    HalfSequence,
}

/// Keys beside the user's pairs: ours, and what later versions may add.
const OTHER_KEYS: usize = 16;

impl Meta<'_> {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.keys() == 0
    }

    fn keys(&self) -> usize {
        let state = self.trace.as_ref().is_some_and(|trace| !trace.state.is_empty());
        usize::from(self.remaining.is_some())
            + 3 * usize::from(self.sequence.is_some())
            + usize::from(self.trace.is_some())
            + usize::from(state)
            + usize::from(!self.metadata.is_empty())
            + usize::from(self.window.is_some())
    }

    /// Appends the map.
    pub fn append(&self, out: &mut Vec<u8>) {
        append_map(out, self.keys());
        if let Some(remaining) = self.remaining {
            append_number(out, REMAINING, u64::try_from(remaining.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(sequence) = &self.sequence {
            append_uint(out, CLIENT);
            append_binary(out, &sequence.client);
            append_number(out, NUMBER, sequence.number);
            append_number(out, LOWEST, sequence.lowest);
        }
        if let Some(trace) = &self.trace {
            append_uint(out, TRACE_PARENT);
            append_text(out, &trace.parent);
            if !trace.state.is_empty() {
                append_uint(out, TRACE_STATE);
                append_text(out, &trace.state);
            }
        }
        if !self.metadata.is_empty() {
            append_uint(out, METADATA);
            append_pairs(out, &self.metadata);
        }
        if let Some(window) = self.window {
            append_number(out, WINDOW, window);
        }
    }

    /// Reads the map.
    ///
    /// # Errors
    ///
    /// When it is larger than the limits, or something in it is not what belongs there.
    pub fn decode(bytes: &[u8], limits: MetaLimits) -> Result<Meta<'static>, MetaError> {
        if bytes.len() > limits.bytes {
            return Err(MetaError::TooManyBytes { bytes: bytes.len(), limit: limits.bytes });
        }
        let mut reader = Reader::new(bytes);
        let keys = reader.map().map_err(|_| MetaError::NotAMap)?;
        check_pairs(keys, limits.pairs.saturating_add(OTHER_KEYS))?;
        let mut decoded = Decoded::default();
        for _ in 0..keys {
            match reader.uint() {
                Ok(key) => decoded.read(key, &mut reader, limits).map_err(|cause| cause.under(key))?,
                // A key of another type is none that this version knows.
                Err(_) => skip_pair(&mut reader)?,
            }
        }
        decoded.into_meta()
    }
}

fn append_number(out: &mut Vec<u8>, key: u64, number: u64) {
    append_uint(out, key);
    append_uint(out, number);
}

fn append_pairs(out: &mut Vec<u8>, metadata: &Metadata) {
    append_map(out, metadata.len());
    for (name, value) in metadata.iter() {
        append_text(out, name);
        match value {
            MetaValue::Text(text) => append_text(out, text),
            MetaValue::Bytes(bytes) => append_binary(out, bytes),
        }
    }
}

fn skip_pair(reader: &mut Reader<'_>) -> Result<(), MetaError> {
    reader.value().and_then(|_| reader.value()).map(drop).map_err(|_| MetaError::NotAMap)
}

fn check_pairs(pairs: usize, limit: usize) -> Result<(), MetaError> {
    match pairs > limit {
        true => Err(MetaError::TooManyPairs { pairs, limit }),
        false => Ok(()),
    }
}

/// What was read so far.
#[derive(Default)]
struct Decoded {
    meta: Meta<'static>,
    client: Option<[u8; 16]>,
    number: Option<u64>,
    lowest: u64,
    trace: Option<TraceContext>,
    trace_state: String,
}

/// Why the value under a key was not read.
enum Cause {
    Mismatch,
    Pairs(MetaError),
}

impl From<Mismatch> for Cause {
    fn from(_: Mismatch) -> Cause {
        Cause::Mismatch
    }
}

impl Cause {
    fn under(self, key: u64) -> MetaError {
        match self {
            Cause::Mismatch => MetaError::WrongType { key },
            Cause::Pairs(error) => error,
        }
    }
}

impl Decoded {
    fn read(&mut self, key: u64, reader: &mut Reader<'_>, limits: MetaLimits) -> Result<(), Cause> {
        match key {
            REMAINING => self.meta.remaining = Some(Duration::from_micros(reader.uint()?)),
            CLIENT => self.client = Some(reader.binary()?.try_into().map_err(|_| Cause::Mismatch)?),
            NUMBER => self.number = Some(reader.uint()?),
            LOWEST => self.lowest = reader.uint()?,
            TRACE_PARENT => {
                self.trace = Some(TraceContext { parent: reader.text()?.to_owned(), state: String::new() });
            }
            TRACE_STATE => self.trace_state = reader.text()?.to_owned(),
            METADATA => self.meta.metadata = Cow::Owned(read_pairs(reader, limits.pairs)?),
            WINDOW => self.meta.window = Some(reader.uint()?),
            _ => drop(reader.value()?),
        }
        Ok(())
    }

    fn into_meta(self) -> Result<Meta<'static>, MetaError> {
        let Decoded { mut meta, client, number, lowest, trace, trace_state } = self;
        meta.sequence = match (client, number) {
            (Some(client), Some(number)) => Some(Sequence { client, number, lowest }),
            (None, None) => None,
            _ => return Err(MetaError::HalfSequence),
        };
        // W3C Trace Context §3.3: a tracestate without a traceparent means nothing.
        meta.trace = trace.map(|trace| Cow::Owned(TraceContext { state: trace_state, ..trace }));
        Ok(meta)
    }
}

fn read_pairs(reader: &mut Reader<'_>, limit: usize) -> Result<Metadata, Cause> {
    let pairs = reader.map()?;
    check_pairs(pairs, limit).map_err(Cause::Pairs)?;
    let mut metadata = Metadata::new();
    for _ in 0..pairs {
        let name = reader.text()?;
        let value = match reader.text() {
            Ok(text) => MetaValue::Text(text.to_owned()),
            Err(Mismatch::OtherType) => MetaValue::Bytes(reader.binary()?.to_owned()),
            Err(mismatch) => return Err(mismatch.into()),
        };
        metadata.set(name, value);
    }
    Ok(metadata)
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaError::TooManyBytes { bytes, limit } => {
                write!(f, "the call's metadata have {bytes} bytes, and {limit} are the limit")
            }
            MetaError::TooManyPairs { pairs, limit } => {
                write!(f, "the call's metadata have {pairs} pairs, and {limit} are the limit")
            }
            MetaError::NotAMap => f.write_str("the call's metadata are no map"),
            MetaError::WrongType { key } => write!(f, "the call's metadata have a value of a wrong type under {key}"),
            MetaError::HalfSequence => f.write_str("a sequence number and the id of its client travel together"),
        }
    }
}

impl Error for MetaError {}
