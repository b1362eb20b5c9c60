//! The parameters of a call: read one by one into their types, with an answer to the caller that says which one does not fit.
//!
//! One of type `Option` may be absent at the end: that is how a later version of a service adds one.

use std::fmt::Write;

use rmp::Marker;
use rmp_serde::Deserializer;
use rmp_serde::decode::{Error as DecodeError, ReadRefReader};
use serde::de::value::Error as AbsentError;
use serde::de::{self, Deserialize, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::Failure;

/// How much of serde's explanation is kept, in characters: it may quote a value of any length.
const REASON_CHARS: usize = 200;

/// What errors tell of a method.
pub trait Describe {
    /// Its name.
    fn method(&self) -> &str;
    /// How many parameters it takes at most; `None` for any number.
    fn most(&self) -> Option<usize>;
    /// The name and the type of a parameter.
    fn param(&self, index: usize) -> (&str, &str);
}

/// A method that is known when the program is built.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name on the wire.
    pub method: &'static str,
    /// Names and types of its parameters.
    pub params: &'static [(&'static str, &'static str)],
}

impl Describe for Signature {
    fn method(&self) -> &str {
        self.method
    }

    fn most(&self) -> Option<usize> {
        Some(self.params.len())
    }

    fn param(&self, index: usize) -> (&str, &str) {
        self.params.get(index).copied().unwrap_or_default()
    }
}

/// Parameters on their way from bytes to values.
pub struct Params<'a> {
    values: Deserializer<ReadRefReader<'a, [u8]>>,
    count: usize,
    next: usize,
    signature: &'a dyn Describe,
}

impl<'a> Params<'a> {
    /// Begins to read; `params` is one MessagePack array.
    ///
    /// # Errors
    ///
    /// [`Failure::INVALID_PARAMS`] when it is something else, or more values than the method takes.
    pub fn read(params: &'a [u8], signature: &'a dyn Describe) -> Result<Params<'a>, Failure> {
        let mut values = params;
        let count = rmp::decode::read_array_len(&mut values).map_err(|_| no_array(signature))? as usize;
        if signature.most().is_some_and(|most| count > most) {
            return Err(wrong_count(signature, count));
        }
        Ok(Params { values: Deserializer::from_read_ref(values), count, next: 0, signature })
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next one.
    ///
    /// # Errors
    ///
    /// [`Failure::INVALID_PARAMS`], with the parameter's name and type, when it is no `T`, or absent and `T` no `Option`.
    // Not an iterator: each has a type of its own.
    #[expect(clippy::should_implement_trait, reason = "each has a type of its own")]
    pub fn next<T: Deserialize<'a>>(&mut self) -> Result<T, Failure> {
        let index = self.next;
        self.next += 1;
        if index < self.count {
            return T::deserialize(&mut self.values).map_err(|error| misfit(self.signature, index, &error));
        }
        T::deserialize(Absent).map_err(|_| wrong_count(self.signature, self.count))
    }
}

/// A parameter that is absent, which is not the same as nil: a type that takes any value must not take none for one.
struct Absent;

impl<'de> de::Deserializer<'de> for Absent {
    type Error = AbsentError;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, AbsentError> {
        visitor.visit_none()
    }

