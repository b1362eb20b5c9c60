//! Values as MessagePack: what travels, and what one looks like whose type nobody knows.

mod decode;

use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value of any type, for calls whose types the program does not know.
///
/// It is [`rmpv::Value`], which has the extension types that Neovim uses for its handles.
pub use rmpv::Value;

pub(crate) use self::decode::decode;

/// What most values of calls fit in, so that their buffer need not grow while they are written.
const USUAL_BYTES: usize = 48;

/// One MessagePack value in its encoded form.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    bytes: Vec<u8>,
}

impl Encoded {
    /// Encodes a value; structs become maps with the names of their fields.
    ///
    /// # Errors
    ///
    /// When the value's own `Serialize` fails.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, EncodeError> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        encode_into(&mut bytes, value)?;
        Ok(Encoded { bytes })
    }

    /// Takes bytes that are one whole MessagePack value.
    ///
    /// Nobody checks that they are: other bytes make a frame that the peer refuses.
    pub fn from_bytes(bytes: Vec<u8>) -> Encoded {
        Encoded { bytes }
    }

    /// The value nil.
    pub fn nil() -> Encoded {
        Encoded { bytes: vec![0xc0] }
    }

    /// Reads the value as a type.
    ///
    /// # Errors
    ///
    /// When the value does not have the type's form.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, rmp_serde::decode::Error> {
        decode(&self.bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match rmp_serde::from_slice::<Value>(&self.bytes) {
            Ok(value) => write!(f, "Encoded({value})"),
            Err(_) => write!(f, "Encoded({} bytes)", self.bytes.len()),
        }
    }
}

/// A value that cannot be encoded: what its `Serialize` says, or parameters that are no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    reason: String,
}

impl EncodeError {
    pub(crate) fn new(reason: impl Into<String>) -> EncodeError {
        EncodeError { reason: reason.into() }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for EncodeError {}

/// Appends a value; on failure nothing of it stays.
pub(crate) fn encode_into<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let start = out.len();
    let mut serializer = rmp_serde::Serializer::new(&mut *out).with_struct_map();
    value.serialize(&mut serializer).map_err(|error| {
        out.truncate(start);
        EncodeError::new(error.to_string())
    })
}

/// Appends the parameters of a call, which travel as a list: a tuple, a slice, or `()` for none.
pub(crate) fn encode_params<T: Serialize + ?Sized>(out: &mut Vec<u8>, params: &T) -> Result<(), EncodeError> {
    const NIL: u8 = 0xc0;
    const NO_PARAMS: u8 = 0x90;
    let start = out.len();
    encode_into(out, params)?;
    match out[start] {
        NIL => out[start] = NO_PARAMS,
        0x90..=0x9f | 0xdc | 0xdd => {}
        _ => {
            out.truncate(start);
            return Err(EncodeError::new(
                "parameters are a tuple or a list: a single one is written with a comma, `(x,)`",
            ));
        }
    }
    Ok(())
}
