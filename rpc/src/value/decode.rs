//! Reading a value as a type: short texts at one look, all else with rmp-serde.
//!
//! Many items of streams and many answers are a text, and finding out that one is takes rmp-serde longer than to copy it.

use serde::Deserializer;
use serde::de::{DeserializeOwned, Visitor};

type Error = rmp_serde::decode::Error;

/// Reads one MessagePack value.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    T::deserialize(Whole(value))
}

/// The text that a value is, if it has at most 255 bytes and nothing follows it.
#[inline]
fn short_text(value: &[u8]) -> Option<&str> {
    let text = match value {
        [lead @ 0xa0..=0xbf, text @ ..] if text.len() == usize::from(lead & 0x1f) => text,
        [0xd9, length, text @ ..] if text.len() == usize::from(*length) => text,
        _ => return None,
    };
    std::str::from_utf8(text).ok()
}

/// A whole value.
struct Whole<'v>(&'v [u8]);

/// What asks for a text, of any kind.
macro_rules! short_texts {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
            match short_text(self.0) {
                Some(text) => visitor.visit_borrowed_str(text),
                None => rmp_serde::Deserializer::from_read_ref(self.0).$method(visitor),
            }
        }
    )*};
}

macro_rules! others {
    ($($method:ident($($argument:ident: $Type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'v>>(self, $($argument: $Type,)* visitor: V) -> Result<V::Value, Error> {
            rmp_serde::Deserializer::from_read_ref(self.0).$method($($argument,)* visitor)
        }
    )*};
}

type Name = &'static str;
type Names = &'static [&'static str];

impl<'v> Deserializer<'v> for Whole<'v> {
    type Error = Error;

    short_texts! { deserialize_str deserialize_string }

    others! {
        deserialize_any() deserialize_ignored_any() deserialize_identifier()
        deserialize_bool() deserialize_char() deserialize_bytes() deserialize_byte_buf()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_option() deserialize_unit() deserialize_unit_struct(name: Name) deserialize_newtype_struct(name: Name)
        deserialize_seq() deserialize_tuple(values: usize) deserialize_tuple_struct(name: Name, values: usize)
        deserialize_map() deserialize_struct(name: Name, fields: Names) deserialize_enum(name: Name, variants: Names)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Named(String),
        Box { width: u32, height: i16 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Option<String>);

    /// What both find in the bytes, which is the same, or that neither finds anything, for the same reason.
    fn check<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
        let (ours, theirs) = (decode::<T>(bytes), rmp_serde::from_slice::<T>(bytes));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours, theirs);
                Some(ours)
            }
            (ours, theirs) => {
                assert_eq!(ours.map_err(|e| e.to_string()), theirs.map_err(|e| e.to_string()));
                None
            }
        }
    }

    fn check_all(bytes: &[u8]) {
        check::<String>(bytes);
        check::<char>(bytes);
        check::<bool>(bytes);
        check::<i8>(bytes);
        check::<u64>(bytes);
        check::<u128>(bytes);
        check::<()>(bytes);
        check::<Option<String>>(bytes);
        check::<(String, u8)>(bytes);
        check::<Vec<u8>>(bytes);
        check::<Shape>(bytes);
        check::<Wrapped>(bytes);
        check::<BTreeMap<String, String>>(bytes);
    }

    #[test]
    fn texts_of_every_length_are_read() {
        for length in (0..40).chain([254, 255, 256, 70_000]) {
            let text = "ü".repeat(length / 2) + &"x".repeat(length % 2);
            let bytes = rmp_serde::to_vec(&text).unwrap();
            assert_eq!(check::<String>(&bytes), Some(text));
        }
    }

    #[test]
    fn structures_are_read_as_ever() {
        for shape in [Shape::Point, Shape::Named("a".into()), Shape::Box { width: 3, height: -5 }] {
            let bytes = rmp_serde::to_vec_named(&shape).unwrap();
            assert_eq!(check::<Shape>(&bytes), Some(shape));
        }
        for text in [None, Some("b".to_owned())] {
            let bytes = rmp_serde::to_vec(&Wrapped(text)).unwrap();
            assert!(check::<Wrapped>(&bytes).is_some());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_is_read_as_rmp_serde_reads_it(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            check_all(&bytes);
        }

        #[test]
        fn so_is_what_is_nearly_a_text(lead in 0xa0_u8..=0xdb, length: u8, rest in prop::collection::vec(any::<u8>(), 0..40)) {
            check_all(&[&[lead, length], &*rest].concat());
            check_all(&[&[0xd9, rest.len() as u8], &*rest].concat());
            check_all(&[&[0xa0 | (rest.len() as u8 & 0x1f)], &*rest].concat());
        }
    }
}