    /// It may hold an `Option`.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, AbsentError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, AbsentError> {
        Err(de::Error::custom("it is absent"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

#[cold]
fn no_array(signature: &dyn Describe) -> Failure {
    invalid(format!("the parameters of `{}` are an array, and something else came", signature.method()))
}

#[cold]
fn wrong_count(signature: &dyn Describe, count: usize) -> Failure {
    let method = signature.method();
    let most = signature.most().unwrap_or(0);
    let mut list = String::new();
    for index in 0..most {
        let (name, ty) = signature.param(index);
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a string does not fail.
        let _ = write!(list, "{comma}{name}: {ty}");
    }
    let parameters = if most == 1 { "parameter" } else { "parameters" };
    invalid(match most {
        0 => format!("`{method}` takes no parameters, and {count} came"),
        _ => format!("`{method}` takes {most} {parameters} ({list}), and {count} came"),
    })
}

#[cold]
fn misfit(signature: &dyn Describe, index: usize, error: &DecodeError) -> Failure {
    let (name, ty) = signature.param(index);
    let reason = shortened(error);
    invalid(format!("parameter {} of `{}`, `{name}`, is no {ty}: {reason}", index + 1, signature.method()))
}

/// What serde says is wrong with a value of the peer's.
#[cold]
pub(crate) fn shortened(error: &DecodeError) -> String {
    let mut reason = match error {
        DecodeError::TypeMismatch(marker) => format!("{} came", plain_name(*marker)),
        DecodeError::OutOfRange => "the number that came is out of its range".to_owned(),
        DecodeError::LengthMismatch(length) => format!("a list of another length than {length} came"),
        other => other.to_string(),
    };
    if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

/// What a value is that begins so, for a person.
fn plain_name(marker: Marker) -> &'static str {
    match marker {
        Marker::Null => "nil",
        Marker::True | Marker::False => "a bool",
        Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => "an integer",
        Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => "an integer",
        Marker::F32 | Marker::F64 => "a number with a fraction",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a text",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "a binary",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "a list",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::FixExt1 | Marker::FixExt2 | Marker::FixExt4 | Marker::FixExt8 | Marker::FixExt16 => "an extension type",
        Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => "an extension type",
        Marker::Reserved => "the byte 0xc1, which begins no value,",
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(Failure::INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Encoded;

    const MOVE: Signature =
        Signature { method: "move", params: &[("x", "i64"), ("y", "i64"), ("speed", "Option<u8>")] };

    fn read(params: &impl serde::Serialize) -> Result<(i64, i64, Option<u8>), String> {
        let bytes = Encoded::of(params).unwrap();
        let read = || {
            let mut params = Params::read(bytes.as_bytes(), &MOVE)?;
            Ok((params.next()?, params.next()?, params.next()?))
        };
        read().map_err(|failure: Failure| {
            assert_eq!(failure.code, Failure::INVALID_PARAMS);
            failure.message
        })
    }

    #[test]
    fn values_come_in_their_order() {
        assert_eq!(read(&(1, -2, 3)), Ok((1, -2, Some(3))));
        assert_eq!(read(&(1, -2, ())), Ok((1, -2, None)));
    }

    #[test]
    fn an_option_at_the_end_may_be_absent() {
        assert_eq!(read(&(1, -2)), Ok((1, -2, None)));
    }

    #[test]
    fn a_value_of_any_type_may_be_nil_but_not_absent() {
        let next = |bytes| Params::read(bytes, &MOVE)?.next::<rmpv::Value>();
        assert_eq!(next(&[0x91, 0xc0]), Ok(rmpv::Value::Nil));
        assert_eq!(next(&[0x90]).map_err(|failure| failure.code), Err(Failure::INVALID_PARAMS));
        let optional = |bytes| Params::read(bytes, &MOVE)?.next::<Option<rmpv::Value>>();
        assert_eq!(optional(&[0x90]), Ok(None));
    }

    #[test]
    fn a_wrong_number_is_answered_with_the_signature() {
        let told = "`move` takes 3 parameters (x: i64, y: i64, speed: Option<u8>), and";
        assert_eq!(read(&(1,)), Err(format!("{told} 1 came")));
        assert_eq!(read(&(1, 2, 3, 4)), Err(format!("{told} 4 came")));
        assert_eq!(read(&[0u8; 0]), Err(format!("{told} 0 came")));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_type() {
        let told = read(&(1, "two", 3)).unwrap_err();
        assert_eq!(told, "parameter 2 of `move`, `y`, is no i64: a text came");
        let told = read(&(1, &[2][..])).unwrap_err();
        assert_eq!(told, "parameter 2 of `move`, `y`, is no i64: a list came");
        let told = read(&(1, 2, 300)).unwrap_err();
        assert!(told.starts_with("parameter 3 of `move`, `speed`, is no Option<u8>: "), "{told}");
    }

    #[test]
    fn an_explanation_is_cut_short() {
        let told = read(&("ä".repeat(100_000), 2)).unwrap_err();
        assert!(told.len() < 600, "{}", told.len());
    }

    #[test]
    fn a_map_is_no_list_of_parameters() {
        let map = std::collections::BTreeMap::from([("x", 1)]);
        assert_eq!(read(&map), Err("the parameters of `move` are an array, and something else came".to_owned()));
        assert!(Params::read(&[], &MOVE).is_err());
    }

    #[test]
    fn parameters_that_break_off_are_refused() {
        let bytes = Encoded::of(&(1, 100_000)).unwrap().into_bytes();
        for end in 0..bytes.len() {
            let read = |bytes| {
                let mut params = Params::read(bytes, &MOVE)?;
                Ok::<(i64, i64), Failure>((params.next()?, params.next()?))
            };
            assert!(read(&bytes[..end]).is_err(), "{end}");
        }
    }
}
