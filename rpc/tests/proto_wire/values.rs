//! Values of every type, and rmpv's view of them.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use rmpv::Value;

/// Any value that nests a few levels deep.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200_i64..200).prop_map(Value::from),
        any::<f32>().prop_filter("equal to itself", |float| !float.is_nan()).prop_map(Value::F32),
        any::<f64>().prop_filter("equal to itself", |float| !float.is_nan()).prop_map(Value::F64),
        "\\PC{0,40}".prop_map(Value::from),
        vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        (any::<i8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ];
    leaf.prop_recursive(4, 40, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

/// The bytes of a value, as rmpv writes them.
pub(crate) fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap_or_else(|cause| panic!("a vector takes all: {cause}"));
    bytes
}

/// The value in bytes that hold nothing else, as rmpv reads it.
pub(crate) fn decoded(bytes: &[u8]) -> Value {
    let mut rest = bytes;
    let value = rmpv::decode::read_value(&mut rest).unwrap_or_else(|cause| panic!("{bytes:x?}: {cause}"));
    assert_eq!(rest, [0_u8; 0], "nothing follows");
    value
}

/// So many arrays of one in each other, with nil in the innermost.
pub(crate) fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; depth];
    bytes.push(0xc0);
    bytes
}
